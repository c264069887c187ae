"""The label tree of a policy (product.md 7; providers.md 1.3)."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sync.core.cut import boundary
from sync.core.reasons import REASONS
from sync.model import LabelTree, Node, NodeRole, Target
from sync.policy import OPTIONS, Policy

COLORS = ("grey", "blue", "green", "orange", "red")
"""The colour words of nodes; each mail adapter maps all of them to its palette."""

LONGEST_PATH = 200
"""Characters of a label with all its parents and separators (product.md 7 L3)."""

LONGEST_TOP = 120
"""Characters of a label at the top, so that those below it have room."""

ARCHIVE_NAME = "- Create New Email"
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


def tree(
    policy: Policy,
    crm_name: str,
    remembered: Mapping[str, Remembered],
    digest: Callable[[str], str],
    reasons: Iterable[str] = (),
) -> LabelTree:
    """The wanted tree, parents before children: master, its drop labels, the markers and, below the markers, the
    reasons that are asked for or remembered.

    `rename` is set only where the wanted name differs from the one wanted before, so that a user's own renaming
    survives (product.md 7 L2). The caller stores `digest(node.name)` with the id.
    """
    build = _Builder(remembered, digest)
    master = clean(policy.master_label) or clean(crm_name) or "CRM"
    build.add("master", master, role="container", color="blue")
    build.add("drop.archive", ARCHIVE_NAME, parent="master", role="drop", color="blue", target=Target("archive"))
    if policy.trigger_category:
        build.add("trigger.archive", policy.trigger_category, role="trigger", color="blue", target=Target("archive"))
    for key, option, color in _MARKERS:
        build.add(key, _named(policy, option), role="marker", color=color)
    asked = set(reasons) | {key.removeprefix("reason.") for key in remembered if key.startswith("reason.")}
    for code, reason in REASONS.items():
        if code in asked:
            parent, color = _PARENT_OF_OUTCOME[reason.outcome]
            build.add(f"reason.{code}", reason.label, parent=parent, role="marker", color=color)
    return LabelTree(tuple(build.nodes))
