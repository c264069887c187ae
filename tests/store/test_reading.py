"""Status, explain, parked and retry."""

from __future__ import annotations

from sync.store.leases import Lease
from tests.store.conftest import NOW, Site, seen


def _parked(site: Site, lease: Lease, remote_id: str, outcome: str = "parked", now: float = NOW) -> int:
    """The id of a sighting that ended so, its label off."""
    (sighting,) = site.sighted(lease, remote_id, now=now)
    with site.store.under(lease, now, 60) as tx:
        filing = tx.bind(site.crm, [(sighting.id, f"key-{remote_id}", "archive", "label")], now)[sighting.id]
        tx.park(filing.id, "rejected", {"rule": "x"}, now)
        tx.decide([sighting.id], outcome, "rejected")  # type: ignore[arg-type]
        tx.settle([sighting.id], now + 3)
    return sighting.id


def test_status_tells_the_lag_of_the_oldest_unsettled_drop(site: Site) -> None:
    lease = site.lease()
    with site.store.under(lease, NOW, 60) as tx:
        tx.see([seen("m1")], NOW)
        tx.see([seen("m2"), seen("m3")], NOW + 10)
        first = next(s for s in tx.claim(NOW + 10, 9) if s.remote_id == "m1")
        tx.decide([first.id], "done")
    ann, bob = site.store.status(NOW + 25)
    assert (ann.address, ann.policy, ann.state, ann.lag, ann.open, ann.decided) == (
        "ann@acme.example",
        "sales",
        "new",
        25,
        2,
        1,
    )
    assert (bob.mailbox_id, bob.lag, bob.open, bob.decided, bob.parked) == (site.bob, 0, 0, 0, ())
    with site.store.under(lease, NOW, 60) as tx:
        tx.settle([first.id], NOW + 30)
    site.store.release(lease, NOW + 31, next_due=NOW + 500, not_before=NOW + 400)
    ann, _ = site.store.status(NOW + 35)
    assert (ann.lag, ann.decided, ann.state, ann.next_due, ann.not_before, ann.synced_at) == (
        25,
        0,
        "active",
        NOW + 500,
        NOW + 400,
        NOW + 31,
    )
    site.store.park_mailbox(site.lease(site.bob), "access was revoked")
    _, bob = site.store.status(NOW)
    assert (bob.state, bob.reason) == ("parked", "access was revoked")


def test_parked_mails_are_shown_with_their_reasons(site: Site) -> None:
    lease, other = site.lease(), site.lease(site.bob)
    one = _parked(site, lease, "m1")
    two = _parked(site, other, "m2")
    _parked(site, lease, "m3", "missing")
    assert [(p.sighting_id, p.mailbox_id, p.remote_id, p.reason, p.since) for p in site.store.parked()] == [
        (one, site.ann, "m1", "rejected", NOW + 3),
        (two, site.bob, "m2", "rejected", NOW + 3),
    ]
    assert [p.sighting_id for p in site.store.parked(site.bob)] == [two]
    ann, bob = site.store.status(NOW)
    assert ([p.sighting_id for p in ann.parked], [p.sighting_id for p in bob.parked]) == ([one], [two])


def test_retry_opens_all_parked_mails_and_wakes_their_mailboxes(site: Site) -> None:
    lease = site.lease()
    one = _parked(site, lease, "m1")
    _parked(site, lease, "m2", "missing")
    assert site.store.release(lease, NOW, next_due=NOW + 900, not_before=NOW + 900)
    assert site.store.retry("all", NOW + 50) == 1
    assert site.store.retry("all", NOW + 50) == 0
    assert site.store.due(NOW + 50, 9) == [site.ann, site.bob]
    assert site.store.mailbox(site.bob).dirty == 0
    with site.store.under(site.lease(now=NOW + 50), NOW + 50, 60) as tx:
        (found,) = tx.claim(NOW + 50, 9)
    assert (found.id, found.trigger, found.attempts, found.outcome, found.reason, found.created_at) == (
        one,
        "retry",
        1,
        None,
        None,
        NOW + 50,
    )
    assert found.filing_id is not None


def test_retry_of_named_mails_takes_unmatched_ones_too(site: Site) -> None:
    lease = site.lease()
    one = _parked(site, lease, "m1")
    two = _parked(site, lease, "m2", "missing")
    done = _parked(site, lease, "m3", "done")
    assert site.store.retry([two, done, 99], NOW) == 1
    assert [p.sighting_id for p in site.store.parked()] == [one]
    assert site.store.retry([], NOW) == 0


def test_explain_shows_the_filings_of_a_mail_and_its_copies(site: Site) -> None:
    ann, bob = site.lease(), site.lease(site.bob)
    key = site.store.hash("<abc@mail.example>")
    (one,) = site.sighted(ann, "m1")
    (two,) = site.sighted(bob, "m9")
    (three,) = site.sighted(bob, "m9", target="create:case")
    with site.store.under(ann, NOW, 60) as tx:
        filing = tx.bind(site.crm, [(one.id, key, "archive", "label")], NOW)[one.id]
        tx.filed(filing.id, {"activity": ("email", "02s1")}, [site.ann], {"rule": "r"}, NOW)
    with site.store.under(bob, NOW, 60) as tx:
        keys = [(two.id, key, "archive", "label"), (three.id, key, "create:case", "label")]
        other = tx.bind(site.crm, keys, NOW)[three.id]
    first, second = site.store.explain(key)
    assert (first.filing.id, first.filing.trace) == (filing.id, {"rule": "r"})
    assert [(s.id, s.mailbox_id) for s in first.sightings] == [(one.id, site.ann), (two.id, site.bob)]
    assert (second.filing.id, [s.id for s in second.sightings]) == (other.id, [three.id])
    assert site.store.explain(site.store.hash("<other@mail.example>")) == []
