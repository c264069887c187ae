"""People, ids, dates and kinds, whatever the header holds."""

from __future__ import annotations

import base64

import pytest

from sync.core.mime import parse
from tests.core.raw import HEAD, PLAIN, multipart, part, raw_mail


@pytest.mark.parametrize(
    ("value", "people"),
    [
        (b"Jane Doe <jane@acme.example>", [("jane@acme.example", "Jane Doe")]),
        (b'"Doe, Jane" <JANE@Acme.Example>', [("jane@acme.example", "Doe, Jane")]),
        (b"Doe, Jane <jane@acme.example>", [("jane@acme.example", "Doe, Jane")]),
        (b"jane@acme.example (Jane)", [("jane@acme.example", "Jane")]),
        (b"=?utf-8?Q?J=C3=BCrgen?= <j@acme.example>", [("j@acme.example", "Jürgen")]),
        (b'"=?utf-8?Q?J=C3=BCrgen?=" <j@acme.example>', [("j@acme.example", "Jürgen")]),
        (b"=?utf-8?B?44CB?= =?utf-8?B?44CC?= <j@acme.example>", [("j@acme.example", "、。")]),
        (b"=?utf-8?B?4g==?= =?utf-8?B?gqw=?= <j@acme.example>", [("j@acme.example", "€")]),
        ("Jürgen <j@müller.example>".encode(), [("j@xn--mller-kva.example", "Jürgen")]),
        ("Jürgen <j@acme.example>".encode("cp1252"), [("j@acme.example", "Jürgen")]),
        (b"Team: a@acme.example, B <b@acme.example>;", [("a@acme.example", ""), ("b@acme.example", "B")]),
        (b"undisclosed-recipients:;", []),
        (b"jane@acme.example <jane@acme.example>", [("jane@acme.example", "")]),
        (b"<jane@acme.example>, jane@acme.example", [("jane@acme.example", "")]),
        (b"=?utf-8?Q?Jane_=3Cjane=40acme.example=3E?=", [("jane@acme.example", "")]),
        (b"jane@localhost, root", []),
        (b"((((" * 2000 + b"jane@acme.example", [("jane@acme.example", "")]),
        (b"a:" * 3000 + b"jane@acme.example", [("jane@acme.example", "")]),
    ],
)
def test_address_lists(value: bytes, people: list) -> None:
    parsed = parse(b"From: x@y.example\r\nCc: " + value + b"\r\n\r\n")
    assert [(one.email, one.name) for one in parsed.participants if one.role == "cc"] == people


def test_roles_sender_and_company() -> None:
    parsed = parse(
        b"From: nobody\r\nSender: Jane <jane@acme.example>\r\nReply-To: r@acme.example\r\nTo: a@b.example\r\n"
        b"Cc: c@b.example\r\nBcc: d@b.example\r\nOrganization: =?utf-8?Q?Acme_=26_S=C3=B6hne?=\r\n\r\n"
    )
    assert [(one.role, one.email, one.company) for one in parsed.participants] == [
        ("from", "jane@acme.example", "Acme & Söhne"),
        ("reply_to", "r@acme.example", ""),
        ("to", "a@b.example", ""),
        ("cc", "c@b.example", ""),
        ("bcc", "d@b.example", ""),
    ]


def test_several_from() -> None:
    parsed = parse(b"From: a@x.example, b@x.example\r\nFrom: c@x.example\r\n\r\n")
    assert [one.email for one in parsed.participants] == ["a@x.example", "b@x.example", "c@x.example"]
    assert "several From headers" in parsed.defects


def test_a_missing_message_id_gets_a_stand_in_that_copies_share() -> None:
    one = b"From: jane@acme.example\r\nSubject: Hi\r\nDate: Mon, 5 Jan 2026 10:00:00 +0100\r\n"
    plain = parse(one + b"\r\nHello  World\r\n")
    routed = parse(
        b"Received: by relay\r\n"
        + one.replace(b"+0100", b"+0100 (CET)")
        + b"Content-Transfer-Encoding: base64\r\n\r\n"
        + base64.b64encode(b"Hello World\n")
    )
    other = parse(one + b"\r\nHello Moon\r\n")
    assert plain.message_id.startswith("<sha256-")
    assert plain.message_id.endswith("@mailspan.invalid>")
    assert plain.message_id == routed.message_id != other.message_id


@pytest.mark.parametrize(
    ("value", "usable"),
    [
        (b"<a@b.example>", "<a@b.example>"),
        (b"a@b.example", "<a@b.example>"),
        (b"(x) <a b@c.example> y", "<ab@c.example>"),
        (b"<" + b"x" * 300 + b"@y.example>", ""),
        (b"", ""),
        (b"<>", ""),
    ],
)
def test_message_ids(value: bytes, usable: str) -> None:
    found = parse(b"From: a@b.example\r\nMessage-ID: " + value + b"\r\n\r\n").message_id
    assert found == usable or (not usable and found.endswith("@mailspan.invalid>"))


def test_references() -> None:
    parsed = raw_mail(b"", b"In-Reply-To: <1@x> <2@x>", b"References: <0@x>\r\n <1@x>", b"References: <3@x>")
    assert (parsed.in_reply_to, parsed.references) == ("<1@x>", ("<0@x>", "<1@x>", "<3@x>"))
    long = raw_mail(b"", b"References: " + b" ".join(b"<%d@x>" % n for n in range(500)))
    assert (len(long.references), long.references[0], long.references[-1]) == (100, "<0@x>", "<499@x>")


@pytest.mark.parametrize(
    "value", [b"yesterday", b"Mon, 32 Jan 2026 10:00:00", b"Fri, 31 Dec 9999 23:59:59 -1200", b"x" * 5000]
)
def test_impossible_dates(value: bytes) -> None:
    parsed = raw_mail(b"", b"Date: " + value)
    assert (parsed.date, parsed.defects) == (None, ("unreadable date",))


@pytest.mark.parametrize(
    ("header", "kind", "automatic"),
    [
        (b"Auto-Submitted: auto-replied", "mail", True),
        (b"Auto-Submitted: no", "mail", False),
        (b"Precedence: bulk", "mail", True),
        (b"List-Id: <l.acme.example>", "mail", True),
        (b"X-Failed-Recipients: kim@beta.example", "bounce", True),
        (b'Content-Type: multipart/report; report-type=delivery-status; boundary="x"', "bounce", True),
        (b'Content-Type: multipart/report; report-type=disposition-notification; boundary="x"', "receipt", True),
        (b"Content-Type: text/calendar; method=REQUEST", "calendar", False),
        (b"X-Other: 1", "mail", False),
    ],
)
def test_kinds(header: bytes, kind: str, automatic: bool) -> None:
    parsed = raw_mail(b"BEGIN", header)
    assert (parsed.kind, parsed.automatic) == (kind, automatic)


def test_a_delivery_report_names_whom_it_is_about() -> None:
    status = part(
        "message/delivery-status",
        b"Reporting-MTA: dns; relay.example\r\n\r\nOriginal-Recipient: rfc822;Kim@Beta.example\r\n"
        b"Final-Recipient: RFC822; kim@beta.example\r\nAction: failed\r\n",
    )
    parsed = parse(HEAD + multipart("report; report-type=delivery-status", PLAIN, status))
    assert [one.email for one in parsed.participants if one.role == "about"] == ["kim@beta.example"]
    assert (parsed.kind, parsed.text) == ("bounce", "Hello")


def test_a_receipt_is_read_from_its_part() -> None:
    note = part("message/disposition-notification", b"Final-Recipient: rfc822;kim@beta.example\r\n")
    parsed = parse(HEAD + multipart("report", PLAIN, note))
    assert (parsed.kind, parsed.participants[-1].email) == ("receipt", "kim@beta.example")
