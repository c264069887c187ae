"""The store: configuration, the scheduler, the journal of filings. SQLite or PostgreSQL."""

from sync.store.database import StoreError
from sync.store.rows import (
    Binding,
    Change,
    Connection,
    Creation,
    Decision,
    Explanation,
    Filing,
    Health,
    Lease,
    Mailbox,
    NewCreation,
    NewSighting,
    ParkedItem,
    Pending,
    Result,
    Sighting,
    StoredPolicy,
)
from sync.store.store import Store, Writing
from sync.store.vault import SecretKeyError
from sync.store.work import Work

__all__ = [
    "Binding",
    "Change",
    "Connection",
    "Creation",
    "Decision",
    "Explanation",
    "Filing",
    "Health",
    "Lease",
    "Mailbox",
    "NewCreation",
    "NewSighting",
    "ParkedItem",
    "Pending",
    "Result",
    "SecretKeyError",
    "Sighting",
    "Store",
    "StoreError",
    "StoredPolicy",
    "Work",
    "Writing",
]
