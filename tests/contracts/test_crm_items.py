"""The contract of `CrmProvider` about module items: what they are, reading them, filing to them, their changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sync.errors import Rejected
from sync.model import Directory, NewItem, NewRecord, Question, RecordRef, Relation, Sent
from sync.modules import Change, Module, ModuleItem, Scope
from sync.options import ModuleRule
from sync.ports import CrmProvider
from tests.contracts.crm_world import CrmWorld
from tests.contracts.test_crm import LAURA, Calls, crm, crm_sandbox, entry, one, only, with_people, world

__all__ = ["crm", "crm_sandbox", "world"]
KINDS = ("opportunity", "case", "project__c")
RULES = [ModuleRule(kind) for kind in KINDS]
OPPORTUNITY = ModuleRule("opportunity")


def modules(crm: CrmProvider, *names: str) -> dict[str, Module]:
    found = crm.modules(names)
    assert list(found) == list(names)
    return {name: one for name, one in found.items() if isinstance(one, Module)}


def whole(
    crm: CrmProvider, world: CrmWorld, *records: RecordRef, scope: Scope = "owned", rules: Any = RULES
) -> list[ModuleItem]:
    found = crm.items(records, rules, world.anna.id, scope)
    return [found[record] for record in records]


def all_changes(crm: CrmProvider, cursor: str, *names: str) -> tuple[dict[RecordRef, Change], str]:
    out: dict[RecordRef, Change] = {}
    while True:
        page = crm.feed(cursor, names or KINDS)
        out |= {change.record: change for change in page.changed}
        cursor = page.cursor
        if not page.more:
            return out, cursor


# --- modules ----------------------------------------------------------------------------------------------------------


def test_modules_tell_what_their_fields_are(crm: CrmProvider) -> None:
    found = modules(crm, "opportunity", "case", "project__c")
    deal, case, project = (found[kind] for kind in KINDS)
    assert (deal.kind, deal.label, deal.plural) == ("opportunity", "Opportunity", "Opportunities")
    assert deal.fields[deal.title].required
    assert all((deal.amount, deal.status, deal.due, deal.account, deal.contact))
    assert not deal.number
    assert all((case.title, case.number, case.status, case.account, case.contact))
    assert not case.fields[case.number].writable
    assert (project.kind, project.name, project.plural) == ("project__c", "Project__c", "Projects")
    assert all((project.title, project.amount, project.status, project.due, project.account))
    types = {name: deal.fields[getattr(deal, name)].type for name in ("title", "amount", "status", "due", "account")}
    assert types == {"title": "text", "amount": "money", "status": "choice", "due": "date", "account": "reference"}
    assert deal.fields[deal.account].refers == ("account",)
    assert all(module.creatable and module.activities for module in found.values())


def test_what_is_required_is_what_nobody_else_gives(crm: CrmProvider) -> None:
    found = modules(crm, *KINDS)
    required = {kind: {spec.name for spec in module.fields.values() if spec.required} for kind, module in found.items()}
    deal, project = found["opportunity"], found["project__c"]
    assert required["opportunity"] == {deal.title, deal.status, deal.due}
    assert required["case"] == set()
    assert required["project__c"] <= {project.title}, "who names no custom object gets its id as name"


def test_the_first_state_is_an_open_one(crm: CrmProvider) -> None:
    for module in modules(crm, "opportunity", "case").values():
        choices = module.fields[module.status].choices
        assert not choices[0].startswith("Closed")
        closed = [choice.startswith("Closed") for choice in choices]
        assert closed == sorted(closed)
        assert any(closed)


@pytest.mark.parametrize("name", ["Opportunity", "OPPORTUNITY", "opportunities", "Opportunities"])
def test_a_module_is_known_by_any_name(crm: CrmProvider, name: str) -> None:
    assert modules(crm, name)[name].kind == "opportunity"


@pytest.mark.parametrize("name", ["Project", "projects", "project__c", "Project__c"])
def test_a_custom_module_is_known_by_its_label(crm: CrmProvider, name: str) -> None:
    assert modules(crm, name)[name].kind == "project__c"


def test_what_is_no_module_is_refused_and_the_others_are_told(crm: CrmProvider) -> None:
    found = crm.modules(["Nothing", "case", "no such thing"])
    assert isinstance(found["Nothing"], Rejected)
    assert isinstance(found["no such thing"], Rejected)
    assert isinstance(found["case"], Module)


def test_modules_are_asked_once_in_twelve_hours(world: CrmWorld, crm: CrmProvider) -> None:
    with Calls(world) as calls:
        modules(crm, *KINDS)
    assert calls.made == 1
    with Calls(world) as calls:
        modules(crm, *KINDS)
    assert calls.made == 0


# --- items ------------------------------------------------------------------------------------------------------------


def test_an_item_is_read_whole(world: CrmWorld, crm: CrmProvider) -> None:
    acme = world.account("Acme Corp")
    deal = world.item("opportunity", "3000 Widgets", amount=120000, due="2027-01-31", account=acme, next_step="Call")
    case = world.item("case", "Control not activating")
    project = world.item("project__c", "Move", amount=0.5, status="Running", account=acme)
    rule = ModuleRule("opportunity", summary_fields=(modules(crm, "opportunity")["opportunity"].amount,))
    one, two, three = whole(crm, world, deal, case, project, rules=[rule, *RULES[1:]])
    assert (one.record, one.title, one.owner, one.closed) == (deal, "3000 Widgets", world.anna.id, False)
    assert (one.amount, one.status, one.due) == (Decimal(120000), "Prospecting", date(2027, 1, 31))
    assert one.account == "Acme Corp"
    assert "Lindqvist" in one.owner_name
    assert one.fields == (("Amount", "120000"),)
    assert one.changed.tzinfo is not None
    assert deal.id in one.view
    assert deal.id in one.edit
    assert one.edit != one.view
    assert two.title == "Control not activating"
    assert two.number
    assert two.status == "New"
    assert (three.amount, three.status, three.account) == (Decimal("0.5"), "Running", "Acme Corp")


def test_items_of_all_kinds_cost_one_call(world: CrmWorld, crm: CrmProvider) -> None:
    records = [world.item(kind, f"Item {at}", **_given(kind)) for kind in KINDS for at in range(3)]
    crm.abilities()
    modules(crm, *KINDS)
    with Calls(world) as calls:
        assert len(whole(crm, world, *records)) == 9
    assert calls.made == 1


def _given(kind: str) -> dict[str, Any]:
    return {"due": "2027-01-31", "status": "Prospecting"} if kind == "opportunity" else {}


def test_what_is_gone_is_left_out(world: CrmWorld, crm: CrmProvider) -> None:
    gone, there = world.item("case", "Gone"), world.item("case", "There")
    world.delete(gone)
    assert crm.items([gone, there], RULES, world.anna.id, "owned").keys() == {there}
    assert crm.items([], RULES, world.anna.id, "owned") == {}


def test_closed_is_what_the_crm_calls_so(world: CrmWorld, crm: CrmProvider) -> None:
    items = [world.item(kind, "An item", **_given(kind)) for kind in KINDS]
    assert [item.closed for item in whole(crm, world, *items)] == [False, False, False]
    for item in items:
        world.edit(item, closed=True)
    assert [item.closed for item in whole(crm, world, *items)] == [True, True, False]


def test_closed_is_what_the_rule_says(world: CrmWorld, crm: CrmProvider) -> None:
    found = modules(crm, "project__c", "opportunity")
    project = world.item("project__c", "Move", status="Running")
    deal = world.item("opportunity", "Deal", **_given("opportunity"))
    rules = [
        ModuleRule("project__c", closed_field=found["project__c"].status, closed_pattern="fin.*|cancelled"),
        ModuleRule("opportunity", closed_field=found["opportunity"].status, closed_pattern="prospecting"),
    ]
    before = whole(crm, world, project, deal, rules=rules)
    assert [item.closed for item in before] == [False, True], "the whole value, any case"
    assert crm.active(rules[0], world.anna.id, "owned", 10)
    world.edit(project, closed=True)
    assert whole(crm, world, project, rules=rules)[0].closed
    assert not crm.active(rules[0], world.anna.id, "owned", 10)


def test_the_last_five_activities_are_told_the_newest_first(world: CrmWorld, crm: CrmProvider) -> None:
    deal = world.item("opportunity", "Deal", **_given("opportunity"))
    laura = world.contact("Keller", LAURA)
    for number in range(6):
        world.log(f"Call {number}", deal)
        world.advance(60)
    one(crm, with_people(world, laura, targets=(deal,), date=datetime.now(UTC) + timedelta(hours=2)))
    lines = whole(crm, world, deal)[0].activities
    assert len(lines) == 5
    assert [line.kind for line in lines].count("email") == 1, "its automatic task is no second one"
    assert {"Call 5", "Call 4", "Call 3", "Call 2"} == {line.subject for line in lines if line.kind == "task"}
    assert "Offer 1" in {line.subject for line in lines}
    assert [line.at for line in lines] == sorted((line.at for line in lines), reverse=True)


# --- whose items ------------------------------------------------------------------------------------------------------


def ids(found: Any) -> set[RecordRef]:
    return {item.record for item in found}


def test_scopes(world: CrmWorld, crm: CrmProvider) -> None:
    world.private()
    given = _given("opportunity")
    mine = world.item("opportunity", "Mine", **given)
    ours, shown, theirs = (
        world.item("opportunity", name, owner=world.ben, **given) for name in ("Ours", "Shown", "Theirs")
    )
    world.team(ours, world.anna)
    world.share(shown, world.anna)
    wanted: dict[Scope, set[RecordRef]] = {"owned": {mine}, "team": {mine, ours}, "visible": {mine, ours, shown}}
    asked = [mine, ours, shown, theirs]
    for scope, expected in wanted.items():
        assert set(crm.items(asked, RULES, world.anna.id, scope)) == expected, scope
        assert ids(crm.active(OPPORTUNITY, world.anna.id, scope, 10)) == expected, scope


def test_active_items_are_open_and_the_latest_first(world: CrmWorld, crm: CrmProvider) -> None:
    given = _given("opportunity")
    records = []
    for number in range(4):
        records.append(world.item("opportunity", f"Deal {number}", **given))
        world.advance(3600)
    world.edit(records[1], closed=True)
    found = crm.active(OPPORTUNITY, world.anna.id, "owned", 10)
    assert [item.record for item in found] == [records[3], records[2], records[0]]
    assert all(not item.activities for item in found)
    assert [item.record for item in crm.active(OPPORTUNITY, world.anna.id, "owned", 2)] == [records[3], records[2]]
    with Calls(world) as calls:
        crm.active(OPPORTUNITY, world.anna.id, "owned", 2)
    assert calls.made == 1


# --- versions and the feed --------------------------------------------------------------------------------------------


def test_an_item_has_one_version_however_it_is_read(world: CrmWorld, crm: CrmProvider) -> None:
    cursor = crm.feed(None, KINDS).cursor
    acme = world.account("Acme Corp")
    records = [world.item(kind, "An item", account=acme, **_given(kind)) for kind in KINDS]
    laura = world.contact("Keller", LAURA)
    one(crm, with_people(world, laura, targets=(records[0],)))
    changed, _ = all_changes(crm, cursor)
    by_id = {item.record: item.version for item in whole(crm, world, *records)}
    listed = {item.record: item.version for rule in RULES for item in crm.active(rule, world.anna.id, "owned", 10)}
    again = {item.record: item.version for item in whole(crm, world, *records, scope="visible")}
    assert by_id == listed == again == {record: changed[record].version for record in records}


@pytest.mark.parametrize("change", [{"title": "Other"}, {"amount": 7}, {"status": "Negotiation/Review"}])
def test_another_value_is_another_version(world: CrmWorld, crm: CrmProvider, change: dict[str, Any]) -> None:
    deal = world.item("opportunity", "Deal", **_given("opportunity"))
    (before,) = whole(crm, world, deal)
    world.edit(deal, **change)
    (after,) = whole(crm, world, deal)
    assert before.version != after.version


def test_the_feed_begins_now(world: CrmWorld, crm: CrmProvider) -> None:
    old = world.item("case", "Old")
    first = crm.feed(None, KINDS)
    assert not first.changed
    assert not first.more
    assert all_changes(crm, first.cursor)[0] == {}
    new = world.item("case", "New", owner=world.ben)
    changed, cursor = all_changes(crm, first.cursor)
    assert changed.keys() == {new}
    assert changed[new].owner == world.ben.id
    assert changed[new].at > 0
    assert all_changes(crm, cursor)[0] == {}
    world.edit(old, title="Older")
    assert all_changes(crm, cursor)[0].keys() == {old}


def test_the_feed_tells_of_new_owners_and_of_what_is_gone(world: CrmWorld, crm: CrmProvider) -> None:
    deal, case = world.item("opportunity", "Deal", **_given("opportunity")), world.item("case", "Case")
    cursor = crm.feed(None, KINDS).cursor
    world.advance(1)
    world.edit(deal, owner=world.ben)
    world.delete(case)
    changed, cursor = all_changes(crm, cursor)
    assert (changed[deal].owner, changed[deal].gone) == (world.ben.id, False)
    assert (changed[case].owner, changed[case].gone) == ("", True)


def test_the_feed_costs_one_call(world: CrmWorld, crm: CrmProvider) -> None:
    cursor = crm.feed(None, KINDS).cursor
    world.item("case", "Case")
    with Calls(world) as calls:
        crm.feed(cursor, KINDS)
    assert calls.made == 1


def test_a_module_that_joins_the_feed_begins_now(world: CrmWorld, crm: CrmProvider) -> None:
    cursor = crm.feed(None, ["case"]).cursor
    deal = world.item("opportunity", "Deal", **_given("opportunity"))
    _, cursor = all_changes(crm, cursor, "case", "opportunity")
    world.advance(1)
    world.edit(deal, title="Other")
    assert all_changes(crm, cursor, "case", "opportunity")[0].keys() == {deal}


# --- match ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 30])
def test_items_are_there_or_not(world: CrmWorld, crm: CrmProvider, count: int) -> None:
    there = [world.item("case", f"Case {at}") for at in range(count)]
    gone = world.item("project__c", "Gone")
    world.delete(gone)
    unknown = RecordRef("opportunity", "006000000000001AAA")
    crm.abilities()
    with Calls(world) as calls:
        found = crm.match(Question(addresses=frozenset({LAURA}), items=frozenset([*there, gone, unknown]))).items
    assert found == {**dict.fromkeys(there, True), gone: False, unknown: False}
    assert calls.made <= (1 if count < 20 else 2)


# --- file -------------------------------------------------------------------------------------------------------------


def new_item(world: CrmWorld, crm: CrmProvider, kind: str, title: str = "New one", **more: Any) -> NewItem:
    module = modules(crm, kind)[kind]
    fields: dict[str, Any] = {module.title: title}
    if kind == "opportunity":
        fields |= {module.status: "Prospecting", module.due: "2027-02-28"}
    return NewItem(kind, fields, world.anna.id, **more)


def creating(world: CrmWorld, crm: CrmProvider, kind: str, **changes: Any) -> Any:
    item = new_item(world, crm, kind, **changes.pop("more", {}))
    return entry(world, item=item, targets=(RecordRef(kind, item.ref),), **changes)


def match(crm: CrmProvider, item: Any, beside: RecordRef | None = None) -> Directory:
    sent = Sent(item.message_id, item.subject, datetime.now(UTC) - timedelta(minutes=1), beside)
    return crm.match(Question(message_ids=frozenset({item.message_id}), sent=(sent,)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("record", ["email", "task"])
def test_an_item_is_created_with_the_mail(world: CrmWorld, crm: CrmProvider, kind: str, record: str) -> None:
    crm.abilities()
    wanted = creating(world, crm, kind, record=record)
    with Calls(world) as calls:
        outcome = one(crm, wanted)
    assert calls.made == 1
    made = outcome.records["@item"]
    assert made.kind == kind
    assert only(world).items == {made}
    (item,) = whole(crm, world, made)
    assert (item.title, item.owner) == ("New one", world.anna.id)
    assert match(crm, wanted).filed[wanted.message_id].item == made


def test_an_item_is_created_with_its_new_contact_and_account(world: CrmWorld, crm: CrmProvider) -> None:
    account, contact = RecordRef("account", "@a"), RecordRef("contact", "@c")
    create = (
        NewRecord("@c", "contact", {"last_name": "Keller", "email": LAURA}, world.anna.id, account),
        NewRecord("@a", "account", {"name": "Acme Corp"}, world.anna.id),
    )
    relations = (Relation("from", LAURA, "Laura Keller", contact),)
    more = {"account": account, "contact": contact}
    outcome = one(crm, creating(world, crm, "case", create=create, relations=relations, more=more))
    (item,) = whole(crm, world, outcome.records["@item"])
    assert item.account == "Acme Corp"
    assert "Keller" in item.contact
    assert only(world).people == {outcome.records["@c"]}


def refused(crm: CrmProvider, world: CrmWorld, item: Any) -> Rejected:
    (outcome,) = crm.file([item])
    assert isinstance(outcome.error, Rejected)
    assert not world.activities(), "all or none"
    return outcome.error


def test_a_field_that_is_required_is_named_as_people_know_it(world: CrmWorld, crm: CrmProvider) -> None:
    wanted = creating(world, crm, "case")
    world.demand("case")
    error = refused(crm, world, wanted)
    assert error.reason == "required_field"
    assert "Region" in error.detail


def test_a_rule_of_the_administrator_refuses_an_item(world: CrmWorld, crm: CrmProvider) -> None:
    wanted = creating(world, crm, "opportunity")
    world.rule("opportunity", "No deals in August")
    error = refused(crm, world, wanted)
    assert error.reason == "validation_rule"
    assert "No deals in August" in error.detail


@pytest.mark.parametrize("record", ["email", "task"])
def test_a_mail_that_is_there_is_related_to_an_item_and_moved(world: CrmWorld, crm: CrmProvider, record: str) -> None:
    first, second = world.item("case", "First"), world.item("project__c", "Second")
    laura = world.contact("Keller", LAURA)
    mail = with_people(world, laura, record=record)
    one(crm, mail)
    there = match(crm, mail).filed[mail.message_id]
    assert there.item is None
    one(crm, replace(mail, existing=there, targets=(first,)))
    there = match(crm, mail).filed[mail.message_id]
    assert (only(world).items, there.item) == ({first}, first)
    one(crm, replace(mail, existing=there, targets=(second,), moved_from=first))
    assert (only(world).items, match(crm, mail).filed[mail.message_id].item) == ({second}, second)


def test_a_new_item_takes_over_a_mail_that_is_there(world: CrmWorld, crm: CrmProvider) -> None:
    wanted = creating(world, crm, "opportunity")
    plain = replace(wanted, item=None, targets=())
    one(crm, plain)
    outcome = one(crm, replace(wanted, existing=match(crm, plain).filed[plain.message_id]))
    assert only(world).items == {outcome.records["@item"]}


def test_a_mail_that_cannot_be_changed_gets_a_task_beside(world: CrmWorld, crm: CrmProvider) -> None:
    case = world.item("case", "Case")
    mail = entry(world)
    foreign = world.foreign_mail(mail.message_id, mail.subject)
    there = match(crm, mail).filed[mail.message_id]
    assert there.record == foreign
    outcome = one(crm, replace(mail, existing=there, targets=(case,), relations=()))
    assert outcome.notes
    assert [item.items for item in world.activities() if item.record.kind == "task"] == [{case}]


def test_a_further_item_has_a_task_beside_the_mail_and_is_found_again(world: CrmWorld, crm: CrmProvider) -> None:
    first, second = world.item("case", "First"), world.item("opportunity", "Second", **_given("opportunity"))
    mail = entry(world, targets=(first,))
    main = one(crm, mail).records["activity"]
    beside = replace(mail, record="task", targets=(second,))
    further = one(crm, beside).records["activity"]
    for asked in (second, RecordRef("opportunity", "")):
        found = match(crm, mail, asked)
        assert found.filed[mail.message_id].record == main
        assert found.filed[mail.message_id].item == first
        (answer,) = found.beside.values()
        assert (answer.record, answer.item) == (further, second)
        assert found.beside.keys() == {(mail.message_id, asked)}
    assert not match(crm, mail, first).beside
    assert not match(crm, mail, RecordRef("project__c", "")).beside


def test_a_lead_has_a_task_of_its_own_beside_the_items(world: CrmWorld, crm: CrmProvider) -> None:
    case, lead, laura = world.item("case", "Case"), world.lead("Osei", LAURA), world.contact("Keller", "l@x.example")
    outcome = one(crm, with_people(world, lead, laura, record="task", targets=(case,)))
    held = {activity.record: activity for activity in world.activities()}
    main, further = held[outcome.records["activity"]], held[outcome.records["activity.2"]]
    assert (main.items, main.people) == ({case}, {laura})
    assert (further.items, further.people) == (frozenset(), {lead})


def test_a_lead_alone_has_a_task_beside_the_items(world: CrmWorld, crm: CrmProvider) -> None:
    case, lead = world.item("case", "Case"), world.lead("Osei", LAURA)
    outcome = one(crm, with_people(world, lead, record="task", targets=(case,)))
    held = {activity.record: activity for activity in world.activities()}
    assert held[outcome.records["activity"]].items == {case}
    assert held[outcome.records["activity.2"]].people == {lead}
