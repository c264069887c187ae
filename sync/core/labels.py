"""The label tree of a policy (product.md 7; providers.md 1.3)."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sync.core.cut import boundary
from sync.core.reasons import REASONS
from sync.model import LabelTree, Node, NodeRole, Target
from sync.modules import Module
from sync.options import ModuleRule
from sync.policy import OPTIONS, Policy

COLORS = ("grey", "blue", "green", "orange", "red")
"""The colour words of nodes; each mail adapter maps all of them to its palette."""

LONGEST_PATH = 200
"""Characters of a label with all its parents and separators (product.md 7 L3)."""

LONGEST_TOP = 120
"""Characters of a label at the top, so that those below it have room."""

ARCHIVE_NAME = "- Create New Email"
CREATE_NAME = "- Create New {}"
ASSIGN_NAME = "Assign To"
ARCHIVE = Target("archive")
STOP = Target("stop")
_LOOK_ALIKES = str.maketrans({"/": "\u2215", "\\": "\u29f5"})  # division slash, reverse solidus operator
_RESERVED = frozenset(
    (
        *"inbox sent draft drafts spam trash starred important chat chats unread snoozed scheduled bin junk".split(),
        *("outbox", "archive", "all mail", "sent mail", "sent items", "deleted items", "junk email"),
    )
)
_MARKERS = (
    ("marker.done", "done_marker", "green"),
    ("marker.missing", "missing_marker", "orange"),
    ("marker.error", "error_marker", "red"),
)
_PARENT_OF_OUTCOME = {"missing": ("marker.missing", "orange"), "parked": ("marker.error", "red")}


@dataclass(frozen=True, slots=True)
class Remembered:
    """A node that was made before: its id in the mailbox and the digest of the name that was wanted then."""

    remote_id: str
    digest: str


def clean(name: str) -> str:
    """A name that no mail system nests on or alters: no slashes, no control characters, single inner blanks."""
    text = unicodedata.normalize("NFC", name).translate(_LOOK_ALIKES)
    text = "".join(" " if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") else char for char in text)
    return " ".join(text.split())


def fit(name: str, room: int) -> str:
    """`name` in at most `room` characters; when it must be cut, a suffix keeps names apart that begin alike."""
    if len(name) <= room:
        return name
    suffix = "~" + hashlib.sha256(name.encode()).hexdigest()[:6]
    return name[: boundary(name, max(room - len(suffix) - 1, 0))].rstrip() + "…" + suffix


class _Builder:
    """Adds nodes parent first, with names unique among siblings and paths within the limit."""

    def __init__(self, remembered: Mapping[str, Remembered], digest: Callable[[str], str]) -> None:
        self.nodes: list[Node] = []
        self._remembered = remembered
        self._digest = digest
        self._paths: dict[str, int] = {}
        self._taken: set[tuple[str | None, str]] = set()

    def add(
        self,
        key: str,
        name: str,
        *,
        parent: str | None = None,
        role: NodeRole,
        color: str,
        target: Target | None = None,
    ) -> None:
        above = self._paths[parent] + 1 if parent else 0
        room = (LONGEST_PATH if parent else LONGEST_TOP) - above
        wanted = clean(name)
        if parent is None and wanted.lower() in _RESERVED:
            wanted += " (CRM)"
        unique, number = fit(wanted, room), 2
        while (parent, unique.casefold()) in self._taken:  # names are unique whatever their case
            unique = fit(wanted, room - 5) + f" ({number})"
            number += 1
        self._taken.add((parent, unique.casefold()))
        self._paths[key] = above + len(unique)
        known = self._remembered.get(key)
        self.nodes.append(
            Node(
                key,
                unique,
                parent,
                role,
                target,
                color,
                known.remote_id if known else None,
                known is not None and known.digest != self._digest(unique),
            )
        )


def _named(policy: Policy, option: str) -> str:
    """An empty marker name means the product's own: a mail without a visible end state would be lost to its user."""
    return clean(getattr(policy, option)) or str(OPTIONS[option].default)


@dataclass(frozen=True, slots=True)
class Enabled:
    """A module of the policy and what the CRM says that it is."""

    rule: ModuleRule
    module: Module

    def assign_to(self, policy: Policy) -> bool:
        return policy.assign_to if self.rule.assign_to is None else self.rule.assign_to

    def summaries(self, policy: Policy) -> bool:
        return policy.summaries if self.rule.summaries is None else self.rule.summaries

    def items(self, policy: Policy) -> bool:
        """Whether the mailbox shows anything of single items."""
        return self.assign_to(policy) or self.summaries(policy)


@dataclass(frozen=True, slots=True)
class Leaf:
    """An item's drop label that is wanted. `name` is not cut yet."""

    kind: str
    record: str
    name: str
    remembered: Remembered | None = None

    @property
    def key(self) -> str:
        return f"leaf.{self.kind}.{self.record}"


def tree(
    policy: Policy,
    crm_name: str,
    remembered: Mapping[str, Remembered],
    digest: Callable[[str], str],
    reasons: Iterable[str] = (),
    modules: Sequence[Enabled] = (),
) -> LabelTree:
    """The wanted tree without leaves, parents before children: master, its drop labels, the modules' labels, triggers,
    markers and, below the markers, the reasons that are asked for or remembered.

    `rename` is set only where the wanted name differs from the one wanted before, so that a user's own renaming
    survives (product.md 7 L2). The caller stores `digest(node.name)` with the id.
    """
    build = _Builder(remembered, digest)
    build.add("master", _master(policy, crm_name), role="container", color="blue")
    build.add("drop.archive", ARCHIVE_NAME, parent="master", role="drop", color="blue", target=ARCHIVE)
    for one in modules:
        if one.rule.create and one.module.creatable:
            name, target = CREATE_NAME.format(one.module.label), Target("create", one.module.kind)
            build.add(f"drop.create.{one.module.kind}", name, parent="master", role="drop", color="blue", target=target)
    for one in modules:
        if one.items(policy):
            build.add(f"module.{one.module.kind}", one.module.plural, parent="master", role="container", color="grey")
        if one.assign_to(policy):
            above = f"module.{one.module.kind}"
            build.add(f"assign.{one.module.kind}", ASSIGN_NAME, parent=above, role="container", color="grey")
    _triggers(build, policy, modules)
    for key, option, color in _MARKERS:
        build.add(key, _named(policy, option), role="marker", color=color)
    if policy.conversation_follow:
        build.add("marker.followed", _named(policy, "follow_marker"), role="marker", color="green")
    asked = set(reasons) | {key.removeprefix("reason.") for key in remembered if key.startswith("reason.")}
    for code, reason in REASONS.items():
        if code in asked:
            parent, color = _PARENT_OF_OUTCOME[reason.outcome]
            build.add(f"reason.{code}", reason.label, parent=parent, role="marker", color=color)
    return LabelTree(tuple(build.nodes))


def _master(policy: Policy, crm_name: str) -> str:
    return clean(policy.master_label) or clean(crm_name) or "CRM"


def _triggers(build: _Builder, policy: Policy, modules: Sequence[Enabled]) -> None:
    if policy.trigger_category:
        build.add("trigger.archive", policy.trigger_category, role="trigger", color="blue", target=ARCHIVE)
    kinds = {one.rule.name.casefold(): one.module.kind for one in modules if one.module.creatable}
    for more in policy.trigger_categories:
        kind = kinds.get(more.module.casefold()) if more.module else ""
        if kind is not None:  # a module that is not there now has no trigger either
            target = Target("create", kind) if kind else ARCHIVE
            build.add(f"trigger.{more.name.casefold()}", more.name, role="trigger", color="blue", target=target)
    if policy.conversation_follow and policy.follow_stop_marker:
        build.add("trigger.stop", policy.follow_stop_marker, role="trigger", color="orange", target=STOP)


GOES = ("drop.create.", "trigger.")  # what a mail lies in for moments only; markers stay on the mails that wear them
GOES_LAST = ("assign.", "module.")  # once their leaves and summaries are gone


def obsolete(wanted: LabelTree, remembered: Mapping[str, Remembered]) -> tuple[str, ...]:
    """Keys of labels that were made and are wanted no more, children before parents."""
    keys = {node.key for node in wanted.nodes}
    return tuple(
        sorted((key for key in remembered if key not in keys), key=lambda key: _DEPTH.get(key.split(".")[0], 3))
    )


_DEPTH: Mapping[str, int] = {"assign": 0, "module": 1, "drop": 1, "master": 9}


def with_leaves(wanted: LabelTree, leaves: Iterable[Leaf], digest: Callable[[str], str]) -> LabelTree:
    """These leaves and what is above them. Names are unique by their number."""
    nodes = {node.key: node for node in wanted.nodes}
    above: dict[str, Node] = {}
    below: list[Node] = []
    for leaf in leaves:
        parent = f"assign.{leaf.kind}"
        chain = [nodes[parent]]
        while (up := chain[0].parent) is not None:
            chain.insert(0, nodes[up])
        above.update((node.key, node) for node in chain)
        name = fit(leaf.name, LONGEST_PATH - sum(len(node.name) + 1 for node in chain))
        known = leaf.remembered
        rename = known is not None and known.digest != digest(name)
        target = Target("record", leaf.kind, leaf.record)
        below.append(Node(leaf.key, name, parent, "drop", target, "grey", known.remote_id if known else None, rename))
    return LabelTree((*above.values(), *below))
