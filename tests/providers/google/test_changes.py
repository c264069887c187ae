"""Folding Gmail's history (providers.md 1.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.errors import CursorExpired
from sync.model import Seen
from sync.providers.google import changes
from sync.providers.google.http import Api, service
from tests.contracts.mail_world import CountingMeter
from tests.providers.google.fake_http import Answer, FakeHttp, refusal

Record = dict[str, Any]
DROP = "Label_1"


def event(kind: str, message: str, labels: Iterable[str] | None, *changed: str) -> Record:
    """One record with one event; its `messages[]` repeats it, as Gmail's does."""
    plain: Record = {"id": message, "threadId": f"t-{message}"}
    entry: Record = {"message": plain if labels is None else {**plain, "labelIds": sorted(labels)}}
    return {"messages": [plain], kind: [{**entry, "labelIds": list(changed)} if changed else entry]}


def numbered(*records: Record) -> list[Record]:
    return [{"id": str(1000 + 7 * number), **record} for number, record in enumerate(records)]


def fold(*records: Record) -> dict[str, Seen]:
    return {seen.id: seen for seen in changes.fold(numbered(*records))}


CASES: Mapping[str, tuple[Sequence[Record], set[str] | None, bool]] = {
    "arrives": ([event("messagesAdded", "m", {"INBOX", "UNREAD"})], {"INBOX", "UNREAD"}, False),
    "arrives labelled": ([event("messagesAdded", "m", {"INBOX", DROP})], {"INBOX", DROP}, False),
    "arrives labelled past the Inbox": ([event("messagesAdded", "m", {DROP})], {DROP}, True),
    "is sent": ([event("messagesAdded", "m", {"SENT"})], {"SENT"}, False),
    "a draft is saved": ([event("messagesAdded", "m", {"DRAFT"})], {"DRAFT"}, False),
    "is copied": ([event("labelsAdded", "m", {"INBOX", DROP}, DROP)], {"INBOX", DROP}, False),
    "is moved, labels of then": (
        [event("labelsAdded", "m", {"INBOX", DROP}, DROP), event("labelsRemoved", "m", {DROP}, "INBOX")],
        {DROP},
        False,
    ),
    "is moved, labels of now": (
        [event("labelsAdded", "m", {DROP}, DROP), event("labelsRemoved", "m", {DROP}, "INBOX")],
        {DROP},
        False,
    ),
    "is moved, Inbox first": (
        [event("labelsRemoved", "m", set(), "INBOX"), event("labelsAdded", "m", {DROP}, DROP)],
        {DROP},
        False,
    ),
    "is moved, one record": (
        [{**event("labelsAdded", "m", {DROP}, DROP), **event("labelsRemoved", "m", {DROP}, "INBOX")}],
        {DROP},
        False,
    ),
    "was archived before": ([event("labelsAdded", "m", {DROP}, DROP)], {DROP}, True),
    "was archived, sent": ([event("labelsAdded", "m", {"SENT", DROP}, DROP)], {"SENT", DROP}, False),
    "labels are not told": ([event("labelsAdded", "m", None, DROP)], {DROP}, True),
    "is taken back": (
        [event("labelsAdded", "m", {"INBOX", DROP}, DROP), event("labelsRemoved", "m", {"INBOX"}, DROP)],
        {"INBOX"},
        False,
    ),
    "told twice": ([event("labelsAdded", "m", {"INBOX", DROP}, DROP)] * 2, {"INBOX", DROP}, False),
    "only loses a label": ([event("labelsRemoved", "m", {"INBOX"}, "UNREAD")], None, False),
    "an empty record": ([{"messages": [{"id": "m", "threadId": "t"}]}], None, False),
}


@pytest.mark.parametrize("name", CASES)
def test_a_message_that(name: str) -> None:
    records, labels, archived = CASES[name]
    seen = fold(*records)
    arrived = any("messagesAdded" in one for one in records) and not (labels or set()) & changes.NO_ARRIVAL
    expected = {} if labels is None else {"m": Seen("m", "t-m", frozenset(labels), archived, arrived)}
    assert seen == expected


@pytest.mark.parametrize(
    ("records", "arrived"),
    [
        ([event("messagesAdded", "m", {"INBOX"})], True),
        ([event("messagesAdded", "m", {"SENT"})], True),
        ([event("messagesAdded", "m", {DROP})], True),
        ([event("messagesAdded", "m", {"CHAT"})], False),
        ([event("messagesAdded", "m", {"SPAM", "UNREAD"})], False),
        ([event("messagesAdded", "m", {"INBOX"}), event("labelsAdded", "m", {"TRASH"}, "TRASH")], False),
        ([event("labelsAdded", "m", {"INBOX", DROP}, DROP)], False),
        ([event("labelsAdded", "m", {"SENT"}, "SENT"), event("labelsRemoved", "m", {"SENT"}, "DRAFT")], True),
        ([event("labelsRemoved", "m", {"UNREAD"}, "SPAM")], True),
        ([event("labelsRemoved", "m", {"TRASH"}, "SPAM")], False),
    ],
)
def test_what_arrived(records: Sequence[Record], arrived: bool) -> None:
    assert fold(*records)["m"].arrived is arrived


def test_a_message_that_begins_its_thread_is_a_split() -> None:
    one, other = event("messagesAdded", "a", {"INBOX"}), event("messagesAdded", "b", {"INBOX"})
    one["messagesAdded"][0]["message"]["threadId"] = "a"
    assert {key: seen.split for key, seen in fold(one, other).items()} == {"a": True, "b": False}


def test_several_events_in_one_record() -> None:
    record = event("labelsAdded", "a", {DROP}, DROP)
    record["labelsAdded"] += event("labelsAdded", "b", {"INBOX", DROP}, DROP)["labelsAdded"]
    assert {key: seen.archived for key, seen in fold(record).items()} == {"a": True, "b": False}


LABELS = ("INBOX", "UNREAD", DROP, "Label_2")


@given(
    start=st.sets(st.sampled_from(LABELS)),
    steps=st.lists(st.tuples(st.booleans(), st.sampled_from(LABELS)), min_size=1, max_size=12),
    of_now=st.booleans(),
    again=st.booleans(),
)
def test_the_fold_is_what_the_message_carries_in_the_end(
    start: set[str], steps: list[tuple[bool, str]], of_now: bool, again: bool
) -> None:
    """Whether the records tell the labels of then or of now, and whether a change is told twice."""
    states = [set(start)]
    events = []
    for add, label in steps:
        if (label in states[-1]) != add:
            states.append(states[-1] | {label} if add else states[-1] - {label})
            events.append(("labelsAdded" if add else "labelsRemoved", label))
    records = []
    for number, (kind, label) in enumerate(events, 1):
        told = states[-1] if of_now else states[number]
        records += [event(kind, "m", told, label)] * (2 if again else 1)
    seen = fold(*records)
    gained = [label for kind, label in events if kind == "labelsAdded"]
    assert set(seen) == ({"m"} if gained else set())
    if gained:
        assert seen["m"].labels == states[-1]
        if "INBOX" in states[0] or ("labelsRemoved", "INBOX") in events:
            assert not seen["m"].archived


# --- pages ----------------------------------------------------------------------------------------------------------


def reading(answers: list[Answer]) -> tuple[Api, FakeHttp, CountingMeter]:
    meter = CountingMeter()
    fake = FakeHttp(lambda *request: answers.pop(0))
    return Api(service(), lambda: fake, meter), fake, meter


def test_all_pages_are_read_and_the_cursor_is_the_last_pages() -> None:
    first, second = numbered(event("labelsAdded", "a", {DROP}, DROP), event("labelsAdded", "b", {DROP}, DROP))
    api, fake, meter = reading(
        [
            (200, {"history": [first], "historyId": "2000", "nextPageToken": "next"}),
            (200, {"history": [second], "historyId": "2005"}),
        ]
    )
    page = changes.read(api, "900")
    assert ([seen.id for seen in page.changed], page.cursor, page.more) == (["a", "b"], "2005", False)
    assert meter.spent == [("history.list", 2, 1)] * 2
    assert "maxResults=500" in fake.requests[0]
    assert "labelId" not in fake.requests[0]
    assert "pageToken=next" in fake.requests[1]


def test_nothing_new() -> None:
    api, _, _ = reading([(200, {"historyId": "2000"})])
    page = changes.read(api, "1999")
    assert (page.changed, page.cursor, page.more) == ((), "2000", False)


def test_a_long_history_is_cut_between_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cut is before the last message's records: its way out of the Inbox may stand on the next page."""
    monkeypatch.setattr(changes, "MAX_PAGES", 1)
    records = numbered(
        event("labelsAdded", "a", {DROP}, DROP),
        event("labelsRemoved", "a", {DROP}, "INBOX"),
        event("labelsAdded", "b", {DROP}, DROP),
        event("labelsRemoved", "b", {DROP}, "INBOX"),
    )
    api, fake, _ = reading(
        [
            (200, {"history": records[:3], "historyId": "2000", "nextPageToken": "next"}),
            (200, {"history": records[2:], "historyId": "2000"}),
        ]
    )
    page = changes.read(api, "900")
    assert ([seen.id for seen in page.changed], page.cursor, page.more) == (["a"], records[1]["id"], True)
    page = changes.read(api, page.cursor)
    assert page.changed == (Seen("b", "t-b", frozenset({DROP})),)
    assert (page.cursor, page.more) == ("2000", False)
    assert f"startHistoryId={records[1]['id']}" in fake.requests[1]


def test_a_long_history_of_one_message_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MAX_PAGES", 1)
    records = numbered(*[event("labelsAdded", "a", {DROP}, DROP)] * 3)
    api, _, _ = reading([(200, {"history": records, "historyId": "2000", "nextPageToken": "next"})])
    page = changes.read(api, "900")
    assert ([seen.id for seen in page.changed], page.cursor, page.more) == (["a"], records[-1]["id"], True)


@pytest.mark.parametrize("answer", [refusal(404, "notFound"), refusal(400, "invalidArgument")])
def test_a_cursor_that_is_not_known_is_expired(answer: Answer) -> None:
    api, _, _ = reading([answer])
    with pytest.raises(CursorExpired):
        changes.read(api, "1")
