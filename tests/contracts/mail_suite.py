"""What the contract tests of `MailProvider` share: a tree, and ways to look at what an adapter did."""

from __future__ import annotations

from dataclasses import replace

from sync.model import LabelMap, LabelTree, Message, Node, Seen, Target
from tests.contracts.mail_world import MailWorld, UserMailbox

TREE = LabelTree(
    (
        Node("master", "Salesforce", color="blue"),
        Node("drop.archive", "- Create New Email", "master", "drop", Target("archive"), "blue"),
        Node("drop.case", "- Create New Case", "master", "drop", Target("create", "case"), "blue"),
        Node("marker.done", "Processing Complete!", role="marker", color="green"),
        Node("marker.error", "Tracking Failed", role="marker", color="red"),
        Node("reason.too_large", "Too large", "marker.error", "marker", color="red"),
    )
)
PATHS = {
    "master": ("Salesforce",),
    "drop.archive": ("Salesforce", "- Create New Email"),
    "drop.case": ("Salesforce", "- Create New Case"),
    "marker.done": ("Processing Complete!",),
    "marker.error": ("Tracking Failed",),
    "reason.too_large": ("Tracking Failed", "Too large"),
}


def remembered(made: LabelMap, **renames: str) -> LabelTree:
    """The tree with the ids of last time; `renames` are new wanted names ("drop_archive" for "drop.archive")."""
    nodes = []
    for node in TREE.nodes:
        name = renames.get(node.key.replace(".", "_"))
        known = replace(node, remote_id=made.ids[node.key])
        nodes.append(replace(known, name=name, rename=True) if name else known)
    return LabelTree(tuple(nodes))


def drops(box: UserMailbox) -> list[str]:
    """The drop labels that there are: what lies below the tree's first label."""
    return [label for label, path in box.labels().items() if path[:1] == ("Salesforce",) and len(path) > 1]


def drain(box: UserMailbox, cursor: str) -> tuple[dict[str, Seen], str]:
    """All that happened since the cursor, folded over the answers as the engine does, and the new cursor."""
    provider, labels = box.provider(), drops(box)
    out: dict[str, Seen] = {}
    for _ in range(100):
        page = provider.changes(cursor, labels)
        out |= {seen.id: seen for seen in page.changed}
        cursor = page.cursor
        if not page.more:
            return out, cursor
    raise AssertionError("the changes never end")


def now(box: UserMailbox) -> str:
    return box.provider().changes(None, drops(box)).cursor


def whole(answer: object) -> Message:
    assert isinstance(answer, Message)
    return answer


class Writes:
    """What was written to the vendor within a `with`."""

    def __init__(self, world: MailWorld) -> None:
        self.world = world

    def __enter__(self) -> Writes:
        self._writes, self._requests = self.world.writes(), self.world.requests()
        return self

    def __exit__(self, *exc: object) -> None:
        self.writes = self.world.writes() - self._writes
        self.requests = self.world.requests() - self._requests
