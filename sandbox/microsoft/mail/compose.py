"""MIME of a message that was made through Graph."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

from sandbox.microsoft.graph import reading
from sandbox.microsoft.graph.items import Item
from sandbox.microsoft.mail.exchange import address_text, assembled, encoded_text, head_bytes

Json = dict[str, Any]
PEOPLE = {"from": "From", "sender": "Sender", "toRecipients": "To", "ccRecipients": "Cc", "bccRecipients": "Bcc",
          "replyTo": "Reply-To"}  # fmt: skip


def compose(item: Item, *, bcc: bool = True) -> bytes:
    """The whole message."""
    headers: list[tuple[str, str]] = []
    for name, header in PEOPLE.items():
        found = reading.value(item, name)
        people = found if isinstance(found, list) else [found] if found else []
        same = name == "sender" and found == reading.value(item, "from")
        if people and not same and (bcc or name != "bccRecipients"):
            headers.append((header, ", ".join(address_text(p) for p in people)))
    headers.append(("Subject", encoded_text(str(reading.value(item, "subject")))))
    headers.append(("Date", formatdate(item.sent, localtime=False)))
    headers.append(("Message-ID", str(reading.value(item, "internetMessageId"))))
    references = item.fields.get("references", ())
    if references:
        headers.append(("In-Reply-To", references[0]))
        headers.append(("References", " ".join(reversed(references))))
    headers += [("Importance", i) for i in [reading.value(item, "importance")] if i != "normal"]
    headers += [(h["name"], encoded_text(h["value"])) for h in item.fields.get("internetMessageHeaders", [])]
    body = reading.value(item, "body")
    bodies = {body["contentType"]: body["content"]}
    if body["contentType"] == "html":
        bodies["text"] = reading.plain_text(item)
    content = assembled(bodies, reading.files(item), f"{item.serial:012d}")
    return head_bytes(headers) + b"MIME-Version: 1.0\r\n" + content
