"""What a tracked mail costs (design.md 12), by the sandbox's own count of requests and of HTTP calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from sync.model import LabelTree, Mark, Node, Target
from tests.contracts.mail_world import CountingMeter, mail
from tests.contracts.outlook_world import OutlookMailbox, OutlookWorld

TREE = LabelTree(
    (
        Node("master", "Salesforce"),
        Node("drop.archive", "- Create New Email", "master", "drop", Target("archive")),
        Node("trigger.archive", "Track in CRM", role="trigger", target=Target("archive")),
        Node("marker.done", "Processing Complete!", role="marker"),
    )
)


@dataclass
class Spent:
    """Of one `with`: by the sandbox's meter."""

    http: int = 0
    requests: float = 0.0


@contextmanager
def spending(world: OutlookWorld) -> Iterator[Spent]:
    http, requests, out = world.requests(), world.units(), Spent()
    yield out
    out.http, out.requests = world.requests() - http, world.units() - requests


@dataclass
class Track:
    look: Spent
    file: Spent


def track(world: OutlookWorld, box: OutlookMailbox, count: int, meter: CountingMeter, way: str) -> Track:
    """Drop so many mails and take them through a wake: look, then read and settle."""
    provider = box.provider(meter)
    made = provider.ensure_tree(TREE)
    drop, trigger, done = (made.ids[key] for key in ("drop.archive", "trigger.archive", "marker.done"))
    keys = [box.deliver(mail()) for _ in range(count)]
    cursor = provider.changes(None, [drop, trigger]).cursor
    lying = [box.drop(key, trigger if way == "category" else drop, move=way == "move") for key in keys]
    meter.spent.clear()
    with spending(world) as look:
        page = provider.changes(cursor, [drop, trigger])
    found = [seen.id for seen in page.changed if seen.labels & {drop, trigger}]
    with spending(world) as file:
        messages = provider.read(found)
        home = way != "category"
        marks = [Mark(key, frozenset({drop, trigger}), frozenset({done}), home) for key in messages]
        outcomes = provider.settle(marks)
    assert sorted(outcome.key for outcome in outcomes if outcome.ok) == sorted(lying)
    assert all(box.state(key).inbox and box.state(key).labels == {done} for key in keys[:3])
    return Track(look, file)


@pytest.mark.parametrize(("way", "requests"), [("move", 3), ("copy", 4), ("category", 2)])
def test_one_mail_costs_2_calls(world: OutlookWorld, way: str, requests: int) -> None:
    meter = CountingMeter()
    spent = track(world, world.mailbox(), 1, meter, way)
    assert (spent.file.http, spent.file.requests) == (2, requests)
    assert (spent.look.http, spent.look.requests) == (1, 5)
    assert (meter.calls, meter.units) == (3, spent.look.requests + spent.file.requests)


def test_a_burst_of_50_costs_9_calls_and_3_requests_each(world: OutlookWorld) -> None:
    meter = CountingMeter()
    spent = track(world, world.mailbox(), 50, meter, "move")
    assert (spent.file.http, spent.file.requests) == (9, 150)
    assert (meter.calls, meter.units) == (spent.look.http + 9, spent.look.requests + 150)


def test_an_idle_look_is_one_call(world: OutlookWorld) -> None:
    box = world.mailbox()
    provider = box.provider()
    labels = [provider.ensure_tree(TREE).ids[key] for key in ("drop.archive", "trigger.archive")]
    cursor = provider.changes(None, labels).cursor
    with spending(world) as spent:
        again = provider.changes(cursor, labels)
    assert (again.changed, spent.http, spent.requests) == ((), 1, 5)


def test_the_tree_is_looked_at_in_one_call(world: OutlookWorld) -> None:
    provider = world.mailbox().provider()
    made = provider.ensure_tree(TREE)
    tree = LabelTree(
        tuple(Node(n.key, n.name, n.parent, n.role, n.target, remote_id=made.ids[n.key]) for n in TREE.nodes)
    )
    with spending(world) as spent:
        provider.ensure_tree(tree)
    assert (spent.http, spent.requests) == (1, 3)


def test_hundreds_of_folders_are_not_looked_into(world: OutlookWorld) -> None:
    """Their parents tell how much lies in each: one request per 500 (product.md 7)."""
    box = world.mailbox()
    leaves = tuple(
        Node(f"drop.{n}", f"[{n}] Widgets", "master", "drop", Target("record", "case", f"{n}")) for n in range(300)
    )
    provider = box.provider()
    made = provider.ensure_tree(LabelTree((TREE.nodes[0], *leaves)))
    labels = [made.ids[leaf.key] for leaf in leaves]
    cursor = provider.changes(None, labels).cursor
    key = box.drop(box.deliver(mail()), labels[200])
    with spending(world) as spent:
        page = provider.changes(cursor, labels)
    assert [seen.id for seen in page.changed] == [key]
    assert labels[200] in page.changed[0].labels
    assert (spent.http, spent.requests) == (2, 4)
    assert [seen.id for seen in box.provider().dropped(labels)] == [key]
