"""Raw bytes -> header lines and a tree of parts, in time linear in the size whatever the bytes are.

The standard library's parser costs lines x nesting and recurses once per level; a mail of nested boundaries can stop a
worker with it. Here depth and number of parts are bounded, and what lies beyond is kept as one piece.
"""

from __future__ import annotations

import binascii
import email.message
import re
from dataclasses import dataclass, field

from sync.core import charsets

MAX_DEPTH = 20
MAX_PARTS = 500
MAX_HEADER_BYTES = 1 << 20
MAX_HEADERS = 1000
MAX_VALUE = 256 << 10
MAX_PARAMETERS = 8 << 10

FAULTS = (ValueError, LookupError, TypeError, AttributeError, AssertionError, OverflowError, RecursionError)
"""What the standard library raises for odd input, apart from what it documents."""

_FIELD = re.compile(rb"^([!-9;-~]{1,200})[ \t]*:(.*)$", re.DOTALL)
_BLANK = re.compile(rb"\r?\n\r?\n|\r\r")
_LINES = re.compile(rb"\r\n|\n|\r")


@dataclass(slots=True)
class Budget:
    """What is left to do for one mail, and what was found wrong with it."""

    parts: int = MAX_PARTS
    defects: dict[str, None] = field(default_factory=dict)

    def note(self, defect: str) -> None:
        if len(self.defects) < 20:
            self.defects.setdefault(defect)


@dataclass(frozen=True, slots=True)
class Part:
    """A MIME part. `body` is as transferred; `children` are set for multiparts that were opened."""

    headers: tuple[tuple[str, str], ...]
    body: bytes
    content_type: str  # lower case, e.g. text/plain
    children: tuple[Part, ...] = ()
    parent: str = ""  # content type of the multipart around it

    def all(self, name: str) -> list[str]:
        """Values of a header, unfolded; names in lower case."""
        return [value for key, value in self.headers if key == name]

    def get(self, name: str) -> str:
        return next(iter(self.all(name)), "")

    def parameter(self, header: str, name: str) -> str:
        """A parameter of a structured header, RFC 2231 forms included; empty when absent or unreadable."""
        holder = email.message.Message()
        holder[header] = self.get(header)[:MAX_PARAMETERS]
        try:
            found = holder.get_param(name, "", header)
            if isinstance(found, tuple):
                charset, _, value = found
                return charsets.decode(value.encode("latin-1", "replace"), charset or "utf-8")[0]
            return str(found)
        except FAULTS:
            return ""

    @property
    def disposition(self) -> str:
        return self.get("content-disposition").partition(";")[0].strip().lower()

    def payload(self, budget: Budget) -> bytes:
        """The body with its transfer encoding undone, as far as it goes."""
        encoding = self.get("content-transfer-encoding").partition(";")[0].strip().strip('"').lower()
        decoder = _DECODERS.get(encoding)
        if decoder is None:
            budget.note("unknown transfer encoding")
            return self.body
        return decoder(self.body, budget)


_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))


def _base64(raw: bytes, budget: Budget) -> bytes:
    out = []
    pieces = re.split(rb"=+", raw.translate(None, _NOT_BASE64))  # padding in the middle: pieces that were joined
    for piece in pieces if len(pieces) < 1000 else [b"".join(pieces)]:
        if len(piece) % 4 == 1:
            budget.note("broken base64")
            piece = piece[:-1]
        out.append(binascii.a2b_base64(piece + b"=" * (-len(piece) % 4)))
    return b"".join(out)


def _quoted(raw: bytes, budget: Budget) -> bytes:
    return binascii.a2b_qp(raw)


def _uu(raw: bytes, budget: Budget) -> bytes:
    out = []
    for line in _LINES.split(raw):
        if line.startswith((b"begin ", b"end")) or not line.strip():
            continue
        try:
            out.append(binascii.a2b_uu(line[:62]))
        except binascii.Error:
            budget.note("broken uuencoding")
    return b"".join(out)


def _plain(raw: bytes, budget: Budget) -> bytes:
    return raw


_DECODERS = {
    **dict.fromkeys(("", "7bit", "8bit", "binary", "7-bit", "8-bit", "none", "us-ascii", "utf-8"), _plain),
    **dict.fromkeys(("base64", "base-64", "b"), _base64),
    **dict.fromkeys(("quoted-printable", "quotedprintable", "q"), _quoted),
    **dict.fromkeys(("x-uuencode", "uuencode", "x-uue", "uue"), _uu),
}


def split_headers(raw: bytes, budget: Budget, *, whole: bool = True) -> tuple[list[tuple[str, bytes]], bytes]:
    """Header fields (lower-case name, raw value unfolded) and the body.

    A part that begins with a blank line has no header; a `whole` mail always has one, so there blank lines are noise.
    A line that is no field continues the one before it if more fields follow (a badly folded header), else the body
    begins there.
    """
    if whole:
        raw = raw.lstrip(b"\r\n")
    elif raw.startswith((b"\n", b"\r")):
        return [], raw[2:] if raw.startswith(b"\r\n") else raw[1:]
    end = _BLANK.search(raw, 0, MAX_HEADER_BYTES)
    if end:
        block, body = raw[: end.start()], raw[end.end() :]
    elif len(raw) <= MAX_HEADER_BYTES:
        block, body = raw, b""
    else:
        budget.note("endless header")
        block, body = b"", raw
    lines = _LINES.split(block)
    last = max((n for n, line in enumerate(lines) if _FIELD.match(line)), default=-1)
    fields: list[tuple[str, list[bytes]]] = []
    for at, line in enumerate(lines):
        found = _FIELD.match(line)
        if found:
            fields.append((found[1].decode("ascii").lower(), [found[2]]))
        elif line[:1] in (b" ", b"\t") and fields:
            fields[-1][1].append(line.strip())
        elif at < last:
            if at > 0 or not line.startswith((b"From ", b">From ")):  # the envelope line of a mailbox file
                budget.note("stray line in the header")
                if fields:
                    fields[-1][1].append(line.strip())
        elif line.strip():
            budget.note("no blank line after the header")
            rest = b"\n".join(lines[at:])
            return _joined(fields), rest + (b"\n\n" + body if body else b"")
    return _joined(fields), body


def _joined(fields: list[tuple[str, list[bytes]]]) -> list[tuple[str, bytes]]:
    return [(name, b" ".join(pieces)[:MAX_VALUE]) for name, pieces in fields[:MAX_HEADERS]]


def split_parts(body: bytes, boundary: bytes, budget: Budget) -> list[bytes]:
    """The pieces between the boundary lines; a missing closing line loses nothing."""
    mark = b"--" + boundary
    pieces: list[bytes] = []
    start: int | None = None
    at = body.find(mark)
    while at >= 0:
        after = at + len(mark)
        stop = body.find(b"\n", after, after + 200)
        tail = body[after : stop if stop >= 0 else after + 200]
        closing = tail.startswith(b"--")
        begins_line = at == 0 or body[at - 1 : at] in (b"\n", b"\r")
        if begins_line and (closing or not tail.strip()):
            if start is not None:
                pieces.append(_chomp(body[start:at]))
            start = None if closing else (stop + 1 if stop >= 0 else after + len(tail))
            if closing or len(pieces) > MAX_PARTS:
                return pieces
        at = body.find(mark, after)
    if start is None:
        return pieces
    budget.note("closing boundary missing")
    pieces.append(body[start:])
    return pieces


def _chomp(piece: bytes) -> bytes:
    return piece[:-2] if piece.endswith(b"\r\n") else piece[:-1] if piece.endswith((b"\n", b"\r")) else piece


def _guess_boundary(body: bytes) -> bytes:
    for line in _LINES.split(body[:4096])[:40]:
        mark = line.strip()
        if mark.startswith(b"--") and mark.strip(b"-") and body.count(mark) > 1:
            return mark[2:]
    return b""


def read(raw: bytes, budget: Budget, *, default: str = "text/plain", parent: str = "", depth: int = 0) -> Part:
    """The tree of parts of a mail or of one part of it."""
    budget.parts -= 1
    fields, body = split_headers(raw, budget, whole=depth == 0)
    hint = next((value for name, value in fields if name == "content-type"), b"")
    charset = re.search(rb"charset=\"?([A-Za-z0-9_-]+)", hint, re.IGNORECASE)
    headers = tuple((name, _header_text(value, charset[1] if charset else b"", budget)) for name, value in fields)
    part = Part(headers, body, _content_type(headers, default, budget), (), parent)
    if not part.content_type.startswith("multipart/"):
        return part
    boundary = part.parameter("content-type", "boundary").rstrip().encode("utf-8", "surrogateescape")
    if not boundary or b"--" + boundary not in body:
        budget.note("boundary missing")
        boundary = _guess_boundary(body)
    if depth >= MAX_DEPTH:
        budget.note("nested too deep")
        return Part(headers, body, "application/octet-stream", (), parent)
    pieces = split_parts(body, boundary, budget) if boundary else []
    if not pieces:
        return Part(headers, body, "text/plain", (), parent)
    inner = "message/rfc822" if part.content_type == "multipart/digest" else "text/plain"
    children = []
    for piece in pieces:
        if budget.parts <= 0:
            budget.note("too many parts")
            break
        children.append(read(piece, budget, default=inner, parent=part.content_type, depth=depth + 1))
    return Part(headers, body, part.content_type, tuple(children), parent)


def _header_text(value: bytes, charset: bytes, budget: Budget) -> str:
    if value.isascii():
        return value.decode("ascii").strip()
    text, sure = charsets.guess(value)
    if not sure:
        budget.note("8-bit header without charset")
        if charset:
            text = charsets.decode(value, charset.decode("ascii"))[0]
    return text.strip()


def _content_type(headers: tuple[tuple[str, str], ...], default: str, budget: Budget) -> str:
    value = next((value for name, value in headers if name == "content-type"), None)
    if value is None:
        return default
    kind = value.partition(";")[0].strip().strip('"').lower()
    if re.fullmatch(r"[a-z0-9!#$&^_.+*-]+/[a-z0-9!#$&^_.+*-]+", kind):
        return kind
    budget.note("unreadable content type")
    if re.match(r"\s*\"?(text|multipart)\b", value, re.IGNORECASE) or "/" not in kind:
        return "text/html" if "html" in value[:60].lower() else "text/plain"
    return "application/octet-stream"
