"""A worker dies at every remote call and every commit of a filing: before it and after it. Nothing is lost or doubled.

The moments are counted from the running engine, so a new step cannot be forgotten.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from sync.policy import Policy
from sync.store.store import Store
from tests.engine.office import DONE, Desk, Killed, Office, mail

POLICIES = {"email": Policy(), "task": Policy(crm_email_record="task")}


@pytest.fixture
def new_office(tmp_path: Path) -> Callable[[Policy], Office]:
    numbers = iter(range(10_000))
    key = Fernet.generate_key().decode()
    empty = tmp_path / "empty.sqlite3"
    store = Store.open(f"sqlite:///{empty}", [key])
    store.migrate()
    store.close()

    def make(policy: Policy) -> Office:
        path = tmp_path / f"{next(numbers)}.sqlite3"
        shutil.copy(empty, path)
        found = Office(Store.open(f"sqlite:///{path}", [key]), policy)
        found.open(migrate=False)
        return found

    return make


def _stage(office: Office) -> tuple[Desk, list[str]]:
    anna = office.desk("anna")
    raw = [mail(f"Mail {n}", sender="Rosa Diaz <rosa@newco.example>", to="anna@northpeak.example") for n in range(2)]
    return anna, [anna.drop(one) for one in raw]


@pytest.mark.parametrize("kind", POLICIES)
def test_killed_anywhere_ends_with_one_record_per_mail(new_office: Callable[[Policy], Office], kind: str) -> None:
    office = new_office(POLICIES[kind])
    anna, _ = _stage(office)
    with office.killing(0) as moments:
        office.wake(anna)
    assert {"before file", "after file", "before settle", "after commit"} <= set(moments)
    for point in range(1, len(moments) + 1):
        office = new_office(POLICIES[kind])
        anna, keys = _stage(office)
        with office.killing(point), pytest.raises(Killed):
            office.wake(anna)
        killed_at = office.now
        office.settle()
        where = f"killed at point {point}: {moments[point - 1]}"
        assert len(office.crm.activities()) == 2, where
        assert office.crm.count("contact") == 1, where
        assert office.crm.count("account") == 1, where
        assert [anna.marks(key) for key in keys] == [{DONE}, {DONE}], where
        assert office.now - killed_at <= 30, where
        office.store.close()


def test_what_somebody_else_created_meanwhile_is_not_waited_for(new_office: Callable[[Policy], Office]) -> None:
    """A worker dies when it has claimed to create a person and an account; then somebody else creates them."""
    office = new_office(Policy())
    anna, keys = _stage(office)
    with office.killing(0) as moments:
        office.wake(anna)
    point = moments.index("before file") + 1
    office = new_office(Policy())
    anna, keys = _stage(office)
    with office.killing(point), pytest.raises(Killed):
        office.wake(anna)
    office.crm.contact("Diaz", "rosa@newco.example", account=office.crm.account("Newco", website="newco.example"))
    office.settle()
    assert [anna.marks(key) for key in keys] == [{DONE}, {DONE}]
    assert office.crm.count("contact") == 1
    assert len(office.crm.activities()) == 2
