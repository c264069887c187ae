"""The drop tree as Gmail labels (providers.md 1.3): nesting is a `/` in the name, keys are label ids.

Labels are read once (1 unit); only what differs is written (5 units each), one HTTP call per level of the tree.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sync.core.labels import LONGEST_PATH, clean, fit
from sync.errors import Conflict, Missing, RemoteError
from sync.model import LabelMap, LabelTree, Node
from sync.providers.google import batch, errors
from sync.providers.google.http import Api, Call

# Colour word -> background and text, both from Gmail's palette (`LabelColor` of the API description).
COLORS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "grey": ("#e7e7e7", "#464646"),
        "blue": ("#4986e7", "#ffffff"),
        "green": ("#16a765", "#ffffff"),
        "orange": ("#ff7537", "#ffffff"),
        "red": ("#d93025", "#ffffff"),
    }
)


@dataclass(slots=True)
class _Labels:
    """The mailbox's labels as they are now, kept true while we write."""

    names: dict[str, str] = field(default_factory=dict)  # user labels: id -> name
    taken: dict[str, str] = field(default_factory=dict)  # name as Gmail compares it -> id, system labels too

    def put(self, label_id: str, name: str, *, system: bool = False) -> None:
        if label_id in self.names:
            self.taken.pop(_fold(self.names[label_id]), None)
        self.taken[_fold(name)] = label_id
        if not system:
            self.names[label_id] = name

    def below(self, path: str) -> list[str]:
        start = _fold(path) + "/"
        return [label_id for label_id, name in self.names.items() if _fold(name).startswith(start)]

    def free(self, path: str) -> str:
        """The path, or the next one with a number that nobody has."""
        number, wanted = 2, path
        while _fold(wanted) in self.taken:
            wanted, number = f"{path} {number}", number + 1
        return wanted


@dataclass(slots=True)
class _Run:
    """One `ensure`: what is there, and which node is which label."""

    api: Api
    labels: _Labels
    ids: dict[str, str] = field(default_factory=dict)
    claimed: set[str] = field(default_factory=set)
    created: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)

    def path(self, node: Node) -> str:
        """The wanted name: below the parent as it is called now, whoever named it."""
        parent = self.labels.names[self.ids[node.parent]] if node.parent is not None else ""
        name = clean(node.name)
        return f"{parent}/{fit(name, LONGEST_PATH - len(parent) - 1)}" if parent else fit(name, LONGEST_PATH)


def ensure(api: Api, tree: LabelTree) -> LabelMap:
    """See `MailProvider.ensure_tree`. Colours are set when a label is created and never again."""
    labels = _list(api)
    run = _Run(api, labels, claimed={node.remote_id for node in tree.nodes if node.remote_id in labels.names})
    for level in _levels(tree.nodes):
        _level(run, level)
    return LabelMap(dict(run.ids), tuple(run.created), tuple(run.renamed))


def _list(api: Api) -> _Labels:
    labels = _Labels()
    answer = api.call(Call("labels.list", api.build.labels.list(userId="me")))
    for label in answer.get("labels", ()):
        labels.put(label["id"], label["name"], system=label.get("type") == "system")
    return labels


def _levels(nodes: Iterable[Node]) -> list[list[Node]]:
    depth: dict[str, int] = {}
    levels: list[list[Node]] = []
    for node in nodes:
        depth[node.key] = depth[node.parent] + 1 if node.parent is not None else 0
        if depth[node.key] == len(levels):
            levels.append([])
        levels[depth[node.key]].append(node)
    return levels


def _level(run: _Run, nodes: Sequence[Node]) -> None:
    """Find, rename, adopt, create: in this order, so that nobody takes a name that a rename is about to free."""
    for node in nodes:
        if node.remote_id in run.labels.names:
            run.ids[node.key] = node.remote_id
    _rename(run, [node for node in nodes if node.rename and node.remote_id in run.labels.names])
    _create(run, [node for node in nodes if node.key not in run.ids and not _adopt(run, node)])


def _adopt(run: _Run, node: Node) -> bool:
    label_id = run.labels.taken.get(_fold(run.path(node)), "")
    if label_id in run.claimed or label_id not in run.labels.names:
        return False
    run.claimed.add(label_id)
    run.ids[node.key] = label_id
    return True


def _rename(run: _Run, nodes: Sequence[Node]) -> None:
    """Rename labels and all below them, also those that are not in the tree: Gmail's own page does the latter, its API
    does not. What is below goes first: whoever dies in between finds the parent under its old name, and goes on."""
    below: dict[str, str] = {}
    own: dict[str, str] = {}
    for node in nodes:
        label_id = run.ids[node.key]
        old, wanted = run.labels.names[label_id], run.path(node)
        if old == wanted:
            continue
        new = wanted if _fold(old) == _fold(wanted) else run.labels.free(wanted)
        if new == old:
            continue
        for child in run.labels.below(old):
            moved = new + run.labels.names[child][len(old) :]
            below[child] = moved if _fold(old) == _fold(new) else run.labels.free(moved)
            run.labels.put(child, below[child])
        own[label_id] = new
        run.labels.put(label_id, new)
        run.renamed.append(node.key)
    _patch(run, below)
    _patch(run, own)


def _patch(run: _Run, names: Mapping[str, str]) -> None:
    patch = run.api.build.labels.patch
    calls = [Call("labels.patch", patch(userId="me", id=key, body={"name": name})) for key, name in names.items()]
    for key, answer in zip(names, batch.run(run.api, calls), strict=True):
        if isinstance(answer, RemoteError):
            raise answer
        run.labels.put(key, str(answer.get("name", names[key])))


def _create(run: _Run, nodes: Sequence[Node]) -> None:
    """Create the labels; one that somebody else made meanwhile (409) is looked up and adopted."""
    if not nodes:
        return
    create = run.api.build.labels.create
    calls = []
    for node in nodes:
        path = run.labels.free(run.path(node))
        run.labels.taken[_fold(path)] = ""  # two nodes of one name get two labels
        calls.append(Call("labels.create", create(userId="me", body=_body(path, node)), repeatable=False))
    raced = []
    for node, answer in zip(nodes, batch.run(run.api, calls), strict=True):
        if isinstance(answer, Conflict):
            raced.append(node)
        elif isinstance(answer, RemoteError):
            raise answer
        else:
            run.labels.put(answer["id"], answer["name"])
            run.claimed.add(answer["id"])
            run.ids[node.key] = answer["id"]
            run.created.append(node.key)
    if raced:
        run.labels = _list(run.api)
    for node in raced:
        if not _adopt(run, node):
            raise Conflict("a label's name is taken", vendor=errors.VENDOR, operation="labels.create", status=409)


def present(api: Api, labels: Sequence[str]) -> frozenset[str]:
    """Which of these user labels there are."""
    return frozenset(labels) & _list(api).names.keys()


def remove(api: Api, labels: Sequence[str]) -> dict[str, RemoteError]:
    """Delete labels that are empty, children before parents; errors by id. What is gone is removed."""
    there = _list(api)
    wanted = [label for label in dict.fromkeys(labels) if label in there.names]
    failed = _full(api, wanted)
    going: dict[int, list[str]] = {}
    for label in wanted:
        if label not in failed:
            going.setdefault(there.names[label].count("/"), []).append(label)
    for _, level in sorted(going.items(), reverse=True):
        parents = {path for name in there.names.values() for path in _above(name)}
        failed |= {label: _kept() for label in level if _fold(there.names[label]) in parents}
        free = [label for label in level if label not in failed]
        calls = [Call("labels.delete", api.build.labels.delete(userId="me", id=label)) for label in free]
        for label, answer in zip(free, batch.run(api, calls), strict=True):
            if isinstance(answer, RemoteError) and not isinstance(answer, Missing):
                failed[label] = answer
            else:
                del there.names[label]
    return failed


def _full(api: Api, labels: Sequence[str]) -> dict[str, RemoteError]:
    """Those in which a message lies, and those of which it is not known. `messagesTotal` counts the trash and the junk
    too, a list does not (1 unit, 5 more where there is something)."""
    get, search = api.build.labels.get, api.build.messages.list
    failed: dict[str, RemoteError] = {}
    filled = []
    counts = batch.run(api, [Call("labels.get", get(userId="me", id=label)) for label in labels])
    for label, count in zip(labels, counts, strict=True):
        if isinstance(count, RemoteError):
            failed |= {} if isinstance(count, Missing) else {label: count}
        elif count.get("messagesTotal", 0) > 0:
            filled.append(label)
    lists = [Call("messages.list", search(userId="me", labelIds=[label], maxResults=1)) for label in filled]
    for label, answer in zip(filled, batch.run(api, lists), strict=True):
        if isinstance(answer, RemoteError):
            failed[label] = answer
        elif answer.get("messages"):
            failed[label] = _kept()
    return failed


def _above(name: str) -> list[str]:
    """The folded paths of all labels that this one lies below."""
    parts = _fold(name).split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _kept() -> Conflict:
    return Conflict("a mail or a label lies in it", vendor=errors.VENDOR, operation="labels.delete")


def _body(path: str, node: Node) -> dict[str, Any]:
    background, text = COLORS.get(node.color, COLORS["grey"])
    return {
        "name": path,
        "labelListVisibility": "labelShow",
        "messageListVisibility": "show",
        "color": {"backgroundColor": background, "textColor": text},
    }


def _fold(name: str) -> str:
    """A name as Gmail compares it: case and repeated or outer blanks do not count."""
    parts = (" ".join(part.split()) for part in name.split("/"))
    return unicodedata.normalize("NFC", "/".join(parts)).casefold()
