"""Folders and messages as a mailbox holds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.microsoft.mail.kind import PLAIN, Kind
from sandbox.microsoft.mail.mime import Mail

Json = dict[str, Any]


@dataclass(slots=True, eq=False)
class Folder:
    """A mail folder. `version` is the mailbox's version when it or its counts last changed."""

    id: str
    name: str
    parent: Folder | None
    well_known: str = ""
    hidden: bool = False
    version: int = 0
    items: dict[int, Item] = field(default_factory=dict)
    children: dict[str, Folder] = field(default_factory=dict)
    gone: list[tuple[int, Item, str]] = field(default_factory=list)  # version, item, its mutable id until then
    extended: dict[str, Json] = field(default_factory=dict)
    _unread: tuple[int, int] = (-1, 0)

    @property
    def unread(self) -> int:
        """Unread items; counted again only after a change."""
        if self._unread[0] != self.version:
            self._unread = (self.version, sum(not item.is_read for item in self.items.values()))
        return self._unread[1]

    @property
    def path(self) -> str:
        """Names from below the root, joined by slashes."""
        names: list[str] = []
        here: Folder | None = self
        while here is not None and here.parent is not None:
            names.append(here.name)
            here = here.parent
        return "/".join(reversed(names))

    def within(self, other: Folder) -> bool:
        """Whether it is the other folder or below it."""
        here: Folder | None = self
        while here is not None:
            if here is other:
                return True
            here = here.parent
        return False


@dataclass(slots=True, eq=False)
class Item:
    """One message. What is not in `fields` is read from `mail`; `serial` is its number in the mailbox."""

    serial: int
    immutable: str
    mutable: str
    folder: Folder
    mail: Mail | None
    received: float
    sent: float
    created: float
    modified: float
    change_key: str
    conversation: str = ""
    index: bytes = b""
    kind: Kind = PLAIN
    is_read: bool = False
    is_draft: bool = False
    categories: list[str] = field(default_factory=list)
    flag: Json = field(default_factory=lambda: {"flagStatus": "notFlagged"})
    fields: Json = field(default_factory=dict)
    extended: dict[str, Json] = field(default_factory=dict)
    message_flags: int = 0
    version: int = 0
    entered: int = 0  # the mailbox's version when it came into its folder

    @property
    def etag(self) -> str:
        """Changes at each write (`providers.md GR-11`)."""
        return f'W/"{self.change_key}"'
