"""The sandbox as a process, and a small client of its control API, for every test.

`Sandbox.start()` runs ``python -m sandbox``; `Sandbox.ready` is its ready line as a dictionary;
the other methods speak to the control API. Fixtures stand in tests/conftest.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parent.parent


class Refused(AssertionError):
    """The control API said no; `status` and text tell why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Sandbox:
    """A running sandbox. Close it, or use it as a context manager."""

    def __init__(self, process: subprocess.Popen[str], ready: Json, record: Path | None) -> None:
        self.process = process
        self.ready = ready
        self.record = record

    @classmethod
    def start(
        cls, *, record: Path | None = None, seed: bool = True, arguments: Sequence[str] = (), log: IO[str] | None = None
    ) -> Sandbox:
        """Start on free ports and wait for the ready line; RuntimeError with its words when it fails.

        What it says goes into `log`; without, where ours goes."""
        command = [sys.executable, "-m", "sandbox", "--json", "--parent-pid", str(os.getpid()), *arguments]
        command += ["--record", str(record)] if record else []
        command += [] if seed else ["--no-seed"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the sandbox did not start: exit status {process.wait()}")
        return cls(process, json.loads(line), record)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> int:
        """SIGTERM; the exit status."""
        self.process.terminate()
        status = self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    # ---- where things are --------------------------------------------------------------------

    @property
    def ca(self) -> str:
        """Path of the CA file."""
        return str(self.ready["ca"])

    def url(self, vendor: str) -> str:
        """Base URL."""
        return str(self.ready[vendor]["url"])

    def token(self, vendor: str, user: str) -> str:
        """A ready bearer token."""
        return str(self.ready[vendor]["tokens"][user])

    # ---- the control API -------------------------------------------------------------------------

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """One request; `Refused` for a 4xx or 5xx."""
        request = urllib.request.Request(
            self.ready["control"] + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(error.code, error.read().decode("utf-8", "replace")) from None

    def reset(self, *, seed: bool = True) -> None:
        """As after the start: no faults, real time, default settings, a zero meter; seeded again if it was."""
        self.ready = self.control("POST", "/reset", {"seed": seed})

    def seed(self, organisation: Json, mail: Path | None = None, *, add: bool = False) -> None:
        """Another organisation in place of the old one, or more (`add`)."""
        body = {"organisation": organisation, "mail": str(mail) if mail else None, "add": add}
        self.ready = self.control("POST", "/seed", body)

    def advance(self, seconds: float) -> None:
        """Move the sandbox's clock on."""
        self.control("POST", "/clock", {"advance": seconds})

    def fault(self, kind: str, **order: Any) -> int:
        """Order a fault (sandbox/frame/faults.py) and return its id."""
        return int(self.control("POST", "/faults", {"kind": kind, **order})[0]["id"])

    def faults(self) -> list[Json]:
        """All orders with what is left of them."""
        return list(self.control("GET", "/faults"))

    def clear_faults(self) -> None:
        """Withdraw all orders."""
        self.control("DELETE", "/faults")

    def settings(self, **values: Any) -> None:
        """Change switches; None is the default."""
        self.control("POST", "/settings", values)

    def meter(self, *, reset: bool = False) -> Json:
        """Calls and units by vendor, method and user; with `reset`, start counting anew afterwards."""
        found: Json = self.control("GET", "/meter")
        if reset:
            self.control("POST", "/meter/reset")
        return found

    def act(self, vendor: str, action: str, **body: Any) -> Json:
        """Act as a user (sandbox/google/actions.py and its like)."""
        found: Json = self.control("POST", f"/act/{vendor}/{action}", body)
        return found

    def state(self, vendor: str) -> Json:
        """A dump of everything that the vendor holds."""
        found: Json = self.control("GET", f"/state/{vendor}")
        return found
