"""Mails as bytes, for the tests of reading them."""

from __future__ import annotations

from sync.core.mime import parse
from sync.model import Parsed

HEAD = (
    b"From: Jane Doe <jane@acme.example>\r\nTo: sam@ours.example\r\nSubject: Widgets\r\n"
    b"Message-ID: <a@acme.example>\r\n"
)


def raw_mail(body: bytes, *headers: bytes) -> Parsed:
    return parse(HEAD + b"".join(line + b"\r\n" for line in headers) + b"\r\n" + body)


def multipart(kind: str, *parts: bytes, boundary: str = "b1") -> bytes:
    """A part of its own: Content-Type header, blank line, body."""
    mark = f"--{boundary}".encode()
    body = b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n'.encode() + body


def part(content_type: str, body: bytes, *headers: str) -> bytes:
    return "\r\n".join([f"Content-Type: {content_type}", *headers, "", ""]).encode() + body


PLAIN = part("text/plain; charset=utf-8", b"Hello")
HTML = part("text/html; charset=utf-8", b"<p>Hello</p>")
PDF = part("application/pdf", b"%PDF", 'Content-Disposition: attachment; filename="offer.pdf"')
PIXEL = part("image/png", b"png", "Content-ID: <logo@x>", 'Content-Disposition: inline; filename="logo.png"')
