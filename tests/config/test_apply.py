"""Applying a declaration: what changed is named, the second time nothing changes, and a failure changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from sync.declare import load
from sync.declare.apply import apply
from sync.store.database import StoreError
from sync.store.store import Store
from tests.config.declarations import ENVIRONMENT, GOOD, PRIVATE_KEY, SERVICE_ACCOUNT, write

Put = Callable[[str], list[str]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path}/store.sqlite3", [Fernet.generate_key().decode()])
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def put(store: Store, tmp_path: Path) -> Put:
    def put(content: str, environ: dict[str, str] = ENVIRONMENT) -> list[str]:
        return [str(change) for change in apply(store, load(write(tmp_path, content), environ))]

    return put


def test_the_first_time_creates_and_the_second_changes_nothing(store: Store, put: Put) -> None:
    assert put(GOOD) == [
        "created connection acme mail",
        "created connection acme crm",
        "created policy sales",
        "created mailbox ann@acme.example",
        "created mailbox bob@acme.example",
    ]
    assert put(GOOD) == []
    crm = store.connection("acme crm")
    assert crm
    assert crm.secrets == {"private_key": PRIVATE_KEY.strip()}
    assert crm.settings["username"] == "mailspan@acme.example"
    bob = store.mailbox_by_address("bob@acme.example")
    assert bob
    assert (bob.crm_user, bob.status) == ("robert@acme.example", "new")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("must_match: false", "must_match: true", "policy sales: must_match false -> true"),
        ("      must_match: false\n", "", "policy sales: must_match false -> true"),
        (
            "must_match: false",
            "must_match: false\n      body: newest_part",
            "policy sales: body full -> newest_part",
        ),
        (
            "[acme.example]",
            "[acme.example, b.example]",
            'policy sales: internal_domains ["acme.example"] -> ["acme.example", "b.example"]',
        ),
        ("3MVG9", "3MVG8", "connection acme crm: consumer_key 3MVG9 -> 3MVG8"),
        (
            "3MVG9",
            "3MVG9\n    api_version: 66.0",
            "connection acme crm: api_version -> 66.0",
        ),
        (
            "robert@acme.example",
            "rob@acme.example",
            "mailbox bob@acme.example: crm_user -> rob@acme.example",
        ),
    ],
)
def test_a_change_is_named_once(put: Put, old: str, new: str, expected: str) -> None:
    put(GOOD)
    changed = GOOD.replace(old, new)
    assert put(changed) == [expected]
    assert put(changed) == []


def test_a_new_secret_is_stored_and_not_shown(store: Store, put: Put, tmp_path: Path) -> None:
    put(GOOD)
    other = {**ENVIRONMENT, "GOOGLE_KEY": SERVICE_ACCOUNT.replace("mailspan@", "other@")}
    changes = [str(change) for change in apply(store, load(write(tmp_path), other))]
    assert changes == ["connection acme mail: secrets changed"]
    mail = store.connection("acme mail")
    assert mail
    assert mail.secrets == {"service_account": other["GOOGLE_KEY"]}


def test_a_mailbox_that_left_the_file_is_disabled_and_comes_back(store: Store, put: Put) -> None:
    put(GOOD)
    without = GOOD[: GOOD.index("  - address: bob")]
    assert put(without) == ["disabled mailbox bob@acme.example (not in the file)"]
    assert put(without) == []
    bob = store.mailbox_by_address("bob@acme.example")
    assert bob
    assert bob.status == "disabled"
    assert put(GOOD) == ["mailbox bob@acme.example: enabled again"]


def test_a_failure_in_the_middle_changes_nothing(store: Store, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StoreError("disk full")

    monkeypatch.setattr("sync.store.config.put_mailbox", fail)
    with pytest.raises(StoreError, match="disk full"):
        put(GOOD)
    assert store.connections() == []
    assert store.policies() == []


def test_a_parked_mailbox_is_tried_again(store: Store, put: Put) -> None:
    put(GOOD)
    ann = store.mailbox_by_address("ann@acme.example")
    assert ann
    lease = store.lease(ann.id, "worker", 60, 1000.0)
    assert lease
    store.park_mailbox(lease, "the grant was revoked")
    assert put(GOOD) == ["resumed mailbox ann@acme.example"]
    assert store.mailbox(ann.id).status == "active"
    assert put(GOOD) == []
