"""The frame (providers.md SIM-1 to SIM-9): process, transport, clock, faults, meter, recording, control API."""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.gmail_client import ANNA, BEN, ORGANISATION, Gmail, b64, eml
from tests.sandboxed import ROOT, Refused, Sandbox

BASE = "/gmail/v1/users/me"
PROFILE = f"{BASE}/profile"
LABELS = f"{BASE}/labels"


class Line:
    """A bare HTTPS connection, for what clients hide."""

    def __init__(self, sandbox: Sandbox) -> None:
        host, port = sandbox.url("google").removeprefix("https://").split(":")
        self.connection = http.client.HTTPSConnection(
            host, int(port), timeout=10, context=ssl.create_default_context(cafile=sandbox.ca)
        )
        self.headers = {"Authorization": f"Bearer {sandbox.token('google', ANNA)}", "Content-Type": "application/json"}

    def ask(self, path: str = PROFILE, verb: str = "GET", body: Any = None) -> http.client.HTTPResponse:
        self.connection.request(verb, path, None if body is None else json.dumps(body), self.headers)
        return self.connection.getresponse()

    def status(self, path: str = PROFILE, verb: str = "GET", body: Any = None) -> int:
        answer = self.ask(path, verb, body)
        answer.read()
        return answer.status


@pytest.fixture
def connect(gmail: Gmail) -> Iterator[Callable[[], Line]]:
    lines: list[Line] = []

    def make() -> Line:
        lines.append(Line(gmail.sandbox))
        return lines[-1]

    yield make
    for line in lines:
        line.connection.close()


# ---- the process -----------------------------------------------------------------------------------------


def test_ready_line_and_clean_exit() -> None:
    sandbox = Sandbox.start(seed=False)
    assert {"google", "ca", "control"} <= set(sandbox.ready)
    assert {"url", "tokens", "token_url", "service_account"} <= set(sandbox.ready["google"])
    folder = Path(sandbox.ca).parent
    assert folder.is_dir()
    started = time.monotonic()
    assert sandbox.close() == 0
    assert time.monotonic() - started < 5
    assert not folder.exists()


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, os\n"
        "child = subprocess.Popen([sys.executable, '-m', 'sandbox', '--json', '--no-seed', '--parent-pid',\n"
        "                          str(os.getpid())], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid)\n"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    pid, deadline = int(told.stdout), time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the sandbox outlived its parent")


def test_a_missing_organisation_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sandbox", "--json", "--seed", str(tmp_path / "none.yaml")]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert told.returncode == 2
    assert "none.yaml" in told.stderr
    assert not told.stdout


# ---- transport ---------------------------------------------------------------------------------------------


def test_tls_by_an_own_ca_with_keep_alive_and_no_delay(connect: Callable[[], Line]) -> None:
    line = connect()
    assert line.status() == 200
    first = line.connection.sock
    started = time.perf_counter()
    for _ in range(50):
        assert line.status() == 200
    assert line.connection.sock is first
    assert (time.perf_counter() - started) / 50 < 0.03  # a Nagle delay would be 40 ms


def test_a_stranger_does_not_trust_the_ca(gmail: Gmail) -> None:
    host, port = gmail.sandbox.url("google").removeprefix("https://").split(":")
    connection = http.client.HTTPSConnection(host, int(port), timeout=10)
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", PROFILE)
    connection.close()


# ---- clock ---------------------------------------------------------------------------------------------------


def test_the_clock_moves_forward_only(sandbox: Sandbox) -> None:
    before = sandbox.control("GET", "/clock")["time"]
    sandbox.advance(3600)
    assert 3600 <= sandbox.control("GET", "/clock")["time"] - before < 3700
    later = sandbox.control("POST", "/clock", {"now": "2099-01-01T00:00:00+00:00"})["now"]
    assert later.startswith("2099-01-01T00:00:0")
    with pytest.raises(Refused, match="400"):
        sandbox.advance(-1)
    sandbox.reset()
    assert sandbox.control("GET", "/clock")["time"] - before < 3600


def test_a_frozen_clock_stands_but_for_advances(sandbox: Sandbox) -> None:
    frozen = sandbox.control("POST", "/clock", {"frozen": True})["time"]
    assert sandbox.control("GET", "/clock")["time"] == frozen
    sandbox.advance(60)
    assert sandbox.control("GET", "/clock")["time"] == pytest.approx(frozen + 60)
    with pytest.raises(Refused, match="400"):
        sandbox.control("POST", "/clock", {"frozen": False})
    sandbox.reset()
    first = sandbox.control("GET", "/clock")["time"]
    assert frozen <= first < frozen + 60
    assert sandbox.control("GET", "/clock")["time"] > first


# ---- faults ----------------------------------------------------------------------------------------------------


def test_a_status_with_and_without_retry_after(gmail: Gmail, connect: Callable[[], Line]) -> None:
    gmail.sandbox.fault("status", status=429, retry_after=7)
    gmail.sandbox.fault("status", status=503, body={"error": {"code": 503, "message": "mine"}}, headers={"X-A": "b"})
    line = connect()
    answer = line.ask()
    assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
    assert json.load(answer)["error"]["errors"][0]["reason"] == "rateLimitExceeded"
    answer = line.ask()
    assert (answer.status, answer.headers["Retry-After"], answer.headers["X-A"]) == (503, None, "b")
    assert json.load(answer)["error"]["message"] == "mine"
    assert line.status() == 200


def names(gmail: Gmail) -> set[str]:
    return set(gmail.sandbox.state("google")["mailboxes"][ANNA]["labels"].values())


@pytest.mark.parametrize(("kind", "effect"), [("reset", False), ("status", False), ("lost", True), ("cut", True)])
def test_where_a_fault_leaves_the_effect(gmail: Gmail, connect: Callable[[], Line], kind: str, effect: bool) -> None:
    gmail.sandbox.fault(kind, method="POST", path="/labels$")
    line = connect()
    if kind == "status":
        assert line.status(LABELS, "POST", {"name": "made"}) == 503
    else:
        with pytest.raises((ConnectionError, http.client.IncompleteRead, http.client.BadStatusLine)):
            line.status(LABELS, "POST", {"name": "made"})
    assert ("made" in names(gmail)) is effect
    assert connect().status(LABELS, "POST", {"name": "later"}) == 200


def test_a_slow_answer_and_constant_latency(gmail: Gmail, connect: Callable[[], Line]) -> None:
    line = connect()
    line.status()
    gmail.sandbox.fault("slow", seconds=0.2)
    started = time.monotonic()
    line.status()
    assert time.monotonic() - started >= 0.2
    gmail.sandbox.settings(latency_ms={"google": 60})
    started = time.monotonic()
    line.status()
    assert time.monotonic() - started >= 0.06


def test_constant_latency_includes_the_work_of_the_service(gmail: Gmail, connect: Callable[[], Line]) -> None:
    line = connect()
    gmail.sandbox.settings(latency_ms={"google": 300})
    gmail.sandbox.fault("slow", seconds=0.3)
    started = time.monotonic()
    line.status()
    assert 0.3 <= time.monotonic() - started < 0.6


def test_faults_choose_by_path_method_user_body_skip_and_count(gmail: Gmail, connect: Callable[[], Line]) -> None:
    sandbox, line = gmail.sandbox, connect()
    for criteria in ({"path": "/threads"}, {"method": "DELETE"}, {"user": BEN}, {"body_matches": "secret"}):
        sandbox.fault("status", status=500, count=None, **criteria)
    assert line.status() == 200
    assert line.status(LABELS, "POST", {"name": "secret"}) == 500
    assert line.status(f"{BASE}/threads") == 500
    sandbox.clear_faults()
    sandbox.fault("status", status=500, skip=1, count=2, user=ANNA)
    assert [line.status() for _ in range(4)] == [200, 500, 500, 200]
    assert sandbox.faults()[0]["hits"] == 2


@pytest.mark.parametrize("order", [{"kind": "fire"}, {}, {"kind": "status", "pth": "x"},
                                   {"kind": "reset", "path": "("}, {"kind": "reset", "vendor": "acme"}])  # fmt: skip
def test_senseless_faults_are_refused(bare_sandbox: Sandbox, order: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="400"):
        bare_sandbox.control("POST", "/faults", order)
    assert bare_sandbox.faults() == []


# ---- meter -------------------------------------------------------------------------------------------------------


def test_the_meter_sees_calls_units_users_and_concurrency(gmail: Gmail, connect: Callable[[], Line]) -> None:
    gmail.sandbox.settings(latency_ms={"google": 100})
    gmail.sandbox.meter(reset=True)
    lines = [connect() for _ in range(4)]
    threads = [threading.Thread(target=line.status) for line in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    meter = gmail.sandbox.meter()["google"]
    assert (meter["requests"], meter["calls"], meter["units"], meter["statuses"]) == (4, 4, 4, {"200": 4})
    assert meter["concurrency"] == {ANNA: meter["peak"]}
    assert 2 <= meter["peak"] <= 4
    assert meter["users"][ANNA]["methods"] == {"gmail.users.getProfile": {"calls": 4, "units": 4}}
    gmail.sandbox.control("POST", "/meter/reset")
    assert gmail.sandbox.meter() == {}


def test_too_many_requests_in_flight_of_one_user(gmail: Gmail, connect: Callable[[], Line]) -> None:
    gmail.sandbox.settings(latency_ms={"google": 150}, gmail_concurrency=2)
    found: list[int] = []

    def ask(line: Line) -> None:
        found.append(line.status())

    threads = [threading.Thread(target=ask, args=(connect(),)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {200, 429}


# ---- recording -----------------------------------------------------------------------------------------------------


def test_the_recording_has_parts_bodies_and_uploads(tmp_path: Path) -> None:
    path = tmp_path / "traffic.jsonl"
    with Sandbox.start(record=path, seed=False) as sandbox:
        sandbox.seed(ORGANISATION)
        gmail = Gmail(sandbox)
        found = gmail.messages.insert(userId="me", body={"raw": b64(eml())}).execute()
        batch = gmail.service.new_batch_http_request(callback=lambda *told: None)
        batch.add(gmail.messages.get(userId="me", id=found["id"], format="minimal"))
        batch.add(gmail.labels.list(userId="me"))
        batch.execute()
        kind = {"content-type": "message/rfc822"}
        gmail.raw("POST", "/upload/gmail/v1/users/me/messages?uploadType=media", eml(), kind)
        sandbox.settings(record=False)
        gmail.now()
        gmail.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(set(line) == {"api", "method", "path", "status", "request", "response"} for line in lines)
    assert [line["path"].split("?")[0].rsplit("/", 1)[1] for line in lines] == [
        "messages", found["id"], "labels", "messages",
    ]  # fmt: skip
    assert {line["api"] for line in lines} == {"gmail.v1"}
    assert lines[0]["request"] == {"raw": b64(eml())}
    assert lines[1]["response"]["id"] == found["id"]
    assert isinstance(lines[3]["request"], str)


# ---- the control API ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "body", "status"), [
    ("GET", "/nothing", None, 404), ("PUT", "/clock", {}, 405), ("POST", "/clock", {"advanced": 1}, 400),
    ("POST", "/settings", {"page_sizes": 1}, 404), ("POST", "/settings", {"page_size": "many"}, 400),
    ("POST", "/act/google/fly", {"user": ANNA}, 404), ("POST", "/act/google/archive", {"user": ANNA}, 400),
    ("POST", "/act/google/archive", {"user": "x@y.example", "message": "1"}, 404),
    ("POST", "/act/acme/fly", {}, 404), ("DELETE", "/faults/99999", None, 404), ("POST", "/seed", {}, 400),
    ("GET", "/state/acme", None, 404), ("POST", "/reset", [], 400),
])  # fmt: skip
def test_the_control_api_refuses_clearly(gmail: Gmail, method: str, path: str, body: Any, status: int) -> None:
    with pytest.raises(Refused) as caught:
        gmail.sandbox.control(method, path, body)
    assert caught.value.status == status


def test_reset_brings_back_the_start(sandbox: Sandbox) -> None:
    fresh = sandbox.state("google")
    users = list(sandbox.ready["google"]["tokens"])
    sandbox.act("google", "deliver", user=users[0], raw=eml())
    sandbox.settings(page_size=1)
    sandbox.fault("reset")
    sandbox.seed(ORGANISATION)
    sandbox.reset()
    again = sandbox.state("google")
    assert {user: len(box["messages"]) for user, box in again["mailboxes"].items()} == {
        user: len(box["messages"]) for user, box in fresh["mailboxes"].items()}  # fmt: skip
    assert sandbox.faults() == []
    assert sandbox.control("GET", "/settings")["page_size"]["value"] == 0


def test_the_supplied_organisation_is_there(sandbox: Sandbox) -> None:
    boxes = sandbox.state("google")["mailboxes"]
    assert len(boxes) >= 3
    assert sum(len(box["messages"]) for box in boxes.values()) >= 200
    threads = {message["threadId"] for box in boxes.values() for message in box["messages"]}
    assert len(threads) < sum(len(box["messages"]) for box in boxes.values())
