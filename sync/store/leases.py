"""Who works on which mailbox, and when (design.md 4).

A wake is counted in `dirty`; a finished look raises `handled` to the count it began with. A mailbox whose `dirty` is
ahead has work, whatever became of the hint. A lease is a name, an end and a fencing number; whoever comes with an old
number gets `LeaseLost`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sync.errors import LeaseLost
from sync.store.tables import mailbox


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a mailbox. `dirty` is the wakes that a look begun now covers."""

    mailbox_id: int
    owner: str
    fence: int
    dirty: int


_GIVEN_BACK = {"lease_owner": None, "lease_until": 0}
_LOOKED_AT = sa.case((mailbox.c.status == "new", "active"), else_=mailbox.c.status)
_AT_WORK = mailbox.c.status.in_(("new", "active"))


def wake(conn: sa.Connection, mailbox_id: int, urgent: bool = False) -> bool:
    values: dict[str, Any] = {"dirty": mailbox.c.dirty + 1}
    if urgent:
        values |= {"urgent": mailbox.c.dirty + 1, "not_before": 0}
    return conn.execute(mailbox.update().where(mailbox.c.id == mailbox_id).values(values)).rowcount == 1


def lease(conn: sa.Connection, mailbox_id: int, owner: str, seconds: float, now: float) -> Lease | None:
    free = sa.or_(mailbox.c.lease_owner.is_(None), mailbox.c.lease_owner == owner, mailbox.c.lease_until <= now)
    statement = (
        mailbox.update()
        .where(mailbox.c.id == mailbox_id, _AT_WORK, mailbox.c.not_before <= now, free)
        .values(lease_owner=owner, lease_until=now + seconds, fence=mailbox.c.fence + 1)
        .returning(mailbox.c.fence, mailbox.c.dirty)
    )
    row = conn.execute(statement).first()
    return Lease(mailbox_id, owner, row.fence, row.dirty) if row else None


def _held(held: Lease) -> sa.ColumnElement[bool]:
    return sa.and_(mailbox.c.id == held.mailbox_id, mailbox.c.fence == held.fence, mailbox.c.lease_owner == held.owner)


def change(conn: sa.Connection, held: Lease, **values: Any) -> None:
    """Change the mailbox's row under the lease. Raises `LeaseLost`."""
    if conn.execute(mailbox.update().where(_held(held)).values(values)).rowcount != 1:
        raise LeaseLost(f"mailbox {held.mailbox_id}: fence {held.fence} is not the latest")


def renew(conn: sa.Connection, held: Lease, seconds: float, now: float) -> None:
    change(conn, held, lease_until=now + seconds)


def release(conn: sa.Connection, held: Lease, now: float, next_due: float | None, not_before: float | None) -> bool:
    values: dict[str, Any] = {**_GIVEN_BACK, "synced_at": now, "status": _LOOKED_AT}
    values |= _times(next_due, not_before)
    unmoved = mailbox.update().where(_held(held), mailbox.c.dirty == held.dirty)
    if conn.execute(unmoved.values(**values, handled=held.dirty)).rowcount == 1:
        return True
    change(conn, held, handled=held.dirty)
    return False


def give_back(conn: sa.Connection, held: Lease, next_due: float | None, not_before: float | None) -> None:
    change(conn, held, **_GIVEN_BACK, dirty=mailbox.c.dirty + 1, **_times(next_due, not_before))


def _times(next_due: float | None, not_before: float | None) -> dict[str, float]:
    times = {"next_due": next_due, "not_before": not_before}
    return {name: time for name, time in times.items() if time is not None}


def again(conn: sa.Connection, held: Lease) -> Lease:
    dirty = conn.execute(sa.select(mailbox.c.dirty).where(_held(held))).scalar()
    if dirty is None:
        raise LeaseLost(f"mailbox {held.mailbox_id}: fence {held.fence} is not the latest")
    return dataclasses.replace(held, dirty=dirty)


def due(conn: sa.Connection, now: float, limit: int) -> list[int]:
    urgent = sa.case((mailbox.c.urgent > mailbox.c.handled, 0), else_=1)
    query = sa.select(mailbox.c.id).where(mailbox.c.due_at <= now)
    return list(conn.execute(query.order_by(urgent, mailbox.c.due_at, mailbox.c.id).limit(limit)).scalars())


def next_wake(conn: sa.Connection, now: float) -> float | None:
    earliest: float | None = conn.execute(sa.select(sa.func.min(mailbox.c.due_at))).scalar()
    return None if earliest is None else max(earliest, now)


def activate(conn: sa.Connection, mailbox_id: int) -> bool:
    stopped = mailbox.c.status.in_(("parked", "disabled"))
    values = {
        "dirty": mailbox.c.dirty + sa.case((stopped, 1), else_=0),
        "not_before": sa.case((stopped, 0), else_=mailbox.c.not_before),
        "status": "active",
        "status_reason": None,
    }
    where = mailbox.update().where(mailbox.c.id == mailbox_id, mailbox.c.status != "active")
    return conn.execute(where.values(values)).rowcount == 1


def park(conn: sa.Connection, held: Lease, reason: str) -> None:
    change(conn, held, status="parked", status_reason=reason, **_GIVEN_BACK)


def swept(conn: sa.Connection, held: Lease, now: float) -> None:
    change(conn, held, swept_at=now)


def synced(conn: sa.Connection, held: Lease, now: float) -> None:
    change(conn, held, synced_at=now, status=_LOOKED_AT)
