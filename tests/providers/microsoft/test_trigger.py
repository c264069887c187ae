"""Categories: the user's own, conflicts, and triggers, also those that came with a mail (product.md 9 F4)."""

from __future__ import annotations

import pytest

from sync.model import Mark, Message
from tests.contracts.mail_world import State, mail
from tests.contracts.outlook_world import OutlookMailbox, OutlookWorld
from tests.providers.microsoft.scene import filed, folder, settle

# --- categories ------------------------------------------------------------------------------------------------------


def test_categories_set_while_we_settle_are_kept(box: OutlookMailbox, drop: str, done: str) -> None:
    key = box.deliver(mail())
    box.drop(key, drop)
    provider = box.provider()
    provider.read([key])
    box.act("set_categories", message=key, add=["Mine"])
    assert provider.settle([filed(key, drop, done)])[0].ok
    assert box.state(key) == State(frozenset({"category:Mine", done}), inbox=True, unread=True)


def test_a_conflict_without_an_etag_is_tried_again(
    world: OutlookWorld, box: OutlookMailbox, drop: str, done: str
) -> None:
    key = box.deliver(mail())
    box.drop(key, drop)
    world.sandbox.fault("status", vendor="microsoft", method="PATCH", status=412)
    settle(box, filed(key, drop, done))
    assert box.state(key) == State(frozenset({done}), inbox=True, unread=True)


@pytest.mark.parametrize("place", ["inbox", "sentitems", "archive", "own folder"])
def test_the_trigger_category_files_in_place(
    world: OutlookWorld, box: OutlookMailbox, trigger: str, done: str, place: str
) -> None:
    key = box.deliver(mail())
    own = box.create_label("Customers") if place == "own folder" else place
    box.act("drop", message=key, to=own)
    provider = box.provider()
    cursor = provider.changes(None, [trigger]).cursor
    world.sandbox.advance(60)
    box.act("set_categories", message=key, add=["Mine", "track in CRM"])
    page = provider.changes(cursor, [trigger])
    assert [(seen.id, trigger in seen.labels) for seen in page.changed] == [(key, True)]
    assert [seen.labels for seen in box.provider().dropped([trigger])] == [{trigger}]
    read = provider.read([key])[key]
    assert isinstance(read, Message)
    assert trigger in read.labels
    assert provider.settle([Mark(key, frozenset({trigger}), frozenset({done}), home=False)])[0].ok
    assert folder(box, key) == own
    assert box.api(f"messages/{key}?$select=categories")["categories"] == ["Mine", "Processing Complete!"]
    assert all(trigger not in seen.labels for seen in provider.changes(page.cursor, [trigger]).changed)
    assert list(box.provider().dropped([trigger])) == []


@pytest.mark.parametrize("place", ["deleteditems", "junkemail"])
def test_the_trigger_category_on_what_was_thrown_away_is_ignored(
    world: OutlookWorld, box: OutlookMailbox, trigger: str, place: str
) -> None:
    key = box.deliver(mail())
    world.sandbox.advance(60)
    box.drop(key, trigger)
    box.act("drop", message=key, to=place)
    assert list(box.provider().dropped([trigger])) == []


# --- the trigger category that came with the mail (product.md 9 F4.5) ------------------------------------------------


def test_a_mail_that_arrives_with_the_trigger_category_is_ignored(
    world: OutlookWorld, box: OutlookMailbox, trigger: str
) -> None:
    provider = box.provider()
    cursor = provider.changes(None, [trigger]).cursor
    key = box.deliver(mail(), labels=[trigger])
    page = provider.changes(cursor, [trigger])
    assert [(seen.id, trigger in seen.labels) for seen in page.changed] == [(key, False)]
    assert list(provider.dropped([trigger])) == []
    assert dict(provider.lag([trigger])) == {}


def test_it_stays_ignored_when_the_user_reads_it(world: OutlookWorld, box: OutlookMailbox, trigger: str) -> None:
    """In another process too: the cursor tells."""
    cursor = box.provider().changes(None, [trigger]).cursor
    key = box.deliver(mail(), labels=[trigger])
    cursor = box.provider().changes(cursor, [trigger]).cursor
    world.sandbox.advance(600)
    box.mark_read(key)
    provider = box.provider()
    page = provider.changes(cursor, [trigger])
    assert all(trigger not in seen.labels for seen in page.changed)
    assert list(provider.dropped([trigger])) == []


def test_it_counts_once_the_user_has_set_it_anew(world: OutlookWorld, box: OutlookMailbox, trigger: str) -> None:
    cursor = box.provider().changes(None, [trigger]).cursor
    key = box.deliver(mail(), labels=[trigger])
    cursor = box.provider().changes(cursor, [trigger]).cursor
    world.sandbox.advance(600)
    box.undrop(key, trigger)
    cursor = box.provider().changes(cursor, [trigger]).cursor
    box.drop(key, trigger)
    provider = box.provider()
    assert [trigger in seen.labels for seen in provider.changes(cursor, [trigger]).changed] == [True]
    assert [seen.id for seen in provider.dropped([trigger])] == [key]


def test_it_is_still_ignored_after_the_cursor_has_expired(
    world: OutlookWorld, box: OutlookMailbox, trigger: str
) -> None:
    cursor = box.provider().changes(None, [trigger]).cursor
    key = box.deliver(mail(), labels=[trigger])
    cursor = box.provider().changes(cursor, [trigger]).cursor
    world.sandbox.advance(600)
    box.mark_read(key)
    world.expire_cursors()
    provider = box.provider()
    with pytest.raises(Exception, match="changes are gone"):
        provider.changes(cursor, [trigger])
    cursor = provider.changes(None, [trigger]).cursor
    assert list(provider.dropped([trigger])) == []
    assert all(trigger not in seen.labels for seen in box.provider().changes(cursor, [trigger]).changed)


def test_a_category_set_seconds_after_a_look_saw_the_mail_without_it_counts(box: OutlookMailbox, trigger: str) -> None:
    key = box.deliver(mail())
    provider = box.provider()
    cursor = provider.changes(None, [trigger]).cursor
    box.drop(key, trigger)
    assert [trigger in seen.labels for seen in provider.changes(cursor, [trigger]).changed] == [True]


def test_reading_it_before_anybody_told_the_trigger_says_nothing(box: OutlookMailbox, trigger: str) -> None:
    cursor = box.provider().changes(None, [trigger]).cursor
    key = box.deliver(mail(), labels=[trigger])
    provider = box.provider()
    provider.read([key])
    assert all(trigger not in seen.labels for seen in provider.changes(cursor, [trigger]).changed)
