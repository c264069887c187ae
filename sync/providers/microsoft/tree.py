"""The drop tree in Outlook: containers and drops are folders, triggers and markers are categories (providers.md 2.3).

Folders keep their ids whatever users name them and wherever they move them. One that lies in Deleted Items was deleted
and is made anew; one that lies there because its parent was deleted goes below the new parent, with its id and what is
in it. Categories are their names: a renaming makes another category and leaves the old one to the mails that have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sync.core.labels import clean, fit
from sync.errors import Conflict, Missing, RemoteError
from sync.model import LabelMap, LabelTree, Node
from sync.providers.microsoft import batch, errors
from sync.providers.microsoft.calls import Calls
from sync.providers.microsoft.http import Api
from sync.providers.microsoft.item import Memory, category_id, category_name, fold
from sync.providers.microsoft.listing import Found, collect, learn_places, places, values

ROOT = "msgfolderroot"
LONGEST_NAME = 200  # of a folder or category; Outlook takes 255 (providers.md 2.3)
FOLDERS = ("container", "drop")
# Colour word -> preset of the master list: steel grey, blue, green, orange, red.
PRESETS: Mapping[str, str] = MappingProxyType(
    {"grey": "preset12", "blue": "preset7", "green": "preset4", "orange": "preset1", "red": "preset0"}
)
_SEPARATORS = str.maketrans({",": "\u201a", ";": "\u204f"})  # Outlook lists categories with them


@dataclass(slots=True)
class _Folder:
    id: str
    name: str
    parent: str


@dataclass(slots=True)
class _Run:
    """One `ensure`: what is there, and which node is what."""

    api: Api
    calls: Calls
    memory: Memory
    folders: dict[str, _Folder] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)  # folders whose children are all known
    categories: dict[str, str] = field(default_factory=dict)  # folded name -> name in the master list
    ids: dict[str, str] = field(default_factory=dict)
    claimed: set[str] = field(default_factory=set)
    created: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)

    @property
    def root(self) -> str:
        return self.memory.places[ROOT]

    @property
    def bin(self) -> str:
        return self.memory.places.get("deleteditems", "")

    def put(self, body: Mapping[str, Any]) -> _Folder:
        folder = _Folder(str(body["id"]), str(body.get("displayName") or ""), str(body.get("parentFolderId") or ""))
        self.folders[folder.id] = folder
        self.memory.parents[folder.id] = folder.parent
        return folder

    def parent(self, node: Node) -> str:
        return self.ids[node.parent] if node.parent is not None else self.root

    def child(self, parent: str, name: str) -> _Folder | None:
        wanted = fold(name)
        found = (f for f in self.folders.values() if f.parent == parent and fold(f.name) == wanted)
        return next(found, None)

    def thrown(self, folder: _Folder) -> bool:
        """Whether it lies in Deleted Items, itself or with a folder around it."""
        here: _Folder | None = folder
        for _ in range(100):
            if here is None or here.parent == self.bin:
                return here is not None
            here = self.folders.get(here.parent)
        return False


def ensure(api: Api, calls: Calls, memory: Memory, tree: LabelTree) -> LabelMap:
    """See `MailProvider.ensure_tree`. Colours are set when a category is created and never again."""
    run = _Run(api, calls, memory)
    nodes = [node for node in tree.nodes if node.role in FOLDERS]
    others = [node for node in tree.nodes if node.role not in FOLDERS]
    memory.absent.clear()
    _look(run, nodes, bool(others))
    for level in _levels(nodes):
        _level(run, level)
    for level in _levels(others):
        _categories(run, level)
    memory.drops |= {run.ids[node.key] for node in nodes if node.role == "drop"}
    memory.triggers |= {run.ids[node.key] for node in others if node.role == "trigger"}
    memory.spelling |= {fold(category_name(run.ids[node.key])): run.ids[node.key] for node in others}
    ids = {node.key: run.ids[node.key] for node in tree.nodes}
    return LabelMap(ids, tuple(run.created), tuple(run.renamed))


def _levels(nodes: Iterable[Node]) -> list[list[Node]]:
    depth: dict[str, int] = {}
    levels: list[list[Node]] = []
    for node in nodes:
        depth[node.key] = depth.get(node.parent, -1) + 1 if node.parent is not None else 0
        if depth[node.key] == len(levels):
            levels.append([])
        levels[depth[node.key]].append(node)
    return levels


# --- folders --------------------------------------------------------------------------------------------------------


def _look(run: _Run, nodes: Sequence[Node], categories: bool) -> None:
    """Read the master list, the children of the root and of all remembered parents, and what is then still unknown."""
    remembered = {node.key: node.remote_id for node in nodes if node.remote_id}
    parents = {remembered[node.parent] for node in nodes if node.parent in remembered}
    wanted = places(run.memory, run.calls) | ({("categories", ""): run.calls.categories()} if categories else {})
    wanted |= {("children", key): run.calls.children(key) for key in (ROOT, *sorted(parents))}
    answers = collect(run.api, run.calls, wanted)
    learn_places(run.memory, answers)
    if categories:
        _learn_categories(run, answers[("categories", "")])
    for (kind, key), found in answers.items():
        if kind == "children":
            for body in values(found):
                run.put(body)
            if not isinstance(found, Missing):
                run.listed.add(run.root if key == ROOT else key)
    run.claimed = set(remembered.values())
    unknown = {key for key in remembered.values() if key not in run.folders}
    while unknown:
        found_now = collect(run.api, run.calls, {key: run.calls.folder(key) for key in sorted(unknown)})
        fresh = [run.put(body) for body in found_now.values() if isinstance(body, dict)]
        _whole(found_now.values())
        ends = {run.root, run.bin, ""}
        unknown = {folder.parent for folder in fresh} - run.folders.keys() - ends - unknown


def _whole(answers: Iterable[Found]) -> None:
    for answer in answers:
        if isinstance(answer, RemoteError) and not isinstance(answer, Missing):
            raise answer


def _level(run: _Run, nodes: Sequence[Node]) -> None:
    """Find, bring back, rename, adopt, create: in this order, so that nobody takes a name that a rename is about to
    free."""
    for node in nodes:
        folder = run.folders.get(node.remote_id or "")
        if folder is None or folder.parent == run.bin:
            continue
        if run.thrown(folder) and not _bring_back(run, folder, run.parent(node)):
            continue
        run.ids[node.key] = folder.id
    _rename(run, [(node, run.folders[run.ids[node.key]]) for node in nodes if node.rename and node.key in run.ids])
    missing = [node for node in nodes if node.key not in run.ids]
    _list_children(run, {run.parent(node) for node in missing})
    _create(run, [node for node in missing if not _adopt(run, node)])


def _bring_back(run: _Run, folder: _Folder, parent: str) -> bool:
    """Out of Deleted Items, below its parent. False when something of its name is there already."""
    answer = batch.run(run.api, [run.calls.move_folder(folder.id, parent)])[0]
    if isinstance(answer, Conflict | Missing):
        return False
    moved = run.put(batch.sure(answer))
    return moved.id == folder.id


def _list_children(run: _Run, parents: Iterable[str]) -> None:
    wanted = {parent: run.calls.children(parent) for parent in parents if parent not in run.listed}
    for parent, found in collect(run.api, run.calls, wanted).items():
        for body in values(found):
            run.put(body)
        run.listed.add(parent)


def _name(node: Node) -> str:
    return fit(clean(node.name), LONGEST_NAME)


def _free(run: _Run, parent: str, name: str) -> str:
    """The name, or the next one with a number that nobody has below the parent."""
    number, wanted = 2, name
    while run.child(parent, wanted) is not None:
        wanted, number = f"{name} {number}", number + 1
    return wanted


def _rename(run: _Run, wanted: Sequence[tuple[Node, _Folder]]) -> None:
    """All at once; one whose new name is about to be freed by another (409) comes after the others."""
    for node, folder in _rename_some(run, wanted):
        if _rename_some(run, [(node, folder)]):
            raise Conflict("a folder's name is taken", vendor=errors.VENDOR, operation="mailFolders.update", status=409)


def _rename_some(run: _Run, wanted: Sequence[tuple[Node, _Folder]]) -> list[tuple[Node, _Folder]]:
    """Those whose name is taken, after their siblings were read again."""
    planned: list[tuple[Node, _Folder, str]] = []
    for node, folder in wanted:
        name = _name(node)
        new = name if fold(name) == fold(folder.name) else _free(run, folder.parent, name)
        if new != folder.name:
            planned.append((node, folder, new))
            run.folders[folder.id] = _Folder(folder.id, new, folder.parent)  # so that nobody else plans this name
    answers = batch.run(run.api, [run.calls.rename_folder(folder.id, new) for _, folder, new in planned])
    taken: list[tuple[Node, _Folder]] = []
    for (node, folder, _), answer in zip(planned, answers, strict=True):
        if isinstance(answer, Conflict):
            run.folders[folder.id] = folder
            taken.append((node, folder))
            continue
        run.put(batch.sure(answer))
        run.renamed.append(node.key)
    run.listed -= {folder.parent for _, folder in taken}
    _list_children(run, {folder.parent for _, folder in taken})
    return taken


def _adopt(run: _Run, node: Node) -> bool:
    folder = run.child(run.parent(node), _name(node))
    if folder is None or folder.id in run.claimed or folder.id in run.memory.places.values():
        return False
    run.claimed.add(folder.id)
    run.ids[node.key] = folder.id
    return True


def _create(run: _Run, nodes: Sequence[Node]) -> None:
    """Create the folders; one that somebody else made meanwhile (409) is looked up and adopted."""
    planned: list[tuple[Node, str]] = []
    for node in nodes:
        name = _free(run, run.parent(node), _name(node))
        taken = _Folder(f"planned {node.key}", name, run.parent(node))
        run.folders[taken.id] = taken  # two nodes of one name get two folders
        planned.append((node, name))
    answers = batch.run(run.api, [run.calls.create_folder(run.parent(node), name) for node, name in planned])
    for node, _ in planned:
        del run.folders[f"planned {node.key}"]
    raced: list[Node] = []
    for node, answer in zip(nodes, answers, strict=True):
        if isinstance(answer, Conflict):
            raced.append(node)
            continue
        folder = run.put(batch.sure(answer))
        run.claimed.add(folder.id)
        run.listed.add(folder.id)
        run.ids[node.key] = folder.id
        run.created.append(node.key)
    run.listed -= {run.parent(node) for node in raced}
    _list_children(run, {run.parent(node) for node in raced})
    for node in raced:
        if not _adopt(run, node):
            raise Conflict("a folder's name is taken", vendor=errors.VENDOR, operation="mailFolders.create", status=409)


# --- categories -----------------------------------------------------------------------------------------------------


def _learn_categories(run: _Run, found: Found) -> None:
    _whole([found])
    run.categories = {fold(str(body["displayName"])): str(body["displayName"]) for body in values(found)}


def _category(run: _Run, node: Node) -> str:
    """The wanted name; what is below another is named after it."""
    above = category_name(run.ids.get(node.parent or "", ""))
    name = f"{above}: {clean(node.name)}" if above else clean(node.name)
    return fit(name.translate(_SEPARATORS), LONGEST_NAME)


def _categories(run: _Run, nodes: Sequence[Node]) -> None:
    missing: dict[str, Node] = {}
    for node in nodes:
        wanted, old = _category(run, node), category_name(node.remote_id or "")
        changed = _changed(run, node)
        kept = fold(old) in run.categories and not changed
        name = run.categories.get(fold(old if kept else wanted))
        if name is None:
            missing[wanted] = node
            continue
        run.ids[node.key] = category_id(name)
        if changed and fold(name) != fold(old):
            run.renamed.append(node.key)
    color = {name: PRESETS.get(node.color, PRESETS["grey"]) for name, node in missing.items()}
    calls = [run.calls.create_category(name, color[name]) for name in missing]
    answers = batch.run(run.api, calls)
    if any(isinstance(answer, Conflict) for answer in answers):  # somebody was faster, maybe in other letters
        _learn_categories(run, collect(run.api, run.calls, {"": run.calls.categories()})[""])
    for (name, node), answer in zip(missing.items(), answers, strict=True):
        made = run.categories.get(fold(name), name) if isinstance(answer, Conflict) else _made(answer, name)
        run.categories[fold(made)] = made
        run.ids[node.key] = category_id(made)
        if not isinstance(answer, Conflict):
            (run.renamed if _changed(run, node) else run.created).append(node.key)


def _changed(run: _Run, node: Node) -> bool:
    """Whether it wants another name than it has: what is below a marker is named after it."""
    return node.rename or (node.remote_id is not None and node.parent in run.renamed)


def _made(answer: batch.Answer, name: str) -> str:
    return str(batch.sure(answer).get("displayName") or name)
