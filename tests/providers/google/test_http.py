"""One call: paid first, sent once, refused in our words."""

from __future__ import annotations

import http.client
import ssl
from typing import Any

import httplib2
import pytest
from google.auth.exceptions import TransportError

from sync.errors import Busy, Conflict, Denied, RemoteError
from sync.providers.google.http import LONGEST_HINT, Api, Call, service
from tests.contracts.mail_world import CountingMeter
from tests.providers.google.fake_http import Answer, FakeHttp, refusal


def api(handler: Any, meter: CountingMeter | None = None) -> tuple[Api, FakeHttp]:
    fake = FakeHttp(handler)
    return Api(service(), lambda: fake, meter or CountingMeter()), fake


def profile(client: Any) -> Call:
    return Call("getProfile", client.users().getProfile(userId="me"))


def raising(error: Exception) -> Any:
    def handler(*request: Any) -> Answer:
        raise error

    return handler


def test_the_address_of_the_service_moves_batches_and_uploads_too() -> None:
    client = service("https://gmail.example:8443")
    raw = client.users().messages()
    assert raw.get(userId="me", id="x").uri.startswith("https://gmail.example:8443/gmail/v1/users/me/messages/x")
    assert client.new_batch_http_request()._batch_uri == "https://gmail.example:8443/batch"
    assert client._rootDesc["rootUrl"] == "https://gmail.example:8443/"
    assert service("https://gmail.example:8443") is client


def test_a_call_is_paid_before_it_is_sent() -> None:
    meter = CountingMeter()
    one, fake = api(lambda *request: (200, {"historyId": "7"}), meter)
    assert one.call(profile(one.client)) == {"historyId": "7"}
    assert meter.spent == [("getProfile", 1, 1)]
    meter.empty = True
    with pytest.raises(Busy):
        one.call(profile(one.client))
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError("timed out"),
        ConnectionResetError(),
        ssl.SSLCertVerificationError("self-signed"),
        httplib2.ServerNotFoundError("no such host"),
        http.client.IncompleteRead(b"half"),
        TransportError("token endpoint"),  # type: ignore[no-untyped-call]
    ],
)
@pytest.mark.parametrize("repeatable", [True, False])
def test_no_answer_is_busy(error: Exception, repeatable: bool) -> None:
    one, fake = api(raising(error))
    with pytest.raises(Busy) as caught:
        one.call(Call("getProfile", profile(one.client).request, repeatable))
    assert caught.value.unknown is not repeatable
    assert len(fake.requests) == 1
    assert str(error) not in str(caught.value) or not str(error)


def test_an_answer_that_is_not_json_is_busy() -> None:
    one, _ = api(lambda *request: (200, b"<html>maintenance"))
    with pytest.raises(Busy):
        one.call(profile(one.client))


def test_a_mistake_of_ours_is_not_called_busy() -> None:
    one, _ = api(raising(TypeError("ours")))
    with pytest.raises(TypeError):
        one.call(profile(one.client))


def test_the_hint_doubles_with_each_failure_and_starts_anew_after_a_success() -> None:
    answers: list[Answer] = [refusal(503, "backendError")] * 8 + [(200, {}), refusal(503, "backendError")]
    one, _ = api(lambda *request: answers.pop(0))
    waits = []
    for _ in range(10):
        try:
            one.call(profile(one.client))
        except Busy as error:
            waits.append(error.retry_after)
    ideal = [2, 4, 8, 16, 32, 64, 64, 64, 2]
    assert [0.75 * wait <= found <= wait for wait, found in zip(ideal, waits, strict=True)] == [True] * 9
    assert max(waits) <= LONGEST_HINT


@pytest.mark.parametrize(("status", "reason", "told"), [(429, "", 1), (403, "userRateLimitExceeded", 1), (503, "", 0)])
def test_the_meter_hears_of_throttling_and_only_of_that(status: int, reason: str, told: int) -> None:
    meter = CountingMeter()
    one, _ = api(lambda *request: refusal(status, reason, "", **{"retry-after": "9"}), meter)
    with pytest.raises(Busy):
        one.call(profile(one.client))
    assert meter.refused == [("getProfile", 9.0)] * told


@pytest.mark.parametrize(("status", "expected"), [(401, Denied), (403, Denied), (409, Conflict)])
def test_refusals_are_raised_as_ours(status: int, expected: type[RemoteError]) -> None:
    one, _ = api(lambda *request: refusal(status, "x"))
    with pytest.raises(expected):
        one.call(profile(one.client))
