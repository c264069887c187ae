"""What people ask: how the mailboxes are, why a mail went where it went, what is parked, and another try for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

import sqlalchemy as sa

from sync.store import filings, items, leases, sightings
from sync.store.rows import Explanation, Health, ParkedItem, Sighting, Undoing
from sync.store.tables import cursor, filing, follow, mailbox, policy, sighting
from sync.store.vault import Vault

UNUSABLE = "unusable"  # cursor of a mailbox: modules of its policy that the CRM has not, and why (JSON)


def status(conn: sa.Connection, vault: Vault, now: float) -> list[Health]:
    work: dict[tuple[int, str], tuple[int, float]] = {}
    query = (
        sa.select(sighting.c.mailbox_id, sighting.c.state, sa.func.count(), sa.func.min(sighting.c.created_at))
        .where(sighting.c.state.in_(("open", "decided")))
        .group_by(sighting.c.mailbox_id, sighting.c.state)
    )
    for mailbox_id, state, count, oldest in conn.execute(query):
        work[mailbox_id, state] = count, oldest
    modules = items.health(conn)
    unusable = {row.owner: json.loads(row.value) for row in conn.execute(_stream(UNUSABLE))}
    followed = sa.select(follow.c.mailbox_id, sa.func.count()).where(follow.c.state == "live")
    follows = {row[0]: row[1] for row in conn.execute(followed.group_by(follow.c.mailbox_id))}
    held: dict[int, list[ParkedItem]] = {}
    for item in parked(conn, None):
        held.setdefault(item.mailbox_id, []).append(item)
    rows = conn.execute(
        sa.select(mailbox, policy.c.name.label("policy_name")).join(policy).order_by(mailbox.c.id)
    ).all()
    out = []
    for row in rows:
        open_, first = work.get((row.id, "open"), (0, now))
        decided, second = work.get((row.id, "decided"), (0, now))
        out.append(
            Health(
                mailbox_id=row.id,
                policy=row.policy_name,
                state=row.status,
                reason=row.status_reason,
                lag=max(0.0, now - min(first, second)),
                open=open_,
                decided=decided,
                parked=tuple(held.get(row.id, ())),
                next_due=row.next_due,
                not_before=row.not_before,
                synced_at=row.synced_at,
                follows=follows.get(row.id, 0),
                modules=tuple(modules.get(row.id, ())),
                unusable=unusable.get(f"mailbox:{row.id}", {}),
                address=vault.decrypt(row.address_enc),
            )
        )
    return out


def _stream(name: str) -> sa.Select[tuple[str, str]]:
    return sa.select(cursor.c.owner, cursor.c.value).where(cursor.c.stream == name)


def parked(conn: sa.Connection, mailbox_id: int | None) -> list[ParkedItem]:
    since = sa.func.coalesce(sighting.c.settled_at, sighting.c.created_at).label("since")
    query = sa.select(
        sighting.c.id.label("sighting_id"),
        sighting.c.mailbox_id,
        sighting.c.remote_id,
        sighting.c.filing_id,
        sighting.c.reason,
        since,
    ).where(sighting.c.outcome == "parked")
    if mailbox_id is not None:
        query = query.where(sighting.c.mailbox_id == mailbox_id)
    return [ParkedItem(**row) for row in conn.execute(query.order_by(sighting.c.id)).mappings()]


def explain(conn: sa.Connection, message_hash: str) -> list[Explanation]:
    query = sa.select(filing).where(filing.c.message_key == message_hash).order_by(filing.c.id)
    found = [filings.row_of(row) for row in conn.execute(query).mappings()]
    copies: dict[int, list[Sighting]] = {}
    columns = [column for column in sighting.c if column.name != "rank"]
    seen = sa.select(*columns).where(sighting.c.filing_id.in_([row.id for row in found])).order_by(sighting.c.id)
    for row in conn.execute(seen).mappings():
        copies.setdefault(row["filing_id"], []).append(sightings.row_of(row))
    return [Explanation(row, tuple(copies.get(row.id, ()))) for row in found]


def message_hash(conn: sa.Connection, sighting_id: int) -> str | None:
    query = sa.select(filing.c.message_key).join(sighting, sighting.c.filing_id == filing.c.id)
    found: str | None = conn.execute(query.where(sighting.c.id == sighting_id)).scalar()
    return found


def retry(conn: sa.Connection, which: Sequence[int] | Literal["all"], now: float) -> int:
    wanted = sighting.c.outcome == "parked"
    if which != "all":
        wanted = sa.and_(sighting.c.outcome.in_(("parked", "missing")), sighting.c.id.in_(list(which)))
    owners = conn.execute(sa.select(sighting.c.mailbox_id).where(wanted).distinct()).scalars().all()
    for mailbox_id in sorted(owners):  # the mailbox's row first, as under a lease: no deadlock
        leases.wake(conn, mailbox_id, urgent=True)
    values = {**sightings.REOPENED, "trigger": "retry", "rank": 0, "created_at": now}
    return conn.execute(sighting.update().where(wanted).values(values)).rowcount


def undo(conn: sa.Connection, message_hash: str, now: float) -> Undoing:
    """One copy of the mail is opened again for each organisation that holds it; its mailbox takes everything back."""
    query = sa.select(filing.c.id, filing.c.connection_id, filing.c.state).where(filing.c.message_key == message_hash)
    rows = conn.execute(query.order_by(filing.c.id)).all()
    busy = [row for row in rows if row.state in ("planned", "sent")]
    written = [row for row in rows if row.state in ("done", "parked", "moved")]
    if busy or not written:
        return Undoing(0, len(busy))
    woken: list[int] = []
    for connection_id in sorted({row.connection_id for row in written}):
        ids = [row.id for row in written if row.connection_id == connection_id]
        copies = (
            sa.select(sighting.c.id, sighting.c.mailbox_id)
            .join(mailbox, mailbox.c.id == sighting.c.mailbox_id)
            .where(sighting.c.filing_id.in_(ids))
            .order_by(sa.case((mailbox.c.status == "active", 0), else_=1), sighting.c.id)
            .limit(1)
        )
        copy = conn.execute(copies).first()
        if copy is None:
            continue
        leases.wake(conn, copy.mailbox_id, urgent=True)
        values = {**sightings.REOPENED, "trigger": "undo", "rank": 0, "created_at": now}
        conn.execute(sighting.update().where(sighting.c.id == copy.id).values(values))
        woken.append(copy.mailbox_id)
    return Undoing(len(written), 0, tuple(woken))
