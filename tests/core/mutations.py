"""Mails made worse: seeded changes of raw bytes, as broken senders, gateways and attackers make them.

`MUTATIONS` is the whole list: a new kind of damage is one function more.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from random import Random

Mutation = Callable[[Random, bytes], bytes]
LONGEST = 2 << 20  # bytes of a mutated mail
CHARSETS = (
    b"utf-8", b"us-ascii", b"utf-7", b"utf-16", b"utf-32-be", b"utf-16le", b"iso-2022-jp", b"gb18030", b"koi8-r", b"x",
    b"hz", b"base64", b"rot13", b"zlib", b"hex", b"idna", b"punycode", b"unicode_escape", b"\xff", b'"', b"",
)  # fmt: skip
ENCODINGS = (b"base64", b"quoted-printable", b"7bit", b"8bit", b"binary", b"x-uuencode", b"gzip", b"\x00", b"")
KINDS = (
    b"text/plain", b"text/html", b"multipart/mixed", b"multipart/alternative", b"multipart/related",
    b"multipart/digest", b"multipart/report; report-type=delivery-status", b"message/rfc822", b"message/partial",
    b"message/delivery-status", b"text/calendar; method=REQUEST", b"application/ms-tnef", b"text", b"/", b"a/b/c",
)  # fmt: skip
DATES = (
    b"Mon, 31 Feb 2026 25:61:61 +9999", b"Thu, 01 Jan 0001 00:00:00 +1400", b"Fri, 31 Dec 9999 23:59:59 -1400",
    b"99999999999999999999", b"1 Jan 70", b"now", b"", b"Tue, 1 Jul 2003 10:52:37 +020000000000000000",
)  # fmt: skip
# UTF-8 that is none, or of characters that systems refuse: halves of surrogates, overlong, non-characters, bidi, NUL
ODD_BYTES = (
    b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xc0\x80", b"\xef\xbf\xbe", b"\xef\xbf\xbf", b"\xf4\x90\x80\x80", b"\xff\xfe",
    b"\xfe\xff", b"\xe2\x80\xae", b"\xe2\x80\xa8", b"\xf0\x9f\x98\x80", b"\x00", b"\x0b", b"\x1b[2J", b"\x7f", b"\x85",
)  # fmt: skip
HEADERS = (
    b"From", b"To", b"Cc", b"Bcc", b"Reply-To", b"Sender", b"Subject", b"Date", b"Message-ID", b"References",
    b"In-Reply-To", b"Organization", b"Content-Type", b"Content-Transfer-Encoding", b"Content-Disposition",
    b"Content-ID", b"Return-Path", b"X-Failed-Recipients", b"MIME-Version",
)  # fmt: skip


def mutated(rng: Random, raw: bytes) -> bytes:
    """The mail after one to four changes."""
    for name in rng.choices(list(MUTATIONS), k=rng.choice((1, 1, 2, 3, 4))):
        raw = MUTATIONS[name](rng, raw)[:LONGEST]
    return raw


def _size(rng: Random, *sizes: int) -> int:
    """One of them, the later ones seldom: what is huge takes time."""
    return sizes[min(int(rng.expovariate(1.2)), len(sizes) - 1)]


def _place(rng: Random, raw: bytes) -> int:
    """Any; half of the time in the head, where most harm is done."""
    head = raw.find(b"\n\r\n") if b"\n\r\n" in raw else raw.find(b"\n\n")
    return rng.randint(0, head if head > 0 and rng.random() < 0.5 else len(raw))


def _parts(raw: bytes) -> tuple[list[bytes], bytes]:
    """Header fields with their continuations, and the rest from the blank line on."""
    found = re.search(rb"\r?\n\r?\n", raw)
    head, rest = (raw[: found.start()], raw[found.start() :]) if found else (raw, b"")
    return re.split(rb"\r?\n(?![ \t])", head), rest


def _put(fields: list[bytes], rest: bytes) -> bytes:
    return b"\r\n".join(fields) + rest


# --- bytes ----------------------------------------------------------------------------------------------------------


def _truncate(rng: Random, raw: bytes) -> bytes:
    return raw[: _place(rng, raw)]


def _behead(rng: Random, raw: bytes) -> bytes:
    return raw[_place(rng, raw) :]


def _flip(rng: Random, raw: bytes) -> bytes:
    out = bytearray(raw)
    for _ in range(rng.choice((1, 3, 30)) if out else 0):
        out[min(_place(rng, raw), len(out) - 1)] ^= 1 << rng.randrange(8)
    return bytes(out)


def _insert(rng: Random, raw: bytes) -> bytes:
    at = _place(rng, raw)
    return raw[:at] + rng.choice((rng.randbytes(rng.randint(1, 40)), rng.choice(ODD_BYTES))) + raw[at:]


def _delete(rng: Random, raw: bytes) -> bytes:
    at = _place(rng, raw)
    return raw[:at] + raw[at + rng.choice((1, 2, 10, 200)) :]


def _repeat(rng: Random, raw: bytes) -> bytes:
    at = _place(rng, raw)
    piece = raw[at : at + rng.choice((1, 5, 60))]
    return raw[:at] + piece * rng.choice((2, 10, 500)) + raw[at:]


def _odd(rng: Random, raw: bytes) -> bytes:
    for _ in range(rng.choice((1, 5, 40))):
        at = _place(rng, raw)
        raw = raw[:at] + rng.choice(ODD_BYTES) + raw[at:]
    return raw


def _ends(rng: Random, raw: bytes) -> bytes:
    return re.sub(rb"\r?\n", rng.choice((b"\n", b"\r", b"\r\n", b"\r\r\n", b"\n\r")), raw)


def _wide(rng: Random, raw: bytes) -> bytes:
    """The whole mail in an encoding that nobody sends."""
    return raw.decode("latin-1").encode(rng.choice(("utf-16", "utf-16-be", "utf-8-sig", "utf-7")))


# --- header lines ---------------------------------------------------------------------------------------------------


def _lines(rng: Random, raw: bytes) -> bytes:
    """Doubled, dropped, in another order, folded, or without their colon."""
    fields, rest = _parts(raw)
    at = rng.randrange(len(fields))
    how = rng.randrange(6)
    if how == 0:
        fields.insert(rng.randint(0, len(fields)), fields[at])
    elif how == 1:
        del fields[at]
    elif how == 2:
        rng.shuffle(fields)
    elif how == 3:
        fields[at] = fields[at].replace(b" ", b"\r\n ")
    elif how == 4:
        fields[at] = fields[at].replace(b":", b"", 1)
    else:
        fields *= rng.choice((2, 40))
    return _put(fields, rest)


def _value(rng: Random, raw: bytes) -> bytes:
    """A usual header with a value of another one, of noise, or none."""
    fields, rest = _parts(raw)
    other = rng.choice(fields).partition(b":")[2]
    value = rng.choice((other, rng.randbytes(rng.randint(0, 80)), b"", b" " * 200, rng.choice(ODD_BYTES) * 3))
    fields.insert(rng.randint(0, len(fields)), rng.choice(HEADERS) + b": " + value)
    return _put(fields, rest)


def _long(rng: Random, raw: bytes) -> bytes:
    fields, rest = _parts(raw)
    size = _size(rng, 998, 5_000, 70_000, 300_000)
    unit = rng.choice((b"x", b"x ", b"\xc3\xa4", b"<", b"(", b'"', b",", b"\r\n ", b"a@b.example, ", b"=?utf-8?q?"))
    fields.append(rng.choice(HEADERS) + b": " + unit * (size // len(unit)))
    return _put(fields, rest)


def _crowd(rng: Random, raw: bytes) -> bytes:
    """A very long list of addresses, good, bad and nested."""
    fields, rest = _parts(raw)
    some = (
        "p{0}@crowd{1}.example", "Person {0} <p{0}@crowd{1}.example>", '"{0}, P." <p{0}@crowd.example>', "p{0}@",
        "@{0}", "group {0}: p{0}@crowd.example;", "(c{0}", "<<p{0}@crowd.example>",
        "=?utf-8?q?P=20{0}?= <p{0}@crowd.example>", "p{0}@\u00e4{1}.example", "{0}" * 90 + "@long.example",
        "p{0}@" + "d" * 70 + ".example", "undisclosed:;",
    )  # fmt: skip
    form = [rng.choice(some) for _ in range(3)]
    people = [form[n % 3].format(n, n % 7) for n in range(_size(rng, 3, 60, 700, 3000))]
    name = rng.choice((b"To", b"Cc", b"From", b"Reply-To", b"Bcc"))
    fields.append(name + b": " + rng.choice((", ", ",\r\n ", "; ")).join(people).encode())
    return _put(fields, rest)


def _words(rng: Random, raw: bytes) -> bytes:
    """Encoded words by the thousand, in words, cut, of wrong charsets."""
    fields, rest = _parts(raw)
    content = base64.b64encode(rng.randbytes(rng.randint(0, 40)))
    word = b"=?%s?%s?%s?=" % (rng.choice(CHARSETS), rng.choice((b"b", b"B", b"q", b"Q", b"x")), content)
    for _ in range(rng.choice((0, 0, 1, 3))):
        word = b"=?utf-8?b?" + base64.b64encode(word) + b"?="
    many = rng.choice((b" ", b"", b"\r\n ")).join([word] * _size(rng, 1, 2, 50, 2000))
    name = rng.choice((b"Subject", b"From", b"To", b"Organization"))
    fields.append(name + b": " + many + rng.choice((b"", b" <word@words.example>")))
    return _put(fields, rest)


def _date(rng: Random, raw: bytes) -> bytes:
    fields, rest = _parts(raw)
    fields = [field for field in fields if not field.lower().startswith(b"date:")]
    return _put([*fields, b"Date: " + rng.choice(DATES)], rest)


def _identity(rng: Random, raw: bytes) -> bytes:
    fields, rest = _parts(raw)
    fields = [field for field in fields if not field.lower().startswith(b"message-id:")]
    made = (b"", b"<>", b"<a b@c>", b"<%s@x.example>" % (b"m" * 900), b"<m'\\@x.example>", b"<\xed\xa0\x80@x>", b"<@>")
    return _put([*fields, b"Message-ID: " + rng.choice(made)], rest)


# --- MIME -----------------------------------------------------------------------------------------------------------


def _charset(rng: Random, raw: bytes) -> bytes:
    wrong = b"charset=" + rng.choice(CHARSETS)
    return re.sub(rb"charset\s*=\s*\"?[\w-]+\"?", lambda _: wrong, raw, count=rng.choice((0, 1)), flags=re.IGNORECASE)


def _encoding(rng: Random, raw: bytes) -> bytes:
    wrong = b"Content-Transfer-Encoding: " + rng.choice(ENCODINGS)
    return re.sub(rb"Content-Transfer-Encoding:[^\r\n]*", lambda _: wrong, raw, flags=re.IGNORECASE)


def _kind(rng: Random, raw: bytes) -> bytes:
    wrong = b"Content-Type: " + rng.choice(KINDS)
    return re.sub(rb"Content-Type:\s*[\w/.+-]*", lambda _: wrong, raw, count=rng.choice((0, 1, 2)), flags=re.IGNORECASE)


def _boundary(rng: Random, raw: bytes) -> bytes:
    """Boundary lines lost, closed too early, or the parameter broken."""
    found = re.search(rb"boundary\s*=\s*\"?([^\s\";]{1,70})", raw, re.IGNORECASE)
    if not found:
        return raw
    mark = b"--" + found[1]
    new = rng.choice((b"", mark + b"--", mark[:-1], mark + b"x", mark * 2, b"--", b"\r\n" + mark))
    if rng.random() < 0.3:
        return raw[: found.start(1)] + rng.choice((b"", b"\xff", b'"', b"-", b"a b")) + raw[found.end(1) :]
    return raw.replace(mark, new, rng.choice((1, 2, -1)))


def _broken(rng: Random, raw: bytes) -> bytes:
    """A body in base64 or quoted-printable that is none."""
    body = rng.choice((b"====", b"A" * 4001, b"=\r\n=ZZ=4=", b"=3D" * 999 + b"=", b"TWFp=bA==\x00bA", b"#" * 500))
    how = rng.choice((b"base64", b"quoted-printable", b"x-uuencode"))
    fields, _ = _parts(raw)
    return _put([*fields, b"Content-Transfer-Encoding: " + how], b"\r\n\r\n" + body)


def _nest(rng: Random, raw: bytes) -> bytes:
    """The mail within multiparts within multiparts."""
    depth = _size(rng, 2, 25, 200, 1000)
    kind = rng.choice((b"mixed", b"alternative", b"related", b"digest"))
    open_ = b"".join(
        b'Content-Type: multipart/%s; boundary="n%d"\r\n\r\n--n%d\r\n' % (kind, n, n) for n in range(depth)
    )
    close = b"".join(b"\r\n--n%d--" % n for n in reversed(range(depth))) if rng.random() < 0.5 else b""
    fields, rest = _parts(raw)
    kept = [field for field in fields if not field.lower().startswith(b"content-")]
    return _put(kept, b"\r\n" + open_ + rest.lstrip(b"\r\n") + close)


def _many(rng: Random, raw: bytes) -> bytes:
    """Huge numbers of parts."""
    part = rng.choice(
        (b"", b"Content-Type: text/html\r\n\r\n<p>x", b"Content-Type: image/png\r\n\r\nx", b"\r\nx",
         b'Content-Disposition: attachment; filename="../../a.exe"\r\n\r\nx', b"Content-Type: message/rfc822\r\n\r\nA:")
    )  # fmt: skip
    fields, _ = _parts(raw)
    kept = [field for field in fields if not field.lower().startswith(b"content-")]
    body = (b"\r\n--many\r\n" + part) * _size(rng, 10, 60, 600, 5000)
    return _put([*kept, b"Content-Type: multipart/mixed; boundary=many"], b"\r\n\r\n" + body)


def _attached(rng: Random, raw: bytes) -> bytes:
    """The mail as an attachment of a mail of its own head."""
    fields, _ = _parts(raw)
    kept = [field for field in fields if not field.lower().startswith(b"content-")]
    name = rng.choice(
        (b'"a.eml"', b"*0*=utf-8''%FF%00", b'"' + b"n" * 5000 + b'"', b'"C:\\x\\y.txt"', b'"\xff\xfe"', b"=")
    )
    part = b"Content-Type: message/rfc822\r\nContent-Disposition: attachment; filename=" + name + b"\r\n\r\n" + raw
    mark = b"at%d" % rng.randrange(99)
    body = b"\r\n\r\n--" + mark + b"\r\n" + part + b"\r\n--" + mark + b"--\r\n"
    return _put([*kept, b"Content-Type: multipart/mixed; boundary=" + mark], body)


def _markup(rng: Random, raw: bytes) -> bytes:
    """HTML that never ends, or is nothing but comments, entities and styles."""
    fields, _ = _parts(raw)
    kept = [field for field in fields if not field.lower().startswith(b"content-")]
    unit = rng.choice(
        (b"<div>", b"<!--", b"&#1114112;", b"&amp", b"<style>a{", b"<a href='", b"<![CDATA[", b"&#0;", b"<p")
    )
    body = b"\r\n\r\n<html><body>" + unit * _size(rng, 10, 300, 3000, 30_000) + b"text"
    return _put([*kept, b"Content-Type: text/html; charset=" + rng.choice(CHARSETS)], body)


MUTATIONS: Mapping[str, Mutation] = {
    function.__name__.lstrip("_"): function
    for function in (
        _truncate, _behead, _flip, _insert, _delete, _repeat, _odd, _ends, _wide,
        _lines, _value, _long, _crowd, _words, _date, _identity,
        _charset, _encoding, _kind, _boundary, _broken, _nest, _many, _attached, _markup,
    )
}  # fmt: skip
