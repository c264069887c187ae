"""Wakes and leases: no wake is lost, and no mailbox has two holders."""

from __future__ import annotations

import pytest

from sync.errors import LeaseLost
from sync.store.leases import Lease
from tests.store.conftest import NOW, Site


def test_a_lease_is_exclusive_until_it_ends(site: Site) -> None:
    store = site.store
    first = store.lease(site.ann, "one", 60, NOW)
    assert first == Lease(site.ann, "one", 1, 0)
    assert store.lease(site.ann, "two", 60, NOW + 59) is None
    assert store.lease(site.bob, "two", 60, NOW) is not None
    second = store.lease(site.ann, "two", 60, NOW + 60)
    assert second == Lease(site.ann, "two", 2, 0)


def test_an_old_lease_can_do_nothing(site: Site) -> None:
    store = site.store
    old = site.lease(owner="one")
    new = site.lease(owner="two", now=NOW + 60)
    with pytest.raises(LeaseLost), store.under(old, NOW + 61, 60) as tx:
        tx.set_cursor("mail", "old")
    for use in (
        lambda: store.renew(old, 60, NOW),
        lambda: store.release(old, NOW),
        lambda: store.give_back(old, NOW),
        lambda: store.again(old),
        lambda: store.park_mailbox(old, "x"),
        lambda: store.swept(old, NOW),
        lambda: store.synced(old, NOW),
    ):
        with pytest.raises(LeaseLost):
            use()
    with store.under(new, NOW + 61, 60) as tx:
        assert tx.cursor("mail") is None


def test_an_owner_that_crashed_takes_its_lease_again(site: Site) -> None:
    old = site.lease(owner="one")
    new = site.lease(owner="one", now=NOW + 1)
    assert new.fence == old.fence + 1
    with pytest.raises(LeaseLost):
        site.store.renew(old, 60, NOW)


def test_a_lease_that_ended_but_was_not_taken_is_still_good(site: Site) -> None:
    lease = site.lease()
    with site.store.under(lease, NOW + 100, 60) as tx:
        tx.set_cursor("mail", "1")
    assert site.store.lease(site.ann, "two", 60, NOW + 159) is None  # it was extended by the commit
    site.store.renew(lease, 100, NOW + 159)
    assert site.store.lease(site.ann, "two", 60, NOW + 258) is None


def test_a_wake_during_a_look_is_not_lost(site: Site) -> None:
    store = site.store
    store.wake(site.ann)
    lease = site.lease()
    assert lease.dirty == 1
    store.wake(site.ann)
    assert not store.release(lease, NOW, next_due=NOW + 500)
    lease = store.again(lease)
    assert lease.dirty == 2
    assert store.release(lease, NOW + 1, next_due=NOW + 500, not_before=NOW + 2)
    found = store.mailbox(site.ann)
    assert (found.dirty, found.handled, found.lease_owner) == (2, 2, None)
    assert (found.next_due, found.not_before, found.synced_at, found.status) == (NOW + 500, NOW + 2, NOW + 1, "active")


def test_a_look_that_was_broken_off_leaves_the_mailbox_dirty(site: Site) -> None:
    store = site.store
    lease = site.lease()
    store.release(lease, NOW, next_due=NOW + 500)
    lease = site.lease()
    store.give_back(lease, NOW, not_before=NOW + 30)
    assert site.ann not in store.due(NOW + 29, 10)
    assert site.ann in store.due(NOW + 30, 10)
    assert store.mailbox(site.ann).lease_owner is None


def test_due_and_next_wake_say_the_same(site: Site) -> None:
    store = site.store
    assert store.due(NOW, 10) == [site.ann, site.bob]  # new ones
    for mailbox_id, due in ((site.ann, NOW + 10), (site.bob, NOW + 20)):
        assert store.release(site.lease(mailbox_id), NOW, next_due=due)
    assert (store.due(NOW, 10), store.next_wake(NOW)) == ([], NOW + 10)
    assert (store.due(NOW + 15, 10), store.next_wake(NOW + 15)) == ([site.ann], NOW + 15)
    store.wake(site.bob)
    assert store.due(NOW, 10) == [site.bob]
    assert store.due(NOW + 20, 1) == [site.bob]
    store.wake(site.ann, urgent=True)
    assert store.due(NOW + 20, 1) == [site.ann]
    lease = site.lease(site.ann)
    assert store.due(NOW, 10) == [site.bob]
    assert store.due(NOW + 60, 10) == [site.ann, site.bob]  # its holder died
    store.release(lease, NOW, next_due=NOW + 900)
    assert store.mailbox(site.ann).urgent == store.mailbox(site.ann).handled  # nobody waits any more


def test_nothing_is_ever_due_without_mailboxes_at_work(site: Site) -> None:
    site.store.disable_mailbox(site.ann)
    site.store.park_mailbox(site.lease(site.bob), "denied")
    assert site.store.next_wake(NOW) is None
    assert site.store.due(NOW + 9e9, 10) == []


def test_a_back_off_holds_until_its_end_or_a_person_waits(site: Site) -> None:
    store = site.store
    store.give_back(site.lease(), NOW, not_before=NOW + 300)
    store.wake(site.ann)
    assert store.lease(site.ann, "two", 60, NOW + 299) is None
    assert site.ann not in store.due(NOW + 299, 10)
    store.wake(site.ann, urgent=True)
    assert store.due(NOW, 10)[0] == site.ann
    assert store.lease(site.ann, "two", 60, NOW) is not None


def test_a_parked_mailbox_keeps_its_wakes(site: Site) -> None:
    store = site.store
    store.wake(site.ann)
    lease = site.lease()
    store.park_mailbox(lease, "access was revoked")
    found = store.mailbox(site.ann)
    assert (found.status, found.status_reason, found.lease_owner) == ("parked", "access was revoked", None)
    assert store.lease(site.ann, "two", 60, NOW) is None
    assert store.activate(site.ann)
    assert not store.activate(site.ann)
    found = store.mailbox(site.ann)
    assert (found.status, found.status_reason, found.dirty, found.handled) == ("active", None, 2, 0)
    assert site.ann in store.due(NOW, 10)


def test_activation_of_a_new_mailbox_is_no_wake(site: Site) -> None:
    assert site.store.activate(site.ann)
    assert (site.store.mailbox(site.ann).status, site.store.mailbox(site.ann).dirty) == ("active", 0)


def test_the_sweep_and_the_sync_are_remembered(site: Site) -> None:
    lease = site.lease()
    with site.store.under(lease, NOW, 60) as tx:
        assert tx.swept_at() == 0
        tx.swept(NOW)
        assert tx.swept_at() == NOW
    site.store.swept(lease, NOW + 1)
    site.store.synced(lease, NOW + 2)
    found = site.store.mailbox(site.ann)
    assert (found.swept_at, found.synced_at, found.status) == (NOW + 1, NOW + 2, "active")


def test_a_wake_of_nobody_says_so(site: Site) -> None:
    assert site.store.wake(site.ann)
    assert not site.store.wake(99)
    assert site.store.lease(99, "w", 60, NOW) is None
