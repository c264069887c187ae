"""Looks at a mailbox that go beyond the contract: links that end, deltas that grow old, cursors (providers.md 2.5)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from sync.errors import CursorExpired
from sync.model import LabelTree, Node, Target
from sync.providers.microsoft import changes
from tests.contracts.mail_world import mail
from tests.contracts.outlook_world import OutlookMailbox, OutlookWorld

TREE = LabelTree(
    (
        Node("master", "Salesforce"),
        Node("drop", "- Create New Email", "master", "drop", Target("archive")),
        Node("trigger", "Track in CRM", role="trigger", target=Target("archive")),
    )
)


@pytest.fixture
def labels(box: OutlookMailbox) -> list[str]:
    made = box.provider().ensure_tree(TREE)
    return [made.ids["drop"], made.ids["trigger"]]


def begin(box: OutlookMailbox, labels: list[str]) -> str:
    return box.provider().changes(None, labels).cursor


@pytest.mark.parametrize("error", ["SyncStateNotFound", "SyncStateInvalid", "resyncRequired"])
def test_every_wording_of_an_expired_link(
    world: OutlookWorld, box: OutlookMailbox, labels: list[str], error: str
) -> None:
    world.sandbox.settings(graph_delta_error=error)
    cursor = begin(box, labels)
    world.expire_cursors()
    with pytest.raises(CursorExpired):
        box.provider().changes(cursor, labels)


def test_a_long_look_is_cut_and_goes_on(
    world: OutlookWorld, box: OutlookMailbox, labels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = begin(box, labels)
    keys = {box.deliver(mail()) for _ in range(20)}
    world.small_pages(3)
    monkeypatch.setattr(changes, "MAX_PAGES", 2)
    seen: set[str] = set()
    rounds = 0
    while rounds < 30:
        page = box.provider().changes(cursor, labels)
        seen |= {one.id for one in page.changed}
        cursor, rounds = page.cursor, rounds + 1
        if not page.more:
            break
    assert seen == keys
    assert rounds > 2


def test_an_old_delta_is_begun_anew_without_a_gap(
    box: OutlookMailbox, labels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = begin(box, labels)
    first = box.deliver(mail())
    later = datetime.now(UTC) + timedelta(days=8)
    monkeypatch.setattr(changes, "_now", lambda: later)
    page = box.provider().changes(cursor, labels)
    assert {seen.id for seen in page.changed} == {first}
    before, after = json.loads(cursor), json.loads(page.cursor)
    assert after["began"] - before["began"] > 7 * 86_400
    monkeypatch.undo()
    second = box.drop(box.deliver(mail()), labels[0])
    assert {seen.id for seen in box.provider().changes(page.cursor, labels).changed} == {second}


def test_changes_that_are_told_twice_make_no_second_drop(
    world: OutlookWorld, box: OutlookMailbox, labels: list[str]
) -> None:
    world.sandbox.settings(graph_delta_replay=True)
    cursor = begin(box, labels)
    key = box.drop(box.deliver(mail()), labels[0])
    page = box.provider().changes(cursor, labels)
    assert [seen.id for seen in page.changed] == [key]
    again = box.provider().changes(page.cursor, labels)
    assert all(labels[0] not in seen.labels for seen in again.changed)


def test_a_mail_that_is_dropped_again_is_told_again(box: OutlookMailbox, labels: list[str]) -> None:
    key = box.deliver(mail())
    cursor = begin(box, labels)
    for _ in range(2):
        box.drop(key, labels[0])
        page = box.provider().changes(cursor, labels)
        assert [(seen.id, labels[0] in seen.labels) for seen in page.changed] == [(key, True)]
        box.undrop(key, labels[0])
        cursor = box.provider().changes(page.cursor, labels).cursor


def test_a_folder_that_became_a_drop_folder_tells_what_lies_in_it(box: OutlookMailbox, labels: list[str]) -> None:
    own = box.create_label("Customers")
    key = box.drop(box.deliver(mail()), own)
    cursor = begin(box, labels)
    page = box.provider().changes(cursor, [*labels, own])
    assert [(seen.id, own in seen.labels) for seen in page.changed] == [(key, True)]


def test_what_lies_in_a_folder_in_deleted_items_is_not_told(box: OutlookMailbox, labels: list[str]) -> None:
    cursor = begin(box, labels)
    box.drop(box.deliver(mail()), labels[0])
    box.delete_label(labels[0])
    assert all(labels[0] not in seen.labels for seen in box.provider().changes(cursor, labels).changed)
    assert list(box.provider().dropped(labels)) == []


def test_cursors_hold_no_content(box: OutlookMailbox, labels: list[str]) -> None:
    box.drop(box.deliver(mail("Secret offer")), labels[0])
    cursor = begin(box, labels)
    assert "Secret" not in cursor
    assert "kim@" not in cursor


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "7",
        "{}",
        '{"v":1,"links":{"inbox":"https://elsewhere.example/x","sentitems":"/y"},"began":1,"told":[],"born":[]}',
    ],
)
def test_texts_that_are_no_cursors(box: OutlookMailbox, labels: list[str], cursor: str) -> None:
    with pytest.raises(CursorExpired):
        box.provider().changes(cursor, labels)
