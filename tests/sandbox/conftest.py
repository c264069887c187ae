"""Clients of the simulators for the tests of the sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.gmail_client import BEN, ORGANISATION, Gmail
from tests.sandbox.graph_client import graph, hook, priya
from tests.sandbox.salesforce_client import org, salesforce_frame, salesforce_http
from tests.sandboxed import Sandbox

# fixtures that live beside their client
__all__ = ["graph", "hook", "org", "priya", "salesforce_frame", "salesforce_http"]


@pytest.fixture
def gmail(bare_sandbox: Sandbox) -> Iterator[Gmail]:
    """Anna's Gmail in a small domain: two users, one label, no mail, search without delay."""
    bare_sandbox.seed(ORGANISATION)
    bare_sandbox.settings(gmail_index_delay=0.0)
    client = Gmail(bare_sandbox)
    yield client
    client.close()


@pytest.fixture
def colleague(gmail: Gmail) -> Iterator[Gmail]:
    """Ben's Gmail in the same domain."""
    client = Gmail(gmail.sandbox, BEN)
    yield client
    client.close()
