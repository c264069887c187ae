"""An installation without processes: engine and adapters run here, batch by batch, against the sandbox; to be quick."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from sync.core.reasons import REASONS
from sync.engine import wake as engine
from sync.store import tables
from sync.wiring import App
from tests.e2e.installation import DONE, DROP, ENDS, FAILED, MISSING, OPTIONS, Desk, Installation, query, quoted
from tests.sandboxed import Sandbox

LOOKS = 20
HOMES = {"Inbox", "Sent Items"}
ASKED = 100  # ids in one question to the CRM
T = TypeVar("T")


@contextmanager
def declared(
    sandbox: Sandbox, folder: Path, users: Sequence[str], options: Mapping[str, object] = OPTIONS
) -> Iterator[Installation]:
    """Every mailbox has its tree. No Redis answers, so that no budget holds us up; the sandbox's quotas are off."""
    sandbox.settings(gmail_quota=False)
    environ = {"MAILSPAN_REDIS_URL": f"unix://{folder}/nobody.sock"}
    database = f"sqlite:///{folder / 'mailspan.sqlite3'}"
    installation = Installation(sandbox, folder, database, users, environ, options)
    installation.apply()
    wake(installation, *users)
    try:
        yield installation
    finally:
        installation.close()


def look(app: App, mailbox: int, ahead: float = 0.0, worker: str = "worker") -> engine.Report:
    """One wake, `ahead` seconds from now."""
    app.store.wake(mailbox)
    return engine.wake(
        app.store,
        mailbox,
        app.ports,
        worker=worker,
        clock=lambda: time.time() + ahead,
        lease_seconds=60,
        guard_seconds=20,
    )


def wake(office: Installation, *users: str, until: Callable[[], bool] = lambda: True) -> None:
    """Wake these mailboxes until that is so; the clock moves on where the engine wants to wait a moment."""
    ahead = 0.0
    for _ in range(LOOKS):
        for user in users:
            report = look(office.app, office.mailbox_id(user), ahead)
            assert report.ended == "done", report
        if until():
            return
        ahead += 1.1
    raise AssertionError(f"{LOOKS} looks did not do")


def parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """In order, `size` of them at a time."""
    for at in range(0, len(items), size):
        yield items[at : at + size]


def settled(office: Installation, desk: Desk, mails: Sequence[str]) -> list[str]:
    """Drop these, let the engine work, and tell how each ended: one end marker each, reasons where it was not filed."""
    for mail in mails:
        desk.drop(mail)
    wake(office, desk.address, until=lambda: desk.ended(*mails))
    told = []
    for mail, marks in zip(mails, desk.marks(*mails), strict=True):
        (end,) = marks & ENDS
        assert DROP not in marks
        assert marks & HOMES or not office.in_outlook(desk.address), (mail, marks)
        reasons = {mark for mark in marks if mark.startswith((FAILED + "/", MISSING + "/"))}
        assert bool(reasons) == (end != DONE), (mail, marks)
        told.append(" ".join(sorted(reasons)) or end)
    return told


def judge(office: Installation) -> None:
    """By the store: what is filed has its record in the CRM, what is not has a known reason, nothing is left over."""
    with office.app.store._database.reading() as conn:
        joined = sa.join(tables.sighting, tables.filing, isouter=True)
        columns = (
            tables.sighting.c.state,
            tables.sighting.c.outcome,
            tables.sighting.c.reason,
            tables.filing.c.records,
        )
        rows = conn.execute(sa.select(*columns).select_from(joined)).all()
    assert {row.state for row in rows} == {"settled"}
    assert {row.outcome for row in rows} <= {"done", "missing", "parked"}
    assert all(row.reason in REASONS for row in rows if row.outcome != "done")
    written = {tuple(row.records["activity"]) for row in rows if row.outcome == "done"}
    for kind, sobject in (("email", "EmailMessage"), ("task", "Task")):
        ids = sorted(id_ for found, id_ in written if found == kind)
        there = [
            row["Id"]
            for part in parts(ids, ASKED)
            for row in query(office.sandbox, office.crm_user, f"SELECT Id FROM {sobject} WHERE Id IN ({quoted(*part)})")
        ]
        assert sorted(there) == ids
    assert {kind for kind, _ in written} <= {"email", "task"}
