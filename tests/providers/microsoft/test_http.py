"""One Graph call (providers.md 2.1, 7.2): over the library, with an httpx transport in place of the network."""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx
import pytest

from sync.errors import Busy, Denied, Missing
from sync.providers.microsoft.calls import Calls
from sync.providers.microsoft.connection import Connection, Sender
from sync.providers.microsoft.http import Api, Call
from tests.contracts.mail_world import CountingMeter
from tests.providers.microsoft.fake_graph import BASE, FakeGraph, refusal

CALL = Call("messages.get", "GET", "/users/alex/messages/1", headers={"Prefer": 'IdType="ImmutableId"'})


class Client:
    """A way to Graph over the real library; `tokens` counts what was asked for."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response], base: str = BASE) -> None:
        self.tokens: list[str] = []
        self.requests: list[httpx.Request] = []
        self.forgotten = 0

        def handle(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            return answer(request)

        connection = Connection(base, transport=httpx.MockTransport(handle))
        self.sender: Sender = connection.sender(self._token)

    def _token(self, claims: str) -> str:
        self.tokens.append(claims)
        return f"token-{len(self.tokens)}"

    def forget(self, claims: str = "") -> None:
        self.forgotten += 1


def fine(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"id": "1"})


def test_a_request_has_the_token_and_our_headers() -> None:
    client = Client(fine)
    assert Api(client, CountingMeter()).call(CALL) == {"id": "1"}
    (request,) = client.requests
    assert str(request.url) == f"{BASE}/users/alex/messages/1"
    assert request.headers["Authorization"] == "Bearer token-1"
    assert request.headers["Prefer"] == 'IdType="ImmutableId"'


@pytest.mark.parametrize("verb", ["GET", "PATCH", "POST"])
@pytest.mark.parametrize("status", [429, 503, 504])
def test_nothing_is_sent_twice(verb: str, status: int) -> None:
    """The library's own retry handler would, writes too (providers.md 7.2)."""
    client = Client(lambda request: httpx.Response(status, headers={"Retry-After": "1"}))
    with pytest.raises(Busy) as caught:
        Api(client, CountingMeter()).call(Call("m", verb, "/users/alex/messages/1", {} if verb != "GET" else None))
    assert (len(client.requests), caught.value.retry_after) == (1, 1)


def test_a_redirect_is_not_followed() -> None:
    client = Client(lambda request: httpx.Response(302, headers={"Location": "https://elsewhere.example/"}))
    with pytest.raises(Exception, match="refused"):
        Api(client, CountingMeter()).call(CALL)
    assert len(client.requests) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/v1.0/users/alex",
        "http://graph.example/v1.0/users/alex",
        "https://graph.example:8443/v1.0/users/alex",
        "https://graph.example@elsewhere.example/v1.0/users/alex",
    ],
)
def test_the_token_goes_to_graphs_own_address_only(url: str) -> None:
    client = Client(fine)
    client.sender.send("GET", url, {}, None)
    assert client.tokens == []
    assert not client.requests[0].headers.get("Authorization", "").startswith("Bearer")


@pytest.mark.parametrize(
    "link", ["https://elsewhere.example/v1.0/x", "https://graph.example/v1.0evil/x", "/users/alex", None]
)
def test_a_link_that_leads_elsewhere_is_not_followed(link: str | None) -> None:
    with pytest.raises(Busy, match="not Graph's"):
        Api(Client(fine), CountingMeter()).follow(link)


def test_a_link_is_used_as_it_came() -> None:
    client = Client(fine)
    api = Api(client, CountingMeter())
    path = api.follow(f"{BASE}/users/alex/mailFolders('A%3D')/messages/delta()?$deltatoken=a%2Bb%20c")
    api.call(Calls("alex").page(path, delta=True))
    assert (
        client.requests[0].url.raw_path
        == b"/v1.0/users/alex/mailFolders('A%3D')/messages/delta()?$deltatoken=a%2Bb%20c"
    )
    assert client.requests[0].headers["Prefer"] == 'IdType="ImmutableId", odata.maxpagesize=200'


def test_a_claims_challenge_is_answered_at_once() -> None:
    challenge = 'Bearer realm="", error="insufficient_claims", claims="eyJhIjoxfQ=="'
    answers = iter(
        [httpx.Response(401, headers={"WWW-Authenticate": challenge}), httpx.Response(200, json={"id": "1"})]
    )
    client = Client(lambda request: next(answers))
    assert Api(client, CountingMeter()).call(CALL) == {"id": "1"}
    assert (client.tokens, client.forgotten) == (["", "eyJhIjoxfQ=="], 0)


def test_a_refused_token_is_renewed_once() -> None:
    client, meter = Client(lambda request: httpx.Response(401)), CountingMeter()
    with pytest.raises(Denied):
        Api(client, meter).call(CALL)
    assert (client.forgotten, len(client.requests), meter.calls) == (1, 2, 2)


@pytest.mark.parametrize("trouble", [httpx.ConnectTimeout("x"), httpx.ReadError("x"), httpx.RemoteProtocolError("x")])
@pytest.mark.parametrize("repeatable", [True, False])
def test_no_answer_is_busy(trouble: Exception, repeatable: bool) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise trouble

    with pytest.raises(Busy) as caught:
        Api(Client(fail), CountingMeter()).call(Call("m", "GET", "/users/alex", repeatable=repeatable))
    assert caught.value.unknown is not repeatable
    assert 0 < caught.value.retry_after <= 64


def test_waits_grow_with_failures_in_a_row_and_begin_anew_after_success() -> None:
    failing = [True]
    graph = FakeGraph(lambda verb, path, body: refusal(503) if failing[0] else (200, {}))
    api, waits = Api(graph, CountingMeter()), []
    for _ in range(8):
        with pytest.raises(Busy) as caught:
            api.call(CALL)
        waits.append(caught.value.retry_after)
    assert waits[0] <= 2 < waits[3] <= 16
    assert 48 <= waits[7] <= 64
    failing[0] = False
    api.call(CALL)
    failing[0] = True
    with pytest.raises(Busy) as caught:
        api.call(CALL)
    assert caught.value.retry_after <= 2


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'"text"'])
def test_an_answer_that_is_not_graphs_is_busy(content: bytes) -> None:
    with pytest.raises(Busy, match="not Graph's"):
        Api(Client(lambda request: httpx.Response(200, content=content)), CountingMeter()).call(CALL)


def test_a_404_of_somebody_else_is_busy_and_graphs_own_is_missing() -> None:
    with pytest.raises(Busy, match="not Graph's"):
        Api(Client(lambda request: httpx.Response(404, text="no such page")), CountingMeter()).call(CALL)
    with pytest.raises(Missing):
        Api(FakeGraph(lambda verb, path, body: refusal(404, "ErrorItemNotFound")), CountingMeter()).call(CALL)


def test_one_call_of_a_mailbox_is_in_flight_at_a_time() -> None:
    """Graph takes four of an app and mailbox, and a batch is four (providers.md 2.1)."""
    flying, most, lock = [0], [0], threading.Lock()

    def answer(verb: str, path: str, body: object) -> tuple[int, dict[str, str]]:
        with lock:
            flying[0] += 1
            most[0] = max(most[0], flying[0])
        threading.Event().wait(0.01)
        with lock:
            flying[0] -= 1
        return 200, {}

    api = Api(FakeGraph(answer), CountingMeter())
    threads = [threading.Thread(target=api.call, args=(CALL,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most == [1]


def test_an_empty_budget_sends_nothing() -> None:
    client, meter = Client(fine), CountingMeter()
    meter.empty = True
    with pytest.raises(Busy):
        Api(client, meter).call(CALL)
    assert client.requests == []
