"""The contract of `MailProvider` about the labels of items: many made at once, renamed, looked for and removed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync.errors import Busy, Conflict, Denied
from sync.model import LabelMap, LabelTree, Node, Target
from sync.ports import MailProvider
from tests.contracts.mail_suite import Writes
from tests.contracts.mail_world import MailWorld, UserMailbox, mail

ABOVE = (
    Node("master", "Salesforce", color="blue"),
    Node("module.opportunity", "Opportunities", "master"),
    Node("assign.opportunity", "Assign To", "module.opportunity"),
)
PATH = ("Salesforce", "Opportunities", "Assign To")


def leaf(number: int, title: str = "Widgets") -> Node:
    target = Target("record", "opportunity", f"006{number}")
    return Node(f"leaf.opportunity.006{number}", f"[{number}] {title}", "assign.opportunity", "drop", target)


def known(made: LabelMap, *nodes: Node, rename: bool = False) -> tuple[Node, ...]:
    return tuple(replace(node, remote_id=made.ids[node.key], rename=rename) for node in nodes)


@pytest.fixture
def above(provider: MailProvider) -> LabelMap:
    return provider.ensure_tree(LabelTree(ABOVE))


@pytest.fixture
def leaves(box: UserMailbox, above: LabelMap) -> LabelMap:
    nodes = [leaf(number) for number in (1, 2, 3)]
    return box.provider().ensure_tree(LabelTree((*known(above, *ABOVE), *nodes)))


# --- ensure_tree: leaves come in slices ------------------------------------------------------------------------------


def test_a_slice_of_leaves_is_made_below_what_is_there(box: UserMailbox, above: LabelMap) -> None:
    nodes = [leaf(number) for number in range(1, 21)]
    made = box.provider().ensure_tree(LabelTree((*known(above, *ABOVE), *nodes)))
    assert set(made.created) == {node.key for node in nodes}
    assert {box.labels()[made.ids[node.key]] for node in nodes} == {(*PATH, node.name) for node in nodes}


def test_another_slice_leaves_the_first_alone(box: UserMailbox, above: LabelMap, leaves: LabelMap) -> None:
    before = box.labels()
    made = box.provider().ensure_tree(LabelTree((*known(above, *ABOVE), leaf(4))))
    assert box.labels() == {**before, made.ids[leaf(4).key]: (*PATH, "[4] Widgets")}


def test_a_leaf_that_a_dead_worker_made_is_adopted(
    world: MailWorld, box: UserMailbox, above: LabelMap, leaves: LabelMap
) -> None:
    with Writes(world) as seen:
        again = box.provider().ensure_tree(LabelTree((*known(above, *ABOVE), leaf(1), leaf(2))))
    assert seen.writes == 0
    assert again.created == ()
    assert again.ids[leaf(1).key] == leaves.ids[leaf(1).key]


def test_leaves_are_renamed_in_place(box: UserMailbox, above: LabelMap, leaves: LabelMap) -> None:
    wanted = [replace(one, name=f"{one.name} ($120,000)") for one in known(leaves, leaf(1), leaf(3), rename=True)]
    again = box.provider().ensure_tree(LabelTree((*known(above, *ABOVE), *wanted)))
    assert set(again.renamed) == {one.key for one in wanted}
    assert {box.labels()[leaves.ids[leaf(number).key]][-1] for number in (1, 2, 3)} == {
        "[1] Widgets ($120,000)",
        "[2] Widgets",
        "[3] Widgets ($120,000)",
    }


def test_leaves_follow_a_parent_that_is_renamed_without_them(
    box: UserMailbox, above: LabelMap, leaves: LabelMap
) -> None:
    """The tree of a policy has no leaves in it."""
    master, *others = known(above, *ABOVE)
    lying = box.deliver(mail(), labels=[leaves.ids[leaf(1).key]])
    box.provider().ensure_tree(LabelTree((replace(master, name="CRM", rename=True), *others)))
    assert {box.labels()[leaves.ids[leaf(number).key]] for number in (1, 2, 3)} == {
        ("CRM", *PATH[1:], f"[{number}] Widgets") for number in (1, 2, 3)
    }
    assert box.inside(leaves.ids[leaf(1).key]) == [lying]


def test_a_rename_that_broke_off_is_carried_on(
    world: MailWorld, box: UserMailbox, above: LabelMap, leaves: LabelMap
) -> None:
    master, *others = known(above, *ABOVE)
    wanted = LabelTree((replace(master, name="CRM", rename=True), *others))
    provider = box.provider()
    world.fault("lost")
    with pytest.raises(Busy):
        provider.ensure_tree(wanted)
    provider.ensure_tree(wanted)
    assert {path[0] for path in box.labels().values()} == {"CRM"}
    assert box.labels()[leaves.ids[leaf(2).key]] == ("CRM", *PATH[1:], "[2] Widgets")


def test_new_leaves_go_below_their_parent_as_the_user_named_it(
    box: UserMailbox, above: LabelMap, leaves: LabelMap
) -> None:
    box.rename_label(above.ids["assign.opportunity"], "Deals")
    made = box.provider().ensure_tree(LabelTree((*known(above, *ABOVE), leaf(4))))
    assert box.labels()[made.ids[leaf(4).key]] == (*PATH[:-1], "Deals", "[4] Widgets")
    assert box.labels()[leaves.ids[leaf(1).key]] == (*PATH[:-1], "Deals", "[1] Widgets")


# --- present: which of these labels, folders or categories are there ------------------------------------------------


def test_what_is_present(box: UserMailbox, made: LabelMap) -> None:
    ids = set(made.ids.values())
    assert box.provider().present([*ids, "Label_none"]) == ids
    box.delete_label(made.ids["drop.case"])
    assert box.provider().present([*ids]) == ids - {made.ids["drop.case"]}
    assert box.provider().present([made.ids["drop.case"]]) == frozenset()


def test_asking_for_nothing_is_no_call(world: MailWorld, provider: MailProvider) -> None:
    with Writes(world) as seen:
        assert provider.present([]) == frozenset()
        assert list(provider.remove([])) == []
    assert seen.requests == 0


# --- remove: one in which a mail or another label lies stays --------------------------------------------------------


def test_empty_leaves_are_removed(box: UserMailbox, leaves: LabelMap) -> None:
    one, two, three = (leaves.ids[leaf(number).key] for number in (1, 2, 3))
    outcomes = box.provider().remove([two, one])
    assert [(outcome.key, outcome.error) for outcome in outcomes] == [(two, None), (one, None)]
    assert {one, two, three} & box.provider().present([one, two, three]) == {three}


def test_what_is_gone_counts_as_removed(box: UserMailbox, leaves: LabelMap) -> None:
    gone = leaves.ids[leaf(1).key]
    box.delete_label(gone)
    provider = box.provider()
    assert [one.error for one in (*provider.remove([gone]), *provider.remove([gone]))] == [None, None]


def test_one_in_which_a_mail_lies_stays(box: UserMailbox, leaves: LabelMap) -> None:
    one, two, three = (leaves.ids[leaf(number).key] for number in (1, 2, 3))
    key = box.deliver(mail(), labels=[two], inbox=False)
    outcomes = box.provider().remove([one, two, three])
    assert [type(outcome.error) for outcome in outcomes] == [type(None), Conflict, type(None)]
    assert box.inside(two) == [key]
    box.undrop(key, two)
    assert [outcome.error for outcome in box.provider().remove([two])] == [None]


def test_a_mail_that_was_thrown_away_keeps_no_label(box: UserMailbox, leaves: LabelMap) -> None:
    label = leaves.ids[leaf(1).key]
    box.throw_away(box.deliver(mail(), labels=[label]))
    assert [outcome.error for outcome in box.provider().remove([label])] == [None]
    assert label not in box.labels()


def test_one_in_which_a_label_lies_stays(box: UserMailbox, above: LabelMap, leaves: LabelMap) -> None:
    parent = above.ids["assign.opportunity"]
    own = box.create_label(*PATH, "My own")
    outcomes = box.provider().remove([*(leaves.ids[leaf(number).key] for number in (1, 2, 3)), parent])
    assert [type(outcome.error) for outcome in outcomes] == [type(None)] * 3 + [Conflict]
    assert own in box.labels()


def test_children_and_then_their_parents_go_in_one_call(box: UserMailbox, above: LabelMap, leaves: LabelMap) -> None:
    children = [leaves.ids[leaf(number).key] for number in (1, 2, 3)]
    parents = [above.ids["assign.opportunity"], above.ids["module.opportunity"]]
    outcomes = box.provider().remove([*children, *parents])
    assert [outcome.error for outcome in outcomes] == [None] * 5
    assert set(box.labels()) == {above.ids["master"]}


@pytest.mark.parametrize("kind", ["throttled", "down", "reset", "revoked"])
@pytest.mark.parametrize("method", ["present", "remove"])
def test_trouble_removes_nothing(world: MailWorld, box: UserMailbox, leaves: LabelMap, kind: str, method: str) -> None:
    label = leaves.ids[leaf(1).key]
    provider = box.provider()
    world.fault(kind)  # type: ignore[arg-type]
    with pytest.raises(Denied if kind == "revoked" else Busy):
        getattr(provider, method)([label])
    assert label in box.labels()
