"""Mails of every shape: what must be read right, and that nothing raises, hangs or gets lost."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.core.mime import SMALL_IMAGE, parse
from sync.core.structure import MAX_DEPTH, MAX_PARTS
from sync.model import Parsed

HEAD = b"From: Jane Doe <jane@acme.example>\r\nTo: sam@ours.example\r\nSubject: Widgets\r\nMessage-ID: <a@acme.example>\r\n"


def mail(body: bytes, *headers: bytes) -> Parsed:
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


def test_a_plain_mail() -> None:
    parsed = mail(b"Hello\r\nWorld\r\n", b"Date: Mon, 5 Jan 2026 10:00:00 +0100")
    assert (parsed.message_id, parsed.subject, parsed.text) == ("<a@acme.example>", "Widgets", "Hello\nWorld\n")
    assert parsed.date == datetime(2026, 1, 5, 9, tzinfo=UTC)
    assert [(one.role, one.email, one.name) for one in parsed.participants] == [
        ("from", "jane@acme.example", "Jane Doe"),
        ("to", "sam@ours.example", ""),
    ]
    assert (parsed.kind, parsed.automatic, parsed.defects, parsed.attachments) == ("mail", False, (), ())


# --- bodies and attachments -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "text", "html", "files"),
    [
        (multipart("alternative", PLAIN, HTML), "Hello", "<p>Hello</p>", []),
        (multipart("mixed", multipart("alternative", PLAIN, HTML, boundary="b2"), PDF), "Hello", "<p>Hello</p>", ["offer.pdf"]),
        (multipart("mixed", PLAIN, PDF, part("text/plain", b"Footer")), "Hello\n\nFooter", "", ["offer.pdf"]),
        # one client's way: HTML before and after a file, in one alternative
        (
            multipart(
                "alternative",
                PLAIN,
                multipart("mixed", HTML, PDF, part("text/html", b"<p>After</p>"), boundary="b2"),
            ),
            "Hello",
            "<p>Hello</p>\n<p>After</p>",
            ["offer.pdf"],
        ),
        # text and HTML side by side: neither form lacks a part
        (multipart("mixed", PLAIN, part("text/html", b"<p>Two</p>")), "Hello\n\nTwo", "<pre>Hello</pre>\n<p>Two</p>", []),
        (multipart("signed", PLAIN, part("application/pgp-signature", b"sig")), "Hello", "", ["!attachment-1.bin"]),
        (multipart("related", part("text/html", b'<img src="cid:logo@x">'), PIXEL), "", '<img src="cid:logo@x">', ["!logo.png"]),
        # text that is attached, not shown
        (multipart("mixed", PLAIN, part("text/plain", b"x", "Content-Disposition: attachment")), "Hello", "", ["attachment-1.txt"]),
        (multipart("mixed", PLAIN, part("text/plain; name=a.txt", b"x", "Content-Disposition: inline")), "Hello", "", ["a.txt"]),
        (multipart("mixed", PLAIN, part("message/rfc822", b"Subject: Old: one\r\n\r\nx")), "Hello", "", ["Old_ one.eml"]),
        (multipart("mixed", PLAIN, part("application/ms-tnef", b"x", "Content-Disposition: attachment; filename=winmail.dat")), "Hello", "", ["winmail.dat"]),
        # an invitation comes twice and is stored once
        (
            multipart(
                "mixed",
                multipart("alternative", PLAIN, part("text/calendar; method=REQUEST", b"BEGIN"), boundary="b2"),
                part("text/calendar; method=REQUEST; name=invite.ics", b"BEGIN", "Content-Disposition: attachment"),
            ),
            "Hello",
            "",
            ["attachment-1.ics"],
        ),
    ],
)  # fmt: skip
def test_bodies_and_files(raw: bytes, text: str, html: str, files: list[str]) -> None:
    parsed = parse(HEAD + raw)
    assert (parsed.text, parsed.html) == (text, html)
    assert [("!" if one.inline else "") + one.name for one in parsed.attachments] == files


@pytest.mark.parametrize(
    ("image", "inline"),
    [
        (part("image/png", b"x" * 100, "Content-Disposition: inline; filename=logo.png"), True),
        (part("image/png", b"x" * (SMALL_IMAGE + 1), "Content-Disposition: inline; filename=photo.png"), False),
        (part("image/png", b"x" * 100, "Content-Disposition: attachment; filename=small.png"), False),
        (part("image/png", b"x" * 100, "Content-Disposition: attachment", "Content-ID: <logo@x>"), True),
        (part("image/png", b"x" * 100), False),
    ],
)
def test_logos_are_inline_and_photographs_are_not(image: bytes, inline: bool) -> None:
    shown = part("text/html", b'<p>Hi</p><img src="cid:logo@x">')
    assert parse(HEAD + multipart("mixed", shown, image)).attachments[0].inline is inline


def test_a_mail_that_is_only_an_image_keeps_it() -> None:
    image = part("image/png", b"x", "Content-Disposition: inline; filename=scan.png")
    (attachment,) = parse(HEAD + multipart("mixed", image)).attachments
    assert (attachment.name, attachment.inline) == ("scan.png", False)


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="a/../../etc/pass\'wd"', "pass'wd"),
        ('attachment; filename="C:\\\\temp\\\\x?.txt"', "x_.txt"),
        ("attachment; filename*=utf-8''%E2%82%AC.txt", "€.txt"),
        ('attachment; filename="=?utf-8?B?4oKsLnR4dA==?="', "€.txt"),
        ("attachment; filename*0=long; filename*1=name.txt", "longname.txt"),
        ("attachment; filename*=x-unknown''%E2.txt", "�.txt"),
        ("attachment", "attachment-1.pdf"),
    ],
)
def test_file_names(disposition: str, name: str) -> None:
    found = parse(HEAD + multipart("mixed", part("application/pdf", b"x", f"Content-Disposition: {disposition}")))
    assert found.attachments[0].name.replace("â", "�") == name


@pytest.mark.parametrize(
    ("encoding", "body", "expected"),
    [
        ("base64", base64.b64encode(b"Hello"), b"Hello"),
        ("base64", b"SGVs\r\nbG8=\r\n", b"Hello"),
        ("BASE64", b"SGV*s bG8", b"Hello"),
        ("base64", b"SGVs=bG8=", b"Hello"),
        ("base64", b"SGVsbG8==x", b"Hello"),
        ("quoted-printable", b"H=65llo=\r\n", b"Hello"),
        ("x-uuencode", b"begin 644 x\r\n%2&5L;&\\ \r\n`\r\nend\r\n", b"Hello"),
        ("7bit", b"Hello", b"Hello"),
        ("hyper", b"Hello", b"Hello"),
    ],
)
def test_transfer_encodings(encoding: str, body: bytes, expected: bytes) -> None:
    raw = part("application/x-any; name=x", body, f"Content-Transfer-Encoding: {encoding}")
    assert parse(HEAD + multipart("mixed", raw)).attachments[0].content == expected


@pytest.mark.parametrize(
    ("charset", "raw", "text", "sure"),
    [
        ("utf-8", "Grüße".encode(), "Grüße", True),
        ("iso-8859-1", b"\x93Gr\xfc\xdfe\x94", "“Grüße”", True),
        ("ISO-2022-JP", "日本".encode("iso2022_jp"), "日本", True),
        ("gb2312", "镕".encode("gb18030"), "镕", True),
        ("ks_c_5601-1987", "한국".encode("cp949"), "한국", True),
        ("koi8-r", "Привет".encode("koi8-r"), "Привет", True),
        ("us-ascii", "Grüße".encode(), "Grüße", True),
        ("x-unknown", "Grüße".encode("cp1252"), "Grüße", False),
        ("utf-8", b"Gr\xfc\xdfe", "Grüße", False),
        ("iso-8859-2", "Grüße".encode("iso-8859-2"), "Grüße", True),
        ("hex", b"6869", "6869", False),
        ("idna", b"xn--a", "xn--a", False),
        ("undefined", b"hi", "hi", False),
        ("utf-16", b"h", "�", False),
    ],
)
def test_charsets(charset: str, raw: bytes, text: str, sure: bool) -> None:
    parsed = parse(HEAD + part(f"text/plain; charset={charset}", raw))
    assert parsed.text == text
    assert parsed.defects == (() if sure else ("body in an unknown or wrong charset",))


def test_format_flowed_is_joined() -> None:
    raw = part("text/plain; format=flowed", b"one \r\ntwo\r\n> quoted \r\n> more\r\n-- \r\nJane\r\n")
    assert parse(HEAD + raw).text == "one two\n> quoted more\n-- \nJane\n"


# --- headers --------------------------------------------------------------------------------------------------------


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
    assert plain.message_id.startswith("<sha256-") and plain.message_id.endswith("@mailspan.invalid>")
    assert plain.message_id == routed.message_id != other.message_id


@pytest.mark.parametrize(
    ("value", "usable"),
    [(b"<a@b.example>", "<a@b.example>"), (b"a@b.example", "<a@b.example>"), (b"(x) <a b@c.example> y", "<ab@c.example>"),
     (b"<" + b"x" * 300 + b"@y.example>", ""), (b"", ""), (b"<>", "")],
)  # fmt: skip
def test_message_ids(value: bytes, usable: str) -> None:
    found = parse(b"From: a@b.example\r\nMessage-ID: " + value + b"\r\n\r\n").message_id
    assert found == usable or (not usable and found.endswith("@mailspan.invalid>"))


def test_references() -> None:
    parsed = mail(b"", b"In-Reply-To: <1@x> <2@x>", b"References: <0@x>\r\n <1@x>", b"References: <3@x>")
    assert (parsed.in_reply_to, parsed.references) == ("<1@x>", ("<0@x>", "<1@x>", "<3@x>"))
    long = mail(b"", b"References: " + b" ".join(b"<%d@x>" % n for n in range(500)))
    assert (len(long.references), long.references[0], long.references[-1]) == (100, "<0@x>", "<499@x>")


@pytest.mark.parametrize(
    "value", [b"yesterday", b"Mon, 32 Jan 2026 10:00:00", b"Fri, 31 Dec 9999 23:59:59 -1200", b"x" * 5000]
)
def test_impossible_dates(value: bytes) -> None:
    parsed = mail(b"", b"Date: " + value)
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
    parsed = mail(b"BEGIN", header)
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


# --- broken structure -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "text", "defect"),
    [
        (b"Content-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\n\r\nHello", "Hello", "closing boundary missing"),
        (
            b"Content-Type: multipart/mixed\r\n\r\n--b1\r\n\r\nHello\r\n--b1\r\n\r\n\r\n--b1--",
            "Hello",
            "boundary missing",
        ),
        (b"Content-Type: multipart/mixed; boundary=b1\r\n\r\nHello", "Hello", "boundary missing"),
        (b"Content-Type: text\r\n\r\nHello", "Hello", "unreadable content type"),
        (b"Stray\r\nX-More: 1\r\n\r\nHello", "Hello", "stray line in the header"),
        (b"Hello there\r\nfriend\r\n\r\nbye", "Hello there\nfriend\n\nbye", "no blank line after the header"),
    ],
)
def test_broken_structure_loses_no_text(raw: bytes, text: str, defect: str) -> None:
    parsed = parse(HEAD + raw)
    assert parsed.text == text
    assert defect in parsed.defects
    assert parsed.message_id == "<a@acme.example>"


def test_a_part_without_header_is_all_text() -> None:
    parsed = parse(HEAD + multipart("mixed", b"\r\nSubject: not a header\r\n\r\nHello"))
    assert parsed.text == "Subject: not a header\n\nHello"


def test_a_boundary_that_begins_like_another() -> None:
    inner = multipart("alternative", PLAIN, HTML, boundary="b1x")
    parsed = parse(HEAD + multipart("mixed", inner, PDF))
    assert (parsed.text, [one.name for one in parsed.attachments]) == ("Hello", ["offer.pdf"])


def test_nesting_beyond_the_limit_is_kept_as_a_file() -> None:
    raw = PLAIN
    for level in range(MAX_DEPTH + 5):
        raw = multipart("mixed", raw, boundary=f"b{level}x")
    parsed = parse(HEAD + raw)
    assert "nested too deep" in parsed.defects
    assert b"Hello" in parsed.attachments[0].content


def test_parts_beyond_the_limit_are_told() -> None:
    parsed = parse(HEAD + multipart("mixed", *[PDF] * (MAX_PARTS + 50)))
    assert "too many parts" in parsed.defects
    assert MAX_PARTS - 5 < len(parsed.attachments) <= MAX_PARTS


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
    ids=["fold", "to", "words", "halfwords", "refs", "params", "marks", "parts", "guess", "nest", "html", "cid", "base64",
         "uu", "blank", "colons", "endless"],
)  # fmt: skip
def test_hostile_input_costs_little(raw: bytes) -> None:
    began = time.process_time()
    parse(raw)
    assert time.process_time() - began < 4.0


SOUP = st.lists(
    st.sampled_from(
        [b"From: a@b.example", b"To: ", b"Subject: =?utf-8?B?", b"Content-Type: multipart/mixed; boundary=", b"b1", b"--b1",
         b"--b1--", b"\r\n", b"\n", b"\r\n\r\n", b"Content-Type: text/html; charset=", b"utf-7", b"Content-Transfer-Encoding: ",
         b"base64", b"quoted-printable", b"=", b"\x00", b"\xff", b"<", b">", b";", b'"', b"Date: ", b"Message-ID: <", b"(", b":",
         b"Content-Disposition: attachment; filename*0*=", b"''%", b"message/rfc822", b"message/delivery-status", b" ", b"@"]
    ) | st.binary(max_size=12),
    max_size=60,
).map(b"".join)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.binary(max_size=400), SOUP, SOUP.map(lambda soup: HEAD + soup)))
def test_any_bytes_are_read(raw: bytes) -> None:
    parsed = parse(raw)
    assert parsed == parse(raw)
    assert parsed.message_id.startswith("<") and parsed.message_id.endswith(">") and len(parsed.message_id) <= 250
    for text in (parsed.text, parsed.html, parsed.subject, *(one.name for one in parsed.attachments)):
        assert "\x00" not in text
        text.encode("utf-8")  # no half surrogates
    assert all(one.email == one.email.lower() and one.email.isprintable() for one in parsed.participants)
    assert all(one.name for one in parsed.attachments)
