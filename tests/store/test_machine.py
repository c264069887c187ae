"""Any order of wakes, looks, crashes and waiting: no wake is lost, never two holders, and what is due is found."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sync.errors import LeaseLost
from sync.store.leases import Lease
from tests.store.conftest import NOW, Site

SECONDS = 30.0
OWNERS = ("one", "two", "three")


class Scheduler(RuleBasedStateMachine):
    """The model: which wakes a finished look covered, and which lease is the newest."""

    site: Site
    number = 0

    @initialize()
    def begin(self) -> None:
        Scheduler.number += 1
        change = self.site.store.put_mailbox(f"user{Scheduler.number}@acme.example", "sales")
        self.mailbox = change.id
        self.now = NOW
        self.wakes = 0
        self.covered = 0
        self.leases: dict[str, Lease] = {}
        self.newest = 0  # fence
        self.holder: str | None = None
        self.ends = 0.0
        self.not_before = 0.0
        self.next_due = 0.0
        self.broken_off = 0

    @rule(urgent=st.booleans())
    def wake(self, urgent: bool) -> None:
        assert self.site.store.wake(self.mailbox, urgent)
        self.wakes += 1
        if urgent:
            self.not_before = 0.0

    @rule(owner=st.sampled_from(OWNERS))
    def lease(self, owner: str) -> None:
        lease = self.site.store.lease(self.mailbox, owner, SECONDS, self.now)
        free = self.ends <= self.now or self.holder == owner
        assert (lease is not None) == (free and self.not_before <= self.now)
        if lease is not None:
            assert lease.fence == self.newest + 1
            assert lease.dirty == self.wakes + self.broken_off
            self.leases[owner] = lease
            self.newest, self.ends, self.holder = lease.fence, self.now + SECONDS, owner

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        owner, lease = data.draw(st.sampled_from(sorted(self.leases.items(), key=lambda item: item[0])))
        try:
            with self.site.store.under(lease, self.now, SECONDS) as tx:
                tx.set_cursor("mail", owner)
        except LeaseLost:
            assert lease.fence != self.newest
            del self.leases[owner]
        else:
            assert lease.fence == self.newest
            self.ends = self.now + SECONDS

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), wait=st.sampled_from([0.0, 5.0, 100.0]))
    def release(self, data: st.DataObject, wait: float) -> None:
        owner, lease = data.draw(st.sampled_from(sorted(self.leases.items(), key=lambda item: item[0])))
        try:
            released = self.site.store.release(lease, self.now, next_due=self.now + wait)
        except LeaseLost:
            assert lease.fence != self.newest
            del self.leases[owner]
            return
        assert lease.fence == self.newest
        assert released == (lease.dirty == self.wakes + self.broken_off)
        self.covered = lease.dirty
        if released:
            self.next_due = self.now + wait
            self._given_back(owner)
        else:
            self.leases[owner] = self.site.store.again(lease)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), wait=st.sampled_from([0.0, 5.0, 100.0]))
    def give_back(self, data: st.DataObject, wait: float) -> None:
        owner, lease = data.draw(st.sampled_from(sorted(self.leases.items(), key=lambda item: item[0])))
        try:
            self.site.store.give_back(lease, self.now, not_before=self.now + wait)
        except LeaseLost:
            assert lease.fence != self.newest
            del self.leases[owner]
            return
        assert lease.fence == self.newest
        self.broken_off += 1
        self.not_before = self.now + wait
        self._given_back(owner)

    def _given_back(self, owner: str) -> None:
        del self.leases[owner]
        self.holder, self.ends = None, 0.0

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """The process forgets its lease; the database does not."""
        owner = data.draw(st.sampled_from(sorted(self.leases)))
        del self.leases[owner]

    @rule(seconds=st.sampled_from([1.0, SECONDS, 100.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def no_wake_is_lost(self) -> None:
        """What no finished look covered is dirty, and found by the ticker as soon as nothing stands in its way."""
        if not hasattr(self, "mailbox"):
            return
        mailbox = self.site.store.mailbox(self.mailbox)
        assert mailbox.dirty == self.wakes + self.broken_off
        assert mailbox.handled == self.covered
        assert mailbox.lease_owner == self.holder
        wanted = self.ends if self.holder else 0.0 if mailbox.dirty > self.covered else self.next_due
        due_at = max(wanted, self.not_before)
        assert (self.mailbox in self.site.store.due(self.now, 10_000)) == (due_at <= self.now)


def test_no_order_of_events_loses_a_wake(site: Site) -> None:
    machine = type("SchedulerOnSite", (Scheduler,), {"site": site})
    some = settings(max_examples=20, stateful_step_count=25, deadline=None, database=None)
    run_state_machine_as_test(machine, settings=settings(some, suppress_health_check=list(HealthCheck)))
