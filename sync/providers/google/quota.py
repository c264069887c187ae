"""What Gmail calls cost, and how much of it there is (providers.md 1.1, table of 2026 for new projects).

Projects that used the API between November 2025 and April 2026 pay 5 for `messages.get` and may spend 15,000 units a
minute and mailbox; wiring may hand other limits to the budget. `calls` of a batch are HTTP calls, its units those of
all its parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

USER_UNITS_PER_MINUTE = 6_000
PROJECT_UNITS_PER_MINUTE = 1_200_000
PROJECT_UNITS_PER_DAY = 80_000_000

UNITS: Mapping[str, int] = MappingProxyType(
    {
        "getProfile": 1,
        "labels.get": 1,
        "labels.list": 1,
        "history.list": 2,
        "messages.list": 5,
        "messages.modify": 5,
        "messages.untrash": 5,
        "labels.create": 5,
        "labels.update": 5,
        "labels.patch": 5,
        "labels.delete": 5,
        "messages.get": 20,
        "messages.attachments.get": 20,
        "messages.trash": 20,
        "messages.insert": 25,
        "messages.import": 25,
        "threads.get": 40,
        "messages.batchModify": 50,
        "messages.batchDelete": 50,
        "stop": 50,
        "messages.send": 100,
        "watch": 100,
    }
)

BATCH_PARTS = 50  # of at most 100; more is "not recommended" (providers.md 1.2)
BULK_FROM = UNITS["messages.batchModify"] // UNITS["messages.modify"] + 1  # from 11 alike, batchModify is cheaper
BULK_IDS = 1_000  # of one batchModify
