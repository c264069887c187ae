"""Quota units of the Gmail API, by the table for projects made since May 2026 (`providers.md 1.1`).

A table of the sandbox's own: one shared with the product would share its mistakes.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sandbox.google.errors import GoogleError

if TYPE_CHECKING:
    from sandbox.google.vendor import Google

MINUTE = 60.0
DEFAULT_UNITS = 5
UNITS: dict[str, int] = {
    operation: units
    for units, names in {
        1: "getProfile labels.get labels.list",
        2: "history.list",
        5: "messages.list messages.modify messages.untrash threads.untrash labels.create labels.update labels.patch "
        "labels.delete settings.filters.create settings.filters.delete",
        10: "threads.list threads.modify messages.delete drafts.create drafts.delete",
        20: "messages.get messages.attachments.get messages.trash drafts.get threads.trash threads.delete",
        25: "messages.insert messages.import",
        40: "threads.get",
        50: "messages.batchModify messages.batchDelete stop",
        100: "messages.send drafts.send watch",
    }.items()
    for operation in (f"gmail.users.{name}" for name in names.split())
}


def units(operation: str) -> int:
    """Cost of a call; operations outside of the table cost 5, those of other APIs 1."""
    return UNITS.get(operation, DEFAULT_UNITS if operation.startswith("gmail.") else 1)


class Window:
    """Units spent in the last minute."""

    def __init__(self) -> None:
        self._spent: deque[tuple[float, int]] = deque()
        self._sum = 0

    def spend(self, now: float, cost: int, limit: int) -> bool:
        """Take `cost` units, or refuse (False) without taking any."""
        while self._spent and self._spent[0][0] <= now - MINUTE:
            self._sum -= self._spent.popleft()[1]
        if self._sum + cost > limit:
            return False
        self._spent.append((now, cost))
        self._sum += cost
        return True


class Quota:
    """Limits by user and by project, in the sandbox's time."""

    def __init__(self, google: Google) -> None:
        self._google = google
        settings = google.frame.settings
        settings.define("gmail_quota", True, "whether quota limits are enforced")
        settings.define("gmail_quota_user", 6000, "units per minute and user")
        settings.define("gmail_quota_project", 1_200_000, "units per minute and project")
        settings.define("gmail_quota_status", 403, "status of a quota refusal: 403 or 429")
        settings.define("gmail_concurrency", 50, "requests in flight per user before 429")
        self.clear()

    def clear(self) -> None:
        """A fresh minute for everyone."""
        self._windows: dict[str, Window] = {}

    def charge(self, operation: str, user: str) -> int:
        """Take the call's units and return them; GoogleError when a limit is reached."""
        cost, settings = units(operation), self._google.frame.settings
        if not settings["gmail_quota"] or not operation.startswith("gmail."):
            return cost
        if self._google.frame.meter.flying("google", user) > settings["gmail_concurrency"]:
            raise GoogleError(429, "Too many concurrent requests for user.")
        now = self._google.frame.clock.time()
        for key, limit, reason, text in (
            (user, settings["gmail_quota_user"], "userRateLimitExceeded", "User-rate limit exceeded."),
            ("", settings["gmail_quota_project"], "rateLimitExceeded", "Rate Limit Exceeded"),
        ):
            if not self._windows.setdefault(key, Window()).spend(now, cost, limit):
                status = settings["gmail_quota_status"]
                raise GoogleError(status, text, reason=reason if status == 403 else "rateLimitExceeded")
        return cost
