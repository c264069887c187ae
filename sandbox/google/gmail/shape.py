"""Messages as the Gmail API shows them: formats, payload parts, attachments (`providers.md 1.6`)."""

from __future__ import annotations

import base64
import json
from email.message import Message
from typing import TYPE_CHECKING, Any

from sandbox.google.gmail.mime import b64url, decoded, text_of

if TYPE_CHECKING:
    from sandbox.google.gmail.mailbox import Stored

Json = dict[str, Any]


def message(stored: Stored, form: str, wanted: list[str] | None = None, nonce: str = "") -> Json:
    """The resource in a format: minimal, full, raw or metadata (with only the `wanted` headers)."""
    out: Json = brief(stored)
    if stored.mail.snippet:
        out["snippet"] = stored.mail.snippet
    out |= {
        "sizeEstimate": len(stored.mail.raw),
        "historyId": str(stored.history_id),
        "internalDate": str(stored.internal_date),
    }
    if form == "raw":
        out["raw"] = b64url(stored.mail.raw)
    elif form == "metadata":
        head = stored.mail.head
        out["payload"] = {"mimeType": head.get_content_type(), "headers": headers(head, wanted)}
    elif form == "full":
        out["payload"] = part(stored.mail.whole, "", stored.id, nonce)
    return out


def brief(stored: Stored) -> Json:
    """Ids and labels."""
    out: Json = {"id": stored.id, "threadId": stored.thread_id}
    if stored.labels:
        out["labelIds"] = sorted(stored.labels)
    return out


def headers(source: Message, wanted: list[str] | None = None) -> list[Json]:
    """Headers in order, decoded; with `wanted`, only those, whatever their case."""
    names = {name.lower() for name in wanted} if wanted else None
    return [
        {"name": name, "value": decoded(value)}
        for name, value in source.raw_items()
        if names is None or name.lower() in names
    ]


def part(source: Message, number: str, message_id: str, nonce: str) -> Json:
    """A MessagePart with its children, numbered "", "0", "0.1" as Gmail does."""
    name = decoded(source.get_filename() or "")
    out: Json = {"partId": number, "mimeType": source.get_content_type(), "filename": name, "headers": headers(source)}
    below = f"{number}." if number else ""
    children = source.get_payload() if source.is_multipart() else []
    out["body"] = {"size": 0}
    if source.get_content_type() == "message/rfc822" and number:
        data = content(source)
        out["body"] = {"attachmentId": attachment_id(message_id, number, nonce), "size": len(data)}
    elif not source.is_multipart():
        data = content(source)
        out["body"] = {"size": len(data)}
        if name or source.get_content_maintype() != "text":
            out["body"]["attachmentId"] = attachment_id(message_id, number, nonce)
        elif data:
            out["body"]["data"] = b64url(data)
    if isinstance(children, list) and children:
        out["parts"] = [part(child, f"{below}{n}", message_id, nonce) for n, child in enumerate(children)]
    return out


def content(source: Message) -> bytes:
    """A part's bytes: text in UTF-8 whatever its charset, files as they are."""
    if source.is_multipart():
        children = source.get_payload()
        first = children[0] if isinstance(children, list) and children else None
        return first.as_bytes() if isinstance(first, Message) else b""
    if source.get_content_maintype() == "text" and not source.get_filename():
        return text_of(source).encode("utf-8", "replace")
    payload = source.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def attachment_id(message_id: str, number: str, nonce: str) -> str:
    """Opaque and different at every look, as Gmail's are; older ones stay good."""
    return "ANGjdJ" + b64url(json.dumps([nonce, message_id, number]).encode()).rstrip("=")


def attachment(stored: Stored, ident: str) -> Json:
    """MessagePartBody of an attachment id; LookupError when it names no part of the message."""
    plain = ident.removeprefix("ANGjdJ")
    try:
        _, message_id, number = json.loads(base64.urlsafe_b64decode(plain + "=" * (-len(plain) % 4)))
    except ValueError:
        raise LookupError("no attachment id") from None
    if message_id != stored.id or not ident.startswith("ANGjdJ"):
        raise LookupError("an attachment id of another message")
    source = stored.mail.whole
    for step in [int(n) for n in number.split(".") if n]:
        children = source.get_payload()
        child = children[step] if isinstance(children, list) and step < len(children) else None
        if not isinstance(child, Message):
            raise LookupError("no such part")
        source = child
    data = content(source)
    return {"size": len(data), "data": b64url(data)}
