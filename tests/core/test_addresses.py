"""One form for every address; what a domain says about its owner; names of new people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.core.addresses import (
    in_domains,
    is_freemail,
    is_internal,
    normalise,
    readable,
    registrable,
    untagged,
)
from sync.core.freemail import FREEMAIL
from sync.core.names import FIRST_LIMIT, LAST_LIMIT, person
from sync.policy import Policy


@pytest.mark.parametrize(
    ("raw", "email"),
    [
        ("Jane@Acme.Example", "jane@acme.example"),
        (" <jane@acme.example> ", "jane@acme.example"),
        ("mailto:jane@acme.example", "jane@acme.example"),
        ("'jane@acme.example'", "jane@acme.example"),
        ("jane@acme.example.", "jane@acme.example"),
        ("o'hara@acme.example", "o'hara@acme.example"),
        ("jane+tag@acme.example", "jane+tag@acme.example"),
        ("jane@müller.example", "jane@xn--mller-kva.example"),
        ("jane@MÜLLER.example", "jane@xn--mller-kva.example"),
        ("jane@xn--mller-kva.example", "jane@xn--mller-kva.example"),
        ("jürgen@acme.example", "jürgen@acme.example"),
        ("i@i❤.example", "i@xn--i-7iq.example"),
        ("a@acme．example", "a@acme.example"),
        ('"jane doe"@acme.example', '"jane doe"@acme.example'),
        ("jane doe@acme.example", None),
        ("jane@localhost", None),
        ("jane@[192.0.2.1]", None),
        ("jane@192.0.2.1", None),
        ("jane@-acme.example", None),
        ("jane@acme..example", None),
        ("@acme.example", None),
        ("jane", None),
        ("", None),
        ("j\u200bane@acme.example", None),
        ("x" * 65 + "@acme.example", None),
        ("j@" + "x" * 64 + ".example", None),
        ("/o=ex/cn=jane@acme.example", "/o=ex/cn=jane@acme.example"),
    ],
)
def test_normalise(raw: str, email: str | None) -> None:
    assert normalise(raw) == email


@given(st.text(max_size=60) | st.builds("{}@{}.example".format, st.text(max_size=20), st.text(max_size=20)))
def test_normal_forms_are_stable(raw: str) -> None:
    email = normalise(raw)
    if email is not None:
        assert normalise(email) == email
        assert email.count("@") >= 1
        assert email.rpartition("@")[2].isascii()


@pytest.mark.parametrize(
    ("email", "base"),
    [("jane+x@a.example", "jane@a.example"), ("jane@a.example", "jane@a.example"), ("+x@a.example", "+x@a.example")],
)
def test_untagged(email: str, base: str) -> None:
    assert untagged(email) == base


@pytest.mark.parametrize(
    ("domain", "owner"),
    [
        ("mail.acme.example", "acme.example"),
        ("acme.co.uk", "acme.co.uk"),
        ("a.b.acme.co.uk", "acme.co.uk"),
        ("co.uk", None),
        ("acme.github.io", "acme.github.io"),
        ("xn--mller-kva.example", "xn--mller-kva.example"),
    ],
)
def test_registrable(domain: str, owner: str | None) -> None:
    assert registrable(domain) == owner


@pytest.mark.parametrize(
    ("domain", "patterns", "inside"),
    [
        ("acme.example", ("acme.example",), True),
        ("eu.acme.example", ("acme.example",), True),
        ("eu.acme.example", ("*.acme.example",), True),
        ("acme.example", ("*.acme.example",), False),
        ("notacme.example", ("acme.example", "*.acme.example"), False),
        ("xn--mller-kva.example", ("müller.example",), True),
        ("acme.example", (), False),
    ],
)
def test_in_domains(domain: str, patterns: tuple[str, ...], inside: bool) -> None:
    assert in_domains(domain, patterns) is inside


@pytest.mark.parametrize(
    ("email", "mailbox", "policy", "internal"),
    [
        ("kim@ours.example", "ours.example", {}, True),
        ("kim@eu.ours.example", "ours.example", {}, True),
        ("kim@hq.ours.example", "eu.ours.example", {}, True),
        ("kim@other.example", "ours.example", {}, False),
        ("kim@other.example", "ours.example", {"internal_domains": ("other.example",)}, True),
        ("kim@gmail.com", "gmail.com", {}, False),
        ("kim@b.co.uk", "a.co.uk", {}, False),
    ],
)
def test_is_internal(email: str, mailbox: str, policy: dict, internal: bool) -> None:
    assert is_internal(email, mailbox, Policy(**policy)) is internal
    assert is_internal(email, (mailbox, "third.example"), Policy(**policy)) is internal


def test_the_free_mail_list() -> None:
    assert len(FREEMAIL) > 150
    assert {"gmail.com", "outlook.com", "yahoo.co.jp", "web.de", "qq.com", "mail.ru", "proton.me"} <= FREEMAIL
    assert all(domain == domain.lower() and normalise(f"a@{domain}") for domain in FREEMAIL)
    assert is_freemail("free.example", Policy(freemail_domains=("free.example",)))
    assert is_freemail("co.uk", Policy())
    assert not is_freemail("acme.example", Policy())


def test_readable() -> None:
    assert readable("xn--mller-kva.example") == "müller.example"
    assert readable("acme.example") == "acme.example"


@pytest.mark.parametrize(
    ("display", "first", "last"),
    [
        ("Jane Doe", "Jane", "Doe"),
        ("Doe, Jane", "Jane", "Doe"),
        ("Doe, Jane Mary", "Jane Mary", "Doe"),
        ("Jane Mary Doe", "Jane Mary", "Doe"),
        ("Ludwig van Beethoven", "Ludwig", "van Beethoven"),
        ("van Beethoven, Ludwig", "Ludwig", "van Beethoven"),
        ("Dr. Jane Doe", "Jane", "Doe"),
        ("Jane Doe, PhD", "Jane", "Doe"),
        ("Jane Doe (Sales)", "Jane", "Doe"),
        ("Jane Doe via Lists", "Jane", "Doe"),
        ("'Jane Doe'", "Jane", "Doe"),
        ("Jane", "", "Jane"),
        ("Acme, Inc.", "", "Acme"),
        ("山田 太郎", "太郎", "山田"),
        ("김 철수", "철수", "김"),
        ("Иван Петров", "Иван", "Петров"),
        ("", "", "jane@acme.example"),
        ("jane@acme.example", "", "jane@acme.example"),
        ("12345", "", "jane@acme.example"),
        ("(Sales)", "", "jane@acme.example"),
        (",", "", "jane@acme.example"),
    ],
)
def test_names_of_new_people(display: str, first: str, last: str) -> None:
    assert person(display, "jane@acme.example") == (first, last)


@given(st.text(max_size=200))
def test_every_new_person_has_a_last_name_that_fits(display: str) -> None:
    first, last = person(display, "jane@acme.example")
    assert 0 < len(last) <= LAST_LIMIT
    assert len(first) <= FIRST_LIMIT
    assert last.strip() == last
