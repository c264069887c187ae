"""Create, update, delete, undelete: the checks that hold for every object.

What is special about an object stands in its `Rules` (people, activities, emails, files, sales).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.salesforce import given_values, validation
from sandbox.salesforce.errors import ApiError, no_access, not_found, wrong_id
from sandbox.salesforce.ids import long_id
from sandbox.salesforce.org import Context
from sandbox.salesforce.schema import SObject
from sandbox.salesforce.store import Row

SYSTEM = ("CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp")


@dataclass(slots=True)
class Change:
    """One row on its way: `old` is None for a new one; `given` names what the client set."""

    ctx: Context
    sobject: SObject
    old: Row | None
    row: Row
    given: frozenset[str]
    links: dict[str, list[str]] = field(default_factory=dict)  # JunctionIdLists as given

    def changed(self, *names: str) -> bool:
        """Whether one of the fields has another value than before (always true for a new row with a value)."""
        before = self.old or {}
        return any(before.get(name) != self.row.get(name) for name in names)


def _nothing(change: Change) -> None:
    """The rule of an object without one."""


def _no_row(ctx: Context, row: Row) -> None:
    """The deletion rule of an object without one."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is special about one object."""

    before: Callable[[Change], None] = _nothing  # refuse, or complete the row
    after: Callable[[Change], None] = _nothing  # other rows that follow
    before_delete: Callable[[Context, Row], None] = _no_row
    cascade: tuple[tuple[str, str], ...] = ()  # (object, field): rows that go with the record
    unlink: tuple[tuple[str, str], ...] = ()  # (object, field): references that become empty


RULES: dict[str, Rules] = {}


# ---- create and update --------------------------------------------------------------------------


def create(ctx: Context, sobject: SObject, data: dict[str, Any]) -> str:
    """Create a row as the client's request; its id."""
    _operation(sobject, "C", "create")
    given = given_values.resolve(ctx, sobject, data)
    given_values.permit(given, "C")
    row: Row = {}
    links: dict[str, list[str]] = {}
    with ctx.org.store.transaction():
        given_values.apply(ctx, given, row, links)
        return insert(ctx, sobject, row, frozenset(f.name for f in given), links)


def insert(ctx: Context, sobject: SObject, row: Row, given: frozenset[str] = frozenset(),
           links: dict[str, list[str]] | None = None) -> str:  # fmt: skip
    """Insert a row whose values have their stored form: defaults, rules, uniqueness, system fields."""
    _defaults(ctx, sobject, row)
    change = Change(ctx, sobject, None, row, given, links or {})
    rules = RULES.get(sobject.name, Rules())
    missing = [f.name for f in sobject.required if row.get(f.name) is None]
    if missing:
        raise ApiError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", missing)
    rules.before(change)
    validation.check(ctx, sobject, row)
    ctx.org.check_locks(sobject.name, _references(sobject, row))
    _unique(ctx, sobject, row)
    now = ctx.org.stamp()
    row["Id"] = ctx.org.ids.make(sobject.prefix)
    for f in sobject.numbered:
        if not row.get(f.name):
            row[f.name] = ctx.org.number(sobject.name, f.format)
    if sobject.custom and row.get("Name") is None and "Name" in sobject.fields:
        row["Name"] = row["Id"]  # what Salesforce puts in the place of a name that was left out
    for name in SYSTEM:
        if name in sobject.fields and row.get(name) is None:
            row[name] = ctx.user_id if name.endswith("Id") else now
    if "IsDeleted" in sobject.fields:
        row["IsDeleted"] = False
    row.setdefault("SystemModstamp", now)
    ctx.org.store.put(sobject.name, row)
    ctx.org.note_late(sobject.name, row["Id"])
    rules.after(change)
    return str(row["Id"])


def _defaults(ctx: Context, sobject: SObject, row: Row) -> None:
    for f in sobject.defaulted:
        if row.get(f.name) is not None:
            continue
        if f.default is not None:
            row[f.name] = f.default
        elif f.name == "OwnerId":
            row[f.name] = ctx.user_id
        else:
            row[f.name] = ctx.currency


def update(ctx: Context, sobject: SObject, record_id: str, data: dict[str, Any]) -> None:
    """Change a row as the client's request."""
    _operation(sobject, "U", "update")
    old = existing(ctx, sobject, record_id)
    if not ctx.org.editable(ctx, sobject.name, old):
        raise no_access()
    given = given_values.resolve(ctx, sobject, data)
    given_values.permit(given, "U")
    row, links = dict(old), {}  # type: Row, dict[str, list[str]]
    with ctx.org.store.transaction():
        given_values.apply(ctx, given, row, links)
        save(ctx, sobject, old, row, frozenset(f.name for f in given), links)


def save(ctx: Context, sobject: SObject, old: Row, row: Row, given: frozenset[str] = frozenset(),
         links: dict[str, list[str]] | None = None) -> None:  # fmt: skip
    """Replace a row: rules, uniqueness, system fields. Even an equal row gets a new SystemModstamp."""
    change = Change(ctx, sobject, old, row, given, links or {})
    rules = RULES.get(sobject.name, Rules())
    emptied = [f.name for f in sobject.fields.values()
               if row.get(f.name) is None and f.name in given and (f.may("!") or not f.may("N"))
               and f.type not in ("boolean", "junctionidlist")]  # fmt: skip
    if emptied:
        raise ApiError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(emptied)}]", emptied)
    rules.before(change)
    validation.check(ctx, sobject, row)
    ctx.org.check_locks(sobject.name, [row["Id"], *_references(sobject, row)])
    _unique(ctx, sobject, row, old)
    touch(ctx, sobject, row)
    ctx.org.store.put(sobject.name, row)
    rules.after(change)


def touch(ctx: Context, sobject: SObject, row: Row) -> None:
    """Set the system fields of a change."""
    now = ctx.org.stamp()
    for name, value in (("LastModifiedDate", now), ("LastModifiedById", ctx.user_id)):
        if name in sobject.fields:
            row[name] = value
    row["SystemModstamp"] = now


def _references(sobject: SObject, row: Row) -> list[str]:
    return [row[f.name] for f in sobject.links if row.get(f.name)]


def _unique(ctx: Context, sobject: SObject, row: Row, old: Row | None = None) -> None:
    for f in sobject.unique:
        value = row.get(f.name)
        if value is None or (old is not None and old.get(f.name) == value):
            continue
        other = next((r for r in ctx.org.live(sobject.name, f.name, [value]) if r["Id"] != row.get("Id")), None)
        if other is not None:
            raise ApiError("DUPLICATE_VALUE", f"duplicate value found: {f.name} duplicates value on record with id: "
                           f"{other['Id'][:15]}", [])  # fmt: skip


def _operation(sobject: SObject, mark: str, word: str) -> None:
    if mark not in sobject.operations:
        raise ApiError("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY" if mark != "D" else "DELETE_OPERATION_NOT_ALLOWED",
                       f"entity type {sobject.name} does not support {word}", [])  # fmt: skip


def existing(ctx: Context, sobject: SObject, record_id: str) -> Row:
    """The live row of an id in either form, as a change needs it."""
    full = long_id(record_id)
    if full is None or full[:3] != sobject.prefix:
        raise wrong_id(f"{sobject.label} ID", record_id, "Id", "MALFORMED_ID")
    row = ctx.org.store.get(sobject.name, full)
    if row is not None and row.get("IsDeleted"):
        raise ApiError("ENTITY_IS_DELETED", "entity is deleted", [], 404)
    if row is None or not ctx.org.appeared(row):
        raise ApiError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [], 404)
    if not ctx.org.readable(ctx, sobject.name, row):
        raise ApiError("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "insufficient access rights on "
                       "cross-reference id", [], 403)  # fmt: skip
    return row


def readable(ctx: Context, sobject: SObject, record_id: str) -> Row:
    """The live row of an id, as a read needs it: 404 whatever the reason that it cannot be seen."""
    full = long_id(record_id)
    if full is None:
        raise not_found(f"Provided external ID field does not exist or is not accessible: {record_id}")
    row = ctx.org.store.get(sobject.name, full)
    if row is None or row.get("IsDeleted") or not ctx.org.appeared(row) \
            or not ctx.org.readable(ctx, sobject.name, row):  # fmt: skip
        raise not_found()
    return row


# ---- delete and undelete ------------------------------------------------------------------------


def delete(ctx: Context, sobject: SObject, record_id: str) -> None:
    """Move a row and what belongs to it to the recycle bin."""
    _operation(sobject, "D", "delete")
    row = existing(ctx, sobject, record_id)
    if not ctx.org.deletable(ctx, sobject.name, row):
        raise no_access()
    with ctx.org.store.transaction():
        ctx.org.check_locks(sobject.name, [row["Id"], *_references(sobject, row)])
        remove(ctx, sobject, row, row["Id"])


def remove(ctx: Context, sobject: SObject, row: Row, root: str) -> None:
    """Mark the row deleted together with its children; `root` is the record that the user deleted."""
    rules = RULES.get(sobject.name, Rules())
    rules.before_delete(ctx, row)
    if "IsDeleted" in sobject.fields:
        gone = {**row, "IsDeleted": True, "_root": root}
        touch(ctx, sobject, gone)
        ctx.org.store.put(sobject.name, gone)
    else:
        ctx.org.store.drop(sobject.name, row["Id"])
    cascade, unlink = _belonging(ctx, sobject, rules)
    for name, field_name in cascade:
        for child in list(ctx.org.live(name, field_name, [row["Id"]])):
            remove(ctx, ctx.org.full_schema.objects[name], child, root)
    for name, field_name in unlink:
        for child in list(ctx.org.live(name, field_name, [row["Id"]])):
            changed = {**child, field_name: None}
            touch(ctx, ctx.org.full_schema.objects[name], changed)
            ctx.org.store.put(name, changed)


ABOUT = (("Task", "WhatId"), ("Event", "WhatId"))
Links = tuple[tuple[str, str], ...]


def _belonging(ctx: Context, sobject: SObject, rules: Rules) -> tuple[Links, Links]:
    """(what goes with the record, references that become empty): its rules, and what custom look-ups add."""
    own = tuple((name, f.name) for name, f in ctx.org.full_schema.referring[sobject.name] if f.custom)
    if not sobject.custom:
        return rules.cascade, (*rules.unlink, *own)
    return ABOUT, (("EmailMessage", "RelatedToId"), *own)


def undelete(ctx: Context, sobject: SObject, record_id: str) -> None:
    """Bring a row and what was deleted with it back; UNDELETE_FAILED if it is not in the bin."""
    row = ctx.org.store.get(sobject.name, long_id(record_id) or "")
    if row is None or not row.get("IsDeleted") or not ctx.org.in_bin(row):
        raise ApiError("UNDELETE_FAILED", "entity is not in the recycle bin", [])
    with ctx.org.store.transaction():
        for name, kind in ctx.org.full_schema.objects.items():
            for child in [r for r in ctx.org.store.table(name).values() if r.get("_root") == row["Id"]]:
                back = {k: v for k, v in child.items() if k != "_root"} | {"IsDeleted": False}
                touch(ctx, kind, back)
                ctx.org.store.put(name, back)
