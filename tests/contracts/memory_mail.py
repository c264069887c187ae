"""The in-memory reference of `MailProvider`: the contract at its shortest, and a mailbox for tests of the engine."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count

from sync.core.labels import clean
from sync.core.mime import parse
from sync.errors import Busy, Conflict, CursorExpired, Missing, RemoteError
from sync.model import LabelMap, LabelTree, Mark, Message, Note, Outcome, Page, Seen
from sync.ports import Meter
from tests.contracts import memory_notes
from tests.contracts.mail_world import CountingMeter, State
from tests.contracts.memory_service import Allowance, Line, Service

PER_CALL = 50
BULK = 50.0  # units of a change of many mails at once, which is cheaper than 5 for each from 11 on (providers.md 1.1)
SYSTEM = frozenset({"INBOX", "SENT", "UNREAD", "STARRED", "DRAFT", "SPAM", "TRASH"})
ASIDE = frozenset({"DRAFT", "SPAM", "TRASH"})  # a message with one of them did not arrive


@lru_cache(maxsize=4096)
def _message_id(raw: bytes) -> str:
    return parse(raw).message_id


@dataclass(slots=True)
class _Mail:
    raw: bytes
    thread: str
    labels: set[str]
    received: float
    note: Note | None = None  # Mailspan put it there


@dataclass(frozen=True, slots=True)
class _Event:
    """One change of a message: its labels before (None: it arrived) and after."""

    number: int
    message: str
    before: frozenset[str] | None
    after: frozenset[str]


@dataclass(slots=True)
class MemoryMailbox:
    """What the server holds, with the user's hands on it. Ids and events are numbered as they come."""

    world: MemoryWorld
    mails: dict[str, _Mail] = field(default_factory=dict)
    paths: dict[str, tuple[str, ...]] = field(default_factory=dict)
    events: list[_Event] = field(default_factory=list)
    oldest: int = 0  # cursors before this number are too old
    allowance: Allowance | None = None
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def provider(self, meter: Meter | None = None) -> MemoryMail:
        return MemoryMail(self, Line(self.world, meter or CountingMeter(), self.allowance))

    def deliver(self, raw: bytes, *, labels: Sequence[str] = (), inbox: bool = True) -> str:
        return self.add(raw, {"UNREAD", *labels} | ({"INBOX"} if inbox else set()))

    def sent(self, raw: bytes, *, to_self: bool = False) -> str:
        return self.add(raw, {"SENT", "INBOX"} if to_self else {"SENT"})

    def draft(self, raw: bytes) -> str:
        return self.add(raw, {"DRAFT"})

    def junk(self, raw: bytes) -> str:
        return self.add(raw, {"SPAM", "UNREAD"})

    def throw_away(self, message_id: str) -> None:
        self.change(message_id, {"TRASH"}, {"INBOX"})

    def inside(self, label: str) -> Sequence[str]:
        return [key for key, mail in self.mails.items() if label in mail.labels and not mail.labels & ASIDE]

    def add(self, raw: bytes, labels: set[str], note: Note | None = None) -> str:
        parsed = parse(raw)
        known = {_message_id(mail.raw): mail.thread for mail in self.mails.values()}
        number = next(self._numbers)
        answered = [known[key] for key in (*parsed.references, parsed.in_reply_to) if key in known]
        full = {key for key in answered if sum(mail.thread == key for mail in self.mails.values()) >= self.world.thread}
        thread = next((key for key in answered if key not in full), f"thread-{number}")
        self.mails[f"mail-{number}"] = _Mail(raw, thread, labels, self.world.clock(), note)
        self.events.append(_Event(next(self._numbers), f"mail-{number}", None, frozenset(labels)))
        return f"mail-{number}"

    def change(self, key: str, add: Set[str], remove: Set[str]) -> None:
        """Labels on and off; only what really changes is an event."""
        mail = self.mails[key]
        before = frozenset(mail.labels)
        mail.labels = (mail.labels - remove) | add
        if mail.labels != before:
            self.events.append(_Event(next(self._numbers), key, before, frozenset(mail.labels)))

    def now(self) -> int:
        return max(self.events[-1].number if self.events else 0, self.oldest)

    def drop(self, message_id: str, label: str, *, move: bool = True) -> str:
        self.change(message_id, {label}, {"INBOX"} if move else set())
        return message_id

    def undrop(self, message_id: str, label: str) -> None:
        self.change(message_id, set(), {label})

    def archive(self, message_id: str) -> None:
        self.change(message_id, set(), {"INBOX"})

    def star(self, message_id: str) -> None:
        self.change(message_id, {"STARRED"}, set())

    def mark_read(self, message_id: str) -> None:
        self.change(message_id, set(), {"UNREAD"})

    def delete(self, message_id: str) -> None:
        del self.mails[message_id]

    def create_label(self, *path: str, marker: bool = False) -> str:
        key = f"label-{next(self._numbers)}"
        self.paths[key] = path
        return key

    def rename_label(self, label: str, name: str) -> None:
        self.move_label(label, *self.paths[label][:-1], name)

    def move_label(self, label: str, *path: str) -> None:
        """To another place or name; what lies below follows."""
        old = self.paths[label]
        for key, there in self.paths.items():
            if there[: len(old)] == old:
                self.paths[key] = (*path, *there[len(old) :])

    def delete_label(self, label: str) -> None:
        del self.paths[label]
        for mail in self.mails.values():
            mail.labels.discard(label)

    def labels(self) -> Mapping[str, tuple[str, ...]]:
        return dict(self.paths)

    def state(self, message_id: str) -> State:
        labels = self.mails[message_id].labels
        flags = {name: name.upper() in labels for name in ("inbox", "sent", "unread", "starred")}
        return State(frozenset(labels - SYSTEM), **flags)

    def thread(self, message_id: str) -> str:
        return self.mails[message_id].thread

    def tags(self, message_id: str) -> frozenset[str]:
        """All labels of a message, those of the system too."""
        return frozenset(self.mails[message_id].labels)

    def tag(self, message_id: str, label: str) -> None:
        self.change(message_id, {label}, set())

    def untag(self, message_id: str, labels: Set[str]) -> None:
        self.change(message_id, set(), labels)


@dataclass(slots=True)
class MemoryMail:
    """The adapter. Every remote call goes over the line, where it is paid, counted and may fail."""

    box: MemoryMailbox
    line: Line

    def ensure_tree(self, tree: LabelTree) -> LabelMap:
        self.line.call("labels.list")
        ids: dict[str, str] = {}
        created, renamed = [], []
        kept = {node.remote_id for node in tree.nodes if node.remote_id in self.box.paths}
        for node in tree.nodes:
            path = (*(self.box.paths[ids[node.parent]] if node.parent else ()), clean(node.name))
            found = node.remote_id if node.remote_id in self.box.paths else self._named(path, kept)
            if found is None:
                self.line.call("labels.create", 5, writes=True)
                found = self.box.create_label(*path)
                created.append(node.key)
            elif node.rename and self.box.paths[found] != path:
                self.line.call("labels.rename", 5, writes=True)
                self.box.rename_label(found, path[-1])
                renamed.append(node.key)
            kept.add(found)
            ids[node.key] = found
        return LabelMap(ids, tuple(created), tuple(renamed))

    def _named(self, path: tuple[str, ...], taken: Collection[str | None]) -> str | None:
        wanted = [part.casefold() for part in path]
        same = (key for key, there in self.box.paths.items() if [part.casefold() for part in there] == wanted)
        return next((key for key in same if key not in taken), None)

    def changes(self, cursor: str | None, labels: Sequence[str] = ()) -> Page[Seen]:
        if cursor is None:
            self.line.call("changes")
            return Page((), str(self.box.now()))
        with self.line.answer("changes", 2) as trouble:
            if not cursor.isdigit() or int(cursor) < self.box.oldest:
                raise CursorExpired("too old")
            fresh = [event for event in self.box.events if event.number > int(cursor)]
            page = fresh[: self.box.world.page]
            more = len(page) < len(fresh)
            seen = () if trouble == "empty" else self._folded(page)
            return Page(seen, str(page[-1].number) if page else cursor, more=more)

    def _folded(self, events: Sequence[_Event]) -> tuple[Seen, ...]:
        stretches: dict[str, list[_Event]] = {}
        for event in events:
            stretches.setdefault(event.message, []).append(event)
        return tuple(self._seen(key, stretch) for key, stretch in stretches.items() if any(map(_gained, stretch)))

    def _seen(self, key: str, stretch: Sequence[_Event]) -> Seen:
        left = any("INBOX" in (event.before or ()) and "INBOX" not in event.after for event in stretch)
        outside = any(_gained(event) and "INBOX" not in event.after for event in stretch)
        labels = stretch[-1].after
        arrived = any(_arrived(event) for event in stretch) and not labels & ASIDE
        archived = outside and not left and "SENT" not in labels
        return Seen(key, self._thread(key), labels, archived, arrived, arrived and self._begins(key))

    def _begins(self, key: str) -> bool:
        return self._thread(key).rpartition("-")[2] == key.rpartition("-")[2]

    def _thread(self, key: str) -> str:
        return self.box.mails[key].thread if key in self.box.mails else ""

    def dropped(self, labels: Sequence[str]) -> Sequence[Seen]:
        wanted = set(labels)
        found = [
            Seen(key, mail.thread, frozenset(mail.labels & wanted))
            for key, mail in self.box.mails.items()
            if mail.labels & wanted and not mail.labels & ASIDE
        ]
        return self.line.listing(
            "dropped", max(len(wanted), 1) + 5.0 * len({one for seen in found for one in seen.labels}), found
        )

    def read(self, ids: Sequence[str]) -> Mapping[str, Message | RemoteError]:
        out: dict[str, Message | RemoteError] = {}
        unique = list(dict.fromkeys(ids))
        for start in range(0, len(unique), PER_CALL):
            part = unique[start : start + PER_CALL]
            self.line.call("read", 20.0 * len(part))
            for key in part:
                out[key] = self._message(key) if key in self.box.mails else Missing("gone")
        return out

    def _message(self, key: str) -> Message | RemoteError:
        if self.box.world.part_throttled:
            self.box.world.part_throttled = False
            return Busy("one part was refused", retry_after=1.0)
        mail = self.box.mails[key]
        return Message(
            id=key,
            thread=mail.thread,
            labels=frozenset(mail.labels),
            direction="sent" if "SENT" in mail.labels else "received",
            mime=parse(mail.raw),
            received=datetime.fromtimestamp(mail.received, UTC),
            size=len(mail.raw),
        )

    def settle(self, marks: Sequence[Mark]) -> Sequence[Outcome]:
        if not marks:
            return []
        with self.line.answer("settle", min(5.0 * len(marks), BULK), writes=True) as trouble:
            return [self._settled(mark) for mark in (marks[: len(marks) // 2] if trouble == "cut" else marks)]

    def _settled(self, mark: Mark) -> Outcome:
        if mark.id not in self.box.mails:
            return Outcome(mark.id, Missing("gone"))
        if not mark.add <= self.box.paths.keys() | SYSTEM:
            return Outcome(mark.id, Conflict("a label is gone"))
        back = mark.home and "SENT" not in self.box.mails[mark.id].labels
        self.box.change(mark.id, set(mark.add) | ({"INBOX"} if back else set()), set(mark.remove))
        return Outcome(mark.id)

    def remove(self, labels: Sequence[str]) -> Sequence[Outcome]:
        if not labels:
            return []
        with self.line.answer("remove", 1.0 + 6.0 * len(labels), writes=True) as trouble:
            return [self._removed(label) for label in (labels[: len(labels) // 2] if trouble == "cut" else labels)]

    def _removed(self, label: str) -> Outcome:
        path = self.box.paths.get(label, ())
        below = any(len(there) > len(path) and there[: len(path)] == path for there in self.box.paths.values())
        if path and (below or self.box.inside(label)):
            return Outcome(label, Conflict("a mail or a label lies in it"))
        if path:
            self.box.delete_label(label)
        return Outcome(label)

    def present(self, labels: Sequence[str]) -> frozenset[str]:
        if not labels:
            return frozenset()
        self.line.call("labels.list")
        return frozenset(labels) & self.box.paths.keys()

    def conversations(self, threads: Sequence[str]) -> Mapping[str, Sequence[Seen]]:
        if not threads:
            return {}
        self.line.call("conversations", 40.0 * len(set(threads)))
        out: dict[str, list[Seen]] = {thread: [] for thread in threads}
        for key, mail in self.box.mails.items():
            if mail.thread in out and not mail.labels & ASIDE:
                out[mail.thread].append(Seen(key, mail.thread, frozenset(mail.labels), at=mail.received))
        return {thread: sorted(found, key=lambda seen: seen.at) for thread, found in out.items()}

    def put(self, notes: Sequence[Note]) -> Sequence[Outcome]:
        return memory_notes.put(self.box, self.line, notes) if notes else []

    def take(self, ids: Sequence[str]) -> Sequence[Outcome]:
        return memory_notes.take(self.box, self.line, ids) if ids else []

    def lag(self, labels: Sequence[str]) -> Mapping[str, float]:
        self.line.call("lag", 25)
        lying = {label: [mail.received for mail in self.box.mails.values() if label in mail.labels] for label in labels}
        return {label: min(dates) for label, dates in lying.items() if dates}


def _gained(event: _Event) -> bool:
    return event.before is None or bool(event.after - event.before)


def _arrived(event: _Event) -> bool:
    """It came, or the user took it out of the junk."""
    return event.before is None or ("SPAM" in event.before and "SPAM" not in event.after)


@dataclass(slots=True)
class MemoryWorld(Service):
    """Mailboxes with labels. `name`, `places`, `named_markers` and `cuts` as in `MailWorld`."""

    name: str = "memory"
    places: bool = False
    named_markers: bool = False
    cuts: bool = True
    thread: int = 100  # mails of a conversation; the next one begins another
    boxes: list[MemoryMailbox] = field(default_factory=list)

    def mailbox(self) -> MemoryMailbox:
        self.boxes.append(MemoryMailbox(self))
        return self.boxes[-1]

    def read_calls(self, count: int) -> int:
        return -(-count // PER_CALL)

    def settle_calls(self, count: int) -> int:
        return 1

    def expire_cursors(self) -> None:
        for box in self.boxes:
            box.oldest = next(box._numbers)
