"""Filings, one per mail and target of the whole organisation, and the records they create.

Workers of several mailboxes meet here. Whoever inserts first wins, everybody reads the same row; a claim is a name and
an end. Rows are taken in the order of their keys, so that two workers cannot wait for each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from sync.store.config import insert_new
from sync.store.rows import Creation, Filing
from sync.store.sightings import chunks, update_each
from sync.store.tables import creation, filing, sighting
from sync.store.vault import Vault

_UNCLAIMED = {"claimed_by": None, "claim_until": 0.0}


def row_of(row: sa.RowMapping) -> Filing:
    made = {
        "records": {name: (kind, id_) for name, (kind, id_) in (row["records"] or {}).items()},
        "users": tuple(row["users"] or ()),
        "sent_at": row["sent_at"] or 0.0,
    }
    return Filing(**{**row, **made})


# --- filings --------------------------------------------------------------------------------------------------------


def bind(
    conn: sa.Connection, mailbox_id: int, connection_id: int, keys: Sequence[tuple[int, str, str, str]], now: float
) -> dict[int, Filing]:
    wanted = {(message_key, target): trigger for _, message_key, target, trigger in reversed(keys)}
    found: dict[tuple[str, str], Filing] = {}
    for part in chunks(sorted(wanted)):
        common = {"connection_id": connection_id, "created_at": now}
        rows = [{**common, "message_key": key[0], "target": key[1], "trigger": wanted[key]} for key in part]
        conn.execute(insert_new(conn, filing), rows)
        query = sa.select(filing).where(
            filing.c.connection_id == connection_id, filing.c.message_key.in_([message_key for message_key, _ in part])
        )
        found |= {(row["message_key"], row["target"]): row_of(row) for row in conn.execute(query).mappings()}
    filings = {sighting_id: found[message_key, target] for sighting_id, message_key, target, _ in keys}
    bound = [{"row": sighting_id, "filing_id": row.id} for sighting_id, row in filings.items()]
    update_each(conn, bound, sighting.c.mailbox_id == mailbox_id)
    return filings


def claim(conn: sa.Connection, ids: Sequence[int], who: str, now: float, until: float) -> dict[int, Filing]:
    free = sa.or_(filing.c.claimed_by.is_(None), filing.c.claimed_by == who, filing.c.claim_until <= now)
    won: dict[int, Filing] = {}
    for part in chunks(sorted(set(ids))):
        _lock(conn, part, free)
        statement = filing.update().where(filing.c.id.in_(part), free).values(claimed_by=who, claim_until=until)
        for row in conn.execute(statement.returning(*filing.c)).mappings():
            won[row["id"]] = row_of(row)
    return won


def _lock(conn: sa.Connection, ids: Sequence[int], *where: sa.ColumnElement[bool]) -> Sequence[sa.RowMapping]:
    """The rows in order, locked until the transaction ends (SQLite has one writer anyway).

    Rows that others have claimed must not be locked on the way: their owners touch them in any order.
    """
    query = sa.select(filing).where(filing.c.id.in_(ids), *where).order_by(filing.c.id).with_for_update(key_share=True)
    return conn.execute(query).mappings().all()


def extend(conn: sa.Connection, who: str, until: float) -> None:
    hold(conn, sorted(conn.execute(sa.select(filing.c.id).where(filing.c.claimed_by == who)).scalars()), who, until)


def hold(conn: sa.Connection, ids: Sequence[int], who: str, until: float) -> frozenset[int]:
    """A claim that has ended is still its owner's until somebody else takes it: the name tells, whatever the clocks."""
    held: set[int] = set()
    for part in chunks(sorted(set(ids))):
        ours = filing.update().where(filing.c.id.in_(part), filing.c.claimed_by == who).values(claim_until=until)
        held |= set(conn.execute(ours.returning(filing.c.id)).scalars())
    for part in chunks(sorted(held)):
        making = (creation.c.filing_id.in_(part), creation.c.state == "claimed")
        conn.execute(creation.update().where(*making).values(claim_until=until))
    return frozenset(held)


def creating(conn: sa.Connection, ids: Sequence[int]) -> int:
    query = sa.select(sa.func.count()).select_from(creation).where(creation.c.state == "claimed")
    return sum(conn.execute(query.where(creation.c.filing_id.in_(part))).scalar() or 0 for part in chunks(ids))


def unclaim(conn: sa.Connection, ids: Sequence[int], who: str) -> None:
    for part in chunks(sorted(set(ids))):
        conn.execute(filing.update().where(filing.c.id.in_(part), filing.c.claimed_by == who).values(_UNCLAIMED))


def sent(conn: sa.Connection, traces: Sequence[tuple[int, Any]], now: float) -> None:
    if traces:
        statement = (
            filing.update()
            .where(filing.c.id == sa.bindparam("row"), filing.c.state != "done", filing.c.state != "parked")
            .values(trace=sa.bindparam("trace"), sent_at=now, state="sent")
        )
        conn.execute(statement, [{"row": id_, "trace": trace} for id_, trace in sorted(traces, key=itemgetter(0))])


def filed(
    conn: sa.Connection,
    filing_id: int,
    records: Mapping[str, tuple[str, str]],
    users: Sequence[int],
    trace: Any,
    now: float,
) -> None:
    for row in _lock(conn, [filing_id]):  # what another mailbox added meanwhile is kept
        values = {
            "state": "done",
            "reason": None,
            "records": {**(row["records"] or {}), **records},
            "users": sorted({*(row["users"] or ()), *users}),
            "trace": row["trace"] if trace is None else trace,
            "done_at": now if row["done_at"] is None else row["done_at"],
        }
        conn.execute(filing.update().where(filing.c.id == filing_id).values({**values, **_UNCLAIMED}))


def park(conn: sa.Connection, filing_id: int, reason: str, trace: Any, now: float) -> None:
    conn.execute(filing.update().where(filing.c.id == filing_id).values(_UNCLAIMED))
    values = {"state": "parked", "reason": reason, "trace": trace, "done_at": now}
    conn.execute(filing.update().where(filing.c.id == filing_id, filing.c.state != "done").values(values))
    conn.execute(creation.delete().where(creation.c.filing_id == filing_id, creation.c.state == "claimed"))


def reset(conn: sa.Connection, filing_id: int, who: str | None) -> bool:
    values = {"state": "planned", "reason": None, "sent_at": None, "done_at": None}
    where = filing.update().where(filing.c.id == filing_id, filing.c.state.in_(("sent", "parked", "undone", "moved")))
    if who is not None:
        where = where.where(filing.c.claimed_by == who)
    return conn.execute(where.values(values)).rowcount == 1


def of_messages(conn: sa.Connection, connection_id: int, keys: Sequence[str]) -> dict[str, list[Filing]]:
    """Every filing of these mails, by message key."""
    out: dict[str, list[Filing]] = {}
    for part in chunks(sorted(set(keys))):
        where = filing.c.connection_id == connection_id, filing.c.message_key.in_(part)
        for row in conn.execute(sa.select(filing).where(*where).order_by(filing.c.id)).mappings():
            out.setdefault(row["message_key"], []).append(row_of(row))
    return out


def with_(conn: sa.Connection, connection_id: int, filing_id: int | None) -> list[Filing]:
    """Every filing of the mail that this one files."""
    same = sa.select(filing.c.message_key).where(filing.c.id == filing_id).scalar_subquery()
    where = filing.c.connection_id == connection_id, filing.c.message_key == same
    return [row_of(row) for row in conn.execute(sa.select(filing).where(*where).order_by(filing.c.id)).mappings()]


def note(conn: sa.Connection, ids: Sequence[int], more: Mapping[str, Any]) -> None:
    """Add to their traces."""
    for row in _lock(conn, sorted(set(ids))):
        values = {"trace": {**(row["trace"] or {}), **more}}
        conn.execute(filing.update().where(filing.c.id == row["id"]).values(values))


def moved(conn: sa.Connection, ids: Sequence[int]) -> None:
    """The mail is at another item now. What these filings created stays known, for undo."""
    for part in chunks(sorted(set(ids))):
        where = filing.c.id.in_(part), filing.c.state == "done"
        conn.execute(filing.update().where(*where).values(state="moved"))


def undone(conn: sa.Connection, ids: Sequence[int], trace: Any, now: float) -> set[int]:
    """Taken back; every copy of the mail loses its marks. The mailboxes that hold one."""
    woken: set[int] = set()
    for part in chunks(sorted(set(ids))):
        for row in _lock(conn, part):
            told = {**(row["trace"] or {}), **trace}
            values = {
                "state": "undone",
                "reason": None,
                "records": None,
                "sent_at": None,
                "done_at": now,
                "trace": told,
            }
            conn.execute(filing.update().where(filing.c.id == row["id"]).values({**values, **_UNCLAIMED}))
        copies = sighting.c.filing_id.in_(part)
        woken.update(conn.execute(sa.select(sighting.c.mailbox_id).distinct().where(copies)).scalars())
        bare = {"state": "decided", "outcome": "undone", "reason": None, "not_before": 0.0}
        conn.execute(sighting.update().where(copies).values(bare))
        conn.execute(creation.delete().where(creation.c.filing_id.in_(part)))
    return woken


# --- creations ------------------------------------------------------------------------------------------------------


def claim_creation(
    conn: sa.Connection,
    vault: Vault,
    connection_id: int,
    kind: str,
    key: str,
    filing_id: int,
    now: float,
    until: float,
) -> Creation:
    where = _creation(vault, connection_id, kind, key)
    identity = {"connection_id": connection_id, "kind": kind, "key_hash": _key(vault, kind, key)}
    claimed = {"filing_id": filing_id, "claim_until": until}
    ended = creation.c.claim_until <= now  # whoever had it is gone, or the record it made is
    take = (
        creation.update()
        .where(*where, sa.or_(creation.c.filing_id == filing_id, ended))
        .values(state="claimed", remote_id=None, **claimed)
        .returning(creation)
    )
    while True:  # once; again when the row was forgotten between two statements
        conn.execute(insert_new(conn, creation).values({**identity, **claimed}))
        row = conn.execute(take).first() or conn.execute(sa.select(creation).where(*where)).first()
        if row is not None:
            return Creation(row.state, row.filing_id == filing_id, row.remote_id, row.filing_id)


def created(
    conn: sa.Connection,
    vault: Vault,
    connection_id: int,
    kind: str,
    key: str,
    filing_id: int,
    remote_id: str | None,
    until: float,
) -> None:
    identity = {"connection_id": connection_id, "kind": kind, "key_hash": _key(vault, kind, key)}
    values = {"state": "done", "remote_id": remote_id, "filing_id": filing_id, "claim_until": until}
    conn.execute(insert_new(conn, creation).values({**identity, **values}))
    conn.execute(creation.update().where(*_creation(vault, connection_id, kind, key)).values(values))


def forget_creation(
    conn: sa.Connection, vault: Vault, connection_id: int, kind: str, key: str, filing_id: int | None
) -> bool:
    where = _creation(vault, connection_id, kind, key)
    if filing_id is not None:
        where = (*where, creation.c.filing_id == filing_id)
    return conn.execute(creation.delete().where(*where)).rowcount == 1


def only_creations(
    conn: sa.Connection, vault: Vault, connection_id: int, filing_id: int, keys: Sequence[tuple[str, str]]
) -> None:
    kept = {(kind, _key(vault, kind, key)) for kind, key in keys}
    claimed = (
        creation.c.connection_id == connection_id,
        creation.c.filing_id == filing_id,
        creation.c.state == "claimed",
    )
    for row in conn.execute(sa.select(creation.c.kind, creation.c.key_hash).where(*claimed)).all():
        if (row.kind, row.key_hash) not in kept:
            one = creation.c.kind == row.kind, creation.c.key_hash == row.key_hash
            conn.execute(creation.delete().where(*claimed, *one))


def _key(vault: Vault, kind: str, key: str) -> str:
    return vault.hash(f"{kind}:{key}")


def _creation(vault: Vault, connection_id: int, kind: str, key: str) -> tuple[sa.ColumnElement[bool], ...]:
    key_hash = _key(vault, kind, key)
    return creation.c.connection_id == connection_id, creation.c.kind == kind, creation.c.key_hash == key_hash
