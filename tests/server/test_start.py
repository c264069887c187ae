"""What a command loads before it does anything: each process waits for that, and `mailspan up` starts four."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from sync import wiring

HEAVY = set("alembic googleapiclient lxml redis requests rich rq simple_salesforce sqlalchemy zeep".split())
VENDORS = ("google", "googleapiclient", "httplib2", "requests", "simple_salesforce", "zeep")


def loaded(statement: str) -> set[str]:
    """Top-level packages in memory after the statement, in a new interpreter."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["sync.cli", "server.cli"])
def test_the_command_itself_loads_little(module: str) -> None:
    assert not loaded(f"import {module}") & HEAVY


def test_ticker_loads_no_vendor() -> None:
    found = loaded("from sync import jobs, wiring")
    assert "redis" in found
    assert not found & set(VENDORS)


def test_a_worker_has_loaded_the_vendors_before_its_first_mail() -> None:
    connections = [SimpleNamespace(vendor=vendor) for vendor in wiring.VENDORS]
    app = SimpleNamespace(store=SimpleNamespace(connections=lambda: connections))
    wiring.warm(app)  # type: ignore[arg-type]
    modules = {module for some in wiring.VENDORS.values() for module in some}
    assert modules | {"googleapiclient", "simple_salesforce", "msal", "msgraph"} <= sys.modules.keys()
