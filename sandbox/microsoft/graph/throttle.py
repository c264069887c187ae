"""Limits by app and mailbox: requests in flight, requests in ten minutes (`providers.md 2.1 GR-14 GR-16`)."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sandbox.microsoft.errors import GraphError

if TYPE_CHECKING:
    from sandbox.microsoft.vendor import Microsoft

WINDOW = 600.0
Key = tuple[str, str]  # app, mailbox


class Throttle:
    """Counts requests. `lanes` has a lock of its own: it works while others wait for the vendor's."""

    def __init__(self, microsoft: Microsoft) -> None:
        self._microsoft = microsoft
        settings = microsoft.frame.settings
        settings.define("graph_concurrency", 4, "requests in flight per app and mailbox before 429; 0: any number")
        settings.define("graph_quota", 10_000, "requests per app and mailbox in ten minutes before 429; 0: any number")
        settings.define("graph_retry_after", 1, "seconds that a throttled client is told to wait")
        self._lock = threading.Lock()
        self._flying: dict[Key, int] = {}
        self.clear()

    def clear(self) -> None:
        """Fresh ten minutes for everyone; requests in flight stay in flight."""
        self._windows: dict[Key, deque[list[float]]] = {}
        self._sums: dict[Key, int] = {}

    @contextmanager
    def lanes(self, app: str, mailbox: str, wanted: int) -> Iterator[int]:
        """Take up to `wanted` lanes for the time of a request, and tell how many were free (0: none was)."""
        limit, key = self._microsoft.frame.settings["graph_concurrency"] or 1_000_000, (app, mailbox)
        with self._lock:
            taken = max(0, min(wanted, limit - self._flying.get(key, 0)))
            self._flying[key] = self._flying.get(key, 0) + taken
        try:
            yield taken
        finally:
            with self._lock:
                self._flying[key] -= taken

    def charge(self, app: str, mailbox: str, lane: int) -> None:
        """Count one call; 429 when no lane was free or the ten minutes' requests are spent."""
        if lane < 0:
            raise self.refusal("Application is over its MailboxConcurrency limit.")
        limit, key, now = (
            self._microsoft.frame.settings["graph_quota"],
            (app, mailbox),
            self._microsoft.frame.clock.time(),
        )
        window = self._windows.setdefault(key, deque())
        while window and window[0][0] <= now - WINDOW:
            self._sums[key] -= int(window.popleft()[1])
        if limit and self._sums.get(key, 0) >= limit:
            raise self.refusal("Application is over its RequestRate limit.", window[0][0] + WINDOW - now)
        if window and window[-1][0] == int(now):
            window[-1][1] += 1
        else:
            window.append([int(now), 1])
        self._sums[key] = self._sums.get(key, 0) + 1

    def refusal(self, text: str, wait: float = 0.0) -> GraphError:
        """429 with Retry-After."""
        seconds = max(int(wait), int(self._microsoft.frame.settings["graph_retry_after"]))
        return GraphError(429, "ApplicationThrottled", text, headers={"Retry-After": str(seconds)})
