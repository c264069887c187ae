"""The modules of the CRM in memory, and how its items read. Fields are called title, amount, ... as in `CrmWorld`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal

from sync.model import RecordRef
from sync.modules import Activity, FieldSpec, Module, ModuleItem
from sync.options import ModuleRule

CLOSED = frozenset({"Closed Won", "Closed Lost", "Closed"})
TITLE = FieldSpec("name", "Name", "text", required=True, length=120)
AMOUNT = FieldSpec("amount", "Amount", "money")
DUE = FieldSpec("due", "Close Date", "date", required=True)
ACCOUNT = FieldSpec("account", "Account", "reference", refers=("account",))
CONTACT = FieldSpec("contact", "Contact", "reference", refers=("contact",))
STAGES = ("Prospecting", "Negotiation", "Closed Won", "Closed Lost")
STAGE = FieldSpec("status", "Stage", "choice", required=True, choices=STAGES)
NEXT = FieldSpec("next_step", "Next Step", "text", length=255)
SUBJECT = FieldSpec("name", "Subject", "text", length=255)
NUMBER = FieldSpec("number", "Case Number", "text", writable=False)
STATUS = FieldSpec("status", "Status", "choice", default="New", choices=("New", "Working", "Closed"))
ESCALATED = FieldSpec("escalated", "Escalated", "flag")
PHASE = FieldSpec("status", "Phase", "choice", choices=("Idea", "Running", "Finished"))
BUDGET = FieldSpec("amount", "Budget", "money")
PROJECT_DUE = FieldSpec("due", "Due Date", "date")


def _module(kind: str, label: str, plural: str, *fields: FieldSpec, name: str = "") -> Module:
    named = {one.name: one for one in fields}
    places = [one if one in named else "" for one in ("number", "amount", "status", "due", "account", "contact")]
    return Module(kind, name or label, label, plural, named, "name", *places)


MODULES: Mapping[str, Module] = {
    "opportunity": _module(
        "opportunity", "Opportunity", "Opportunities", TITLE, AMOUNT, STAGE, DUE, ACCOUNT, CONTACT, NEXT
    ),
    "case": _module("case", "Case", "Cases", SUBJECT, NUMBER, STATUS, ESCALATED, ACCOUNT, CONTACT),
    "project__c": _module(
        "project__c", "Project", "Projects", TITLE, BUDGET, PHASE, PROJECT_DUE, ACCOUNT, name="Project__c"
    ),
}


def module(name: str) -> Module | None:
    """By kind, name or label in any case."""
    folded = name.casefold()
    return next(
        (
            one
            for kind, one in MODULES.items()
            if folded in (kind, kind.removesuffix("__c"), one.label.casefold(), one.plural.casefold())
        ),
        None,
    )


def closed(fields: Mapping[str, str], rule: ModuleRule) -> bool:
    if rule.closed_field:
        value = fields.get(rule.closed_field, "")
        return re.fullmatch(rule.closed_pattern, value, re.IGNORECASE) is not None
    return fields.get("status", "") in CLOSED


def read(
    record: RecordRef,
    fields: Mapping[str, str],
    names: Mapping[str, str],
    rule: ModuleRule,
    stamp: tuple[int, float],
    history: tuple[Activity, ...],
) -> ModuleItem:
    """The item; `names` are those of the records that it refers to, by id, `stamp` is the number and the time of its
    last change."""
    kind = MODULES[record.kind]
    link = f"https://crm.example/{record.id}"
    wanted = [kind.fields[name] for name in rule.summary_fields if name in kind.fields]
    latest = max([datetime.fromtimestamp(stamp[1], UTC), *(one.at for one in history)])
    return ModuleItem(
        record,
        fields.get("name", "") or fields.get("number", ""),
        fields.get("owner", ""),
        closed(fields, rule),
        version(stamp),
        latest,
        fields.get("number", ""),
        Decimal(fields["amount"]) if fields.get("amount") else None,
        "",
        fields.get("status", ""),
        date.fromisoformat(fields["due"]) if fields.get("due") else None,
        names.get(fields.get("owner", ""), ""),
        names.get(fields.get("account", ""), ""),
        names.get(fields.get("contact", ""), ""),
        tuple((spec.label, shown(fields.get(spec.name, ""), spec)) for spec in wanted),
        history,
        link,
        f"{link}/edit",
    )


def version(stamp: tuple[int, float]) -> str:
    return f"v{stamp[0]}"


def shown(value: str, spec: FieldSpec) -> str:
    if spec.type == "flag":
        return "yes" if value == "true" else "no"
    return value
