"""The command as an administrator meets it: exit status, words, JSON, and `up` with real processes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result
from cryptography.fernet import Fernet

from sync.cli import main
from sync.store import database, trouble
from tests.config.declarations import ENVIRONMENT, GOOD, write

Run = Callable[..., Result]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAILSPAN_")}
    return {**clean, **ENVIRONMENT, "MAILSPAN_DATA_DIR": str(tmp_path / "data"), "MAILSPAN_TICK_SECONDS": "0.2"}


@pytest.fixture
def run(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in set(os.environ) - set(environ):
        monkeypatch.delenv(name)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(main, [str(one) for one in arguments], env=environ)

    return run


def test_apply_says_what_it_changed_and_then_nothing(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path)
    first = run("apply", path)
    assert first.exit_code == 0
    assert first.stdout.splitlines()[0] == "created connection acme mail"
    assert "made a secret key" in first.stderr
    again = run("apply", path)
    assert (again.exit_code, again.stdout, again.stderr) == (0, "nothing to change\n", "")
    assert json.loads(run("apply", path, "--json").stdout) == {"changes": []}


def test_a_wrong_file_says_every_mistake_and_changes_nothing(run: Run, tmp_path: Path) -> None:
    wrong = write(tmp_path, GOOD.replace("must_match", "must_mach").replace("bob@acme.example", "bob"))
    result = run("apply", wrong)
    assert result.exit_code == 2
    assert [line.split(": ")[0] for line in result.stderr.splitlines()] == [f"{wrong}:15", f"{wrong}:20"]
    assert not (tmp_path / "data").exists()


def test_a_check_changes_nothing(run: Run, tmp_path: Path) -> None:
    assert run("apply", "--check", write(tmp_path)).exit_code == 0
    assert run("apply", "--check", write(tmp_path, "mailboxs: []")).exit_code == 2
    assert not (tmp_path / "data").exists()


def test_a_plan_says_what_apply_would_and_changes_nothing(run: Run, tmp_path: Path) -> None:
    run("apply", write(tmp_path))
    other = GOOD.replace("must_match: false", "must_match: true\n      modules: [case]")
    path = write(tmp_path, other[: other.index("  - address: bob")])
    planned = run("apply", path, "--plan", "--json")
    assert (planned.exit_code, planned.stderr) == (0, "")
    found = json.loads(planned.stdout)
    assert found == json.loads(run("apply", path, "--plan", "--json").stdout)
    (ann,) = found["mailboxes"]
    assert {step["what"] for step in ann["steps"]} == {"create"}
    assert "Salesforce/- Create New Email" in {step["name"] for step in ann["steps"]}
    assert [one.split(": ")[:2] for one in ann["not_known"]] == [["what belongs to modules", "MAILSPAN_REDIS_URL"]]
    text = run("apply", path, "--plan").stdout
    for words in (
        "  policy sales: ",
        "ann@acme.example (policy sales)",
        "  create Salesforce",
        "not known: what belongs",
    ):
        assert words in text
    assert text.endswith("nothing was changed; apply without --plan does it\n")
    assert json.loads(run("apply", path, "--json").stdout)["changes"] == found["changes"] != []


def test_a_plan_needs_tables_and_makes_none(run: Run, environ: dict[str, str], tmp_path: Path) -> None:
    environ["MAILSPAN_SECRET_KEY"] = Fernet.generate_key().decode()
    for _ in range(2):
        result = run("apply", write(tmp_path), "--plan")
        assert (result.exit_code, "no tables of this version" in result.stderr) == (1, True)
    assert run("apply", write(tmp_path), "--plan", "--check").exit_code == 2


def test_status_has_every_mailbox(run: Run, tmp_path: Path) -> None:
    run("apply", write(tmp_path))
    found = json.loads(run("status", "--json").stdout)["mailboxes"]
    assert [(box["address"], box["state"], box["lag"], box["parked"]) for box in found] == [
        ("ann@acme.example", "new", 0.0, []),
        ("bob@acme.example", "new", 0.0, []),
    ]
    assert "ann@acme.example" in run("status").stdout


def test_explain_knows_when_there_is_nothing(run: Run, tmp_path: Path) -> None:
    run("apply", write(tmp_path))
    result = run("explain", "none@acme.example", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"message_id": "<none@acme.example>", "filings": []}


def test_retry_asks_which(run: Run, tmp_path: Path) -> None:
    run("apply", write(tmp_path))
    assert run("retry").exit_code == 2
    assert run("retry", "1", "--all").exit_code == 2
    assert json.loads(run("retry", "--all", "--json").stdout) == {"retried": 0}


def test_all_wrong_settings_come_at_once(run: Run, environ: dict[str, str]) -> None:
    environ |= {"MAILSPAN_WORKERS": "many", "MAILSPAN_LOG_LEVEL": "loud"}
    result = run("status")
    assert result.exit_code == 2
    assert {line.split(":")[0] for line in result.stderr.splitlines()} == {
        "MAILSPAN_SECRET_KEY",
        "MAILSPAN_LOG_LEVEL",
        "MAILSPAN_WORKERS",
    }


def test_another_key_than_the_data_was_written_with_is_said(run: Run, tmp_path: Path) -> None:
    run("apply", write(tmp_path))
    (tmp_path / "data" / "secret.key").unlink()
    result = run("apply", write(tmp_path))
    assert result.exit_code == 1
    assert "another secret key" in result.stderr


def test_rotate_makes_the_old_key_superfluous(run: Run, environ: dict[str, str], tmp_path: Path) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    environ["MAILSPAN_SECRET_KEY"] = old
    assert run("apply", write(tmp_path)).exit_code == 0
    environ["MAILSPAN_SECRET_KEY"] = f"{new},{old}"
    found = run("rotate", "--json")
    assert found.exit_code == 0
    assert json.loads(found.stdout)["rotated"] > 0
    environ["MAILSPAN_SECRET_KEY"] = new
    assert run("status", "--offline", "--json").exit_code == 0
    environ["MAILSPAN_SECRET_KEY"] = old
    assert run("status", "--offline", "--json").exit_code == 1


def test_doctor_names_what_does_not_work(run: Run, environ: dict[str, str], tmp_path: Path) -> None:
    run("apply", write(tmp_path))
    environ["MAILSPAN_REDIS_ULR"] = "redis://localhost"
    result = run("doctor", "--json")
    assert result.exit_code == 1
    findings = {finding["what"]: finding for finding in json.loads(result.stdout)["findings"]}
    assert findings["MAILSPAN_REDIS_ULR"]["advice"] == "did you mean MAILSPAN_REDIS_URL?"
    assert findings["database"]["ok"]
    assert "mailspan up" in findings["hints"]["detail"]


@pytest.mark.parametrize(("kind", "reads"), [("locked", True), ("damaged", False), ("away", False)])
def test_a_database_that_is_not_well_is_told_in_words(
    run: Run, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, reads: bool
) -> None:
    """A locked one can still be read. Neither command shows a traceback, and doctor says what to do."""
    words = {"locked": trouble.LOCKED, "damaged": trouble.BROKEN, "away": trouble.AWAY}[kind]
    monkeypatch.setattr(database, "BUSY_SECONDS", 0)
    file = tmp_path / "store.sqlite3"
    environ["MAILSPAN_DATABASE_URL"] = f"sqlite:///{file}"
    run("apply", write(tmp_path))
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        if kind == "locked":
            other.execute("BEGIN EXCLUSIVE")
        elif kind == "damaged":
            file.write_bytes(b"no database at all " * 500)
        else:
            environ["MAILSPAN_DATABASE_URL"] = f"postgresql://nobody@/none?host={tmp_path}"
        status, doctor = run("status", "--offline"), run("doctor", "--json")
    assert status.exit_code == (0 if reads else 1)
    assert reads or status.stderr == f"the database: {words}\n"
    assert doctor.exit_code == 1
    (finding,) = [one for one in json.loads(doctor.stdout)["findings"] if one["what"] == "database"]
    assert (finding["ok"], finding["detail"], finding["advice"]) == (False, words.what, words.advice)


def test_a_worker_without_redis_says_what_it_needs(run: Run, tmp_path: Path) -> None:
    run("apply", write(tmp_path))
    result = run("worker", "-n", "1")
    assert result.exit_code == 2
    assert "MAILSPAN_REDIS_URL" in result.stderr


class Up:
    """`mailspan up` as a process, with its log."""

    def __init__(self, environ: dict[str, str]) -> None:
        command = [sys.executable, "-m", "sync.cli", "up", "-n", "2"]
        self.process = subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()

    def wait(self, pattern: str, count: int = 1, seconds: float = 60) -> list[str]:
        def found() -> list[str]:
            return [line for line in self.lines if re.search(pattern, line)]

        with self._changed:
            assert self._changed.wait_for(lambda: len(found()) >= count, seconds), "".join(self.lines)
            return found()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout
        self.process.stdout.close()


@pytest.fixture
def up(environ: dict[str, str]) -> Iterator[Up]:
    running = Up(environ)
    yield running
    running.close()


@pytest.mark.e2e
def test_up_runs_everything_mends_it_and_ends_it(up: Up, environ: dict[str, str], tmp_path: Path) -> None:
    started = up.wait(r"worker\.started", 2) + up.wait(r"ticker\.started")
    assert {line.split(" ")[0] for line in started} == {"worker-1", "worker-2", "ticker"}
    assert (tmp_path / "data" / "secret.key").exists()

    second = subprocess.run(up.process.args, env=environ, capture_output=True, text=True, check=False)
    assert (second.returncode, "runs already" in second.stderr) == (2, True)

    for name in ("worker-1", "valkey"):
        os.kill(_find(up, name).pid, signal.SIGKILL)
        up.wait(rf"{name} +\| was killed by SIGKILL; starts again")
    up.wait(r"worker-1.*worker\.started", 2)

    children = psutil.Process(up.process.pid).children(recursive=True)
    assert len(children) == 4
    begun = time.monotonic()
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(15) == 0, "".join(up.lines)
    assert time.monotonic() - begun < 10
    assert not any(child.is_running() for child in children)


def _find(up: Up, name: str) -> Any:
    words = {"worker-1": "worker", "valkey": "valkey-server"}[name]
    children = psutil.Process(up.process.pid).children(recursive=True)
    return next(child for child in children if any(words in word for word in child.cmdline()))
