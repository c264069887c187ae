"""A matched mail -> the entry: record kind, relations, body and attachments, as tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sync.core.filing import MAX_FILE_BYTES, MAX_FILES, NAMED, Skip, complete, plan, with_owner
from sync.core.markup import to_text
from sync.core.matching import MAX_ADDRESSES, match
from sync.core.placing import Place
from sync.core.text import CUT_NOTE, EMAIL_LIMIT, TASK_LIMIT
from sync.model import Abilities, Attachment, Entry, Filed, Message, RecordRef, Relation
from sync.policy import Policy
from tests.core.build import ME, SENT, directory, found, mail

JANE, KIM = "jane@acme.example", "kim@ours.example"
FULL = Abilities(email_record=True, shared_activities=True)
PLAIN = Abilities(email_record=False, shared_activities=False)
PEOPLE = (found("contact", "003J", JANE), found("user", "005K", KIM), found("user", "005ME", ME.address))


def planned(message: Message, policy: Policy | None = None, abilities: Abilities = FULL, **more: object) -> Entry:
    policy = policy or Policy()
    matching = match(message, directory(*PEOPLE), policy, ME)
    entry = plan(message, matching, policy, abilities, "005ME", "k", **more)  # type: ignore[arg-type]
    assert isinstance(entry, Entry)
    return entry


KNOWN = mail(("from", JANE, "Jane Doe"), ("to", ME.address, "Sam"))
INTERNAL = mail(("from", KIM), ("to", ME.address))


@pytest.mark.parametrize(
    ("option", "abilities", "message", "record", "completed", "noted"),
    [
        ("auto", FULL, KNOWN, "email", True, False),
        ("auto", FULL, INTERNAL, "task", False, False),
        ("auto", PLAIN, KNOWN, "task", True, False),
        ("auto", PLAIN, INTERNAL, "task", False, False),
        ("task", FULL, KNOWN, "task", True, False),
        ("task", FULL, INTERNAL, "task", False, False),
        ("email_message", FULL, KNOWN, "email", True, False),
        ("email_message", FULL, INTERNAL, "email", False, False),
        ("email_message", PLAIN, KNOWN, "task", True, True),
        ("email_message", PLAIN, INTERNAL, "task", False, True),
    ],
)
def test_record_kind(
    option: str, abilities: Abilities, message: Message, record: str, completed: bool, noted: bool
) -> None:
    entry = planned(message, Policy(crm_email_record=option, must_match=False), abilities)
    assert (entry.record, entry.completed) == (record, completed)
    assert any("no e-mail record" in note for note in entry.notes) == noted


@pytest.mark.parametrize(("kind", "record"), [("email", "email"), ("task", "task")])
def test_a_mail_that_is_there_keeps_its_kind(kind: str, record: str) -> None:
    there = Filed(RecordRef(kind, "02s"))
    entry = planned(KNOWN, Policy(crm_email_record="task" if kind == "email" else "auto"), place=Place(existing=there))
    assert (entry.record, entry.existing) == (record, there)


@pytest.mark.parametrize("kind", ["calendar", "bounce", "receipt"])
def test_other_kinds_of_mail_are_filed_like_mail(kind: str) -> None:
    entry = planned(mail(("from", JANE), kind=kind))  # type: ignore[arg-type]
    assert (entry.record, entry.completed, entry.create) == ("email", True, ())


def test_what_is_not_filed_says_why() -> None:
    policy = Policy(create_missing=False)
    message = mail(("from", "x@new.example"))
    matching = match(message, directory(), policy, ME)
    assert plan(message, matching, policy, FULL, "005ME", "k") == Skip("no_match")
    filed = match(KNOWN, directory(*PEOPLE), Policy(), ME)
    assert plan(KNOWN, filed, Policy(), FULL, "", "k") == Skip("no_owner")


def test_the_entry_names_what_the_mail_says() -> None:
    entry = planned(KNOWN)
    assert (entry.key, entry.message_id, entry.subject, entry.date) == ("k", "<m1@acme.example>", "Widgets", SENT)
    assert (entry.text, entry.html, entry.incoming, entry.owner) == ("Hello", "", True, "005ME")
    assert entry.notes == ()


def test_people_to_create_are_owned_by_the_user() -> None:
    message = mail(("from", "x@new.example"))
    nobody = match(message, directory(), Policy(), type(ME)(ME.address, ME.domains, None))
    entry = plan(message, nobody, Policy(), FULL, "005Z", "k")
    assert isinstance(entry, Entry)
    assert {new.owner for new in entry.create} == {"005Z"}


# --- relations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("people", "relations"),
    [
        ([("from", JANE), ("to", ME.address)], [("from", JANE, "003J"), ("to", ME.address, "005ME")]),
        ([("from", JANE), ("reply_to", JANE)], [("from", JANE, "003J")]),
        ([("from", JANE), ("reply_to", KIM)], [("from", JANE, "003J"), ("other", KIM, "005K")]),
        ([("from", JANE), ("reply_to", KIM), ("to", KIM)], [("from", JANE, "003J"), ("to", KIM, "005K")]),
        ([("from", JANE), ("to", JANE)], [("from", JANE, "003J"), ("to", JANE, "003J")]),
        ([("from", JANE), ("to", KIM), ("cc", KIM), ("bcc", KIM)], [("from", JANE, "003J"), ("to", KIM, "005K")]),
        ([("from", JANE), ("bcc", KIM)], [("from", JANE, "003J"), ("bcc", KIM, "005K")]),
        # two addresses of one person: the record once, the address still seen
        (
            [("from", ME.address), ("to", JANE), ("to", "jane+x@acme.example")],
            [("from", ME.address, "005ME"), ("to", JANE, "003J"), ("to", "jane+x@acme.example", None)],
        ),
    ],
)
def test_relations(people: list, relations: list) -> None:
    entry = planned(mail(*people))
    assert [(one.role, one.email, one.record and one.record.id) for one in entry.relations] == relations


def test_a_crowd_is_related_up_to_a_limit_with_records_first() -> None:
    crowd = [("to", f"p{n}@new.example") for n in range(MAX_ADDRESSES + 10)]
    message = mail(("from", JANE), *crowd)  # type: ignore[arg-type]
    entry = planned(message, Policy(create_missing=False))
    assert len(entry.relations) == MAX_ADDRESSES
    assert entry.relations[0].record == RecordRef("contact", "003J")
    assert any("11 addresses were left out" in note for note in entry.notes)


def test_the_mailboxes_own_user_is_related_to_an_email_record() -> None:
    entry = planned(mail(("from", JANE)))
    assert with_owner(entry, ME.address).relations[-1] == Relation("other", ME.address, "", RecordRef("user", "005ME"))
    assert with_owner(planned(KNOWN), ME.address) == planned(KNOWN)
    task = planned(mail(("from", JANE)), Policy(crm_email_record="task"))
    assert with_owner(task, ME.address) == task


@pytest.mark.parametrize(
    ("people", "done"),
    [(None, False), (("003J",), False), (("003J", "005ME"), True), (("003J", "005ME", "003X"), True)],
)
def test_nothing_is_left_to_write_when_everybody_is_related(people: tuple | None, done: bool) -> None:
    refs = frozenset(RecordRef("contact" if one[:3] == "003" else "user", one) for one in people or ())
    there = None if people is None else Filed(RecordRef("email", "02s"), refs)
    assert complete(planned(KNOWN, place=Place(existing=there))) is done


# --- body -----------------------------------------------------------------------------------------------------------

REPLY = "Yes.\n\nOn Mon, 5 Jan 2026, Sam wrote:\n> Ready?\n"


@pytest.mark.parametrize(
    ("body", "record", "text", "html"),
    [
        ("full", "email_message", REPLY.strip(), "<p>Yes.</p>"),
        ("newest_part", "email_message", "Yes.", ""),
        ("headers_only", "email_message", "", ""),
        ("full", "task", f"From: Jane Doe <{JANE}>\nTo: {ME.address}\n\n{REPLY.strip()}", ""),
        ("newest_part", "task", f"From: Jane Doe <{JANE}>\nTo: {ME.address}\n\nYes.", ""),
        ("headers_only", "task", f"From: Jane Doe <{JANE}>\nTo: {ME.address}", ""),
    ],
)
def test_body(body: str, record: str, text: str, html: str) -> None:
    message = mail(("from", JANE, "Jane Doe"), ("to", ME.address), text=REPLY, html="<p>Yes.</p>")
    entry = planned(message, Policy(body=body, crm_email_record=record))
    assert (entry.text, entry.html) == (text, html)


def test_html_alone_becomes_text() -> None:
    entry = planned(mail(("from", JANE), text=" \n", html="<p>Hello <b>Sam</b></p>"))
    assert (entry.text, entry.html) == ("Hello Sam", "<p>Hello <b>Sam</b></p>")


@pytest.mark.parametrize(("record", "most"), [("task", TASK_LIMIT), ("email_message", EMAIL_LIMIT)])
@pytest.mark.parametrize("files", [(), (Attachment("big.zip", "application/zip", b"x" * (2 << 20)),)])
def test_long_text_is_cut_with_a_note(record: str, most: int, files: tuple) -> None:
    message = mail(("from", JANE), text="wörd " * 40_000, html="<p>" + "x" * 140_000, attachments=files)
    entry = planned(message, Policy(crm_email_record=record, attachment_max_mb=1))
    assert most - 100 < len(entry.text) <= most
    assert CUT_NOTE in entry.text
    assert entry.html == ""
    assert any("filed as text" in note for note in entry.notes) == (record == "email_message")
    assert ("big.zip" in entry.text) == bool(files)


@pytest.mark.parametrize(("record", "most"), [("task", 255), ("email_message", 3000)])
def test_subjects_fit(record: str, most: int) -> None:
    entry = planned(mail(("from", JANE), subject="é" * 4000), Policy(crm_email_record=record))
    assert len(entry.subject) == most
    assert planned(mail(("from", JANE), subject="")).subject == "(no subject)"


@pytest.mark.parametrize(
    ("sent", "received", "chosen", "noted"),
    [
        (SENT, SENT, SENT, False),
        (SENT, None, SENT, False),
        (SENT - timedelta(days=4000), SENT, SENT - timedelta(days=4000), False),
        (SENT + timedelta(days=400), SENT, SENT, True),
        (datetime(1904, 1, 1, tzinfo=UTC), SENT, SENT, True),
        (None, SENT, SENT, False),
        (None, None, datetime(1970, 1, 1, tzinfo=UTC), True),
    ],
)
def test_dates(sent: datetime | None, received: datetime | None, chosen: datetime, noted: bool) -> None:
    entry = planned(mail(("from", JANE), date=sent, received=received))
    assert (entry.date, bool(entry.notes)) == (chosen, noted)


# --- attachments ----------------------------------------------------------------------------------------------------


def file(size: int, name: str = "a.pdf", *, inline: bool = False) -> Attachment:
    return Attachment(name, "application/pdf", b"x" * size, inline)


@pytest.mark.parametrize(
    ("files", "policy", "kept", "told", "notes"),
    [
        ([file(5), file(6, "b.pdf")], {}, ["a.pdf", "b.pdf"], "", 0),
        ([file(5, inline=True), file(6, "b.pdf")], {}, ["b.pdf"], "", 1),
        ([file(5)], {"attachments": False}, [], "", 1),
        ([file(5)], {"attachment_max_mb": 0}, [], "", 1),
        ([file((1 << 20) + 1, "big.pdf"), file(5)], {"attachment_max_mb": 1}, ["a.pdf"], "big.pdf (1.0 MiB)", 1),
        ([file(0, "nil.pdf")], {}, [], "nil.pdf (0.0 MiB)", 1),
        ([file(1)] * (MAX_FILES + 2), {}, ["a.pdf"] * MAX_FILES, "a.pdf (0.0 MiB); a.pdf (0.0 MiB)", 2),
        ([file(1)] * (MAX_FILES + 400), {}, ["a.pdf"] * MAX_FILES, "a.pdf (0.0 MiB); 380 more", NAMED + 1),
        (
            [file(MAX_FILE_BYTES // 2), file(MAX_FILE_BYTES // 2 + 9, "b.pdf")],
            {"attachment_max_mb": 35},
            ["a.pdf"],
            "b.pdf",
            1,
        ),
    ],
)
def test_attachments(files: list, policy: dict, kept: list, told: str, notes: int) -> None:
    entry = planned(mail(("from", JANE), html="<p>Hi</p>", attachments=files), Policy(**policy))
    assert [one.name for one in entry.attachments] == kept
    assert len(entry.notes) == notes
    assert all(one.name not in note for one in files for note in entry.notes)  # notes hold no content
    for shown in (entry.text, to_text(entry.html)):
        assert (told in shown) if told else ("not stored" not in shown)
