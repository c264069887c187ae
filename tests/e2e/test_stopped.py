"""A real worker that stands still: stopped (SIGSTOP) right before it sends a record to the CRM, past its lease and the
guard; another worker files the mail; then it goes on (SIGCONT), and sends nothing. One record.

The times are those of an installation that waits less: a lease of 2 seconds, a guard of 3.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from sync import embedded
from tests.e2e.installation import DONE, Installation, letter, records, until
from tests.sandboxed import ROOT, Sandbox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

ANNA = "anna@northpeak.example"
TIMES = {"MAILSPAN_LEASE_SECONDS": "2", "MAILSPAN_HTTP_TIMEOUT_SECONDS": "3", "MAILSPAN_TICK_SECONDS": "0.5"}
# A worker that stops itself once: before the store is asked whether the request may leave, or between the answer and
# the first byte; then the headers leave, and the body is asked about anew.
SLEEPER = """
import os, signal, sys
from sync.cli import main
from sync.engine.permit import Permit
plain, stopped = Permit.__call__, []
def asked(self):
    if sys.argv[1] == "after" and not stopped:
        plain(self)
    if not stopped:
        stopped.append(1)
        os.kill(os.getpid(), signal.SIGSTOP)
        if sys.argv[1] == "after":
            return
    plain(self)
Permit.__call__ = asked
main(["worker", "-n", "1"])
"""


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("stopped")
    with Sandbox.start() as sandbox, embedded.serve(folder) as redis:
        environ = {**TIMES, "MAILSPAN_REDIS_URL": redis}
        found = Installation(sandbox, folder, f"sqlite:///{folder / 'mailspan.sqlite3'}", (ANNA,), environ)
        found.apply()
        found.start("ticker", "ticker")
        found.start("worker", "worker", "-n", "1")
        until(found.desk(ANNA).has_tree, 60, "a drop label")
        yield found
        found.close()


def start_sleeper(office: Installation, where: str) -> psutil.Process:
    with (office.folder / f"sleeper-{where}.log").open("wb") as log:
        command = [sys.executable, "-c", SLEEPER, where]
        office.processes["sleeper"] = subprocess.Popen(
            command, env=dict(office.environ), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    return psutil.Process(office.processes["sleeper"].pid)


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_worker_that_was_stopped_before_it_sent_doubles_nothing(office: Installation, where: str) -> None:
    desk, message_id = office.desk(ANNA), f"<stopped-{where}@partner.example>"
    until(lambda: ANNA not in office.leases(), 20, "the mailbox at rest")
    office.end("worker")
    sleeper = start_sleeper(office, where)
    try:
        mail = desk.deliver(letter("laura.keller@example.com", ANNA, "Stopped", message_id))
        desk.drop(mail)
        office.knock(ANNA)
        until(lambda: sleeper.status() == psutil.STATUS_STOPPED, 40, "a worker about to send")
        assert not records(office.sandbox, office.crm_user, message_id)

        office.start("worker", "worker", "-n", "1")
        until(lambda: desk.ended(mail), 40, "filed by the other")
        assert len(records(office.sandbox, office.crm_user, message_id)) == 1
        sleeper.send_signal(signal.SIGCONT)
        log = office.folder / f"sleeper-{where}.log"
        until(lambda: "lease.lost" in log.read_text() or "taken the work over" in log.read_text(), 20, "its refusal")
    finally:
        sleeper.send_signal(signal.SIGCONT)
        office.end("sleeper")
    assert len(records(office.sandbox, office.crm_user, message_id)) == 1
    (marks,) = desk.marks(mail)
    assert DONE in marks
