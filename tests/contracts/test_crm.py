"""The contract of `CrmProvider`, sentence by sentence, on every adapter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sync.errors import Busy, Conflict, Denied, LeaseLost, Rejected
from sync.model import (
    Attachment,
    Directory,
    Entry,
    Filed,
    NewRecord,
    Outcome,
    Question,
    RecordRef,
    Relation,
    Sent,
)
from sync.ports import CrmProvider
from tests.contracts.crm_world import Activity, CountingMeter, CrmWorld
from tests.contracts.memory_crm import MemoryCrmWorld
from tests.contracts.salesforce_world import SalesforceWorld
from tests.sandboxed import Sandbox

WHEN = datetime(2026, 11, 3, 10, 30, tzinfo=UTC)
LAURA = "laura@acme.example"
DANIEL = "daniel@acme.example"


@pytest.fixture(scope="module")
def crm_sandbox() -> Iterator[Sandbox]:
    """A sandbox whose Salesforce is filled anew for every test."""
    with Sandbox.start(seed=False) as sandbox:
        yield sandbox


@pytest.fixture(params=["memory", "salesforce"])
def world(request: pytest.FixtureRequest) -> CrmWorld:
    """A CRM per adapter."""
    if request.param == "memory":
        return MemoryCrmWorld()
    return SalesforceWorld(request.getfixturevalue("crm_sandbox"))


@pytest.fixture
def crm(world: CrmWorld) -> CrmProvider:
    return world.crm()


def question(
    *,
    addresses: Iterable[str] = (),
    message_ids: Iterable[str] = (),
    domains: Iterable[str] = (),
    companies: Iterable[str] = (),
    sent: Iterable[Sent] = (),
) -> Question:
    return Question(frozenset(addresses), frozenset(message_ids), frozenset(domains), frozenset(companies), tuple(sent))


def entry(world: CrmWorld, number: int = 1, **changes: Any) -> Entry:
    """A received mail from Laura, whom nobody knows, to Anna."""
    plain = Entry(
        key=f"k{number}",
        message_id=f"<mail-{number}@acme.example>",
        record="email",
        completed=True,
        owner=world.anna.id,
        subject=f"Offer {number}",
        date=WHEN,
        incoming=True,
        text="Could you send the offer?\n",
        html="<p>Could you send the offer?</p>",
        relations=(
            Relation("from", LAURA, "Laura Keller", None),
            Relation("to", "anna@northpeak.example", "Anna", world.anna),
        ),
    )
    return replace(plain, **changes)


def with_people(world: CrmWorld, *people: RecordRef, number: int = 1, **changes: Any) -> Entry:
    """A mail from the first of the people to Anna and the others."""
    first, *others = people
    relations = (
        Relation("from", LAURA, "Laura Keller", first),
        Relation("to", "anna@northpeak.example", "Anna", world.anna),
        *(Relation("cc", f"cc{at}@acme.example", "", person) for at, person in enumerate(others)),
    )
    return entry(world, number, relations=relations, **changes)


def one(crm: CrmProvider, item: Entry) -> Outcome:
    (outcome,) = crm.file([item])
    assert outcome.ok, outcome.error
    assert outcome.key == item.key
    return outcome


def only(world: CrmWorld) -> Activity:
    (activity,) = world.activities()
    return activity


def ids(found: Iterable[Any]) -> list[RecordRef]:
    return [item.record for item in found]


class Calls:
    """What a `with` has cost."""

    def __init__(self, world: CrmWorld) -> None:
        self.world = world

    def __enter__(self) -> Calls:
        self._before = self.world.requests()
        return self

    def __exit__(self, *error: object) -> None:
        self.made = self.world.requests() - self._before


# --- abilities: what the organisation can do; cached, asked again after twelve hours ------------------------------


def test_an_organisation_tells_what_it_can(crm: CrmProvider) -> None:
    able = crm.abilities()
    assert able.email_record
    assert able.shared_activities
    assert {kind: fields[:1] for kind, fields in able.email_fields.items() if kind != "account"}.keys() == {
        "user",
        "contact",
        "lead",
    }


def test_an_organisation_tells_what_it_cannot(world: CrmWorld) -> None:
    world.switch(email_record=False, shared_activities=False)
    able = world.crm().abilities()
    assert not able.email_record
    assert not able.shared_activities


def test_further_email_fields_are_found(world: CrmWorld) -> None:
    name = world.email_field("contact")
    assert name in world.crm().abilities().email_fields["contact"]


def test_abilities_are_asked_again_after_twelve_hours(world: CrmWorld, crm: CrmProvider) -> None:
    with Calls(world) as calls:
        crm.abilities()
    assert calls.made == 1
    world.switch(shared_activities=False)
    world.advance(11 * 3600)
    with Calls(world) as calls:
        assert crm.abilities().shared_activities
    assert calls.made == 0
    world.advance(3700)
    assert not crm.abilities().shared_activities


# --- match: people --------------------------------------------------------------------------------------------------


def test_users_contacts_and_leads_are_found_by_address(world: CrmWorld, crm: CrmProvider) -> None:
    acme = world.account("Acme Corp")
    laura = world.contact("Keller", LAURA, account=acme)
    lead = world.lead("Osei", DANIEL)
    found = crm.match(question(addresses={LAURA, DANIEL, "ben@northpeak.example"})).people
    (person,) = found[LAURA]
    assert person.record == laura
    assert person.email == LAURA
    assert "Keller" in person.name
    assert person.account == acme
    assert person.field
    assert ids(found[DANIEL]) == [lead]
    assert ids(found["ben@northpeak.example"]) == [world.ben]


def test_every_asked_key_is_answered(world: CrmWorld, crm: CrmProvider) -> None:
    found = crm.match(
        question(addresses={"nobody@x.example"}, domains={"x.example"}, companies={"x"}, message_ids={"<x@x.example>"})
    )
    assert found.people == {"nobody@x.example": ()}
    assert found.by_domain == {"x.example": ()}
    assert found.by_company == {"x": ()}
    assert found.filed == {}, "only those that are there"


def test_an_empty_question_costs_nothing(world: CrmWorld, crm: CrmProvider) -> None:
    with Calls(world) as calls:
        found = crm.match(Question())
    assert found == Directory()
    assert calls.made == 0


def test_each_part_of_a_question_may_stand_alone(world: CrmWorld, crm: CrmProvider) -> None:
    acme = world.account("Acme Corp", website="acme.example")
    assert crm.match(question(addresses={LAURA})).people == {LAURA: ()}
    assert ids(crm.match(question(domains={"acme.example"})).by_domain["acme.example"]) == [acme]
    assert ids(crm.match(question(companies={"acme corp"})).by_company["acme corp"]) == [acme]
    assert crm.match(question(message_ids={"<x@x.example>"})).filed == {}
    assert crm.match(question(sent=[Sent("<x@x.example>", "Offer", WHEN)])).filed == {}


def test_case_of_an_address_does_not_matter(world: CrmWorld, crm: CrmProvider) -> None:
    laura = world.contact("Keller", "Laura@ACME.example")
    assert ids(crm.match(question(addresses={LAURA})).people[LAURA]) == [laura]


def test_inactive_users_and_converted_leads_are_nobody(world: CrmWorld, crm: CrmProvider) -> None:
    world.user("Gone", "gone@northpeak.example", active=False)
    world.lead("Osei", DANIEL, converted=True)
    found = crm.match(question(addresses={"gone@northpeak.example", DANIEL})).people
    assert found == {"gone@northpeak.example": (), DANIEL: ()}


def test_users_come_before_contacts_before_leads_and_the_oldest_first(world: CrmWorld, crm: CrmProvider) -> None:
    lead = world.lead("Keller", LAURA)
    world.advance(60)
    older = world.contact("Keller", LAURA)
    world.advance(60)
    younger = world.contact("Keller", LAURA)
    world.advance(60)
    user = world.user("Keller", LAURA)
    assert ids(crm.match(question(addresses={LAURA})).people[LAURA]) == [user, older, younger, lead]


def test_a_further_email_field_counts_by_itself(world: CrmWorld) -> None:
    name = world.email_field("contact")
    laura = world.contact("Keller", "laura@home.example", other_email=LAURA)
    (person,) = world.crm().match(question(addresses={LAURA})).people[LAURA]
    assert (person.record, person.field) == (laura, name)


def test_a_further_email_field_counts_by_name_only_when_it_is_wanted(world: CrmWorld) -> None:
    name = world.email_field("contact")
    laura = world.contact("Keller", "laura@home.example", other_email=LAURA)
    wanted = question(addresses={LAURA})
    assert ids(world.crm(extra_email_fields=[name]).match(wanted).people[LAURA]) == [laura]
    assert world.crm(extra_email_fields=[]).match(wanted).people[LAURA] == ()


def test_a_person_is_found_once_however_many_fields_hold_the_address(world: CrmWorld) -> None:
    world.email_field("contact")
    laura = world.contact("Keller", LAURA, other_email=LAURA)
    assert ids(world.crm().match(question(addresses={LAURA})).people[LAURA]) == [laura]


@pytest.mark.parametrize("address", ["s.o'brien@acme.example", 'a\\b"c@acme.example', "50%_off@acme.example"])
def test_signs_of_a_query_language_are_only_signs(world: CrmWorld, crm: CrmProvider, address: str) -> None:
    decoy = world.contact("Decoy", "50xyz-off@acme.example")
    found = crm.match(question(addresses={address, "50xyz-off@acme.example"}, companies={'o\'malley "x" \\'}))
    assert found.people == {address: (), "50xyz-off@acme.example": found.people["50xyz-off@acme.example"]}
    assert ids(found.people["50xyz-off@acme.example"]) == [decoy]


def test_many_addresses_are_answered_completely(world: CrmWorld, crm: CrmProvider) -> None:
    known = world.contact("Keller", "person-777@crowd.example")
    addresses = {f"person-{number}@crowd.example" for number in range(800)}
    crm.abilities()
    with Calls(world) as calls:
        found = crm.match(question(addresses=addresses)).people
    assert found.keys() == addresses
    assert {address: ids(people) for address, people in found.items() if people} == {
        "person-777@crowd.example": [known]
    }
    assert calls.made <= 4


# --- match: accounts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "website",
    [
        "acme.example",
        "www.acme.example",
        "WWW.ACME.EXAMPLE",
        "http://acme.example",
        "https://www.acme.example/about/us?lang=en",
        "https://shop.acme.example:8443/",
    ],
)
def test_an_account_is_found_by_its_web_site(world: CrmWorld, crm: CrmProvider, website: str) -> None:
    acme = world.account("Acme Corp", website=website)
    (account,) = crm.match(question(domains={"acme.example"})).by_domain["acme.example"]
    assert (account.record, account.name, account.found_by) == (acme, "Acme Corp", "website")


@pytest.mark.parametrize(
    "website",
    ["notacme.example", "acme.example.org.example", "https://other.example/acme.example", "acme-example.example"],
)
def test_a_web_site_that_only_looks_alike_is_another(world: CrmWorld, crm: CrmProvider, website: str) -> None:
    world.account("Other", website=website)
    assert crm.match(question(domains={"acme.example"})).by_domain == {"acme.example": ()}


def test_an_underscore_in_a_domain_is_no_wildcard(world: CrmWorld, crm: CrmProvider) -> None:
    world.account("Other", website="acmexsales.example")
    assert crm.match(question(domains={"acme_sales.example"})).by_domain == {"acme_sales.example": ()}


def test_a_domain_in_another_script_is_the_same_domain(world: CrmWorld, crm: CrmProvider) -> None:
    muller = world.account("Müller", website="www.müller.example")
    found = crm.match(question(domains={"xn--mller-kva.example"})).by_domain
    assert ids(found["xn--mller-kva.example"]) == [muller]


def test_an_account_is_found_by_the_addresses_of_its_contacts(world: CrmWorld, crm: CrmProvider) -> None:
    acme = world.account("Acme Corp")
    world.contact("Keller", LAURA, account=acme)
    world.contact("Osei", DANIEL, account=acme)
    world.contact("Loose", "loose@acme.example")
    world.contact("Other", "other@notacme.example", account=world.account("Other"))
    (account,) = crm.match(question(domains={"acme.example"})).by_domain["acme.example"]
    assert (account.record, account.name, account.found_by) == (acme, "Acme Corp", "email")


def test_an_account_is_found_by_its_own_address(world: CrmWorld) -> None:
    world.email_field("account")
    acme = world.account("Acme Corp", email="office@acme.example")
    world.account("Other", email="office@notacme.example")
    (account,) = world.crm().match(question(domains={"acme.example"})).by_domain["acme.example"]
    assert (account.record, account.found_by) == (acme, "email")


def test_accounts_of_a_shared_domain_are_all_named_the_oldest_first(world: CrmWorld, crm: CrmProvider) -> None:
    holding = world.account("Helios Holding", website="HTTP://HELIOS.EXAMPLE")
    world.advance(60)
    energy = world.account("Helios Energy", website="https://www.helios.example")
    world.advance(60)
    solar = world.account("Helios Solar")
    world.contact("Vogt", "sabine@helios.example", account=solar)
    world.contact("Ek", "johan@helios.example", account=energy)
    found = crm.match(question(domains={"helios.example"})).by_domain["helios.example"]
    assert [(account.record, account.found_by) for account in found] == [
        (holding, "website"),
        (energy, "website"),
        (solar, "email"),
    ]


def test_an_account_is_found_by_its_whole_name(world: CrmWorld, crm: CrmProvider) -> None:
    older = world.account("Delta Controls")
    world.advance(60)
    younger = world.account("DELTA controls")
    world.account("Delta Controls AS")
    found = crm.match(question(companies={"delta controls", "delta"})).by_company
    assert ids(found["delta controls"]) == [older, younger]
    assert found["delta controls"][0].found_by == "name"
    assert found["delta"] == ()


def test_a_company_name_may_hold_quotes(world: CrmWorld, crm: CrmProvider) -> None:
    dairy = world.account('O\'Malley & Sons "Dairy"')
    found = crm.match(question(companies={'o\'malley & sons "dairy"'})).by_company
    assert ids(found['o\'malley & sons "dairy"']) == [dairy]


# --- match: filed ---------------------------------------------------------------------------------------------------


def test_a_filed_mail_is_found_by_its_message_id(world: CrmWorld, crm: CrmProvider) -> None:
    laura = world.contact("Keller", LAURA)
    deal = world.opportunity("3000 Widgets")
    outcome = one(crm, with_people(world, laura, targets=(deal,)))
    found = crm.match(question(message_ids={"<mail-1@acme.example>", "<mail-2@acme.example>"})).filed
    assert found.keys() == {"<mail-1@acme.example>"}
    filed = found["<mail-1@acme.example>"]
    assert filed.record == outcome.records["activity"]
    assert filed.people == {laura, world.anna, deal}


def test_a_very_long_message_id_is_still_an_identity(world: CrmWorld, crm: CrmProvider) -> None:
    long = [f"<{'x' * 900}{number}@acme.example>" for number in (1, 2)]
    one(crm, entry(world, message_id=long[0]))
    assert crm.match(question(message_ids=long)).filed.keys() == {long[0]}


def test_a_task_whose_answer_was_lost_is_found_by_subject_time_and_message_id(
    world: CrmWorld, crm: CrmProvider
) -> None:
    laura = world.contact("Keller", LAURA)
    begun = datetime.now(UTC) - timedelta(minutes=1)
    outcome = one(crm, with_people(world, laura, record="task"))
    world.task("Offer 1", "the same subject, by hand")
    one(crm, entry(world, 2, record="task", subject="Offer 1"))
    sent = [Sent("<mail-1@acme.example>", "Offer 1", begun), Sent("<mail-3@acme.example>", "Offer 1", begun)]
    found = crm.match(question(sent=sent)).filed
    assert found.keys() == {"<mail-1@acme.example>"}
    assert found["<mail-1@acme.example>"].record == outcome.records["activity"]
    assert laura in found["<mail-1@acme.example>"].people


def test_a_task_is_found_whatever_its_subject_is(world: CrmWorld, crm: CrmProvider) -> None:
    subjects = ["", "  spaced  ", "x" * 400, "佐藤様 'quoted' 100%_\\", "folded\n subject"]
    begun = datetime.now(UTC) - timedelta(minutes=1)
    items = [entry(world, at, record="task", subject=text) for at, text in enumerate(subjects)]
    assert all(outcome.ok for outcome in crm.file(items))
    found = crm.match(question(sent=[Sent(item.message_id, item.subject, begun) for item in items])).filed
    assert found.keys() == {item.message_id for item in items}


# --- match: cost ----------------------------------------------------------------------------------------------------


def test_a_normal_mail_is_matched_in_one_call(world: CrmWorld, crm: CrmProvider) -> None:
    crm.abilities()
    with Calls(world) as calls:
        crm.match(
            question(
                addresses={LAURA, DANIEL, "ben@northpeak.example"},
                domains={"acme.example"},
                companies={"acme corp"},
                message_ids={"<mail-1@acme.example>"},
            )
        )
    assert calls.made == 1


def test_fifty_mails_cost_five_calls_at_most(world: CrmWorld, crm: CrmProvider) -> None:
    known = [world.contact(f"Person{number}", f"p{number}@acme.example") for number in range(4)]
    crm.abilities()
    items = [with_people(world, *known, number=number) for number in range(50)]
    with Calls(world) as calls:
        crm.match(
            question(
                addresses={f"p{number}@d{number % 30}.example" for number in range(100)},
                domains={f"d{number}.example" for number in range(30)},
                companies={f"company {number}" for number in range(30)},
                message_ids={item.message_id for item in items},
            )
        )
        outcomes = crm.file(items)
    assert all(outcome.ok for outcome in outcomes)
    assert len(world.activities()) == 50
    assert calls.made <= 5


# --- file: an e-mail record -----------------------------------------------------------------------------------------


def test_an_email_is_written_whole(world: CrmWorld, crm: CrmProvider) -> None:
    laura, daniel = world.contact("Keller", LAURA), world.lead("Osei", DANIEL)
    relations = (
        Relation("from", LAURA, "Laura Keller", laura),
        Relation("to", "anna@northpeak.example", "Anna", world.anna),
        Relation("to", "someone@else.example", "Some One", None),
        Relation("cc", DANIEL, "Daniel", daniel),
        Relation("cc", "second@else.example", "", None),
        Relation("bcc", "third@else.example", "", None),
    )
    outcome = one(crm, entry(world, relations=relations))
    activity = only(world)
    assert outcome.records == {"activity": activity.record}
    assert activity.record.kind == "email"
    assert activity.subject == "Offer 1"
    assert activity.text.strip() == "Could you send the offer?"
    assert activity.html == "<p>Could you send the offer?</p>"
    assert activity.incoming is True
    assert activity.message_id == "<mail-1@acme.example>"
    assert activity.related == {("from", laura), ("to", world.anna), ("cc", daniel)}
    assert activity.addresses["to"] == {"someone@else.example"}
    assert activity.addresses["cc"] == {"second@else.example"}
    assert activity.addresses["bcc"] == {"third@else.example"}
    assert activity.items == frozenset()


def test_a_sent_mail_is_no_received_one(world: CrmWorld, crm: CrmProvider) -> None:
    laura = world.contact("Keller", LAURA)
    relations = (Relation("from", "anna@northpeak.example", "", world.anna), Relation("bcc", LAURA, "", laura))
    one(crm, entry(world, incoming=False, relations=relations))
    activity = only(world)
    assert activity.incoming is False
    assert activity.related == {("from", world.anna), ("bcc", laura)}


def test_an_address_without_record_is_kept(world: CrmWorld, crm: CrmProvider) -> None:
    one(crm, entry(world))
    assert only(world).addresses["from"] == {LAURA}


def test_a_user_who_is_in_no_header_is_related(world: CrmWorld, crm: CrmProvider) -> None:
    relations = (*entry(world).relations, Relation("other", "ben@northpeak.example", "", world.ben))
    one(crm, entry(world, relations=relations))
    assert only(world).related == {("to", world.anna), ("other", world.ben)}


def test_a_user_who_is_in_a_header_is_not_related_twice(world: CrmWorld, crm: CrmProvider) -> None:
    relations = (*entry(world).relations, Relation("other", "anna@northpeak.example", "", world.anna))
    one(crm, entry(world, relations=relations))
    assert only(world).related == {("to", world.anna)}


def test_the_primary_target_is_what_the_mail_is_about(world: CrmWorld, crm: CrmProvider) -> None:
    first, second = world.opportunity("First"), world.opportunity("Second")
    outcome = one(crm, entry(world, targets=(first, second)))
    assert only(world).items == {first}
    assert outcome.notes, "what was left out is told"


def test_attachments_are_files_of_the_record(world: CrmWorld, crm: CrmProvider) -> None:
    files = (
        Attachment("offer.pdf", "application/pdf", bytes(range(256)) * 8),
        Attachment("Größe/Übersicht.txt", "text/plain", "Größe".encode()),
    )
    one(crm, entry(world, attachments=files))
    held = only(world).files
    assert sorted(held.values()) == sorted(file.content for file in files)
    assert held["offer.pdf"] == files[0].content


def test_text_alone_is_enough(world: CrmWorld, crm: CrmProvider) -> None:
    one(crm, entry(world, html="", text="plain\n"))
    assert only(world).text.strip() == "plain"


def test_an_empty_mail_is_filed(world: CrmWorld, crm: CrmProvider) -> None:
    one(crm, entry(world, html="", text="", subject=""))
    assert only(world).message_id == "<mail-1@acme.example>"


# --- file: new people -----------------------------------------------------------------------------------------------


def new_people(world: CrmWorld, number: int = 1, **changes: Any) -> Entry:
    """A mail for which an account, a contact and a lead are created."""
    account, contact, lead = RecordRef("account", "@a"), RecordRef("contact", "@c"), RecordRef("lead", "@l")
    create = (
        NewRecord(
            "@c", "contact", {"first_name": "Laura", "last_name": "Keller", "email": LAURA}, world.ben.id, account
        ),
        NewRecord("@a", "account", {"name": "Acme Corp", "website": "acme.example"}, world.ben.id),
        NewRecord("@l", "lead", {"last_name": "Osei", "email": DANIEL, "company": "Acme Corp"}, world.anna.id),
    )
    relations = (
        Relation("from", LAURA, "Laura Keller", contact),
        Relation("to", "anna@northpeak.example", "Anna", world.anna),
        Relation("cc", DANIEL, "Daniel", lead),
    )
    return entry(world, number, create=create, relations=relations, **changes)


@pytest.mark.parametrize("record", ["email", "task"])
def test_people_and_accounts_are_created_with_the_mail(world: CrmWorld, crm: CrmProvider, record: str) -> None:
    crm.abilities()
    with Calls(world) as calls:
        outcome = one(crm, new_people(world, record=record))
    assert calls.made == 1
    made = outcome.records
    assert {"@a", "@c", "@l", "activity"} <= made.keys()
    assert {ref: made[ref].kind for ref in ("@a", "@c", "@l")} == {"@a": "account", "@c": "contact", "@l": "lead"}
    account, contact, lead = (world.fields(made[ref]) for ref in ("@a", "@c", "@l"))
    assert (account["name"], account["website"], account["owner"]) == ("Acme Corp", "acme.example", world.ben.id)
    assert (contact["first_name"], contact["last_name"], contact["email"]) == ("Laura", "Keller", LAURA)
    assert (contact["account"], contact["owner"]) == (made["@a"].id, world.ben.id)
    assert (lead["last_name"], lead["company"], lead["email"]) == ("Osei", "Acme Corp", DANIEL)
    related = frozenset[RecordRef]().union(*(activity.people for activity in world.activities()))
    assert {made["@c"], made["@l"]} <= related


def test_a_person_without_a_name_is_called_something(world: CrmWorld, crm: CrmProvider) -> None:
    new = NewRecord("@c", "contact", {"email": "info@acme.example"}, world.anna.id)
    relations = (Relation("from", "info@acme.example", "", RecordRef("contact", "@c")),)
    outcome = one(crm, entry(world, create=(new,), relations=relations))
    assert world.fields(outcome.records["@c"])["email"] == "info@acme.example"


def test_a_duplicate_rule_gives_the_record_that_is_there(world: CrmWorld, crm: CrmProvider) -> None:
    laura = world.contact("Keller")
    world.duplicate_rule("contact")
    outcome = one(crm, new_people(world))
    assert outcome.records["@c"] == laura
    assert world.count("contact") == 1
    assert only(world).related == {("from", laura), ("to", world.anna), ("cc", outcome.records["@l"])}
    assert any(laura.id[:15] in note for note in outcome.notes)


def test_an_entry_is_written_whole_or_not_at_all(world: CrmWorld, crm: CrmProvider) -> None:
    world.demand("lead")
    before = world.count("contact"), world.count("account")
    (outcome,) = crm.file([new_people(world)])
    assert isinstance(outcome.error, Rejected)
    assert outcome.error.reason == "required_field"
    assert not world.activities()
    assert (world.count("contact"), world.count("account")) == before


def test_entries_do_not_depend_on_each_other(world: CrmWorld, crm: CrmProvider) -> None:
    world.demand("lead")
    items = [new_people(world, at) if at % 2 else entry(world, at) for at in range(40)]
    outcomes = crm.file(items)
    assert [outcome.key for outcome in outcomes] == [item.key for item in items]
    assert [outcome.ok for outcome in outcomes] == [at % 2 == 0 for at in range(40)]
    assert {activity.message_id for activity in world.activities()} == {items[at].message_id for at in range(0, 40, 2)}
    assert world.count("account") == 0


def test_a_record_that_was_deleted_since_is_a_conflict(world: CrmWorld, crm: CrmProvider) -> None:
    gone, laura = world.contact("Gone", "gone@acme.example"), world.contact("Keller", LAURA)
    world.delete(gone)
    lost, fine = crm.file([with_people(world, gone), with_people(world, laura, number=2)])
    assert isinstance(lost.error, Conflict)
    assert fine.ok


def test_nothing_to_file_costs_nothing(world: CrmWorld, crm: CrmProvider) -> None:
    with Calls(world) as calls:
        assert list(crm.file([])) == []
    assert calls.made == 0


@pytest.mark.parametrize("refusal", [Busy("taken over", retry_after=1.0), LeaseLost("mailbox 1")], ids=repr)
def test_who_is_asked_before_it_is_sent_can_prevent_the_effect(
    world: CrmWorld, crm: CrmProvider, refusal: Exception
) -> None:
    there: list[int] = []
    first, second = entry(world), entry(world, 2)
    assert [outcome.ok for outcome in crm.file([first], lambda: there.append(len(world.activities())))] == [True]
    assert set(there) == {0}, "asked before the effect"

    def refuse() -> None:
        raise refusal

    before = world.snapshot()
    with pytest.raises(type(refusal), match=str(refusal)):
        crm.file([second], refuse)
    assert world.snapshot() == before
    one(crm, second)
    assert [activity.message_id for activity in world.activities()] == [first.message_id, second.message_id]


# --- file: tasks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("completed", [True, False])
def test_a_task_is_done_or_not(world: CrmWorld, crm: CrmProvider, completed: bool) -> None:
    outcome = one(crm, entry(world, record="task", completed=completed, owner=world.ben.id))
    activity = only(world)
    assert outcome.records == {"activity": activity.record}
    assert activity.record.kind == "task"
    assert activity.closed is completed
    assert activity.owner == world.ben
    assert activity.subject == "Offer 1"
    assert "Could you send the offer?" in activity.text
    assert activity.people == frozenset()


def test_one_task_holds_all_contacts(world: CrmWorld, crm: CrmProvider) -> None:
    people = [world.contact(f"Person{at}", f"p{at}@acme.example") for at in range(3)]
    deal = world.opportunity("3000 Widgets")
    one(crm, with_people(world, *people, record="task", targets=(deal,)))
    activity = only(world)
    assert activity.people == set(people)
    assert activity.items == {deal}


def test_each_lead_has_a_task_of_its_own(world: CrmWorld, crm: CrmProvider) -> None:
    laura, first, second = (
        world.contact("Keller", LAURA),
        world.lead("One", "1@x.example"),
        world.lead("Two", "2@x.example"),
    )
    outcome = one(crm, with_people(world, first, laura, second, record="task"))
    assert outcome.records.keys() == {"activity", "activity.2", "activity.3"}
    held = {activity.record: activity.people for activity in world.activities()}
    assert held[outcome.records["activity"]] == {laura}
    assert {held[outcome.records["activity.2"]], held[outcome.records["activity.3"]]} == {
        frozenset({first}),
        frozenset({second}),
    }


def test_without_shared_activities_each_person_has_a_task(world: CrmWorld) -> None:
    world.switch(shared_activities=False)
    people = [world.contact(f"Person{at}", f"p{at}@acme.example") for at in range(3)]
    outcome = one(world.crm(), with_people(world, *people, record="task"))
    assert len(outcome.records) == 3
    assert sorted((activity.people for activity in world.activities()), key=repr) == sorted(
        (frozenset({person}) for person in people), key=repr
    )


def test_an_organisation_without_email_records_takes_tasks(world: CrmWorld) -> None:
    world.switch(email_record=False)
    crm = world.crm()
    laura = world.contact("Keller", LAURA)
    found = crm.match(question(addresses={LAURA}, message_ids={"<mail-1@acme.example>"}))
    assert ids(found.people[LAURA]) == [laura]
    one(crm, with_people(world, laura, record="task"))
    assert only(world).people == {laura}


def test_attachments_are_files_of_the_task(world: CrmWorld, crm: CrmProvider) -> None:
    one(crm, entry(world, record="task", attachments=(Attachment("a.txt", "text/plain", b"hello"),)))
    assert only(world).files == {"a.txt": b"hello"}


@pytest.mark.parametrize("record", ["email", "task"])
def test_what_is_too_long_is_cut_and_told(world: CrmWorld, crm: CrmProvider, record: str) -> None:
    item = entry(world, record=record, subject="𝕊" * 5000, text="ä" * 200_000, html="<p>" + "x" * 200_000)
    outcome = one(crm, item)
    assert only(world).subject.startswith("𝕊" * 100)
    assert outcome.notes


def test_signs_that_are_no_text_do_not_keep_a_mail_out(world: CrmWorld, crm: CrmProvider) -> None:
    one(crm, entry(world, subject="bell \x07 null \x00", text="form\x0cfeed \ud800 end", html="<p>\x00</p>"))
    assert only(world).message_id == "<mail-1@acme.example>"


# --- file: what is there already ------------------------------------------------------------------------------------


def filed(crm: CrmProvider, item: Entry) -> Filed:
    found = crm.match(question(message_ids={item.message_id}, sent=[Sent(item.message_id, item.subject, WHEN)])).filed
    return found[item.message_id]


def test_a_second_colleague_is_related_to_the_same_record(world: CrmWorld, crm: CrmProvider) -> None:
    laura = world.contact("Keller", LAURA)
    item = with_people(world, laura)
    first = one(crm, item)
    theirs = replace(item, relations=(*item.relations, Relation("other", "ben@northpeak.example", "", world.ben)))
    second = one(crm, replace(theirs, existing=filed(crm, item)))
    assert second.records == {**first.records, "added.1": world.ben}, "what is added to a record can be taken back"
    assert only(world).related == {("from", laura), ("to", world.anna), ("other", world.ben)}


@pytest.mark.parametrize("record", ["email", "task"])
def test_filing_again_adds_nothing(world: CrmWorld, crm: CrmProvider, record: str) -> None:
    laura, lead = world.contact("Keller", LAURA), world.lead("Osei", DANIEL)
    item = with_people(world, laura, lead, record=record)
    one(crm, item)
    before = world.activities()
    known = filed(crm, item)
    with Calls(world) as calls:
        again = one(crm, replace(item, existing=known))
    assert again.records["activity"] == known.record
    assert calls.made == 0
    assert list(world.activities()) == list(before)


@pytest.mark.parametrize("shared", [True, False])
def test_a_missing_contact_joins_the_task(world: CrmWorld, shared: bool) -> None:
    world.switch(shared_activities=shared)
    crm = world.crm()
    laura, daniel = world.contact("Keller", LAURA), world.contact("Osei", DANIEL)
    item = with_people(world, laura, record="task")
    one(crm, item)
    one(crm, replace(with_people(world, laura, daniel, record="task"), existing=filed(crm, item)))
    found = world.activities()
    assert len(found) == (1 if shared else 2)
    assert frozenset[RecordRef]().union(*(activity.people for activity in found)) == {laura, daniel}


@pytest.mark.parametrize("shared", [True, False])
def test_the_first_person_joins_a_task_of_nobody(world: CrmWorld, shared: bool) -> None:
    world.switch(shared_activities=shared)
    crm = world.crm()
    item = entry(world, record="task", completed=False)
    one(crm, item)
    laura = world.contact("Keller", LAURA)
    one(crm, replace(with_people(world, laura, record="task"), existing=filed(crm, item)))
    assert only(world).people == {laura}


def test_a_colleague_cannot_join_a_task_and_that_is_told(world: CrmWorld, crm: CrmProvider) -> None:
    item = entry(world, record="task")
    one(crm, item)
    theirs = replace(item, relations=(*item.relations, Relation("other", "ben@northpeak.example", "", world.ben)))
    daniel = world.contact("Osei", DANIEL)
    theirs = replace(theirs, relations=(*theirs.relations, Relation("cc", DANIEL, "", daniel)))
    assert one(crm, replace(theirs, existing=filed(crm, item))).notes


@pytest.mark.parametrize("record", ["email", "task"])
def test_a_target_is_added_but_never_exchanged(world: CrmWorld, crm: CrmProvider, record: str) -> None:
    first, second = world.opportunity("First"), world.opportunity("Second")
    laura = world.contact("Keller", LAURA)
    item = with_people(world, laura, record=record)
    one(crm, item)
    one(crm, replace(item, targets=(first,), existing=filed(crm, item)))
    assert only(world).items == {first}
    outcome = one(crm, replace(item, targets=(second,), existing=filed(crm, item)))
    assert only(world).items == {first}
    assert outcome.notes


# --- trouble --------------------------------------------------------------------------------------------------------


def test_a_locked_record_keeps_its_own_entry_waiting(world: CrmWorld, crm: CrmProvider) -> None:
    acme = world.account("Acme Corp")
    new = NewRecord("@c", "contact", {"last_name": "Keller", "email": LAURA}, world.anna.id, acme)
    item = entry(world, create=(new,), relations=(Relation("from", LAURA, "", RecordRef("contact", "@c")),))
    world.lock(acme)
    locked, fine = crm.file([item, entry(world, 2)])
    assert isinstance(locked.error, Busy)
    assert not locked.error.unknown
    assert fine.ok
    assert one(crm, item).ok


def test_a_lost_answer_is_told_and_nothing_is_doubled(world: CrmWorld, crm: CrmProvider) -> None:
    laura = world.contact("Keller", LAURA)
    crm.abilities()
    item = with_people(world, laura)
    world.fault("lost")
    with pytest.raises(Busy) as caught:
        crm.file([item])
    assert caught.value.unknown
    assert filed(crm, item).people >= {laura}
    assert len(world.activities()) == 1


@pytest.mark.parametrize("kind", ["throttled", "down", "reset"])
def test_a_failing_service_is_busy(world: CrmWorld, crm: CrmProvider, kind: Any) -> None:
    crm.abilities()
    world.fault(kind)
    with pytest.raises(Busy):
        crm.match(question(addresses={LAURA}))
    assert crm.match(question(addresses={LAURA})).people == {LAURA: ()}
    world.fault(kind)
    with pytest.raises(Busy):
        crm.file([entry(world)])
    assert one(crm, entry(world)).ok


def test_throttling_tells_when_to_come_again(world: CrmWorld) -> None:
    meter = CountingMeter()
    crm = world.crm(meter)
    crm.abilities()
    world.fault("throttled", retry_after=17)
    with pytest.raises(Busy) as caught:
        crm.match(question(addresses={LAURA}))
    assert caught.value.retry_after == 17
    assert meter.refused == [17]


def test_an_exhausted_organisation_is_left_alone_for_long(world: CrmWorld, crm: CrmProvider) -> None:
    crm.abilities()
    world.fault("limit")
    with pytest.raises(Busy) as caught:
        crm.match(question(addresses={LAURA}))
    assert caught.value.retry_after >= 600


def test_an_expired_session_is_renewed(world: CrmWorld, crm: CrmProvider) -> None:
    crm.abilities()
    world.fault("expired")
    assert crm.match(question(addresses={LAURA})).people == {LAURA: ()}


def test_a_revoked_grant_is_denied(world: CrmWorld, crm: CrmProvider) -> None:
    crm.abilities()
    world.fault("revoked")
    with pytest.raises(Denied):
        crm.match(question(addresses={LAURA}))


def test_an_empty_budget_makes_no_call(world: CrmWorld) -> None:
    meter = CountingMeter()
    crm = world.crm(meter)
    crm.abilities()
    meter.empty = True
    with Calls(world) as calls:
        with pytest.raises(Busy):
            crm.match(question(addresses={LAURA}))
        with pytest.raises(Busy):
            crm.file([entry(world)])
    assert calls.made == 0


def test_every_call_is_metered(world: CrmWorld) -> None:
    meter = CountingMeter()
    crm = world.crm(meter)
    with Calls(world) as calls:
        crm.abilities()
        crm.match(question(addresses={LAURA}))
        one(crm, entry(world))
        crm.names([world.anna])
    assert len(meter.spent) == calls.made
    assert sum(units for _, units in meter.spent) == calls.made
    used, limit = meter.usage[-1]
    assert 0 < used < limit


# --- names ----------------------------------------------------------------------------------------------------------


def test_records_have_titles_and_links(world: CrmWorld, crm: CrmProvider) -> None:
    acme, laura = world.account("Acme Corp"), world.contact("Keller", LAURA)
    lead, deal = world.lead("Osei", DANIEL), world.opportunity("3000 Widgets")
    activity = one(crm, with_people(world, laura)).records["activity"]
    found = crm.names([acme, laura, lead, deal, activity, world.anna])
    assert found.keys() == {acme, laura, lead, deal, activity, world.anna}
    assert found[acme].title == "Acme Corp"
    assert "Keller" in found[laura].title
    assert "Lindqvist" in found[world.anna].title
    assert found[deal].title == "3000 Widgets"
    assert found[activity].title == "Offer 1"
    for record, item in found.items():
        assert item.record == record
        assert item.link.startswith("https://")
        assert record.id in item.link


def test_records_that_are_gone_have_no_name(world: CrmWorld, crm: CrmProvider) -> None:
    gone, laura = world.contact("Gone", "gone@acme.example"), world.contact("Keller", LAURA)
    world.delete(gone)
    assert crm.names([gone, laura]).keys() == {laura}


def test_what_nobody_knows_has_no_name(world: CrmWorld, crm: CrmProvider) -> None:
    unknown = [RecordRef("email", "not-an-id"), RecordRef("Nothing__c", "a00000000000001AAA")]
    assert crm.names([*unknown, world.anna]).keys() == {world.anna}


def test_no_records_no_call(world: CrmWorld, crm: CrmProvider) -> None:
    with Calls(world) as calls:
        assert crm.names([]) == {}
    assert calls.made == 0
