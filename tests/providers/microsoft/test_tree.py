"""The tree as folders and categories (product.md 7 L1, L2), on the sandbox."""

from __future__ import annotations

from dataclasses import replace

from sync.model import LabelMap, LabelTree, Node
from tests.contracts.mail_world import mail
from tests.contracts.outlook_world import OutlookMailbox, OutlookWorld
from tests.providers.microsoft.scene import TREE


def test_categories_get_colours_once(world: OutlookWorld, box: OutlookMailbox, made: LabelMap) -> None:
    def colours() -> dict[str, str]:
        return {c["displayName"]: c["color"] for c in box.api("outlook/masterCategories")["value"]}

    assert colours() == {
        "Track in CRM": "preset12",
        "Processing Complete!": "preset4",
        "Tracking Failed": "preset0",
        "Tracking Failed: No usable address": "preset0",
    }
    box.act("delete_category", name="Processing Complete!")
    box.act("create_category", name="Processing Complete!", color="preset9")
    box.provider().ensure_tree(TREE)
    assert colours()["Processing Complete!"] == "preset9"


def test_a_folder_that_the_user_moved_is_that_folder(world: OutlookWorld, box: OutlookMailbox, made: LabelMap) -> None:
    own = box.create_label("Customers", "Widgets")
    box.act("move_folder", folder=made.ids["master"], to=own)
    known = LabelTree(tuple(replace(node, remote_id=made.ids[node.key]) for node in TREE.nodes))
    before = world.writes()
    assert box.provider().ensure_tree(known) == LabelMap(made.ids)
    assert world.writes() == before


def test_mails_in_a_deleted_tree_come_back_with_it(box: OutlookMailbox, made: LabelMap, drop: str) -> None:
    key = box.drop(box.deliver(mail()), drop)
    box.delete_label(made.ids["master"])
    known = LabelTree(tuple(replace(node, remote_id=made.ids[node.key]) for node in TREE.nodes))
    again = box.provider().ensure_tree(known)
    assert again.created == ("master",)
    assert [seen.id for seen in box.provider().dropped([again.ids["drop.archive"]])] == [key]


def test_the_folder_of_a_user_is_not_taken_for_a_place_of_outlooks(box: OutlookMailbox) -> None:
    made = box.provider().ensure_tree(LabelTree((Node("master", "Inbox"),)))
    assert made.created == ("master",)
    assert box.labels()[made.ids["master"]] == ("Inbox 2",)
