"""The database behind the store: one engine per process, transactions, migrations.

SQLite (WAL) on one machine, PostgreSQL on several; the same queries on both (design.md 6).
"""

from __future__ import annotations

import functools
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

TIMEOUT_SECONDS = 10.0  # of silence, before a connection to PostgreSQL is given up by either end
BUSY_SECONDS = 30  # how long a writer of SQLite waits for another
_MIGRATION_LOCK = 0x6D61696C7370616E  # "mailspan": PostgreSQL's advisory lock
_alembic = threading.Lock()  # Alembic keeps its context in a module, one migration at a time per process


class StoreError(Exception):
    """The database cannot be used as it is; the text says what to do."""


class Database:
    """Transactions on one database. Safe in threads, and after a fork: a child opens connections of its own."""

    def __init__(self, url: str, timeout: float = TIMEOUT_SECONDS) -> None:
        self._url = _normal(url)
        self._timeout = timeout
        self._inherited: list[sa.Engine] = []
        self._pid = os.getpid()
        self._engine = _engine(self._url, timeout)

    @property
    def sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state and never waits for a writer."""
        with self._current().connect() as conn, conn.begin():
            yield conn

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that may write. On SQLite there is one at a time, and it waits its turn before it begins."""
        with self._current().connect().execution_options(immediate=True) as conn, conn.begin():
            yield conn

    @contextmanager
    def migrating(self) -> Iterator[sa.Connection]:
        """A transaction alone in changing tables. Foreign keys are off: SQLite rebuilds a table to alter it."""
        with _alembic, self._current().connect().execution_options(immediate=True) as conn:
            if self.sqlite:
                conn.detach()  # so that its pragma does not go back to the pool
                conn.connection.cursor().execute("PRAGMA foreign_keys = OFF")
            with conn.begin():
                if not self.sqlite:
                    conn.execute(sa.text("SET LOCAL statement_timeout = 0"))  # also while another one migrates
                    conn.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
                    conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
                yield conn
                broken = conn.exec_driver_sql("PRAGMA foreign_key_check").all() if self.sqlite else []
                if broken:
                    raise StoreError(f"the migration would leave {len(broken)} broken references")

    def close(self) -> None:
        self._current().dispose()

    def _current(self) -> sa.Engine:
        if self._pid != os.getpid():
            # Connections of the parent are neither used nor closed here: keeping them referenced keeps them open.
            self._inherited.append(self._engine)
            self._engine, self._pid = _engine(self._url, self._timeout), os.getpid()
        return self._engine


def migration() -> Callable[[sa.Connection], None]:
    """What brings the tables to this version's form; it raises `StoreError` when they are newer than this version.

    Loading Alembic takes a while: only who needs it does, and before it locks the database.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")

    def upgrade(conn: sa.Connection) -> None:
        config.attributes["connection"] = conn
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreError(f"the database was made by another version of Mailspan: {error}") from error

    return upgrade


def _normal(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise StoreError("the database URL is not one of sqlite:///FILE and postgresql://USER@HOST/NAME") from error
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise StoreError(f"the database must be SQLite or PostgreSQL, not {backend}")
    if not parsed.database or parsed.database == ":memory:":
        raise StoreError("SQLite needs a file: several processes share it")
    return parsed.set(database=str(Path(parsed.database).expanduser().absolute()))


def _engine(url: sa.URL, timeout: float) -> sa.Engine:
    if url.get_backend_name() == "postgresql":
        engine = sa.create_engine(url, pool_pre_ping=True, connect_args=_patience(timeout))
        event.listen(engine, "connect", functools.partial(_impatient_server, timeout))
        return engine
    path = Path(str(url.database))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _patience(timeout: float) -> dict[str, int]:
    """libpq's parameters: who is cut off from the server notices, whether it connects, sends or waits."""
    return {
        "connect_timeout": max(2, round(timeout / 2)),
        "tcp_user_timeout": round(timeout * 1000),
        "keepalives_idle": max(1, round(timeout / 2)),
        "keepalives_interval": max(1, round(timeout / 5)),
        "keepalives_count": 3,
    }


def _impatient_server(timeout: float, connection: Any, _record: Any) -> None:
    """The server's side of it: what a client holds that vanished in a transaction is free again soon. PostgreSQL itself
    would keep the locks for hours."""
    found = {
        "idle_in_transaction_session_timeout": round(timeout * 1000),
        "statement_timeout": round(timeout * 3000),
        "tcp_user_timeout": round(timeout * 1000),
        "tcp_keepalives_idle": max(1, round(timeout / 2)),
        "tcp_keepalives_interval": max(1, round(timeout / 5)),
        "tcp_keepalives_count": 3,
    }
    connection.autocommit = True
    connection.execute(
        "SELECT " + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in found.items())
    )
    connection.autocommit = False


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: _begin does
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA synchronous = NORMAL")
    deadline = time.monotonic() + BUSY_SECONDS
    while cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:  # another process is at it: SQLite does not wait for this one
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    cursor.close()


def _begin(conn: sa.Connection) -> None:
    # A writer that began as a reader could not wait: SQLite refuses the upgrade at once.
    immediate = conn.get_execution_options().get("immediate")
    conn.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
