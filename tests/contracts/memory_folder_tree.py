"""The drop tree in a mail system with folders: containers and drops are folders, triggers and markers categories."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from sync.core.labels import clean
from sync.model import LabelMap, LabelTree, Node
from tests.contracts.memory_service import Line

ROOT = "root"
BIN = "deleteditems"
_CATEGORY = "category:"


@dataclass(slots=True)
class Folder:
    name: str
    parent: str


class Cabinet(Protocol):
    """The part of a mailbox that a tree is made in."""

    folders: dict[str, Folder]
    master: dict[str, str]
    numbers: count[int]


def category(name: str) -> str:
    return _CATEGORY + name


def name_of(label: str) -> str:
    """The category's name; "" when the label is a folder."""
    return label[len(_CATEGORY) :] if label.startswith(_CATEGORY) else ""


def path(box: Cabinet, key: str) -> tuple[str, ...]:
    """Names from the root to the folder; () for one that lies in Deleted Items."""
    names: list[str] = []
    while key in box.folders:
        names.insert(0, box.folders[key].name)
        key = box.folders[key].parent
        if key == BIN:
            return ()
    return tuple(names)


def thrown(box: Cabinet, key: str) -> bool:
    return key in box.folders and not path(box, key)


def create(box: Cabinet, parent: str, name: str) -> str:
    key = f"folder-{next(box.numbers)}"
    box.folders[key] = Folder(name, parent)
    return key


@dataclass(slots=True)
class _Run:
    """One `ensure`: which node is what."""

    box: Cabinet
    line: Line
    claimed: set[str]
    ids: dict[str, str] = field(default_factory=dict)
    created: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)

    def write(self, method: str) -> None:
        self.line.call(method, writes=True)

    def sibling(self, parent: str, name: str) -> str | None:
        found = self.box.folders.items()
        return next((key for key, f in found if f.parent == parent and f.name.casefold() == name.casefold()), None)

    def free(self, parent: str, name: str) -> str:
        wanted, number = name, 2
        while self.sibling(parent, wanted) is not None:
            wanted, number = f"{name} {number}", number + 1
        return wanted


def ensure(box: Cabinet, line: Line, tree: LabelTree) -> LabelMap:
    """See `MailProvider.ensure_tree`."""
    line.call("folders.list", 3)
    run = _Run(box, line, {node.remote_id for node in tree.nodes if node.remote_id})
    for node in tree.nodes:
        if node.role in ("container", "drop"):
            _folder(run, node)
        else:
            _category(run, node)
    return LabelMap(run.ids, tuple(run.created), tuple(run.renamed))


def _folder(run: _Run, node: Node) -> None:
    """Found by its id (and taken out of Deleted Items with the parent that it was thrown away with), else by its name,
    else made."""
    parent, name = run.ids[node.parent] if node.parent else ROOT, clean(node.name)
    known = run.box.folders.get(node.remote_id or "")
    if node.remote_id and known and known.parent != BIN and _at_hand(run, node.remote_id, parent):
        run.ids[node.key] = node.remote_id
        if node.rename and known.name.casefold() != name.casefold():
            run.write("folders.rename")
            known.name = run.free(known.parent, name)
            run.renamed.append(node.key)
        return
    there = run.sibling(parent, name)
    if there is None or there in run.claimed:
        run.write("folders.create")
        there = create(run.box, parent, run.free(parent, name))
        run.created.append(node.key)
    run.claimed.add(there)
    run.ids[node.key] = there


def _at_hand(run: _Run, key: str, parent: str) -> bool:
    folder = run.box.folders[key]
    if not thrown(run.box, key):
        return True
    if run.sibling(parent, folder.name) is not None:
        return False
    run.write("folders.move")
    folder.parent = parent
    return True


def _category(run: _Run, node: Node) -> None:
    """Another name is another category; the mails keep the old one."""
    above = name_of(run.ids[node.parent]) if node.parent else ""
    wanted = f"{above}: {clean(node.name)}" if above else clean(node.name)
    old, changed = name_of(node.remote_id or ""), node.rename or (node.remote_id and node.parent in run.renamed)
    kept = old and not changed and old.casefold() in run.box.master
    name = run.box.master.get((old if kept else wanted).casefold())
    if name is None:
        run.write("categories.create")
        name = run.box.master.setdefault(wanted.casefold(), wanted)
        (run.renamed if changed else run.created).append(node.key)
    elif changed and name.casefold() != old.casefold():
        run.renamed.append(node.key)
    run.ids[node.key] = category(name)
