"""A worker is killed at every remote call and every commit of every Outlook flow: nothing is lost, nothing doubled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.dying import Host, hosted
from tests.e2e.flows import OUTLOOK_FLOWS, Flow
from tests.e2e.matrix import survey
from tests.sandboxed import Sandbox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def host(sandbox_process: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    sandbox_process.reset()
    sandbox_process.settings(gmail_quota=False)
    with hosted(sandbox_process, tmp_path_factory.mktemp("host")) as found:
        yield found


@pytest.mark.parametrize("flow", OUTLOOK_FLOWS, ids=str)
def test_killed_anywhere(flow: Flow, sandbox_process: Sandbox, host: Host, tmp_path: Path) -> None:
    assert survey(flow, sandbox_process, host, tmp_path) == []
