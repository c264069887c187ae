"""What a client sent, as stored values: names, flags, types, references (`providers.md` SF-2 to SF-4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox.salesforce.errors import ApiError, wrong_id
from sandbox.salesforce.org import Context
from sandbox.salesforce.schema import Field, SObject
from sandbox.salesforce.store import Row
from sandbox.salesforce.values import convert


def resolve(ctx: Context, sobject: SObject, data: dict[str, Any]) -> dict[Field, Any]:
    """Field -> value as sent; a parent may be named by an external id. INVALID_FIELD for an unknown name."""
    out: dict[Field, Any] = {}
    for key, value in data.items():
        if key == "attributes":
            continue
        found = sobject.find(key)
        parent = sobject.parents.get(key.lower())
        if found is None and parent is not None and isinstance(value, dict):
            found, value = parent, _parent_by_key(ctx, parent, value)
        if found is None:
            raise ApiError("INVALID_FIELD", f"No such column '{key}' on sobject of type {sobject.name}")
        if found.name == "Id":
            raise ApiError("INVALID_FIELD", "The Id field should not be specified in the sobject data.")
        out[found] = value
    return out


def _parent_by_key(ctx: Context, parent: Field, value: dict[str, Any]) -> str:
    keys = [key for key in value if key != "attributes"]
    kind = ctx.org.schema.find((value.get("attributes") or {}).get("type") or parent.targets[0])
    look_up = kind.find(keys[0]) if kind and len(keys) == 1 else None
    if kind is None or look_up is None or not (look_up.may("I") or look_up.may("X") or look_up.name == "Id"):
        raise ApiError("INVALID_FIELD", f"Foreign key external ID: {', '.join(keys)} not found for field "
                       f"{parent.name} in entity {parent.targets[0]}")  # fmt: skip
    rows = list(ctx.org.live(kind.name, look_up.name, [value[keys[0]]]))
    if len(rows) != 1:
        raise ApiError("INVALID_FIELD", f"Foreign key external ID: {value[keys[0]]} not found for field "
                       f"{look_up.name} in entity {kind.name}")  # fmt: skip
    return str(rows[0]["Id"])


def permit(given: Iterable[Field], mark: str) -> None:
    """INVALID_FIELD_FOR_INSERT_UPDATE unless every field has the mark."""
    refused = [f.name for f in given if not f.may(mark)]
    if refused:
        raise ApiError("INVALID_FIELD_FOR_INSERT_UPDATE",
                       f"Unable to create/update fields: {', '.join(refused)}. Please check the security settings of "
                       "this field and verify that it is read/write for your profile or permission set.",
                       refused)  # fmt: skip


def apply(ctx: Context, given: dict[Field, Any], row: Row, links: dict[str, list[str]]) -> None:
    """Put the values into `row` and `links` in their stored form; ApiError for what does not fit or is not there."""
    for f, value in given.items():
        converted = convert(f, value, ctx.org.schema)
        if f.type == "junctionidlist":
            links[f.name] = converted or []
            _exist(ctx, f, links[f.name])
        else:
            if f.type == "reference" and converted:
                _exist(ctx, f, [converted])
                if f.name == "OwnerId":
                    _may_own(ctx, f, converted)
            row[f.name] = converted


def _exist(ctx: Context, f: Field, ids: Iterable[str]) -> None:
    for record_id in ids:
        found = ctx.org.find(record_id)
        if found is None:
            name = ctx.org.object_of(record_id)
            row = ctx.org.store.get(name, record_id) if name else None
            if row is not None and row.get("IsDeleted"):
                raise ApiError("ENTITY_IS_DELETED", "entity is deleted", [])
        if found is None or not ctx.org.readable(ctx, *found):
            raise ApiError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [])


def _may_own(ctx: Context, f: Field, owner_id: str) -> None:
    """Active users and queues own records, other groups do not."""
    name, row = ctx.org.find(owner_id) or ("", {})
    if name == "User" and not row.get("IsActive"):
        raise ApiError("INACTIVE_OWNER_OR_USER", f"operation performed with inactive user [{owner_id[:15]}] as owner",
                       [])  # fmt: skip
    if name == "Group" and row.get("Type") != "Queue":
        raise wrong_id(f.label, owner_id, f.name)
