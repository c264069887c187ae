"""Messages as Graph lists them, and what one adapter object remembers of its mailbox."""

from __future__ import annotations

import hashlib
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

V = TypeVar("V")
CATEGORY = "category:"
REMEMBERED = 5_000  # messages
FRESH = 15.0  # seconds for which what a look told of a message is told again by `read`
USABLE = 120.0  # seconds for which it is good for settling, where the etag guards it
ARRIVAL = 5.0  # seconds: a message that nobody changed for longer than this after it came


@dataclass(frozen=True, slots=True)
class Item:
    """One message. `etag` changes with each change; categories are spelt as on the message."""

    id: str
    etag: str
    folder: str
    thread: str
    message_id: str
    categories: tuple[str, ...]
    sender: str  # lower case
    draft: bool
    attachments: bool
    received: datetime | None
    created: datetime | None
    modified: datetime | None

    @property
    def untouched(self) -> bool:
        """Nobody has changed it since it came: then its categories came with it (product.md 9 F4.5). Outlook for Mac
        copies those of the sender's contact when it meets the mail, and rules set theirs at delivery."""
        if self.created is None or self.modified is None:
            return False
        return (self.modified - self.created).total_seconds() <= ARRIVAL

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Item:
        sender = ((body.get("from") or {}).get("emailAddress") or {}).get("address") or ""
        return cls(
            id=str(body["id"]),
            etag=str(body.get("@odata.etag") or ""),
            folder=str(body.get("parentFolderId") or ""),
            thread=str(body.get("conversationId") or ""),
            message_id=str(body.get("internetMessageId") or ""),
            categories=tuple(map(str, body.get("categories") or ())),
            sender=str(sender).lower(),
            draft=bool(body.get("isDraft")),
            attachments=bool(body.get("hasAttachments")),
            received=_date(body.get("receivedDateTime")),
            created=_date(body.get("createdDateTime")),
            modified=_date(body.get("lastModifiedDateTime")),
        )


def _date(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found


def fold(name: str) -> str:
    """A name as Outlook compares it: case and outer blanks do not count."""
    return unicodedata.normalize("NFC", name).strip().casefold()


def category_id(name: str) -> str:
    return CATEGORY + name


def category_name(label: str) -> str:
    """The category's name; "" when the label is a folder."""
    return label[len(CATEGORY) :] if label.startswith(CATEGORY) else ""


def digest(*parts: str) -> str:
    """A short stand-in for an id, for cursors."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Met:
    """A message that was met at `when` (monotonic). `bare`: it was seen without a trigger category. `twins` are the
    other messages of its Message-ID, None while unasked."""

    item: Item
    when: float
    bare: bool
    twins: tuple[Item, ...] | None = None


@dataclass(slots=True)
class Memory:
    """What one adapter object knows of its mailbox. All of it can be asked again, but for `born`, which lives in the
    cursor."""

    address: str
    places: dict[str, str] = field(default_factory=dict)  # well-known name -> folder id
    parents: dict[str, str] = field(default_factory=dict)  # folder -> its parent, both ids
    drops: set[str] = field(default_factory=set)  # folders that mails are dropped into
    triggers: set[str] = field(default_factory=set)  # label ids of trigger categories
    spelling: dict[str, str] = field(default_factory=dict)  # folded category -> label id
    absent: dict[str, float] = field(default_factory=dict)  # folder that is gone -> when it was asked for (monotonic)
    born: frozenset[str] = frozenset()  # digests of messages that arrived with a trigger category
    came: OrderedDict[str, str] = field(default_factory=OrderedDict)  # message -> the folder that it was moved out of
    met: OrderedDict[str, Met] = field(default_factory=OrderedDict)

    def use(self, labels: Iterable[str]) -> None:
        """These are drop folders and trigger categories."""
        for label in labels:
            if name := category_name(label):
                self.spelling[fold(name)] = label
                self.triggers.add(label)
            else:
                self.drops.add(label)

    def meet(self, item: Item) -> Item:
        known = self.met.get(item.id)
        without = bool(self.triggers) and not self.labels(item) & self.triggers
        bare = without or (known is not None and known.bare)
        twins = known.twins if known is not None and known.item.folder == item.folder else None
        if self.came.get(item.id) and self.places.get(self.came[item.id]) == item.folder:
            del self.came[item.id]
        _keep(self.met, item.id, Met(item, time.monotonic(), bare, twins))
        return item

    def leave(self, key: str, place: str) -> None:
        """The message was moved out of this well-known folder: wherever it lies now, it is no copy."""
        _keep(self.came, key, place)

    def pair(self, key: str, twins: Iterable[Item]) -> None:
        """These have the message's Message-ID."""
        known = self.met[key]
        self.met[key] = replace(known, twins=tuple(twin for twin in twins if twin.id != key))

    def known(self, key: str, within: float) -> Met | None:
        """The message, if it was met in the last `within` seconds and can be written to."""
        found = self.met.get(key)
        return found if found is not None and found.item.etag and time.monotonic() - found.when <= within else None

    def ignores(self, item: Item) -> bool:
        """Whether a trigger category on it is no user's act: it came with the message."""
        known = self.met.get(item.id)
        return digest(item.id) in self.born or (item.untouched and not (known is not None and known.bare))

    def forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.met.pop(key, None)

    def labels(self, item: Item) -> frozenset[str]:
        """The label ids of a message: its folder and its categories, spelt as in the tree."""
        names = (self.spelling.get(fold(name), category_id(name)) for name in item.categories)
        return frozenset((item.folder, *names))

    def sent(self, item: Item) -> bool:
        """Whether the user has sent it: it lies or lay in Sent Items, or is from the mailbox's address."""
        if item.folder in self.drops and item.id in self.came:
            return self.came[item.id] == "sentitems"
        return item.folder == self.places.get("sentitems") or item.sender == self.address

    def aside(self, item: Item) -> bool:
        """Thrown away, or not sent yet."""
        return item.draft or item.folder in {self.places.get(name) for name in ("deleteditems", "junkemail", "drafts")}


def _keep(where: OrderedDict[str, V], key: str, value: V) -> None:
    where[key] = value
    where.move_to_end(key)
    while len(where) > REMEMBERED:
        where.popitem(last=False)


def with_categories(item: Item, add: Iterable[str], remove: Iterable[str]) -> Sequence[str]:
    """Its categories after a change, in their order and spelling; `add` and `remove` are label ids."""
    without = {fold(name) for name in map(category_name, remove) if name}
    kept = [name for name in item.categories if fold(name) not in without]
    there = {fold(name) for name in kept}
    return kept + [name for name in map(category_name, sorted(add)) if name and fold(name) not in there]
