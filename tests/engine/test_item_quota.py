"""Items take the part of the quota that nobody else needs, and a slice that is refused costs nothing again."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from sync.errors import Busy
from sync.policy import parse
from sync.store import tables
from tests.engine.office import Desk, Office

POLICY = parse({"modules": ["opportunity"], "assign_to": True})


@pytest.fixture
def desk(office: Office) -> Desk:
    """Anna owns an open opportunity that her mailbox does not show yet."""
    found = office.desk("anna")
    people = office.crm.org.records.items()
    user = next(record for record, one in people if one.get("email") == found.address)
    office.crm.item("opportunity", "Pumps", owner=user, status="Prospecting", due="2026-12-31")
    office.policy = POLICY
    return found


def _row(office: Office) -> sa.RowMapping:
    with office.store._database.reading() as conn:
        return conn.execute(sa.select(tables.item)).mappings().one()


@pytest.mark.parametrize("unknown", [False, True])
def test_only_a_put_whose_end_is_not_known_counts_as_tried(office: Office, desk: Desk, unknown: bool) -> None:
    """Who comes after one that counts looks for its mail first, at the cost of several others."""
    refusals = [Busy("not now", retry_after=30, unknown=unknown)]

    def heard(name: str, before: bool) -> None:
        if name.endswith("put") and before and refusals:
            raise refusals.pop()

    office.heard = heard
    office.wake(desk)
    row = _row(office)
    assert (row["due"], row["note_id"], row["attempts"]) == (True, None, int(unknown))
    office.now += 60
    office.settle()
    row = _row(office)
    assert (row["due"], row["attempts"]) == (False, 0)
    assert row["note_id"]
