"""One user's mailbox: folders, items, and what changed when.

All methods expect the vendor's lock to be held.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sandbox.frame.clock import Clock
from sandbox.microsoft.errors import GraphError, no_folder, not_found
from sandbox.microsoft.graph.conversations import Conversations
from sandbox.microsoft.graph.ids import Ids
from sandbox.microsoft.graph.items import Folder, Item
from sandbox.microsoft.mail.mime import Mail

Json = dict[str, Any]
MAX_NAME = 255
# well-known name -> display name; hidden ones are below another root
WELL_KNOWN = {
    "inbox": "Inbox",
    "drafts": "Drafts",
    "sentitems": "Sent Items",
    "deleteditems": "Deleted Items",
    "junkemail": "Junk Email",
    "archive": "Archive",
    "outbox": "Outbox",
    "conversationhistory": "Conversation History",
}
RECOVERABLE = "recoverableitemsdeletions"


Listener = Callable[["Mailbox", str, Item, Folder, str], None]  # mailbox, kind, item, folder, mutable id


class Mailbox:
    """Folders and items. `listener` hears of every change: created, updated or deleted."""

    def __init__(
        self, address: str, clock: Clock, rng: random.Random, settings: Mapping[str, Any], listener: Listener
    ) -> None:
        self.address = address
        self.clock = clock
        self.ids = Ids(rng)
        self._listener = listener
        self.conversations = Conversations(self.ids, settings)
        self.version = 1
        self.epoch = 0  # delta tokens of an older one have expired
        self.items: dict[str, Item] = {}  # by both ids
        self.folders: dict[str, Folder] = {}
        self.well_known: dict[str, Folder] = {}
        self.gone_folders: list[tuple[int, str]] = []
        self.categories: dict[str, Json] = {}  # id -> master category
        self.settings: Json = {"timeZone": "UTC", "language": {"locale": "en-US", "displayName": "English"}}
        self._serial = 0
        root = self._root("msgfolderroot", "Top of Information Store")
        for name, shown in WELL_KNOWN.items():
            self._keep(Folder(self.ids.folder(), shown, root, name))
        self._keep(Folder(self.ids.folder(), "Sync Issues", root, "syncissues", hidden=True))
        dumpster = self._root("recoverableitemsroot", "Recoverable Items")
        self._keep(Folder(self.ids.folder(), "Deletions", dumpster, RECOVERABLE))

    def _root(self, name: str, shown: str) -> Folder:
        folder = Folder(self.ids.folder(), shown, None, name)
        self.folders[folder.id] = self.well_known[name] = folder
        return folder

    def _keep(self, folder: Folder) -> Folder:
        assert folder.parent is not None
        self.folders[folder.id] = folder
        folder.parent.children[folder.id] = folder
        if folder.well_known:
            self.well_known[folder.well_known] = folder
        folder.version = folder.parent.version = self.tick()
        return folder

    @property
    def root(self) -> Folder:
        """Of all visible folders."""
        return self.well_known["msgfolderroot"]

    def tick(self) -> int:
        """A new version."""
        self.version += 1
        return self.version

    # ---- folders -----------------------------------------------------------------------------

    def folder(self, ident: str) -> Folder:
        """By id or well-known name; GraphError 404."""
        found = self.folders.get(ident) or self.well_known.get(ident.lower())
        if found is None:
            raise no_folder()
        return found

    def at_path(self, path: str) -> Folder:
        """By display names joined by slashes, an id or a well-known name; LookupError when there is none."""
        found = self.folders.get(path) or self.well_known.get(path.replace(" ", "").lower())
        if found is not None:
            return found
        here = [self.root]
        for name in path.split("/"):
            here = [
                child for folder in here for child in folder.children.values() if child.name.lower() == name.lower()
            ]
        if not here:
            # a name may itself hold a slash
            here = [f for f in self.folders.values() if f.path.lower() == path.lower() and f.parent is not None]
        if not here:
            raise LookupError(f"{self.address} has no folder {path!r}")
        return here[0]

    def check_name(self, parent: Folder, name: str, but: Folder | None = None) -> None:
        """409 for a name that a sibling has, 400 for none and for one that is too long (`providers.md GR-17`)."""
        if not name.strip() or len(name) > MAX_NAME:
            raise GraphError(400, "ErrorInvalidRequest", "The folder name is empty or too long.")
        if any(f.name.casefold() == name.casefold() and f is not but for f in parent.children.values()):
            raise GraphError(409, "ErrorFolderExists", "A folder with the specified name already exists.")

    def create_folder(self, parent: Folder, name: str, *, hidden: bool = False) -> Folder:
        """A new folder; GraphError for a name that does not do."""
        self.check_name(parent, name)
        return self._keep(Folder(self.ids.folder(), name, parent, hidden=hidden))

    def rename_folder(self, folder: Folder, name: str) -> None:
        """Another display name."""
        if folder.well_known:
            raise GraphError(400, "ErrorInvalidRequest", "A distinguished folder can't be renamed.")
        assert folder.parent is not None
        self.check_name(folder.parent, name, but=folder)
        folder.name = name
        folder.version = self.tick()

    def move_folder(self, folder: Folder, target: Folder) -> None:
        """To another parent; ids stay."""
        if folder.well_known or folder.parent is None or target.within(folder):
            raise GraphError(400, "ErrorMoveCopyFailed", "The move or copy operation failed.")
        self.check_name(target, folder.name, but=folder)
        del folder.parent.children[folder.id]
        folder.parent.version = target.version = self.tick()
        folder.parent = target
        target.children[folder.id] = folder
        folder.version = self.version

    def delete_folder(self, folder: Folder) -> None:
        """With all that is in it."""
        if folder.well_known or folder.parent is None:
            raise GraphError(403, "ErrorDeleteDistinguishedFolder", "Distinguished folders cannot be deleted.")
        for child in list(folder.children.values()):
            self.delete_folder(child)
        for item in list(folder.items.values()):
            self.remove(item)
        del folder.parent.children[folder.id], self.folders[folder.id]
        folder.parent.version = self.tick()
        self.gone_folders.append((self.version, folder.id))

    def bin_folder(self, folder: Folder) -> None:
        """To Deleted Items with all that is in it, under a name that is free there; one that lies there is gone."""
        target, name, number = self.well_known["deleteditems"], folder.name, 1
        if folder.well_known or folder.parent is None or folder.within(target):
            self.delete_folder(folder)
            return
        while any(f.name.casefold() == folder.name.casefold() for f in target.children.values()):
            folder.name = f"{name}{number}"
            number += 1
        self.move_folder(folder, target)

    def visible_folders(self, folder: Folder | None = None) -> Iterator[Folder]:
        """All folders below the root, parents first; hidden ones too."""
        for child in (folder or self.root).children.values():
            yield child
            yield from self.visible_folders(child)

    # ---- items -------------------------------------------------------------------------------------

    def item(self, ident: str) -> Item:
        """By either of its ids; GraphError 404."""
        found = self.items.get(ident)
        if found is None:
            raise not_found()
        return found

    def visible_items(self) -> Iterator[Item]:
        """Every item that is not below the recoverable items."""
        for folder in self.visible_folders():
            yield from folder.items.values()

    def new_item(self, folder: Folder, mail: Mail | None, received: float, sent: float) -> Item:
        """An item that is not yet in its folder; `add` puts it there."""
        self._serial += 1
        now = self.clock.time()
        return Item(
            self._serial, self.ids.immutable(), "", folder, mail, received, sent, now, now, self.ids.change_key()
        )

    def add(self, item: Item, *, quiet: bool = False) -> Item:
        """Put a new item into its folder; with a conversation, when it has none yet."""
        if not item.conversation:
            self.conversations.place(item)
        self._enter(item, item.folder)
        self.items[item.immutable] = item
        if not quiet:
            self._listener(self, "created", item, item.folder, item.mutable)
        return item

    def _enter(self, item: Item, folder: Folder) -> None:
        item.folder = folder
        item.mutable = self.ids.mutable()
        self.items[item.mutable] = item
        folder.items[item.serial] = item
        item.version = item.entered = folder.version = self.tick()

    def _leave(self, item: Item) -> tuple[Folder, str]:
        folder, old = item.folder, item.mutable
        del folder.items[item.serial], self.items[old]
        folder.version = self.tick()
        folder.gone.append((self.version, item, old))
        return folder, old

    def touch(self, item: Item) -> None:
        """After any change of an item: another change key, another version, the listener hears of it."""
        item.change_key = self.ids.change_key()
        item.modified = self.clock.time()
        item.version = item.folder.version = self.tick()
        self._listener(self, "updated", item, item.folder, item.mutable)

    def move(self, item: Item, target: Folder) -> None:
        """To another folder: another mutable id, the immutable one stays (`providers.md GR-1`)."""
        folder, old = self._leave(item)
        item.change_key = self.ids.change_key()
        item.modified = self.clock.time()
        self._enter(item, target)
        self._listener(self, "deleted", item, folder, old)
        self._listener(self, "created", item, target, item.mutable)

    def copy(self, item: Item, target: Folder) -> Item:
        """A second item with the same internetMessageId and conversation (`providers.md GR-2`)."""
        new = self.new_item(target, item.mail, item.received, item.sent)
        for name in ("conversation", "index", "kind", "is_read", "is_draft", "message_flags"):
            setattr(new, name, getattr(item, name))
        new.categories, new.flag, new.fields = list(item.categories), dict(item.flag), dict(item.fields)
        new.extended = dict(item.extended)
        return self.add(new)

    def remove(self, item: Item) -> None:
        """For ever."""
        folder, old = self._leave(item)
        self.conversations.forget(item)
        del self.items[item.immutable]
        self._listener(self, "deleted", item, folder, old)

    # ---- categories -----------------------------------------------------------------------------------

    def add_category(self, name: str, color: str) -> Json:
        """A new entry of the master list; 409 when there is one of that name, whatever its case (`GR-10`)."""
        if any(c["displayName"].casefold() == name.casefold() for c in self.categories.values()):
            raise GraphError(409, "ErrorCategoryNameExists", "The category name already exists.")
        entry = {
            "id": str(uuid.UUID(int=self.ids.rng.getrandbits(128), version=4)),
            "displayName": name,
            "color": color,
        }
        self.categories[entry["id"]] = entry
        return entry
