"""Splitting multipart bodies of requests (batch, upload), byte for byte."""

from __future__ import annotations

import re
from email.message import Message

from sandbox.google.errors import bad_request

Part = tuple[dict[str, str], bytes]  # headers by lower-case name, content


def boundary(content_type: str) -> str:
    """The boundary parameter; GoogleError when the header has none."""
    message = Message()
    message["Content-Type"] = content_type
    found = message.get_boundary()
    if not content_type.lower().startswith("multipart/") or not found:
        raise bad_request("Failed to parse multipart request: no boundary.")
    return found


def read_head(data: bytes) -> Part:
    """Headers and the rest after the first empty line."""
    match = re.search(rb"\r?\n\r?\n", data) if not re.match(rb"\r?\n", data) else re.match(rb"\r?\n", data)
    head, rest = (data[: match.start()], data[match.end() :]) if match else (data, b"")
    headers: dict[str, str] = {}
    for line in re.split(r"\r?\n(?![ \t])", head.decode("utf-8", "replace")):
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = re.sub(r"\r?\n[ \t]+", " ", value).strip()
    return headers, rest


def split(body: bytes, content_type: str) -> list[Part]:
    """All parts in order; GoogleError when the body has no such boundary."""
    mark = re.escape(b"--" + boundary(content_type).encode())
    pieces = re.split(rb"(?:\A|\r?\n)" + mark + rb"(--)?[ \t]*(?=\r?\n|\Z)", body)
    if len(pieces) < 4:
        raise bad_request("Failed to parse multipart request: the boundary does not occur.")
    parts: list[Part] = []
    for closing, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        if closing:
            break
        parts.append(read_head(re.sub(rb"\A\r?\n", b"", piece, count=1)))
    return parts
