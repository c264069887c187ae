"""The contract of `CrmProvider.undo`: filing and taking back leaves everything as it was; what others touched stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sync.errors import Busy
from sync.model import Attachment, Entry, NewRecord, Outcome, RecordRef, Relation, Removal
from sync.ports import CrmProvider
from tests.contracts.crm_world import CrmWorld
from tests.contracts.test_crm import DANIEL, LAURA, Calls, crm, crm_sandbox, entry, one, only, with_people, world
from tests.contracts.test_crm_items import KINDS, creating, match

__all__ = ["crm", "crm_sandbox", "world"]
FILE = Attachment("offer.pdf", "application/pdf", b"offer")
ORDER = ("contact", "lead", "account")


def removal(*outcomes: Outcome, adopted: bool = False, former: RecordRef | None = None) -> Removal:
    """What undoing these filings of one mail takes back."""
    records = [pair for outcome in outcomes for pair in outcome.records.items()]
    activities = list(dict.fromkeys(record for name, record in records if name.startswith("activity")))
    main = outcomes[0].records["activity"]
    created = dict.fromkeys(record for name, record in records if name.startswith("@"))
    return Removal(
        "k1",
        restore=((main, former),) if adopted else (),
        unrelate=tuple((main, record) for name, record in records if name.startswith("added.")) if adopted else (),
        delete=tuple(record for record in activities if not adopted or record != main),
        created=tuple(sorted(created, key=lambda one: ORDER.index(one.kind) + 1 if one.kind in ORDER else 0)),
    )


def undone(crm: CrmProvider, wanted: Removal) -> Outcome:
    (outcome,) = crm.undo([wanted])
    assert outcome.key == wanted.key
    assert outcome.ok, outcome.error
    return outcome


def everything_new(world: CrmWorld, crm: CrmProvider, kind: str, **changes: Any) -> Entry:
    """A mail with which an item, a contact with an account, and a lead are created."""
    account, contact, lead = RecordRef("account", "@a"), RecordRef("contact", "@c"), RecordRef("lead", "@l")
    create = (
        NewRecord("@c", "contact", {"last_name": "Keller", "email": LAURA}, world.anna.id, account),
        NewRecord("@a", "account", {"name": "Acme Corp"}, world.anna.id),
        NewRecord("@l", "lead", {"last_name": "Osei", "email": DANIEL, "company": "Acme"}, world.anna.id),
    )
    relations = (Relation("from", LAURA, "Laura Keller", contact), Relation("cc", DANIEL, "", lead))
    more = {"account": account, "contact": contact}
    given = {"create": create, "relations": relations, "attachments": (FILE,), "more": more, **changes}
    made: Entry = creating(world, crm, kind, **given)
    return made


# --- as it was --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", ["email", "task"])
def test_an_archived_mail_goes_with_its_files(world: CrmWorld, crm: CrmProvider, record: str) -> None:
    laura, lead = world.contact("Keller", LAURA), world.lead("Osei", DANIEL)
    before = world.snapshot()
    outcome = one(crm, with_people(world, laura, lead, record=record, attachments=(FILE,)))
    assert world.snapshot() != before
    assert not undone(crm, removal(outcome)).notes
    assert world.snapshot() == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("record", ["email", "task"])
def test_what_was_created_goes_too(world: CrmWorld, crm: CrmProvider, kind: str, record: str) -> None:
    before = world.snapshot()
    outcome = one(crm, everything_new(world, crm, kind, record=record))
    assert {"@item", "@a", "@c", "@l"} <= outcome.records.keys()
    assert not undone(crm, removal(outcome)).notes
    assert world.snapshot() == before


def test_a_further_item_goes_with_its_task(world: CrmWorld, crm: CrmProvider) -> None:
    case, laura = world.item("case", "Case"), world.contact("Keller", LAURA)
    before = world.snapshot()
    first = one(crm, with_people(world, laura, targets=(case,)))
    second = one(crm, replace(creating(world, crm, "opportunity", record="task"), key="k2"))
    undone(crm, removal(first, second))
    assert world.snapshot() == before


@pytest.mark.parametrize("record", ["email", "task"])
def test_a_record_that_was_there_gets_back_what_it_had(world: CrmWorld, crm: CrmProvider, record: str) -> None:
    first, second = world.item("case", "First"), world.item("project__c", "Second")
    laura, daniel = world.contact("Keller", LAURA), world.contact("Osei", DANIEL)
    mail = with_people(world, laura, record=record, targets=(first,))
    one(crm, mail)
    before = world.snapshot()
    there = match(crm, mail).filed[mail.message_id]
    theirs = with_people(world, laura, daniel, record=record, existing=there, targets=(second,), moved_from=first)
    outcome = one(crm, theirs)
    assert only(world).items == {second}
    assert daniel in only(world).people
    assert not undone(crm, removal(outcome, adopted=True, former=first)).notes
    assert only(world).items == {first}
    assert world.snapshot() == before


def test_a_record_that_had_no_item_has_none_again(world: CrmWorld, crm: CrmProvider) -> None:
    mail = entry(world)
    one(crm, mail)
    before = world.snapshot()
    there = match(crm, mail).filed[mail.message_id]
    outcome = one(crm, creating(world, crm, "case", existing=there))
    undone(crm, removal(outcome, adopted=True))
    assert only(world).items == frozenset()
    assert world.snapshot() == before


def test_taking_back_twice_is_taking_back_once(world: CrmWorld, crm: CrmProvider) -> None:
    before = world.snapshot()
    wanted = removal(one(crm, everything_new(world, crm, "case")))
    undone(crm, wanted)
    assert not undone(crm, wanted).notes
    assert world.snapshot() == before


# --- what others touched ----------------------------------------------------------------------------------------------


def test_an_item_that_was_changed_stays_with_its_people(world: CrmWorld, crm: CrmProvider) -> None:
    outcome = one(crm, everything_new(world, crm, "case"))
    made = outcome.records
    world.advance(60)
    world.edit(made["@item"], title="Somebody's own", by=world.ben)
    notes = undone(crm, removal(outcome)).notes
    there = crm.names([made[name] for name in ("@item", "@c", "@a", "@l")])
    assert there.keys() == {made["@item"], made["@c"], made["@a"]}, "they belong to the item"
    assert not world.activities()
    for name in ("@item", "@c", "@a"):
        assert any(made[name].id in note for note in notes)
    assert not any(text in note for note in notes for text in ("Keller", "Acme", "own", LAURA))


@pytest.mark.parametrize("name", ["@item", "@c", "@l", "@a"])
def test_what_somebody_else_uses_stays(world: CrmWorld, crm: CrmProvider, name: str) -> None:
    outcome = one(crm, everything_new(world, crm, "opportunity"))
    world.log("Called them", outcome.records[name])
    notes = undone(crm, removal(outcome)).notes
    assert outcome.records[name] in crm.names([outcome.records[name]])
    assert any(outcome.records[name].id in note for note in notes)


def test_a_contact_that_is_in_another_mail_stays(world: CrmWorld, crm: CrmProvider) -> None:
    outcome = one(crm, everything_new(world, crm, "case"))
    contact, lead = outcome.records["@c"], outcome.records["@l"]
    relations = (Relation("to", "x@y.example", "", contact), Relation("cc", DANIEL, "", lead))
    one(crm, entry(world, 2, relations=relations))
    undone(crm, removal(outcome))
    left = [outcome.records[name] for name in ("@c", "@l", "@a")]
    assert crm.names([*left, outcome.records["@item"]]).keys() == set(left)


def test_an_account_with_another_item_stays(world: CrmWorld, crm: CrmProvider) -> None:
    outcome = one(crm, everything_new(world, crm, "case"))
    account = outcome.records["@a"]
    world.advance(60)
    world.item("project__c", "Theirs", account=account)
    undone(crm, removal(outcome))
    assert crm.names([account, outcome.records["@c"]]).keys() == {account}


# --- cost and trouble -------------------------------------------------------------------------------------------------


def test_taking_back_costs_few_calls(world: CrmWorld, crm: CrmProvider) -> None:
    laura = world.contact("Keller", LAURA)
    plain, large = one(crm, with_people(world, laura)), one(crm, everything_new(world, crm, "case", message_id="<2@x>"))
    with Calls(world) as calls:
        undone(crm, removal(plain))
    assert calls.made <= 2
    with Calls(world) as calls:
        undone(crm, removal(large))
    assert calls.made <= 4
    with Calls(world) as calls:
        assert list(crm.undo([])) == []
    assert calls.made == 0


def test_a_lost_answer_is_told_and_repeating_ends_it(world: CrmWorld, crm: CrmProvider) -> None:
    laura = world.contact("Keller", LAURA)
    before = world.snapshot()
    wanted = removal(one(crm, with_people(world, laura)))
    world.fault("lost", skip=0 if world.name == "memory" else 1)
    with pytest.raises(Busy):
        crm.undo([wanted])
    undone(crm, wanted)
    assert world.snapshot() == before
