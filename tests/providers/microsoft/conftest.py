"""Fixtures: a mailbox in the sandbox, with the tree of `scene`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sync.model import LabelMap
from tests.contracts.outlook_world import OutlookMailbox, OutlookWorld
from tests.providers.microsoft.scene import TREE
from tests.sandboxed import Sandbox


@pytest.fixture
def world(bare_sandbox: Sandbox) -> Iterator[OutlookWorld]:
    world = OutlookWorld(bare_sandbox)
    yield world
    world.close()


@pytest.fixture
def box(world: OutlookWorld) -> OutlookMailbox:
    return world.mailbox()


@pytest.fixture
def made(box: OutlookMailbox) -> LabelMap:
    return box.provider().ensure_tree(TREE)


@pytest.fixture
def drop(made: LabelMap) -> str:
    return made.ids["drop.archive"]


@pytest.fixture
def trigger(made: LabelMap) -> str:
    return made.ids["trigger.archive"]


@pytest.fixture
def done(made: LabelMap) -> str:
    return made.ids["marker.done"]
