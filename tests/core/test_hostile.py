"""No bytes raise, hang or cost much."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.core.mime import parse
from tests.core.raw import HEAD

MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    "raw",
    [
        HEAD + b"X: " + b"\r\n y" * (MEGABYTE // 4) + b"\r\n\r\n",
        HEAD + b"To: " + b"a@b.example, " * (MEGABYTE // 13) + b"\r\n\r\n",
        HEAD + b"Subject: " + b"=?utf-8?Q?=41?= " * (MEGABYTE // 16) + b"\r\n\r\n",
        HEAD + b"Subject: " + b"=?" * (MEGABYTE // 2) + b"\r\n\r\n",
        HEAD + b"References: " + b"<a@b>" * (MEGABYTE // 5) + b"\r\n\r\n",
        HEAD + b"Content-Type: text/plain; " + b'a="b;' * (MEGABYTE // 5) + b"\r\n\r\nx",
        HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b" * (MEGABYTE // 3),
        HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\n" * (MEGABYTE // 4),
        HEAD + b"Content-Type: multipart/mixed\r\n\r\n" + b"--b\n" * (MEGABYTE // 4),
        HEAD + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(20000)),
        HEAD + b"Content-Type: text/html\r\n\r\n" + b"<div>" * (MEGABYTE // 5),
        HEAD + b"Content-Type: text/html\r\n\r\n" + b"cid:" * (MEGABYTE // 4),
        HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + b"A=" * (MEGABYTE // 2),
        HEAD + b"Content-Transfer-Encoding: x-uuencode\r\n\r\n" + b"#\n" * (MEGABYTE // 2),
        b"\r\n" * (MEGABYTE // 2),
        b"a:" * (MEGABYTE // 2),
        b"x" * MEGABYTE,
    ],
    ids=[
        "fold",
        "to",
        "words",
        "halfwords",
        "refs",
        "params",
        "marks",
        "parts",
        "guess",
        "nest",
        "html",
        "cid",
        "base64",
        "uu",
        "blank",
        "colons",
        "endless",
    ],
)
def test_hostile_input_costs_little(raw: bytes) -> None:
    began = time.process_time()
    parse(raw)
    assert time.process_time() - began < 4.0


SOUP = st.lists(
    st.sampled_from(
        [
            b"From: a@b.example",
            b"To: ",
            b"Subject: =?utf-8?B?",
            b"Content-Type: multipart/mixed; boundary=",
            b"b1",
            b"--b1",
            b"--b1--",
            b"\r\n",
            b"\n",
            b"\r\n\r\n",
            b"Content-Type: text/html; charset=",
            b"utf-7",
            b"Content-Transfer-Encoding: ",
            b"base64",
            b"quoted-printable",
            b"=",
            b"\x00",
            b"\xff",
            b"<",
            b">",
            b";",
            b'"',
            b"Date: ",
            b"Message-ID: <",
            b"(",
            b":",
            b"Content-Disposition: attachment; filename*0*=",
            b"''%",
            b"message/rfc822",
            b"message/delivery-status",
            b" ",
            b"@",
        ]
    )
    | st.binary(max_size=12),
    max_size=60,
).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.binary(max_size=400), SOUP, SOUP.map(lambda soup: HEAD + soup)))
def test_any_bytes_are_read(raw: bytes) -> None:
    parsed = parse(raw)
    assert parsed == parse(raw)
    assert parsed.message_id.startswith("<")
    assert parsed.message_id.endswith(">")
    assert len(parsed.message_id) <= 250
    for text in (parsed.text, parsed.html, parsed.subject, *(one.name for one in parsed.attachments)):
        assert "\x00" not in text
        text.encode("utf-8")  # no half surrogates
    assert all(one.email == one.email.lower() and one.email.isprintable() for one in parsed.participants)
    assert all(one.name for one in parsed.attachments)
