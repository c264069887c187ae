"""The feed: windows, pages, late rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from sync.errors import CursorExpired
from sync.model import Page
from sync.modules import Change
from sync.providers.salesforce import feed as feeds
from sync.providers.salesforce.asking import Answer, Query
from sync.providers.salesforce.feed import Feed
from sync.providers.salesforce.modules import shape
from tests.providers.salesforce.test_modules import described
from tests.providers.salesforce.test_modules import field as described_field

SHAPE = shape(
    described("Ticket__c", described_field("Name"), described_field("SystemModstamp", "datetime", createable=False))
)


def row(number: int, clock: str, *, deleted: bool = False) -> dict[str, Any]:
    stamp = f"2026-11-03T{clock}.000+0000"
    return {"Id": f"a00{number:015}", "SystemModstamp": stamp, "IsDeleted": deleted, "Name": "x", "OwnerId": "005"}


@dataclass
class Told:
    """Answers what it is told to, and keeps what it was asked."""

    answers: list[Sequence[dict[str, Any]]]
    asked: list[str] = field(default_factory=list)

    def rows(self, queries: Sequence[Query]) -> list[tuple[Query, Answer]]:
        self.asked += [query.text for query in queries]
        return [(query, Answer(self.answers.pop(0))) for query in queries]


class Reader:
    def __init__(self, *answers: Sequence[dict[str, Any]]) -> None:
        self.told = Told(list(answers))
        self.now = 1000.0
        self.cursor: str | None = None

    def page(self) -> Page[Change]:
        found = Feed(self.told, lambda: self.now).page(self.cursor, [SHAPE])  # type: ignore[arg-type]
        self.cursor = found.cursor
        return found

    def ids(self) -> list[int]:
        return [int(change.record.id[3:]) for change in self.page().changed]


def test_each_look_begins_five_minutes_before_the_latest_stamp_and_tells_late_rows() -> None:
    reader = Reader([row(1, "10:00:00")], [row(2, "09:57:00"), row(1, "10:00:00")], [row(2, "09:57:00")])
    assert reader.ids() == []
    assert reader.ids() == [2], "it appeared late; the other was there before"
    assert "SystemModstamp >= 2026-11-03T09:55:00Z" in reader.told.asked[1]
    assert reader.ids() == []


def test_a_change_within_the_window_is_told() -> None:
    reader = Reader([row(1, "10:00:00")], [row(1, "10:00:01")], [row(1, "10:00:01", deleted=True)])
    assert reader.ids() == []
    assert reader.ids() == [1]
    (change,) = reader.page().changed
    assert change.gone


def test_once_the_latest_stamp_is_long_seen_only_later_ones_are_asked_for() -> None:
    reader = Reader([row(1, "10:00:00")], [], [row(2, "11:00:00")], [])
    reader.page()
    reader.now += feeds.SETTLED_SECONDS + 1
    assert reader.ids() == []
    assert "SystemModstamp > 2026-11-03T10:00:00.000Z" in reader.told.asked[1]
    assert reader.ids() == [2]
    reader.page()
    assert "SystemModstamp >= 2026-11-03T10:55:00Z" in reader.told.asked[3]


def test_pages_go_on_where_they_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "ROWS", 2)
    reader = Reader([], [row(1, "10:00:00"), row(2, "10:00:00")], [row(3, "10:00:00")], [])
    reader.page()
    first = reader.page()
    assert first.more
    second = reader.page()
    assert not second.more
    assert [change.record.id[-1] for change in second.changed] == ["3"]
    assert "SystemModstamp = 2026-11-03T10:00:00.000Z AND Id > 'a00000000000000002'" in reader.told.asked[2]


def test_an_empty_module_begins_with_everything() -> None:
    reader = Reader([], [row(1, "10:00:00")])
    reader.page()
    assert reader.ids() == [1]
    assert "WHERE" not in reader.told.asked[1]


def test_a_cursor_stays_small() -> None:
    many = [row(number, "10:00:00") for number in range(900)]
    reader = Reader([], many)
    reader.page()
    assert len(reader.page().changed) == 900
    assert len(reader.cursor or "") < 4000


@pytest.mark.parametrize("cursor", ["", "x", "[]", json.dumps({"ticket__c": 5})])
def test_a_cursor_that_is_none_is_expired(cursor: str) -> None:
    reader = Reader([])
    reader.cursor = cursor
    with pytest.raises(CursorExpired):
        reader.page()
