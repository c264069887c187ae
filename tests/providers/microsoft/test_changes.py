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


# --- what has arrived -----------------------------------------------------------------------------------------------


def look(box: OutlookMailbox, labels: list[str], cursor: str) -> tuple[dict[str, bool], str]:
    """Message -> whether it arrived; and the new cursor. By a new object, as after a restart."""
    page = box.provider().changes(cursor, labels)
    return {seen.id: seen.arrived for seen in page.changed}, page.cursor


def ago(**past: float) -> str:
    return (datetime.now(UTC) - timedelta(**past)).isoformat()


def test_a_mail_arrives_once_whatever_is_done_to_it(box: OutlookMailbox, labels: list[str]) -> None:
    cursor = begin(box, labels)
    key = box.deliver(mail())
    told, cursor = look(box, labels, cursor)
    assert told == {key: True}
    box.mark_read(key)
    told, cursor = look(box, labels, cursor)
    assert told == {key: False}
    box.drop(key, labels[0])
    told, cursor = look(box, labels, cursor)
    assert told == {key: False}
    box.undrop(key, labels[0])
    assert look(box, labels, cursor)[0] == {key: False}


def test_a_draft_arrives_when_it_is_sent(box: OutlookMailbox, labels: list[str]) -> None:
    draft = box.act("write_draft", kind="new", to=["kim@widgets.example"], subject="Widgets", text="Hello")["draft"]
    cursor = begin(box, labels)
    box.act("edit_draft", draft=draft, text="Hello again")
    told, cursor = look(box, labels, cursor)
    assert told == {}
    key = box.act("send_draft", draft=draft)["immutableId"]
    assert look(box, labels, cursor)[0] == {key: True}


def test_a_mail_to_oneself_arrives_at_both_places(box: OutlookMailbox, labels: list[str]) -> None:
    cursor = begin(box, labels)
    box.sent(mail(), to_self=True)
    assert list(look(box, labels, cursor)[0].values()) == [True, True]


def test_a_mail_that_was_held_up_arrives_and_an_old_one_does_not(box: OutlookMailbox, labels: list[str]) -> None:
    cursor = begin(box, labels)
    late = box.act("deliver", raw=mail().decode(), date=ago(minutes=30))["immutableId"]
    old = box.act("deliver", raw=mail().decode(), date=ago(hours=20))["immutableId"]
    assert look(box, labels, cursor)[0] == {late: True, old: False}


def test_what_comes_back_from_the_archive_has_not_arrived(box: OutlookMailbox, labels: list[str]) -> None:
    key = box.act("deliver", raw=mail().decode(), date=ago(hours=3), folder="archive")["immutableId"]
    cursor = begin(box, labels)
    box.act("drop", message=key, to="inbox")
    assert look(box, labels, cursor)[0] == {key: False}


def test_a_long_look_that_is_cut_tells_all_arrivals(
    world: OutlookWorld, box: OutlookMailbox, labels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long ago the last one was."""
    cursor = begin(box, labels)
    keys = {box.deliver(mail()) for _ in range(12)}
    world.small_pages(3)
    later = datetime.now(UTC) + timedelta(hours=5)
    monkeypatch.setattr(changes, "_now", lambda: later)
    monkeypatch.setattr(changes, "MAX_PAGES", 2)
    arrived: set[str] = set()
    for _ in range(30):
        page = box.provider().changes(cursor, labels)
        arrived |= {seen.id for seen in page.changed if seen.arrived}
        cursor = page.cursor
        if not page.more:
            break
    assert arrived == keys
    assert json.loads(cursor)["met"] == {}


def test_the_date_of_arrival_is_told(box: OutlookMailbox, labels: list[str]) -> None:
    cursor = begin(box, labels)
    box.deliver(mail())
    (seen,) = box.provider().changes(cursor, labels).changed
    assert abs(seen.at - datetime.now(UTC).timestamp()) < 60
