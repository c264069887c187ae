"""Calls: metering, a second sign-in, and the name of every failure."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from urllib3.exceptions import MaxRetryError, NewConnectionError

from sync.errors import Busy, Conflict, Denied, Rejected, RemoteError
from sync.providers.salesforce.http import Fault, error_for, faults
from tests.providers.salesforce.scripted import URL, Said, client, refused

NO_CONNECTION = requests.ConnectionError(
    MaxRetryError(None, "/", NewConnectionError(None, "refused"))  # type: ignore[arg-type]
)


def test_a_call_is_metered_and_reports_usage() -> None:
    salesforce, script, meter = client(Said(body={"a": 1}, headers={"Sforce-Limit-Info": "api-usage=18/100000"}))
    assert salesforce.call("composite", "composite", {"x": 1}, headers={"Sforce-Auto-Assign": "FALSE"}) == {"a": 1}
    (request,) = script.asked
    assert request.url == f"{URL}/services/data/v67.0/composite"
    assert request.headers["Authorization"] == "Bearer token-1"
    assert request.headers["Sforce-Auto-Assign"] == "FALSE"
    assert meter.spent == [("composite", 1)]
    assert meter.usage == [(18, 100000)]


def test_an_empty_budget_makes_no_call() -> None:
    salesforce, script, meter = client()
    meter.empty = True
    with pytest.raises(Busy):
        salesforce.call("composite", "composite", {})
    assert not script.asked


def test_an_expired_session_is_renewed_once() -> None:
    salesforce, script, meter = client(refused("INVALID_SESSION_ID", status=401), Said(body={"a": 1}))
    assert salesforce.call("composite", "composite", {}) == {"a": 1}
    assert [request.headers["Authorization"] for request in script.asked] == ["Bearer token-1", "Bearer token-2"]
    assert len(meter.spent) == 2


def test_a_session_refused_twice_is_denied() -> None:
    salesforce, _, _ = client(*[refused("INVALID_SESSION_ID", status=401)] * 2)
    with pytest.raises(Denied):
        salesforce.call("composite", "composite", {})


@pytest.mark.parametrize(
    ("answer", "error", "wait"),
    [
        (refused("SERVER_UNAVAILABLE", status=503), Busy, 30.0),
        (Said(503, "<html>"), Busy, 30.0),
        (Said(429, [], {"Retry-After": "12"}), Busy, 12.0),
        (refused("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", 403), Busy, 900.0),
        (refused("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests Limit exceeded.", 403), Busy, 10.0),
        (refused("API_DISABLED_FOR_ORG", status=403), Denied, None),
        (refused("INSUFFICIENT_ACCESS", status=403), Denied, None),
        (refused("NOT_FOUND", status=404), Conflict, None),
        (refused("MALFORMED_QUERY"), Rejected, None),
        (Said(413, "too large"), Rejected, None),
        (Said(302, "", {"Location": "https://elsewhere.example"}), Rejected, None),
    ],
)
def test_each_failure_has_its_reaction(answer: Said, error: type[RemoteError], wait: float | None) -> None:
    salesforce, _, _ = client(answer)
    with pytest.raises(error) as caught:
        salesforce.call("composite", "composite", {})
    assert getattr(caught.value, "retry_after", None) == wait
    assert caught.value.vendor == "salesforce"


def test_throttling_reaches_the_meter() -> None:
    salesforce, _, meter = client(Said(429, [], {"Retry-After": "12"}))
    with pytest.raises(Busy):
        salesforce.call("composite", "composite", {})
    assert meter.refused == [12.0]


@pytest.mark.parametrize("write", [True, False])
@pytest.mark.parametrize(
    ("answer", "may_be_done"),
    [
        (requests.ReadTimeout("slow"), True),
        (requests.ConnectionError("reset"), True),
        (requests.exceptions.ChunkedEncodingError("cut"), True),
        (Said(200, '{"graphs": [{"gra'), True),
        (refused("UNKNOWN_EXCEPTION", status=500), True),
        (Said(502, "bad gateway"), True),
        (requests.ConnectTimeout("nobody"), False),
        (NO_CONNECTION, False),
        (refused("SERVER_UNAVAILABLE", status=503), False),
    ],
)
def test_only_a_write_that_may_be_done_is_unknown(answer: Any, may_be_done: bool, write: bool) -> None:
    salesforce, _, _ = client(answer)
    with pytest.raises(Busy) as caught:
        salesforce.call("graph", "composite/graph", {}, write=write)
    assert caught.value.unknown is (write and may_be_done)


@pytest.mark.parametrize(
    ("code", "error", "reason"),
    [
        ("UNABLE_TO_LOCK_ROW", Busy, None),
        ("ENTITY_IS_DELETED", Conflict, None),
        ("INVALID_CROSS_REFERENCE_KEY", Conflict, None),
        ("STORAGE_LIMIT_EXCEEDED", Denied, None),
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", Rejected, "validation_rule"),
        ("REQUIRED_FIELD_MISSING", Rejected, "required_field"),
        ("DUPLICATES_DETECTED", Rejected, "duplicate"),
        ("INSUFFICIENT_ACCESS_OR_READONLY", Rejected, "not_permitted"),
        ("SOMETHING_NEW", Rejected, "rejected"),
    ],
)
def test_each_code_has_its_reaction(code: str, error: type[RemoteError], reason: str | None) -> None:
    found = error_for(Fault(code), "create Task")
    assert type(found) is error
    assert getattr(found, "reason", None) == reason


def test_only_the_administrators_own_words_are_told() -> None:
    rule = error_for(Fault("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Region is required", ("Region__c",)), "create Contact")
    assert rule.detail == "FIELD_CUSTOM_VALIDATION_EXCEPTION [Region__c]: Region is required"
    other = error_for(Fault("STRING_TOO_LONG", "data value too large: a secret (max length=15)", ("Phone",)), "x")
    assert other.detail == "STRING_TOO_LONG [Phone]"


@pytest.mark.parametrize("member", ["duplicateResult", "duplicateResut"])
def test_the_matches_of_a_duplicate_rule_are_read(member: str) -> None:
    matches = [{"record": {"Id": "003A"}}, {"record": {"Id": "003B"}}, {"record": {"Id": "003A"}}]
    body = [{"errorCode": "DUPLICATES_DETECTED", member: {"matchResults": [{"matchRecords": matches}]}}]
    assert faults(body)[0].matches == ("003A", "003B")


@pytest.mark.parametrize("body", [None, "", [], {}, {"records": []}, [{"id": "x"}], "<html>", [None]])
def test_a_body_without_errors_has_none(body: Any) -> None:
    assert faults(body) == ()
