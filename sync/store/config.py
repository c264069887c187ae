"""Connections, policies and mailboxes: what `mailspan apply` declares. Every `put_*` is idempotent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from sync.store.database import StoreError
from sync.store.rows import Change, Connection, Mailbox, StoredPolicy
from sync.store.tables import connection, mailbox, policy
from sync.store.vault import Vault

T = TypeVar("T")
_MISSING = object()


def insert_new(conn: sa.Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    """INSERT that leaves a row alone that is there already, whoever put it there."""
    make = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    return make(table).on_conflict_do_nothing()


# --- connections ----------------------------------------------------------------------------------------------------


def _connection(vault: Vault, row: sa.RowMapping) -> Connection:
    return Connection(
        row["id"],
        row["name"],
        row["vendor"],
        row["settings"],
        row["status"],
        row["status_reason"],
        json.loads(vault.decrypt(row["secrets"])),
    )


def connections(conn: sa.Connection, vault: Vault) -> list[Connection]:
    rows = conn.execute(sa.select(connection).order_by(connection.c.name)).mappings()
    return [_connection(vault, row) for row in rows]


def get_connection(conn: sa.Connection, vault: Vault, which: int | str) -> Connection | None:
    row = _find(conn, connection, which)
    return _connection(vault, row) if row else None


def put_connection(
    conn: sa.Connection, vault: Vault, name: str, vendor: str, settings: Mapping[str, Any], secrets: Mapping[str, Any]
) -> Change:
    plain = json.dumps(secrets, sort_keys=True)
    wanted = {"vendor": vendor, "settings": _as_stored(settings), "digest": vault.hash("secrets:" + plain)}
    created, row = _insert_or_lock(
        conn, connection, {"name": name}, lambda: {**wanted, "secrets": vault.encrypt(plain)}
    )
    if created:
        return Change(row["id"], "created")
    fields = _differences({**row, "secrets": row["digest"]}, {**wanted, "secrets": wanted["digest"]}, skip=("digest",))
    if not fields:
        return Change(row["id"], "unchanged")
    values = {**wanted, "secrets": vault.encrypt(plain), "status": "active", "status_reason": None}
    conn.execute(connection.update().where(connection.c.id == row["id"]).values(values))
    return Change(row["id"], "changed", fields)


def mark_connection(conn: sa.Connection, connection_id: int, status: str, reason: str | None) -> None:
    values = {"status": status, "status_reason": reason}
    conn.execute(connection.update().where(connection.c.id == connection_id).values(values))


# --- policies -------------------------------------------------------------------------------------------------------


def policies(conn: sa.Connection) -> list[StoredPolicy]:
    return [StoredPolicy(**row) for row in conn.execute(sa.select(policy).order_by(policy.c.name)).mappings()]


def get_policy(conn: sa.Connection, which: int | str) -> StoredPolicy | None:
    row = _find(conn, policy, which)
    return StoredPolicy(**row) if row else None


def policy_of(conn: sa.Connection, mailbox_id: int) -> StoredPolicy:
    joined = sa.select(policy).join(mailbox, mailbox.c.policy_id == policy.c.id).where(mailbox.c.id == mailbox_id)
    row = conn.execute(joined).mappings().first()
    if row is None:
        raise StoreError(f"there is no mailbox {mailbox_id}")
    return StoredPolicy(**row)


def put_policy(
    conn: sa.Connection, name: str, options: Mapping[str, Any], crm_connection: int | str, mail_connection: int | str
) -> Change:
    wanted = {
        "options": _as_stored(options),
        "crm_connection_id": _id(conn, connection, crm_connection),
        "mail_connection_id": _id(conn, connection, mail_connection),
    }
    created, row = _insert_or_lock(conn, policy, {"name": name}, lambda: wanted)
    if created:
        return Change(row["id"], "created")
    fields = _differences(row, wanted)
    if not fields:
        return Change(row["id"], "unchanged")
    conn.execute(policy.update().where(policy.c.id == row["id"]).values(**wanted, version=policy.c.version + 1))
    if "crm_connection" in fields:  # its mailboxes' users are others there
        conn.execute(mailbox.update().where(mailbox.c.policy_id == row["id"]).values(crm_user_id=None))
    return Change(row["id"], "changed", fields)


# --- mailboxes ------------------------------------------------------------------------------------------------------

_SECRET = (mailbox.c.address_enc, mailbox.c.crm_user_enc, mailbox.c.token_enc)
_INNER = {"address_hash", "due_at", *(column.name for column in _SECRET)}
_READ = tuple(column for column in mailbox.c if column.name not in _INNER)


def _mailbox(vault: Vault, row: sa.RowMapping) -> Mailbox:
    values = {name: row[name] for name in row if not name.endswith("_enc")}
    for column in _SECRET:
        token = row[column.name]
        values[column.name.removesuffix("_enc")] = None if token is None else vault.decrypt(token)
    return Mailbox(**values)


def mailboxes(conn: sa.Connection, vault: Vault, policy_id: int | None = None) -> list[Mailbox]:
    query = sa.select(*_READ, *_SECRET).order_by(mailbox.c.id)
    if policy_id is not None:
        query = query.where(mailbox.c.policy_id == policy_id)
    return [_mailbox(vault, row) for row in conn.execute(query).mappings()]


def get_mailbox(conn: sa.Connection, vault: Vault, which: int | str) -> Mailbox | None:
    """By id (then there must be one), or by address in any case."""
    row = conn.execute(sa.select(*_READ, *_SECRET).where(_is(vault, which))).mappings().first()
    if row is None and isinstance(which, int):
        raise StoreError(f"there is no mailbox {which}")
    return _mailbox(vault, row) if row else None


def put_mailbox(
    conn: sa.Connection, vault: Vault, address: str, which_policy: int | str, crm_user: str | None, token: str | None
) -> Change:
    policy_id = _id(conn, policy, which_policy)
    plain = {"address": address.strip(), "crm_user": crm_user, "token": token}
    created, row = _insert_or_lock(
        conn,
        mailbox,
        {"address_hash": _hashed(vault, address)},
        lambda: {"policy_id": policy_id, **_sealed(vault, plain)},
    )
    if created:
        return Change(row["id"], "created")
    was = {"policy_id": row["policy_id"]}
    for name in plain:
        was[name] = None if row[name + "_enc"] is None else vault.decrypt(row[name + "_enc"])
    if token is None:  # not given: the one that is there stays
        plain["token"] = was["token"]
    fields = _differences(was, {"policy_id": policy_id, **plain}, skip=("address",))  # it can differ in case alone
    status = row["status"]
    if status == "disabled":
        fields, status = (*fields, "status"), "new"
    if not fields:
        return Change(row["id"], "unchanged")
    values = {"policy_id": policy_id, **_sealed(vault, plain), "dirty": mailbox.c.dirty + 1}
    if status == "parked":  # the reason may have gone with what was changed
        status = "active"
    if {"crm_user", "policy"} & set(fields):  # perhaps another user, perhaps in another CRM
        values["crm_user_id"] = None
    values |= {"status": status, "status_reason": row["status_reason"] if status == row["status"] else None}
    conn.execute(mailbox.update().where(mailbox.c.id == row["id"]).values(values))
    return Change(row["id"], "changed", fields)


def disable_mailbox(conn: sa.Connection, vault: Vault, which: int | str, reason: str | None) -> bool:
    values = {"status": "disabled", "status_reason": reason}
    enabled = mailbox.update().where(_is(vault, which), mailbox.c.status != "disabled")
    return conn.execute(enabled.values(values)).rowcount > 0


def _hashed(vault: Vault, address: str) -> str:
    return vault.hash(address.strip().lower())


def _is(vault: Vault, which: int | str) -> sa.ColumnElement[bool]:
    return mailbox.c.id == which if isinstance(which, int) else mailbox.c.address_hash == _hashed(vault, which)


# --- shared ---------------------------------------------------------------------------------------------------------


def _sealed(vault: Vault, plain: Mapping[str, str | None]) -> dict[str, str | None]:
    return {name + "_enc": None if text is None else vault.encrypt(text) for name, text in plain.items()}


def _find(conn: sa.Connection, table: sa.Table, which: int | str) -> sa.RowMapping | None:
    """By id (then there must be one) or name."""
    column = table.c.id if isinstance(which, int) else table.c.name
    row = conn.execute(sa.select(table).where(column == which)).mappings().first()
    if row is None and isinstance(which, int):
        raise StoreError(f"there is no {table.name} {which}")
    return row


def _id(conn: sa.Connection, table: sa.Table, which: int | str) -> int:
    if isinstance(which, int):
        return which
    found: int | None = conn.execute(sa.select(table.c.id).where(table.c.name == which)).scalar()
    if found is None:
        raise StoreError(f"there is no {table.name} {which!r}")
    return found


def _insert_or_lock(
    conn: sa.Connection, table: sa.Table, key: dict[str, str], values: Any
) -> tuple[bool, Mapping[str, Any]]:
    """(True, the new row's id) or (False, the row that was there, locked until the transaction ends)."""
    ((column, value),) = key.items()
    query = sa.select(table).where(table.c[column] == value).with_for_update(key_share=True)
    row = conn.execute(query).mappings().first()
    if row is None:
        new = conn.execute(insert_new(conn, table).values(key | values()).returning(table.c.id)).scalar()
        if new is not None:
            return True, {"id": new}
        row = conn.execute(query).mappings().one()  # another transaction was first
    return False, dict(row)


def _as_stored(values: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON makes of it (tuples are lists), so that comparing with the stored form is fair."""
    stored: dict[str, Any] = json.loads(json.dumps(values))
    return stored


def _differences(was: Mapping[str, Any], wanted: Mapping[str, Any], skip: tuple[str, ...] = ()) -> tuple[str, ...]:
    names: list[str] = []
    for name, value in wanted.items():
        before = was[name]
        if name in skip or before == value:
            continue
        if isinstance(value, dict):
            keys = sorted(before.keys() | value.keys())
            names += [f"{name}.{key}" for key in keys if before.get(key, _MISSING) != value.get(key, _MISSING)]
        else:
            names.append(name.removesuffix("_id"))
    return tuple(names)
