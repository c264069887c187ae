"""Bytes of RFC 5322 messages, laid out the same on every Python version.

The standard library's generator changes its folding between releases, so a mail that has to be equal byte for byte is
put together here: ordered raw headers, a body, CRLF line ends.
"""

from __future__ import annotations

import base64
import hashlib
import quopri
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

Headers = Sequence[tuple[str, str]]
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ZONES = {
    "United Kingdom": (0, True),
    "Ireland": (0, True),
    "Portugal": (0, True),
    "Finland": (2, True),
    "Greece": (2, True),
    "Bulgaria": (2, True),
    "Japan": (9, False),
    "United Arab Emirates": (4, False),
    "United States": (-5, True),
    "Canada": (-6, False),
    "Chile": (-3, False),
    "Taiwan": (8, False),
}
_WINTER = datetime(2026, 10, 25, 1, tzinfo=UTC)
_SPECIALS = re.compile(r'[()<>\[\]:;@\\,."]')


@dataclass(frozen=True, slots=True)
class Part:
    """One MIME entity: its own headers in order, and its encoded body."""

    headers: tuple[tuple[str, str], ...]
    body: bytes


def digest(*words: object) -> str:
    """A stable hexadecimal name for `words`: the only source of variety in the seed."""
    return hashlib.sha256("\x1f".join(map(str, words)).encode()).hexdigest()


def pick(options: Sequence[str], *words: object) -> str:
    """One of `options`, always the same for the same words."""
    return options[int(digest(*words)[:8], 16) % len(options)]


def date(when: datetime) -> str:
    """An RFC 5322 date; names of days and months are English whatever the locale."""
    zone = when.strftime("%z")
    return f"{_DAYS[when.weekday()]}, {when.day} {_MONTHS[when.month - 1]} {when.year} {when:%H:%M:%S} {zone}"


def at(text: str, hours: float = 1) -> datetime:
    """`2026-11-02 09:14` in a zone `hours` east of UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=timezone(timedelta(hours=hours)))


def local(when: datetime, country: str) -> datetime:
    """The same moment on the clocks of `country`; in 2026 summer time ends on 25 October in Europe."""
    hours, summer = _ZONES.get(country, (1, True))
    return when.astimezone(timezone(timedelta(hours=hours + (summer and when < _WINTER))))


def encoded(text: str, charset: str = "utf-8") -> str:
    """`text` as RFC 2047 words, each of at most 75 characters and complete in itself."""
    if text.isascii():
        return text
    room, words, chunk = 75 - len(charset) - 7, [], ""
    for letter in text:
        if chunk and len(base64.b64encode((chunk + letter).encode(charset))) > room:
            words.append(chunk)
            chunk = ""
        chunk += letter
    return "\r\n ".join(f"=?{charset}?B?{base64.b64encode(w.encode(charset)).decode()}?=" for w in (*words, chunk))


def folded(text: str) -> str:
    """An ASCII header value in lines of at most 76 characters; other text as it is."""
    return "\r\n ".join(textwrap.wrap(text, 70)) if text.isascii() and len(text) > 70 else text


def q_encoded(text: str, charset: str = "iso-8859-1") -> str:
    """`text` as one quoted-printable RFC 2047 word (RFC 2047 4.2)."""
    safe = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!*+-/"
    octets = "".join("_" if b == 32 else chr(b) if b in safe else f"={b:02X}" for b in text.encode(charset))
    return f"=?{charset}?Q?{octets}?="


def mailbox(name: str, address: str, charset: str = "utf-8") -> str:
    """A mailbox as it stands in a header: quoted or encoded where the name needs it."""
    if not name:
        return address
    if not name.isascii():
        return f"{encoded(name, charset)} <{address}>"
    if _SPECIALS.search(name):
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}" <{address}>'
    return f"{name} <{address}>"


def addresses(people: Iterable[tuple[str, str]], charset: str = "utf-8") -> str:
    """An address list, one mailbox a line."""
    return ",\r\n ".join(mailbox(name, address, charset) for name, address in people)


def text(content: str, subtype: str = "plain", charset: str = "utf-8", flowed: bool = False) -> Part:
    """A text entity: 7bit when it is ASCII in short lines, else quoted-printable (base64 for ISO-2022-JP)."""
    kind = f"text/{subtype}; charset={charset}" + ("; format=flowed" if flowed else "")
    data = content.replace("\n", "\r\n").encode(charset)
    if charset == "iso-2022-jp":
        return Part((("Content-Type", kind), ("Content-Transfer-Encoding", "7bit")), data)
    if content.isascii() and max(map(len, content.split("\n"))) < 900:
        return Part((("Content-Type", kind), ("Content-Transfer-Encoding", "7bit")), data)
    body = quopri.encodestring(content.encode(charset)).replace(b"\n", b"\r\n")
    return Part((("Content-Type", kind), ("Content-Transfer-Encoding", "quoted-printable")), body)


def file(name: str, kind: str, data: bytes, cid: str = "") -> Part:
    """An attachment, or with `cid` an inline image; base64 in lines of 76."""
    label = name if name.isascii() else encoded(name)
    headers = [
        ("Content-Type", f'{kind};\r\n name="{label}"'),
        ("Content-Disposition", f'{"inline" if cid else "attachment"};\r\n filename="{label}"'),
        ("Content-Transfer-Encoding", "base64"),
    ]
    if cid:
        headers.append(("Content-ID", f"<{cid}>"))
    return Part(tuple(headers), base64.encodebytes(data).replace(b"\n", b"\r\n"))


def multipart(subtype: str, parts: Sequence[Part], seed: str, parameters: str = "", closed: bool = True) -> Part:
    """Several entities in one; `seed` names the boundary, `closed=False` leaves the last delimiter out."""
    boundary = "----=_Part_" + digest(subtype, seed)[:20]
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + whole(p.headers, p.body) + b"\r\n" for p in parts)
    if closed:
        body += b"--" + boundary.encode() + b"--\r\n"
    return Part((("Content-Type", f'multipart/{subtype};\r\n boundary="{boundary}"{parameters}'),), body)


def whole(headers: Headers, body: bytes) -> bytes:
    """Headers, the empty line, the body. Header values go out in UTF-8 (RFC 6532) when they are not ASCII."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return head.encode() + b"\r\n" + body


def render(headers: Headers, part: Part) -> bytes:
    """A complete message."""
    return whole((*headers, ("MIME-Version", "1.0"), *part.headers), part.body)
