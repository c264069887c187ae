"""What changed in a mailbox (providers.md 2.3, 2.5): changes come per folder only, so a look asks for

- the changes of Inbox and Sent Items: what arrived, and what was moved out of them;
- what lies in the drop folders that are not empty, and what wears the trigger categories, wherever it is;

all in one HTTP call. The cursor holds the links to the next changes, and short digests of what was told already, so
that each drop is told once.

A message has arrived (or was sent) when it was received since the last look, give or take an hour, and was not met
before. Graph tells changes of messages, not their kind, and mail may be held up on its way: so the cursor remembers who
was met of the last hour, by Message-ID and date, which a moved message and a copy keep. What a rule moves on arrival to
a folder that is not looked into is out of reach of looks that cost the same however many folders there are.

A message that arrives with the trigger category on it is not a user's act (product.md 9 F4.5). Graph does not tell who
set a category; it tells when the message was created and last modified. One that nobody has changed since it came
(`Item.untouched`), and that was not seen without it, brought its categories along: it is kept in the cursor, and its
trigger category is not told until the category was off in between. What a client copies onto a mail later than that
looks like a user's act.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sync.errors import CursorExpired, Missing, Rejected, RemoteError
from sync.model import Page, Seen
from sync.providers.microsoft import errors
from sync.providers.microsoft.calls import Calls
from sync.providers.microsoft.http import Api
from sync.providers.microsoft.item import Item, Memory, category_name, digest
from sync.providers.microsoft.level import Level
from sync.providers.microsoft.listing import Found, Listing, collect

WATCHED = ("inbox", "sentitems")
WINDOW = timedelta(days=1)  # a new delta begins with the mail of this time
RENEW = timedelta(days=7)  # a filtered delta tells at most 5,000 messages: it is begun anew before it has grown
MAX_PAGES = 20  # of one answer; then `more`
MOST_DIGESTS = 5_000
LATE = 3_600.0  # seconds that a message may be under way between its date of receipt and a folder


@dataclass(frozen=True, slots=True)
class Cursor:
    """Between two looks. `told`: digests of (message, label) that were reported; `born`: of messages that arrived with
    the trigger category; `began`: when the deltas began, epoch seconds; `since`: what was received before that is no
    arrival; `met`: the digest of each message that was met and received since then, and when it was received."""

    links: Mapping[str, str]
    began: float
    told: frozenset[str]
    born: frozenset[str]
    since: float
    met: Mapping[str, float]

    def write(self) -> str:
        return json.dumps(
            {
                "v": 2,
                "links": dict(self.links),
                "began": round(self.began),
                "told": sorted(self.told)[:MOST_DIGESTS],
                "born": sorted(self.born)[:MOST_DIGESTS],
                "since": round(self.since),
                "met": {key: round(at) for key, at in _latest(self.met)},
            },
            separators=(",", ":"),
        )

    @classmethod
    def read(cls, text: str) -> Cursor:
        """Raises `CursorExpired` for a text that is none of ours."""
        try:
            body = json.loads(text)
            links = {name: str(body["links"][name]) for name in WATCHED}
            met = {str(key): float(at) for key, at in body["met"].items()}
            told, born = frozenset(body["told"]), frozenset(body["born"])
            found = cls(links, float(body["began"]), told, born, float(body["since"]), met)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CursorExpired("no cursor of ours", vendor=errors.VENDOR, operation="messages.delta") from error
        if not all(link.startswith("/") for link in links.values()):
            raise CursorExpired("no cursor of ours", vendor=errors.VENDOR, operation="messages.delta")
        return found


def _latest(met: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(met.items(), key=lambda one: (-one[1], one[0]))[:MOST_DIGESTS]


def read(api: Api, calls: Calls, memory: Memory, text: str | None, labels: Sequence[str]) -> Page[Seen]:
    """What happened since the cursor; see `MailProvider.changes`."""
    level = Level(api, calls, memory, labels)
    if text is None:
        return _begin(api, calls, memory, level)
    cursor = Cursor.read(text)
    memory.born |= cursor.born  # a cursor that has expired still tells these
    began, fresh = cursor.began, None
    if _now().timestamp() - began > RENEW.total_seconds():
        # The new delta is begun before the old one is read for the last time: what comes in between is told twice.
        began, fresh = _now().timestamp(), _deltas(collect(api, calls, _first(calls)))
    asked = {("delta", name): calls.page(cursor.links[name], method="messages.delta", delta=True) for name in WATCHED}
    answers = collect(api, calls, {**level.ask(), **asked}, most=MAX_PAGES)
    deltas = _deltas(answers)
    lying = level.read(answers)
    changed = _changed(memory, deltas)
    told, born = _told(memory, lying)
    more = any(delta.cut for delta in deltas.values())
    kept = fresh if fresh is not None and not more else deltas
    links = {name: kept[name].link for name in WATCHED}
    began = began if not more else cursor.began
    since = cursor.since if more else max(cursor.since, _now().timestamp() - LATE)
    met = _met(since, changed, lying, cursor.met)
    after = Cursor(links, began, told, born, since, met)
    return Page(_seen(memory, changed, lying, cursor), after.write(), more=more)


def _begin(api: Api, calls: Calls, memory: Memory, level: Level) -> Page[Seen]:
    answers = collect(api, calls, {**level.ask(), **_first(calls)})
    deltas = _deltas(answers)
    lying = level.read(answers)
    told, born = _told(memory, lying)
    changed = _changed(memory, deltas)
    links = {name: delta.link for name, delta in deltas.items()}
    now = _now().timestamp()
    met = _met(now - LATE, changed, lying, {})
    return Page((), Cursor(links, now, told, born, now - LATE, met).write())


def _first(calls: Calls) -> dict[tuple[str, str], Any]:
    since = (_now() - WINDOW).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {("delta", name): calls.delta(name, since) for name in WATCHED}


def _deltas(answers: Mapping[tuple[str, str], Found]) -> dict[str, Listing]:
    out: dict[str, Listing] = {}
    for name in WATCHED:
        found = answers[("delta", name)]
        if isinstance(found, Missing | Rejected | CursorExpired):
            raise CursorExpired(
                "the changes are gone", vendor=errors.VENDOR, operation="messages.delta", status=found.status
            )
        if isinstance(found, RemoteError):
            raise found
        out[name] = found if isinstance(found, Listing) and found.link else Listing()
        if not out[name].link:
            raise CursorExpired("the changes tell no next link", vendor=errors.VENDOR, operation="messages.delta")
    return out


def _changed(memory: Memory, deltas: Mapping[str, Listing]) -> dict[str, Item]:
    """Messages that came or changed, as they are in the end; and which left their folder, which tells a move from a
    copy."""
    here: dict[str, Item] = {}
    for name, delta in deltas.items():
        for body in delta.values:
            key = str(body["id"])
            if "@removed" in body:
                memory.leave(key, name)
                if key in here and here[key].folder == memory.places.get(name):
                    del here[key]
            else:
                here[key] = memory.meet(Item.read(body))
    return {key: item for key, item in here.items() if not item.draft}


def _told(memory: Memory, lying: Mapping[str, Sequence[Item]]) -> tuple[frozenset[str], frozenset[str]]:
    """The digests for the next cursor; `memory.born` is brought up to date."""
    told = frozenset(digest(item.id, label) for label, items in lying.items() for item in items)
    wearing = [item for label, items in lying.items() if category_name(label) for item in items]
    memory.born = frozenset(digest(item.id) for item in wearing if memory.ignores(item))
    return told, memory.born


def _met(
    since: float, changed: Mapping[str, Item], lying: Mapping[str, Sequence[Item]], before: Mapping[str, float]
) -> dict[str, float]:
    """Who was met, of those that were received since then."""
    items = (*changed.values(), *(item for items in lying.values() for item in items))
    now = {_who(item): _at(item) for item in items}
    return {key: at for key, at in {**before, **now}.items() if at >= since}


def _who(item: Item) -> str:
    """What a message keeps when it is moved or copied."""
    return digest(item.message_id or item.id, f"{_at(item):.0f}")


def _at(item: Item) -> float:
    return item.received.timestamp() if item.received else 0.0


def _seen(
    memory: Memory, changed: Mapping[str, Item], lying: Mapping[str, Sequence[Item]], before: Cursor
) -> tuple[Seen, ...]:
    """What came or changed, and what lies where it was not seen to lie before."""
    out: dict[str, Item] = dict(changed)
    for label, items in lying.items():
        for item in items:
            ignored = bool(category_name(label)) and memory.ignores(item)
            if digest(item.id, label) not in before.told and not ignored:
                out[item.id] = item
    return tuple(
        seen(memory, item, arrived=_at(item) >= before.since and _who(item) not in before.met) for item in out.values()
    )


def seen(memory: Memory, item: Item, *, arrived: bool = False) -> Seen:
    """Where a mail lay before it was dropped cannot be told for certain: `archived` is false."""
    labels = memory.labels(item)
    told = labels - memory.triggers if memory.ignores(item) else labels
    return Seen(item.id, item.thread, told, arrived=arrived and not memory.aside(item), at=_at(item))


def _now() -> datetime:
    return datetime.now(UTC)
