"""MIME as Exchange gives it back: not the bytes that came, but a message written anew from what was understood.

What is known of it (experience, switchable by ``graph_reencode``): headers are folded anew and encoded as UTF-8,
Received and X-MS headers are added, bodies are encoded to base64 or quoted-printable, a mail with HTML alone gets a
plain part, parts get new boundaries. Signed and encrypted messages stay as they are.
"""

from __future__ import annotations

import base64
import quopri
import re
from email.header import Header
from email.message import Message
from email.utils import formatdate
from typing import Any
from zlib import crc32

from sandbox.microsoft.mail.mime import File, Mail, decoded

Json = dict[str, Any]
OWN = {"content-type", "content-transfer-encoding", "mime-version", "content-disposition", "content-id", "received"}
ADDRESSES = {"from", "to", "cc", "bcc", "sender", "reply-to"}
VERBATIM = {
    "message-id",
    "references",
    "in-reply-to",
    "date",
    "dkim-signature",
    "authentication-results",
    "thread-index",
}
SERVER = "AM9PR05MB1234.eurprd05.prod.outlook.example"
OPAQUE = ("multipart/signed", "application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/report")


def encoded_text(text: str) -> str:
    return text if text.isascii() else Header(text, "utf-8", maxlinelen=60).encode(linesep="\r\n")


def _folded(name: str, value: str, width: int = 76) -> bytes:
    """Folded at blanks; a word longer than a line stays whole."""
    out, line = [], f"{name}:"
    for word in value.replace("\r\n ", " ").split(" "):
        if len(line) + len(word) + 1 > width and line.strip() and line != f"{name}:":
            out.append(line)
            line = ""
        line += f" {word}"
    text = "\r\n".join([*out, line])
    return text.encode("utf-8", "replace") + b"\r\n"


def address_text(entry: Json) -> str:
    name, address = entry["emailAddress"]["name"], entry["emailAddress"]["address"]
    if name == address or not name:
        return str(address)
    shown = (
        encoded_text(name)
        if not name.isascii()
        else f'"{name}"'
        if re.search(r"[^\w !#$%&'*+/=?^`{|}~-]", name)
        else name
    )
    return f"{shown} <{address}>"


def _received(moment: float) -> list[tuple[str, str]]:
    stamp = formatdate(moment, localtime=False)
    return [
        (
            "Received",
            f"from {SERVER} (2603:10a6:20b:1::1) by AM0PR05MB4321.eurprd05.prod.outlook.example with HTTPS; {stamp}",
        ),
        ("Received", f"from mail.example (192.0.2.25) by {SERVER} (10.152.16.92) with Microsoft SMTP Server; {stamp}"),
    ]


def _exchange_headers(mail: Mail) -> list[tuple[str, str]]:
    return [
        ("X-MS-Exchange-Organization-AuthSource", SERVER),
        ("X-MS-Exchange-Organization-AuthAs", "Anonymous"),
        ("X-MS-Exchange-Organization-SCL", "1"),
        ("X-MS-PublicTrafficType", "Email"),
        ("X-MS-Has-Attach", "yes" if mail.files else ""),
    ]


def _headers(mail: Mail, received: float) -> list[tuple[str, str]]:
    """Names and values (encoded), Exchange's own before the author's."""
    out = _received(received)
    seen: set[str] = set()
    for name, value in mail.head.raw_items():
        low = name.lower()
        if low in OWN or (low in ADDRESSES and low in seen):
            if low == "received":
                out.append((name, decoded(value)))
            continue
        seen.add(low)
        if low in ADDRESSES:
            people = mail.people(name)
            out.append((name, ", ".join(address_text(p) for p in people) if people else encoded_text(decoded(value))))
        elif low in VERBATIM:
            out.append((name, re.sub(r"\s*\r?\n\s*", " ", str(value)).strip()))
        else:
            out.append((name, encoded_text(decoded(value))))
    if "message-id" not in seen:
        out.append(("Message-ID", mail.message_id))
    if "date" not in seen:
        out.append(("Date", formatdate(received, localtime=False)))
    return out + _exchange_headers(mail)


def headers_of(mail: Mail, received: float) -> list[Json]:
    """internetMessageHeaders: decoded, in order."""
    shown = [(name, decoded(value)) for name, value in _headers(mail, received)]
    kind = decoded(mail.head.get("Content-Type", "text/plain"))
    return [{"name": n, "value": v} for n, v in [*shown, ("Content-Type", kind), ("MIME-Version", "1.0")]]


def _text_part(kind: str, text: str) -> bytes:
    data = text.replace("\r\n", "\n").replace("\n", "\r\n").encode("utf-8", "replace")
    plain = data.decode("utf-8").isascii()
    head = f'Content-Type: text/{kind}; charset="{"us-ascii" if plain else "utf-8"}"\r\n'.encode()
    if plain or sum(byte > 126 for byte in data) * 6 < len(data):
        body = quopri.encodestring(data.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
        return head + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + body
    return head + b"Content-Transfer-Encoding: base64\r\n\r\n" + _base64(data)


def _base64(data: bytes) -> bytes:
    text = base64.b64encode(data)
    return b"".join(text[at : at + 76] + b"\r\n" for at in range(0, len(text), 76))


def _file_part(file: File) -> bytes:
    name = encoded_text(file.name).replace('"', "'")
    if file.nested:
        return b"Content-Type: message/rfc822\r\nContent-Disposition: attachment\r\n\r\n" + file.content
    place = "inline" if file.inline else "attachment"
    head = (
        f'Content-Type: {file.kind}; name="{name}"\r\nContent-Description: {name}\r\n'
        f'Content-Disposition: {place}; filename="{name}"; size={len(file.content)}\r\n'
    )
    head += f"Content-ID: <{file.content_id}>\r\n" if file.content_id else ""
    return head.encode("utf-8", "replace") + b"Content-Transfer-Encoding: base64\r\n\r\n" + _base64(file.content)


def _multipart(kind: str, number: int, mark: str, parts: list[bytes]) -> bytes:
    boundary = f"_{number:03d}_{mark}AM9PR05MB1234eurp_"
    line = b"--" + boundary.encode()
    head = f'Content-Type: multipart/{kind};\r\n\tboundary="{boundary}"\r\n'.encode()
    return head + b"\r\n" + b"".join(line + b"\r\n" + part + b"\r\n" for part in parts) + line + b"--\r\n"


def assembled(bodies: dict[str, str], files: tuple[File, ...], mark: str, calendar: str = "") -> bytes:
    """The content below the headers, as Exchange nests it: mixed(related(alternative(text, html), inline), files)."""
    texts = [
        _text_part("plain" if kind == "text" else "html", bodies[kind]) for kind in ("text", "html") if kind in bodies
    ]
    if calendar:
        method = re.search(r"(?m)^METHOD:(\w+)", calendar)
        data = _base64(calendar.encode("utf-8", "replace"))
        head = f'Content-Type: text/calendar; charset="utf-8"; method={method[1] if method else "REQUEST"}\r\n'
        texts.append(head.encode() + b"Content-Transfer-Encoding: base64\r\n\r\n" + data)
    content = (
        texts[0] if len(texts) == 1 else _multipart("alternative", 0, mark, texts) if texts else _text_part("plain", "")
    )
    inline = [_file_part(f) for f in files if f.inline]
    attached = [_file_part(f) for f in files if not f.inline]
    if inline:
        content = _multipart("related", 4, mark, [content, *inline])
    return _multipart("mixed", 5, mark, [content, *attached]) if attached else content


def head_bytes(headers: list[tuple[str, str]]) -> bytes:
    """Header lines, folded."""
    return b"".join(_folded(name, value) for name, value in headers)


_known: dict[tuple[int, int, str], tuple[Mail, bytes]] = {}
MOST_KNOWN = 500


def reencoded(mail: Mail, received: float, subject: str) -> bytes:
    """The message as Exchange writes it; `subject` is the item's, which its owner may have changed."""
    key = (id(mail), int(received), subject)
    found = _known.get(key)
    if found is not None and found[0] is mail:
        return found[1]
    headers = _headers(mail, received)
    if subject != mail.subject:
        headers = [(n, encoded_text(subject) if n.lower() == "subject" else v) for n, v in headers]
    if mail.head.get_content_type() in OPAQUE:
        raw = head_bytes(headers) + _original_content(mail.head) + mail.raw.partition(b"\r\n\r\n")[2]
    else:
        bodies = dict(mail.bodies)
        if "html" in bodies and "text" not in bodies:
            bodies["text"] = mail.text
        mark = format(crc32(mail.raw), "012d")
        raw = head_bytes(headers) + b"MIME-Version: 1.0\r\n" + assembled(bodies, mail.files, mark, mail.calendar)
    if len(_known) > MOST_KNOWN:
        _known.clear()
    _known[key] = (mail, raw)
    return raw


def _original_content(head: Message) -> bytes:
    lines = [(n, v) for n, v in head.raw_items() if n.lower() in OWN - {"received"}]
    return b"".join(f"{n}: {v}\r\n".encode("utf-8", "surrogateescape") for n, v in lines) + b"\r\n"
