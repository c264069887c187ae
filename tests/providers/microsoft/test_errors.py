"""Graph's and Entra's refusals in our words (providers.md 2, 7.7)."""

from __future__ import annotations

import base64
import email.utils
import json
import time
from typing import Any

import pytest

from sync.errors import Busy, Conflict, CursorExpired, Denied, Missing, Rejected
from sync.providers.microsoft import errors

TABLE: list[tuple[int, str, type[Exception]]] = [
    (429, "ApplicationThrottled", Busy),
    (408, "", Busy),
    (500, "InternalServerError", Busy),
    (502, "", Busy),
    (503, "ErrorServerBusy", Busy),
    (504, "GatewayTimeout", Busy),
    (404, "", Busy),
    (401, "InvalidAuthenticationToken", Denied),
    (403, "ErrorAccessDenied", Denied),
    (403, "Authorization_RequestDenied", Denied),
    (403, "", Denied),
    (404, "MailboxNotEnabledForRESTAPI", Denied),
    (404, "ErrorInvalidUser", Denied),
    (404, "ErrorItemNotFound", Missing),
    (400, "ErrorInvalidIdMalformed", Missing),
    (410, "SyncStateNotFound", CursorExpired),
    (400, "SyncStateInvalid", CursorExpired),
    (400, "resyncRequired", CursorExpired),
    (409, "ErrorFolderExists", Conflict),
    (412, "ErrorIrresolvableConflict", Conflict),
    (400, "RequestBroker--ParseUri", Rejected),
    (413, "RequestEntityTooLarge", Rejected),
]


def refused(status: int, code: str, **headers: str) -> errors.Refusal:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return errors.read(status, named, {"error": {"code": code, "message": "of kim@widgets.example"}})


@pytest.mark.parametrize(("status", "code", "kind"), TABLE)
def test_each_refusal(status: int, code: str, kind: type[Exception]) -> None:
    error = errors.to_error(refused(status, code), "messages.get", hint=4)
    assert type(error) is kind
    assert (error.status, error.operation) == (status, "messages.get")
    assert "kim" not in str(error)


def test_denied_says_what_to_do() -> None:
    error = errors.to_error(refused(403, "ErrorAccessDenied"), "messages.get", hint=0)
    assert "RBAC for Applications" in error.detail


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", 7),
        ("0.5", 0.5),
        ("-3", 0),
        ("999999", errors.LONGEST_WAIT),
        ("soon", 4),
        ("", 4),
    ],
)
def test_the_wait_that_was_told(header: str, wait: float) -> None:
    error = errors.to_error(refused(429, "ApplicationThrottled", retry_after=header), "m", hint=4)
    assert isinstance(error, Busy)
    assert error.retry_after == pytest.approx(wait, abs=1.1)


@pytest.mark.parametrize(("seconds", "wait"), [(30, 30), (-30, 0)])
def test_the_wait_that_was_told_as_a_date(seconds: float, wait: float) -> None:
    date = email.utils.formatdate(time.time() + seconds, usegmt=True)
    error = errors.to_error(refused(503, "ErrorServerBusy", Retry_After=date), "m", hint=4)
    assert isinstance(error, Busy)
    assert error.retry_after == pytest.approx(wait, abs=1.5)


@pytest.mark.parametrize(("status", "unknown"), [(503, True), (504, True), (429, False)])
def test_whether_a_write_may_have_happened(status: int, unknown: bool) -> None:
    error = errors.to_error(refused(status, "x"), "m", hint=4, repeatable=False)
    assert isinstance(error, Busy)
    assert error.unknown is unknown


@pytest.mark.parametrize(
    "body", [None, [], "text", {"error": "text"}, {"error": {"code": 7}}, {"error": {"code": "a b"}}]
)
def test_bodies_of_any_shape(body: Any) -> None:
    assert errors.read(400, {}, body) == errors.Refusal(400, "", None)


TOKEN: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"error": "invalid_grant", "error_codes": [700082]}, Denied, "90 days"),
    ({"error": "invalid_grant", "error_codes": [1]}, Denied, "connect the mailbox again"),
    ({"error": "invalid_client", "error_codes": [7000222]}, Denied, "the client secret has ended"),
    ({"error": "invalid_client", "error_codes": []}, Denied, "check the credentials"),
    ({"error": "interaction_required", "error_codes": [50076]}, Denied, "proof of identity"),
    ({"error": "temporarily_unavailable"}, Busy, "busy"),
    ({"error": "server_error"}, Busy, "busy"),
    ({}, Denied, "no access token"),
]


@pytest.mark.parametrize(("answer", "kind", "text"), TOKEN)
def test_token_requests(answer: dict[str, Any], kind: type[Exception], text: str) -> None:
    error = errors.from_token({**answer, "error_description": "AADSTS1: kim@widgets.example"})
    assert type(error) is kind
    assert text in error.detail
    assert "kim" not in str(error)


def test_claims_of_a_challenge() -> None:
    claims = json.dumps({"access_token": {"nbf": {"essential": True, "value": "1"}}})
    coded = base64.b64encode(claims.encode()).decode()
    headers = {"WWW-Authenticate": f'Bearer realm="", error="insufficient_claims", claims="{coded}"'}
    assert errors.plain_claims(errors.challenge(headers)) == claims
    assert errors.plain_claims(coded.rstrip("=")) == claims
    assert errors.plain_claims(claims) == claims
    assert errors.challenge({"www-authenticate": 'Bearer realm=""'}) == ""
    assert [errors.plain_claims(text) for text in ("", "no claims", "Zm9v", "é")] == [""] * 4
