"""Gmail history, folded per message (providers.md 1.4).

A message that arrives already labelled appears only as added; one that was dropped appears with the label added, and
with INBOX removed when it was moved. The same change may be told twice. `messages[]` of a record repeats the typed
lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sync.errors import CursorExpired, Missing, Rejected
from sync.model import Page, Seen
from sync.providers.google import errors
from sync.providers.google.http import Api, Call

HISTORY_TYPES = ("messageAdded", "labelAdded", "labelRemoved")
PAGE_RECORDS = 500
MAX_PAGES = 20  # of one answer: 10,000 records and 40 units; then `more`
INBOX = "INBOX"
OUTGOING = frozenset({"SENT", "DRAFT"})  # a message with one of them was not received
NO_ARRIVAL = frozenset({"DRAFT", "SPAM", "TRASH", "CHAT"})  # nor did one with these arrive


@dataclass(slots=True)
class _State:
    thread: str = ""
    labels: set[str] = field(default_factory=set)
    arrived: bool = False
    gained: bool = False
    outside: bool = False  # it gained a label while INBOX was not on it
    left_inbox: bool = False

    def seen(self, message_id: str) -> Seen:
        archived = self.outside and not self.left_inbox and not self.labels & OUTGOING
        arrived = self.arrived and not self.labels & NO_ARRIVAL
        split = arrived and message_id == self.thread
        return Seen(message_id, self.thread, frozenset(self.labels), archived, arrived, split)


def read(api: Api, cursor: str | None) -> Page[Seen]:
    """What happened since `cursor`; see `MailProvider.changes`. 2 units per page of 500 records."""
    if cursor is None:
        profile = api.call(Call("getProfile", api.build.users.getProfile(userId="me")))
        return Page((), str(profile["historyId"]))
    records: list[Mapping[str, Any]] = []
    token: str | None = None
    for _ in range(MAX_PAGES):
        page = _page(api, cursor, token)
        records += page.get("history", ())
        token = page.get("nextPageToken")
        if not token:
            return Page(tuple(fold(records)), str(page["historyId"]))
    records = _whole_messages(records)
    return Page(tuple(fold(records)), str(records[-1]["id"]), more=True)


def _page(api: Api, cursor: str, token: str | None) -> dict[str, Any]:
    request = api.build.history.list(
        userId="me",
        startHistoryId=cursor,
        historyTypes=list(HISTORY_TYPES),
        maxResults=PAGE_RECORDS,
        **({"pageToken": token} if token else {}),
    )  # fmt: skip
    try:
        return api.call(Call("history.list", request))
    except (Missing, Rejected) as error:  # 400 is what a cursor of another shape gets
        raise CursorExpired(
            "the history is gone", vendor=errors.VENDOR, operation="history.list", status=error.status
        ) from error


def _whole_messages(records: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without the last message's trailing records: a move (label on, INBOX off) must not be split between answers."""
    last = _message_ids(records[-1])
    end = len(records)
    while end and _message_ids(records[end - 1]) & last:
        end -= 1
    return records[:end] or records


def _message_ids(record: Mapping[str, Any]) -> set[str]:
    return {event["message"]["id"] for kind in ("messagesAdded", "labelsAdded", "labelsRemoved")
            for event in record.get(kind, ())}  # fmt: skip


def fold(records: Iterable[Mapping[str, Any]]) -> Sequence[Seen]:
    """The messages that arrived or gained a label, in order of their first event, with the labels of their last.

    `archived`: it gained a label while INBOX was not on it, INBOX was not removed in the same stretch (then the user
    moved it), and it was received.
    """
    states: dict[str, _State] = {}
    for record in records:
        for kind in ("messagesAdded", "labelsAdded", "labelsRemoved"):
            for event in record.get(kind, ()):
                message = event["message"]
                _apply(states.setdefault(message["id"], _State()), kind, message, set(event.get("labelIds", ())))
    return [state.seen(key) for key, state in states.items() if state.arrived or state.gained]


def _apply(state: _State, kind: str, message: Mapping[str, Any], changed: set[str]) -> None:
    state.thread = message.get("threadId") or state.thread
    if "labelIds" in message:
        # Whether Gmail tells the labels of then or of now, what later records change comes out the same.
        state.labels = set(message["labelIds"])
    if kind == "labelsRemoved":
        state.labels -= changed
        state.left_inbox |= INBOX in changed
        state.arrived |= "SPAM" in changed
        return
    state.labels |= changed
    state.arrived |= kind == "messagesAdded" or "SENT" in changed
    state.gained |= kind == "labelsAdded"
    state.outside |= INBOX not in state.labels
