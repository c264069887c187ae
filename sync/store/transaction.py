"""What a lease holder does in one transaction: every method of `Transaction` is a step of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from sync.core.labels import Remembered
from sync.store import filings, follows, items, leases, sightings
from sync.store.leases import Lease
from sync.store.rows import (
    Creation,
    Filing,
    Follow,
    Listed,
    NewSighting,
    Pending,
    Sighting,
    SightingOutcome,
    StoredItem,
)
from sync.store.tables import mailbox
from sync.store.vault import Vault

__all__ = ["Creation", "Filing", "NewSighting", "Pending", "Sighting", "Transaction"]


class Transaction:
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

    def labels(self) -> dict[str, Remembered]:
        """By node key."""
        return sightings.labels(self._conn, self.mailbox_id)

    def set_labels(self, labels: Mapping[str, Remembered]) -> None:
        """Afterwards `labels()` is exactly this."""
        sightings.set_labels(self._conn, self.mailbox_id, labels)

    # module items

    def items(self) -> list[StoredItem]:
        """Every item of this mailbox, closed ones too."""
        return items.of_kinds(self._conn, self.mailbox_id)

    def leaves(self) -> dict[str, tuple[str, str]]:
        """Remote id of each Assign To leaf -> (kind, record id)."""
        return items.leaves(self._conn, self.mailbox_id)

    def own_notes(self, remote_ids: Sequence[str]) -> frozenset[str]:
        """Which of these mails are our own summaries."""
        return items.notes(self._conn, self.mailbox_id, remote_ids)

    def see_items(self, kind: str, found: Sequence[Listed], *, whole: bool) -> int:
        """Items that the CRM showed: new ones get the next numbers, changed ones are due; with `whole` also those that
        are not in the list. How many are new."""
        return items.see(self._conn, self.mailbox_id, kind, found, whole=whole)

    def notes_astray(self, kinds: Sequence[str]) -> None:
        """The labels in which the summaries of these kinds lay were made anew: they are due in them."""
        items.astray(self._conn, self.mailbox_id, kinds)

    def notes_gone(self, remote_ids: Sequence[str]) -> None:
        """These summaries were taken from where a user put them; they are due in their place."""
        items.notes_gone(self._conn, self.mailbox_id, remote_ids)

    def due_items(self, now: float, limit: int) -> list[StoredItem]:
        """The latest active first."""
        return items.due(self._conn, self.mailbox_id, now, limit)

    def next_item(self) -> float:
        """When a due item may be looked at; infinity: none is due."""
        found = items.earliest(self._conn, self.mailbox_id)
        return math.inf if found is None else found

    def keep_items(self, rows: Sequence[StoredItem]) -> None:
        """What was made; an item that changed since its row was read stays due."""
        items.keep(self._conn, self.mailbox_id, rows)

    def try_items(self, keys: Sequence[tuple[str, str]]) -> None:
        """Count a try of these (kind, record id), before it is made."""
        items.tried(self._conn, self.mailbox_id, keys)

    def all_items_due(self) -> None:
        items.again(self._conn, self.mailbox_id)

    def touch_items(self, connection_id: int, record_ids: Sequence[str]) -> set[int]:
        """A mail was filed to these items: they are due in every mailbox that shows them. Those mailboxes."""
        return items.touch(self._conn, connection_id, record_ids)

    # followed conversations

    def follows(self, threads: Sequence[str]) -> dict[str, list[Follow]]:
        """Live ones by thread."""
        return follows.live(self._conn, self.mailbox_id, threads)

    def follows_any(self, mails: int = 0) -> bool:
        """Whether this mailbox follows a conversation of at least so many mails."""
        return follows.any_live(self._conn, self.mailbox_id, mails)

    def unscanned_follows(self, limit: int) -> list[Follow]:
        """Those whose thread was not yet looked at for mails that are there already."""
        return follows.unscanned(self._conn, self.mailbox_id, limit)

    def rescan_follows(self, since: float) -> None:
        """Changes were missed: look at every thread again that is followed since then."""
        follows.rescan(self._conn, self.mailbox_id, since)

    def follows_scanned(self, mails: Mapping[int, int]) -> None:
        """Follow id -> how many mails its thread has."""
        follows.scanned(self._conn, self.mailbox_id, mails)

    def thread_grew(self, threads: Mapping[str, int]) -> None:
        """Thread -> so many more mails."""
        follows.arrived(self._conn, self.mailbox_id, threads)

    def follow(
        self, thread: str, target: str, subject_hash: str, filing_id: int, since: float, now: float, *, scanned: bool
    ) -> None:
        """Follow the thread to this target; `since` is the arrival of the mail that began it."""
        follows.begin(
            self._conn,
            self.mailbox_id,
            thread,
            target,
            subject_hash=subject_hash,
            filing_id=filing_id,
            since=since,
            now=now,
            scanned=scanned,
        )

    def redirect_follows(
        self, connection_id: int, message_key: str, left: Sequence[str], to: str, *, before: float, now: float
    ) -> None:
        """Everybody who holds this mail and follows its conversation to one of `left`, since before then, follows it to
        `to` from now on."""
        follows.redirect(self._conn, connection_id, message_key, left, to, before=before, now=now)

    def threads_of(self, connection_id: int, message_keys: Sequence[str]) -> list[str]:
        """The threads of this mailbox in which filed mails with these keys lie."""
        return follows.threads_of(self._conn, self.mailbox_id, connection_id, message_keys)

    def end_follows(self, threads: Sequence[str], reason: str) -> int:
        return follows.end(self._conn, self.mailbox_id, threads, reason)

    def end_follows_to(self, targets: Sequence[str], reason: str) -> int:
        """Of this mailbox."""
        return follows.end_of(self._conn, self.mailbox_id, targets, reason)

    # the mailbox itself

    def user(self) -> str:
        """CRM user id of the mailbox; "": not known yet."""
        return self._conn.scalar(sa.select(mailbox.c.crm_user_id).where(mailbox.c.id == self.mailbox_id)) or ""

    def set_user(self, user: str) -> None:
        where = mailbox.c.id == self.mailbox_id
        self._conn.execute(mailbox.update().where(where).values(crm_user_id=user or None))

    def swept_at(self) -> float:
        """When the level was read last; 0: never."""
        query = sa.select(mailbox.c.swept_at).where(mailbox.c.id == self.mailbox_id)
        return self._conn.execute(query).scalar() or 0.0

    def swept(self, now: float) -> None:
        leases.swept(self._conn, self.lease, now)

    # sightings

    def see(self, intents: Sequence[NewSighting], now: float) -> int:
        """Record intents; how many are new or open again.

        A settled one is opened again as if new (its filing stays bound). An unsettled one only gains labels; a click
        also brings an open one to the front, at once.
        """
        return sightings.see(self._conn, self.mailbox_id, intents, now)

    def hold_triggers(self, now: float, since: float, limit: int) -> int:
        """Park the open mails with a trigger category beyond `limit` since then; how many."""
        return sightings.hold_triggers(self._conn, self.mailbox_id, now, since, limit)

    def claim(self, now: float, limit: int) -> list[Sighting]:
        """Open and due ones, those a person waits for first, then oldest first. The attempt is counted here, before the
        try: a mail that kills the worker cannot do so for ever."""
        return sightings.claim(self._conn, self.mailbox_id, now, limit)

    def decided(self, limit: int) -> list[Sighting]:
        """Those that are decided and not yet settled in the mailbox."""
        return sightings.decided(self._conn, self.mailbox_id, limit)

    def pending(self, now: float) -> Pending:
        """What is not settled; `earliest` is never before `now`."""
        return sightings.pending(self._conn, self.mailbox_id, now)

    def defer(self, sighting_ids: Sequence[int], not_before: float, *, refund: bool = True) -> None:
        """Not before then; `refund` gives the attempt back (it was not the mail's fault)."""
        sightings.defer(self._conn, self.mailbox_id, sighting_ids, not_before, refund)

    def decide(
        self, sighting_ids: Sequence[int], outcome: SightingOutcome, reason: str | None = None, calls: Any = None
    ) -> None:
        """Open (or decided otherwise before) -> decided. A settled one stays as it is. `calls`: what it cost."""
        sightings.decide(self._conn, self.mailbox_id, sighting_ids, outcome, reason, calls)

    def settle(self, sighting_ids: Sequence[int], now: float) -> int:
        """Decided -> settled; how many."""
        return sightings.settle(self._conn, self.mailbox_id, sighting_ids, now)

    def record_calls(self, calls: Mapping[int, Any]) -> None:
        """What each sighting cost in all, by id."""
        sightings.record_calls(self._conn, self.mailbox_id, calls)

    # filings

    def bind(self, connection_id: int, keys: Sequence[tuple[int, str, str, str]], now: float) -> dict[int, Filing]:
        """Sighting id -> its filing, made now or by whoever was first. `keys` are (sighting id, message key, target,
        trigger); the message key is a keyed hash of the Message-ID."""
        return filings.bind(self._conn, self.mailbox_id, connection_id, keys, now)

    def claim_filing(self, filing_id: int, who: str, now: float, until: float) -> bool:
        """Whether the filing is `who`'s until then: it was free, its own, or an expired claim. In any state: who adds a
        user to a finished one claims it too."""
        return bool(self.claim_filings([filing_id], who, now, until))

    def claim_filings(self, filing_ids: Sequence[int], who: str, now: float, until: float) -> dict[int, Filing]:
        """As `claim_filing` for many: those won, as they are now."""
        return filings.claim(self._conn, filing_ids, who, now, until)

    def extend_claims(self, who: str, until: float) -> None:
        """Every claim of `who` that nobody else has taken, and what its filings are creating, is held until then."""
        filings.extend(self._conn, who, until)

    def hold(self, filing_ids: Sequence[int], who: str, until: float) -> frozenset[int]:
        """Those of the filings that `who` has claimed and nobody has taken since; they, and what they are creating, are
        held until then."""
        return filings.hold(self._conn, filing_ids, who, until)

    def creating(self, filing_ids: Sequence[int]) -> int:
        """How many people and accounts these filings have claimed to create, and nobody has taken since."""
        return filings.creating(self._conn, filing_ids)

    def unclaim_filings(self, filing_ids: Sequence[int], who: str) -> None:
        """Let others have them before the claim ends."""
        filings.unclaim(self._conn, filing_ids, who)

    def sent(self, traces: Sequence[tuple[int, Any]], now: float) -> None:
        """(filing id, trace) of each, committed before a call whose outcome could get lost. A done or parked one stays
        as it is."""
        filings.sent(self._conn, traces, now)

    def filed(
        self, filing_id: int, records: Mapping[str, tuple[str, str]], users: Sequence[int], trace: Any, now: float
    ) -> None:
        """The CRM holds it. Records (name -> (kind, id)) and users (mailbox ids) are added to those known, a trace of
        None keeps the old one, and the claim ends."""
        filings.filed(self._conn, filing_id, records, users, trace, now)

    def park(self, filing_id: int, reason: str, trace: Any, now: float) -> None:
        """It cannot be filed (a done one stays done). Its claim ends, and its claims on creations."""
        filings.park(self._conn, filing_id, reason, trace, now)

    def reset_filing(self, filing_id: int, who: str | None = None) -> bool:
        """Sent or parked -> planned, for a new try, if `who` has claimed it (None: whoever has); the claim stays.
        Whether it was one of these."""
        return filings.reset(self._conn, filing_id, who)

    def filings_of(self, connection_id: int, message_keys: Sequence[str]) -> dict[str, list[Filing]]:
        """Every filing of these mails, by message key."""
        return filings.of_messages(self._conn, connection_id, message_keys)

    def filings_with(self, connection_id: int, filing_id: int | None) -> list[Filing]:
        """Every filing of the mail that this one files."""
        return filings.with_(self._conn, connection_id, filing_id)

    def copies(self, filing_ids: Sequence[int]) -> dict[int, frozenset[str]]:
        """Filing id -> the ids of the mails of this mailbox that it files."""
        return sightings.copies(self._conn, self.mailbox_id, filing_ids)

    def note_undo(self, filing_ids: Sequence[int], error: str) -> None:
        """They could not be taken back; the trace says why."""
        filings.note(self._conn, filing_ids, {"undo": {"error": error}})

    def moved(self, filing_ids: Sequence[int]) -> None:
        """The mail is at another item now; what these filings created stays known."""
        filings.moved(self._conn, filing_ids)

    def undone(self, filing_ids: Sequence[int], trace: Mapping[str, Any], now: float) -> set[int]:
        """They are taken back, and what they began to follow ends; every copy of the mail is decided `undone`. The
        mailboxes that hold one, to be woken."""
        follows.end_by(self._conn, filing_ids, "undone")
        return filings.undone(self._conn, filing_ids, trace, now)

    # creations

    def claim_creation(
        self, connection_id: int, kind: str, key: str, filing_id: int, now: float, until: float
    ) -> Creation:
        """Who creates the person or account that `key` names. A filing gets what is free, its own, or past its end."""
        return filings.claim_creation(self._conn, self._vault, connection_id, kind, key, filing_id, now, until)

    def created(
        self, connection_id: int, kind: str, key: str, filing_id: int, remote_id: str | None, until: float
    ) -> None:
        """It was created. Until then nobody else may, though a match does not find it yet."""
        filings.created(self._conn, self._vault, connection_id, kind, key, filing_id, remote_id, until)

    def only_creations(self, connection_id: int, filing_id: int, keys: Sequence[tuple[str, str]]) -> None:
        """Give up what this filing has claimed to create, except these (kind, key)."""
        filings.only_creations(self._conn, self._vault, connection_id, filing_id, keys)

    def forget_creation(self, connection_id: int, kind: str, key: str, filing_id: int | None = None) -> bool:
        """It was not created, or is gone from the CRM. With `filing_id` only if that filing holds it."""
        return filings.forget_creation(self._conn, self._vault, connection_id, kind, key, filing_id)
