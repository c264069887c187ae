"""Cursors, labels, sightings, filings and creations under a lease."""

from __future__ import annotations

import math

import pytest

from sync.core.labels import Remembered
from sync.store.rows import Creation
from tests.store.conftest import NOW, Site, seen


def test_cursors_belong_to_their_mailbox(site: Site) -> None:
    ann, bob = site.lease(), site.lease(site.bob)
    with site.store.under(ann, NOW, 60) as tx:
        tx.set_cursor("mail", "1")
        tx.set_cursor("mail", "2")
        tx.set_cursor("contacts", "x")
        tx.set_cursor("contacts", None)
        assert (tx.cursor("mail"), tx.cursor("contacts")) == ("2", None)
    with site.store.under(bob, NOW, 60) as tx:
        assert tx.cursor("mail") is None


def test_labels_become_exactly_what_is_set(site: Site) -> None:
    lease = site.lease()
    for wanted in (
        {"master": Remembered("L1", "a"), "drop": Remembered("L2", "b")},
        {"master": Remembered("L1", "c"), "marker": Remembered("L3", "d")},
        {},
    ):
        with site.store.under(lease, NOW, 60) as tx:
            tx.set_labels(wanted)
            assert tx.labels() == wanted
    with site.store.under(site.lease(site.bob), NOW, 60) as tx:
        assert tx.labels() == {}


# --- sightings ------------------------------------------------------------------------------------------------------


def test_what_is_seen_twice_is_one_sighting(site: Site) -> None:
    lease = site.lease()
    with site.store.under(lease, NOW, 60) as tx:
        assert (
            tx.see([seen("m1", "L1"), seen("m1", "L2"), seen("m2"), seen("m2", target="create:opportunity")], NOW) == 3
        )
        assert tx.see([seen("m1", "L3"), seen("m3")], NOW + 5) == 1
        found = {(s.remote_id, s.target): s for s in tx.claim(NOW + 5, 10)}
    assert sorted(found) == [
        ("m1", "archive"),
        ("m2", "archive"),
        ("m2", "create:opportunity"),
        ("m3", "archive"),
    ]
    first = found["m1", "archive"]
    assert (first.labels, first.created_at, first.thread, first.attempts) == ({"L1", "L2", "L3"}, NOW, "t-m1", 1)


def test_many_sightings_in_one_go(site: Site) -> None:
    lease = site.lease()
    many = [seen(f"m{number}") for number in range(1300)]
    with site.store.under(lease, NOW, 60) as tx:
        assert tx.see(many, NOW) == 1300
        assert tx.see(many[:700], NOW) == 0
        assert tx.pending(NOW) == (1300, NOW)
        claimed = tx.claim(NOW, 700)
        tx.decide([s.id for s in claimed], "gone")
        assert tx.settle([s.id for s in claimed], NOW) == 700
        assert tx.see(many, NOW) == 700


def test_a_settled_sighting_opens_again_as_if_new(site: Site) -> None:
    lease = site.lease()
    (first,) = site.sighted(lease, "m1")
    with site.store.under(lease, NOW, 60) as tx:
        filing = tx.bind(site.crm, [(first.id, "key", "archive", "label")], NOW)[first.id]
        tx.decide([first.id], "parked", "rejected", {"google": {"calls": 1}})
        assert tx.settle([first.id], NOW + 1) == 1
        assert tx.see([seen("m1", "L9", trigger="folder")], NOW + 9) == 1
        (again,) = tx.claim(NOW + 9, 10)
    assert (again.id, again.state, again.outcome, again.reason, again.calls) == (first.id, "open", None, None, None)
    assert (again.attempts, again.created_at, again.settled_at) == (1, NOW + 9, None)
    assert (again.labels, again.trigger, again.filing_id) == ({"L9"}, "folder", filing.id)


def test_a_decided_sighting_is_not_opened(site: Site) -> None:
    lease = site.lease()
    (first,) = site.sighted(lease, "m1")
    with site.store.under(lease, NOW, 60) as tx:
        tx.decide([first.id], "done")
        assert tx.see([seen("m1", "L2", trigger="click")], NOW) == 0
        (found,) = tx.decided(10)
        assert (found.outcome, found.labels, found.trigger) == ("done", {"L1", "L2"}, "label")
        assert tx.claim(NOW, 10) == []


def test_claims_come_in_order_and_count_the_attempt(site: Site) -> None:
    lease = site.lease()
    with site.store.under(lease, NOW, 60) as tx:
        tx.see([seen("old")], NOW)
        tx.see([seen("late"), seen("later")], NOW + 1)
        tx.see([seen("clicked", trigger="click")], NOW + 2)
        assert [s.remote_id for s in tx.claim(NOW + 2, 3)] == ["clicked", "old", "late"]
    with site.store.under(lease, NOW, 60) as tx:
        assert [s.attempts for s in tx.claim(NOW + 2, 9)] == [2, 2, 2, 1]


def test_a_click_brings_a_waiting_sighting_to_the_front(site: Site) -> None:
    lease = site.lease()
    with site.store.under(lease, NOW, 60) as tx:
        tx.see([seen("m1"), seen("m2")], NOW)
        claimed = tx.claim(NOW, 9)
        tx.defer([s.id for s in claimed], NOW + 600)
        assert tx.see([seen("m2", trigger="click")], NOW + 1) == 0
        (found,) = tx.claim(NOW + 1, 9)
        assert (found.remote_id, found.trigger) == ("m2", "click")


def test_deferring_gives_the_attempt_back_unless_it_was_the_mails_fault(site: Site) -> None:
    lease = site.lease()
    one, two = site.sighted(lease, "m1", "m2")
    with site.store.under(lease, NOW, 60) as tx:
        tx.defer([one.id], NOW + 10)
        tx.defer([two.id], NOW + 20, refund=False)
        assert tx.pending(NOW) == (2, NOW + 10)
        assert tx.claim(NOW + 9, 9) == []
        assert [(s.id, s.attempts) for s in tx.claim(NOW + 20, 9)] == [(one.id, 1), (two.id, 2)]


def test_pending_counts_until_all_is_settled(site: Site) -> None:
    lease = site.lease()
    with site.store.under(lease, NOW, 60) as tx:
        assert tx.pending(NOW) == (0, math.inf)
    one, two = site.sighted(lease, "m1", "m2")
    with site.store.under(lease, NOW, 60) as tx:
        assert tx.settle([one.id], NOW) == 0  # not decided yet
        tx.decide([one.id, two.id], "done")
        tx.decide([two.id], "missing", "no_match")
        assert [(s.id, s.outcome, s.reason) for s in tx.decided(10)] == [
            (one.id, "done", None),
            (two.id, "missing", "no_match"),
        ]
        assert [s.id for s in tx.decided(1)] == [one.id]
        assert tx.settle([one.id], NOW) == 1
        assert tx.pending(NOW).unsettled == 1
        assert tx.settle([one.id, two.id], NOW) == 1
        tx.decide([one.id], "gone")  # settled stays settled
        assert tx.pending(NOW) == (0, math.inf)


def test_nobody_touches_the_sightings_of_another_mailbox(site: Site) -> None:
    (anns,) = site.sighted(site.lease(), "m1")
    with site.store.under(site.lease(site.bob), NOW, 60) as tx:
        tx.decide([anns.id], "gone")
        tx.defer([anns.id], NOW + 600)
        assert tx.settle([anns.id], NOW) == 0
        tx.bind(site.crm, [(anns.id, "key", "archive", "label")], NOW)
        assert tx.see([seen("m1")], NOW) == 1
    with site.store.under(site.lease(owner="worker"), NOW, 60) as tx:
        (found,) = tx.claim(NOW, 9)
        assert (found.id, found.filing_id, found.attempts) == (anns.id, None, 2)


# --- filings --------------------------------------------------------------------------------------------------------


def test_one_filing_for_the_copies_of_a_mail(site: Site) -> None:
    ann, bob = site.lease(), site.lease(site.bob)
    one, two = site.sighted(ann, "m1", "m2")
    (three,) = site.sighted(bob, "m9")
    with site.store.under(ann, NOW, 60) as tx:
        keys = [(one.id, "key", "archive", "label"), (two.id, "other", "archive", "follow")]
        bound = tx.bind(site.crm, keys, NOW)
        assert bound[one.id].id != bound[two.id].id
        assert tx.bind(site.crm, keys, NOW + 1) == bound
        assert (bound[two.id].trigger, bound[two.id].state, bound[two.id].sent_at) == ("follow", "planned", 0)
    with site.store.under(bob, NOW, 60) as tx:
        assert tx.bind(site.crm, [(three.id, "key", "archive", "click")], NOW)[three.id] == bound[one.id]
        elsewhere = tx.bind(site.mail, [(three.id, "key", "archive", "click")], NOW)[three.id]
        other = tx.bind(site.crm, [(three.id, "key", "create:case", "click")], NOW)[three.id]
        assert len({elsewhere.id, other.id, bound[one.id].id}) == 3
        assert tx.bind(site.crm, [], NOW) == {}


def test_a_claim_on_a_filing_is_one_workers_until_it_ends(site: Site) -> None:
    lease = site.lease()
    filing = site.filing(lease)
    with site.store.under(lease, NOW, 60) as tx:
        assert tx.claim_filing(filing, "one", NOW, NOW + 30)
        assert tx.claim_filing(filing, "one", NOW, NOW + 40)
        assert not tx.claim_filing(filing, "two", NOW + 39, NOW + 90)
        assert tx.claim_filings([filing], "two", NOW + 40, NOW + 90)[filing].claimed_by == "two"
        tx.unclaim_filings([filing], "one")
        assert not tx.claim_filing(filing, "one", NOW + 41, NOW + 90)
        tx.unclaim_filings([filing], "two")
        assert tx.claim_filing(filing, "one", NOW + 41, NOW + 90)
        assert not tx.claim_filing(99, "one", NOW, NOW + 90)


def test_a_filing_goes_from_planned_to_done(site: Site) -> None:
    lease = site.lease()
    filing = site.filing(lease)
    with site.store.under(lease, NOW, 60) as tx:
        tx.claim_filing(filing, "one", NOW, NOW + 30)
        tx.sent([(filing, {"rule": "a"})], NOW + 1)
        found = tx.claim_filings([filing], "one", NOW, NOW + 30)[filing]
        assert (found.state, found.sent_at, found.trace) == ("sent", NOW + 1, {"rule": "a"})
        tx.filed(filing, {"activity": ("email", "02s1")}, [site.ann], None, NOW + 2)
        tx.sent([(filing, {"rule": "late"})], NOW + 3)
        tx.park(filing, "rejected", None, NOW + 3)
        assert not tx.reset_filing(filing)
        found = tx.claim_filings([filing], "two", NOW, NOW + 30)[filing]  # the claim has ended
    assert (found.state, found.reason, found.done_at, found.trace) == ("done", None, NOW + 2, {"rule": "a"})
    assert (found.records, found.users) == ({"activity": ("email", "02s1")}, (site.ann,))


def test_what_a_second_mailbox_adds_is_kept_beside_the_first(site: Site) -> None:
    lease = site.lease()
    filing = site.filing(lease)
    with site.store.under(lease, NOW, 60) as tx:
        tx.filed(filing, {"activity": ("email", "02s1")}, [site.bob], {"by": "bob"}, NOW)
        tx.filed(filing, {"@contact": ("contact", "0031")}, [site.ann, site.bob], {"by": "ann"}, NOW + 5)
        found = tx.claim_filings([filing], "one", NOW, NOW + 30)[filing]
    assert found.records == {"activity": ("email", "02s1"), "@contact": ("contact", "0031")}
    assert (found.users, found.trace, found.done_at) == ((site.ann, site.bob), {"by": "ann"}, NOW)


def test_a_parked_filing_gets_a_new_try(site: Site) -> None:
    lease = site.lease()
    filing = site.filing(lease)
    with site.store.under(lease, NOW, 60) as tx:
        tx.claim_filing(filing, "one", NOW, NOW + 30)
        tx.claim_creation(site.crm, "contact", "carol", filing, NOW, NOW + 60)
        tx.sent([(filing, None)], NOW)
        tx.park(filing, "rejected", {"error": "FIELD"}, NOW + 1)
        found = tx.claim_filings([filing], "two", NOW, NOW + 30)[filing]
        assert (found.state, found.reason, found.trace) == ("parked", "rejected", {"error": "FIELD"})
        other = tx.bind(site.crm, [(1, "k2", "archive", "label")], NOW)[1].id
        assert tx.claim_creation(site.crm, "contact", "carol", other, NOW, NOW + 60).mine  # given up by parking
        tx.sent([(filing, "late")], NOW)
        assert tx.reset_filing(filing)
        assert not tx.reset_filing(filing)
        found = tx.claim_filings([filing], "two", NOW, NOW + 30)[filing]
    assert (found.state, found.reason, found.sent_at, found.done_at) == ("planned", None, 0, None)
    assert found.claimed_by == "two"


# --- creations ------------------------------------------------------------------------------------------------------


@pytest.fixture
def two(site: Site) -> tuple[int, int]:
    lease = site.lease()
    return site.filing(lease, "m1", "one"), site.filing(lease, "m2", "two")


def test_one_filing_creates_a_person(site: Site, two: tuple[int, int]) -> None:
    one, other = two
    with site.store.under(site.lease(), NOW, 60) as tx:
        assert tx.claim_creation(site.crm, "contact", "carol", one, NOW, NOW + 60) == Creation(
            "claimed", True, None, one
        )
        assert tx.claim_creation(site.crm, "contact", "carol", one, NOW, NOW + 60).mine
        assert tx.claim_creation(site.crm, "contact", "carol", other, NOW, NOW + 60) == Creation(
            "claimed", False, None, one
        )
        assert tx.claim_creation(site.crm, "lead", "carol", other, NOW, NOW + 60).mine
        assert tx.claim_creation(site.mail, "contact", "carol", other, NOW, NOW + 60).mine
        tx.created(site.crm, "contact", "carol", one, "0031", NOW + 120)
        assert tx.claim_creation(site.crm, "contact", "carol", other, NOW + 119, NOW + 200) == Creation(
            "done", False, "0031", one
        )
        # after that a match that does not find it is right: the record is gone
        assert tx.claim_creation(site.crm, "contact", "carol", other, NOW + 120, NOW + 200) == Creation(
            "claimed", True, None, other
        )


def test_an_abandoned_claim_goes_to_the_next(site: Site, two: tuple[int, int]) -> None:
    one, other = two
    with site.store.under(site.lease(), NOW, 60) as tx:
        tx.claim_creation(site.crm, "account", "acme", one, NOW, NOW + 60)
        assert tx.claim_creation(site.crm, "account", "acme", other, NOW + 60, NOW + 120).mine
        assert not tx.forget_creation(site.crm, "account", "acme", one)
        assert not tx.claim_creation(site.crm, "account", "acme", one, NOW + 61, NOW + 120).mine
        assert tx.forget_creation(site.crm, "account", "acme", other)
        assert not tx.forget_creation(site.crm, "account", "acme")
        tx.created(site.crm, "account", "acme", one, None, NOW + 500)
        assert tx.claim_creation(site.crm, "account", "acme", other, NOW + 61, NOW + 120).state == "done"
