"""Bodies, files and broken structure: what must be read right, and that nothing gets lost."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from sync.core.mime import SMALL_IMAGE, parse
from sync.core.structure import MAX_DEPTH, MAX_PARTS
from tests.core.raw import HEAD, HTML, PDF, PIXEL, PLAIN, multipart, part, raw_mail


def test_a_plain_mail() -> None:
    parsed = raw_mail(b"Hello\r\nWorld\r\n", b"Date: Mon, 5 Jan 2026 10:00:00 +0100")
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
        (
            multipart("mixed", multipart("alternative", PLAIN, HTML, boundary="b2"), PDF),
            "Hello",
            "<p>Hello</p>",
            ["offer.pdf"],
        ),
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
        (
            multipart("mixed", PLAIN, part("text/html", b"<p>Two</p>")),
            "Hello\n\nTwo",
            "<pre>Hello</pre>\n<p>Two</p>",
            [],
        ),
        (multipart("signed", PLAIN, part("application/pgp-signature", b"sig")), "Hello", "", ["!attachment-1.bin"]),
        (
            multipart("related", part("text/html", b'<img src="cid:logo@x">'), PIXEL),
            "",
            '<img src="cid:logo@x">',
            ["!logo.png"],
        ),
        # text that is attached, not shown
        (
            multipart("mixed", PLAIN, part("text/plain", b"x", "Content-Disposition: attachment")),
            "Hello",
            "",
            ["attachment-1.txt"],
        ),
        (
            multipart("mixed", PLAIN, part("text/plain; name=a.txt", b"x", "Content-Disposition: inline")),
            "Hello",
            "",
            ["a.txt"],
        ),
        (
            multipart("mixed", PLAIN, part("message/rfc822", b"Subject: Old: one\r\n\r\nx")),
            "Hello",
            "",
            ["Old_ one.eml"],
        ),
        (
            multipart(
                "mixed",
                PLAIN,
                part("application/ms-tnef", b"x", "Content-Disposition: attachment; filename=winmail.dat"),
            ),
            "Hello",
            "",
            ["winmail.dat"],
        ),
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
)
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
