"""What a person does in Outlook (`providers.md SIM-7`).

Every action takes ``user`` (an address). A message is named by ``message`` (either of its ids) or
``message_id`` (its Message-ID; with ``folder``: the one in that folder), a folder by its path of names, a well-known
name or its id.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sandbox.microsoft.acting import action
from sandbox.microsoft.graph import reading
from sandbox.microsoft.graph.messages import unique
from sandbox.microsoft.graph.values import ENUMS

if TYPE_CHECKING:
    from sandbox.microsoft.graph.items import Folder, Item
    from sandbox.microsoft.graph.mailbox import Mailbox
    from sandbox.microsoft.vendor import Microsoft

Json = dict[str, Any]


def _box(microsoft: Microsoft, body: Json) -> Mailbox:
    return microsoft.directory.get(body["user"]).mailbox


def message_of(box: Mailbox, body: Json) -> Item:
    """By `message` (either id) or `message_id` (its Message-ID; with `folder`: the one in there); LookupError."""
    if "message" in body:
        found = box.items.get(body["message"])
    else:
        wanted = body["message_id"].strip("<>")
        folder = box.at_path(body["folder"]) if "folder" in body else None
        found = next(
            (
                item
                for item in box.visible_items()
                if str(reading.value(item, "internetMessageId")).strip("<>") == wanted and folder in (None, item.folder)
            ),
            None,
        )
    if found is None:
        raise LookupError(f"{box.address} has no message {body.get('message') or body.get('message_id')}")
    return found


def _told(item: Item) -> Json:
    return {
        "id": item.mutable,
        "immutableId": item.immutable,
        "conversationId": item.conversation,
        "folder": item.folder.path,
        "categories": list(item.categories),
    }


def _folder(found: Folder) -> Json:
    return {"id": found.id, "displayName": found.name, "path": found.path}


# ---- messages ------------------------------------------------------------------------------------


@action
def drop(microsoft: Microsoft, body: Json) -> Json:
    """Drag a message to the folder `to`; `copy` (Ctrl held): the original stays."""
    box = _box(microsoft, body)
    item, target = message_of(box, body), box.at_path(body["to"])
    if body.get("copy"):
        return _told(box.copy(item, target))
    if item.folder is not target:
        box.move(item, target)
    return _told(item)


@action
def set_categories(microsoft: Microsoft, body: Json) -> Json:
    """`categories` in place of the old ones; or `add` and `remove`, as the menu does."""
    box = _box(microsoft, body)
    item = message_of(box, body)
    names = body.get("categories", item.categories)
    gone = {name.casefold() for name in body.get("remove", ())}
    item.categories = [n for n in unique([*names, *body.get("add", ())]) if n.casefold() not in gone]
    box.touch(item)
    return _told(item)


@action
def deliver(microsoft: Microsoft, body: Json) -> Json:
    """A mail arrives: `raw` (text) or `raw_base64`; `date` (ISO) is when, `folder` where (Inbox).

    `categories`: it wears them on arrival. `sent`: the user has sent it from another program. `read`: not unread.
    """
    account = microsoft.directory.get(body["user"])
    raw = (
        base64.b64decode(body["raw_base64"]) if "raw_base64" in body else body["raw"].encode("utf-8", "surrogateescape")
    )
    sent = bool(body.get("sent"))
    item = microsoft.outbox.deliver(
        account,
        raw,
        folder=body.get("folder", "sentitems" if sent else "inbox"),
        received=datetime.fromisoformat(body["date"]).timestamp() if body.get("date") else None,
        categories=body.get("categories", ()),
        unread=not (sent or body.get("read")),
    )
    return _told(item)


@action
def mark_read(microsoft: Microsoft, body: Json) -> Json:
    """Read, or with `value` false unread."""
    box = _box(microsoft, body)
    item = message_of(box, body)
    item.is_read = bool(body.get("value", True))
    box.touch(item)
    return _told(item)


@action
def flag(microsoft: Microsoft, body: Json) -> Json:
    """`value`: flagged (default), complete or notFlagged."""
    box = _box(microsoft, body)
    item, value = message_of(box, body), body.get("value", "flagged")
    if value not in ENUMS["flagged"]:
        raise ValueError(f"a flag is one of {', '.join(ENUMS['flagged'])}")
    item.flag = {"flagStatus": value}
    box.touch(item)
    return _told(item)


@action
def change_subject(microsoft: Microsoft, body: Json) -> Json:
    """The user edits the `subject` of a message: another topic, so another conversation (`providers.md 2.4`)."""
    box = _box(microsoft, body)
    item = message_of(box, body)
    item.fields["subject"] = body["subject"]
    box.conversations.replace(item)
    box.touch(item)
    return _told(item)


@action
def delete_message(microsoft: Microsoft, body: Json) -> Json:
    """Into Deleted Items; `forever` (Shift held): gone."""
    box = _box(microsoft, body)
    item = message_of(box, body)
    if body.get("forever"):
        box.remove(item)
    else:
        box.move(item, box.well_known["deleteditems"])
    return _told(item)


# ---- folders and categories ----------------------------------------------------------------------------


@action
def create_folder(microsoft: Microsoft, body: Json) -> Json:
    """A folder `name` below `parent` (default: the top); `path` makes what is missing of it."""
    from sandbox.microsoft.seeding import make_folder

    box = _box(microsoft, body)
    if "path" in body:
        return _folder(make_folder(box, body["path"]))
    parent = box.at_path(body["parent"]) if body.get("parent") else box.root
    return _folder(box.create_folder(parent, body["name"], hidden=bool(body.get("hidden"))))


@action
def rename_folder(microsoft: Microsoft, body: Json) -> Json:
    """`folder` gets the `name`."""
    box = _box(microsoft, body)
    found = box.at_path(body["folder"])
    box.rename_folder(found, body["name"])
    return _folder(found)


@action
def delete_folder(microsoft: Microsoft, body: Json) -> Json:
    """As in Outlook: `folder` moves to Deleted Items; `forever`: it is gone with all that is in it."""
    box = _box(microsoft, body)
    found = box.at_path(body["folder"])
    if body.get("forever"):
        box.delete_folder(found)
        return {"deleted": found.id}
    box.bin_folder(found)
    return _folder(found) if found.id in box.folders else {"deleted": found.id}


@action
def move_folder(microsoft: Microsoft, body: Json) -> Json:
    """`folder` goes below the folder `to` (msgfolderroot: the top)."""
    box = _box(microsoft, body)
    found = box.at_path(body["folder"])
    box.move_folder(found, box.at_path(body["to"]))
    return _folder(found)


@action
def create_category(microsoft: Microsoft, body: Json) -> Json:
    """A category `name` with a `color` (preset0 to preset24, none)."""
    return dict(_box(microsoft, body).add_category(body["name"], body.get("color", "none")))


@action
def delete_category(microsoft: Microsoft, body: Json) -> Json:
    """The category `name` leaves the master list; messages keep it."""
    box = _box(microsoft, body)
    found = next((c for c in box.categories.values() if c["displayName"].casefold() == body["name"].casefold()), None)
    if found is None:
        raise LookupError(f"{box.address} has no category {body['name']!r}")
    del box.categories[found["id"]]
    return {"deleted": found["id"]}


@action
def expire_delta(microsoft: Microsoft, body: Json) -> Json:
    """Every delta link handed out so far for the mailbox is too old now (`providers.md GR-7`)."""
    box = _box(microsoft, body)
    box.epoch += 1
    return {"epoch": box.epoch}
