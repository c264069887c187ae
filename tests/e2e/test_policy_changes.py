"""A policy that changes while mailboxes live by it: the plan tells what becomes of them, and so it becomes."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.inprocess import declared, look
from tests.e2e.installation import DONE, FAILED, OPTIONS, Desk, Installation, letter, query, records
from tests.sandboxed import Json, Sandbox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ANNA, PRIYA = "anna@northpeak.example", "priya@northpeak.example"
WRITER = "laura.keller@example.com"
OPPORTUNITY = {"modules": ["opportunity"], "assign_to": True}
LOOKS = 40
SWEEP = 601.0
_numbers = itertools.count(1)


class Play:
    """One user's mailbox, and the administrator who declares its policy."""

    ahead = 0.0  # of the true time: what all of them have let pass

    def __init__(self, installation: Installation, address: str) -> None:
        self.installation, self.address = installation, address
        self.desk: Desk = installation.desk(address)
        self.outlook = installation.in_outlook(address)

    def declare(self, **options: object) -> Path:
        path = self.installation.folder / "next.yaml"
        self.installation.options = {**OPTIONS, **options}
        path.write_text(yaml.safe_dump(self.installation.declaration()))
        return path

    def plan(self, **options: object) -> Json:
        """Of this mailbox."""
        [found] = self.installation.told("apply", str(self.declare(**options)), "--plan")["mailboxes"]
        return dict(found)

    def apply(self, **options: object) -> None:
        """Declared, looked at until nothing is due, and swept."""
        self.installation.told("apply", str(self.declare(**options)))
        for step in (1.1, 61.0, SWEEP, SWEEP):
            self.rest(step)

    def rest(self, step: float = 1.1) -> None:
        Play.ahead += step
        for _ in range(LOOKS):
            report = look(self.installation.app, self.installation.mailbox_id(self.address), self.ahead)
            if report.ended == "done":
                return
        raise AssertionError(f"{LOOKS} looks did not do: {report}")

    def places(self) -> dict[str, str]:
        """Labels, folders and categories of the mailbox: name by id. Leaves are left out."""
        box = self.desk.box()
        found = {**box["folders"], **{f"category {name}": name for name in box["categories"]}} if self.outlook else {}
        return {key: name for key, name in (found or box["labels"]).items() if "/Assign To/" not in name}

    def leaves(self) -> dict[str, str]:
        """Own name by id."""
        found: dict[str, str] = self.desk.box()["folders" if self.outlook else "labels"]
        return {key: name.rpartition("/Assign To/")[2] for key, name in found.items() if "/Assign To/" in name}

    def summaries(self, *folders: str) -> Counter[str]:
        """Subjects of what lies in the labels of modules."""
        return Counter(mail["subject"] for mail in self.desk.mails() if set(folders) & set(mail["labels"]))

    def marks(self, mail: str) -> set[str]:
        return self.desk.marks(mail)[0]

    def mail(self, subject: str) -> tuple[str, str]:
        message_id = f"<policy.{next(_numbers)}@example.com>"
        return self.desk.deliver(letter(WRITER, self.address, subject, message_id)), message_id


def own(name: str) -> str:
    return re.split(r"/|: ", name)[-1]


def happened(before: dict[str, str], after: dict[str, str]) -> tuple[set[str], set[tuple[str, str]], set[str]]:
    """What was created, renamed (itself, not with its parent) and removed."""
    both = before.keys() & after.keys()
    return (
        {after[key] for key in after.keys() - before.keys()},
        {(before[key], after[key]) for key in both if own(before[key]) != own(after[key])},
        {before[key] for key in before.keys() - after.keys()},
    )


def planned(plan: Json) -> tuple[set[str], set[tuple[str, str]], set[str]]:
    by: dict[str, list[Json]] = {"create": [], "rename": [], "remove": [], "stay": []}
    for step in plan["steps"]:
        by[step["what"]].append(step)
    assert plan["not_known"] == []
    return (
        {step["name"] for step in by["create"]},
        {(step["before"], step["name"]) for step in by["rename"]},
        {step["name"] for step in by["remove"]},
    )


@pytest.fixture(scope="module", params=[ANNA, PRIYA], ids=["gmail", "outlook"])
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with Sandbox.start() as sandbox:
        folder = tmp_path_factory.mktemp("policies")
        with declared(sandbox, folder, [request.param], options={**OPTIONS, **OPPORTUNITY}) as found:
            yield found


@pytest.fixture
def play(installation: Installation) -> Play:
    found = Play(installation, installation.mailboxes[0])
    found.apply(**OPPORTUNITY)
    return found


CHANGES: dict[str, dict[str, object]] = {
    "another master": {**OPPORTUNITY, "master_label": "Acme CRM"},
    "another marker": {**OPPORTUNITY, "done_marker": "Filed", "error_marker": "Not filed"},
    "another trigger": {**OPPORTUNITY, "trigger_category": "File it", "trigger_categories": {"New one": "opportunity"}},
    "follow": {**OPPORTUNITY, "conversation_follow": True},
    "another module": {"modules": ["case"], "assign_to": True},
    "one more module": {"modules": ["opportunity", "case"], "assign_to": True, "master_label": "Two"},
    "no leaves": {"modules": ["opportunity"]},
    "no summaries": {**OPPORTUNITY, "summaries": False},
    "leaves otherwise": {"modules": [{"name": "opportunity", "leaf": "{title}, {status}"}], "assign_to": True},
    "nothing": {},
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_the_plan_says_comes_to_pass_and_goes_back(play: Play, name: str) -> None:
    for options in (CHANGES[name], OPPORTUNITY):
        before, leaves = play.places(), play.leaves()
        notes = {mail["id"]: mail["subject"] for mail in play.desk.mails()}
        plan = play.plan(**options)
        assert (play.places(), play.leaves()) == (before, leaves), "a plan changes nothing"
        play.apply(**options)
        after = play.places()
        created, renamed, removed = planned(plan)
        assert created <= set(after.values())
        assert happened(before, after) == (created - set(before.values()), renamed, removed)

        made, kept = play.leaves(), leaves.keys() & play.leaves().keys()
        counts = [module["leaves"] for module in plan["modules"]]
        assert len(made) - len(kept) == sum(count["create"] for count in counts)
        assert sum(leaves[key] != made[key] for key in kept) == sum(count["rename"] for count in counts)
        assert len(leaves) - len(kept) == sum(count["remove"] for count in counts)
        now = {mail["id"]: mail["subject"] for mail in play.desk.mails()}
        counts = [module["summaries"] for module in plan["modules"]]
        assert len(now.keys() - notes.keys()) == sum(count["create"] for count in counts)
        again = play.plan(**options)
        assert (again["steps"], again["modules"]) == ([], []), "all of it was done"


def test_numbers_and_places_stay_with_the_items(play: Play) -> None:
    leaves, notes = play.leaves(), play.summaries("Salesforce/Opportunities")
    assert leaves
    assert notes.total() == len(leaves)
    play.apply(master_label="Renamed", **OPPORTUNITY)
    assert play.leaves() == leaves
    assert play.summaries("Renamed/Opportunities") == notes
    play.apply()
    assert play.leaves() == {}
    assert play.summaries("Renamed/Opportunities", "Salesforce/Opportunities").total() == 0
    play.apply(**OPPORTUNITY)
    assert sorted(play.leaves().values()) == sorted(leaves.values()), "an item has its number for life"
    assert play.summaries("Salesforce/Opportunities") == notes


def test_mails_in_labels_that_go_are_filed_or_parked_and_come_home(play: Play) -> None:
    leaf = next(iter(play.leaves().values()))
    filed, message_id = play.mail("In a leaf that goes")
    parked, other_id = play.mail("In a drop that goes")
    play.desk.drop(filed, f"Salesforce/Opportunities/Assign To/{leaf}")
    play.desk.drop(parked, "Salesforce/- Create New Opportunity")
    play.apply()
    assert DONE in play.marks(filed)
    assert FAILED in play.marks(parked)
    assert f"{FAILED}/Module is off" in play.marks(parked)
    assert all(play.desk.at_home(play.marks(mail)) for mail in (filed, parked))
    assert not [name for name in play.places().values() if "Opportunit" in name]
    sandbox, user = play.installation.sandbox, play.installation.crm_user
    assert len(records(sandbox, user, message_id)) == 1
    assert records(sandbox, user, other_id) == []

    play.apply(**OPPORTUNITY)
    store = play.installation.app.store
    [copy] = [one.sighting_id for one in store.parked() if one.reason == "module_off"]
    assert store.retry([copy]) == 1
    play.rest()
    assert DONE in play.marks(parked)
    assert FAILED not in play.marks(parked)
    assert len(query(sandbox, user, "SELECT Id FROM Opportunity WHERE Name = 'In a drop that goes'")) == 1
    assert len(records(sandbox, user, other_id)) == 1


def parked(play: Play, reason: str) -> int:
    """The number of the one mail that is parked for it."""
    [found] = [one.sighting_id for one in play.installation.app.store.parked() if one.reason == reason]
    return found


def retried(play: Play, reason: str, mail: str) -> None:
    assert DONE not in play.marks(mail)
    assert play.installation.app.store.retry([parked(play, reason)]) == 1
    play.rest()
    assert DONE in play.marks(mail)
    assert not [mark for mark in play.marks(mail) if mark.startswith(FAILED)]


def test_a_mail_whose_item_was_gone_is_filed_when_it_is_there_again(play: Play) -> None:
    leaf, name = next(iter(play.leaves().items()))
    rows = play.installation.app.store.items(play.installation.mailbox_id(play.address))
    [item] = [row.record_id for row in rows if row.leaf_id == leaf]
    mail, message_id = play.mail("About something deleted")
    sandbox, user = play.installation.sandbox, play.installation.crm_user
    sandbox.act("salesforce", "delete", object="Opportunity", id=item)
    play.desk.drop(mail, f"Salesforce/Opportunities/Assign To/{name}")
    play.rest()
    assert f"{FAILED}/Item is gone" in play.marks(mail)
    assert play.desk.at_home(play.marks(mail))
    sandbox.act("salesforce", "undelete", object="Opportunity", id=item)
    retried(play, "item_gone", mail)
    [record] = records(sandbox, user, message_id)
    assert query(sandbox, user, f"SELECT RelatedToId FROM EmailMessage WHERE Id = '{record}'")[0]["RelatedToId"] == item


def test_a_value_of_the_policy_that_does_not_fit_can_be_mended(play: Play) -> None:
    play.apply(modules=[{"name": "opportunity", "fields": {"CloseDate": "soon"}}], assign_to=True)
    mail, message_id = play.mail("Wanted soon")
    play.desk.drop(mail, "Salesforce/- Create New Opportunity")
    play.rest()
    assert f"{FAILED}/Required field missing" in play.marks(mail)
    play.apply(modules=[{"name": "opportunity", "fields": {"CloseDate": "{date+30}"}}], assign_to=True)
    retried(play, "required_field", mail)
    sandbox, user = play.installation.sandbox, play.installation.crm_user
    assert len(query(sandbox, user, "SELECT Id FROM Opportunity WHERE Name = 'Wanted soon'")) == 1
    assert len(records(sandbox, user, message_id)) == 1


def test_mails_that_were_too_many_at_once_are_filed_when_somebody_says_so(play: Play) -> None:
    if play.outlook:
        pytest.skip("whether a category came with the mail is another test's matter")
    play.apply(**OPPORTUNITY, trigger_burst=1)
    mails = [play.mail(f"Rule {number}") for number in range(2)]
    for mail, _ in mails:
        play.desk.drop(mail, "Track in CRM")
    play.rest()
    assert sorted(DONE in play.marks(mail) for mail, _ in mails) == [False, True]
    [held] = [mail for mail, _ in mails if DONE not in play.marks(mail)]
    assert f"{FAILED}/Too many at once" in play.marks(held)
    retried(play, "many_triggers", held)
    sandbox, user = play.installation.sandbox, play.installation.crm_user
    assert len(records(sandbox, user, *(message_id for _, message_id in mails))) == 2
