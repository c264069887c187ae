"""Writing label changes in few calls, and what is half refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from sync.errors import Conflict, Missing, Rejected, RemoteError
from sync.providers.google import settle
from sync.providers.google.http import Api, service
from sync.providers.google.settle import Delta
from tests.contracts.mail_world import CountingMeter
from tests.providers.google.fake_http import Answer, FakeHttp, refusal

DONE: Delta = (frozenset({"Label_2"}), frozenset({"Label_1"}))


class Server:
    """Gmail's modify and batchModify; `bad` message ids are refused with their answer, alone or in a bulk."""

    def __init__(self, *labels: str, bad: Mapping[str, Answer] | None = None) -> None:
        self.labels = {"INBOX", *labels}
        self.bad = bad or {}
        self.done: list[str] = []
        self.meter = CountingMeter()
        self.http = FakeHttp(self.answer)

    def write(self, groups: Mapping[Delta, Sequence[str]]) -> dict[str, RemoteError]:
        return settle.write(Api(service(), lambda: self.http, self.meter), groups)

    def answer(self, verb: str, path: str, body: Any) -> Answer:
        if verb == "GET":
            return 200, {"labels": [{"id": label} for label in sorted(self.labels)]}
        add, remove = body["addLabelIds"], body["removeLabelIds"]
        ids = body.get("ids") or [path.split("?")[0].split("/")[-2]]
        if not add and not remove:
            return refusal(400, "invalidArgument", "No label add or removes specified")
        if not {*add, *remove} <= self.labels:
            return refusal(400, "invalidArgument", "labelId not found")
        for key in ids:
            if key in self.bad:
                return self.bad[key]
        self.done += ids
        return 204, None if "ids" in body else {}


@pytest.mark.parametrize(
    ("count", "units", "calls"),
    [(1, 5, 1), (10, 50, 10), (11, 50, 1), (1000, 50, 1), (1001, 55, 2)],
)
def test_the_cheaper_way_is_taken(count: int, units: int, calls: int) -> None:
    server = Server("Label_1", "Label_2")
    ids = [f"m{number}" for number in range(count)]
    assert server.write({DONE: ids}) == {}
    assert sorted(server.done) == sorted(ids)
    assert (server.meter.units, len(server.http.calls), len(server.http.requests)) == (units, calls, 1)


def test_a_bad_id_does_not_hold_back_a_bulk() -> None:
    server = Server("Label_1", "Label_2", bad={"m3": refusal(404, "notFound")})
    failed = server.write({DONE: [f"m{number}" for number in range(20)]})
    assert {key: type(error) for key, error in failed.items()} == {"m3": Missing}
    assert len(server.done) == 19


def test_a_message_that_is_refused_for_what_it_is() -> None:
    server = Server("Label_1", "Label_2", bad={"m3": refusal(400, "invalidArgument")})
    failed = server.write({DONE: [f"m{number}" for number in range(20)]})
    assert {key: type(error) for key, error in failed.items()} == {"m3": Rejected}


@pytest.mark.parametrize("count", [1, 20])
def test_a_label_to_add_that_is_gone(count: int) -> None:
    server = Server("Label_1")
    ids = [f"m{number}" for number in range(count)]
    failed = server.write({DONE: ids})
    assert {type(error) for error in failed.values()} == {Conflict}
    assert set(failed) == set(ids)


@pytest.mark.parametrize("count", [1, 20])
def test_a_label_to_remove_that_is_gone_is_removed(count: int) -> None:
    server = Server("Label_2", bad={"m0": refusal(404, "notFound")})
    failed = server.write({DONE: [f"m{number}" for number in range(count)]})
    assert {key: type(error) for key, error in failed.items()} == {"m0": Missing}
    assert len(server.done) == count - 1


def test_nothing_is_left_to_change() -> None:
    server = Server("Label_2")
    assert server.write({(frozenset(), frozenset({"Label_1"})): ["m0"]}) == {}
    assert server.done == []


def test_labels_that_keep_vanishing_end_in_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "ROUNDS", 1)
    failed = Server("Label_2").write({DONE: ["m0"]})
    assert isinstance(failed["m0"], Conflict)
