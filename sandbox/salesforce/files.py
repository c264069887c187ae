"""Files: a ContentVersion makes its ContentDocument and the links to it (`providers.md` 5.3)."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath

from sandbox.salesforce import changes
from sandbox.salesforce.changes import Change, Rules
from sandbox.salesforce.emails import DRAFT
from sandbox.salesforce.errors import ApiError, no_access
from sandbox.salesforce.org import Context
from sandbox.salesforce.store import Row

MAX_BYTES = 37 * 1024 * 1024  # as base64 inside JSON, providers.md 5.3
TYPES = {"jpg": "JPG", "jpeg": "JPG", "png": "PNG", "gif": "GIF", "pdf": "PDF", "txt": "TEXT", "csv": "CSV",
         "docx": "WORD_X", "xlsx": "EXCEL_X", "pptx": "POWER_POINT_X", "doc": "WORD", "xls": "EXCEL", "zip": "ZIP",
         "html": "HTML", "htm": "HTML", "eml": "UNKNOWN", "ics": "UNKNOWN"}  # fmt: skip


def before_version(change: Change) -> None:
    """Size, kind, checksum; the document of a first version."""
    row = change.row
    if change.old is not None:
        return
    data = row["VersionData"]
    if len(data) > MAX_BYTES:
        raise ApiError("REQUEST_ENTITY_TOO_LARGE", f"VersionData: at most {MAX_BYTES} bytes", ["VersionData"], 413)
    name = PurePosixPath(str(row["PathOnClient"]).replace("\\", "/")).name
    extension = name.rsplit(".", 1)[1].lower() if "." in name else ""
    row |= {"Title": row.get("Title") or (name.rsplit(".", 1)[0] if extension else name), "ContentSize": len(data),
            "FileExtension": extension or None, "FileType": TYPES.get(extension, "UNKNOWN"), "IsLatest": True,
            "Checksum": hashlib.md5(data, usedforsecurity=False).hexdigest(), "IsMajorVersion": True,
            "ContentModifiedDate": change.ctx.org.stamp(), "ContentModifiedById": change.ctx.user_id}  # fmt: skip
    place = row.get("FirstPublishLocationId")
    if place:
        check_target(change.ctx, place)
    if row.get("ContentDocumentId"):
        if place:
            raise ApiError("FIELD_INTEGRITY_EXCEPTION", "FirstPublishLocationId cannot be set for a further version",
                           ["FirstPublishLocationId"])  # fmt: skip
        versions = list(change.ctx.org.live("ContentVersion", "ContentDocumentId", [row["ContentDocumentId"]]))
        row["VersionNumber"] = str(len(versions) + 1)
        for old in versions:
            change.ctx.org.store.put("ContentVersion", {**old, "IsLatest": False})
    else:
        row["VersionNumber"] = "1"


def after_version(change: Change) -> None:
    """The document and its links: to the owner, and to where the file was published first."""
    ctx, row, org = change.ctx, change.row, change.ctx.org
    if change.old is not None:
        return
    shared = {"Title": row["Title"], "FileExtension": row.get("FileExtension"), "FileType": row["FileType"],
              "ContentSize": row["ContentSize"], "OwnerId": row["OwnerId"], "LatestPublishedVersionId": row["Id"],
              "ContentModifiedDate": row["ContentModifiedDate"], "Description": row.get("Description")}  # fmt: skip
    if row.get("ContentDocumentId"):
        document = org.store.get("ContentDocument", row["ContentDocumentId"])
        if document is not None:
            changed = {**document, **shared}
            changes.touch(ctx, org.full_schema.objects["ContentDocument"], changed)
            org.store.put("ContentDocument", changed)
        return
    document_id = changes.insert(ctx, org.full_schema.objects["ContentDocument"], dict(shared))
    org.store.put("ContentVersion", {**row, "ContentDocumentId": document_id})
    place = row.get("FirstPublishLocationId")
    _link(ctx, document_id, row["OwnerId"], "I")
    if place and place != row["OwnerId"]:
        _link(ctx, document_id, place, "V")


def _link(ctx: Context, document_id: str, target: str, share: str) -> None:
    link = ctx.org.full_schema.objects["ContentDocumentLink"]
    changes.insert(ctx, link, {"ContentDocumentId": document_id, "LinkedEntityId": target, "ShareType": share,
                               "Visibility": "AllUsers"})  # fmt: skip


def check_target(ctx: Context, record_id: str) -> None:
    """A sent e-mail takes files only if it is client-managed."""
    found = ctx.org.find(record_id)
    if found and found[0] == "EmailMessage" and found[1]["Status"] != DRAFT and not found[1].get("IsClientManaged"):
        raise no_access()


def before_link(change: Change) -> None:
    """A file is linked to a record once."""
    row, org = change.row, change.ctx.org
    row["ShareType"] = row.get("ShareType") or "V"
    if change.old is not None:
        return
    check_target(change.ctx, row["LinkedEntityId"])
    for other in org.live("ContentDocumentLink", "ContentDocumentId", [row["ContentDocumentId"]]):
        if other["LinkedEntityId"] == row["LinkedEntityId"]:
            raise ApiError("DUPLICATE_VALUE", "duplicate value found: <unknown> duplicates value on record with id: "
                           f"{other['Id'][:15]}", [])  # fmt: skip


def after_link(change: Change) -> None:
    """An e-mail with a file has an attachment."""
    email = change.ctx.org.store.get("EmailMessage", change.row["LinkedEntityId"])
    if email is not None and not email.get("HasAttachment"):
        change.ctx.org.store.put("EmailMessage", {**email, "HasAttachment": True})


def before_attachment(change: Change) -> None:
    """The old kind of attachment: its length."""
    row: Row = change.row
    row["BodyLength"] = len(row.get("Body") or b"")


changes.RULES |= {
    "ContentVersion": Rules(before=before_version, after=after_version),
    "ContentDocument": Rules(cascade=(("ContentVersion", "ContentDocumentId"),
                                      ("ContentDocumentLink", "ContentDocumentId"))),
    "ContentDocumentLink": Rules(before=before_link, after=after_link),
    "Attachment": Rules(before=before_attachment),
}  # fmt: skip
