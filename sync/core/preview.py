"""What another policy would do to the label tree of a mailbox, told before it is done.

Only digests of names are remembered, so an old name is known where the old policy still gives it; else the label is
told by what it is for.

| a label of ours is | it is told as |
|---|---|
| wanted and not there yet | create |
| there under another name | rename; a category cannot be renamed: create, and the old one stays |
| there and wanted no more | remove, once nothing lies in it; a marker stays on the mails that wear it |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sync.core import labels
from sync.core.labels import GOES, GOES_LAST, Enabled, Remembered
from sync.model import LabelTree, Node
from sync.policy import Policy

CATEGORIES = ("trigger", "marker")  # roles that are categories where a mail system has them


@dataclass(frozen=True, slots=True)
class Side:
    """A policy, and what of its modules the CRM describes."""

    policy: Policy
    crm_name: str
    enabled: tuple[Enabled, ...] = ()

    def tree(self, remembered: Mapping[str, Remembered], digest: Callable[[str], str]) -> LabelTree:
        return labels.tree(self.policy, self.crm_name, remembered, digest, (), self.enabled)


@dataclass(frozen=True, slots=True)
class Step:
    """One label. `name` is its path, or words for what it is when nobody knows the name; `before` that of a rename."""

    what: Literal["create", "rename", "remove", "stay"]
    key: str
    name: str
    before: str = ""


def steps(
    wanted: LabelTree,
    remembered: Mapping[str, Remembered],
    old: Side | None,
    digest: Callable[[str], str],
    *,
    categories: bool,
    whole: bool,
) -> list[Step]:
    """In the order of the tree, removals last. `categories`: triggers and markers are categories there. `whole`: the
    CRM described all modules of the policy; else nothing is removed yet."""
    names = _paths(wanted.nodes, categories)
    known = _known(remembered, old, digest, categories)
    out: list[Step] = []
    changed: set[str] = set()  # categories that get another name; those below them do, too
    for node in wanted.nodes:
        if node.remote_id is None:
            out.append(Step("create", node.key, names[node.key]))
        elif categories and node.role in CATEGORIES:
            if node.rename or node.parent in changed:
                changed.add(node.key)
                out.append(Step("create", node.key, names[node.key]))
                out.append(Step("stay", node.key, known.get(node.key) or words(node.key)))
        elif node.rename:
            out.append(Step("rename", node.key, names[node.key], known.get(node.key) or words(node.key)))
    for key in labels.obsolete(wanted, remembered) if whole else ():
        if key.startswith((*GOES, *GOES_LAST)):
            out.append(Step("remove", key, known.get(key) or words(key)))
        elif key in known:  # else it was given up before
            out.append(Step("stay", key, known[key]))
    return out


def _paths(nodes: Sequence[Node], categories: bool) -> dict[str, str]:
    """Names from the top, as the mail system shows them."""
    paths: dict[str, str] = {}
    for node in nodes:
        between = ": " if categories and node.role in CATEGORIES else "/"
        paths[node.key] = f"{paths[node.parent]}{between}{node.name}" if node.parent else node.name
    return paths


def _known(
    remembered: Mapping[str, Remembered], old: Side | None, digest: Callable[[str], str], categories: bool
) -> dict[str, str]:
    """The names that the old policy gave, as far as they are those that were made."""
    if old is None:
        return {}
    nodes = old.tree(remembered, digest).nodes
    made = {node.key for node in nodes if node.remote_id is not None and not node.rename}
    return {key: path for key, path in _paths(nodes, categories).items() if key in made}


_WORDS: Mapping[str, str] = {
    "master": "the master label",
    "drop.archive": "the drop label that files",
    "trigger.archive": "the trigger category",
    "trigger.stop": "the category that ends following",
    "marker.done": "the marker of filed mails",
    "marker.missing": "the marker of mails without matches",
    "marker.error": "the marker of mails that failed",
    "marker.followed": "the marker of followed mails",
}
_WORDS_OF: Mapping[str, str] = {
    "drop.create": "the drop label that creates {}",
    "module": "the label of {}",
    "assign": "Assign To of {}",
    "trigger": "the trigger category {}",
    "reason": "the reason {}",
}


def words(key: str) -> str:
    """What a label is for, where nobody knows how it is called."""
    if key in _WORDS:
        return _WORDS[key]
    for prefix, text in _WORDS_OF.items():
        if key.startswith(prefix + "."):
            return text.format(key.removeprefix(prefix + "."))
    return key
