"""Module items: queries for them, and how a row reads.

Activities come as sub-queries of the item's own query, the five newest of each sort: the views ActivityHistories and
OpenActivities would refuse several items at once to users who do not see all data (providers.md 5.3).

The version of an item is a digest of its SystemModstamp, its LastActivityDate and of what leaves show of it: stamps
have whole seconds, so alone they would not tell two changes apart. Every query of items asks for the same columns, so
that an item has one version however it was read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sync.model import RecordRef
from sync.modules import Activity, FieldSpec, ModuleItem
from sync.options import ModuleRule
from sync.providers.salesforce import soql
from sync.providers.salesforce.asking import Row, within_subquery
from sync.providers.salesforce.modules import Shape

ACTIVITIES = 5
# (object, field) -> columns, filter and order of the newest activities
HISTORY: Mapping[tuple[str, str], str] = {
    ("Task", "WhatId"): "SELECT Id, Subject, CreatedDate, CompletedDateTime, TaskSubtype, Who.Name FROM {} "
    "ORDER BY CreatedDate DESC LIMIT 5",
    ("Event", "WhatId"): "SELECT Id, Subject, StartDateTime, Who.Name FROM {} "
    "WHERE IsChild = false AND ActivityDate <= TODAY ORDER BY StartDateTime DESC LIMIT 5",
    ("EmailMessage", "RelatedToId"): "SELECT Id, ActivityId, Subject, MessageDate, FromName, FromAddress FROM {} "
    "ORDER BY MessageDate DESC LIMIT 5",
}
SYSTEM = ("SystemModstamp", "LastModifiedDate", "LastActivityDate", "CurrencyIsoCode", "IsClosed")
NAMES: Mapping[str, str] = {"case": "CaseNumber", "contract": "ContractNumber", "task": "Subject", "event": "Subject"}


# --- asking -----------------------------------------------------------------------------------------------------------


def columns(shape: Shape, rule: ModuleRule | None = None) -> tuple[str, ...]:
    """What is asked of every item of the kind; with a rule also what it needs."""
    module = shape.module
    wanted = [module.title, module.number, module.amount, module.status, module.due]
    wanted += ["OwnerId", module.account, module.contact]
    wanted += [spec.name for spec in _wanted(shape, rule)]
    out = ["Id", *shape.known(*SYSTEM)]
    for name in wanted:
        if name in module.fields:
            out += [name, *([path] if (path := _named(shape, name)) else [])]
    return tuple(dict.fromkeys(out))


def _wanted(shape: Shape, rule: ModuleRule | None) -> list[FieldSpec]:
    names = [*rule.summary_fields, rule.closed_field] if rule else []
    return [spec for name in names if name and (spec := shape.field(name)) is not None]


def _named(shape: Shape, name: str) -> str:
    """Where the name of the record stands to which a reference leads."""
    spec, parent = shape.module.fields[name], shape.parents.get(name)
    if spec.type != "reference" or not parent:
        return ""
    return f"{parent}.{NAMES.get(spec.refers[0], 'Name') if len(spec.refers) == 1 else 'Name'}"


def history(shape: Shape) -> tuple[str, ...]:
    """Sub-queries for the newest activities."""
    return tuple(
        f"({text.format(shape.children[place])})" for place, text in HISTORY.items() if place in shape.children
    )


def select(shape: Shape, rule: ModuleRule | None, where: str, *, more: Sequence[str] = (), limit: int = 0) -> str:
    """The query of items, those with the latest activity first."""
    latest = [f"{name} DESC NULLS LAST" for name in shape.known("LastActivityDate", "LastModifiedDate")]
    order = ", ".join([*latest, "Id"])
    return soql.query([*columns(shape, rule), *more], shape.module.name, where, order=order, limit=limit)


def open_only(shape: Shape, rule: ModuleRule) -> str:
    """The condition of open items, where the CRM itself knows; rules are judged row by row."""
    return "IsClosed = false" if not rule.closed_field and "IsClosed" in shape.module.fields else ""


def team(shape: Shape, user: str) -> list[str]:
    """Conditions, each for itself, of items on whose team the user is: as sub-selects cannot be joined by OR, a query
    for each."""
    out = []
    if ("OpportunityTeamMember", "OpportunityId") in shape.children:
        member = soql.inner("OpportunityId", "OpportunityTeamMember", f"UserId = {soql.text(user)}")
        out.append(f"Id IN {member}")
    return out


def account_team(shape: Shape, user: str) -> list[str]:
    """The same for items of accounts on whose team the user is."""
    if not shape.module.account:
        return []
    member = soql.inner("AccountId", "AccountTeamMember", f"UserId = {soql.text(user)}")
    return [f"{shape.module.account} IN {member}"]


def access(user: str, ids: Sequence[str]) -> str:
    """Which of at most 200 records the user may read (providers.md 5.2)."""
    of = f"UserId = {soql.text(user)} AND {soql.within('RecordId', ids)}"
    return soql.query(("RecordId", "HasReadAccess"), "UserRecordAccess", of)


# --- reading ----------------------------------------------------------------------------------------------------------


def version(row: Row, shape: Shape) -> str:
    """See above."""
    shown = [_path(row, column) for column in columns(shape)]
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]


def read(row: Row, shape: Shape, rule: ModuleRule, instance: str) -> ModuleItem:
    """The item of a row."""
    module, at = shape.module, f"{instance}/lightning/r/{shape.module.name}/{row['Id']}"
    number = _text(row.get(module.number)) if module.number else ""
    title = _text(row.get(module.title)) or number
    amount = row.get(module.amount) if module.amount else None
    lines = activities(row, shape)
    days = [datetime.combine(_day(row.get("LastActivityDate")) or date.min, datetime.min.time(), UTC)]
    moments = [moment(row["LastModifiedDate"]), *(one.at for one in lines), *(days if not lines else ())]
    return ModuleItem(
        record=RecordRef(module.kind, row["Id"]),
        title=title,
        owner=_text(row.get("OwnerId")),
        closed=closed(row, shape, rule),
        version=version(row, shape),
        changed=min(max(moments), max(moment(row["LastModifiedDate"]), datetime.now(UTC))),
        number=number,
        amount=None if amount is None else plain(amount),
        currency=_text(row.get("CurrencyIsoCode")),
        status=_label(shape, module.status, row.get(module.status)) if module.status else "",
        due=_day(row.get(module.due)) if module.due else None,
        owner_name=_name(row, shape, "OwnerId"),
        account=_name(row, shape, module.account),
        contact=_name(row, shape, module.contact),
        fields=tuple(_summary(row, shape, rule)),
        activities=lines,
        view=f"{at}/view",
        edit=f"{at}/edit",
    )


def closed(row: Row, shape: Shape, rule: ModuleRule) -> bool:
    """As the rule says, else as the CRM does; else nothing is closed."""
    if not rule.closed_field:
        return bool(row.get("IsClosed"))
    spec = shape.field(rule.closed_field)
    value = row.get(spec.name) if spec else None
    if isinstance(value, bool):
        value = str(value).lower()
    text = "" if value is None else str(value)
    return re.fullmatch(rule.closed_pattern, text, re.IGNORECASE | re.DOTALL) is not None


def _summary(row: Row, shape: Shape, rule: ModuleRule) -> Iterable[tuple[str, str]]:
    for name in rule.summary_fields:
        spec = shape.field(name)
        if spec is not None:
            yield spec.label, shown(row, shape, spec)


def shown(row: Row, shape: Shape, spec: FieldSpec) -> str:
    """A value as people read it: dates in ISO's form, numbers plain, flags yes or no."""
    value = row.get(spec.name)
    if value is None:
        return ""
    if spec.type == "flag":
        return "yes" if value else "no"
    if spec.type in ("number", "money"):
        return f"{plain(value):f}"
    if spec.type == "datetime":
        return f"{moment(value):%Y-%m-%d %H:%M} UTC"
    if spec.type == "choice":
        return "; ".join(_label(shape, spec.name, one) for one in str(value).split(";"))
    if spec.type == "reference":
        return _name(row, shape, spec.name) or _text(value)
    return str(value)


def activities(row: Row, shape: Shape) -> tuple[Activity, ...]:
    """The newest five. A mail stands for its automatic task; a task of a mail that we did not get is a mail."""
    found: list[Activity] = []
    mails = _children(row, shape, ("EmailMessage", "RelatedToId"))
    doubles = {one.get("ActivityId") for one in mails}
    for one in mails:
        who = _text(one.get("FromName") or one.get("FromAddress"))
        found.append(Activity(moment(one["MessageDate"]), "email", _text(one.get("Subject")), who))
    for one in _children(row, shape, ("Task", "WhatId")):
        if one["Id"] not in doubles:
            kind = "email" if one.get("TaskSubtype") == "Email" else "task"
            found.append(Activity(moment(one["CreatedDate"]), kind, _text(one.get("Subject")), _path(one, "Who.Name")))
    found += [
        Activity(moment(one["StartDateTime"]), "event", _text(one.get("Subject")), _path(one, "Who.Name"))
        for one in _children(row, shape, ("Event", "WhatId"))
    ]
    found.sort(key=lambda one: (one.at, one.kind, one.subject), reverse=True)
    return tuple(found[:ACTIVITIES])


def _children(row: Row, shape: Shape, place: tuple[str, str]) -> list[Row]:
    return within_subquery(row, shape.children[place]) if place in shape.children else []


def moment(value: str) -> datetime:
    """A moment as Salesforce writes it."""
    return datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%f%z").astimezone(UTC)


def plain(value: Any) -> Decimal:
    """A number without an exponent or a needless point."""
    number = Decimal(str(value))
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number


def _day(value: Any) -> date | None:
    return date.fromisoformat(str(value)[:10]) if value else None


def _label(shape: Shape, name: str, value: Any) -> str:
    return shape.labels.get(name, {}).get(str(value), _text(value))


def _name(row: Row, shape: Shape, name: str) -> str:
    return _path(row, _named(shape, name)) if name in shape.module.fields else ""


def _path(row: Row, column: str) -> str:
    value: Any = row
    for name in column.split(".") if column else ():
        value = value.get(name) if isinstance(value, Mapping) else None
    return _text(value) if column else ""


def _text(value: Any) -> str:
    return "" if value is None else str(value)
