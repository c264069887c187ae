"""Attachments of messages."""

from __future__ import annotations

from typing import Any

from sandbox.microsoft.errors import GraphError, bad_request, not_found, unimplemented
from sandbox.microsoft.graph import paging, reading, shape
from sandbox.microsoft.graph.call import LIST, ONE, READ_MAIL, WRITE_MAIL, Call, Reply, operation
from sandbox.microsoft.graph.items import Item
from sandbox.microsoft.graph.query import Query, read
from sandbox.microsoft.graph.types import read_body
from sandbox.microsoft.mail.mime import File

Json = dict[str, Any]
BASES = ("/users/*/messages/{message}/attachments", "/users/*/mailFolders/{folder}/messages/{message}/attachments")
LARGEST = 3 * 1024 * 1024


def read_file(entry: Any) -> File:
    """Of a body; GraphError 400, 413 for one of more than 3 MB."""
    kind = str(entry.get("@odata.type", "")).lstrip("#") if isinstance(entry, dict) else ""
    if kind != "microsoft.graph.fileAttachment":
        if kind in ("microsoft.graph.itemAttachment", "microsoft.graph.referenceAttachment"):
            raise unimplemented(f"the creation of {kind}")
        raise bad_request("An attachment needs an @odata.type.", "RequestBodyRead")
    body = read_body("attachment", entry, "c")
    if not body.get("name"):
        raise bad_request("The attachment's name is missing.", "ErrorInvalidRequest")
    content = body.get("contentBytes", b"")
    if len(content) > LARGEST:
        raise GraphError(413, "ErrorMessageSizeExceeded", "The attachment is larger than 3 MB: use an upload session.")
    return File(body["name"], body.get("contentType") or "application/octet-stream", content,
                body.get("isInline", False), body.get("contentId", ""))  # fmt: skip


def _item(call: Call) -> Item:
    from sandbox.microsoft.graph.messages import item_of

    return item_of(call)


def _query(call: Call, allowed: set[str]) -> Query:
    return read(call.options, "attachment", allowed, reading.value)


def _number(call: Call, item: Item) -> int:
    found = shape.find_attachment(call, item, call.ids["attachment"])
    if found is None:
        raise not_found()
    return found


@operation("attachments.list", *(f"GET {base}" for base in BASES), rights=READ_MAIL)
def list_attachments(call: Call) -> Reply:
    """All of a message."""
    query, item = _query(call, LIST - {"$filter", "$orderby"}), _item(call)
    numbers, following = paging.cut(call, query, list(shape.attachment_numbers(item)), usual=1000)
    values = [shape.attachment(call, item, n, query) for n in numbers]
    return Reply(content=shape.collection(call, "attachments", values, following=following))


@operation("attachments.get", *(f"GET {base}/{{attachment}}" for base in BASES), rights=READ_MAIL)
def get_attachment(call: Call) -> Reply:
    """One."""
    query, item = _query(call, ONE), _item(call)
    return Reply(content=shape.attachment(call, item, _number(call, item), query))


@operation("attachments.value", *(f"GET {base}/{{attachment}}/$value" for base in BASES), rights=READ_MAIL)
def get_value(call: Call) -> Reply:
    """The bytes of a file, the MIME of an attached message."""
    item = _item(call)
    file = reading.files(item)[_number(call, item)]
    return Reply(raw=file.content, kind="text/plain" if file.nested else file.kind)


def _change(call: Call, item: Item, files: tuple[File, ...]) -> None:
    if not item.is_draft:
        raise bad_request("Attachments of a message that is no draft cannot be changed.", "ErrorInvalidRequest")
    item.fields["files"] = files
    call.box.touch(item)


@operation("attachments.create", *(f"POST {base}" for base in BASES), rights=WRITE_MAIL)
def create_attachment(call: Call) -> Reply:
    """Add a file to a draft."""
    item, file = _item(call), read_file(call.json())
    _change(call, item, (*reading.files(item), file))
    return Reply(201, shape.attachment(call, item, len(reading.files(item)) - 1))


@operation("attachments.delete", *(f"DELETE {base}/{{attachment}}" for base in BASES), rights=WRITE_MAIL)
def delete_attachment(call: Call) -> Reply:
    """Take a file off a draft. The ids of later ones change."""
    item = _item(call)
    number, files = _number(call, item), reading.files(item)
    _change(call, item, files[:number] + files[number + 1 :])
    return Reply(204)


@operation(
    "attachments.createUploadSession", *(f"POST {base}/createUploadSession" for base in BASES), rights=WRITE_MAIL
)
def upload_session(call: Call) -> Reply:
    """Not in the sandbox."""
    raise unimplemented("upload sessions")
