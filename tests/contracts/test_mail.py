"""The contract of `MailProvider`, sentence by sentence, on every adapter."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from sync.errors import Busy, Conflict, CursorExpired, Denied, Missing
from sync.model import LabelMap, LabelTree, Mark, Message, Node, Target
from sync.ports import MailProvider
from tests.contracts.mail_suite import PATHS, TREE, Writes, drain, drops, now, remembered, whole
from tests.contracts.mail_world import CountingMeter, MailWorld, State, UserMailbox, mail

# --- ensure_tree: make the mailbox have the tree; idempotent, and no write when all is there ------------------------


def test_the_tree_is_made(box: UserMailbox, made: LabelMap) -> None:
    assert {key: box.labels()[label] for key, label in made.ids.items()} == PATHS
    assert set(made.created) == set(PATHS)
    assert made.renamed == ()


def test_no_write_when_all_is_there(world: MailWorld, box: UserMailbox, made: LabelMap) -> None:
    with Writes(world) as seen:
        again = box.provider().ensure_tree(remembered(made))
    assert seen.writes == 0
    assert again == LabelMap(made.ids)


def test_forgotten_ids_are_found_by_name_without_a_write(world: MailWorld, box: UserMailbox, made: LabelMap) -> None:
    with Writes(world) as seen:
        again = box.provider().ensure_tree(TREE)
    assert seen.writes == 0
    assert again == LabelMap(made.ids)


def test_a_label_of_the_wanted_name_is_adopted_whatever_its_case(box: UserMailbox, provider: MailProvider) -> None:
    theirs = box.create_label("PROCESSING complete!", marker=True)
    made = provider.ensure_tree(TREE)
    assert made.ids["marker.done"] == theirs
    assert "marker.done" not in made.created
    assert box.labels()[theirs] == ("PROCESSING complete!",)


def test_an_adopted_parent_gets_the_children(box: UserMailbox, provider: MailProvider) -> None:
    theirs = box.create_label("salesforce")
    made = provider.ensure_tree(TREE)
    assert made.ids["master"] == theirs
    assert box.labels()[made.ids["drop.archive"]] == ("salesforce", "- Create New Email")


def test_a_users_renaming_survives(world: MailWorld, box: UserMailbox, made: LabelMap) -> None:
    box.rename_label(made.ids["drop.archive"], "File it")
    with Writes(world) as seen:
        again = box.provider().ensure_tree(remembered(made))
    assert seen.writes == 0
    assert again.ids == made.ids
    assert box.labels()[made.ids["drop.archive"]] == ("Salesforce", "File it")


def test_a_renamed_parent_keeps_its_children(world: MailWorld, box: UserMailbox, made: LabelMap) -> None:
    box.rename_label(made.ids["master"], "CRM")
    with Writes(world) as seen:
        again = box.provider().ensure_tree(remembered(made))
    assert seen.writes == 0
    assert again.ids == made.ids


def test_a_new_child_goes_below_its_parent_as_the_user_named_it(box: UserMailbox, made: LabelMap) -> None:
    box.rename_label(made.ids["master"], "CRM")
    more = Node("drop.quote", "- Create New Quote", "master", "drop", Target("create", "quote"))
    again = box.provider().ensure_tree(LabelTree((*remembered(made).nodes, more)))
    assert box.labels()[again.ids["drop.quote"]] == ("CRM", "- Create New Quote")
    assert again.created == ("drop.quote",)


def test_a_rename_is_done_in_place(box: UserMailbox, made: LabelMap) -> None:
    again = box.provider().ensure_tree(remembered(made, drop_archive="File it"))
    assert again.ids == made.ids
    assert again.renamed == ("drop.archive",)
    assert again.created == ()
    assert box.labels()[made.ids["drop.archive"]] == ("Salesforce", "File it")


def test_a_marker_is_renamed(world: MailWorld, box: UserMailbox, made: LabelMap) -> None:
    again = box.provider().ensure_tree(remembered(made, marker_done="Filed"))
    assert (again.ids == made.ids) is not world.named_markers
    assert again.renamed == ("marker.done",)
    assert again.created == ()
    assert box.labels()[again.ids["marker.done"]] == ("Filed",)


def test_a_rename_of_a_parent_takes_its_children_along(box: UserMailbox, made: LabelMap) -> None:
    own = box.create_label("Salesforce", "My own")
    again = box.provider().ensure_tree(remembered(made, master="CRM"))
    assert again.ids == made.ids
    assert box.labels()[made.ids["master"]] == ("CRM",)
    assert box.labels()[made.ids["drop.archive"]] == ("CRM", "- Create New Email")
    assert box.labels()[own] == ("CRM", "My own")


def test_a_rename_of_parent_and_child_at_once(box: UserMailbox, made: LabelMap) -> None:
    again = box.provider().ensure_tree(remembered(made, master="CRM", drop_archive="File it"))
    assert again.ids == made.ids
    assert box.labels()[made.ids["drop.archive"]] == ("CRM", "File it")
    assert box.labels()[made.ids["drop.case"]] == ("CRM", "- Create New Case")


def test_a_rename_that_is_done_already_writes_nothing(world: MailWorld, box: UserMailbox, made: LabelMap) -> None:
    wanted = remembered(made, master="CRM")
    box.provider().ensure_tree(wanted)
    with Writes(world) as seen:
        again = box.provider().ensure_tree(wanted)
    assert seen.writes == 0
    assert again.renamed == ()


def test_a_deleted_label_is_made_anew_in_its_place(box: UserMailbox, made: LabelMap) -> None:
    box.delete_label(made.ids["drop.archive"])
    again = box.provider().ensure_tree(remembered(made))
    assert again.created == ("drop.archive",)
    assert again.ids["drop.archive"] != made.ids["drop.archive"]
    assert box.labels()[again.ids["drop.archive"]] == PATHS["drop.archive"]
    assert {k: v for k, v in again.ids.items() if k != "drop.archive"} == {
        k: v for k, v in made.ids.items() if k != "drop.archive"
    }


def test_children_of_a_deleted_parent_keep_their_ids(box: UserMailbox, made: LabelMap) -> None:
    box.delete_label(made.ids["master"])
    again = box.provider().ensure_tree(remembered(made))
    assert again.created == ("master",)
    assert again.ids["drop.archive"] == made.ids["drop.archive"]
    assert box.labels()[again.ids["master"]] == PATHS["master"]
    assert box.labels()[made.ids["drop.archive"]] == PATHS["drop.archive"]


def test_a_whole_deleted_tree_comes_back(world: MailWorld, box: UserMailbox, made: LabelMap) -> None:
    for label in made.ids.values():
        box.delete_label(label)
    again = box.provider().ensure_tree(remembered(made))
    assert {key: box.labels()[label] for key, label in again.ids.items()} == PATHS
    kept = {key for key in PATHS if again.ids[key] == made.ids[key]}
    assert kept == ({"marker.done", "marker.error", "reason.too_large"} if world.named_markers else set())


def test_a_slash_in_a_name_does_not_nest(box: UserMailbox, provider: MailProvider) -> None:
    tree = LabelTree((Node("master", "Sales/Force"), Node("leaf", "[1] A/B \\ C", "master")))
    made = provider.ensure_tree(tree)
    assert [len(box.labels()[made.ids[key]]) for key in ("master", "leaf")] == [1, 2]
    assert provider.ensure_tree(tree) == LabelMap(made.ids)


def test_names_in_any_script_are_kept(box: UserMailbox, provider: MailProvider) -> None:
    name = "Angebote für 東京 – ñandú 🦤"
    made = provider.ensure_tree(LabelTree((Node("master", name),)))
    assert box.labels()[made.ids["master"]] == (name,)
    assert box.provider().ensure_tree(LabelTree((Node("master", name),))) == LabelMap(made.ids)


def test_a_lost_answer_makes_no_second_label(world: MailWorld, box: UserMailbox) -> None:
    box.provider().ensure_tree(LabelTree(TREE.nodes[:1]))
    provider = box.provider()
    world.fault("lost")
    with pytest.raises(Busy):
        provider.ensure_tree(TREE)
    made = provider.ensure_tree(TREE)
    assert sorted(box.labels()) == sorted(made.ids.values())


# --- changes: what happened since the cursor ------------------------------------------------------------------------


def test_without_a_cursor_nothing_is_reported_and_the_cursor_is_now(box: UserMailbox, drop: str) -> None:
    box.drop(box.deliver(mail()), drop)
    page = box.provider().changes(None, drops(box))
    assert page.changed == ()
    assert not page.more
    assert drain(box, page.cursor)[0] == {}
    later = box.deliver(mail())
    assert set(drain(box, page.cursor)[0]) == {later}


def test_a_message_that_arrives_is_reported(box: UserMailbox, provider: MailProvider) -> None:
    cursor = now(box)
    key = box.deliver(mail())
    seen = drain(box, cursor)[0][key]
    assert (seen.id, seen.thread) == (key, box.thread(key))


def test_a_message_that_arrives_labelled_is_reported_with_its_label(box: UserMailbox, drop: str) -> None:
    cursor = now(box)
    key = box.deliver(mail(), labels=[drop])
    assert drop in drain(box, cursor)[0][key].labels


@pytest.mark.parametrize("move", [True, False], ids=["moved", "copied"])
def test_a_dropped_message_is_reported_with_its_label(box: UserMailbox, drop: str, move: bool) -> None:
    key = box.deliver(mail())
    cursor = now(box)
    lying = box.drop(key, drop, move=move)
    seen = drain(box, cursor)[0][lying]
    assert drop in seen.labels
    assert seen.thread == box.thread(key)


def test_events_are_folded_to_what_the_message_carries_in_the_end(box: UserMailbox, made: LabelMap) -> None:
    first, second = made.ids["drop.archive"], made.ids["drop.case"]
    key, other = box.deliver(mail()), box.deliver(mail())
    cursor = now(box)
    box.drop(key, first)
    box.drop(other, first)
    box.undrop(key, first)
    box.drop(key, second)
    page = box.provider().changes(cursor, drops(box))
    assert sorted(seen.id for seen in page.changed) == sorted({key, other})
    labels = drain(box, cursor)[0][key].labels
    assert second in labels
    assert first not in labels


def test_a_message_that_was_taken_back_no_longer_carries_the_label(box: UserMailbox, drop: str) -> None:
    key = box.deliver(mail())
    cursor = now(box)
    box.undrop(box.drop(key, drop, move=False), drop)
    assert all(drop not in seen.labels for seen in drain(box, cursor)[0].values())


def test_every_message_of_a_dropped_conversation_is_reported(box: UserMailbox, drop: str) -> None:
    first = box.deliver(mail("Widgets", message_id="<first@widgets.example>"))
    answers = [box.deliver(mail("Re: Widgets", answers="<first@widgets.example>")) for _ in range(3)]
    cursor = now(box)
    for key in (first, *answers):
        box.drop(key, drop)
    changed = drain(box, cursor)[0]
    assert set(changed) == {first, *answers}
    assert len({seen.thread for seen in changed.values()}) == 1


def test_the_same_cursor_gives_the_same_answer(box: UserMailbox, drop: str) -> None:
    key = box.deliver(mail())
    cursor = now(box)
    box.drop(key, drop)
    assert drain(box, cursor)[0] == drain(box, cursor)[0]


def test_the_new_cursor_gives_only_what_is_new(box: UserMailbox, drop: str) -> None:
    first, second = box.deliver(mail()), box.deliver(mail())
    cursor = now(box)
    box.drop(first, drop)
    changed, cursor = drain(box, cursor)
    assert set(changed) == {first}
    box.drop(second, drop)
    changed, cursor = drain(box, cursor)
    assert set(changed) == {second}
    assert drain(box, cursor)[0] == {}


def test_many_changes_come_whole_and_once(world: MailWorld, box: UserMailbox, drop: str) -> None:
    world.small_pages(3)
    keys = [box.deliver(mail()) for _ in range(10)]
    cursor = now(box)
    for key in keys:
        box.drop(key, drop)
    changed, cursor = drain(box, cursor)
    assert set(changed) == set(keys)
    assert all(drop in seen.labels and not seen.archived for seen in changed.values())
    assert drain(box, cursor)[0] == {}


def test_an_expired_cursor_says_so(world: MailWorld, box: UserMailbox) -> None:
    cursor = now(box)
    box.deliver(mail())
    world.expire_cursors()
    with pytest.raises(CursorExpired):
        box.provider().changes(cursor, drops(box))
    fresh = now(box)
    key = box.deliver(mail())
    assert set(drain(box, fresh)[0]) == {key}


@pytest.mark.parametrize("cursor", ["none", "-1"])
def test_an_unknown_cursor_is_an_expired_one(provider: MailProvider, cursor: str) -> None:
    with pytest.raises(CursorExpired):
        provider.changes(cursor)


def test_a_message_that_vanished_is_missing_when_read(box: UserMailbox, drop: str) -> None:
    key, other = box.deliver(mail()), box.deliver(mail())
    cursor = now(box)
    box.drop(key, drop)
    box.drop(other, drop)
    box.delete(key)
    changed = drain(box, cursor)[0]
    answers = box.provider().read(sorted(changed.keys() | {key}))
    assert isinstance(answers[key], Missing)
    assert isinstance(answers[other], Message)


# --- archived: it lay outside of the Inbox before it was dropped ----------------------------------------------------


@pytest.mark.parametrize(
    ("before", "archived"),
    [("inbox", False), ("copy", False), ("archived", True), ("sent", False), ("rule", True), ("inbox rule", False)],
)
def test_archived_tells_where_it_lay_before_the_drop(
    world: MailWorld, box: UserMailbox, drop: str, before: str, archived: bool
) -> None:
    """Where a drop is a move there is nothing to tell: what was moved goes back by direction, a copy goes away."""
    key = "" if "rule" in before else box.sent(mail()) if before == "sent" else box.deliver(mail())
    if before == "archived":
        box.archive(key)
    cursor = now(box)
    if "rule" in before:
        key = box.deliver(mail(), labels=[drop], inbox=before != "rule")
    else:
        key = box.drop(key, drop, move=before == "inbox")
    assert drain(box, cursor)[0][key].archived is (archived and not world.places)


# --- dropped: every message that lies in one of these drop labels now -----------------------------------------------


def test_the_level_is_what_lies_there_now(world: MailWorld, box: UserMailbox, made: LabelMap) -> None:
    first, second = made.ids["drop.archive"], made.ids["drop.case"]
    one, two, both, taken, gone = (box.deliver(mail()) for _ in range(5))
    box.deliver(mail())
    for key, label in ((one, first), (two, second), (both, first), (both, second), (taken, first), (gone, first)):
        box.drop(key, label)
    box.undrop(taken, first)
    box.delete(gone)
    level = {seen.id: seen for seen in box.provider().dropped([first, second])}
    assert {key: seen.labels & {first, second} for key, seen in level.items()} == {
        one: {first},
        two: {second},
        both: {second} if world.places else {first, second},
    }
    assert level[one].thread == box.thread(one)
    assert {seen.id for seen in box.provider().dropped([second])} == {two, both}


def test_the_level_tells_each_message_once(box: UserMailbox, made: LabelMap) -> None:
    labels = [made.ids["drop.archive"], made.ids["drop.case"]]
    key = box.deliver(mail(), labels=labels)
    assert [seen.id for seen in box.provider().dropped([*labels, *labels])] == [key]


def test_an_empty_level(box: UserMailbox, drop: str) -> None:
    assert list(box.provider().dropped([drop])) == []
    assert list(box.provider().dropped([])) == []


def test_a_label_that_is_gone_holds_nothing(box: UserMailbox, made: LabelMap) -> None:
    kept, deleted = made.ids["drop.archive"], made.ids["drop.case"]
    key = box.deliver(mail(), labels=[kept, deleted])
    box.delete_label(deleted)
    assert [seen.id for seen in box.provider().dropped([kept, deleted])] == [key]


def test_a_long_level_is_whole(world: MailWorld, box: UserMailbox, drop: str) -> None:
    world.small_pages(3)
    keys = {box.deliver(mail(), labels=[drop]) for _ in range(10)}
    assert {seen.id for seen in box.provider().dropped([drop])} == keys


def test_the_level_needs_no_cursor(world: MailWorld, box: UserMailbox, drop: str) -> None:
    key = box.deliver(mail(), labels=[drop])
    world.expire_cursors()
    assert [seen.id for seen in box.provider().dropped([drop])] == [key]


# --- read: the messages, whole, one call per 50; an error in place of one that could not be read --------------------


def test_a_message_is_read_whole(box: UserMailbox, drop: str) -> None:
    attachment = os.urandom(3000)
    sent = mail("Angebot für 東京", message_id="<whole@widgets.example>", body="Grüße\n", attachment=attachment)
    before = time.time()
    key = box.deliver(sent, labels=[drop])
    read = whole(box.provider().read([key])[key])
    assert (read.id, read.thread, read.direction) == (key, box.thread(key), "received")
    assert drop in read.labels
    assert read.mime.message_id == "<whole@widgets.example>"
    assert read.mime.subject == "Angebot für 東京"
    assert read.mime.text.strip() == "Grüße"
    assert [found.content for found in read.mime.attachments] == [attachment]
    assert read.size > 3000
    assert read.received is not None
    assert abs(read.received.timestamp() - before) < 86_400


def test_a_mail_with_eight_bit_bytes_is_read_as_it_came(box: UserMailbox, provider: MailProvider) -> None:
    raw = (
        b"From: Kim <kim@widgets.example>\r\nTo: alex@mailspan.example\r\nSubject: Gr\xc3\xbc\xc3\x9fe\r\n"
        b"Message-ID: <bytes@widgets.example>\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n"
        b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nGr\xfc\xdfe aus K\xf6ln\r\n"
    )
    key = box.deliver(raw)
    assert whole(provider.read([key])[key]).mime.text.strip() == "Grüße aus Köln"


def test_direction(box: UserMailbox, provider: MailProvider) -> None:
    received, sent, to_self = box.deliver(mail()), box.sent(mail()), box.sent(mail(), to_self=True)
    answers = provider.read([received, sent, to_self])
    assert [whole(answers[key]).direction for key in (received, sent, to_self)] == ["received", "sent", "sent"]


def test_one_that_cannot_be_read_does_not_hold_back_the_others(box: UserMailbox, provider: MailProvider) -> None:
    one, gone, two = (box.deliver(mail()) for _ in range(3))
    box.delete(gone)
    answers = provider.read([one, gone, two])
    assert set(answers) == {one, gone, two}
    assert isinstance(answers[gone], Missing)
    assert [whole(answers[key]).id for key in (one, two)] == [one, two]
    assert isinstance(provider.read([gone])[gone], Missing)


def test_as_few_calls_as_can_be(world: MailWorld, box: UserMailbox) -> None:
    keys = [box.deliver(mail()) for _ in range(51)]
    provider = box.provider()
    with Writes(world) as seen:
        answers = provider.read(keys[:50])
    assert (len(answers), seen.writes) == (50, 0)
    assert 0 < seen.requests <= world.read_calls(50)
    with Writes(world) as seen:
        answers = provider.read([*keys, keys[0]])
    assert len(answers) == 51
    assert 0 < seen.requests <= world.read_calls(51)
    assert {whole(answer).id for answer in answers.values()} == set(keys)


def test_nothing_to_read_is_no_call(world: MailWorld, provider: MailProvider) -> None:
    with Writes(world) as seen:
        assert dict(provider.read([])) == {}
    assert seen.requests == 0


def test_a_throttled_part_is_read_after_all_or_given_back(world: MailWorld, box: UserMailbox) -> None:
    keys = [box.deliver(mail()) for _ in range(5)]
    world.throttle_part()
    answers = box.provider().read(keys)
    assert set(answers) == set(keys)
    assert all(isinstance(answer, Message | Busy) for answer in answers.values())
    assert sum(isinstance(answer, Message) for answer in answers.values()) >= 4


# --- settle: apply the marks; idempotent, one outcome per mark in order ---------------------------------------------


def settle(provider: MailProvider, *marks: Mark) -> None:
    """Settle marks that must all succeed."""
    outcomes = provider.settle(marks)
    assert [outcome.key for outcome in outcomes] == [mark.id for mark in marks]
    assert [outcome.error for outcome in outcomes] == [None] * len(marks)


@pytest.mark.parametrize("known", [True, False], ids=["read before", "never met"])
@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_a_moved_mail_comes_home_marked(box: UserMailbox, drop: str, done: str, known: bool, twice: bool) -> None:
    key = box.deliver(mail())
    box.drop(key, drop)
    provider = box.provider()
    if known:
        provider.read([key])
    mark = Mark(key, frozenset({drop}), frozenset({done}))
    settle(provider, mark)
    if twice:
        settle(provider, mark)
    assert box.state(key) == State(frozenset({done}), inbox=True, unread=True)


@pytest.mark.parametrize("known", [True, False], ids=["read before", "never met"])
@pytest.mark.parametrize("move", [True, False], ids=["moved", "copied"])
def test_a_sent_mail_does_not_come_to_the_inbox(
    box: UserMailbox, drop: str, done: str, known: bool, move: bool
) -> None:
    key = box.sent(mail())
    lying = box.drop(key, drop, move=move)
    provider = box.provider()
    if known:
        provider.read([lying])
    settle(provider, Mark(lying, frozenset({drop}), frozenset({done})))
    assert box.state(key) == State(frozenset({done}), inbox=False, sent=True)


def test_a_mail_to_oneself_stays_in_both_places(box: UserMailbox, drop: str, done: str) -> None:
    key = box.sent(mail(), to_self=True)
    lying = box.drop(key, drop, move=False)
    settle(box.provider(), Mark(lying, frozenset({drop}), frozenset({done})))
    assert box.state(key) == State(frozenset({done}), inbox=True, sent=True)


def test_an_archived_mail_stays_away_when_not_sent_home(box: UserMailbox, drop: str, done: str) -> None:
    key = box.deliver(mail())
    box.archive(key)
    lying = box.drop(key, drop, move=False)
    settle(box.provider(), Mark(lying, frozenset({drop}), frozenset({done}), home=False))
    assert box.state(key) == State(frozenset({done}), inbox=False, unread=True)


def test_what_the_user_set_stays(box: UserMailbox, drop: str, done: str) -> None:
    own = box.create_label("Customers", "Widgets", marker=True)
    key = box.deliver(mail(), labels=[own])
    box.star(key)
    box.mark_read(key)
    box.drop(key, drop)
    settle(box.provider(), Mark(key, frozenset({drop}), frozenset({done})))
    assert box.state(key) == State(frozenset({own, done}), inbox=True, unread=False, starred=True)


def test_the_conversation_and_the_mail_itself_stay(box: UserMailbox, drop: str, done: str) -> None:
    key = box.deliver(mail(), labels=[drop])
    before = whole(box.provider().read([key])[key])
    settle(box.provider(), Mark(key, frozenset({drop}), frozenset({done})))
    after = whole(box.provider().read([key])[key])
    assert (after.mime, after.thread, after.received) == (before.mime, before.thread, before.received)
    assert list(box.provider().dropped([drop])) == []


def test_a_mail_that_is_gone_does_not_hold_back_the_others(box: UserMailbox, drop: str, done: str) -> None:
    one, gone, two = (box.deliver(mail(), labels=[drop]) for _ in range(3))
    provider = box.provider()
    provider.read([one, gone, two])
    box.delete(gone)
    outcomes = provider.settle([Mark(key, frozenset({drop}), frozenset({done})) for key in (one, gone, two)])
    assert [outcome.key for outcome in outcomes] == [one, gone, two]
    assert [outcome.ok for outcome in outcomes] == [True, False, True]
    assert isinstance(outcomes[1].error, Missing)
    assert [done in box.state(key).labels for key in (one, two)] == [True, True]


def test_a_mail_that_is_gone_and_was_never_met(box: UserMailbox, drop: str, done: str) -> None:
    gone = box.deliver(mail(), labels=[drop])
    box.delete(gone)
    outcome = box.provider().settle([Mark(gone, frozenset({drop}), frozenset({done}))])[0]
    assert isinstance(outcome.error, Missing)


@pytest.mark.parametrize("many", [2, 15])
def test_a_label_that_is_gone_is_a_conflict(world: MailWorld, box: UserMailbox, made: LabelMap, many: int) -> None:
    """Unless a mail can have a marker that is on no list: then the next look at the tree makes it whole again."""
    drop, done, lost = (made.ids[key] for key in ("drop.archive", "marker.done", "marker.error"))
    keys = [box.deliver(mail(), labels=[drop]) for _ in range(many + 1)]
    box.delete_label(lost)
    marks = [Mark(key, frozenset({drop}), frozenset({lost})) for key in keys[1:]]
    outcomes = box.provider().settle([Mark(keys[0], frozenset({drop}), frozenset({done})), *marks])
    assert [outcome.key for outcome in outcomes] == keys
    assert outcomes[0].ok
    assert {type(outcome.error) for outcome in outcomes[1:]} == {type(None) if world.named_markers else Conflict}
    made = box.provider().ensure_tree(remembered(made))
    settle(box.provider(), *(replace(mark, add=frozenset({made.ids["marker.error"]})) for mark in marks))


def test_a_label_that_is_gone_counts_as_removed(box: UserMailbox, made: LabelMap) -> None:
    old, done = made.ids["drop.case"], made.ids["marker.done"]
    key = box.deliver(mail(), labels=[old])
    box.delete_label(old)
    settle(box.provider(), Mark(key, frozenset({old}), frozenset({done})))
    assert box.state(key) == State(frozenset({done}), inbox=True, unread=True)


def test_a_burst_is_settled_in_few_calls(world: MailWorld, box: UserMailbox, drop: str, done: str) -> None:
    keys = [box.deliver(mail(), labels=[drop], inbox=False) for _ in range(50)]
    provider = box.provider()
    provider.read(keys)
    with Writes(world) as seen:
        settle(provider, *(Mark(key, frozenset({drop}), frozenset({done})) for key in keys))
    assert 0 < seen.requests <= world.settle_calls(50)
    assert {box.state(key) for key in keys} == {State(frozenset({done}), inbox=True, unread=True)}


def test_marks_that_differ_are_settled_each_in_its_way(box: UserMailbox, made: LabelMap) -> None:
    drop, done, failed = (made.ids[key] for key in ("drop.archive", "marker.done", "marker.error"))
    away = [box.deliver(mail(), labels=[drop], inbox=False) for _ in range(12)]
    home = [box.deliver(mail(), labels=[drop], inbox=False) for _ in range(12)]
    sent = [box.sent(mail()) for _ in range(2)]
    provider = box.provider()
    settle(
        provider,
        *(Mark(key, frozenset({drop}), frozenset({done}), home=False) for key in away),
        *(Mark(key, frozenset({drop}), frozenset({done})) for key in home),
        *(Mark(key, frozenset({drop}), frozenset({failed})) for key in sent),
    )
    assert {box.state(key) for key in away} == {State(frozenset({done}), inbox=False, unread=True)}
    assert {box.state(key) for key in home} == {State(frozenset({done}), inbox=True, unread=True)}
    assert {box.state(key) for key in sent} == {State(frozenset({failed}), inbox=False, sent=True)}


def test_nothing_to_settle_is_no_call(world: MailWorld, box: UserMailbox, provider: MailProvider) -> None:
    with Writes(world) as seen:
        assert list(provider.settle([])) == []
    assert (seen.writes, seen.requests) == (0, 0)


def test_settling_again_after_a_lost_answer(world: MailWorld, box: UserMailbox, drop: str, done: str) -> None:
    key = box.deliver(mail(), labels=[drop])
    provider = box.provider()
    provider.read([key])
    mark = Mark(key, frozenset({drop}), frozenset({done}))
    world.fault("lost")
    with pytest.raises(Busy):
        provider.settle([mark])
    settle(provider, mark)
    assert box.state(key) == State(frozenset({done}), inbox=True, unread=True)


# --- lag: label id -> epoch seconds of the oldest message that lies in it; only non-empty ones ----------------------


def test_lag_tells_the_oldest_of_each_label_that_is_not_empty(box: UserMailbox, made: LabelMap) -> None:
    first, second = made.ids["drop.archive"], made.ids["drop.case"]
    keys = [box.deliver(mail(), labels=[first]) for _ in range(3)]
    dates = [whole(answer).received for answer in box.provider().read(keys).values()]
    assert dict(box.provider().lag([first, second])) == {
        first: pytest.approx(min(date.timestamp() for date in dates if date), abs=0.01)
    }
    assert dict(box.provider().lag([])) == {}


# --- errors of sync.errors, nothing else; and the budget ------------------------------------------------------------


def every_call(provider: MailProvider, key: str, drop: str, cursor: str) -> Iterator[tuple[str, object]]:
    """Each method of the port, once; what it raised or gave."""
    calls: dict[str, Callable[[], object]] = {
        "ensure_tree": lambda: provider.ensure_tree(TREE),
        "changes": lambda: provider.changes(cursor, [drop]),
        "first changes": lambda: provider.changes(None, [drop]),
        "dropped": lambda: provider.dropped([drop]),
        "read": lambda: provider.read([key]),
        "settle": lambda: provider.settle([Mark(key, frozenset({drop}))]),
        "lag": lambda: provider.lag([drop]),
    }
    for name, call in calls.items():
        try:
            yield name, call()
        except Exception as error:  # noqa: BLE001 - the test says which it may be
            yield name, error


@pytest.mark.parametrize("kind", ["throttled", "down", "reset"])
def test_trouble_is_busy_at_every_call(world: MailWorld, box: UserMailbox, drop: str, kind: str) -> None:
    key = box.deliver(mail(), labels=[drop])
    meter = CountingMeter()
    provider = box.provider(meter)
    calls = every_call(provider, key, drop, now(box))
    for _ in range(7):
        world.fault(kind)  # type: ignore[arg-type]
        name, error = next(calls)
        assert isinstance(error, Busy), name
        assert 0 < error.retry_after <= 120
    assert len(meter.refused) == (7 if kind == "throttled" else 0)


def test_the_wait_that_was_told_is_kept(world: MailWorld, box: UserMailbox, drop: str) -> None:
    meter = CountingMeter()
    provider = box.provider(meter)
    world.fault("throttled", retry_after=17)
    with pytest.raises(Busy) as caught:
        provider.dropped([drop])
    assert caught.value.retry_after == pytest.approx(17, abs=1)
    assert [wait for _, wait in meter.refused] == [pytest.approx(17, abs=1)]


def test_a_revoked_grant_is_denied_at_every_call(world: MailWorld, box: UserMailbox, drop: str) -> None:
    key = box.deliver(mail(), labels=[drop])
    cursor = now(box)
    calls = every_call(box.provider(), key, drop, cursor)
    for _ in range(7):
        world.fault("revoked")
        name, error = next(calls)
        assert isinstance(error, Denied), name
        assert error.detail


def test_an_empty_budget_makes_no_call(world: MailWorld, box: UserMailbox, drop: str) -> None:
    key = box.deliver(mail(), labels=[drop])
    meter = CountingMeter()
    provider = box.provider(meter)
    cursor = now(box)
    meter.empty = True
    with Writes(world) as seen:
        for name, error in every_call(provider, key, drop, cursor):
            assert isinstance(error, Busy), name
    assert seen.requests == 0
    assert meter.refused == []


def test_every_call_is_paid(world: MailWorld, box: UserMailbox, drop: str) -> None:
    keys: Sequence[str] = [box.deliver(mail(), labels=[drop]) for _ in range(3)]
    meter = CountingMeter()
    provider = box.provider(meter)
    cursor = now(box)
    meter.spent.clear()
    with Writes(world) as seen:
        provider.ensure_tree(TREE)
        provider.changes(cursor, [drop])
        provider.dropped([drop])
        provider.read(keys)
        provider.settle([Mark(key, frozenset({drop})) for key in keys])
        provider.lag([drop])
    assert meter.calls == seen.requests
