"""Threads and processes at once: one holder, one filing, one creator, no wake and no update lost."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TypeVar

from sync.errors import LeaseLost
from sync.store.store import Store
from tests.databases import KEY
from tests.store.conftest import NOW, Site, seen

T = TypeVar("T")
WORKERS = 6


def at_once(work: Callable[[int], T], workers: int = WORKERS) -> list[T]:
    """Every worker in a thread of its own, all let go at the same moment; the first exception is raised."""
    barrier = threading.Barrier(workers)

    def started(number: int) -> T:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(started, range(workers)))


def test_a_mailbox_never_has_two_holders(site: Site) -> None:
    """Each worker takes the lease again and again and counts in a cursor, reading and writing in two transactions:
    counts get lost as soon as two of them are inside."""
    rounds, counted = 5, [0] * WORKERS

    def work(number: int) -> None:
        while counted[number] < rounds:
            lease = site.store.lease(site.ann, f"w{number}", 60, NOW)
            if lease is None:
                continue
            with site.store.under(lease, NOW, 60) as tx:
                count = int(tx.cursor("count") or 0)
            with site.store.under(lease, NOW, 60) as tx:
                tx.set_cursor("count", str(count + 1))
            counted[number] += 1
            site.store.give_back(lease, NOW)

    at_once(work)
    with site.store.under(site.lease(), NOW, 60) as tx:
        assert tx.cursor("count") == str(rounds * WORKERS)
    assert site.store.mailbox(site.ann).fence == rounds * WORKERS + 1


def test_of_many_that_want_an_ended_lease_one_gets_it(site: Site) -> None:
    old = site.lease(owner="dead")
    won = [lease for lease in at_once(lambda n: site.store.lease(site.ann, f"w{n}", 60, NOW + 60)) if lease]
    assert len(won) == 1
    assert won[0].fence == old.fence + 1


def test_a_holder_that_was_replaced_cannot_commit(site: Site) -> None:
    """A commit of the old holder and a new lease race: whichever is first, the loser learns of it."""
    for round_ in range(8):
        now = NOW + round_ * 1000
        old = site.lease(owner="old", now=now)

        def race(number: int, old: object = old, now: float = now) -> str:
            if number == 0:
                return "new" if site.store.lease(site.ann, "new", 60, now + 60) else "refused"
            try:
                with site.store.under(old, now + 60, 60) as tx:  # type: ignore[arg-type]
                    tx.set_cursor("mail", str(now))
            except LeaseLost:
                return "lost"
            return "committed"

        assert at_once(race, 2) in (["new", "lost"], ["refused", "committed"])
        if site.store.mailbox(site.ann).lease_owner == "old":
            site.store.give_back(old, now)
        else:
            assert site.store.lease(site.ann, "new", 1, now + 60) is not None
            now += 100


def test_no_wake_is_lost_between_wakers_and_a_worker(site: Site) -> None:
    lease = site.lease()
    total = 5 * (WORKERS - 1)
    covered = []

    def work(number: int) -> None:
        if number:
            for _ in range(5):
                site.store.wake(site.ann, urgent=bool(number % 2))
            return
        held = lease
        while True:
            if site.store.release(held, NOW, next_due=NOW + 900):
                covered.append(held.dirty)
                return
            held = site.store.again(held)

    at_once(work)
    found = site.store.mailbox(site.ann)
    assert found.dirty == total
    assert found.handled == covered[0]
    assert (site.ann in site.store.due(NOW, 9)) == (found.handled < total)


def test_one_filing_whoever_binds_first(site: Site) -> None:
    """Two mailboxes bind the same mails in opposite order, then claim them: no deadlock, one row each, one claimant."""
    leases = [site.lease(site.ann, "a"), site.lease(site.bob, "b")]
    names = [f"m{number}" for number in range(20)]
    sightings = [{s.remote_id: s.id for s in site.sighted(lease, *names)} for lease in leases]

    def work(number: int) -> tuple[dict[str, int], set[int]]:
        order = names if number else names[::-1]
        with site.store.under(leases[number], NOW, 60) as tx:
            keys = [(sightings[number][name], f"key-{name}", "archive", "label") for name in order]
            bound = tx.bind(site.crm, keys, NOW)
            filings = {name: bound[sightings[number][name]].id for name in order}
            won = tx.claim_filings(list(filings.values()), f"w{number}", NOW, NOW + 60)
        return filings, set(won)

    (first, won), (second, also_won) = at_once(work, 2)
    assert first == second
    assert len(set(first.values())) == len(names)
    assert won | also_won == set(first.values())
    assert not won & also_won


def test_what_two_mailboxes_add_to_a_filing_is_all_kept(site: Site) -> None:
    leases = [site.lease(site.ann, "a"), site.lease(site.bob, "b")]
    filing = site.filing(leases[0])

    def work(number: int) -> None:
        for step in range(10):
            with site.store.under(leases[number], NOW, 60) as tx:
                tx.filed(filing, {f"@{number}-{step}": ("contact", f"003{step}")}, [number * 100 + step], None, NOW)

    at_once(work, 2)
    with site.store.under(leases[0], NOW, 60) as tx:
        found = tx.claim_filings([filing], "x", NOW, NOW)[filing]
    assert len(found.records) == len(found.users) == 20


def test_one_creator_per_person(site: Site) -> None:
    leases = [site.lease(site.ann, "a"), site.lease(site.bob, "b")]
    filings = [site.filing(lease, f"m{number}", f"key{number}") for number, lease in enumerate(leases)]
    people = [f"person{number}" for number in range(15)]

    def work(number: int) -> list[str]:
        mine = []
        for person in people:
            with site.store.under(leases[number], NOW, 60) as tx:
                if tx.claim_creation(site.crm, "contact", person, filings[number], NOW, NOW + 60).mine:
                    mine.append(person)
        return mine

    one, other = at_once(work, 2)
    assert sorted([*one, *other]) == sorted(people)


def test_claims_that_are_given_up_at_the_same_time_are_taken_once(site: Site) -> None:
    leases = [site.lease(site.ann, "a"), site.lease(site.bob, "b")]
    filings = [site.filing(lease, f"m{number}", f"key{number}") for number, lease in enumerate(leases)]

    def work(number: int) -> int:
        created = 0
        for _ in range(15):
            with site.store.under(leases[number], NOW, 60) as tx:
                claim = tx.claim_creation(site.crm, "account", "acme", filings[number], NOW, NOW + 60)
                created += claim.mine
            with site.store.under(leases[number], NOW, 60) as tx:
                assert tx.forget_creation(site.crm, "account", "acme", filings[number]) == claim.mine
        return created

    assert sum(at_once(work, 2)) > 0


def _count(url: str, mailbox_id: int, name: str) -> int:
    """In a process of its own: look at what is dirty until nothing is; how many mails this process claimed."""
    store = Store.open(url, [KEY])
    claimed = 0
    while store.due(NOW, 9) or store.mailbox(mailbox_id).lease_owner is not None:
        lease = store.lease(mailbox_id, name, 60, NOW)
        if lease is None:
            continue
        with store.under(lease, NOW, 60) as tx:
            found = tx.claim(NOW, 3)
            tx.decide([s.id for s in found], "done")
            claimed += tx.settle([s.id for s in found], NOW)
            left = tx.pending(NOW).unsettled
        if left:
            store.give_back(lease, NOW)
        else:
            store.release(lease, NOW, next_due=NOW + 900)
    store.close()
    return claimed


def test_processes_share_the_work_of_a_mailbox_and_each_mail_is_done_once(site: Site, database: str) -> None:
    lease = site.lease()
    with site.store.under(lease, NOW, 60) as tx:
        tx.see([seen(f"m{number}") for number in range(30)], NOW)
    site.store.give_back(lease, NOW)
    site.store.disable_mailbox(site.bob)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sync.store.store"])
    with ProcessPoolExecutor(3, mp_context=context) as pool:
        futures = [pool.submit(_count, database, site.ann, f"w{number}") for number in range(3)]
        counts = [future.result() for future in futures]
    assert sum(counts) == 30
    with site.store.under(site.lease(now=NOW + 900), NOW, 60) as tx:
        assert Counter(s.attempts for s in tx.claim(NOW, 99)) == {}


def test_looking_at_what_another_claimed_never_waits_for_it_in_a_circle(site: Site) -> None:
    """One mailbox concludes its filings and creations in any order while another, in the same rows, wants them."""
    leases = [site.lease(site.ann, "a"), site.lease(site.bob, "b")]
    filings = [site.filing(leases[0], f"m{number}", f"key{number}") for number in range(12)]
    (copy,) = site.sighted(leases[1], "copy")
    people = [f"person{number:02}" for number in range(12)]
    with site.store.under(leases[0], NOW, 60) as tx:
        tx.claim_filings(filings, "a", NOW, NOW + 60)
        for person in people:
            tx.claim_creation(site.crm, "contact", person, filings[0], NOW, NOW + 60)

    def conclude() -> None:
        with site.store.under(leases[0], NOW, 60) as tx:
            for filing in reversed(filings):
                tx.sent([(filing, None)], NOW)
            for person in reversed(people):
                tx.created(site.crm, "contact", person, filings[0], "003", NOW + 60)

    def want() -> None:
        with site.store.under(leases[1], NOW, 60) as tx:
            tx.bind(site.crm, [(copy.id, f"key{number}", "archive", "label") for number in range(12)], NOW)
            assert tx.claim_filings(filings, "b", NOW, NOW + 60) == {}
            for person in people:
                assert not tx.claim_creation(site.crm, "contact", person, filings[1], NOW, NOW + 60).mine

    def work(number: int) -> None:
        for _ in range(15):
            (want if number else conclude)()

    at_once(work, 2)
