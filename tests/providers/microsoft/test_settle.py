"""Outlook's own ways of settling: copies, mail to oneself, what happened meanwhile (product.md 9 R), on the sandbox."""

from __future__ import annotations

import pytest

from sync.model import LabelMap, Message
from tests.contracts.mail_world import mail
from tests.contracts.outlook_world import OutlookMailbox, OutlookWorld
from tests.providers.microsoft.scene import TREE, filed, folder, settle


@pytest.mark.parametrize("place", ["inbox", "archive", "own folder"])
def test_a_copy_goes_away_and_its_original_is_marked(box: OutlookMailbox, drop: str, done: str, place: str) -> None:
    key = box.deliver(mail())
    own = box.create_label("Customers") if place == "own folder" else place
    box.act("drop", message=key, to=own)
    copy = box.drop(key, drop, move=False)
    assert isinstance(box.provider().read([copy])[copy], Message)
    settle(box, filed(copy, drop, done))
    assert (folder(box, key), folder(box, copy)) == (own, "deleteditems")
    assert done in box.state(key).labels


def test_settling_a_copy_again_changes_nothing(world: OutlookWorld, box: OutlookMailbox, drop: str, done: str) -> None:
    key = box.deliver(mail())
    copy = box.drop(key, drop, move=False)
    settle(box, filed(copy, drop, done))
    before = world.writes()
    settle(box, filed(copy, drop, done))
    assert world.writes() == before


def test_a_copy_whose_original_is_deleted_comes_home_instead(box: OutlookMailbox, drop: str, done: str) -> None:
    key = box.deliver(mail())
    copy = box.drop(key, drop, move=False)
    box.act("delete_message", message=key)
    settle(box, filed(copy, drop, done))
    assert (folder(box, key), folder(box, copy)) == ("deleteditems", "inbox")
    assert done in box.state(copy).labels


def test_an_original_that_goes_while_we_settle(box: OutlookMailbox, drop: str, done: str) -> None:
    """What was known of the twins is then old: the mark is planned anew."""
    key = box.deliver(mail())
    copy = box.drop(key, drop, move=False)
    provider = box.provider()
    provider.ensure_tree(TREE)
    provider.read([copy])
    box.delete(key)
    assert provider.settle([filed(copy, drop, done)])[0].ok
    assert folder(box, copy) == "inbox"
    assert done in box.state(copy).labels


def test_two_copies_in_two_drop_folders_are_no_originals(box: OutlookMailbox, made: LabelMap, done: str) -> None:
    first, second = made.ids["drop.archive"], made.ids["drop.case"]
    key = box.deliver(mail())
    copies = [box.drop(key, first, move=False), box.drop(key, second, move=False)]
    provider = box.provider()
    provider.dropped([first, second])
    marks = [filed(copy, label, done) for copy, label in zip(copies, (first, second), strict=True)]
    assert [outcome.error for outcome in provider.settle(marks)] == [None, None]
    assert [folder(box, copy) for copy in copies] == ["deleteditems", "deleteditems"]
    assert box.state(key).labels == {done}


def test_the_same_mail_delivered_twice_is_no_copy(box: OutlookMailbox, drop: str, done: str) -> None:
    raw = mail()
    one = box.deliver(raw)
    box.act("deliver", raw=raw.decode(), date="2026-01-02T03:04:05+00:00")
    box.drop(one, drop)
    settle(box, filed(one, drop, done))
    assert folder(box, one) == "inbox"
    assert done in box.state(one).labels


@pytest.mark.parametrize("place", ["inbox", "sentitems"])
def test_a_mail_to_oneself_goes_back_to_where_it_was(box: OutlookMailbox, drop: str, done: str, place: str) -> None:
    """The other message of it is no original of the moved one."""
    sent = box.sent(mail(), to_self=True)
    wanted = "mailFolders/inbox/messages?$select=id"
    key = sent if place == "sentitems" else box.api(wanted)["value"][0]["id"]
    provider = box.provider()
    cursor = provider.changes(None, [drop]).cursor
    box.drop(key, drop)
    assert [seen.id for seen in provider.changes(cursor, [drop]).changed] == [key]
    provider.read([key])
    assert provider.settle([filed(key, drop, done)])[0].ok
    assert folder(box, key) == place
    assert done in box.state(key).labels


def test_a_mail_that_was_taken_back_meanwhile_stays_where_it_is(box: OutlookMailbox, drop: str, done: str) -> None:
    key = box.deliver(mail())
    own = box.create_label("Customers")
    box.drop(key, drop)
    provider = box.provider()
    provider.read([key])
    box.act("drop", message=key, to=own)
    assert provider.settle([filed(key, drop, done)])[0].ok
    assert folder(box, key) == own
    assert done in box.state(key).labels


def test_a_mail_that_was_thrown_away_meanwhile_stays_there(
    world: OutlookWorld, box: OutlookMailbox, drop: str, done: str
) -> None:
    key = box.deliver(mail())
    box.drop(key, drop)
    box.act("delete_message", message=key)
    before = world.writes()
    settle(box, filed(key, drop, done))
    assert (folder(box, key), world.writes()) == ("deleteditems", before)
