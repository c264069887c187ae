"""messages: list, read, create, change, move, copy, delete (`providers.md 2.2 2.3 2.7`)."""

from __future__ import annotations

import base64
import uuid
from typing import Any

from sandbox.microsoft.errors import GraphError, bad_request, not_found, stale
from sandbox.microsoft.graph import attachments, extended, paging, reading, shape
from sandbox.microsoft.graph.call import LIST, ONE, READ_MAIL, WRITE_MAIL, Call, Reply, operation
from sandbox.microsoft.graph.folders import destination
from sandbox.microsoft.graph.items import Folder, Item
from sandbox.microsoft.graph.mailbox import RECOVERABLE
from sandbox.microsoft.graph.query import Query, read
from sandbox.microsoft.graph.types import MESSAGE, read_body
from sandbox.microsoft.mail.kind import kind_of
from sandbox.microsoft.mail.mime import MAILS

Json = dict[str, Any]
PATHS = ("/users/*/messages/{message}", "/users/*/mailFolders/{folder}/messages/{message}")
LISTS = ("/users/*/messages", "/users/*/mailFolders/{folder}/messages")


def routes(verb: str, tail: str = "", paths: tuple[str, ...] = PATHS) -> list[str]:
    """A route for each way to name a message."""
    return [f"{verb} {path}{tail}" for path in paths]


def query_of(call: Call, allowed: set[str]) -> Query:
    """Options about messages."""
    return read(call.options, "message", allowed, reading.value)


def item_of(call: Call) -> Item:
    """The message of the path, in the folder of the path; GraphError 404."""
    item = call.box.item(call.ids["message"])
    if "folder" in call.ids and item.folder is not call.box.folder(call.ids["folder"]):
        raise not_found()
    return item


def check_etag(call: Call, item: Item) -> None:
    """412 when If-Match names an older version (`providers.md GR-11`)."""
    wanted = call.request.headers.get("if-match", "")
    if wanted and wanted != "*" and wanted != item.etag and call.microsoft.frame.settings["graph_if_match"]:
        raise stale()


# ---- reading ---------------------------------------------------------------------------------------


@operation("messages.list", *routes("GET", paths=LISTS), rights=READ_MAIL)
def list_messages(call: Call) -> Reply:
    """Of a folder, or of the whole mailbox; newest first unless sorted otherwise."""
    query = query_of(call, LIST)
    folder = call.box.folder(call.ids["folder"]) if "folder" in call.ids else None
    items = list(folder.items.values() if folder is not None else call.box.visible_items())
    if query.matches is not None:
        items = [item for item in items if query.matches(item)]
    if not query.order:
        items.sort(key=lambda item: (item.received, item.serial), reverse=True)
    query.matches, matches = None, query.matches
    found = paging.arrange(query, items, reading.value)
    query.matches = matches
    page, following = paging.cut(call, query, found)
    values = [shape.message(call, item, query, context=False) for item in page]
    count = len(found) if query.count else None
    return Reply(content=shape.collection(call, "messages", values, following=following, count=count))


@operation("messages.count", *routes("GET", "/$count", LISTS), rights=READ_MAIL)
def count_messages(call: Call) -> Reply:
    """How many match, as text."""
    query = query_of(call, {"$filter"})
    folder = call.box.folder(call.ids["folder"]) if "folder" in call.ids else None
    items = folder.items.values() if folder is not None else call.box.visible_items()
    return Reply(raw=str(sum(query.matches is None or query.matches(i) for i in items)).encode(), kind="text/plain")


@operation("messages.get", *routes("GET"), rights=READ_MAIL)
def get_message(call: Call) -> Reply:
    """One message."""
    query = query_of(call, ONE)
    return Reply(content=shape.message(call, item_of(call), query))


@operation("messages.mime", *routes("GET", "/$value"), rights=READ_MAIL)
def get_mime(call: Call) -> Reply:
    """The whole message as MIME, written anew by Exchange (`providers.md GR-18`)."""
    query_of(call, set())
    return Reply(raw=shape.mime(call, item_of(call)), kind="text/plain")


# ---- creating -----------------------------------------------------------------------------------------


def new_message_id() -> str:
    """What Exchange gives to a message that it makes."""
    return f"<AM9PR05MB{uuid.uuid4().hex[:24].upper()}@AM9PR05MB1234.eurprd05.prod.outlook.example>"


def fill(call: Call, item: Item, body: Json) -> None:
    """Write typed members into a message."""
    for name, found in body.items():
        if name == "categories":
            item.categories = unique(found)
        elif name == "isRead":
            item.is_read = found
        elif name == "flag":
            item.flag = found
        elif name == "attachments":
            item.fields["files"] = tuple(attachments.read_file(entry) for entry in found)
        elif name == "singleValueExtendedProperties":
            extended.write(item, extended.read_properties(found))
        else:
            item.fields[name] = found


def unique(names: list[str]) -> list[str]:
    """Categories without repeats, whatever their case."""
    return list({name.casefold(): name for name in reversed(names)}.values())[::-1]


def own(call: Call) -> Json:
    """The mailbox's user as sender."""
    return {"emailAddress": {"name": call.user.name, "address": call.user.email}}


def draft(call: Call, folder: Folder, body: Json) -> Item:
    """A message of a JSON body, a draft unless its extended property 0x0E07 says otherwise (`providers.md GR-8`)."""
    properties = extended.read_properties(body.get("singleValueExtendedProperties", []))
    now = call.microsoft.frame.clock.time()
    item = call.box.new_item(folder, None, now, now)
    item.is_draft = item.is_read = True
    fill(call, item, body)
    extended.creation(item, properties)
    if "isRead" in body:
        item.is_read = body["isRead"]
    item.fields.setdefault("internetMessageId", new_message_id())
    item.fields.setdefault("from", item.fields.get("sender") or own(call))
    item.fields.setdefault("sender", item.fields["from"])
    return item


def mime_of(call: Call) -> bytes:
    """Bytes of a body that is base64 of MIME (Content-Type: text/plain)."""
    try:
        raw = base64.b64decode(call.request.body, validate=True)
    except ValueError:
        raise bad_request("The MIME content is no valid base64.", "ErrorMimeContentInvalidBase64String") from None
    if b":" not in raw.partition(b"\n")[0]:
        raise bad_request("The MIME content is invalid.", "ErrorMimeContentInvalid")
    return raw


def mime_draft(call: Call, folder: Folder) -> Item:
    """A message of a MIME body: always a draft (`providers.md 2.7`)."""
    mail, now = MAILS.get(mime_of(call)), call.microsoft.frame.clock.time()
    item = call.box.new_item(folder, mail, now, mail.date or now)
    item.kind = kind_of(mail)
    item.is_draft = item.is_read = True
    return item


def is_mime(call: Call) -> bool:
    """Whether the body is MIME."""
    return call.request.headers.get("content-type", "").lower().startswith("text/plain")


@operation("messages.create", *routes("POST", paths=LISTS), rights=WRITE_MAIL)
def create_message(call: Call) -> Reply:
    """In the folder of the path, or in Drafts. The answer does not show extended properties (`GR-13`)."""
    query_of(call, set())
    folder = call.box.folder(call.ids.get("folder", "drafts"))
    item = mime_draft(call, folder) if is_mime(call) else draft(call, folder, read_body("message", call.json(), "c"))
    call.box.add(item)
    return Reply(201, shape.message(call, item))


# ---- changing ------------------------------------------------------------------------------------------


def check_change(item: Item, body: Json) -> None:
    """400 for what may be changed in a draft only (`providers.md GR-9`)."""
    for name in body:
        if not item.is_draft and "p" not in MESSAGE[name].flags:
            raise bad_request(f"The property '{name}' can be updated only if isDraft is true.",
                              "ErrorInvalidPropertySet")  # fmt: skip


@operation("messages.update", *routes("PATCH"), rights=WRITE_MAIL)
def update_message(call: Call) -> Reply:
    """Members that are given replace the old ones, arrays as a whole (`GR-10`)."""
    query_of(call, set())
    item = item_of(call)
    body = read_body("message", call.json(), "pd")
    check_etag(call, item)
    check_change(item, body)
    properties = extended.read_properties(body.pop("singleValueExtendedProperties", []))
    fill(call, item, body)
    extended.write(item, properties)
    if "subject" in body:
        call.box.conversations.replace(item)
    call.box.touch(item)
    return Reply(content=shape.message(call, item))


@operation("messages.delete", *routes("DELETE"), rights=WRITE_MAIL)
def delete_message(call: Call) -> Reply:
    """Into the recoverable items, out of everyone's sight (setting `graph_delete_to`)."""
    item = item_of(call)
    check_etag(call, item)
    target = call.microsoft.frame.settings["graph_delete_to"]
    if item.folder.well_known == RECOVERABLE or not target:
        call.box.remove(item)
    else:
        call.box.move(item, call.box.folder(target))
    return Reply(204)


@operation("messages.permanentDelete", *routes("POST", "/permanentDelete"), rights=WRITE_MAIL)
def purge_message(call: Call) -> Reply:
    """For ever."""
    call.box.remove(item_of(call))
    return Reply(204)


@operation("messages.move", *routes("POST", "/move"), rights=WRITE_MAIL)
def move_message(call: Call) -> Reply:
    """The answer has the new id; the old mutable one is gone (`providers.md GR-1`)."""
    item, target = item_of(call), destination(call)
    if target is not item.folder:
        call.box.move(item, target)
    return Reply(201, shape.message(call, item))


@operation("messages.copy", *routes("POST", "/copy"), rights=WRITE_MAIL)
def copy_message(call: Call) -> Reply:
    """A second message (`providers.md GR-2`)."""
    return Reply(201, shape.message(call, call.box.copy(item_of(call), destination(call))))


@operation("messages.deltaOfMailbox", "GET /users/*/messages/delta", rights=READ_MAIL)
def no_delta(call: Call) -> Reply:
    """Not in v1.0: delta is per folder (`providers.md GR-3`)."""
    raise GraphError(400, "ErrorInvalidRequest", "Change tracking is not supported against 'microsoft.graph.message'.")
