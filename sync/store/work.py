"""What a worker does under its lease: one transaction, in which every method of `Work` is a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from sync.store import filings, scheduling, sightings
from sync.store.rows import (
    Binding,
    Creation,
    Decision,
    Filing,
    Lease,
    NewCreation,
    NewSighting,
    Pending,
    Result,
    Sighting,
)
from sync.store.vault import Vault


class Work:
    """A transaction of the mailbox's lease holder (`Store.under`). All or nothing of it is committed.

    Sightings are those of this mailbox; filings and creations belong to the organisation. Times are epoch seconds.
    """

    def __init__(self, conn: sa.Connection, vault: Vault, lease: Lease) -> None:
        self._conn = conn
        self._vault = vault
        self.lease = lease
        self.mailbox_id = lease.mailbox_id

    # cursors and labels

    def cursor(self, stream: str) -> str | None:
        return sightings.get_cursor(self._conn, f"mailbox:{self.mailbox_id}", stream)

    def set_cursor(self, stream: str, value: str | None) -> None:
        """None forgets the cursor."""
        sightings.set_cursor(self._conn, f"mailbox:{self.mailbox_id}", stream, value)

    def labels(self) -> dict[str, tuple[str, str]]:
        """Node key -> (the provider's id, digest of what was wanted of it)."""
        return sightings.labels(self._conn, self.mailbox_id)

    def set_labels(self, labels: Mapping[str, tuple[str, str]]) -> None:
        """Afterwards `labels()` is exactly this."""
        sightings.set_labels(self._conn, self.mailbox_id, labels)

    # the mailbox itself

    def swept(self, now: float) -> None:
        scheduling.swept(self._conn, self.lease, now)

    def synced(self, now: float) -> None:
        """A look was finished; a new mailbox is active from now on."""
        scheduling.synced(self._conn, self.lease, now)

    # sightings

    def see(self, intents: Sequence[NewSighting], now: float) -> int:
        """Record intents; how many are new or open again.

        A settled one is opened again as if new (its filing stays bound). An unsettled one only gains labels; a click
        also brings an open one to the front, at once.
        """
        return sightings.see(self._conn, self.mailbox_id, intents, now)

    def claim(self, now: float, limit: int) -> list[Sighting]:
        """Open and due ones, those a person waits for first, then oldest first. The attempt is counted here, before the
        try: a mail that kills the worker cannot do so for ever."""
        return sightings.claim(self._conn, self.mailbox_id, now, limit)

    def decided(self, limit: int) -> list[Sighting]:
        """Those that are decided and not yet settled in the mailbox."""
        return sightings.decided(self._conn, self.mailbox_id, limit)

    def pending(self, now: float) -> Pending:
        """What is not settled; `earliest` is never before `now`."""
        found = sightings.pending(self._conn, self.mailbox_id)
        return Pending(found.count, None if found.earliest is None else max(found.earliest, now))

    def defer(self, sighting_id: int | Sequence[int], not_before: float, refund: bool = True) -> None:
        """Not before then; `refund` gives the attempt back (it was not the mail's fault)."""
        ids = [sighting_id] if isinstance(sighting_id, int) else sighting_id
        sightings.defer(self._conn, self.mailbox_id, ids, not_before, refund)

    def decide(self, decisions: Sequence[Decision]) -> None:
        """Open (or decided otherwise before) -> decided. A settled one stays as it is."""
        sightings.decide(self._conn, self.mailbox_id, decisions)

    def settle(self, sighting_ids: Sequence[int], now: float) -> int:
        """Decided -> settled; how many."""
        return sightings.settle(self._conn, self.mailbox_id, sighting_ids, now)

    # filings

    def bind(self, bindings: Sequence[Binding], now: float) -> dict[int, Filing]:
        """Sighting id -> its filing, made now or by whoever was first."""
        return filings.bind(self._conn, self.mailbox_id, bindings, now)

    def claim_filing(self, filing_id: int, who: str, now: float, until: float) -> bool:
        """Whether the filing is `who`'s until then: it was free, its own, or an expired claim. In any state: who adds a
        user to a finished one claims it too."""
        return bool(self.claim_filings([filing_id], who, now, until))

    def claim_filings(self, filing_ids: Sequence[int], who: str, now: float, until: float) -> dict[int, Filing]:
        """As `claim_filing` for many: those won, as they are now."""
        return filings.claim(self._conn, filing_ids, who, now, until)

    def unclaim_filings(self, filing_ids: Sequence[int], who: str) -> None:
        """Let others have them before the claim ends."""
        filings.unclaim(self._conn, filing_ids, who)

    def sent(self, filing_id: int, trace: Any, now: float) -> None:
        """Committed before a call whose outcome could get lost. A done or parked one stays as it is."""
        filings.sent(self._conn, {filing_id: trace}, now)

    def sent_all(self, traces: Mapping[int, Any], now: float) -> None:
        """As `sent`, filing id -> trace."""
        filings.sent(self._conn, traces, now)

    def filed(self, results: Sequence[Result], now: float) -> None:
        """The CRM holds them. Records and users are added to those known, a trace of None keeps the old one, and the
        claims end."""
        filings.filed(self._conn, results, now)

    def park(self, filing_id: int, reason: str, trace: Any, now: float) -> None:
        """It cannot be filed (a done one stays done). Its claims end, also those on creations."""
        filings.park(self._conn, filing_id, reason, trace, now)

    def reset_filing(self, filing_id: int) -> bool:
        """Parked -> planned, for a new try; whether it was parked."""
        return filings.reset(self._conn, filing_id)

    # creations

    def claim_creation(
        self, connection_id: int, kind: str, key: str, filing_id: int, now: float, until: float
    ) -> Creation:
        """Who creates the person or account that `key` names: see `Creation`."""
        return self.claim_creations(connection_id, [NewCreation(kind, key, filing_id)], now, until)[0]

    def claim_creations(
        self, connection_id: int, wishes: Sequence[NewCreation], now: float, until: float
    ) -> list[Creation]:
        """As `claim_creation` for many, in order."""
        return filings.claim_creations(self._conn, self._vault, connection_id, wishes, now, until)

    def created(self, connection_id: int, kind: str, key: str, filing_id: int, remote_id: str) -> None:
        filings.created(self._conn, self._vault, connection_id, kind, key, filing_id, remote_id)

    def forget_creation(self, connection_id: int, kind: str, key: str, filing_id: int | None = None) -> bool:
        """It was not created, or is gone from the CRM. With `filing_id` only if that filing holds it."""
        return filings.forget_creation(self._conn, self._vault, connection_id, kind, key, filing_id)
