"""What a tracked mail costs (design.md 12), by the sandbox's own table of units and count of HTTP calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from sync.model import LabelTree, Mark, Node, Note, Target
from sync.providers.google import quota
from tests.contracts.gmail_world import GmailMailbox, GmailWorld
from tests.contracts.mail_world import CountingMeter, mail
from tests.sandboxed import Sandbox

TREE = LabelTree(
    (
        Node("master", "Salesforce"),
        Node("drop.archive", "- Create New Email", "master", "drop", Target("archive")),
        Node("marker.done", "Processing Complete!", role="marker"),
    )
)


@pytest.fixture
def world(bare_sandbox: Sandbox) -> Iterator[GmailWorld]:
    world = GmailWorld(bare_sandbox)
    yield world
    world.close()


@dataclass
class Spent:
    """Of one `with`: by the sandbox's meter."""

    requests: int = 0
    units: float = 0.0


@contextmanager
def spending(world: GmailWorld) -> Iterator[Spent]:
    requests, units, out = world.requests(), world.units(), Spent()
    yield out
    out.requests, out.units = world.requests() - requests, world.units() - units


def track(world: GmailWorld, box: GmailMailbox, count: int, meter: CountingMeter) -> Spent:
    """Drop so many mails and take them through a wake: look, read, settle."""
    provider = box.provider(meter)
    made = provider.ensure_tree(TREE)
    drop, done = made.ids["drop.archive"], made.ids["marker.done"]
    cursor = provider.changes(None).cursor
    keys = [box.deliver(mail()) for _ in range(count)]
    for key in keys:
        box.drop(key, drop)
    meter.spent.clear()
    with spending(world) as spent:
        page = provider.changes(cursor)
        dropped = [seen.id for seen in page.changed if drop in seen.labels]
        messages = provider.read(dropped)
        marks = [Mark(key, frozenset({drop}), frozenset({done})) for key in messages]
        outcomes = provider.settle(marks)
    assert sorted(outcome.key for outcome in outcomes if outcome.ok) == sorted(keys)
    assert all(box.state(key).inbox and box.state(key).labels == {done} for key in keys[:3])
    return spent


def test_one_mail_costs_3_calls_and_27_units(world: GmailWorld) -> None:
    meter = CountingMeter()
    spent = track(world, world.mailbox(), 1, meter)
    assert (spent.requests, spent.units) == (3, 27)
    assert (meter.calls, meter.units) == (3, 27)


def test_a_burst_of_50_costs_3_calls_and_21_units_each(world: GmailWorld) -> None:
    meter = CountingMeter()
    spent = track(world, world.mailbox(), 50, meter)
    assert spent.requests == 3
    assert spent.units / 50 <= 21.1
    assert (meter.calls, meter.units) == (spent.requests, spent.units)


def test_a_burst_that_settles_in_different_ways_is_still_one_call(world: GmailWorld) -> None:
    box, meter = world.mailbox(), CountingMeter()
    provider = box.provider(meter)
    made = provider.ensure_tree(TREE)
    drop, done = made.ids["drop.archive"], made.ids["marker.done"]
    received = [box.deliver(mail(), labels=[drop]) for _ in range(12)]
    sent = [box.sent(mail()) for _ in range(5)]
    provider.read([*received, *sent])
    with spending(world) as spent:
        provider.settle([Mark(key, frozenset({drop}), frozenset({done})) for key in [*received, *sent]])
    assert (spent.requests, spent.units) == (1, 50 + 5 * 5)


def test_looking_costs_2_units_and_sweeping_1_per_empty_label(world: GmailWorld) -> None:
    box, meter = world.mailbox(), CountingMeter()
    provider = box.provider(meter)
    made = provider.ensure_tree(TREE)
    cursor = provider.changes(None).cursor
    with spending(world) as spent:
        provider.changes(cursor)
    assert (spent.requests, spent.units) == (1, 2)
    with spending(world) as spent:
        provider.dropped(list(made.ids.values()))
    assert (spent.requests, spent.units) == (1, 3)
    box.deliver(mail(), labels=[made.ids["drop.archive"]])
    with spending(world) as spent:
        provider.dropped(list(made.ids.values()))
    assert (spent.requests, spent.units) == (2, 3 + 5)


def test_500_leaves_cost_500_units_a_sweep_and_nothing_a_look(world: GmailWorld) -> None:
    box, meter = world.mailbox(), CountingMeter()
    labels = [box.create_label("Salesforce", f"[{number}] Widgets") for number in range(500)]
    cursor = box.provider().changes(None, labels).cursor
    key = box.deliver(mail(), labels=[labels[77]])
    provider = box.provider(meter)
    with spending(world) as spent:
        assert [seen.id for seen in provider.changes(cursor, labels).changed] == [key]
    assert (spent.requests, spent.units) == (1, 2)
    with spending(world) as spent:
        assert [(seen.id, seen.labels) for seen in provider.dropped(labels)] == [(key, frozenset({labels[77]}))]
    assert (spent.requests, spent.units) == (11, 505)
    with spending(world) as spent:
        assert len(provider.present(labels)) == 500
    assert (spent.requests, spent.units) == (1, 1)
    with spending(world) as spent:
        assert [outcome.ok for outcome in provider.remove(labels[70:80])].count(False) == 1
    assert (spent.requests, spent.units) == (4, 1 + 10 + 5 + 9 * 5)


def test_our_table_and_the_sandboxes_agree(world: GmailWorld) -> None:
    """Two tables of the same source, each written on its own: what we pay is what is charged."""
    box, meter = world.mailbox(), CountingMeter()
    with spending(world) as spent:
        provider = box.provider(meter)
        made = provider.ensure_tree(TREE)
        drop = made.ids["drop.archive"]
        cursor = provider.changes(None).cursor
        keys = [box.deliver(mail(), labels=[drop]) for _ in range(12)]
        provider.changes(cursor)
        provider.dropped([drop])
        provider.lag([drop])
        provider.read(keys)
        provider.settle([Mark(key, frozenset({drop})) for key in keys])
        provider.settle([Mark(keys[0], add=frozenset({drop}))])
        provider.conversations([box.thread(keys[0])])
        note = Note("opportunity:006A", "r1", drop, "Salesforce", "Widgets", "text", "html", datetime.now(UTC))
        first = provider.put([note])[0]
        last = provider.put([replace(note, revision="r2", previous=first.id, unsure=True)])[0]
        provider.take([last.id])
        provider.remove([drop, made.ids["marker.done"]])
        provider.present([drop])
    assert meter.units == spent.units
    assert {method for method, _, _ in meter.spent} <= quota.UNITS.keys()


def test_a_quota_that_is_used_up_is_busy_and_nothing_is_lost(world: GmailWorld) -> None:
    box = world.mailbox()
    keys = [box.deliver(mail()) for _ in range(8)]
    world.sandbox.settings(gmail_quota_user=101)
    try:
        meter = CountingMeter()
        answers = box.provider(meter).read(keys)
        refused = [key for key, answer in answers.items() if not hasattr(answer, "mime")]
        assert set(answers) == set(keys)
        assert len(refused) == 3
        assert len(meter.refused) == 1
    finally:
        world.sandbox.settings(gmail_quota_user=None)
    assert all(hasattr(answer, "mime") for answer in box.provider().read(refused).values())
