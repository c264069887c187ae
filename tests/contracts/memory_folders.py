"""A mail system with folders and categories in memory (providers.md 2.2 to 2.5): a second reference of `MailProvider`.

A mail lies in exactly one folder and keeps its id when it is moved; a copy is another message with the same Message-ID.
Categories are names on a mail, whether or not a master list has them. Deleted folders and mails lie in Deleted Items.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

from sync.core.mime import parse
from sync.errors import Busy, Conflict, CursorExpired, Missing, RemoteError
from sync.model import LabelMap, LabelTree, Mark, Message, Note, Outcome, Page, Seen
from sync.ports import Meter
from tests.contracts import memory_folder_notes as folder_notes
from tests.contracts import memory_folder_tree as folder_tree
from tests.contracts.mail_world import CountingMeter, State
from tests.contracts.memory_folder_tree import BIN, ROOT, Folder, category, name_of
from tests.contracts.memory_service import Allowance, Line, Service

ASIDE = (BIN, "drafts", "junkemail")  # what lies there did not arrive
PLACES = ("inbox", "sentitems", "archive", *ASIDE)
WATCHED = ("inbox", "sentitems")
PER_CALL = 20  # parts of one batch
LOOK = 3.0  # requests of a look, beside those for each drop folder and trigger category
FOLDER = 1.0
FEW = 2  # folders that are looked into one by one; of more, their parents tell which are not empty


@dataclass(slots=True)
class _Mail:
    raw: bytes
    message_id: str
    thread: str
    folder: str
    received: float  # no two that arrived have the same
    sender: str = ""
    categories: list[str] = field(default_factory=list)
    came_with: set[str] = field(default_factory=set)  # folded categories that it had on arrival and has had ever since
    unread: bool = True
    flagged: bool = False
    changed: int = 0  # number of the last change
    came: int = 0  # number of its arrival; 0: it is a copy or a note
    note: Note | None = None  # Mailspan put it there


@dataclass(slots=True)
class FolderMailbox:
    """What the server holds, with the user's hands on it. Ids and changes are numbered as they come."""

    world: FolderWorld
    address: str = "alex@mailspan.example"
    mails: dict[str, _Mail] = field(default_factory=dict)
    folders: dict[str, Folder] = field(default_factory=lambda: {name: Folder(name, ROOT) for name in PLACES})
    master: dict[str, str] = field(default_factory=dict)  # folded category -> its name on the list
    oldest: int = 0  # cursors before this number are too old
    allowance: Allowance | None = None
    numbers: count[int] = field(default_factory=lambda: count(1))

    def provider(self, meter: Meter | None = None) -> FolderMail:
        return FolderMail(self, Line(self.world, meter or CountingMeter(), self.allowance))

    # --- mails ------------------------------------------------------------------------------------------------------

    def deliver(self, raw: bytes, *, labels: Sequence[str] = (), inbox: bool = True) -> str:
        places = [label for label in labels if label in self.folders]
        names = [name for label in labels if (name := name_of(label))]
        return self.add(raw, places[0] if places else "inbox" if inbox else "archive", names)

    def draft(self, raw: bytes) -> str:
        return self.add(raw, "drafts", [])

    def junk(self, raw: bytes) -> str:
        return self.add(raw, "junkemail", [])

    def sent(self, raw: bytes, *, to_self: bool = False) -> str:
        key = self.add(raw, "sentitems", [])
        self.mails[key].unread = False
        self.mails[key].sender = self.address
        if to_self:
            self.mails[self.add(raw, "inbox", [])].sender = self.address
        return key

    def add(self, raw: bytes, folder: str, categories: Sequence[str]) -> str:
        parsed = parse(raw)
        known = {mail.message_id: mail.thread for mail in self.mails.values()}
        number = next(self.numbers)
        thread = next((known[key] for key in parsed.references if key in known), f"thread-{number}")
        received = self.world.clock() + number / 1e4
        sender = next((person.email for person in parsed.participants if person.role == "from"), "")
        mail = _Mail(raw, parsed.message_id, thread, folder, received, sender, list(categories), set())
        mail.changed = mail.came = number
        mail.came_with = {name.casefold() for name in categories}
        self.mails[f"mail-{number}"] = mail
        return f"mail-{number}"

    def touch(self, message_id: str) -> _Mail:
        """The mail, which is about to change."""
        mail = self.mails[message_id]
        mail.changed = next(self.numbers)
        return mail

    def move(self, message_id: str, folder: str) -> None:
        if self.mails[message_id].folder != folder:
            self.touch(message_id).folder = folder

    def copy(self, message_id: str, folder: str) -> str:
        old, number = self.mails[message_id], next(self.numbers)
        made = _Mail(old.raw, old.message_id, old.thread, folder, old.received, old.sender, list(old.categories))
        made.unread, made.flagged, made.changed, made.came_with = old.unread, old.flagged, number, set(old.came_with)
        made.note = old.note
        self.mails[f"mail-{number}"] = made
        return f"mail-{number}"

    def categorise(self, message_id: str, add: Set[str], remove: Set[str]) -> None:
        """Categories on and off, by label id; their case does not count."""
        mail = self.mails[message_id]
        gone = {name_of(label).casefold() for label in remove}
        kept = [name for name in mail.categories if name.casefold() not in gone]
        there = {name.casefold() for name in kept}
        kept += [name for label in sorted(add) if (name := name_of(label)).casefold() not in there]
        if kept != mail.categories:
            self.touch(message_id).categories = kept
            mail.came_with &= {name.casefold() for name in kept}

    def drop(self, message_id: str, label: str, *, move: bool = True) -> str:
        if name_of(label):
            self.categorise(message_id, {label}, set())
        elif move:
            self.move(message_id, label)
        else:
            return self.copy(message_id, label)
        return message_id

    def undrop(self, message_id: str, label: str) -> None:
        if name_of(label):
            self.categorise(message_id, set(), {label})
        else:
            self.move(message_id, "inbox")

    def archive(self, message_id: str) -> None:
        self.move(message_id, "archive")

    def throw_away(self, message_id: str) -> None:
        self.move(message_id, BIN)

    def star(self, message_id: str) -> None:
        self.touch(message_id).flagged = True

    def mark_read(self, message_id: str) -> None:
        self.touch(message_id).unread = False

    def delete(self, message_id: str) -> None:
        del self.mails[message_id]

    def tag(self, message_id: str, label: str) -> None:
        self.categorise(message_id, {label}, set())

    def untag(self, message_id: str, labels: Set[str]) -> None:
        self.categorise(message_id, set(), {label for label in labels if name_of(label)})

    # --- folders and categories -------------------------------------------------------------------------------------

    def create_label(self, *path: str, marker: bool = False) -> str:
        if marker:
            name = ": ".join(path)
            return category(self.master.setdefault(name.casefold(), name))
        parent = next((key for key, there in self.labels().items() if there == path[:-1]), ROOT)
        return folder_tree.create(self, parent, path[-1])

    def rename_label(self, label: str, name: str) -> None:
        """A category of another name is another one: mails keep the old."""
        if old := name_of(label):
            del self.master[old.casefold()]
            self.master.setdefault(name.casefold(), name)
        else:
            self.folders[label].name = name

    def move_label(self, label: str, *path: str) -> None:
        """A folder to another place."""
        there = {place: key for key, place in self.labels().items() if key in self.folders}
        self.folders[label] = Folder(path[-1], there[path[:-1]] if path[:-1] else ROOT)

    def delete_label(self, label: str) -> None:
        if name := name_of(label):
            self.master.pop(name.casefold(), None)
        elif folder_tree.thrown(self, label):
            for key in [key for key, folder in self.folders.items() if folder.parent == label]:
                self.delete_label(key)
            self.mails = {key: mail for key, mail in self.mails.items() if mail.folder != label}
            del self.folders[label]
        else:
            self.folders[label].parent = BIN

    def labels(self) -> Mapping[str, tuple[str, ...]]:
        own = {key: folder_tree.path(self, key) for key in self.folders if key not in PLACES}
        named = {category(name): tuple(name.split(": ")) for name in self.master.values()}
        return named | {key: path for key, path in own.items() if path}

    # --- what is there ----------------------------------------------------------------------------------------------

    def state(self, message_id: str) -> State:
        mail = self.mails[message_id]
        homes = {other.folder for other in self.mails.values() if other.message_id == mail.message_id}
        own = {mail.folder} - set(PLACES)
        return State(
            frozenset(own | {category(name) for name in mail.categories}),
            inbox="inbox" in homes,
            sent="sentitems" in homes,
            unread=mail.unread,
            starred=mail.flagged,
        )

    def thread(self, message_id: str) -> str:
        return self.mails[message_id].thread

    def tags(self, message_id: str) -> frozenset[str]:
        """What a mail system with labels would have on the message: its folder, its categories, its state."""
        mail = self.mails[message_id]
        flags = {name for name, on in (("UNREAD", mail.unread), ("STARRED", mail.flagged)) if on}
        place = {"inbox": "INBOX", "sentitems": "SENT"}.get(mail.folder, mail.folder)
        spelt = {category(self.master.get(name.casefold(), name)) for name in mail.categories}
        return frozenset({place} | flags | spelt)

    def inside(self, label: str) -> Sequence[str]:
        return [key for key, mail in self.mails.items() if mail.folder == label]

    def now(self) -> int:
        return max((mail.changed for mail in self.mails.values()), default=0)

    def lying(self, labels: Sequence[str]) -> Iterator[tuple[str, str]]:
        """(message, label) of what lies in these folders and wears these categories; a category that came with the mail
        or is on one that was thrown away does not count."""
        for label in dict.fromkeys(labels):
            wanted = name_of(label).casefold()
            if not wanted and (label not in self.folders or self.folders[label].parent == BIN):
                continue
            for key, mail in self.mails.items():
                worn = wanted in {name.casefold() for name in mail.categories} and wanted not in mail.came_with
                if worn and mail.folder not in ASIDE if wanted else mail.folder == label:
                    yield key, label


@dataclass(slots=True)
class FolderMail:
    """The adapter. Every remote call goes over the line, where it is paid, counted and may fail."""

    box: FolderMailbox
    line: Line

    def ensure_tree(self, tree: LabelTree) -> LabelMap:
        return folder_tree.ensure(self.box, self.line, tree)

    def changes(self, cursor: str | None, labels: Sequence[str] = ()) -> Page[Seen]:
        """What arrived or changed in Inbox and Sent Items, and what lies where it was not told to lie before. The
        cursor remembers what was told."""
        box = self.box
        with self.line.answer("changes", LOOK + _price(labels)) as trouble:
            at, since, told = (box.now(), 0, frozenset()) if cursor is None else _cursor(cursor, box.oldest)
            lying = frozenset() if trouble == "empty" else frozenset(box.lying(labels))
            if cursor is None:
                return Page((), _write(max(at, box.oldest), at, lying))
            fresh = [(mail.changed, key) for key, mail in box.mails.items() if mail.changed > at]
            fresh = sorted((number, key) for number, key in fresh if box.mails[key].folder in WATCHED)
            page = fresh[: box.world.page]
            at = page[-1][0] if page else at
            keys = [] if trouble == "empty" else [key for _, key in page]
            keys += sorted({key for key, _ in lying - told} - set(keys))
            more = len(page) < len(fresh)
            after = _write(at, since if more else box.now(), lying)
            return Page(tuple(self._seen(key, since) for key in keys), after, more=more)

    def _seen(self, key: str, since: int) -> Seen:
        """It has arrived when it came after that number."""
        mail = self.box.mails[key]
        worn = (name for name in mail.categories if name.casefold() not in mail.came_with)
        arrived = mail.came > since and mail.folder not in ASIDE
        return Seen(key, mail.thread, self._spelt(mail.folder, worn), arrived=arrived, at=mail.received)

    def _spelt(self, folder: str, names: Iterator[str]) -> frozenset[str]:
        return frozenset({folder, *(category(self.box.master.get(name.casefold(), name)) for name in names)})

    def dropped(self, labels: Sequence[str]) -> Sequence[Seen]:
        found: dict[str, set[str]] = {}
        for key, label in self.box.lying(labels):
            found.setdefault(key, set()).add(label)
        seen = [Seen(key, self.box.mails[key].thread, frozenset(inside)) for key, inside in found.items()]
        return self.line.listing("dropped", _price(labels) or 1.0, seen)

    def read(self, ids: Sequence[str]) -> Mapping[str, Message | RemoteError]:
        out: dict[str, Message | RemoteError] = {}
        unique = list(dict.fromkeys(ids))
        for start in range(0, len(unique), PER_CALL):
            part = unique[start : start + PER_CALL]
            self.line.call("read", len(part))
            out |= {key: self._message(key) if key in self.box.mails else Missing("gone") for key in part}
        return out

    def _message(self, key: str) -> Message | RemoteError:
        if self.box.world.part_throttled:
            self.box.world.part_throttled = False
            return Busy("one part was refused", retry_after=1.0)
        mail = self.box.mails[key]
        return Message(
            id=key,
            thread=mail.thread,
            labels=self._spelt(mail.folder, iter(mail.categories)),
            direction="sent" if mail.sender == self.box.address else "received",
            mime=parse(mail.raw),
            received=datetime.fromtimestamp(mail.received, UTC),
            size=len(mail.raw),
        )

    def settle(self, marks: Sequence[Mark]) -> Sequence[Outcome]:
        if not marks:
            return []
        with self.line.answer("settle", 2.0 * len(marks), writes=True) as trouble:
            return [self._settled(mark) for mark in (marks[: len(marks) // 2] if trouble == "cut" else marks)]

    def _settled(self, mark: Mark) -> Outcome:
        box = self.box
        if mark.id not in box.mails:
            return Outcome(mark.id, Missing("gone"))
        mail = box.mails[mark.id]
        if mail.folder not in mark.remove:
            if mail.folder != BIN:
                box.categorise(mark.id, mark.add, mark.remove)
            return Outcome(mark.id)
        originals = self._originals(mark)
        for key in originals or [mark.id]:
            box.categorise(key, mark.add, mark.remove)
        home = "sentitems" if mail.sender == box.address else "inbox"
        box.move(mark.id, BIN if originals else home if mark.home else "archive")
        return Outcome(mark.id)

    def _originals(self, mark: Mark) -> list[str]:
        """What a message in a drop folder is a copy of: Message-ID and date of receipt are the same."""
        mails, mail = self.box.mails, self.box.mails[mark.id]
        same = [
            key
            for key, other in mails.items()
            if (other.message_id, other.received) == (mail.message_id, mail.received)
            and key != mark.id
            and other.folder not in (mark.remove | {BIN})
        ]
        return [key for key in same if mails[key].folder in WATCHED] or same[:1]

    def remove(self, labels: Sequence[str]) -> Sequence[Outcome]:
        if not labels:
            return []
        with self.line.answer("remove", 4.0 * len(labels), writes=True) as trouble:
            return [self._removed(label) for label in (labels[: len(labels) // 2] if trouble == "cut" else labels)]

    def _removed(self, label: str) -> Outcome:
        box, name = self.box, name_of(label).casefold()
        if not name and folder_tree.thrown(box, label):
            return Outcome(label)
        worn = [mail for mail in box.mails.values() if name in {each.casefold() for each in mail.categories}]
        below = any(folder.parent == label for folder in box.folders.values())
        if any(mail.folder not in ASIDE for mail in worn) if name else below or box.inside(label):
            return Outcome(label, Conflict("not empty"))
        box.master.pop(name, None)
        box.folders.pop(label, None)
        return Outcome(label)

    def present(self, labels: Sequence[str]) -> frozenset[str]:
        if not labels:
            return frozenset()
        self.line.call("folders.list", 2)
        return frozenset(labels) & self.box.labels().keys()

    def conversations(self, threads: Sequence[str]) -> Mapping[str, Sequence[Seen]]:
        if not threads:
            return {}
        self.line.call("conversations", 1.0 * len(set(threads)))
        out: dict[str, list[Seen]] = {thread: [] for thread in threads}
        for key, mail in self.box.mails.items():
            if mail.thread in out and mail.folder not in ASIDE:
                out[mail.thread].append(self._seen(key, self.box.now()))
        return {thread: sorted(found, key=lambda seen: seen.at) for thread, found in out.items()}

    def put(self, notes: Sequence[Note]) -> Sequence[Outcome]:
        return folder_notes.put(self.box, self.line, notes) if notes else []

    def take(self, ids: Sequence[str]) -> Sequence[Outcome]:
        return folder_notes.take(self.box, self.line, ids) if ids else []

    def lag(self, labels: Sequence[str]) -> Mapping[str, float]:
        out: dict[str, float] = {}
        if labels:
            self.line.call("lag", _price(labels))
        for key, label in self.box.lying(labels):
            out[label] = min(out.get(label, self.box.mails[key].received), self.box.mails[key].received)
        return out


def _price(labels: Sequence[str]) -> float:
    folders = sum(not name_of(label) for label in set(labels))
    return len(set(labels)) - folders + FOLDER * min(folders, FEW)


def _cursor(text: str, oldest: int) -> tuple[int, int, frozenset[tuple[str, str]]]:
    """The number of the last change that was told, the one after which mails have arrived, and what was told to lie
    where."""
    try:
        body = json.loads(text)
        at, since = int(body["at"]), int(body["since"])
        told = frozenset((str(key), str(label)) for key, label in body["told"])
    except (ValueError, TypeError, KeyError) as error:
        raise CursorExpired("no cursor of ours") from error
    if at < oldest:
        raise CursorExpired("too old")
    return at, since, told


def _write(at: int, since: int, told: frozenset[tuple[str, str]]) -> str:
    return json.dumps({"at": at, "since": since, "told": sorted(told)})


@dataclass(slots=True)
class FolderWorld(Service):
    """Mailboxes with folders. `name`, `places`, `named_markers` and `cuts` as in `MailWorld`."""

    name: str = "folders"
    places: bool = True
    named_markers: bool = True
    cuts: bool = False
    boxes: list[FolderMailbox] = field(default_factory=list)

    def mailbox(self, address: str = "alex@mailspan.example") -> FolderMailbox:
        self.boxes.append(FolderMailbox(self, address))
        return self.boxes[-1]

    def read_calls(self, count: int) -> int:
        return -(-count // PER_CALL)

    def settle_calls(self, count: int) -> int:
        return 1

    def expire_cursors(self) -> None:
        for box in self.boxes:
            box.oldest = next(box.numbers)
