"""Many Graph calls in one HTTP call (providers.md 2.9)."""

from __future__ import annotations

from typing import Any

import pytest

from sync.errors import Busy, Conflict, Denied, Missing, Rejected
from sync.providers.microsoft import batch
from sync.providers.microsoft.http import Api, Call
from tests.contracts.mail_world import CountingMeter
from tests.providers.microsoft.fake_graph import Answer, FakeGraph, Handler, refusal


def get(number: int, **more: Any) -> Call:
    return Call("messages.get", "GET", f"/users/alex/messages/{number}", **more)


def patch(number: int) -> Call:
    return Call("messages.update", "PATCH", f"/users/alex/messages/{number}", {"categories": []}, {"If-Match": "x"})


def fine(verb: str, path: str, body: Any) -> Answer:
    return 200, {"id": path.rpartition("/")[2]}


def only(number: int, answer: Answer, times: int = 1000) -> Handler:
    left = [times]

    def handler(verb: str, path: str, body: Any) -> Answer:
        if path.endswith(f"/{number}") and left[0] > 0:
            left[0] -= 1
            return answer
        return fine(verb, path, body)

    return handler


def ids(answers: list[Any]) -> list[Any]:
    return [a["id"] if isinstance(a, dict) else type(a) for a in answers]


def test_answers_come_in_the_order_of_the_calls() -> None:
    graph, meter = FakeGraph(fine), CountingMeter()
    answers = batch.run(Api(graph, meter), [get(number) for number in range(45)])
    assert ids(answers) == [str(number) for number in range(45)]
    assert graph.requests == ["POST /$batch"] * 3
    assert meter.spent == [("messages.get", 20, 1), ("messages.get", 20, 1), ("messages.get", 5, 1)]


def test_one_call_is_no_batch_and_none_is_no_call() -> None:
    graph = FakeGraph(fine)
    api = Api(graph, CountingMeter())
    assert ids(batch.run(api, [get(1)])) == ["1"]
    assert batch.run(api, []) == []
    assert graph.requests == ["GET /users/alex/messages/1"]


def test_a_part_carries_its_headers_and_body() -> None:
    graph = FakeGraph(fine)
    batch.run(Api(graph, CountingMeter()), [patch(1), get(2, headers={"Prefer": 'IdType="ImmutableId"'})])
    first, second = graph.bodies[0]["requests"]
    assert first["headers"] == {"If-Match": "x", "Content-Type": "application/json"}
    assert (first["body"], second["headers"]) == ({"categories": []}, {"Prefer": 'IdType="ImmutableId"'})
    assert "dependsOn" not in second


def test_large_bodies_are_split() -> None:
    graph = FakeGraph(fine)
    calls = [Call("m", "PATCH", f"/users/alex/messages/{n}", {"text": "x" * 2_000_000}) for n in range(3)]
    assert ids(batch.run(Api(graph, CountingMeter()), calls)) == ["0", "1", "2"]
    assert len(graph.requests) == 3


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [(404, "ErrorItemNotFound", Missing), (412, "ErrorIrresolvableConflict", Conflict), (400, "BadRequest", Rejected)],
)
def test_one_refused_part_does_not_hold_back_the_others(status: int, code: str, error: type[Exception]) -> None:
    graph = FakeGraph(only(2, refusal(status, code)))
    assert ids(batch.run(Api(graph, CountingMeter()), [get(n) for n in range(4)])) == ["0", "1", error, "3"]
    assert len(graph.requests) == 1


def test_a_throttled_part_is_tried_once_more_singly() -> None:
    graph, meter = FakeGraph(only(2, refusal(429, "ApplicationThrottled"), times=1)), CountingMeter()
    assert ids(batch.run(Api(graph, meter), [get(n) for n in range(4)])) == ["0", "1", "2", "3"]
    assert graph.requests == ["POST /$batch", "GET /users/alex/messages/2"]
    assert meter.calls == 2


def test_a_throttled_part_that_is_told_to_wait_stays_busy() -> None:
    graph, meter = FakeGraph(only(2, refusal(429, "ApplicationThrottled", Retry_After="7"))), CountingMeter()
    answers = batch.run(Api(graph, meter), [get(n) for n in range(4)])
    assert ids(answers) == ["0", "1", Busy, "3"]
    assert answers[2].retry_after == 7
    assert meter.refused == [("messages.get", 7)]
    assert len(graph.requests) == 1


def test_after_one_part_stays_busy_the_rest_is_not_tried_again() -> None:
    graph = FakeGraph(lambda verb, path, body: refusal(429, "ApplicationThrottled"))
    answers = batch.run(Api(graph, CountingMeter()), [get(n) for n in range(4)])
    assert ids(answers) == [Busy] * 4
    assert len(graph.requests) == 2


def test_a_write_that_may_have_happened_is_not_repeated() -> None:
    graph = FakeGraph(only(1, refusal(503, "ErrorServerBusy")))
    answers = batch.run(Api(graph, CountingMeter()), [get(0), get(1, repeatable=False)])
    assert (answers[1].unknown, len(graph.requests)) == (True, 1)


def test_denied_is_about_the_mailbox() -> None:
    graph = FakeGraph(only(2, refusal(403, "ErrorAccessDenied")))
    with pytest.raises(Denied, match="RBAC"):
        batch.run(Api(graph, CountingMeter()), [get(n) for n in range(4)])


def test_a_batch_that_fails_whole_is_busy_when_nothing_was_done() -> None:
    graph = FakeGraph(fine, whole=lambda path: refusal(503, "ErrorServerBusy", Retry_After="3"))
    with pytest.raises(Busy) as caught:
        batch.run(Api(graph, CountingMeter()), [get(n) for n in range(30)])
    assert caught.value.retry_after == 3


def test_a_batch_that_fails_later_keeps_what_was_done() -> None:
    answers = iter([None, refusal(503, "ErrorServerBusy"), refusal(503, "ErrorServerBusy")])
    graph = FakeGraph(fine, whole=lambda path: next(answers))
    found = batch.run(Api(graph, CountingMeter()), [get(n) for n in range(45)])
    assert ids(found) == [str(n) for n in range(20)] + [Busy] * 25
    assert len(graph.requests) == 2


def test_a_part_without_an_answer_is_busy() -> None:
    graph = FakeGraph(fine, whole=lambda path: (200, {"responses": [{"id": "0", "status": 200, "body": {"id": "0"}}]}))
    found = batch.run(Api(graph, CountingMeter()), [get(0), get(1, repeatable=False)])
    assert ids(found) == ["0", Busy]


def test_bytes_come_in_base64_or_as_they_are() -> None:
    graph = FakeGraph(lambda verb, path, body: (200, b"From: a\r\n\xff" if path.endswith("/0") else "From: b\r\n"))
    assert batch.run(Api(graph, CountingMeter()), [get(0, raw=True), get(1, raw=True)]) == [
        b"From: a\r\n\xff",
        b"From: b\r\n",
    ]


def test_parts_that_refuse_the_token_are_sent_again_with_a_new_one() -> None:
    challenge = 'Bearer realm="", error="insufficient_claims", claims="eyJhIjoxfQ=="'
    refused = refusal(401, "InvalidAuthenticationToken", WWW_Authenticate=challenge)
    graph, meter = FakeGraph(only(2, refused, times=1)), CountingMeter()
    assert ids(batch.run(Api(graph, meter), [get(n) for n in range(4)])) == ["0", "1", "2", "3"]
    assert graph.forgotten == ["eyJhIjoxfQ=="]
    assert [len(body["requests"]) for body in graph.bodies] == [4, 1]
    assert meter.units == 5


def test_parts_that_go_on_refusing_are_denied() -> None:
    graph = FakeGraph(lambda verb, path, body: refusal(401, "InvalidAuthenticationToken"))
    with pytest.raises(Denied, match="even after a new one"):
        batch.run(Api(graph, CountingMeter()), [get(0), get(1)])
    assert len(graph.requests) == 2


def test_a_sequence_is_wholly_ordered() -> None:
    graph = FakeGraph(fine)
    assert ids(batch.sequence(Api(graph, CountingMeter()), [patch(n) for n in range(3)])) == ["0", "1", "2"]
    assert [part.get("dependsOn") for part in graph.bodies[0]["requests"]] == [None, ["0"], ["1"]]


def test_what_comes_after_a_refused_step_is_not_done() -> None:
    graph = FakeGraph(only(1, refusal(412, "ErrorIrresolvableConflict")))
    assert ids(batch.sequence(Api(graph, CountingMeter()), [patch(n) for n in range(3)])) == ["0", Conflict, Conflict]
    assert graph.calls == ["PATCH /users/alex/messages/0", "PATCH /users/alex/messages/1"]


def test_a_sequence_whose_token_is_refused_goes_on_with_a_new_one() -> None:
    graph = FakeGraph(only(1, refusal(401, "InvalidAuthenticationToken"), times=1))
    assert ids(batch.sequence(Api(graph, CountingMeter()), [patch(n) for n in range(3)])) == ["0", "1", "2"]
    assert [part.get("dependsOn") for part in graph.bodies[1]["requests"]] == [None, ["0"]]
