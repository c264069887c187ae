"""E-mails as Gmail sees them: parsed once, lazily, and never failing whatever the bytes are."""

from __future__ import annotations

import base64
import email
import html
import re
from collections import OrderedDict
from datetime import UTC, datetime
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import getaddresses, parsedate_to_datetime
from functools import cached_property
from threading import Lock

PREFIX = re.compile(r"^\s*((re|fwd?|aw|wg|sv|vs|antw|tr|rif|res|enc|odp)\s*(\[\d+\])?\s*:\s*)+", re.IGNORECASE)
MESSAGE_ID = re.compile(r"<[^<>\s]+>")
TAG = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>", re.DOTALL | re.IGNORECASE)
SNIPPET = 200


def b64url(data: bytes) -> str:
    """base64url with padding."""
    return base64.urlsafe_b64encode(data).decode("ascii")


def unb64url(text: str) -> bytes:
    """Of either alphabet, with or without padding; ValueError for anything else."""
    plain = re.sub(r"\s", "", text).rstrip("=").replace("+", "-").replace("/", "_")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True)


def decoded(value: object) -> str:
    """A header's text: unfolded, encoded words decoded, undecodable bytes replaced."""
    text = re.sub(r"\r?\n[ \t]*", " ", str(value)).replace("\r", " ").replace("\n", " ").strip()
    try:
        raw = text.encode("ascii", "surrogateescape")
        text = raw.decode("utf-8", "replace")
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode("utf-8")
    if "=?" not in text:
        return text
    try:
        pieces = decode_header(text)
    except (ValueError, LookupError):
        return text
    return "".join(_piece(data, charset) for data, charset in pieces)


def _piece(data: str | bytes, charset: str | None) -> str:
    if isinstance(data, str):
        return data
    try:
        return data.decode(charset or "utf-8", "replace")
    except LookupError:
        return data.decode("latin-1")


def text_of(part: Message) -> str:
    """The text of a leaf part by its charset; undecodable bytes are replaced."""
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    charset = part.get_content_charset() or "utf-8"
    try:
        return data.decode(charset, "replace")
    except (LookupError, ValueError):
        return data.decode("utf-8", "replace")


class Mail:
    """One e-mail's bytes and what can be read from them. Immutable; shared between mailboxes."""

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
        """With its angle brackets, "" without one."""
        value = re.sub(r"\s", "", str(self.head.get("Message-ID", "")))
        found = MESSAGE_ID.search(value)
        return found[0] if found else value

    @cached_property
    def references(self) -> frozenset[str]:
        """Message-IDs of References and In-Reply-To."""
        text = " ".join(str(value) for name in ("References", "In-Reply-To") for value in self.head.get_all(name, []))
        return frozenset(MESSAGE_ID.findall(text))

    @cached_property
    def subject(self) -> str:
        """Decoded."""
        return self.header("Subject")

    @cached_property
    def plain_subject(self) -> str:
        """For threading: without reply prefixes, case and repeated blanks."""
        return " ".join(PREFIX.sub("", self.subject).split()).casefold()

    @cached_property
    def date(self) -> datetime | None:
        """Of the Date header, aware; None when it says nothing sensible."""
        try:
            found = parsedate_to_datetime(str(self.head.get("Date", "")))
            found = found if found.tzinfo else found.replace(tzinfo=UTC)
            return found if found.timestamp() >= 0 else None
        except (ValueError, TypeError, OverflowError, IndexError):
            return None

    def people(self, *names: str) -> list[tuple[str, str]]:
        """(display name, address) of the named headers."""
        values = [decoded_list(value) for name in names for value in self.values(name)]
        return [(decoded(n), a) for n, a in getaddresses(values) if a]

    @cached_property
    def snippet(self) -> str:
        """The beginning of the text as Gmail shows it: one line, HTML-escaped."""
        text = " ".join(self.text.split())[:SNIPPET].rstrip()
        return html.escape(text).replace("&#x27;", "&#39;")

    @cached_property
    def text(self) -> str:
        """The readable text: the plain part, else the HTML part without tags."""
        found: dict[str, str] = {}
        for part in self.whole.walk():
            kind = part.get_content_type()
            if kind in ("text/plain", "text/html") and not part.is_multipart() and not part.get_filename():
                found.setdefault(kind, text_of(part))
        plain = found.get("text/plain", "")
        return plain if plain.strip() else html.unescape(TAG.sub(" ", found.get("text/html", "")))

    @cached_property
    def files(self) -> list[str]:
        """Names of the attached files."""
        return [decoded(name) for part in self.whole.walk() if (name := part.get_filename())]

    @cached_property
    def haystack(self) -> str:
        """What a plain search word is looked for in."""
        heads = " ".join(self.header(name) for name in ("From", "To", "Cc", "Subject"))
        return f"{heads} {self.text} {' '.join(self.files)}".casefold()


def decoded_list(value: object) -> str:
    """An address header ready for `getaddresses`: unfolded, still encoded, never with stray surrogates."""
    text = re.sub(r"\r?\n[ \t]*", " ", str(value))
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class Mails:
    """Parsed mails by their bytes, so that seeding again and delivery to many cost no parsing."""

    def __init__(self, size: int = 4000) -> None:
        self._size = size
        self._lock = Lock()
        self._known: OrderedDict[bytes, Mail] = OrderedDict()

    def get(self, raw: bytes) -> Mail:
        """The mail of these bytes."""
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


def crlf(raw: bytes) -> bytes:
    """Line ends as on the wire."""
    return re.sub(rb"\r?\n", b"\r\n", raw)


def without_header(raw: bytes, name: str) -> bytes:
    """The mail without a header, continuation lines included."""
    head, gap, body = _split(raw)
    kept = re.sub(rb"(?im)^" + re.escape(name.encode()) + rb"[ \t]*:.*(?:\r?\n[ \t].*)*(?:\r?\n|\Z)", b"", head)
    return kept + gap + body


def with_headers(raw: bytes, headers: dict[str, str]) -> bytes:
    """The mail with more headers in front."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return lines.encode("utf-8") + raw


def _split(raw: bytes) -> tuple[bytes, bytes, bytes]:
    match = re.search(rb"(?<=\n)\r?\n", raw)
    return (raw[: match.start()], match[0], raw[match.end() :]) if match else (raw, b"", b"")
