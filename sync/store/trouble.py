"""What is wrong with the database, and what to do about it, in words for people."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class Trouble:
    """`what` says what is wrong, `advice` what to do. Mailspan goes on by itself when it is over."""

    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.what}; {self.advice}"


LOCKED = Trouble(
    "another process holds the lock", "end the program that works on the file, such as a backup or a shell"
)
FULL = Trouble("the disk, or its quota, is full", "make room for the database")
READ_ONLY = Trouble("it may only be read", "let Mailspan's user write the file and its directory, or use the primary")
BROKEN = Trouble("the file is damaged, or no SQLite database", "restore a backup; no mail is lost by that")
NO_ACCESS = Trouble("it refuses us", "check user, password and database in MAILSPAN_DATABASE_URL")
AWAY = Trouble("it does not answer", "start it, or check MAILSPAN_DATABASE_URL")

# result codes of SQLite, without their extension
_SQLITE = {
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_CORRUPT: BROKEN,
    sqlite3.SQLITE_NOTADB: BROKEN,
    sqlite3.SQLITE_CANTOPEN: READ_ONLY,
}
# SQLSTATEs of PostgreSQL, by their longest known beginning
_POSTGRES = {"53100": FULL, "25006": READ_ONLY, "28": NO_ACCESS, "3D000": NO_ACCESS, "55P03": LOCKED}


def trouble(error: sa.exc.DBAPIError) -> Trouble:
    """What the driver's error means."""
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return _SQLITE.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF, AWAY)
    state = str(getattr(cause, "sqlstate", None) or "")
    return next((found for begin, found in _POSTGRES.items() if state.startswith(begin)), AWAY)
