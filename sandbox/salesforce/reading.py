"""Values as a client sees them: stored ones, and those made while reading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.salesforce import history
from sandbox.salesforce.org import Context, Org
from sandbox.salesforce.schema import Field, SObject
from sandbox.salesforce.store import Row

Getter = Callable[[Row], Any]
ADDRESS = ("City", "Country", "GeocodeAccuracy", "Latitude", "Longitude", "PostalCode", "State", "Street")
RELATION_TYPES = {"ToIds": "ToAddress", "CcIds": "CcAddress", "BccIds": "BccAddress"}
INVITEE_STATUS = {"AcceptedEventInviteeIds": "Accepted", "DeclinedEventInviteeIds": "Declined",
                  "UndecidedEventInviteeIds": "New"}  # fmt: skip
PERSON = ("Name", "Email", "FirstName", "LastName", "Phone", "Title", "Username", "Alias", "ProfileId")


def getter(ctx: Context, sobject: SObject, field: Field) -> Getter:
    """How to read the field from a row."""
    org, name = ctx.org, field.name
    if field.type == "address":
        prefix = name.removesuffix("Address")
        return lambda row: address(row, prefix)
    if field.type == "junctionidlist":
        return lambda row: junction(org, sobject.name, row["Id"], name)
    if field.type == "base64":
        base = f"/services/data/v{ctx.version}/sobjects/{sobject.name}"
        return lambda row: f"{base}/{row['Id']}/{name}" if row.get(name) is not None else None
    if field.type == "boolean":
        return lambda row: row.get(name, False)
    if name == "LastActivityDate":
        return lambda row: history.last_activity(org, sobject.name, row)
    return lambda row: row.get(name)


def address(row: Row, prefix: str) -> dict[str, Any] | None:
    """A compound address; None when every part is empty."""
    out = {part[0].lower() + part[1:]: row.get(prefix + part) for part in ADDRESS}
    return out if any(v is not None for v in out.values()) else None


def junction(org: Org, sobject: str, record_id: str, name: str) -> list[str]:
    """The ids of a JunctionIdList, the primary one first."""
    if name in RELATION_TYPES:
        wanted = RELATION_TYPES[name]
        rows = org.live("EmailMessageRelation", "EmailMessageId", [record_id])
        return [r["RelationId"] for r in rows if r["RelationType"] == wanted and r.get("RelationId")]
    if name == "ContentDocumentIds":
        return [r["ContentDocumentId"] for r in org.live("ContentDocumentLink", "LinkedEntityId", [record_id])]
    if name == "TaskWhoIds":
        return whos(org, "Task", record_id)
    if name == "EventWhoIds":
        return whos(org, "Event", record_id)
    rows = org.live("EventRelation", "EventId", [record_id])
    return [r["RelationId"] for r in rows if r.get("IsInvitee") and r.get("Status") == INVITEE_STATUS[name]]


def whos(org: Org, sobject: str, record_id: str) -> list[str]:
    """Contacts and leads of an activity, the primary one first."""
    rows = org.live(f"{sobject}Relation", f"{sobject}Id", [record_id])
    ids = [r["RelationId"] for r in rows if not r.get("IsWhat") and (sobject == "Task" or r.get("IsParent"))]
    primary = (org.store.get(sobject, record_id) or {}).get("WhoId")
    return sorted(ids, key=lambda i: i != primary)


def name_value(sobject: SObject, row: Row, field: str) -> Any:
    """A field of Salesforce's Name object, for the record behind a polymorphic reference."""
    if field == "Type":
        return "Queue" if sobject.name == "Group" and row.get("Type") == "Queue" else sobject.name
    if field == "Name":
        return row.get(sobject.name_field)
    if field == "IsActive":
        return row.get("IsActive", False)
    return row.get(field) if field == "Id" or (field in PERSON and field in sobject.fields) else None


def attributes(ctx: Context, kind: str, sobject: str, record_id: str) -> dict[str, str]:
    """The `attributes` of a record in an answer."""
    return {"type": kind, "url": f"/services/data/v{ctx.version}/sobjects/{sobject}/{record_id}"}


def record(ctx: Context, sobject: SObject, row: Row, names: list[Field] | None = None) -> dict[str, Any]:
    """The row as GET sobjects/X/id answers it."""
    out: dict[str, Any] = {"attributes": attributes(ctx, sobject.name, sobject.name, row["Id"])}
    for field in names if names is not None else sobject.fields.values():
        out[field.name] = getter(ctx, sobject, field)(row)
    return out
