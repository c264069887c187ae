"""Programs under the supervisor: their lines carry their name, the dead come back, the end is quick and complete."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from sync import supervise
from sync.supervise import Program, Supervisor

STEADY = "import os, signal, time; print('pid', os.getpid(), flush=True); time.sleep(60)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + STEADY


def python(name: str, code: str) -> Program:
    return Program(name, [sys.executable, "-c", code])


class Log(io.StringIO):
    """A log that others wait on."""

    def pids(self, name: str) -> list[int]:
        return [int(pid) for pid in re.findall(rf"^{name} +\| pid (\d+)$", self.getvalue(), re.MULTILINE)]


def wait(condition: Callable[[], object], seconds: float = 10.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.01)


def running(supervisor: Supervisor, script: Callable[[], None]) -> int:
    """Run the supervisor in this (the main) thread while the script acts in another, then stop it."""
    failures: list[BaseException] = []

    def act() -> None:
        try:
            script()
        except BaseException as error:  # noqa: BLE001 - handed to the main thread below
            failures.append(error)
        finally:
            supervisor.request_stop()

    thread = threading.Thread(target=act)
    thread.start()
    status = supervisor.run()
    thread.join()
    if failures:
        raise failures[0]
    return status


def test_lines_are_prefixed_and_the_end_is_complete() -> None:
    log = Log()
    supervisor = Supervisor([python("one", STEADY), python("second", STEADY)], log)
    status = running(supervisor, lambda: wait(lambda: log.pids("one") and log.pids("second")))
    assert status == 0
    assert not any(psutil.pid_exists(pid) for pid in log.pids("one") + log.pids("second"))
    assert "one    | pid" in log.getvalue()


def test_the_dead_come_back() -> None:
    log = Log()

    def script() -> None:
        wait(lambda: log.pids("one"))
        os.kill(log.pids("one")[0], signal.SIGKILL)
        wait(lambda: len(log.pids("one")) == 2)

    assert running(Supervisor([python("one", STEADY)], log), script) == 0
    assert "one | was killed by SIGKILL; starts again" in log.getvalue()


def test_a_program_that_dies_at_once_is_not_started_in_a_hurry() -> None:
    log = Log()
    supervisor = Supervisor([python("bad", "import sys; sys.exit(3)")], log)
    running(supervisor, lambda: wait(lambda: "starts again in 1 s" in log.getvalue()))
    assert log.getvalue().count("ended with status 3") == 2


def test_what_does_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "GRACE_SECONDS", 0.2)
    log = Log()
    assert running(Supervisor([python("deaf", DEAF)], log), lambda: wait(lambda: log.pids("deaf"))) == 1
    assert not psutil.pid_exists(log.pids("deaf")[0])


def test_what_others_need_starts_first_and_ends_last(tmp_path: Path) -> None:
    ground = (
        f"import pathlib, signal, sys, time\npath = pathlib.Path({str(tmp_path)!r}, 'up')\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('pid 0'), path.unlink(), sys.exit(0)))\n"
        "time.sleep(0.2)\npath.touch()\ntime.sleep(60)"
    )
    above = (
        f"import os, pathlib, signal, sys, time\npath = pathlib.Path({str(tmp_path)!r}, 'up')\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('end', path.exists()), sys.exit(0)))\n"
        "print('begin', path.exists())\nprint('pid', os.getpid())\ntime.sleep(60)"
    )
    log = Log()
    programs = [
        Program("ground", [sys.executable, "-c", ground], ready=(tmp_path / "up").exists),
        Program("above", [sys.executable, "-c", above]),
    ]
    assert running(Supervisor(programs, log), lambda: wait(lambda: log.pids("above"))) == 0
    assert "above  | begin True" in log.getvalue()
    assert "above  | end True" in log.getvalue()
    assert log.pids("ground") == [0]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_program_outlives_its_supervisor(tmp_path: Path, sign: signal.Signals) -> None:
    code = (
        "import sys\nfrom sync.supervise import Program, Supervisor\n"
        f"sys.exit(Supervisor([Program('one', [sys.executable, '-c', {STEADY!r}])], sys.stdout).run())"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    child = int(process.stdout.readline().split()[-1])
    process.send_signal(sign)
    assert process.wait(10) == (-9 if sign == signal.SIGKILL else 0)
    process.stdout.close()
    wait(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)
