"""The properties of a message: from what was written into it, else from its MIME."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from sandbox.microsoft.graph.items import Item
from sandbox.microsoft.graph.values import show_date
from sandbox.microsoft.mail.mime import PREVIEW, File, Mail, html_to_text, text_to_html

Json = dict[str, Any]
Reader = Callable[[Item], Any]

EMPTY_BODY = {"contentType": "text", "content": ""}


def _first(people: list[Json]) -> Json | None:
    return people[0] if people else None


def _sender(mail: Mail) -> Json | None:
    return _first(mail.people("Sender")) or _first(mail.people("From"))


def _importance(mail: Mail) -> str:
    text = f"{mail.header('Importance')} {mail.header('X-Priority')[:1]}".lower()
    return "high" if "high" in text or " 1" in text else "low" if "low" in text or " 5" in text else "normal"


FROM_MAIL: dict[str, Callable[[Mail], Any]] = {
    "subject": lambda m: m.subject,
    "internetMessageId": lambda m: m.message_id,
    "from": lambda m: _first(m.people("From")),
    "sender": _sender,
    "toRecipients": lambda m: m.people("To"),
    "ccRecipients": lambda m: m.people("Cc"),
    "bccRecipients": lambda m: m.people("Bcc"),
    "replyTo": lambda m: m.people("Reply-To"),
    "importance": _importance,
    "body": lambda m: m.body,
    "isDeliveryReceiptRequested": lambda m: bool(m.header("Return-Receipt-To")),
    "isReadReceiptRequested": lambda m: bool(m.header("Disposition-Notification-To")),
}
EMPTY: Json = {
    "subject": "",
    "internetMessageId": None,
    "from": None,
    "sender": None,
    "toRecipients": [],
    "ccRecipients": [],
    "bccRecipients": [],
    "replyTo": [],
    "importance": "normal",
    "body": EMPTY_BODY,
    "isDeliveryReceiptRequested": False,
    "isReadReceiptRequested": False,
}


def files(item: Item) -> tuple[File, ...]:
    """The attachments."""
    if "files" in item.fields:
        return tuple(item.fields["files"])
    return item.mail.files if item.mail is not None else ()


def plain_text(item: Item) -> str:
    """The body as text."""
    if "body" not in item.fields and item.mail is not None:
        return item.mail.text
    body = value(item, "body")
    return html_to_text(body["content"]) if body["contentType"] == "html" else str(body["content"])


def body(item: Item, wanted: str = "") -> Json:
    """The body, native or as `wanted`: "text" or "html" (`Prefer: outlook.body-content-type`)."""
    found: Json = value(item, "body")
    if wanted in ("", found["contentType"]):
        return found
    if wanted == "text":
        return {"contentType": "text", "content": plain_text(item).replace("\r\n", "\n").replace("\n", "\r\n")}
    return {"contentType": "html", "content": text_to_html(found["content"])}


OWN: dict[str, Reader] = {
    "id": lambda i: i.mutable,
    "changeKey": lambda i: i.change_key,
    "createdDateTime": lambda i: i.created,
    "lastModifiedDateTime": lambda i: i.modified,
    "receivedDateTime": lambda i: i.received,
    "sentDateTime": lambda i: i.sent,
    "categories": lambda i: list(i.categories),
    "isRead": lambda i: i.is_read,
    "isDraft": lambda i: i.is_draft,
    "flag": lambda i: i.flag,
    "parentFolderId": lambda i: i.folder.id,
    "conversationId": lambda i: i.conversation,
    "conversationIndex": lambda i: base64.b64encode(i.index).decode(),
    "hasAttachments": lambda i: any(not f.inline for f in files(i)),
    "bodyPreview": lambda i: " ".join(plain_text(i).split())[:PREVIEW],
    "inferenceClassification": lambda i: i.fields.get("inferenceClassification", "focused"),
    "webLink": lambda i: f"https://outlook.office365.com/owa/?ItemID={i.mutable}&exvsurl=1&viewmodel=ReadMessageItem",
    "uniqueBody": lambda i: value(i, "body"),
    "internetMessageHeaders": lambda i: i.fields.get("internetMessageHeaders", []),
}
DATES = {"createdDateTime", "lastModifiedDateTime", "receivedDateTime", "sentDateTime"}


def value(item: Item, name: str) -> Any:
    """One property; dates are seconds since the epoch. KeyError for a property that is no plain one."""
    own = OWN.get(name)
    if own is not None:
        return own(item)
    if name in item.fields:
        return item.fields[name]
    return FROM_MAIL[name](item.mail) if item.mail is not None else EMPTY[name]


def shown(item: Item, name: str) -> Any:
    """Like `value`, as JSON has it."""
    found = value(item, name)
    return show_date(found) if name in DATES else found
