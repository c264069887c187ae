"""Outlook's own ways: copies, mail to oneself, categories, and what is no mail (product.md 9 R, F4), on the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import pytest

from sync.errors import Rejected
from sync.model import LabelMap, LabelTree, Mark, Message, Node, Target
from tests.contracts.mail_world import State, mail
from tests.contracts.outlook_world import OutlookMailbox, OutlookWorld
from tests.sandboxed import Sandbox

TREE = LabelTree(
    (
        Node("master", "Salesforce"),
        Node("drop.archive", "- Create New Email", "master", "drop", Target("archive")),
        Node("drop.case", "- Create New Case", "master", "drop", Target("create", "case")),
        Node("trigger.archive", "Track in CRM", role="trigger", target=Target("archive")),
        Node("marker.done", "Processing Complete!", role="marker", color="green"),
        Node("marker.error", "Tracking Failed", role="marker", color="red"),
        Node("reason.no_address", "No usable address", "marker.error", "marker", color="red"),
    )
)


@pytest.fixture
def world(bare_sandbox: Sandbox) -> Iterator[OutlookWorld]:
    world = OutlookWorld(bare_sandbox)
    yield world
    world.close()


@pytest.fixture
def box(world: OutlookWorld) -> OutlookMailbox:
    return world.mailbox()


@pytest.fixture
def made(box: OutlookMailbox) -> LabelMap:
    return box.provider().ensure_tree(TREE)


@pytest.fixture
def drop(made: LabelMap) -> str:
    return made.ids["drop.archive"]


@pytest.fixture
def trigger(made: LabelMap) -> str:
    return made.ids["trigger.archive"]


@pytest.fixture
def done(made: LabelMap) -> str:
    return made.ids["marker.done"]


def settle(box: OutlookMailbox, *marks: Mark) -> None:
    assert [outcome.error for outcome in box.provider().settle(marks)] == [None] * len(marks)


def folder(box: OutlookMailbox, key: str) -> str:
    found = box.api(f"messages/{key}?$select=parentFolderId")["parentFolderId"]
    return box.places.get(found, found)


def filed(key: str, drop: str, done: str) -> Mark:
    return Mark(key, frozenset({drop}), frozenset({done}))


# --- copies ---------------------------------------------------------------------------------------------------------


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


# --- categories -----------------------------------------------------------------------------------------------------


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


# --- the trigger category that came with the mail (product.md 9 F4.5) -------------------------------------------------


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


# --- the master list ------------------------------------------------------------------------------------------------


def test_categories_get_colours_once(world: OutlookWorld, box: OutlookMailbox, made: LabelMap) -> None:
    def colours() -> dict[str, str]:
        return {c["displayName"]: c["color"] for c in box.api("outlook/masterCategories")["value"]}

    assert colours() == {
        "Track in CRM": "preset12",
        "Processing Complete!": "preset4",
        "Tracking Failed": "preset0",
        "Tracking Failed: No usable address": "preset0",
    }
    box.act("delete_category", name="Processing Complete!")
    box.act("create_category", name="Processing Complete!", color="preset9")
    box.provider().ensure_tree(TREE)
    assert colours()["Processing Complete!"] == "preset9"


def test_a_folder_that_the_user_moved_is_that_folder(world: OutlookWorld, box: OutlookMailbox, made: LabelMap) -> None:
    own = box.create_label("Customers", "Widgets")
    box.act("move_folder", folder=made.ids["master"], to=own)
    known = LabelTree(tuple(replace(node, remote_id=made.ids[node.key]) for node in TREE.nodes))
    before = world.writes()
    assert box.provider().ensure_tree(known) == LabelMap(made.ids)
    assert world.writes() == before


def test_mails_in_a_deleted_tree_come_back_with_it(box: OutlookMailbox, made: LabelMap, drop: str) -> None:
    key = box.drop(box.deliver(mail()), drop)
    box.delete_label(made.ids["master"])
    known = LabelTree(tuple(replace(node, remote_id=made.ids[node.key]) for node in TREE.nodes))
    again = box.provider().ensure_tree(known)
    assert again.created == ("master",)
    assert [seen.id for seen in box.provider().dropped([again.ids["drop.archive"]])] == [key]


def test_the_folder_of_a_user_is_not_taken_for_a_place_of_outlooks(box: OutlookMailbox) -> None:
    made = box.provider().ensure_tree(LabelTree((Node("master", "Inbox"),)))
    assert made.created == ("master",)
    assert box.labels()[made.ids["master"]] == ("Inbox 2",)


# --- what is no mail --------------------------------------------------------------------------------------------------


def test_a_draft_is_rejected_and_goes_back_to_the_drafts(box: OutlookMailbox, made: LabelMap, drop: str) -> None:
    key = box.act("deliver", raw=mail().decode(), folder="drafts")["immutableId"]
    state = {m["immutableId"]: m for m in box.world.sandbox.state("microsoft")["mailboxes"][box.address]["messages"]}
    assert state[key]["isDraft"]
    box.drop(key, drop)
    error = box.provider().read([key])[key]
    assert isinstance(error, Rejected)
    assert error.reason == "not_mail"
    failed = made.ids["marker.error"]
    settle(box, filed(key, drop, failed))
    assert folder(box, key) == "drafts"


def test_a_meeting_request_is_told_as_one(box: OutlookMailbox, drop: str) -> None:
    raw = (
        b"From: Kim <kim@widgets.example>\r\nTo: alex@mailspan.example\r\nSubject: Widgets review\r\n"
        b"Message-ID: <meeting@widgets.example>\r\nDate: Mon, 02 Mar 2026 09:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/alternative; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nReview\r\n'
        b"--b\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n"
        b"BEGIN:VEVENT\r\nUID:1@widgets.example\r\nDTSTART:20260303T100000Z\r\nDTEND:20260303T110000Z\r\n"
        b"SUMMARY:Widgets review\r\nORGANIZER:mailto:kim@widgets.example\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n--b--\r\n"
    )
    key = box.drop(box.deliver(raw), drop)
    read = box.provider().read([key])[key]
    assert isinstance(read, Message)
    assert read.mime.kind == "calendar"


def test_what_exchange_cannot_convert_is_no_mail(world: OutlookWorld, box: OutlookMailbox, drop: str) -> None:
    key, other = box.drop(box.deliver(mail()), drop), box.drop(box.deliver(mail()), drop)
    provider = box.provider()
    provider.dropped([drop])
    body = {"error": {"code": "ErrorMimeContentConversionFailed", "message": "text of a person"}}
    world.sandbox.fault("status", vendor="microsoft", path=rf"{quote(key, safe='')}/\$value", status=400, body=body)
    answers = provider.read([key, other])
    error = answers[key]
    assert isinstance(error, Rejected)
    assert (error.reason, "person" in str(error)) == ("not_mail", False)
    assert isinstance(answers[other], Message)
