"""EmailMessage, its relations and its automatic Task (`providers.md` 5.3, SF-16, SF-17)."""

from __future__ import annotations

import re
from html import unescape

from sandbox.salesforce import changes
from sandbox.salesforce.changes import Change, Rules
from sandbox.salesforce.errors import ApiError, field_error, no_access
from sandbox.salesforce.org import Context
from sandbox.salesforce.reading import RELATION_TYPES
from sandbox.salesforce.store import Row

NEW, READ, SENT, DRAFT = "0", "1", "3", "5"
BREAKS = re.compile(r"<\s*(?:br|/p|/div|/tr|/li|/h\d)[^>]*>", re.I)
HIDDEN = re.compile(r"<(script|style|head)\b.*?</\1\s*>", re.I | re.S)
TAG = re.compile(r"<[^>]+>")
TASK_TEXT = 32_000
ADDRESS_FIELDS = {"ToIds": "ToAddress", "CcIds": "CcAddress", "BccIds": "BccAddress"}
PEOPLE = ("Contact", "Lead")


def text_of(html: str) -> str:
    """The text of an HTML body."""
    text = TAG.sub("", BREAKS.sub("\n", HIDDEN.sub("", html)))
    return re.sub(r"\n\s*\n+", "\n\n", unescape(text)).strip()


def before_email(change: Change) -> None:
    """Which values an e-mail may have, and what may change once it is no draft."""
    row = change.row
    if change.old is None:
        _check_new(change)
        row["MessageDate"] = row.get("MessageDate") or change.ctx.org.stamp()
    else:
        _check_update(change, change.old)
    if row.get("ParentId"):
        if row.get("RelatedToId") not in (None, row["ParentId"]):
            raise field_error("RelatedToId: must be the same as ParentId", "RelatedToId")
        row["RelatedToId"] = row["ParentId"]
    if row.get("TextBody") is None and row.get("HtmlBody"):
        row["TextBody"] = text_of(row["HtmlBody"])
    row["Name"] = (row.get("Subject") or "")[:255] or None
    if "ContentDocumentIds" in change.links and not (row.get("IsClientManaged") or row["Status"] == DRAFT):
        raise no_access()


def _check_new(change: Change) -> None:
    row = change.row
    case = row.get("ParentId")
    strict = change.ctx.org.frame.settings["salesforce_email_status"]
    if not case and strict and row["Status"] != SENT:
        raise field_error("Status: for emails not sent as part of a case, only the status 3 (Sent) is valid", "Status")
    if not case and row.get("ActivityId"):
        raise ApiError("INSUFFICIENT_ACCESS_OR_READONLY", "ActivityId can only be specified for emails on cases",
                       ["ActivityId"])  # fmt: skip


def _check_update(change: Change, old: Row) -> None:
    row = change.row
    if old["Status"] == DRAFT:
        return
    free = {"IsExternallyVisible"} | {name for name in change.given if name.endswith("__c")}
    if old.get("IsClientManaged"):
        free |= {"RelatedToId", "ContentDocumentIds"}
    if old["Status"] == NEW and row["Status"] == READ:
        free.add("Status")
    changed = {n for n in change.given if n in change.links or old.get(n) != row.get(n)}
    if changed - free:
        raise no_access()


def after_email(change: Change) -> None:
    """Relations of the id lists, files, then the Task; an update replaces the Task (SF-16)."""
    ctx, row = change.ctx, change.row
    for name, kind in RELATION_TYPES.items():
        if name in change.links:
            _relate(ctx, row, kind, change.links[name])
            _addresses(ctx, row["Id"], ADDRESS_FIELDS[name], change.links[name])
    if change.old is None and row.get("FromId"):
        _relate(ctx, row, "FromAddress", [row["FromId"]], row.get("FromAddress"))
    if "ContentDocumentIds" in change.links:
        _link_files(ctx, row, change.links["ContentDocumentIds"])
    row = ctx.org.store.get("EmailMessage", row["Id"]) or row
    if change.old is None:
        if _wants_task(ctx, row):
            _make_task(ctx, row)
    elif row.get("_task") and ctx.org.frame.settings["salesforce_replace_task"]:
        _replace_task(ctx, row)


def _relate(ctx: Context, row: Row, kind: str, ids: list[str], address: str | None = None) -> None:
    relation = ctx.org.full_schema.objects["EmailMessageRelation"]
    for old in list(ctx.org.live("EmailMessageRelation", "EmailMessageId", [row["Id"]])):
        if old["RelationType"] == kind and old.get("RelationId"):
            changes.remove(ctx, relation, old, old["Id"])
    for record_id in ids:
        changes.insert(ctx, relation, {"EmailMessageId": row["Id"], "RelationId": record_id, "RelationType": kind,
                                       "RelationAddress": address or _email(ctx, record_id), "_own": True})  # fmt: skip


def _addresses(ctx: Context, email_id: str, field: str, ids: list[str]) -> None:
    """Read back, the address fields name the people of the id lists too."""
    row = ctx.org.store.get("EmailMessage", email_id)
    addresses = [a for a in (_email(ctx, i) for i in ids) if a]
    if row is not None and addresses:
        own = [a.strip() for a in (row.get(field) or "").split(";") if a.strip()]
        ctx.org.store.put("EmailMessage", {**row, field: "; ".join(dict.fromkeys([*addresses, *own]))})


def _email(ctx: Context, record_id: str) -> str | None:
    found = ctx.org.find(record_id)
    return found[1].get("Email") if found else None


def _link_files(ctx: Context, row: Row, ids: list[str]) -> None:
    link = ctx.org.full_schema.objects["ContentDocumentLink"]
    old = {r["ContentDocumentId"]: r for r in ctx.org.live("ContentDocumentLink", "LinkedEntityId", [row["Id"]])}
    for document, record in old.items():
        if document not in ids:
            changes.remove(ctx, link, record, record["Id"])
    for document in ids:
        if document not in old:
            changes.insert(ctx, link, {"ContentDocumentId": document, "LinkedEntityId": row["Id"], "ShareType": "V",
                                       "Visibility": "AllUsers"})  # fmt: skip


# ---- the automatic Task ------------------------------------------------------------------------


def _wants_task(ctx: Context, row: Row) -> bool:
    if row["Status"] == DRAFT or row.get("ActivityId"):
        return False
    return bool(row.get("IsClientManaged")) or not (row.get("ParentId") and row.get("Incoming"))


def _people(ctx: Context, row: Row) -> list[str]:
    """Contacts and leads of the e-mail: the sender of a received one first, else the recipients."""
    order = {"FromAddress": 0 if row.get("Incoming") else 9, "ToAddress": 1, "CcAddress": 2, "BccAddress": 3}
    rows = ctx.org.live("EmailMessageRelation", "EmailMessageId", [row["Id"]])
    found = sorted((order.get(r["RelationType"], 5), n, r["RelationId"]) for n, r in enumerate(rows)
                   if r.get("RelationId") and ctx.org.object_of(r["RelationId"]) in PEOPLE)  # fmt: skip
    return list(dict.fromkeys(i for _, _, i in found))


def _whos(ctx: Context, row: Row) -> list[str]:
    """Whom the Task names: contacts; one lead only where there is no contact and nothing else it is about."""
    people = _people(ctx, row)
    contacts = [i for i in people if ctx.org.object_of(i) == "Contact"]
    if contacts or row.get("RelatedToId"):
        return contacts[:50] if ctx.org.shared_activities else contacts[:1]
    return people[:1]


def _make_task(ctx: Context, row: Row) -> None:
    task = ctx.org.full_schema.objects["Task"]
    ids = _whos(ctx, row)
    head = "".join(f"{label}: {row[name]}\n" for label, name in
                   (("To", "ToAddress"), ("CC", "CcAddress"), ("BCC", "BccAddress"), ("Subject", "Subject"))
                   if row.get(name))  # fmt: skip
    values: Row = {
        "Subject": f"Email: {row.get('Subject') or ''}"[:255], "Status": "Completed", "Priority": "Normal",
        "TaskSubtype": "Email", "Type": "Email", "ActivityDate": str(row["MessageDate"])[:10],
        "Description": f"{head}Body:\n{row.get('TextBody') or ''}"[:TASK_TEXT], "OwnerId": row["CreatedById"],
        "WhatId": row.get("RelatedToId"), "WhoId": ids[0] if ids else None,
    }  # fmt: skip
    task_id = changes.insert(ctx, task, values, frozenset(values), {"TaskWhoIds": ids})
    ctx.org.store.put("EmailMessage", {**row, "ActivityId": task_id, "_task": True})


def _replace_task(ctx: Context, row: Row) -> None:
    task = ctx.org.full_schema.objects["Task"]
    old = ctx.org.store.get("Task", row.get("ActivityId") or "")
    if old is not None and not old["IsDeleted"]:
        changes.remove(ctx, task, old, old["Id"])
    _make_task(ctx, row)


# ---- relations ---------------------------------------------------------------------------------


def before_relation(change: Change) -> None:
    """The kind of record is told; only its delivery response and record may change."""
    row, org = change.row, change.ctx.org
    own = row.pop("_own", False)
    email = (org.find(row["EmailMessageId"]) or ("", {}))[1]
    if change.old is not None and not own and email.get("Status") != DRAFT:
        raise no_access()
    if not row.get("RelationId") and not row.get("RelationAddress"):
        raise ApiError("REQUIRED_FIELD_MISSING", "Required fields are missing: [RelationId]", ["RelationId"])
    row["RelationObjectType"] = org.object_of(row["RelationId"]) if row.get("RelationId") else None
    if row.get("RelationId") and not row.get("RelationAddress"):
        row["RelationAddress"] = _email(change.ctx, row["RelationId"])
    row["_client"] = not own


def after_relation(change: Change) -> None:
    """A relation that a client adds reaches the automatic Task."""
    ctx = change.ctx
    if not change.row.get("_client"):
        return
    email = ctx.org.store.get("EmailMessage", change.row["EmailMessageId"]) or {}
    old = ctx.org.store.get("Task", email.get("ActivityId") or "") if email.get("_task") else None
    if old is None or old["IsDeleted"]:
        return
    ids = _whos(ctx, email)
    row = {**old, "WhoId": ids[0] if ids else None}
    task = ctx.org.full_schema.objects["Task"]
    changes.save(ctx, task, old, row, frozenset({"WhoId"}), {"TaskWhoIds": ids})


def delete_email(ctx: Context, row: Row) -> None:
    """The automatic Task goes with its e-mail."""
    task = ctx.org.store.get("Task", row.get("ActivityId") or "") if row.get("_task") else None
    if task is not None and not task["IsDeleted"]:
        changes.remove(ctx, ctx.org.full_schema.objects["Task"], task, row["Id"])


changes.RULES |= {
    "EmailMessage": Rules(before=before_email, after=after_email, before_delete=delete_email,
                          cascade=(("EmailMessageRelation", "EmailMessageId"),
                                   ("ContentDocumentLink", "LinkedEntityId"))),
    "EmailMessageRelation": Rules(before=before_relation, after=after_relation),
}  # fmt: skip
