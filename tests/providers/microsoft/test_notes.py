"""Summaries as messages of Exchange, beyond the contract (providers.md 2.7, 2.8)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sync.core.follow import is_own
from sync.errors import Conflict
from sync.model import SUMMARY_SENDER, Message, Note
from tests.contracts.mail_world import mail
from tests.contracts.outlook_world import OutlookMailbox, OutlookWorld
from tests.providers.microsoft.test_cost import spending

WHEN = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


@pytest.fixture
def place(box: OutlookMailbox) -> str:
    return box.create_label("Opportunities")


def note(place: str, number: int = 1, revision: str = "r1", **more: object) -> Note:
    made = Note(f"opportunity:006{number}", revision, place, "Salesforce", "3000 Widgets", "text", "<p>text</p>", WHEN)
    return replace(made, **more)  # type: ignore[arg-type]


def put(box: OutlookMailbox, *notes: Note) -> list[str]:
    outcomes = box.provider().put(notes)
    assert [one.error for one in outcomes] == [None] * len(notes)
    return [one.id for one in outcomes]


def test_it_is_a_mail_that_was_read_and_no_draft(box: OutlookMailbox, place: str) -> None:
    (key,) = put(box, note(place))
    found = box.api(f"messages/{key}")
    assert (found["isDraft"], found["isRead"], found["parentFolderId"]) == (False, True, place)
    assert (found["receivedDateTime"], found["sentDateTime"]) == ("2026-11-20T09:30:00Z", "2026-11-20T09:30:00Z")
    assert found["from"] == found["sender"] == {"emailAddress": {"name": "Salesforce", "address": SUMMARY_SENDER}}
    assert [one["emailAddress"]["address"] for one in found["toRecipients"]] == [box.address]


def test_one_that_the_user_drops_or_copies_is_known_for_ours(box: OutlookMailbox, place: str) -> None:
    (key,) = put(box, note(place))
    drop = box.create_label("Salesforce", "- Create New Email")
    copy = box.drop(key, drop, move=False)
    read = box.provider().read([copy])[copy]
    assert isinstance(read, Message)
    assert is_own(read)
    assert [one.error for one in box.provider().take([copy])] == [None]
    assert list(box.inside(drop)) == []
    assert list(box.inside(place)) == [key]


def test_a_copy_that_the_user_keeps_elsewhere_stays(box: OutlookMailbox, place: str) -> None:
    (first,) = put(box, note(place))
    own = box.create_label("Customers")
    copy = box.drop(first, own, move=False)
    (second,) = put(box, note(place, revision="r2", previous=first, unsure=True))
    assert list(box.inside(own)) == [copy]
    assert list(box.inside(place)) == [second]


def test_keys_differ_by_case(box: OutlookMailbox, place: str) -> None:
    """Exchange compares the values of properties without case, Salesforce's short ids differ by it."""
    (upper,) = put(box, note(place, key="opportunity:006A"))
    (lower,) = put(box, note(place, key="opportunity:006a", unsure=True))
    assert sorted(box.inside(place)) == sorted([upper, lower])


def test_nothing_is_put_into_a_folder_that_was_thrown_away(box: OutlookMailbox, place: str) -> None:
    box.delete_label(place)
    assert isinstance(box.provider().put([note(place)])[0].error, Conflict)
    assert list(box.inside(place)) == []


def test_several_left_overs_of_dead_tries_go(box: OutlookMailbox, place: str) -> None:
    for revision in ("r1", "r2", "r3"):
        put(box, note(place, revision=revision))
    own = box.deliver(mail(), labels=[place])
    (made,) = put(box, note(place, revision="r2", unsure=True))
    assert sorted(box.inside(place)) == sorted([made, own])


def test_an_old_one_that_cannot_go_now_is_told(world: OutlookWorld, box: OutlookMailbox, place: str) -> None:
    """The first refused part is tried once more; then the engine comes again, and finds old and new ones."""
    old = put(box, note(place, 1), note(place, 2))
    provider = box.provider()
    world.sandbox.fault("status", vendor="microsoft", method="DELETE", path="/messages/", status=503, count=3)
    again = [note(place, number, "r2", previous=key) for number, key in zip((1, 2), old, strict=True)]
    failed = [one.error is not None for one in provider.put(again)]
    assert failed == [True, True]
    made = put(box, *(replace(one, unsure=True) for one in again))
    assert sorted(box.inside(place)) == sorted(made)


@pytest.mark.parametrize(("count", "http", "requests"), [(1, 2, 3), (20, 4, 41)])
def test_what_a_summary_costs(
    world: OutlookWorld, box: OutlookMailbox, place: str, count: int, http: int, requests: int
) -> None:
    """For one: its folder, the new one, the old one."""
    provider = box.provider()
    old = [one.id for one in provider.put([note(place, number) for number in range(count)])]
    with spending(world) as spent:
        provider.put([note(place, number, "r2", previous=key) for number, key in enumerate(old)])
    assert spent.requests == requests
    assert spent.http <= http
