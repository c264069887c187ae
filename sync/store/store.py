"""The store: every promise that outlives a process. It knows nothing of providers (design.md 6)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, overload

import sqlalchemy as sa

from sync.core.labels import Remembered
from sync.modules import Change as ItemChange
from sync.modules import Scope
from sync.store import clock, items, leases, reading, sightings
from sync.store.database import TIMEOUT_SECONDS, Database, StoreError, migration
from sync.store.leases import Lease
from sync.store.rows import (
    Change,
    Connection,
    Explanation,
    Feed,
    Health,
    Mailbox,
    ParkedItem,
    StoredItem,
    StoredPolicy,
    Undoing,
)
from sync.store.tables import ENCRYPTED, REVISION, cursor, installation
from sync.store.transaction import Transaction
from sync.store.vault import Vault
from sync.store.writing import Writing

__all__ = ["Store", "Writing"]

TOKEN_STREAM = "refresh_token"  # noqa: S105 - a name


class Store:
    """All tables of one installation. Safe to share between threads and to keep over a fork.

    All times are epoch seconds and come from the caller. Connections to the database are opened when first needed.
    """

    def __init__(self, database: Database, secret_keys: Sequence[str]) -> None:
        self._database = database
        self._vault = Vault(secret_keys, self._hash_key)

    @classmethod
    def open(cls, url: str, secret_keys: Sequence[str], timeout: float = TIMEOUT_SECONDS) -> Store:
        """`sqlite:///FILE` or `postgresql://...`; the first key encrypts, all decrypt. `timeout`: seconds of silence of
        PostgreSQL. Raises `StoreError`, `SecretKeyError`."""
        return cls(Database(url, timeout), secret_keys)

    def migrate(self) -> None:
        """Bring the tables to this version's form and make the installation's hash key, once; harmless to repeat, also
        by several processes at a time. Raises `SecretKeyError` when the data belongs to another key."""
        if self.ready():
            self._vault.decrypt(self._hash_key())
            return
        upgrade = migration()
        with self._database.migrating() as conn:
            upgrade(conn)
            found = conn.execute(sa.select(installation.c.hash_key)).scalar()
            if found is None:
                row = {"id": 1, "hash_key": self._vault.new_hash_key(), "created_at": time.time()}
                conn.execute(installation.insert().values(row))
            else:
                self._vault.decrypt(found)

    def try_to_write(self) -> None:
        """Write what is there already. Raises what a real change would raise (`trouble` words it)."""
        with self._database.writing() as conn:
            conn.execute(installation.update().values(created_at=installation.c.created_at))

    def ready(self) -> bool:
        """Whether `migrate` of this version was done, here or by another process."""
        with self._database.reading() as conn:
            if not sa.inspect(conn).has_table("alembic_version"):
                return False
            return bool(conn.scalar(sa.text("SELECT version_num FROM alembic_version")) == REVISION)

    def close(self) -> None:
        self._database.close()

    # secrets

    def hash(self, text: str) -> str:
        """The keyed hash of a Message-ID or an address: 32 hexadecimal digits, the same in every process."""
        return self._vault.hash(text)

    def encrypt(self, text: str) -> str:
        return self._vault.encrypt(text)

    def decrypt(self, token: str) -> str:
        """Raises `SecretKeyError` when no key fits."""
        return self._vault.decrypt(token)

    def keep_token(self, owner: str, given: str, token: str) -> None:
        """Remember that the declared refresh token was exchanged for another one (encrypted). `owner`: "mailbox:12"."""
        value = self._vault.encrypt(json.dumps([self._vault.hash(given), token]))
        with self._database.writing() as conn:
            sightings.set_cursor(conn, owner, TOKEN_STREAM, value)

    def kept_token(self, owner: str, given: str) -> str:
        """The newest refresh token that descends from the declared one; that itself when there is none."""
        with self._database.reading() as conn:
            value = sightings.get_cursor(conn, owner, TOKEN_STREAM)
        of, token = json.loads(self._vault.decrypt(value)) if value else ("", "")
        return str(token) if of == self._vault.hash(given) else given

    def rotate(self) -> int:
        """Encrypt all secrets anew under the first key; how many. Then the old keys may go."""
        count = 0
        with self._database.writing() as conn:
            kept = sa.select(cursor.c.owner, cursor.c.value).where(cursor.c.stream == TOKEN_STREAM)
            for owner, value in conn.execute(kept.order_by(cursor.c.owner)).all():
                sightings.set_cursor(conn, owner, TOKEN_STREAM, self._vault.rotated(value))
                count += 1
            for column in ENCRYPTED:
                id_ = column.table.c.id
                for row_id, token in conn.execute(
                    sa.select(id_, column).where(column.is_not(None)).order_by(id_).with_for_update(key_share=True)
                ).all():
                    change = sa.update(column.table).where(id_ == row_id)
                    conn.execute(change.values({column.name: self._vault.rotated(token)}))
                    count += 1
        return count

    def _hash_key(self) -> str:
        try:
            with self._database.reading() as conn:
                found: str | None = conn.execute(sa.select(installation.c.hash_key)).scalar()
        except (sa.exc.OperationalError, sa.exc.ProgrammingError) as error:
            raise StoreError(f"the database cannot be read, or was never migrated: {error.orig}") from error
        if found is None:
            raise StoreError("the database was never migrated")
        return found

    # configuration

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """One transaction for several `put_*`: all of it is committed, or nothing."""
        self._vault.hash("")  # asks for the hash key now, not while others wait for this transaction
        with self._database.writing() as conn:
            yield Writing(conn, self._vault)

    @contextmanager
    def _config(self) -> Iterator[Writing]:
        with self._database.reading() as conn:
            yield Writing(conn, self._vault)

    def connections(self) -> list[Connection]:
        """By name."""
        with self._config() as tx:
            return tx.connections()

    @overload
    def connection(self, which: int) -> Connection: ...
    @overload
    def connection(self, which: str) -> Connection | None: ...
    def connection(self, which: int | str) -> Connection | None:
        """By id (raises `StoreError` when there is none) or by name."""
        with self._config() as tx:
            return tx.connection(which)

    def policies(self) -> list[StoredPolicy]:
        """By name."""
        with self._config() as tx:
            return tx.policies()

    @overload
    def policy(self, which: int) -> StoredPolicy: ...
    @overload
    def policy(self, which: str) -> StoredPolicy | None: ...
    def policy(self, which: int | str) -> StoredPolicy | None:
        """By id (raises `StoreError` when there is none) or by name."""
        with self._config() as tx:
            return tx.policy(which)

    def policy_of(self, mailbox: Mailbox | int) -> StoredPolicy:
        """Raises `StoreError` when there is no such mailbox."""
        with self._config() as tx:
            return tx.policy_of(mailbox)

    def mailboxes(self, policy_id: int | None = None) -> list[Mailbox]:
        """All, or those of a policy, by id."""
        with self._config() as tx:
            return tx.mailboxes(policy_id)

    def mailbox(self, mailbox_id: int) -> Mailbox:
        """Raises `StoreError` when there is none."""
        with self._config() as tx:
            return tx.mailbox(mailbox_id)

    def mailbox_by_address(self, address: str) -> Mailbox | None:
        """In any case of letters."""
        with self._config() as tx:
            return tx.mailbox_by_address(address)

    def labels(self, mailbox_id: int) -> dict[str, Remembered]:
        """As `Transaction.labels`, for those who only read."""
        with self._database.reading() as conn:
            return sightings.labels(conn, mailbox_id)

    def items(self, mailbox_id: int) -> list[StoredItem]:
        """As `Transaction.items`, for those who only read."""
        with self._database.reading() as conn:
            return items.of_kinds(conn, mailbox_id)

    def put_connection(self, name: str, vendor: str, settings: Mapping[str, Any], secrets: Mapping[str, Any]) -> Change:
        with self.writing() as tx:
            return tx.put_connection(name, vendor, settings, secrets)

    def put_policy(
        self, name: str, options: Mapping[str, Any], crm_connection: int | str, mail_connection: int | str
    ) -> Change:
        with self.writing() as tx:
            return tx.put_policy(name, options, crm_connection, mail_connection)

    def put_mailbox(
        self, address: str, policy: int | str, crm_user: str | None = None, token: str | None = None
    ) -> Change:
        with self.writing() as tx:
            return tx.put_mailbox(address, policy, crm_user, token)

    def disable_mailbox(self, which: int | str, reason: str | None = None) -> bool:
        with self.writing() as tx:
            return tx.disable_mailbox(which, reason)

    def mark_connection(self, connection_id: int, status: str, reason: str | None = None) -> None:
        """ "active", or "parked" with the reason."""
        with self.writing() as tx:
            tx.mark_connection(connection_id, status, reason)

    # leases

    def wake(self, mailbox_id: int, urgent: bool = False) -> bool:
        """There may be work. `urgent`: a person waits; it also ends a back-off. Whether there is such a mailbox."""
        with self._database.writing() as conn:
            return leases.wake(conn, mailbox_id, urgent)

    def lease(self, mailbox_id: int, owner: str, seconds: float, now: float) -> Lease | None:
        """The mailbox for `owner` alone, for so long. None while another's lease is alive, while `not_before` is ahead,
        and for a parked or disabled mailbox. An owner's own lease is replaced: it must be one per thread of work."""
        with self._database.writing() as conn:
            return leases.lease(conn, mailbox_id, owner, seconds, now)

    def renew(self, lease: Lease, seconds: float, now: float) -> None:
        """Raises `LeaseLost` when another took it."""
        with self._database.writing() as conn:
            leases.renew(conn, lease, seconds, now)

    def release(
        self, lease: Lease, now: float, *, next_due: float | None = None, not_before: float | None = None
    ) -> bool:
        """The look is finished: give the lease back, every wake that it covers is handled, and a new mailbox is active.

        False when more wakes came meanwhile: the lease is kept, go on with `again`. None leaves a time as it was.
        Raises `LeaseLost`.
        """
        with self._database.writing() as conn:
            return leases.release(conn, lease, now, next_due, not_before)

    def give_back(
        self, lease: Lease, now: float, *, next_due: float | None = None, not_before: float | None = None
    ) -> None:
        """The look was broken off: give the lease back and leave the mailbox dirty, to be looked at again at once or
        after `not_before`. Raises `LeaseLost`."""
        with self._database.writing() as conn:
            leases.give_back(conn, lease, next_due, not_before)

    def again(self, lease: Lease) -> Lease:
        """The same lease covering all wakes until now. Raises `LeaseLost`."""
        with self._database.reading() as conn:
            return leases.again(conn, lease)

    def due(self, now: float, limit: int) -> list[int]:
        """Mailboxes to look at: dirty, due or with a lease that ran out; those for which a person waits first."""
        with self._database.reading() as conn:
            return leases.due(conn, now, limit)

    def next_wake(self, now: float) -> float | None:
        """When `due` has something next, `now` at the earliest; None: never."""
        with self._database.reading() as conn:
            return leases.next_wake(conn, now)

    def heal_times(self, now: float, lease_seconds: float, guard_seconds: float) -> float:
        """For the ticker: note the time, and if the clock was set back since the last note, let nothing wait for a time
        that lies far ahead. By how many seconds it went back; 0: it did not."""
        with self._database.reading() as conn:
            back, wanted = clock.went_back(conn, now), clock.wants_note(conn, now)
        if back or wanted:
            with self._database.writing() as conn:
                if back:
                    clock.heal(conn, now, lease_seconds, guard_seconds)
                else:
                    clock.note(conn, now)
        return back

    def park_mailbox(self, lease: Lease, reason: str) -> None:
        """Stop it until `activate`, and give the lease back; its wakes are kept. Raises `LeaseLost`."""
        with self._database.writing() as conn:
            leases.park(conn, lease, reason)

    def activate(self, mailbox_id: int) -> bool:
        """Any status -> active; a stopped one is woken. Whether that changed anything."""
        with self._database.writing() as conn:
            return leases.activate(conn, mailbox_id)

    def swept(self, lease: Lease, now: float) -> None:
        with self._database.writing() as conn:
            leases.swept(conn, lease, now)

    def synced(self, lease: Lease, now: float) -> None:
        """A look was finished; a new mailbox is active from now on."""
        with self._database.writing() as conn:
            leases.synced(conn, lease, now)

    @contextmanager
    def under(self, lease: Lease, now: float, seconds: float) -> Iterator[Transaction]:
        """One transaction of the lease holder; the lease then lasts `seconds` from now. Raises `LeaseLost` before
        anything is done when another took the mailbox."""
        self._vault.hash("")
        with self._database.writing() as conn:
            leases.renew(conn, lease, seconds, now)
            yield Transaction(conn, self._vault, lease)

    # the feed of a CRM

    def feeds_due(self, now: float) -> list[int]:
        """CRM connections of policies with modules whose changes are to be asked for."""
        with self._database.reading() as conn:
            return items.feeds_due(conn, now)

    def claim_feed(self, connection_id: int, now: float, until: float) -> bool:
        """Whether nobody else asks before then."""
        with self._database.writing() as conn:
            return items.claim_feed(conn, connection_id, now, until)

    def feed_cursor(self, connection_id: int) -> str | None:
        with self._database.reading() as conn:
            return sightings.get_cursor(conn, f"connection:{connection_id}", "feed")

    def fan_out(
        self,
        connection_id: int,
        changes: Sequence[ItemChange],
        wants: Mapping[int, Mapping[str, Scope]],
        cursor: str,
        *,
        first: bool = False,
    ) -> set[int]:
        """Note what the feed told, in every mailbox that shows it or should, together with the cursor. `wants` says by
        policy which kinds, and whose items. With the first cursor every mailbox lists its items (again), as nobody told
        what changed between an earlier list and now. The mailboxes to wake."""
        with self._database.writing() as conn:
            woken = items.fan_out(conn, connection_id, changes, wants)
            if first:
                woken |= items.relist(conn, list(wants))
            sightings.set_cursor(conn, f"connection:{connection_id}", "feed", cursor)
            sightings.set_cursor(conn, f"connection:{connection_id}", items.FEED_AT, f"{time.time():.0f}")
            return woken

    def doubt_items(self, mailbox_id: int, record_ids: Sequence[str]) -> None:
        """Summaries of these items may lie twice in the mailbox: whoever holds it looks for them and puts them anew.
        Needs no lease."""
        with self._database.writing() as conn:
            items.doubt(conn, mailbox_id, record_ids)
            leases.wake(conn, mailbox_id)

    # undo

    def undo(self, message_hash: str) -> Undoing:
        """Ask for everything that was filed of this mail to be taken back, and wake who does it."""
        with self._database.writing() as conn:
            return reading.undo(conn, message_hash, time.time())

    # reading for people

    def status(self, now: float) -> list[Health]:
        with self._database.reading() as conn:
            return reading.status(conn, self._vault, now)

    def feeds(self) -> list[Feed]:
        """CRM connections whose changed items are asked for, by name."""
        with self._database.reading() as conn:
            return items.feeds(conn)

    def explain(self, message_hash: str) -> list[Explanation]:
        """The filings of a mail (`hash` of its Message-ID), each with all copies of the mail that led to it."""
        with self._database.reading() as conn:
            return reading.explain(conn, message_hash)

    def message_hash(self, sighting_id: int) -> str | None:
        """The hash by which `explain` finds the mail of a sighting; None when it has no filing."""
        with self._database.reading() as conn:
            return reading.message_hash(conn, sighting_id)

    def parked(self, mailbox_id: int | None = None) -> list[ParkedItem]:
        with self._database.reading() as conn:
            return reading.parked(conn, mailbox_id)

    def retry(self, which: Sequence[int] | Literal["all"], now: float | None = None) -> int:
        """Open parked sightings again (of those named also the unmatched ones) and wake their mailboxes; how many.

        Their trigger is "retry": the drop label is long off, which is no withdrawal.
        """
        with self._database.writing() as conn:
            return reading.retry(conn, which, time.time() if now is None else now)
