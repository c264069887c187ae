"""Leases: one wake at a time, fenced, renewed while it works, and no knock is ever lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from sync.engine.wake import Heartbeat
from sync.engine.work import Ports
from sync.errors import LeaseLost
from tests.engine.office import DONE, Killed, Office, mail

CUSTOMER = "Kim Lee <kim@widgets.example>"


def test_a_second_worker_finds_the_mailbox_taken(office: Office) -> None:
    anna = office.desk("anna")
    lease = office.store.lease(anna.id, "other", 60, office.now)
    assert lease is not None
    assert office.wake(anna).ended == "elsewhere"
    office.store.give_back(lease, office.now)
    assert office.wake(anna).ended == "done"


def test_a_knock_during_the_wake_is_answered_by_the_same_wake(office: Office) -> None:
    anna = office.desk("anna")
    anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    late: list[str] = []

    def heard(name: str, before: bool) -> None:
        if name == "settle" and before and not late:
            late.append(anna.drop(mail("Late", sender=CUSTOMER, to="anna@northpeak.example")))
            office.store.wake(anna.id)

    office.heard = heard
    assert office.wake(anna).ended == "done"
    assert anna.marks(late[0]) == {DONE}


def test_a_worker_that_lost_its_lease_commits_nothing_more(office: Office) -> None:
    anna = office.desk("anna")
    key = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))

    def heard(name: str, before: bool) -> None:
        if name == "read" and before:
            office.now += 1000  # a long pause of the process; meanwhile another worker takes over
            office.heard = lambda name, before: None
            assert office.wake(anna, worker="usurper").ended == "done"

    office.heard = heard
    assert office.wake(anna, worker="sleeper").ended == "lost"
    office.settle()
    assert len(office.crm.activities()) == 1
    assert anna.marks(key) == {DONE}


def test_the_heartbeat_keeps_a_lease_alive_during_a_long_call(office: Office) -> None:
    anna = office.desk("anna")
    beats = threading.Event()
    lease = office.store.lease(anna.id, "worker", 0.06, office.now)
    assert lease is not None
    renewed: list[float] = []

    class Watched:
        @contextmanager
        def under(self, *args: Any) -> Iterator[Any]:
            with office.store.under(*args) as tx:
                yield tx
            renewed.append(office.now)
            if len(renewed) == 3:
                beats.set()

    with Heartbeat(Watched(), lease, 0.06, 20, office.clock):  # type: ignore[arg-type]
        assert beats.wait(5)
    count = len(renewed)
    assert not threading.Event().wait(0.08)
    assert len(renewed) == count


def test_an_unexpected_error_gives_the_mailbox_back_for_later(office: Office) -> None:
    anna = office.desk("anna")
    key = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))

    def heard(name: str, before: bool) -> None:
        if name == "match":
            raise ZeroDivisionError

    office.heard = heard
    with pytest.raises(ZeroDivisionError):
        office.wake(anna)
    office.heard = lambda name, before: None
    office.settle()
    assert anna.marks(key) == {DONE}


def test_a_mail_that_kills_every_worker_is_parked_and_takes_no_other_with_it(office: Office) -> None:
    anna = office.desk("anna")
    keys = [anna.drop(mail(f"Mail {n}", sender=CUSTOMER, to="anna@northpeak.example")) for n in range(5)]
    bad = keys[2]
    plain = office.ports

    def ports(mailbox_id: int) -> Ports:
        found = plain(mailbox_id)
        return replace(found, mail=Deadly(found.mail, bad))

    office.ports = ports  # type: ignore[method-assign]
    deaths = 0
    for _ in range(20):
        try:
            office.wake(anna)
            break
        except Killed:
            deaths += 1
            office.now += 60
    office.settle()
    assert deaths == 3
    assert anna.marks(bad) == {("Tracking Failed",), ("Tracking Failed", "Tried too often")}
    assert all(anna.marks(key) == {DONE} for key in keys if key != bad)


class Deadly:
    """A mailbox with one mail that nobody survives reading."""

    def __init__(self, port: Any, bad: str) -> None:
        self._port, self._bad = port, bad

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    def read(self, ids: Sequence[str]) -> Any:
        if self._bad in ids:
            raise Killed
        return self._port.read(ids)


def test_leases_are_fenced(office: Office) -> None:
    anna = office.desk("anna")
    first = office.store.lease(anna.id, "one", 1, office.now)
    assert first is not None
    second = office.store.lease(anna.id, "two", 60, office.now + 5)
    assert second is not None
    assert second.fence > first.fence
    with pytest.raises(LeaseLost), office.store.under(first, office.now + 5, 1):
        pytest.fail("the old lease may not commit")


def test_a_mailbox_with_many_drops_lets_the_others_have_a_turn(office: Office) -> None:
    anna = office.desk("anna")
    keys = [anna.drop(mail(f"Mail {n}", sender=CUSTOMER, to="anna@northpeak.example")) for n in range(120)]
    started = office.now

    def heard(name: str, before: bool) -> None:
        if name == "file" and before:
            office.now += 40

    office.heard = heard
    report = office.wake(anna)
    assert report.ended == "done"
    assert report.next_look <= office.now
    assert office.now - started < 120
    filed = len(office.crm.activities())
    assert 0 < filed < 120
    office.settle()
    assert len(office.crm.activities()) == 120
    assert all(anna.marks(key) == {DONE} for key in keys)


def test_a_mailbox_in_which_nothing_happens_is_looked_at_less_and_less(office: Office) -> None:
    anna = office.desk("anna")
    connected, poll = office.now, office.policy.drop_poll_seconds
    waits: dict[float, float] = {}
    for quiet in (60.0, 3600.0, 86_400.0):
        office.now = connected + quiet
        waits[quiet] = office.wake(anna).next_look - office.now
    assert list(waits.values()) == [pytest.approx(poll * times, abs=0.1) for times in (1, 2, 4)]
    anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    report = office.wake(anna)
    assert report.next_look - office.now == pytest.approx(poll, abs=0.1)
