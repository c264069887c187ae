"""Resources as JSON."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sandbox.microsoft.graph import extended, reading
from sandbox.microsoft.graph.ids import FOLDER
from sandbox.microsoft.graph.query import Query
from sandbox.microsoft.graph.types import EVENT_MESSAGE, MESSAGE
from sandbox.microsoft.graph.values import show_date
from sandbox.microsoft.mail.exchange import headers_of, reencoded
from sandbox.microsoft.mail.mime import MAILS, File

if TYPE_CHECKING:
    from sandbox.microsoft.graph.call import Call
    from sandbox.microsoft.graph.items import Folder, Item

Json = dict[str, Any]
USUAL = tuple(name for name, row in MESSAGE.items() if "o" not in row.flags)
FOLDER_USUAL = ("displayName", "parentFolderId", "childFolderCount", "unreadItemCount", "totalItemCount", "isHidden")


def item_id(call: Call, item: Item) -> str:
    """The id of the kind that the call prefers."""
    if not call.immutable:
        return item.mutable
    call.honour('IdType="ImmutableId"')
    return item.immutable


def message(call: Call, item: Item, query: Query | None = None, *, context: bool = True) -> Json:
    """A message with the selected properties, its id and etag always."""
    query = query or Query("message")
    out: Json = {}
    if context:
        out["@odata.context"] = _context(call, "messages", single=True)
    out["@odata.etag"] = item.etag
    if item.kind.odata:
        out["@odata.type"] = f"#microsoft.graph.{item.kind.odata}"
    out["id"] = item_id(call, item)
    wanted = USUAL if query.select is None else [n for n in MESSAGE if n in query.select]
    for name in wanted:
        if name in ("body", "uniqueBody"):
            out[name] = _body(call, item)
        elif name == "webLink":
            out[name] = reading.shown(item, name).replace(item.mutable, out["id"])
        elif name == "internetMessageHeaders":
            out[name] = internet_headers(call, item)
        elif name not in ("attachments", "singleValueExtendedProperties", "multiValueExtendedProperties", "extensions"):
            out[name] = reading.shown(item, name)
    if query.select is None and item.kind.odata:
        out |= {name: shown for name, shown in item.kind.members if shown is not None}
    elif query.select is not None and item.kind.odata:
        out |= {n: v for n, v in item.kind.members if n in query.select and n in EVENT_MESSAGE}
    return out | _expanded(call, item, query)


def _body(call: Call, item: Item) -> Json:
    wanted = call.prefer("outlook.body-content-type")
    if wanted in ("text", "html"):
        call.honour(f'outlook.body-content-type="{wanted}"')
        return reading.body(item, wanted)
    return reading.body(item)


def mime(call: Call, item: Item) -> bytes:
    """The message as `$value` gives it: re-encoded unless switched off."""
    from sandbox.microsoft.mail.compose import compose

    mail = item.mail if item.mail is not None else MAILS.get(compose(item))
    if item.mail is None or not call.microsoft.frame.settings["graph_reencode"]:
        return mail.raw
    return reencoded(mail, item.received, str(reading.value(item, "subject")))


def internet_headers(call: Call, item: Item) -> list[Json]:
    """All of the MIME's headers for a mail that came; those of its author for one that was made here."""
    if item.mail is None:
        return list(item.fields.get("internetMessageHeaders", []))
    return headers_of(item.mail, item.received)


def _expanded(call: Call, item: Item, query: Query) -> Json:
    out: Json = {}
    if "singleValueExtendedProperties" in query.expand:
        found = [extended.read(item, key) for key in query.expand["singleValueExtendedProperties"]]
        if any(found):
            out["singleValueExtendedProperties"] = [entry for entry in found if entry]
    if "attachments" in query.expand:
        out["attachments"] = [attachment(call, item, n, query.expand["attachments"]) for n in attachment_numbers(item)]
    return out


def attachment_numbers(item: Item) -> range:
    """Positions of the attachments."""
    return range(len(reading.files(item)))


def attachment_id(call: Call, item: Item, number: int) -> str:
    """Below the message's id; another after a move unless ids are immutable."""
    tail = base64.urlsafe_b64encode(f"{item.serial:08d}{number:04d}".encode()).decode()
    return f"{item_id(call, item)[:-1]}BEgAQA{tail}="


def find_attachment(call: Call, item: Item, ident: str) -> int | None:
    """Its position, or None."""
    for number in attachment_numbers(item):
        tail = base64.urlsafe_b64encode(f"{item.serial:08d}{number:04d}".encode()).decode()
        if ident in (f"{item.mutable[:-1]}BEgAQA{tail}=", f"{item.immutable[:-1]}BEgAQA{tail}="):
            return number
    return None


def attachment(call: Call, item: Item, number: int, query: Query | None = None) -> Json:
    """A fileAttachment with its bytes, or an itemAttachment."""
    file: File = reading.files(item)[number]
    out: Json = {
        "@odata.type": "#microsoft.graph.itemAttachment" if file.nested else "#microsoft.graph.fileAttachment",
        "@odata.mediaContentType": file.kind,
        "id": attachment_id(call, item, number),
        "lastModifiedDateTime": show_date(item.modified),
        "name": file.name,
        "contentType": None if file.nested else file.kind,
        "size": len(file.content) + 120,
        "isInline": file.inline,
    }
    if not file.nested:
        out |= {
            "contentId": file.content_id or None,
            "contentLocation": None,
            "contentBytes": base64.b64encode(file.content).decode(),
        }
    select = query.select if query is not None else None
    if select is not None:
        out = {k: v for k, v in out.items() if k.startswith("@odata") or k == "id" or k in select}
    if file.nested and query is not None and "microsoft.graph.itemattachment/item" in query.expand:
        mail = MAILS.get(file.content)
        out["item"] = {
            "@odata.type": "#microsoft.graph.message",
            "id": "",
            "subject": mail.subject,
            "body": mail.body,
            "internetMessageId": mail.message_id,
            "toRecipients": mail.people("To"),
            "ccRecipients": mail.people("Cc"),
        } | ({"from": people[0]} if (people := mail.people("From")) else {})
    return out


def folder(call: Call, found: Folder, query: Query | None = None, *, context: bool = True) -> Json:
    """A mail folder with its counts as they are now (`providers.md GR-17`)."""
    query = query or Query("mailFolder")
    shown = {name: folder_value(found, name) for name in FOLDER_USUAL if query.select is None or name in query.select}
    out: Json = {"@odata.context": _context(call, "mailFolders", single=True)} if context else {}
    out |= {"id": found.id, **shown}
    if "singleValueExtendedProperties" in query.expand:
        entries = [extended.read(found, key) for key in query.expand["singleValueExtendedProperties"]]
        if any(entries):
            out["singleValueExtendedProperties"] = [entry for entry in entries if entry]
    if "childFolders" in query.expand:
        nested: Query = query.expand["childFolders"]
        children = [c for c in found.children.values() if not c.hidden]
        if nested.matches is not None:
            children = [c for c in children if nested.matches(c)]
        out["childFolders"] = [folder(call, c, nested, context=False) for c in children]
    return out


def folder_value(found: Folder, name: str) -> Any:
    """One property of a folder."""
    if name == "id":
        return found.id
    if name == "displayName":
        return found.name
    if name == "parentFolderId":
        return found.parent.id if found.parent else f"{FOLDER}root"
    if name == "childFolderCount":
        return sum(not child.hidden for child in found.children.values())
    return {"unreadItemCount": found.unread, "totalItemCount": len(found.items), "isHidden": found.hidden}[name]


def collection(call: Call, kind: str, values: Sequence[Json], *, following: str = "", count: int | None = None) -> Json:
    """A page of a list."""
    out: Json = {"@odata.context": _context(call, kind)}
    if count is not None:
        out["@odata.count"] = count
    out["value"] = list(values)
    if following:
        out["@odata.nextLink"] = following
    return out


def _context(call: Call, kind: str, *, single: bool = False) -> str:
    base = f"{call.microsoft.frame.url('microsoft')}/v1.0/$metadata#"
    owner = f"users('{call.account.id}')/" if call.account else ""
    select = call.options.get("$select", "")
    return f"{base}{owner}{kind}{f'({select})' if select else ''}{'/$entity' if single else ''}"
