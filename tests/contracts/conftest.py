"""A mail system per adapter, for the contract tests of `MailProvider`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sync.model import LabelMap
from sync.ports import MailProvider
from tests.contracts.gmail_world import GmailWorld
from tests.contracts.mail_suite import TREE
from tests.contracts.mail_world import MailWorld, UserMailbox
from tests.contracts.memory_folders import FolderWorld
from tests.contracts.memory_mail import MemoryWorld
from tests.contracts.outlook_world import OutlookWorld


@pytest.fixture(params=["memory", "folders", "gmail", "outlook"])
def world(request: pytest.FixtureRequest) -> Iterator[MailWorld]:
    """A mail system per adapter."""
    if request.param in ("memory", "folders"):
        yield MemoryWorld() if request.param == "memory" else FolderWorld()
        return
    made = {"gmail": GmailWorld, "outlook": OutlookWorld}[request.param](request.getfixturevalue("bare_sandbox"))
    yield made
    made.close()


@pytest.fixture
def box(world: MailWorld) -> UserMailbox:
    return world.mailbox()


@pytest.fixture
def provider(box: UserMailbox) -> MailProvider:
    return box.provider()


@pytest.fixture
def made(box: UserMailbox, provider: MailProvider) -> LabelMap:
    return provider.ensure_tree(TREE)


@pytest.fixture
def drop(made: LabelMap) -> str:
    return made.ids["drop.archive"]


@pytest.fixture
def done(made: LabelMap) -> str:
    return made.ids["marker.done"]
