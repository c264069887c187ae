from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from sync.store.store import Store
from tests.engine.office import Office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    store = Store.open(f"sqlite:///{tmp_path / 'mailspan.sqlite3'}", [Fernet.generate_key().decode()])
    found = Office(store)
    found.open()
    yield found
    store.close()
