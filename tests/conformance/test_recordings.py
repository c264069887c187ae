"""The judgement of recordings itself: it must be able to say no."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.plugins import conformance
from tests.sandbox.gmail_client import ANNA, Gmail, b64, eml
from tests.sandboxed import Sandbox

pytestmark = pytest.mark.skipif(not conformance.TOOLS.is_dir(), reason=f"{conformance.TOOLS} is missing")

GOOD: dict[str, Any] = {
    "api": "gmail.v1",
    "method": "GET",
    "path": "/gmail/v1/users/me/profile",
    "status": 200,
    "request": None,
    "response": {"emailAddress": ANNA, "historyId": "7"},
}
GRAPH: dict[str, Any] = {
    "api": "salesforce",
    "method": "POST",
    "path": "/services/data/v67.0/composite/graph",
    "status": 200,
    "request": {"graphs": [{"graphId": "1", "compositeRequest": [
        {"method": "POST", "url": "/services/data/v67.0/sobjects/Account", "referenceId": "a", "body": {"Name": "x"}}
    ]}]},
    "response": {"graphs": [{"graphId": "1", "isSuccessful": True, "graphResponse": {"compositeResponse": [
        {"body": {"id": "001000000000001AAA", "success": True, "errors": []}, "httpHeaders": {}, "httpStatusCode": 201,
         "referenceId": "a"}]}}]},
}  # fmt: skip


def test_good_exchanges_pass() -> None:
    assert list(conformance.violations([GOOD, GRAPH])) == []


@pytest.mark.parametrize("change", [
    {"response": {"emailAddress": ANNA}}, {"response": {"emailAddress": ANNA, "historyId": 7}},
    {"path": "/gmail/v1/users/me/nothing"}, {"path": "/gmail/v1/users/me/profile?q=1"}, {"status": 404},
])  # fmt: skip
def test_wrong_exchanges_do_not(change: dict[str, Any]) -> None:
    assert list(conformance.violations([GOOD | change]))


def test_a_graph_is_judged_call_by_call() -> None:
    text = json.dumps(GRAPH).replace('"Name"', '"Nam"')
    assert list(conformance.violations([json.loads(text)]))


def test_equal_exchanges_are_judged_once() -> None:
    assert len(list(conformance.violations([GOOD | {"status": 404}] * 3))) == len(
        list(conformance.violations([GOOD | {"status": 404}]))
    )


def test_a_half_written_last_line_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(GOOD) + "\n" + '{"api": "gm', encoding="utf-8")
    assert list(conformance.recorded(tmp_path)) == [GOOD]


def test_a_sandbox_of_the_run_records_into_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(conformance.FOLDER, str(tmp_path))
    with Sandbox.start(seed=False, arguments=["--only", "google"]) as sandbox:
        user = {"key": "anna", "name": "Anna", "email": ANNA, "mail": "google"}
        sandbox.seed({"users": [user], "mail": [{"raw": eml(), "in": {ANNA: {"labels": ["INBOX"]}}}]})
        gmail = Gmail(sandbox)
        gmail.messages.insert(userId="me", body={"raw": b64(eml())}).execute()
        gmail.close()
    assert [exchange["method"] for exchange in conformance.recorded(tmp_path)] == ["POST"]
