"""Fixtures for every test: the sandbox, one process for a session, as new for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandboxed import Sandbox


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[Sandbox]:
    """The process behind `sandbox`; do not use it directly, it carries what the last test has left."""
    with Sandbox.start() as process:
        yield process


@pytest.fixture
def sandbox(sandbox_process: Sandbox) -> Sandbox:
    """The sandbox with the supplied organisation, no faults, default settings, real time and a zero meter."""
    sandbox_process.reset()
    return sandbox_process


@pytest.fixture
def bare_sandbox(sandbox_process: Sandbox) -> Sandbox:
    """The same without any organisation: for tests that `seed` their own."""
    sandbox_process.reset(seed=False)
    return sandbox_process
