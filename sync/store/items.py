"""Module items of a mailbox: their numbers, Assign To leaves and summaries, and what is due to be made true again.

A row is never deleted, so that the number of an item is its own for ever (product.md 7). Everything but `fan_out` and
`touch` is called under the mailbox's lease.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from sync.modules import Change, Scope
from sync.store.config import insert_new
from sync.store.rows import Feed, Listed, ModuleHealth, StoredItem
from sync.store.sightings import chunks
from sync.store.tables import connection, cursor, item, mailbox, policy

ACTIVE = "active"
FEED_AT = "feed_at"  # cursor of a connection: when its changes were asked for last, epoch seconds
CAPPED = "capped"  # cursor of a mailbox: kinds of which there are more items than assign_to_cap, as listed last
_TOUCHED: dict[str, Any] = {"due": sa.true(), "not_before": 0.0, "touches": item.c.touches + 1}
_KEY = ("mailbox_id", "kind", "record_id")


def _row(row: sa.RowMapping) -> StoredItem:
    return StoredItem(**{name: row[name] for name in row if name != "mailbox_id"})


def of_kinds(conn: sa.Connection, mailbox_id: int) -> list[StoredItem]:
    query = sa.select(item).where(item.c.mailbox_id == mailbox_id).order_by(item.c.kind, item.c.number)
    return [_row(row) for row in conn.execute(query).mappings()]


def leaves(conn: sa.Connection, mailbox_id: int) -> dict[str, tuple[str, str]]:
    """Remote id of each leaf -> (kind, record id)."""
    query = sa.select(item.c.leaf_id, item.c.kind, item.c.record_id).where(
        item.c.mailbox_id == mailbox_id, item.c.leaf_id.is_not(None)
    )
    return {row.leaf_id: (row.kind, row.record_id) for row in conn.execute(query)}


def notes(conn: sa.Connection, mailbox_id: int, remote_ids: Sequence[str]) -> frozenset[str]:
    """Which of these mails are our own summaries."""
    found: set[str] = set()
    for part in chunks(remote_ids):
        query = sa.select(item.c.note_id).where(item.c.mailbox_id == mailbox_id, item.c.note_id.in_(part))
        found.update(conn.execute(query).scalars())
    return frozenset(found)


def notes_gone(conn: sa.Connection, mailbox_id: int, remote_ids: Sequence[str]) -> None:
    """These summaries were taken from where a user put them; they are due in their place."""
    for part in chunks(sorted(set(remote_ids))):
        where = item.c.mailbox_id == mailbox_id, item.c.note_id.in_(part)
        conn.execute(item.update().where(*where).values({**_TOUCHED, "note_id": None, "note_digest": None}))


def astray(conn: sa.Connection, mailbox_id: int, kinds: Sequence[str]) -> None:
    """The labels in which the summaries of these kinds lay were made anew: they are due in them."""
    where = item.c.mailbox_id == mailbox_id, item.c.kind.in_(list(kinds)), item.c.note_id.is_not(None)
    conn.execute(item.update().where(*where).values({**_TOUCHED, "note_digest": None}))


def see(conn: sa.Connection, mailbox_id: int, kind: str, found: Sequence[Listed], *, whole: bool) -> int:
    """Items of a kind that the CRM showed, in the order in which new ones are numbered. One that differs from what was
    made true last is due. With `whole` the list is all there is: active ones that it lacks are due too, so that each is
    asked for by itself before anything is taken away. How many are new."""
    known = {row.record_id: row for row in of_kinds(conn, mailbox_id) if row.kind == kind}
    number = max((row.number for row in known.values()), default=0)
    fresh: list[dict[str, Any]] = []
    changed: list[str] = []
    for one in found:
        row = known.get(one.record_id)
        if row is None:
            number += 1
            place = {"mailbox_id": mailbox_id, "kind": kind, "record_id": one.record_id}
            fresh.append({**place, "number": number, "active_at": one.active_at})
        elif row.version != one.version or row.state != ACTIVE:
            changed.append(one.record_id)
    if fresh:
        conn.execute(insert_new(conn, item), fresh)
    if whole:
        there = {one.record_id for one in found}
        changed += [key for key, row in known.items() if key not in there and row.state == ACTIVE]
    _due(conn, changed, item.c.mailbox_id == mailbox_id, item.c.kind == kind)
    return len(fresh)


def _due(conn: sa.Connection, record_ids: Iterable[str], *where: sa.ColumnElement[bool]) -> None:
    for part in chunks(sorted(set(record_ids))):
        statement = item.update().where(item.c.record_id.in_(part), *where)
        conn.execute(statement.values(_TOUCHED))


def due(conn: sa.Connection, mailbox_id: int, now: float, limit: int) -> list[StoredItem]:
    """Those to make true now, the latest active first."""
    query = (
        sa.select(item)
        .where(item.c.mailbox_id == mailbox_id, item.c.due, item.c.not_before <= now)
        .order_by(item.c.active_at.desc(), item.c.kind, item.c.number)
        .limit(limit)
    )
    return [_row(row) for row in conn.execute(query).mappings()]


def earliest(conn: sa.Connection, mailbox_id: int) -> float | None:
    """When the next due item may be looked at; None: none is due."""
    query = sa.select(sa.func.min(item.c.not_before)).where(item.c.mailbox_id == mailbox_id, item.c.due)
    found: float | None = conn.execute(query).scalar()
    return found


def keep(conn: sa.Connection, mailbox_id: int, rows: Sequence[StoredItem]) -> None:
    """These rows as they are now; one that was touched since it was read stays due."""
    for row in sorted(rows, key=lambda row: (row.kind, row.record_id)):  # one order for everybody
        values = {name: value for name, value in asdict(row).items() if name not in (*_KEY, "touches", "due")}
        still = item.c.touches == row.touches  # else it changed again while it was made true
        values["due"] = sa.case((still, sa.literal(row.due)), else_=sa.true())
        values["not_before"] = sa.case((still, sa.literal(row.not_before)), else_=0.0)
        where = (item.c.mailbox_id == mailbox_id, item.c.kind == row.kind, item.c.record_id == row.record_id)
        conn.execute(item.update().where(*where).values(values))


def doubt(conn: sa.Connection, mailbox_id: int, record_ids: Sequence[str]) -> None:
    """What lies there of these is not sure any more: it is looked for, and put anew."""
    values = {**_TOUCHED, "attempts": item.c.attempts + 1, "note_digest": None}
    for part in chunks(sorted(set(record_ids))):
        where = item.c.mailbox_id == mailbox_id, item.c.record_id.in_(part)
        conn.execute(item.update().where(*where).values(values))


def again(conn: sa.Connection, mailbox_id: int) -> None:
    """Make every item true again: the policy says otherwise what they look like."""
    where = item.c.mailbox_id == mailbox_id, sa.or_(item.c.state == ACTIVE, item.c.leaf_id.is_not(None))
    conn.execute(item.update().where(*where).values(_TOUCHED))


def tried(conn: sa.Connection, mailbox_id: int, keys: Sequence[tuple[str, str]]) -> None:
    """Count a try of these (kind, record id) before it is made."""
    for kind, record_id in keys:
        where = item.c.mailbox_id == mailbox_id, item.c.kind == kind, item.c.record_id == record_id
        conn.execute(item.update().where(*where).values(attempts=item.c.attempts + 1))


# --- of the whole organisation --------------------------------------------------------------------------------------


def _mailboxes_of(connection_id: int) -> sa.Select[tuple[int]]:
    return (
        sa.select(mailbox.c.id)
        .join(policy, policy.c.id == mailbox.c.policy_id)
        .where(policy.c.crm_connection_id == connection_id, mailbox.c.status.in_(("new", "active")))
    )


def touch(conn: sa.Connection, connection_id: int, record_ids: Sequence[str]) -> set[int]:
    """These items changed: they are due wherever they are shown. The mailboxes to wake."""
    woken: set[int] = set()
    mine = item.c.mailbox_id.in_(_mailboxes_of(connection_id))
    for part in chunks(sorted(set(record_ids))):
        where = item.c.record_id.in_(part), mine
        woken.update(conn.execute(sa.select(item.c.mailbox_id).distinct().where(*where)).scalars())
        conn.execute(item.update().where(*where).values(_TOUCHED))
    return woken


def fan_out(
    conn: sa.Connection, connection_id: int, changes: Sequence[Change], wants: Mapping[int, Mapping[str, Scope]]
) -> set[int]:
    """What the feed told, for every mailbox that shows the item or should: `wants` says by policy which kinds, and
    whose items. Returns the mailboxes to wake."""
    by_id = {change.record.id: change for change in changes}
    woken = touch(conn, connection_id, _differs(conn, by_id))
    query = sa.select(mailbox.c.id, mailbox.c.policy_id, mailbox.c.crm_user_id).where(
        mailbox.c.policy_id.in_(list(wants)), mailbox.c.status.in_(("new", "active"))
    )
    for row in conn.execute(query).all():
        scopes = wants[row.policy_id]
        mine: dict[str, list[Listed]] = {}
        for change in by_id.values():
            scope = scopes.get(change.record.kind)
            if change.gone or scope is None or (scope == "owned" and change.owner != row.crm_user_id):
                continue
            mine.setdefault(change.record.kind, []).append(Listed(change.record.id, change.version, change.at))
        for kind, listed in mine.items():
            if see(conn, row.id, kind, listed, whole=False):
                woken.add(row.id)
    return woken


def _differs(conn: sa.Connection, changes: Mapping[str, Change]) -> list[str]:
    """Those of which some mailbox shows another version."""
    out: set[str] = set()
    for part in chunks(sorted(changes)):
        query = sa.select(item.c.record_id, item.c.version).where(item.c.record_id.in_(part))
        for row in conn.execute(query):
            if changes[row.record_id].gone or row.version != changes[row.record_id].version:
                out.add(row.record_id)
    return sorted(out)


def feeds_due(conn: sa.Connection, now: float) -> list[int]:
    """CRM connections of policies with modules whose changes are to be asked for."""
    query = (
        sa.select(connection.c.id, policy.c.options)
        .join(policy, policy.c.crm_connection_id == connection.c.id)
        .where(connection.c.feed_due <= now)
    )
    return sorted({row.id for row in conn.execute(query) if row.options.get("modules")})


def feeds(conn: sa.Connection) -> list[Feed]:
    """Of policies with modules."""
    asked = sa.select(cursor.c.owner, cursor.c.value).where(cursor.c.stream == FEED_AT)
    times = {row.owner: float(row.value) for row in conn.execute(asked)}
    query = (
        sa.select(connection.c.id, connection.c.name, policy.c.options)
        .join(policy, policy.c.crm_connection_id == connection.c.id)
        .order_by(connection.c.name)
    )
    wanted = {row.name: row.id for row in conn.execute(query) if row.options.get("modules")}
    return [Feed(name, times.get(f"connection:{id_}")) for name, id_ in wanted.items()]


def health(conn: sa.Connection) -> dict[int, list[ModuleHealth]]:
    """By mailbox; modules of which nothing is shown or due are left out."""
    there = {"leaves": item.c.leaf_id, "summaries": item.c.note_id}
    counts = [sa.func.count(column).label(name) for name, column in there.items()]
    due = sa.func.sum(sa.case((item.c.due, 1), else_=0)).label("due")
    query = sa.select(item.c.mailbox_id, item.c.kind, *counts, due).group_by(item.c.mailbox_id, item.c.kind)
    capped = sa.select(cursor.c.owner, cursor.c.value).where(cursor.c.stream == CAPPED)
    many = {row.owner: row.value.split() for row in conn.execute(capped)}
    out: dict[int, list[ModuleHealth]] = {}
    for row in conn.execute(query.order_by(item.c.mailbox_id, item.c.kind)):
        if row.leaves or row.summaries or row.due:
            full = row.kind in many.get(f"mailbox:{row.mailbox_id}", ())
            out.setdefault(row.mailbox_id, []).append(
                ModuleHealth(row.kind, row.leaves, row.summaries, int(row.due), full)
            )
    return out


def claim_feed(conn: sa.Connection, connection_id: int, now: float, until: float) -> bool:
    where = connection.c.id == connection_id, connection.c.feed_due <= now
    return conn.execute(connection.update().where(*where).values(feed_due=until)).rowcount == 1


def relist(conn: sa.Connection, policy_ids: Sequence[int]) -> set[int]:
    """Have the mailboxes of these policies list all their items at their next look. Those mailboxes."""
    query = sa.select(mailbox.c.id).where(mailbox.c.policy_id.in_(policy_ids), mailbox.c.status.in_(("new", "active")))
    found = set(conn.execute(query).scalars())
    for part in chunks(sorted(found)):
        owners = [f"mailbox:{mailbox_id}" for mailbox_id in part]
        conn.execute(cursor.delete().where(cursor.c.owner.in_(owners), cursor.c.stream == "items"))
    return found
