"""Refresh tokens that a vendor exchanged are kept, encrypted, until another one is declared."""

from __future__ import annotations

from sync.store.store import Store
from tests.databases import assert_no_content, dump


def test_an_exchanged_token_takes_the_place_of_the_declared_one(store: Store, database: str) -> None:
    assert store.kept_token("mailbox:1", "declared-1") == "declared-1"
    store.keep_token("mailbox:1", "declared-1", "newer-1")
    store.keep_token("mailbox:1", "declared-1", "newest-1")
    assert store.kept_token("mailbox:1", "declared-1") == "newest-1"
    assert store.kept_token("mailbox:2", "declared-1") == "declared-1"
    assert_no_content(database, ["declared-1", "newer-1", "newest-1"])


def test_a_newly_declared_token_wins(store: Store) -> None:
    store.keep_token("connection:1", "declared-1", "newer-1")
    assert store.kept_token("connection:1", "declared-2") == "declared-2"


def test_rotation_reaches_kept_tokens(store: Store, database: str) -> None:
    store.keep_token("mailbox:1", "declared-1", "newer-1")
    before = dump(database)["cursor"]
    assert store.rotate() >= 2
    assert dump(database)["cursor"] != before
    assert store.kept_token("mailbox:1", "declared-1") == "newer-1"
