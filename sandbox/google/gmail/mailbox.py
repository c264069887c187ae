"""One user's mailbox: messages, threads, labels and the history of every change.

All methods expect the vendor's lock to be held.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.frame.clock import Clock
from sandbox.google.gmail.labels import SYSTEM, Label
from sandbox.google.gmail.mime import Mail

Json = dict[str, Any]
THREAD_LIMIT = 100  # messages; then Gmail starts another thread (`providers.md 1.6`)
HISTORY_DAYS = 7


@dataclass(slots=True, eq=False)
class Stored:
    """One message in one mailbox."""

    id: str
    thread_id: str
    mail: Mail
    labels: set[str]
    internal_date: int  # milliseconds
    history_id: int
    indexed_at: float  # when search begins to find it, sandbox time
    visible_at: float = 0.0  # when get begins to find it

    @property
    def order(self) -> tuple[int, str]:
        """For lists: newest first means descending by this."""
        return self.internal_date, self.id


@dataclass(frozen=True, slots=True)
class Record:
    """One history record; `kind` is a historyType, `changed` the labels of a label record."""

    id: int
    kind: str
    message: str
    thread: str
    labels: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(slots=True)
class History:
    """Records in ascending order, and when each id was last the current one."""

    rng: random.Random
    clock: Clock
    current: int = 0
    records: list[Record] = field(default_factory=list)
    marks: list[list[float]] = field(default_factory=list)  # [id, last time it was handed out or current]

    def next(self) -> int:
        """A new id, with a random gap to the last one."""
        self.touch()
        self.current += self.rng.randint(1, 29)
        self.touch()
        return self.current

    def touch(self) -> int:
        """Note that the current id is current now, and return it."""
        now = self.clock.time()
        if self.marks and self.marks[-1][0] == self.current:
            self.marks[-1][1] = now
        else:
            self.marks.append([self.current, now])
        return self.current

    def knows(self, start: int, days: float) -> bool:
        """Whether a cursor is still good: not older than `days`, not from the future."""
        if start > self.current or not self.marks or start < self.marks[0][0]:
            return False
        oldest = self.clock.time() - days * 86400
        while len(self.marks) > 1 and self.marks[0][1] < oldest:
            self.marks.pop(0)
        return start >= self.marks[0][0] and self.marks[0][1] >= oldest

    def expire(self) -> None:
        """Make every cursor that was ever handed out too old."""
        self.current += self.rng.randint(1000, 9000)
        self.marks = [[self.current, self.clock.time()]]
        self.records.clear()


class Mailbox:
    """Messages with Gmail's threading, labels and history."""

    def __init__(
        self,
        address: str,
        clock: Clock,
        rng: random.Random,
        settings: Mapping[str, Any],
        changed: Callable[[Mailbox], None],
    ) -> None:
        self.address = address
        self._settings = settings
        self.clock = clock
        self.rng = rng
        self._changed = changed
        self.messages: dict[str, Stored] = {}
        self.threads: dict[str, list[Stored]] = {}
        self.labels: dict[str, Label] = {name: Label(name, name, "system") for name in SYSTEM}
        self.history = History(rng, clock, current=rng.randint(20_000, 900_000))
        self.history.touch()
        self.filters: dict[str, Json] = {}
        self.watch: Json | None = None
        self.label_serial = 0
        self.drafts: dict[str, Any] = {}  # what people write through the control API, by the draft's constant id
        self._mentioned: dict[str, set[str]] = {}  # Message-ID -> threads that contain or reference it

    # ---- messages ------------------------------------------------------------------------

    def add(
        self,
        mail: Mail,
        labels: Iterable[str],
        date_ms: int,
        thread_id: str,
        *,
        index_delay: float = 0.0,
        vanish: float = 0.0,
        record: bool = True,
    ) -> Stored:
        """Store a message; `thread_id` "" starts a thread of its own."""
        now = self.clock.time()
        ident = f"{(int(now * 1000) << 20) | self.rng.getrandbits(20):x}"
        while ident in self.messages:
            ident = f"{(int(now * 1000) << 20) | self.rng.getrandbits(20):x}"
        stored = Stored(
            ident, thread_id or ident, mail, set(labels), date_ms, self.history.next(), now + index_delay, now + vanish
        )
        self.messages[ident] = stored
        self.threads.setdefault(stored.thread_id, []).append(stored)
        for known in {mail.message_id, *mail.references} - {""}:
            self._mentioned.setdefault(known, set()).add(stored.thread_id)
        if record:
            self._record(stored, "messageAdded", ())
        return stored

    def thread_for(self, mail: Mail) -> str:
        """The thread that an arriving mail joins, or "": common references and the same subject."""
        ids = {mail.message_id, *mail.references} - {""}
        candidates = {thread for ident in ids for thread in self._mentioned.get(ident, ())}
        for thread in sorted(candidates, reverse=True):
            if self.fits(mail, thread):
                return thread
        return ""

    def fits(self, mail: Mail, thread_id: str) -> bool:
        """Whether References or In-Reply-To, the subject and the room in the thread all allow it."""
        stored = self.threads.get(thread_id, [])
        if (
            not stored
            or len(stored) >= self._settings["gmail_thread_limit"]
            or stored[0].mail.plain_subject != mail.plain_subject
        ):
            return False
        theirs = {i for s in stored for i in (s.mail.message_id, *s.mail.references)} - {""}
        return bool(theirs & {mail.message_id, *mail.references})

    def change(self, stored: Stored, add: Iterable[str] = (), remove: Iterable[str] = ()) -> list[Record]:
        """Set and take off labels; one record for each direction, none when nothing changes."""
        removed = sorted(set(remove) & stored.labels)
        added = sorted(set(add) - stored.labels)
        out = []
        if added:
            stored.labels.update(added)
            stored.history_id = self.history.next()
            out.append(self._record(stored, "labelAdded", tuple(added)))
        if removed:
            stored.labels.difference_update(removed)
            stored.history_id = self.history.next()
            out.append(self._record(stored, "labelRemoved", tuple(removed)))
        return out

    def delete(self, stored: Stored) -> None:
        """Gone for ever."""
        del self.messages[stored.id]
        thread = self.threads[stored.thread_id]
        thread.remove(stored)
        if not thread:
            del self.threads[stored.thread_id]
        stored.history_id = self.history.next()
        self._record(stored, "messageDeleted", ())

    def _record(self, stored: Stored, kind: str, changed: tuple[str, ...]) -> Record:
        record = Record(stored.history_id, kind, stored.id, stored.thread_id, tuple(sorted(stored.labels)), changed)
        self.history.records.append(record)
        self._changed(self)
        return record

    # ---- labels -----------------------------------------------------------------------------

    def label(self, name: str) -> Label:
        """By id or name; LookupError when there is none."""
        found = self.labels.get(name) or next((x for x in self.labels.values() if x.name.lower() == name.lower()), None)
        if found is None:
            raise LookupError(f"{self.address} has no label {name!r}")
        return found

    def add_label(self, label: Label) -> None:
        """Make a label known."""
        self.labels[label.id] = label
        self.history.next()

    def next_label_id(self) -> str:
        """Ids are never used again."""
        self.label_serial += 1
        return f"Label_{self.label_serial}"

    def drop_label(self, label: Label) -> None:
        """Remove the label; the messages stay (`providers.md GM-7`), with a record each if the setting says so."""
        for stored in self.with_label(label.id):
            if self._settings["gmail_label_delete_history"]:
                self.change(stored, remove=[label.id])
            else:
                stored.labels.discard(label.id)
        del self.labels[label.id]
        self.history.next()

    def with_label(self, label_id: str) -> list[Stored]:
        """Messages that wear it, in no order."""
        return [stored for stored in self.messages.values() if label_id in stored.labels]
