"""What Google's refusals become (providers.md 1.1, 1.4, 1.7)."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httplib2
import pytest
from google.auth.exceptions import RefreshError
from googleapiclient.errors import HttpError

from sync.errors import Busy, Conflict, Denied, Missing, Rejected, RemoteError
from sync.providers.google import errors


def http_error(status: int, reason: str = "", text: str = "", **headers: str) -> HttpError:
    body = {"error": {"code": status, "message": text, "errors": [{"reason": reason, "message": text}]}}
    return HttpError(httplib2.Response({"status": str(status), **headers}), json.dumps(body).encode())


def to_error(error: HttpError, **options: Any) -> RemoteError:
    return errors.to_error(errors.read(error), "messages.get", hint=4.0, **options)


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (400, "invalidArgument", Rejected),
        (400, "failedPrecondition", Denied),
        (401, "authError", Denied),
        (403, "insufficientPermissions", Denied),
        (403, "domainPolicy", Denied),
        (403, "forbidden", Denied),
        (403, "rateLimitExceeded", Busy),
        (403, "userRateLimitExceeded", Busy),
        (403, "dailyLimitExceeded", Busy),
        (404, "notFound", Missing),
        (404, "", Busy),  # a proxy's or a wrong address's
        (408, "", Busy),
        (409, "aborted", Conflict),
        (410, "deleted", Missing),
        (412, "conditionNotMet", Conflict),
        (413, "uploadTooLarge", Rejected),
        (429, "rateLimitExceeded", Busy),
        (429, "", Busy),
        (500, "backendError", Busy),
        (503, "", Busy),
    ],
)
def test_each_refusal_has_its_reaction(status: int, reason: str, expected: type[RemoteError]) -> None:
    error = to_error(http_error(status, reason))
    assert type(error) is expected
    assert (error.vendor, error.operation, error.status) == ("google", "messages.get", status)


@pytest.mark.parametrize("reason", ["insufficientPermissions", "domainPolicy", "failedPrecondition", "forbidden"])
def test_a_denial_says_what_to_do(reason: str) -> None:
    error = to_error(http_error(400 if reason == "failedPrecondition" else 403, reason))
    assert len(error.detail) > len(reason) + 20


@pytest.mark.parametrize(
    ("error", "limited"),
    [(http_error(429), True), (http_error(403, "userRateLimitExceeded"), True), (http_error(503), False)],
)
def test_only_rate_refusals_are_known_to_have_had_no_effect(error: HttpError, limited: bool) -> None:
    busy = to_error(error, repeatable=False)
    assert isinstance(busy, Busy)
    assert busy.unknown is not limited
    assert errors.read(error).limited is limited


def test_a_call_that_may_be_repeated_is_never_unknown() -> None:
    busy = to_error(http_error(500), repeatable=True)
    assert isinstance(busy, Busy)
    assert not busy.unknown


def wait_of(error: HttpError) -> float:
    busy = to_error(error)
    assert isinstance(busy, Busy)
    return busy.retry_after


def test_the_told_wait_wins_over_the_hint() -> None:
    assert wait_of(http_error(429)) == 4.0
    assert wait_of(http_error(429, **{"retry-after": "17"})) == 17.0
    assert wait_of(http_error(503, **{"retry-after": "0"})) == 0.0
    assert wait_of(http_error(429, **{"retry-after": "999999"})) == errors.LONGEST_WAIT
    assert wait_of(http_error(429, **{"retry-after": "soon"})) == 4.0


def test_a_wait_told_as_a_date() -> None:
    until = datetime.now(UTC) + timedelta(seconds=30)
    assert wait_of(http_error(429, **{"retry-after": format_datetime(until, usegmt=True)})) == pytest.approx(30, abs=2)
    text = f"User-rate limit exceeded.  Retry after {until.isoformat(timespec='milliseconds')[:-6]}Z"
    assert wait_of(http_error(429, "rateLimitExceeded", text)) == pytest.approx(30, abs=2)
    past = datetime.fromtimestamp(time.time() - 60, UTC)
    assert wait_of(http_error(429, **{"retry-after": format_datetime(past, usegmt=True)})) == 0.0


def test_a_daily_limit_waits_long() -> None:
    assert wait_of(http_error(403, "dailyLimitExceeded")) == errors.LONGEST_WAIT


@pytest.mark.parametrize("status", [400, 403, 404, 409, 429, 500])
def test_no_detail_repeats_googles_text(status: int) -> None:
    secret = "Offer to kim@widgets.example"
    error = to_error(http_error(status, reason=secret, text=secret))
    assert "widgets" not in str(error)
    assert "Offer" not in str(error)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": []}', b'{"error": {"errors": "x"}}', b"\xff"])
def test_any_body_can_be_read(body: bytes) -> None:
    error = HttpError(httplib2.Response({"status": "400"}), body)
    assert isinstance(to_error(error), Rejected)


def refused(*args: Any, **options: Any) -> RemoteError:
    error = RefreshError(*args, **options)  # type: ignore[no-untyped-call]
    return errors.from_refresh(error, "messages.get", hint=4.0)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("invalid_grant", "connect the mailbox again"),
        ("unauthorized_client", "Admin console"),
        ("invalid_client", "client id and secret"),
        ("something_new", "check the credentials"),
    ],
)
def test_a_refused_token_says_what_to_do(code: str, words: str) -> None:
    error = refused(f"{code}: for kim@widgets.example", {"error": code})
    assert isinstance(error, Denied)
    assert words in error.detail
    assert code in error.detail
    assert "widgets" not in error.detail


def test_a_busy_token_endpoint_is_busy() -> None:
    error = refused("later", retryable=True)
    assert isinstance(error, Busy)
    assert error.retry_after == 4.0


def test_a_refused_token_without_a_code() -> None:
    assert isinstance(refused("no refresh token"), Denied)
