from __future__ import annotations

import pytest

from sync.store.store import Store
from tests.databases import database, postgres, store
from tests.engine.office import Office

__all__ = ["database", "office", "postgres", "store"]


@pytest.fixture
def office(store: Store) -> Office:
    """The office on each kind of database."""
    found = Office(store)
    found.open(migrate=False)
    return found
