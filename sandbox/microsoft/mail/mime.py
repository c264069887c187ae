"""An e-mail's bytes and what Exchange reads from them: parsed once, lazily, never failing whatever the bytes are."""

from __future__ import annotations

import base64
import email
import hashlib
import html
import re
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import getaddresses, parsedate_to_datetime
from functools import cached_property
from threading import Lock
from typing import Any

Json = dict[str, Any]
MESSAGE_ID = re.compile(r"<[^<>\s]+>")
PREFIX = re.compile(r"^(\s*[^\W\d_]{1,3}:\s)+|^\s+")
HIDDEN = re.compile(r"<(script|style|head|title)\b.*?</\1\s*>|<!--.*?-->", re.DOTALL | re.IGNORECASE)
BREAK = re.compile(r"<(br|/p|/div|/tr|/li|/h\d)\b[^>]*>", re.IGNORECASE)
TAG = re.compile(r"<[^>]*>")
PREVIEW = 255


def crlf(raw: bytes) -> bytes:
    """Line ends as on the wire."""
    return re.sub(rb"\r?\n", b"\r\n", raw)


def decoded(value: object) -> str:
    """A header's text: unfolded, encoded words decoded, undecodable bytes replaced."""
    text = re.sub(r"\r?\n[ \t]*|[\r\n]", " ", str(value)).strip()
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if "=?" not in text:
        return text
    try:
        return "".join(_piece(data, charset) for data, charset in decode_header(text))
    except (ValueError, LookupError):
        return text


def _piece(data: str | bytes, charset: str | None) -> str:
    if isinstance(data, str):
        return data
    try:
        return data.decode(charset or "utf-8", "replace")
    except LookupError:
        return data.decode("latin-1")


def payload(part: Message) -> bytes:
    """The bytes of a leaf part, its transfer encoding undone as far as it goes."""
    found = part.get_payload(decode=True)
    return found if isinstance(found, bytes) else b""


def text_of(part: Message) -> str:
    """The text of a leaf part by its charset; undecodable bytes are replaced."""
    data, charset = payload(part), part.get_content_charset() or "utf-8"
    try:
        return data.decode(charset, "replace")
    except (LookupError, ValueError):
        return data.decode("utf-8", "replace")


def html_to_text(source: str) -> str:
    """As Exchange makes a plain body of an HTML one, roughly."""
    text = BREAK.sub("\n", HIDDEN.sub(" ", source))
    lines = (" ".join(html.unescape(TAG.sub("", line)).split()) for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def text_to_html(source: str) -> str:
    """As Exchange makes an HTML body of a plain one."""
    inner = html.escape(source, quote=False).replace("\r\n", "\n").replace("\n", "<br>\r\n")
    return (
        '<html><head>\r\n<meta http-equiv="Content-Type" content="text/html; charset=utf-8"></head><body>\r\n'
        f'<div class="PlainText">{inner}</div>\r\n</body></html>\r\n'
    )


def normal_subject(subject: str) -> str:
    """The conversation's topic: without prefixes of one to three letters (`providers.md 2.4`)."""
    return PREFIX.sub("", subject).strip()


@dataclass(frozen=True, slots=True)
class File:
    """An attachment. `nested` tells an attached message, whose content is its MIME."""

    name: str
    kind: str
    content: bytes
    inline: bool
    content_id: str
    nested: bool = False


class Mail:
    """One e-mail. Immutable; shared between mailboxes."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    @cached_property
    def head(self) -> Message:
        """The headers alone, which is all that most questions need."""
        return BytesHeaderParser().parsebytes(self.raw)

    @cached_property
    def whole(self) -> Message:
        """The parsed MIME tree; one piece where the nesting has no end."""
        try:
            return email.message_from_bytes(self.raw)
        except RecursionError:
            return self.head

    def values(self, name: str) -> list[str]:
        """All values of a header as they stand; the bytes of one that is not encoded are surrogates."""
        return [str(value) for key, value in self.head.raw_items() if key.lower() == name.lower()]

    def header(self, name: str) -> str:
        """First value of a header as text, "" without one."""
        found = self.values(name)
        return decoded(found[0]) if found else ""

    @cached_property
    def message_id(self) -> str:
        """With its angle brackets; what transport gives a mail that has none is the same for every recipient."""
        value = re.sub(r"\s", "", str(self.head.get("Message-ID", "")))
        found = MESSAGE_ID.search(value)
        if found or value:
            return found[0] if found else value
        return f"<{hashlib.sha256(self.raw).hexdigest()[:32]}@AM9PR05MB1234.eurprd05.prod.outlook.example>"

    @cached_property
    def references(self) -> tuple[str, ...]:
        """Message-IDs of In-Reply-To, then of References from the last."""
        last = MESSAGE_ID.findall(" ".join(str(v) for v in self.head.get_all("In-Reply-To", [])))
        rest = MESSAGE_ID.findall(" ".join(str(v) for v in self.head.get_all("References", [])))
        return tuple(dict.fromkeys([*last, *reversed(rest)]))

    @cached_property
    def subject(self) -> str:
        """Decoded."""
        return self.header("Subject")

    @cached_property
    def thread_index(self) -> bytes:
        """Of Outlook's Thread-Index header; empty when there is none or it makes no sense."""
        try:
            found = base64.b64decode(re.sub(r"\s", "", str(self.head.get("Thread-Index", ""))), validate=True)
        except ValueError:
            return b""
        return found if len(found) >= 22 and (len(found) - 22) % 5 == 0 else b""

    @cached_property
    def date(self) -> float | None:
        """Of the Date header, seconds since the epoch; None when it says nothing sensible."""
        try:
            found = parsedate_to_datetime(str(self.head.get("Date", "")))
            moment = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
            return moment if 0 <= moment < datetime(9000, 1, 1, tzinfo=UTC).timestamp() else None
        except (ValueError, TypeError, OverflowError, IndexError):
            return None

    def people(self, name: str) -> list[Json]:
        """Recipients of a header as Graph shows them."""
        values = [re.sub(r"\r?\n[ \t]*", " ", v) for v in self.values(name)]
        clean = [v.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for v in values]
        found = [(decoded(n), a) for n, a in getaddresses(clean) if a]
        return [{"emailAddress": {"name": shown or address, "address": address}} for shown, address in found]

    # ---- bodies and files ------------------------------------------------------------------------

    @cached_property
    def _leaves(self) -> list[Message]:
        """Leaf parts and attached messages, in order; what is inside an attached message is not ours."""
        out: list[Message] = []

        def walk(part: Message) -> None:
            children = part.get_payload() if part.is_multipart() else None
            if isinstance(children, list) and part.get_content_type() != "message/rfc822":
                for child in children:
                    if isinstance(child, Message):
                        walk(child)
            else:
                out.append(part)

        walk(self.whole)
        return out

    def _is_body(self, part: Message) -> bool:
        return part.get_content_type() in ("text/plain", "text/html") and not (
            part.get_filename() or part.get_content_disposition() == "attachment"
        )

    @cached_property
    def bodies(self) -> dict[str, str]:
        """Text by "text" and "html", as far as the mail has them; the first of each kind."""
        found: dict[str, str] = {}
        for part in self._leaves:
            if self._is_body(part):
                found.setdefault(part.get_content_subtype().replace("plain", "text"), text_of(part))
        return found

    @cached_property
    def body(self) -> Json:
        """The native body: HTML when there is any."""
        kind = "html" if "html" in self.bodies else "text"
        return {"contentType": kind, "content": self.bodies.get(kind, "").replace("\r\n", "\n").replace("\n", "\r\n")}

    @cached_property
    def text(self) -> str:
        """Readable text."""
        return self.bodies.get("text") or html_to_text(self.bodies.get("html", ""))

    @cached_property
    def files(self) -> tuple[File, ...]:
        """The attachments, in order."""
        bodies: set[str] = set()
        out = []
        for number, part in enumerate(self._leaves):
            kind = part.get_content_type()
            if self._is_body(part) and kind not in bodies:
                bodies.add(kind)
            elif kind != "text/calendar" or part.get_filename():
                out.append(_file(part, kind, number))
        return tuple(out)

    @cached_property
    def calendar(self) -> str:
        """The iCalendar part of a meeting request, answer or cancellation; "" without one."""
        for part in self._leaves:
            if part.get_content_type() == "text/calendar" and part.get_content_disposition() != "attachment":
                text = text_of(part)
                if re.search(r"(?m)^METHOD:", text):
                    return text
        return ""


def _file(part: Message, kind: str, number: int) -> File:
    if kind == "message/rfc822":
        inner = part.get_payload()
        first = inner[0] if isinstance(inner, list) and inner else None
        raw = crlf(first.as_bytes()) if isinstance(first, Message) else b""
        name = decoded(part.get_filename() or "") or (Mail(raw).subject or "Untitled")
        return File(name, "message/rfc822", raw, False, "", nested=True)
    ident = str(part.get("Content-ID", "")).strip().strip("<>")
    name = decoded(part.get_filename() or "")
    inline = part.get_content_disposition() == "inline" or (bool(ident) and part.get_content_maintype() == "image")
    content = payload(part)
    if kind.startswith("text/") and not name:
        name = f"ATT{number:05d}." + {"text/html": "htm", "text/calendar": "ics"}.get(kind, "txt")
    elif not name:
        name = f"ATT{number:05d}.{kind.partition('/')[2].partition('+')[0][:8] or 'dat'}"
    return File(name, kind, content, inline and bool(ident), ident)


class Mails:
    """Parsed mails by their bytes, so that seeding again and delivery to many cost no parsing."""

    def __init__(self, size: int = 4000) -> None:
        self._size = size
        self._lock = Lock()
        self._known: OrderedDict[bytes, Mail] = OrderedDict()

    def get(self, raw: bytes) -> Mail:
        """The mail of these bytes, with CRLF line ends."""
        raw = crlf(raw)
        with self._lock:
            mail = self._known.get(raw)
            if mail is None:
                mail = self._known[raw] = Mail(raw)
                if len(self._known) > self._size:
                    self._known.popitem(last=False)
            else:
                self._known.move_to_end(raw)
            return mail


MAILS = Mails()
