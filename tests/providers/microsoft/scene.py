"""The tree that the tests of Outlook's own ways use, and short words for what they do."""

from __future__ import annotations

from sync.model import LabelTree, Mark, Node, Target
from tests.contracts.outlook_world import OutlookMailbox

TREE = LabelTree(
    (
        Node("master", "Salesforce"),
        Node("drop.archive", "- Create New Email", "master", "drop", Target("archive")),
        Node("drop.case", "- Create New Case", "master", "drop", Target("create", "case")),
        Node("trigger.archive", "Track in CRM", role="trigger", target=Target("archive")),
        Node("marker.done", "Processing Complete!", role="marker", color="green"),
        Node("marker.error", "Tracking Failed", role="marker", color="red"),
        Node("reason.no_address", "No usable address", "marker.error", "marker", color="red"),
    )
)


def settle(box: OutlookMailbox, *marks: Mark) -> None:
    assert [outcome.error for outcome in box.provider().settle(marks)] == [None] * len(marks)


def folder(box: OutlookMailbox, key: str) -> str:
    found = box.api(f"messages/{key}?$select=parentFolderId")["parentFolderId"]
    return box.places.get(found, found)


def filed(key: str, drop: str, done: str) -> Mark:
    return Mark(key, frozenset({drop}), frozenset({done}))
