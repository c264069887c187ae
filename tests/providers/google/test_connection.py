"""The connections below the client library."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from sync.errors import Busy
from sync.model import Mark, Message
from sync.providers.google import connection
from sync.providers.google import mail as gmail
from tests.contracts.gmail_world import GmailWorld
from tests.contracts.mail_world import CountingMeter, mail
from tests.sandboxed import Sandbox


@pytest.fixture
def world(bare_sandbox: Sandbox) -> Iterator[GmailWorld]:
    world = GmailWorld(bare_sandbox)
    yield world
    world.close()


def test_an_idle_connection_that_was_closed_is_noticed() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not connection._ended(ours)
        theirs.close()
        assert connection._ended(ours)


def test_bytes_that_nobody_asked_for_end_a_connection() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(3.0)
        theirs.sendall(b"HTTP/1.1 408 Request Timeout\r\n")
        assert connection._ended(ours)
        assert ours.gettimeout() == 3.0


def test_connections_are_kept(world: GmailWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    box = world.mailbox()
    provider = box.provider()
    opened: list[str] = []
    connect = connection._Connection.connect

    def noted(self: connection._Connection) -> None:
        opened.append(self.host)
        connect(self)

    monkeypatch.setattr(connection._Connection, "connect", noted)
    for _ in range(5):
        provider.changes(None)
    assert len(opened) <= 1


def test_a_write_whose_answer_is_lost_is_sent_once(world: GmailWorld) -> None:
    """httplib2 alone would send it again, and nobody would know."""
    box = world.mailbox()
    label = box.create_label("Own")
    provider = box.provider()
    provider.changes(None)
    before = world.writes()
    world.fault("lost")
    with pytest.raises(Busy):
        provider.settle([Mark(box.deliver(mail()), add=frozenset({label}), home=False)])
    assert world.writes() - before == 1


def test_large_mails_are_read_in_smaller_parts(world: GmailWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BATCH_BYTES", 400_000)
    box, meter = world.mailbox(), CountingMeter()
    keys = [box.deliver(mail(attachment=bytes(100_000))) for _ in range(9)]
    provider = box.provider(meter)
    answers = provider.read(keys)
    assert all(isinstance(answers[key], Message) for key in keys)
    assert [units / 20 for _, units, _ in meter.spent] == [9, 2, 2, 2, 2, 1]
    small = [box.deliver(mail()) for _ in range(4)]
    assert all(isinstance(answer, Message) for answer in provider.read(small).values())


def test_what_does_not_fit_into_memory_is_left_for_the_next_call(
    world: GmailWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BATCH_BYTES", 300_000)
    monkeypatch.setattr(gmail, "READ_BYTES", 250_000)
    box = world.mailbox()
    left = [box.deliver(mail(attachment=bytes(100_000))) for _ in range(6)]
    provider, rounds = box.provider(), 0
    while left:
        answers = provider.read(left)
        assert set(answers) == set(left)
        assert any(isinstance(answer, Message) for answer in answers.values())
        for answer in answers.values():
            assert isinstance(answer, Message) or (isinstance(answer, Busy) and answer.retry_after == 0)
        left = [key for key, answer in answers.items() if isinstance(answer, Busy)]
        rounds += 1
    assert 2 <= rounds <= 4


def test_one_large_mail_alone_has_no_limit(world: GmailWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BATCH_BYTES", 50_000)
    box = world.mailbox()
    keys = [box.deliver(mail(attachment=bytes(100_000))), box.deliver(mail())]
    assert all(isinstance(answer, Message) for answer in box.provider().read(keys).values())
