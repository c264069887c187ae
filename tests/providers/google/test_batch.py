"""Many calls in one (providers.md 1.2)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from sync.errors import Busy, Denied, Missing
from sync.providers.google import batch
from sync.providers.google.http import Api, Call, service
from tests.contracts.mail_world import CountingMeter
from tests.providers.google.fake_http import Answer, FakeHttp, Handler, refusal


def ident(path: str) -> str:
    return path.split("?")[0].rpartition("/")[2]


def found(verb: str, path: str, body: Any) -> Answer:
    return 200, {"id": ident(path)}


def gets(client: Any, count: int) -> list[Call]:
    messages = client.users().messages()
    return [Call("messages.get", messages.get(userId="me", id=f"m{n}", format="raw")) for n in range(count)]


def run(handler: Handler, count: int, **options: Any) -> tuple[list[batch.Answer], FakeHttp, CountingMeter]:
    meter, fake = CountingMeter(), FakeHttp(handler, **options)
    api = Api(service(), lambda: fake, meter)
    return batch.run(api, gets(api.client, count)), fake, meter


@pytest.mark.parametrize(("count", "requests"), [(0, 0), (1, 1), (2, 1), (50, 1), (51, 2), (120, 3)])
def test_answers_come_in_order_and_fifty_in_one_call(count: int, requests: int) -> None:
    answers, fake, meter = run(found, count)
    assert answers == [{"id": f"m{n}"} for n in range(count)]
    assert len(fake.requests) == meter.calls == requests
    assert meter.units == 20 * count


def test_a_part_that_is_refused_leaves_the_others() -> None:
    answers, fake, _ = run(lambda v, p, b: refusal(404, "notFound") if ident(p) == "m1" else found(v, p, b), 3)
    assert [type(answer) for answer in answers] == [dict, Missing, dict]
    assert len(fake.requests) == 1


def throttling(times: dict[str, int], **headers: str) -> Handler:
    """Refuses each message as often as told."""
    left = Counter(times)

    def handler(verb: str, path: str, body: Any) -> Answer:
        if left[ident(path)] > 0:
            left[ident(path)] -= 1
            return refusal(429, "rateLimitExceeded", "", **headers)
        return found(verb, path, body)

    return handler


def test_a_throttled_part_is_tried_again_singly() -> None:
    answers, fake, meter = run(throttling({"m1": 1, "m3": 1}), 5)
    assert answers == [{"id": f"m{n}"} for n in range(5)]
    assert [request.split("?")[0].rpartition("/")[2] for request in fake.requests] == ["batch", "m1", "m3"]
    assert meter.units == 20 * 7
    assert meter.refused == []


def test_the_second_refusal_ends_the_trying() -> None:
    answers, fake, meter = run(throttling({"m1": 2, "m3": 2, "m4": 2}), 5)
    assert [type(answer) for answer in answers] == [dict, Busy, dict, Busy, Busy]
    assert len(fake.requests) == 2
    assert len(meter.refused) == 1


def test_a_part_with_a_told_wait_is_not_tried_again() -> None:
    answers, fake, meter = run(throttling({"m1": 1}, **{"Retry-After": "30"}), 3)
    assert isinstance(answers[1], Busy)
    assert answers[1].retry_after == 30
    assert len(fake.requests) == 1
    assert meter.refused == [("messages.get", 30.0)]


def test_an_empty_budget_ends_the_trying() -> None:
    meter, fake = CountingMeter(), FakeHttp(throttling({"m1": 1}))
    api = Api(service(), lambda: fake, meter)

    def whole(path: str) -> None:
        meter.empty = True

    fake.whole = whole
    answers = batch.run(api, gets(api.client, 3))
    assert [type(answer) for answer in answers] == [dict, Busy, dict]
    assert len(fake.requests) == 1


def test_trouble_with_the_whole_call_is_raised() -> None:
    with pytest.raises(Busy):
        run(found, 3, whole=lambda path: refusal(503, "backendError"))


def test_trouble_after_the_first_fifty_keeps_what_was_done() -> None:
    calls: list[str] = []

    def whole(path: str) -> Answer | None:
        calls.append(path)
        return refusal(503, "backendError") if len(calls) == 2 else None

    answers, _, _ = run(found, 120, whole=whole)
    assert [type(answer) for answer in answers] == [dict] * 50 + [Busy] * 70
    assert len(calls) == 2


@pytest.mark.parametrize("count", [1, 3])
def test_a_denied_part_is_about_the_mailbox(count: int) -> None:
    with pytest.raises(Denied):
        run(lambda *request: refusal(403, "domainPolicy"), count)


@pytest.mark.parametrize("answer", [b"", b"--mark--", b"plain text"])
def test_half_an_answer_is_busy(answer: bytes) -> None:
    def whole(path: str) -> Answer:
        return 200, answer, {"content-type": 'multipart/mixed; boundary="mark"'}

    with pytest.raises(Busy):
        run(found, 3, whole=whole)


def test_a_part_that_is_not_googles_is_busy() -> None:
    def proxy(verb: str, path: str, body: Any) -> Answer:
        return (200, "<html>") if ident(path) == "m1" else found(verb, path, body)

    answers, _, _ = run(proxy, 3)
    assert [type(answer) for answer in answers] == [dict, Busy, dict]


def test_a_write_that_must_not_be_repeated_is_not() -> None:
    fake = FakeHttp(lambda *request: refusal(500, "backendError"))
    api = Api(service(), lambda: fake, CountingMeter())
    create = api.client.users().labels().create
    calls = [Call("labels.create", create(userId="me", body={"name": str(n)}), repeatable=False) for n in range(2)]
    answers = batch.run(api, calls)
    assert [isinstance(answer, Busy) and answer.unknown for answer in answers] == [True, True]
    assert len(fake.requests) == 1
