"""Every test of the store runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from sync.store.leases import Lease
from sync.store.rows import NewSighting, Sighting
from sync.store.store import Store
from tests.databases import database, postgres, store

__all__ = ["database", "postgres", "store"]

NOW = 1_000_000.0


@dataclass(frozen=True)
class Site:
    """A small installation: one policy, two mailboxes."""

    store: Store
    crm: int
    mail: int
    policy: int
    ann: int
    bob: int

    def lease(self, mailbox_id: int | None = None, owner: str = "worker", now: float = NOW) -> Lease:
        lease = self.store.lease(mailbox_id or self.ann, owner, 60, now)
        assert lease is not None
        return lease

    def sighted(self, lease: Lease, *remote_ids: str, target: str = "archive", now: float = NOW) -> list[Sighting]:
        """These mails seen and claimed."""
        with self.store.under(lease, now, 60) as tx:
            tx.see([seen(remote_id, target=target) for remote_id in remote_ids], now)
            return [s for s in tx.claim(now, 100) if s.remote_id in remote_ids and s.target == target]

    def filing(self, lease: Lease, remote_id: str = "m1", key: str = "key", now: float = NOW) -> int:
        """The id of a filing that the mail was bound to."""
        (sighting,) = self.sighted(lease, remote_id, now=now)
        with self.store.under(lease, now, 60) as tx:
            return tx.bind(self.crm, [(sighting.id, key, "archive", "label")], now)[sighting.id].id


def seen(remote_id: str, *labels: str, target: str = "archive", trigger: str = "label") -> NewSighting:
    return NewSighting(remote_id, f"t-{remote_id}", target, frozenset(labels or ("L1",)), False, trigger)


@pytest.fixture
def site(store: Store) -> Site:
    with store.writing() as tx:
        mail = tx.put_connection("mail", "google", {"domain": "acme.example"}, {"key": "s3cret"}).id
        crm = tx.put_connection("crm", "salesforce", {"login_url": "https://crm.example"}, {"key": "s3cret"}).id
        policy = tx.put_policy("sales", {"match_leads": True}, "crm", "mail").id
        ann = tx.put_mailbox("ann@acme.example", "sales", "ann@crm.example").id
        bob = tx.put_mailbox("bob@acme.example", "sales").id
    return Site(store, crm, mail, policy, ann, bob)
