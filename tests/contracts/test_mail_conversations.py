"""The contract of `MailProvider` about conversations: what arrives, and what a whole one holds."""

from __future__ import annotations

import time

import pytest

from sync.errors import Busy, Denied
from sync.model import Seen
from sync.ports import MailProvider
from tests.contracts.mail_suite import Writes, drain, now
from tests.contracts.mail_world import MailWorld, UserMailbox, mail

FIRST = "<first@widgets.example>"


def begin(box: UserMailbox) -> str:
    """A conversation's first mail arrives."""
    return box.deliver(mail("Widgets", message_id=FIRST))


def answer(subject: str = "Re: Widgets") -> bytes:
    return mail(subject, answers=FIRST)


# --- changes: what came or was sent since the cursor ----------------------------------------------------------------


def test_what_comes_and_what_is_sent_has_arrived(box: UserMailbox) -> None:
    cursor = now(box)
    keys = {box.deliver(mail()), box.sent(mail())}
    seen = drain(box, cursor)[0]
    assert {key for key, one in seen.items() if one.arrived} == keys


def test_a_mail_that_a_rule_put_into_a_drop_label_has_arrived(box: UserMailbox, drop: str) -> None:
    cursor = now(box)
    key = box.deliver(mail(), labels=[drop])
    assert drain(box, cursor)[0][key].arrived


def test_an_answer_arrives_in_the_conversation(box: UserMailbox) -> None:
    first = begin(box)
    cursor = now(box)
    keys = {box.deliver(answer()), box.sent(answer())}
    seen = drain(box, cursor)[0]
    assert {key for key, one in seen.items() if one.arrived} == keys
    assert {seen[key].thread for key in keys} == {box.thread(first)}


@pytest.mark.parametrize("move", [True, False], ids=["moved", "copied"])
def test_a_mail_that_was_there_has_not_arrived_when_it_is_dropped(box: UserMailbox, drop: str, move: bool) -> None:
    key = box.deliver(mail())
    cursor = now(box)
    lying = box.drop(key, drop, move=move)
    assert not drain(box, cursor)[0][lying].arrived


@pytest.mark.parametrize("way", ["draft", "junk", "trash"])
def test_drafts_junk_and_what_was_thrown_away_have_not_arrived(box: UserMailbox, way: str) -> None:
    begin(box)
    cursor = now(box)
    if way == "draft":
        box.draft(answer())
    elif way == "junk":
        box.junk(answer())
    else:
        box.throw_away(box.deliver(answer()))
    assert [key for key, seen in drain(box, cursor)[0].items() if seen.arrived] == []


def test_a_mail_that_begins_a_conversation_may_continue_another(world: MailWorld, box: UserMailbox) -> None:
    """Where a mail system cuts long ones."""
    cursor = now(box)
    first, second = begin(box), box.deliver(answer())
    seen = drain(box, cursor)[0]
    assert (seen[first].split, seen[second].split) == (world.cuts, False)


# --- conversations: every message of these threads, oldest first, with `at` -----------------------------------------


def test_a_conversation_is_whole_and_oldest_first(box: UserMailbox) -> None:
    before = time.time()
    keys = [begin(box), box.deliver(answer()), box.sent(answer()), box.deliver(answer("RE: Widgets"))]
    box.archive(keys[1])
    box.deliver(mail("Gears"))
    thread = box.thread(keys[0])
    found = box.provider().conversations([thread])
    assert set(found) == {thread}
    assert [(seen.id, seen.thread) for seen in found[thread]] == [(key, thread) for key in keys]
    times = [seen.at for seen in found[thread]]
    assert times == sorted(times)
    assert all(abs(at - before) < 86_400 for at in times)


def test_a_mail_in_a_drop_label_is_part_of_its_conversation(box: UserMailbox, drop: str) -> None:
    first = begin(box)
    lying = box.drop(first, drop)
    second = box.deliver(answer())
    thread = box.thread(second)
    found = box.provider().conversations([thread])[thread]
    assert [seen.id for seen in found] == [lying, second]
    assert drop in found[0].labels


def test_drafts_junk_and_what_was_thrown_away_are_left_out(box: UserMailbox) -> None:
    first = begin(box)
    box.draft(answer())
    box.junk(answer())
    box.throw_away(box.deliver(answer()))
    thread = box.thread(first)
    assert [seen.id for seen in box.provider().conversations([thread])[thread]] == [first]


def test_several_conversations_and_one_that_is_gone(box: UserMailbox) -> None:
    keys = [box.deliver(mail(f"Subject {number}")) for number in range(3)]
    threads = {key: box.thread(key) for key in keys}
    box.delete(keys[1])
    found = box.provider().conversations(list(threads.values()))
    assert {thread: [seen.id for seen in several] for thread, several in found.items()} == {
        threads[keys[0]]: [keys[0]],
        threads[keys[1]]: [],
        threads[keys[2]]: [keys[2]],
    }


def test_no_conversation_is_no_call(world: MailWorld, provider: MailProvider) -> None:
    with Writes(world) as seen:
        assert dict(provider.conversations([])) == {}
    assert seen.requests == 0


@pytest.mark.parametrize("kind", ["throttled", "down", "reset", "revoked"])
def test_trouble_is_an_error_and_no_empty_conversation(world: MailWorld, box: UserMailbox, kind: str) -> None:
    thread = box.thread(begin(box))
    provider = box.provider()
    world.fault(kind)  # type: ignore[arg-type]
    with pytest.raises(Denied if kind == "revoked" else Busy):
        provider.conversations([thread])


def test_each_is_told_once(box: UserMailbox) -> None:
    thread = box.thread(begin(box))
    found = box.provider().conversations([thread, thread])
    assert [type(seen) for seen in found[thread]] == [Seen]
