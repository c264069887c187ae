"""Copies of mails in one mailbox: seen, claimed, decided, settled. Cursors and labels of the mailbox are here too.

Every function is called under the mailbox's lease, so nobody else works on the same rows; a person's `retry` may.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from sync.core.labels import Remembered
from sync.store.config import insert_new
from sync.store.rows import NewSighting, Pending, Sighting, SightingOutcome
from sync.store.tables import cursor, label, sighting

T = TypeVar("T")
_CHUNK = 500  # bound values per statement: far below every limit
_COLUMNS = [column for column in sighting.c if column.name != "rank"]
_PERSON_WAITS = "click"
_PUT = ("label", "folder")  # the mail was moved or copied, and goes home when it is settled
_FOLLOWED = "follow"
_UNDO = "undo"
_IN_PLACE = ("category", "retry", "follow", "undo")  # it lies where it lay


def chunks(items: Iterable[T]) -> Iterator[list[T]]:
    everything = list(items)
    for start in range(0, len(everything), _CHUNK):
        yield everything[start : start + _CHUNK]


def row_of(row: sa.RowMapping, **changed: Any) -> Sighting:
    return Sighting(**{**row, "labels": frozenset(row["labels"]), **changed})


# --- cursors and labels ---------------------------------------------------------------------------------------------


def get_cursor(conn: sa.Connection, owner: str, stream: str) -> str | None:
    query = sa.select(cursor.c.value).where(cursor.c.owner == owner, cursor.c.stream == stream)
    value: str | None = conn.execute(query).scalar()
    return value


def set_cursor(conn: sa.Connection, owner: str, stream: str, value: str | None) -> None:
    where = (cursor.c.owner == owner, cursor.c.stream == stream)
    if value is None:
        conn.execute(cursor.delete().where(*where))
    elif conn.execute(cursor.update().where(*where).values(value=value)).rowcount == 0:
        conn.execute(cursor.insert().values(owner=owner, stream=stream, value=value))


def labels(conn: sa.Connection, mailbox_id: int) -> dict[str, Remembered]:
    rows = conn.execute(sa.select(label).where(label.c.mailbox_id == mailbox_id))
    return {row.key: Remembered(row.remote_id, row.digest) for row in rows}


def set_labels(conn: sa.Connection, mailbox_id: int, wanted: Mapping[str, Remembered]) -> None:
    before = labels(conn, mailbox_id)
    stale = [key for key, value in before.items() if wanted.get(key) != value]
    if stale:
        conn.execute(label.delete().where(label.c.mailbox_id == mailbox_id, label.c.key.in_(stale)))
    new = [
        {"mailbox_id": mailbox_id, "key": key, "remote_id": value.remote_id, "digest": value.digest}
        for key, value in wanted.items()
        if before.get(key) != value
    ]
    if new:
        conn.execute(label.insert(), new)


# --- sightings ------------------------------------------------------------------------------------------------------


def see(conn: sa.Connection, mailbox_id: int, intents: Sequence[NewSighting], now: float) -> int:
    seen: dict[tuple[str, str], NewSighting] = {}
    for intent in intents:
        key = intent.remote_id, intent.target
        seen[key] = _joined(seen[key], intent) if key in seen else intent
    count = 0
    for part in chunks(sorted(seen)):  # one order for everybody: no deadlock
        fresh = [{"mailbox_id": mailbox_id, "created_at": now, **_values(seen[key])} for key in part]
        insert = insert_new(conn, sighting).returning(sighting.c.remote_id, sighting.c.target)
        created = {(row.remote_id, row.target) for row in conn.execute(insert, fresh)}
        known = {key: seen[key] for key in part if key not in created}
        count += len(created) + (_see_again(conn, mailbox_id, known, now) if known else 0)
    return count


def _values(intent: NewSighting) -> dict[str, Any]:
    return {
        "remote_id": intent.remote_id,
        "thread": intent.thread,
        "target": intent.target,
        "labels": sorted(intent.labels),
        "archived": intent.archived,
        "trigger": intent.trigger,
        "rank": 0 if intent.trigger == _PERSON_WAITS else 1,
    }


def _joined(one: NewSighting, other: NewSighting) -> NewSighting:
    trigger = _PERSON_WAITS if _PERSON_WAITS in (one.trigger, other.trigger) else one.trigger
    return NewSighting(
        one.remote_id,
        one.thread,
        one.target,
        one.labels | other.labels,
        one.archived or other.archived,
        trigger,
    )


REOPENED = {
    "state": "open",
    "outcome": None,
    "reason": None,
    "attempts": 0,
    "not_before": 0.0,
    "settled_at": None,
    "calls": None,
}


def _see_again(conn: sa.Connection, mailbox_id: int, known: Mapping[tuple[str, str], NewSighting], now: float) -> int:
    remote_ids = sorted({remote_id for remote_id, _ in known})
    query = sa.select(sighting).where(sighting.c.mailbox_id == mailbox_id, sighting.c.remote_id.in_(remote_ids))
    reopened, gained, put, urgent = [], [], [], []
    for row in conn.execute(query.order_by(sighting.c.id).with_for_update(key_share=True)):
        intent = known.get((row.remote_id, row.target))
        if intent is None or intent.trigger == _FOLLOWED:  # seen before: a follow asks for a mail once
            continue
        if row.state == "settled":
            reopened.append({"row": row.id, "created_at": now, **REOPENED, **_values(intent)})
            continue
        if not intent.labels <= set(row.labels):
            gained.append({"row": row.id, "labels": sorted({*row.labels, *intent.labels})})
        away = row.trigger in _IN_PLACE and intent.trigger in _PUT  # it was put away meanwhile, so it must come home
        if away or (row.trigger == _UNDO and row.state == "open"):  # what is asked for after an undo is the last word
            put.append({"row": row.id, "trigger": intent.trigger, "archived": intent.archived})
        if intent.trigger == _PERSON_WAITS and row.state == "open" and row.rank:
            urgent.append({"row": row.id, "trigger": _PERSON_WAITS, "rank": 0, "not_before": 0.0})
    for values in (reopened, gained, put, urgent):
        update_each(conn, values)
    return len(reopened)


def update_each(conn: sa.Connection, values: Sequence[Mapping[str, Any]], *where: sa.ColumnElement[bool]) -> None:
    """One statement for rows that each get values of their own; "row" is the id."""
    if values:
        columns: dict[str, Any] = {name: sa.bindparam(name) for name in values[0] if name != "row"}
        statement = sighting.update().where(sighting.c.id == sa.bindparam("row"), *where).values(columns)
        conn.execute(statement, [dict(item) for item in values])


def claim(conn: sa.Connection, mailbox_id: int, now: float, limit: int) -> list[Sighting]:
    due = (
        sa.select(*_COLUMNS)
        .where(sighting.c.state == "open", sighting.c.mailbox_id == mailbox_id, sighting.c.not_before <= now)
        .order_by(sighting.c.rank, sighting.c.created_at, sighting.c.id)
        .limit(limit)
        .with_for_update(key_share=True)
    )
    rows = conn.execute(due).mappings().all()
    for ids in chunks(row["id"] for row in rows):
        conn.execute(sighting.update().where(sighting.c.id.in_(ids)).values(attempts=sighting.c.attempts + 1))
    return [row_of(row, attempts=row["attempts"] + 1) for row in rows]


def decided(conn: sa.Connection, mailbox_id: int, limit: int) -> list[Sighting]:
    query = (
        sa.select(*_COLUMNS)
        .where(sighting.c.state == "decided", sighting.c.mailbox_id == mailbox_id)
        .order_by(sighting.c.rank, sighting.c.created_at, sighting.c.id)
        .limit(limit)
    )
    return [row_of(row) for row in conn.execute(query).mappings()]


def pending(conn: sa.Connection, mailbox_id: int, now: float) -> Pending:
    query = sa.select(sa.func.count(), sa.func.min(sighting.c.not_before)).where(
        sighting.c.state.in_(("open", "decided")), sighting.c.mailbox_id == mailbox_id
    )
    count, earliest = conn.execute(query).one()
    return Pending(count, math.inf if earliest is None else max(earliest, now))


def defer(conn: sa.Connection, mailbox_id: int, ids: Sequence[int], not_before: float, refund: bool) -> None:
    values: dict[str, Any] = {"not_before": not_before}
    if refund:
        values["attempts"] = sa.case((sighting.c.attempts > 0, sighting.c.attempts - 1), else_=0)
    for part in chunks(ids):
        where = (sighting.c.id.in_(part), sighting.c.mailbox_id == mailbox_id)
        conn.execute(sighting.update().where(*where).values(values))


def decide(
    conn: sa.Connection, mailbox_id: int, ids: Sequence[int], outcome: SightingOutcome, reason: str | None, calls: Any
) -> None:
    values = {"state": "decided", "outcome": outcome, "reason": reason, "calls": calls, "not_before": 0.0}
    for part in chunks(ids):
        where = (sighting.c.id.in_(part), sighting.c.mailbox_id == mailbox_id, sighting.c.state != "settled")
        conn.execute(sighting.update().where(*where).values(values))


def settle(conn: sa.Connection, mailbox_id: int, ids: Sequence[int], now: float) -> int:
    count = 0
    for part in chunks(ids):
        where = (sighting.c.id.in_(part), sighting.c.mailbox_id == mailbox_id, sighting.c.state == "decided")
        count += conn.execute(sighting.update().where(*where).values(state="settled", settled_at=now)).rowcount
    return count


def record_calls(conn: sa.Connection, mailbox_id: int, calls: Mapping[int, Any]) -> None:
    values = [{"row": id_, "calls": calls[id_]} for id_ in sorted(calls)]
    update_each(conn, values, sighting.c.mailbox_id == mailbox_id)


def hold_triggers(conn: sa.Connection, mailbox_id: int, now: float, since: float, limit: int) -> int:
    """Park the open mails with a trigger category that came after `limit` others since then; how many."""
    recent = (
        sighting.c.mailbox_id == mailbox_id,
        sighting.c.trigger == "category",
        sighting.c.created_at > since,
        sighting.c.target != "stop",
    )
    beyond = sa.select(sighting.c.id).where(*recent).order_by(sighting.c.created_at, sighting.c.id).offset(limit)
    ids = list(conn.execute(beyond).scalars())
    values = {"state": "decided", "outcome": "parked", "reason": "many_triggers", "not_before": 0.0}
    count = 0
    for part in chunks(ids):
        where = sighting.c.id.in_(part), sighting.c.state == "open"
        count += conn.execute(sighting.update().where(*where).values(values)).rowcount
    return count


def copies(conn: sa.Connection, mailbox_id: int, filing_ids: Sequence[int]) -> dict[int, frozenset[str]]:
    out: dict[int, set[str]] = {}
    for part in chunks(sorted(set(filing_ids))):
        where = sighting.c.mailbox_id == mailbox_id, sighting.c.filing_id.in_(part)
        for row in conn.execute(sa.select(sighting.c.filing_id, sighting.c.remote_id).where(*where)):
            out.setdefault(row.filing_id, set()).add(row.remote_id)
    return {key: frozenset(found) for key, found in out.items()}
