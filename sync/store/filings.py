"""Filings, one per mail and target of the whole organisation, and the records they create.

Workers of several mailboxes meet here. Whoever inserts first wins, everybody reads the same row; a claim is a name and
an end. Rows are taken in the order of their keys, so that two workers cannot wait for each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from sync.model import RecordRef
from sync.store.config import insert_new
from sync.store.rows import Binding, Creation, Filing, NewCreation, Result
from sync.store.sightings import chunks, update_each
from sync.store.tables import creation, filing, sighting
from sync.store.vault import Vault

_UNCLAIMED = {"claimed_by": None, "claim_until": 0.0}


def row_of(row: Mapping[str, Any]) -> Filing:
    records = {name: RecordRef(kind, id_) for name, (kind, id_) in (row["records"] or {}).items()}
    return Filing(**{**row, "records": records, "users": tuple(row["users"] or ())})


# --- filings --------------------------------------------------------------------------------------------------------


def bind(conn: sa.Connection, mailbox_id: int, bindings: Sequence[Binding], now: float) -> dict[int, Filing]:
    wanted = {(b.connection_id, b.message_key, b.target): b.trigger for b in reversed(bindings)}
    found: dict[tuple[int, str, str], Filing] = {}
    for part in chunks(sorted(wanted)):
        rows = [
            dict(connection_id=key[0], message_key=key[1], target=key[2], trigger=wanted[key], created_at=now)
            for key in part
        ]
        conn.execute(insert_new(conn, filing), rows)
        query = sa.select(filing).where(
            filing.c.connection_id.in_(sorted({key[0] for key in part})),
            filing.c.message_key.in_(sorted({key[1] for key in part})),
        )
        for row in conn.execute(query).mappings():
            found[row["connection_id"], row["message_key"], row["target"]] = row_of(row)
    filings = {b.sighting_id: found[b.connection_id, b.message_key, b.target] for b in bindings}
    bound = [{"row": sighting_id, "filing_id": row.id} for sighting_id, row in filings.items()]
    update_each(conn, bound, sighting.c.mailbox_id == mailbox_id)
    return filings


def claim(conn: sa.Connection, ids: Sequence[int], who: str, now: float, until: float) -> dict[int, Filing]:
    free = sa.or_(filing.c.claimed_by.is_(None), filing.c.claimed_by == who, filing.c.claim_until <= now)
    won: dict[int, Filing] = {}
    for part in chunks(sorted(set(ids))):
        _lock(conn, part)
        statement = filing.update().where(filing.c.id.in_(part), free).values(claimed_by=who, claim_until=until)
        for row in conn.execute(statement.returning(*filing.c)).mappings():
            won[row["id"]] = row_of(row)
    return won


def _lock(conn: sa.Connection, ids: Sequence[int]) -> Sequence[sa.RowMapping]:
    """The rows in order, locked until the transaction ends (SQLite has one writer anyway)."""
    query = sa.select(filing).where(filing.c.id.in_(ids)).order_by(filing.c.id).with_for_update()
    return conn.execute(query).mappings().all()


def unclaim(conn: sa.Connection, ids: Sequence[int], who: str) -> None:
    for part in chunks(sorted(set(ids))):
        conn.execute(filing.update().where(filing.c.id.in_(part), filing.c.claimed_by == who).values(_UNCLAIMED))


def sent(conn: sa.Connection, traces: Mapping[int, Any], now: float) -> None:
    unfinished = filing.c.state.in_(("planned", "sent"))
    values = [{"trace": traces[id_], "sent_at": now, "state": "sent"} for id_ in sorted(traces)]
    _update_each(conn, sorted(traces), values, unfinished)


def filed(conn: sa.Connection, results: Sequence[Result], now: float) -> None:
    by_id: dict[int, list[Result]] = {}
    for result in results:
        by_id.setdefault(result.filing_id, []).append(result)
    for part in chunks(sorted(by_id)):
        values = []
        rows = _lock(conn, part)  # what another mailbox added meanwhile is kept
        for row in rows:
            mine = by_id[row["id"]]
            records = dict(row["records"] or {})
            for result in mine:
                records |= {name: [ref.kind, ref.id] for name, ref in result.records.items()}
            users = [*(row["users"] or ()), *(user for result in mine for user in result.users)]
            values.append(
                {
                    "state": "done",
                    "reason": None,
                    "records": records,
                    "users": list(dict.fromkeys(users)),
                    "trace": row["trace"] if mine[-1].trace is None else mine[-1].trace,
                    "done_at": now if row["done_at"] is None else row["done_at"],
                    **_UNCLAIMED,
                }
            )
        _update_each(conn, [row["id"] for row in rows], values)


def park(conn: sa.Connection, filing_id: int, reason: str, trace: Any, now: float) -> None:
    conn.execute(filing.update().where(filing.c.id == filing_id).values(_UNCLAIMED))
    values = {"state": "parked", "reason": reason, "trace": trace, "done_at": now}
    conn.execute(filing.update().where(filing.c.id == filing_id, filing.c.state != "done").values(values))
    conn.execute(creation.delete().where(creation.c.filing_id == filing_id, creation.c.state == "claimed"))


def reset(conn: sa.Connection, filing_id: int) -> bool:
    values = {"state": "planned", "reason": None, "sent_at": None, "done_at": None}
    where = filing.update().where(filing.c.id == filing_id, filing.c.state == "parked")
    return conn.execute(where.values(values)).rowcount == 1


def _update_each(
    conn: sa.Connection, ids: Sequence[int], values: Sequence[Mapping[str, Any]], *where: sa.ColumnElement[bool]
) -> None:
    if values:
        columns = {name: sa.bindparam(name) for name in values[0]}
        statement = filing.update().where(filing.c.id == sa.bindparam("row"), *where).values(columns)
        conn.execute(statement, [{"row": id_, **item} for id_, item in zip(ids, values, strict=True)])


# --- creations ------------------------------------------------------------------------------------------------------


def claim_creations(
    conn: sa.Connection, vault: Vault, connection_id: int, wishes: Sequence[NewCreation], now: float, until: float
) -> list[Creation]:
    keys = [(wish.kind, _key(vault, wish.kind, wish.key)) for wish in wishes]
    claimants = dict(zip(reversed(keys), (wish.filing_id for wish in reversed(wishes)), strict=True))
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for part in chunks(sorted(claimants)):
        while missing := [key for key in part if key not in rows]:  # once; again if a row was forgotten meanwhile
            new = [
                dict(connection_id=connection_id, kind=k, key_hash=h, filing_id=claimants[k, h], claim_until=until)
                for k, h in missing
            ]
            conn.execute(insert_new(conn, creation), new)
            rows |= _creations(conn, connection_id, missing)
        for key in part:
            if _takable(rows[key], claimants[key], now):
                rows[key]["filing_id"] = claimants[key]
                values = {"filing_id": claimants[key], "claim_until": until}
                conn.execute(creation.update().where(*_creation(connection_id, *key)).values(values))
    return [
        Creation(rows[key]["state"], rows[key]["filing_id"] == wish.filing_id, rows[key]["remote_id"])
        for key, wish in zip(keys, wishes, strict=True)
    ]


def _creations(
    conn: sa.Connection, connection_id: int, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of these keys in order, locked until the transaction ends."""
    query = (
        sa.select(creation)
        .where(creation.c.connection_id == connection_id, creation.c.key_hash.in_([key_hash for _, key_hash in keys]))
        .order_by(creation.c.kind, creation.c.key_hash)
        .with_for_update()
    )
    return {(row["kind"], row["key_hash"]): dict(row) for row in conn.execute(query).mappings()}


def _takable(row: Mapping[str, Any], filing_id: int, now: float) -> bool:
    return row["state"] == "claimed" and (row["filing_id"] == filing_id or row["claim_until"] <= now)


def created(
    conn: sa.Connection, vault: Vault, connection_id: int, kind: str, key: str, filing_id: int, remote_id: str
) -> None:
    where = _creation(connection_id, kind, _key(vault, kind, key))
    values = {"state": "done", "remote_id": remote_id, "filing_id": filing_id, "claim_until": 0.0}
    if conn.execute(creation.update().where(*where).values(values)).rowcount == 0:
        row = {"connection_id": connection_id, "kind": kind, "key_hash": _key(vault, kind, key), **values}
        conn.execute(insert_new(conn, creation).values(row))


def forget_creation(
    conn: sa.Connection, vault: Vault, connection_id: int, kind: str, key: str, filing_id: int | None
) -> bool:
    where = _creation(connection_id, kind, _key(vault, kind, key))
    if filing_id is not None:
        where = (*where, creation.c.filing_id == filing_id)
    return conn.execute(creation.delete().where(*where)).rowcount == 1


def _key(vault: Vault, kind: str, key: str) -> str:
    return vault.hash(f"{kind}:{key}")


def _creation(connection_id: int, kind: str, key_hash: str) -> tuple[sa.ColumnElement[bool], ...]:
    return creation.c.connection_id == connection_id, creation.c.kind == kind, creation.c.key_hash == key_hash
