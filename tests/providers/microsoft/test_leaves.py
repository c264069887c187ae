"""Assign To folders by the hundred: what looks at them cost, and how they are made, renamed and removed
(providers.md 0.8, 2.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync.errors import Conflict
from sync.model import LabelMap, LabelTree, Node, Target
from sync.providers.microsoft import batch, removal
from sync.providers.microsoft.http import Api, Call
from sync.providers.microsoft.item import category_id
from tests.contracts.mail_world import mail
from tests.contracts.outlook_world import OutlookMailbox, OutlookWorld
from tests.providers.microsoft.test_cost import spending

ABOVE = (
    Node("master", "Salesforce"),
    Node("module.opportunity", "Opportunities", "master"),
    Node("assign.opportunity", "Assign To", "module.opportunity"),
    Node("module.case", "Cases", "master"),
    Node("assign.case", "Assign To", "module.case"),
)


def leaf(kind: str, number: int) -> Node:
    target = Target("record", kind, f"{number}")
    return Node(f"leaf.{kind}.{number}", f"[{number}] Widgets", f"assign.{kind}", "drop", target)


LEAVES = tuple(leaf(kind, number) for kind in ("opportunity", "case") for number in range(20))


@pytest.fixture
def made(box: OutlookMailbox) -> LabelMap:
    return box.provider().ensure_tree(LabelTree((*ABOVE, *LEAVES)))


@pytest.fixture
def labels(made: LabelMap) -> list[str]:
    return [made.ids[node.key] for node in LEAVES]


def known(made: LabelMap, *nodes: Node) -> tuple[Node, ...]:
    return tuple(replace(node, remote_id=made.ids[node.key]) for node in nodes)


# --- looks ----------------------------------------------------------------------------------------------------------


def test_a_look_costs_a_request_per_parent(world: OutlookWorld, box: OutlookMailbox, labels: list[str]) -> None:
    provider = box.provider()
    cursor = provider.changes(None, labels).cursor
    with spending(world) as spent:
        provider.changes(cursor, labels)
    assert (spent.http, spent.requests) == (1, 4)  # two of these are the changes of Inbox and Sent Items


def test_after_a_restart_a_few_folders_tell_the_parents_of_all(
    world: OutlookWorld, box: OutlookMailbox, labels: list[str]
) -> None:
    key = box.drop(box.deliver(mail()), labels[33])
    provider = box.provider()
    with spending(world) as first:
        assert [seen.id for seen in provider.dropped(labels)] == [key]
    with spending(world) as second:
        assert [seen.id for seen in provider.dropped(labels)] == [key]
    assert first.requests == 6 + 4 + 2 + 1  # well-known folders, some leaves, their parents' children, the full one
    assert second.requests == 2 + 1


def test_folders_that_are_gone_are_not_asked_for_again_and_again(
    world: OutlookWorld, box: OutlookMailbox, labels: list[str]
) -> None:
    provider = box.provider()
    provider.dropped(labels)
    for label in labels[:10]:
        box.act("delete_folder", folder=label, forever=True)
    provider.dropped(labels)
    with spending(world) as spent:
        assert list(provider.dropped(labels)) == []
    assert spent.requests == 2


def test_a_folder_that_the_user_moved_is_found_again(box: OutlookMailbox, labels: list[str]) -> None:
    provider = box.provider()
    provider.dropped(labels)
    own = box.create_label("Customers")
    box.act("move_folder", folder=labels[7], to=own)
    key = box.drop(box.deliver(mail()), labels[7])
    assert [(seen.id, seen.labels) for seen in provider.dropped(labels)] == [(key, {labels[7]})]


# --- the tree -------------------------------------------------------------------------------------------------------


def test_a_slice_of_20_is_made_in_two_calls(world: OutlookWorld, box: OutlookMailbox, made: LabelMap) -> None:
    provider = box.provider()
    provider.present([])
    tree = LabelTree((*known(made, *ABOVE[:3]), *(leaf("opportunity", number) for number in range(100, 120))))
    provider.ensure_tree(LabelTree(known(made, *ABOVE[:3])))
    with spending(world) as spent:
        assert len(provider.ensure_tree(tree).created) == 20
    assert (spent.http, spent.requests) == (2, 24)


def test_a_slice_of_20_is_renamed_in_two_calls(world: OutlookWorld, box: OutlookMailbox, made: LabelMap) -> None:
    provider = box.provider()
    provider.ensure_tree(LabelTree(known(made, *ABOVE[:3])))
    slice_ = [replace(one, name=f"{one.name} ($1)", rename=True) for one in known(made, *LEAVES[:20])]
    with spending(world) as spent:
        assert len(provider.ensure_tree(LabelTree((*known(made, *ABOVE[:3]), *slice_))).renamed) == 20
    assert (spent.http, spent.requests) == (2, 24)


def test_a_name_that_another_renaming_frees(box: OutlookMailbox, made: LabelMap) -> None:
    one, two = known(made, *LEAVES[:2])
    freed, wanted = replace(one, name="[5000] A", rename=True), replace(two, name=one.name, rename=True)
    again = box.provider().ensure_tree(LabelTree((*known(made, *ABOVE[:3]), freed, wanted)))
    assert set(again.renamed) == {one.key, two.key}
    names = box.labels()
    assert [names[made.ids[node.key]][-1] for node in (one, two)] == ["[5000] A", "[0] Widgets"]


# --- what is there, and what goes -----------------------------------------------------------------------------------


def test_what_lies_below_a_deleted_folder_is_not_present(
    world: OutlookWorld, box: OutlookMailbox, made: LabelMap, labels: list[str]
) -> None:
    box.delete_label(made.ids["module.case"])
    provider = box.provider()
    provider.dropped(labels)
    with spending(world) as spent:
        assert provider.present(labels) == set(labels[:20])
    assert spent.requests == 2 + 5  # children of two parents; the two parents, theirs, and the first of these again


def test_removed_folders_do_not_fill_deleted_items(box: OutlookMailbox, labels: list[str]) -> None:
    box.provider().remove(labels[:3])
    assert box.api("mailFolders/deleteditems/childFolders")["value"] == []
    assert set(labels[:3]) & box.labels().keys() == set()


def test_a_mail_that_is_dropped_while_its_folder_goes_brings_it_back(
    box: OutlookMailbox, labels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = box.deliver(mail())
    before = box.labels()[labels[0]]

    def late(api: Api, calls: list[Call]) -> list[batch.Answer]:
        if [call.verb for call in calls] == ["DELETE", "DELETE"]:
            box.drop(own, labels[0])
        return batch.run(api, calls)

    monkeypatch.setattr(removal, "batch", type("late", (), {"run": staticmethod(late)}))
    outcomes = box.provider().remove(labels[:2])
    assert [type(outcome.error) for outcome in outcomes] == [Conflict, type(None)]
    assert box.labels()[labels[0]] == before
    assert list(box.inside(labels[0])) == [own]
    assert labels[1] not in box.labels()


def test_removing_costs_4_requests_a_folder(world: OutlookWorld, box: OutlookMailbox, labels: list[str]) -> None:
    provider = box.provider()
    provider.present(labels[:1])
    with spending(world) as spent:
        provider.remove(labels[:10])
    assert spent.http == 4 + 3  # what is above them is looked at one by one
    assert spent.requests == 40 + 3


# --- categories -----------------------------------------------------------------------------------------------------


def test_a_category_goes_when_no_message_wears_it(box: OutlookMailbox) -> None:
    worn, bare, thrown = (box.create_label(name, marker=True) for name in ("Worn", "Bare", "Thrown"))
    box.deliver(mail(), labels=[worn])
    box.throw_away(box.deliver(mail(), labels=[thrown]))
    gone = category_id("Never was")
    outcomes = box.provider().remove([worn, bare, thrown, gone])
    assert [type(outcome.error) for outcome in outcomes] == [Conflict, type(None), type(None), type(None)]
    assert box.provider().present([worn, bare, thrown, gone]) == {worn}
