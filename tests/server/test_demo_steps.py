"""How the demo judges items, conversations and undo: a step is only reached when mailbox and CRM really show it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from server.demo import items, steps
from server.demo.flows import DONE, ENDS, FAILED, FOLLOWED, Flow, Running, World, Wrong
from server.demo.items import CASE, OPPORTUNITY, PROJECT
from server.demo.vendors import MailRecord, Note

ANNA, LAURA = "anna@northpeak.example", "laura.keller@acme.example"
PLACE = "Salesforce/Opportunities"
LEAF = "[3] 3000 Widgets for Acme Corp ($120,000)"
NOTE = Note("n1", "3000 Widgets for Acme Corp ($120,000)", "- 22 Nov 2026  E-mail: Delivery dates", unread=False)
RECORD = MailRecord("02s1", frozenset({"003C", "005A"}), "006A")


@dataclass
class Mailbox:
    """A mailbox that shows this."""

    vendor: str = "google"
    address: str = ANNA
    labels: dict[str, set[str]] = field(default_factory=dict)  # of mails
    leaves: tuple[str, ...] = (LEAF,)
    summaries: tuple[Note, ...] = (NOTE,)

    def marks(self, mail: str) -> set[str]:
        return self.labels[mail]

    def below(self, label: str) -> list[str]:
        return list(self.leaves) if label == f"{PLACE}/Assign To" else []

    def has(self, label: str) -> bool:
        return label in [f"{PLACE}/Assign To/{leaf}" for leaf in self.leaves]

    def notes(self, label: str, title: str) -> list[Note]:
        return [note for note in self.summaries if label == PLACE and title in note.subject]


@dataclass
class Crm:
    """A CRM that holds this."""

    records: tuple[MailRecord, ...] = (RECORD,)
    found: tuple[dict[str, Any], ...] = ({"Id": "006A", "OwnerId": "005A", "AccountId": "001D"},)
    left: tuple[str, ...] = ()

    def mails(self, message_ids: Iterable[str]) -> list[MailRecord]:
        return list(self.records) if list(message_ids) else []

    def items(self, kind: str, field: str, title: str) -> list[dict[str, Any]]:
        return list(self.found)

    def users(self, addresses: Iterable[str]) -> dict[str, str]:
        return {ANNA: "005A"}

    def people(self, addresses: Iterable[str]) -> list[dict[str, Any]]:
        return [{"Id": "003C", "AccountId": "001D"}] if LAURA in addresses else []

    def there(self, kind: str, ids: Iterable[str]) -> list[str]:
        return [kind] if kind in self.left else []


def scene(marks: Iterable[str] = (), *, crm: Crm | None = None, **shown: Any) -> tuple[World, Running]:
    """A flow in whose mailbox one mail with these marks lies, about an item that is known."""
    box = Mailbox(labels={"m1": set(marks)}, **shown)
    flow = Flow("f", "F", "Items", DONE, (), user=ANNA, sender=f"Laura Keller <{LAURA}>", subject="Delivery dates")
    run = Running(flow, mails=[(box, "m1")], story={"subject": flow.subject, "message_ids": ["<1@a.example>"]})
    item = {"Id": "006A", "Name": "3000 Widgets for Acme Corp", "Amount": 120000.0}
    run.items["item"] = {**item, "module": OPPORTUNITY, "title": item["Name"], "leaf": f"{PLACE}/Assign To/{LEAF}"}
    run.notes["person"] = {"Id": "003C", "AccountId": "001D"}
    return World({ANNA: box}, crm or Crm(), None, {}), run  # type: ignore[arg-type, dict-item]


@pytest.mark.parametrize(
    ("marks", "vendor", "sent", "missing"),
    [
        ({DONE, "INBOX"}, "google", None, ""),
        ({DONE, "SENT"}, "google", 0, ""),
        ({DONE, "Inbox"}, "microsoft", None, ""),
        ({DONE, "INBOX"}, "google", 0, "the mail is not in SENT"),
        ({DONE}, "google", None, "the mail is not in INBOX"),
        ({DONE, "INBOX", f"{PLACE}/Assign To/{LEAF}"}, "google", None, f"the mail lies on {PLACE}/Assign To/{LEAF}"),
        ({"INBOX"}, "google", None, f"the mail is not marked {DONE}"),
        ({DONE, FOLLOWED, "INBOX"}, "google", None, f"the mail is not marked {DONE}"),
    ],
)
def test_a_mail_must_be_marked_and_at_home(marks: set[str], vendor: str, sent: int | None, missing: str) -> None:
    world, run = scene(marks, vendor=vendor)
    run.notes["sent"] = sent
    assert steps.marked(DONE)(world, run) == missing
    assert run.state == ("" if missing else DONE)


def test_a_mail_that_failed_ends_the_flow() -> None:
    world, run = scene({FAILED, "INBOX"})
    with pytest.raises(Wrong, match="is not marked"):
        steps.marked(DONE)(world, run)
    assert run.state == FAILED


@pytest.mark.parametrize(
    ("records", "missing"),
    [
        ((RECORD,), ""),
        ((), "0 e-mail records instead of one"),
        ((RECORD, RECORD), "2 e-mail records instead of one"),
        ((MailRecord("02s1", RECORD.related, "006B"),), "related to 006B, not to 3000 Widgets"),
        ((MailRecord("02s1", RECORD.related),), "related to no item"),
        ((MailRecord("02s1", frozenset({"005A"}), "006A"),), "no contact is related"),
    ],
)
def test_a_mail_must_be_filed_once_to_its_item(records: tuple[MailRecord, ...], missing: str) -> None:
    found = items.filed()(*scene(crm=Crm(records)))
    assert missing in found
    assert bool(found) == bool(missing)


def test_a_new_item_must_be_one_of_the_user_with_the_account_of_the_contact() -> None:
    made, right = items.made(OPPORTUNITY), Crm().found[0]
    assert made(*scene()) == ""
    assert made(*scene(crm=Crm(found=()))) == "0 items of Opportunity were made"
    assert made(*scene(crm=Crm(found=(right, right)))) == "2 items of Opportunity were made"
    for wrong in ({"OwnerId": "005B"}, {"AccountId": None}, {"AccountId": "001E"}):
        with pytest.raises(Wrong):
            made(*scene(crm=Crm(found=({**right, **wrong},))))


@pytest.mark.parametrize(
    ("leaves", "right"),
    [
        ((LEAF,), True),
        ((), False),
        (("3000 Widgets for Acme Corp ($120,000)",), False),
        (("[3] 3000 Widgets for Acme Corp",), False),
        ((LEAF, LEAF.replace("3]", "4]")), False),
    ],
)
def test_a_leaf_has_number_title_and_value(leaves: tuple[str, ...], right: bool) -> None:
    assert (items.leaf()(*scene(leaves=leaves)) == "") is right


def test_a_renamed_leaf_keeps_its_number() -> None:
    world, run = scene()
    run.items["item"]["number"] = "[2"
    with pytest.raises(Wrong, match=r"number \[3\] instead of \[2\]"):
        items.leaf()(world, run)


def test_the_leaves_of_the_modules() -> None:
    assert CASE.leaf({"Subject": "It fails", "CaseNumber": "12934"}) == "[12934] It fails"
    assert PROJECT.leaf({"Name": "Smokehouse 3"}) == OPPORTUNITY.leaf({"Name": "Smokehouse 3"}) == "Smokehouse 3"


@pytest.mark.parametrize(
    ("summaries", "missing"),
    [
        ((NOTE,), ""),
        ((), "0 summaries"),
        ((NOTE, NOTE), "2 summaries"),
        ((Note("n1", NOTE.subject, NOTE.text, unread=True),), "looks unread"),
        ((Note("n1", "3000 Widgets for Acme Corp ($99,000)", NOTE.text, unread=False),), "($99,000)"),
        ((Note("n1", NOTE.subject, "", unread=False),), "does not tell of the mail"),
    ],
)
def test_a_summary_is_one_read_mail_that_says_how_it_is(summaries: tuple[Note, ...], missing: str) -> None:
    found = items.summary(tells=True)(*scene(summaries=summaries))
    assert missing in found
    assert bool(found) == bool(missing)


def test_a_changed_item_shows_in_summary_and_leaf() -> None:
    world, run = scene()
    assert items.updated().until(world, run) == ""
    assert run.state == items.UPDATED
    world, run = scene(leaves=(LEAF.replace("120", "99"),))
    assert items.updated().until(world, run)
    assert run.state == ""


@pytest.mark.parametrize(
    ("shown", "missing"),
    [
        ({"leaves": (), "summaries": ()}, ""),
        ({"leaves": ()}, "the summary is still there"),
        ({"summaries": ()}, "the leaf is still there"),
    ],
)
def test_a_closed_item_leaves_nothing(shown: dict[str, Any], missing: str) -> None:
    world, run = scene(**shown)
    assert items.gone().until(world, run) == missing
    assert run.state == ("" if missing else items.GONE)


def test_a_mail_that_is_passed_over_is_neither_marked_nor_filed() -> None:
    world, run = scene({"INBOX"}, crm=Crm(()))
    assert steps.passed_over(0).until(world, run) == ""
    assert run.state == steps.NOT_FOLLOWED
    with pytest.raises(Wrong, match="was filed"):
        steps.passed_over(0).until(*scene({"INBOX"}))
    for mark in ENDS:
        with pytest.raises(Wrong, match="marked"):
            steps.passed_over(0).until(*scene({"INBOX", mark}, crm=Crm(())))


def test_undo_leaves_nothing_behind() -> None:
    world, run = scene({"INBOX"}, crm=Crm(()), leaves=(), summaries=())
    assert items.taken_back().until(world, run) == ""
    assert run.state == items.UNDONE
    assert items.taken_back().until(*scene({DONE}, crm=Crm(()), leaves=(), summaries=())) == f"still marked {DONE}"
    assert items.taken_back().until(*scene(crm=Crm(()), summaries=())) == "the leaf is still there"
    for left in ("Opportunity", "Contact", "Account"):
        with pytest.raises(Wrong, match=left):
            items.taken_back().until(*scene(crm=Crm((), left=(left,)), leaves=(), summaries=()))
    with pytest.raises(Wrong, match="the e-mail"):
        items.taken_back().until(*scene(leaves=(), summaries=()))


@pytest.mark.parametrize(
    ("answered", "wrong"),
    [
        ('{"ended": "undone", "left": []}', ""),
        ('{"ended": "undone", "left": ["contact 003C was changed"]}', "undone, left: contact 003C was changed"),
        ('{"ended": "busy", "left": []}', "busy, left: nothing"),
    ],
)
def test_the_command_must_say_that_nothing_is_left(answered: str, wrong: str) -> None:
    world, run = scene()
    run.notes["undo"] = SimpleNamespace(poll=lambda: 0, communicate=lambda: (answered, None))
    if wrong:
        with pytest.raises(Wrong, match=wrong):
            items.undo().until(world, run)
    else:
        assert items.undo().until(world, run) == ""
    run.notes["undo"] = SimpleNamespace(poll=lambda: None)
    assert items.undo().until(world, run) == "mailspan undo has not ended"
