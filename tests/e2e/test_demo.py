"""The demo as a newcomer runs it: what it says is so, and a world in which nothing can be filed makes it fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.installation import DONE, FAILED, GRAPH, MISSING, until
from tests.sandboxed import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(480)]

FOLLOWED = "Conversation Tracked"
EXPECTED = {
    "one_mail": DONE,
    "conversation": DONE,
    "unmatched_sender": DONE,
    "internal_only": MISSING,
    "two_mailboxes": DONE,
    "arrives_labelled": DONE,
    "parked": FAILED,
    "outlook_move": DONE,
    "outlook_copy": DONE,
    "outlook_category": DONE,
    "outlook_sent": DONE,
    "two_systems": DONE,
    "create_opportunity": DONE,
    "create_case": DONE,
    "create_custom": DONE,
    "assign_opportunity": DONE,
    "assign_case": DONE,
    "summary_updated": "Summary updated",
    "item_closed": "Leaf and summary gone",
    "follow_gmail": FOLLOWED,
    "follow_outlook": FOLLOWED,
    "subject_change": "Not followed",
    "redirect": FOLLOWED,
    "undo": "Undone",
}
E_MAILS = {**dict.fromkeys(EXPECTED, 1), "conversation": 4, "follow_gmail": 3, "follow_outlook": 3, "redirect": 3}
E_MAILS |= {"subject_change": 2, "internal_only": 0, "parked": 0, "summary_updated": 0, "item_closed": 0, "undo": 0}
IN_OUTLOOK = {"two_systems", "create_case", "assign_case", "summary_updated", "follow_outlook", "redirect"}
WITHOUT_MAIL = {"internal_only", "parked", "summary_updated", "item_closed"}  # of which the CRM takes none
REFUSAL = [{"errorCode": "FIELD_INTEGRITY_EXCEPTION", "message": "the organisation takes no e-mails today"}]


class Demo:
    """`mailspan demo --once --json` under way, and the switchboard of the sandbox that it started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with (folder / "errors").open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "server.cli", "demo", "--once", "--json"],
                cwd=ROOT,
                env={**os.environ, "TMPDIR": str(folder), "MAILSPAN_WORKERS": "1"},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.control = ""

    def find_control(self) -> str:
        """The plain HTTP port among those that the demo's sandbox listens on."""
        self.control = until(self._listening, 60, "a sandbox that listens")
        return self.control

    def _listening(self) -> str:
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if "sandbox" not in child.cmdline():
                    continue
                ports = [one.laddr.port for one in child.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
            except psutil.Error:
                continue
            for url in (f"http://localhost:{port}" for port in ports):
                try:
                    with urllib.request.urlopen(url + "/", timeout=5) as answer:
                        return url if "control" in json.load(answer) else ""
                except (OSError, ValueError):
                    continue  # a vendor's port: TLS
        return ""

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(self.control + path, data, headers), timeout=20) as answer:
            return json.load(answer)

    def result(self) -> tuple[int, dict[str, Any]]:
        """Exit status and JSON."""
        out, _ = self.process.communicate(timeout=300)
        assert out, (self.folder / "errors").read_text()
        return self.process.returncode, json.loads(out)

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=20)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    running = Demo(tmp_path)
    yield running
    running.close()


def test_every_flow_ends_as_it_should(demo: Demo) -> None:
    demo.find_control()
    meters: list[Mapping[str, Any]] = []
    while demo.process.poll() is None:  # the last meter before it ends covers its flows
        try:
            meters.append(demo.ask("/meter"))
            demo.process.wait(0.2)
        except (OSError, subprocess.TimeoutExpired):
            continue
    status, found = demo.result()
    assert (status, found["ok"]) == (0, True), found
    assert {row["flow"]: row["expected"] for row in found["flows"]} == EXPECTED
    for row in found["flows"]:
        assert row["state"] == row["expected"], row
        assert ("outlook" in row["provider"]) == (row["flow"].startswith("outlook_") or row["flow"] in IN_OUTLOOK), row
        assert len([one for one in row["crm"] if one.startswith("02s")]) == E_MAILS[row["flow"]], row
        assert 0 < row["ms"] < 120_000
    for vendor in ("google", "salesforce"):
        mine, theirs = found["calls"][vendor], meters[-1][vendor]
        assert {"requests", "calls", "units", "methods"} <= mine.keys()
        assert 0 < mine["calls"] <= theirs["calls"]
        for method, row in mine["methods"].items():
            assert row["calls"] <= theirs["methods"][method]["calls"], method
    filed = found["calls"]["salesforce"]["methods"]["composite.graph"]["calls"]
    assert 1 <= filed <= sum(E_MAILS.values()), "a burst is filed in few calls, one mail in one"
    left = [path for path in demo.folder.rglob("*") if path.is_file() or path.is_socket()]
    assert left == [demo.folder / "errors"], "it leaves nothing behind"


def test_a_crm_that_refuses_every_mail_fails_the_demo(demo: Demo) -> None:
    demo.find_control()
    refusal = {"kind": "status", "status": 400, "vendor": "salesforce", "path": GRAPH, "count": None, "body": REFUSAL}
    demo.ask("/faults", refusal)
    status, found = demo.result()
    assert (status, found["ok"]) == (1, False)
    for row in found["flows"]:
        filed = row["flow"] not in WITHOUT_MAIL
        assert row["ok"] is not filed, row
        assert (row["state"] != row["expected"]) is filed, row
