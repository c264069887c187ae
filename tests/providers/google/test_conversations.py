"""Gmail's own about conversations: drafts that are sent, threads that are cut, and what looking costs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sync.errors import Busy
from sync.model import Seen
from sync.providers.google import conversations
from sync.providers.google.http import Api, service
from tests.contracts.gmail_world import GmailMailbox, GmailWorld
from tests.contracts.mail_world import CountingMeter, mail
from tests.providers.google.fake_http import Answer, FakeHttp, refusal
from tests.sandboxed import Sandbox

FIRST = "<first@widgets.example>"


@pytest.fixture
def world(bare_sandbox: Sandbox) -> Iterator[GmailWorld]:
    world = GmailWorld(bare_sandbox)
    yield world
    world.close()
    bare_sandbox.settings(gmail_thread_limit=None)


@pytest.fixture
def box(world: GmailWorld) -> GmailMailbox:
    return world.mailbox()


def arrived(box: GmailMailbox, cursor: str) -> list[Seen]:
    return [seen for seen in box.provider().changes(cursor).changed if seen.arrived]


def act(box: GmailMailbox, action: str, **body: object) -> dict[str, str]:
    return box.world.sandbox.act("google", action, user=box.address, **body)


def test_a_draft_arrives_when_it_is_sent(box: GmailMailbox) -> None:
    """Sending makes another message of it."""
    key = box.deliver(mail("Widgets", message_id=FIRST))
    cursor = box.provider().changes(None).cursor
    draft = act(box, "write_draft", message=key, text="Soon")
    act(box, "edit_draft", draft=draft["draft"], text="Tomorrow")
    assert arrived(box, cursor) == []
    sent = act(box, "send_draft", draft=draft["draft"])
    (seen,) = arrived(box, cursor)
    assert (seen.id, seen.thread, seen.split) == (sent["id"], box.thread(key), False)
    assert "SENT" in seen.labels


def test_a_mail_that_was_no_junk_after_all_arrives_then(box: GmailMailbox) -> None:
    key = box.junk(mail())
    cursor = box.provider().changes(None).cursor
    act(box, "spam", message=key, value=False)
    assert [seen.id for seen in arrived(box, cursor)] == [key]


def test_a_cut_conversation_goes_on_in_a_message_that_begins_a_thread(world: GmailWorld, box: GmailMailbox) -> None:
    world.sandbox.settings(gmail_thread_limit=3)
    cursor = box.provider().changes(None).cursor
    box.deliver(mail("Widgets", message_id=FIRST))
    for _ in range(4):
        box.deliver(mail("Re: Widgets", answers=FIRST))
    seen = arrived(box, cursor)
    assert [one.split for one in seen] == [True, False, False, True, False]
    assert len({one.thread for one in seen}) == 2


def test_arrivals_cost_nothing(world: GmailWorld, box: GmailMailbox) -> None:
    cursor = box.provider().changes(None).cursor
    for _ in range(20):
        box.deliver(mail())
    before = world.requests(), world.units()
    assert len(arrived(box, cursor)) == 20
    assert (world.requests(), world.units()) == (before[0] + 1, before[1] + 2)


def test_conversations_cost_one_call_and_40_units_each(world: GmailWorld, box: GmailMailbox) -> None:
    threads = [box.thread(box.deliver(mail(f"Subject {number}"))) for number in range(3)]
    meter = CountingMeter()
    before = world.requests(), world.units()
    assert all(box.provider(meter).conversations(threads).values())
    assert (world.requests(), world.units()) == (before[0] + 1, before[1] + 120)
    assert meter.spent == [("threads.get", 120, 1)]


def test_no_content_is_asked_for(world: GmailWorld) -> None:
    fake = FakeHttp(lambda *request: (200, {"messages": []}))
    conversations.read(Api(service(), lambda: fake, CountingMeter()), ["t1"])
    assert "format=minimal" in fake.calls[0]
    assert "snippet" not in fake.calls[0]
    assert "fields=messages" in fake.calls[0]


def test_one_that_is_refused_hides_in_no_answer() -> None:
    """Half of the conversations would look like: the others are gone."""

    def answer(verb: str, path: str, body: object) -> Answer:
        return refusal(503, "backendError") if "/t2" in path else (200, {"messages": []})

    fake = FakeHttp(answer)
    with pytest.raises(Busy):
        conversations.read(Api(service(), lambda: fake, CountingMeter()), ["t1", "t2"])
