"""Who called what, at which cost, and how much of it at once."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any

Key = tuple[str, str, str]  # vendor, method, user


class Meter:
    """Counts HTTP requests, calls and units by vendor, method and user. Thread-safe.

    A batch is one HTTP request and as many calls as it has parts. Peak concurrency counts HTTP
    requests in flight, by vendor ("*") and by user.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Start counting anew; requests in flight stay in flight."""
        with self._lock:
            self._calls: dict[Key, int] = defaultdict(int)
            self._units: dict[Key, float] = defaultdict(float)
            self._statuses: dict[tuple[str, int], int] = defaultdict(int)
            self._requests: dict[str, int] = defaultdict(int)
            self._flying: dict[tuple[str, str], int] = defaultdict(int)
            self._peak: dict[tuple[str, str], int] = defaultdict(int)
            self._epoch = getattr(self, "_epoch", 0) + 1

    def enter(self, vendor: str, user: str | None) -> int:
        """A request begins; hand the returned number to `leave`."""
        with self._lock:
            self._requests[vendor] += 1
            for key in self._keys(vendor, user):
                self._flying[key] += 1
                self._peak[key] = max(self._peak[key], self._flying[key])
            return self._epoch

    def leave(self, vendor: str, user: str | None, epoch: int) -> None:
        """The request that `enter` counted has ended."""
        with self._lock:
            if epoch == self._epoch:
                for key in self._keys(vendor, user):
                    self._flying[key] -= 1

    def count(self, vendor: str, method: str, user: str, units: float, status: int) -> None:
        """One call with its cost."""
        with self._lock:
            self._calls[vendor, method, user] += 1
            self._units[vendor, method, user] += units
            self._statuses[vendor, status] += 1

    def flying(self, vendor: str, user: str) -> int:
        """HTTP requests of the user in flight now."""
        return self._flying.get((vendor, user), 0)

    @staticmethod
    def _keys(vendor: str, user: str | None) -> list[tuple[str, str]]:
        return [(vendor, "*")] + ([(vendor, user)] if user else [])

    def read(self) -> dict[str, Any]:
        """``{vendor: {requests, calls, units, peak, statuses, methods, users, concurrency}}``."""
        with self._lock:
            out: dict[str, Any] = {}
            for vendor, requests in self._requests.items():
                out[vendor] = {
                    "requests": requests,
                    "calls": 0,
                    "units": 0.0,
                    "peak": self._peak[vendor, "*"],
                    "statuses": {str(s): n for (v, s), n in self._statuses.items() if v == vendor},
                    "methods": {},
                    "users": {},
                    "concurrency": {u: n for (v, u), n in self._peak.items() if v == vendor and u != "*"},
                }
            for (vendor, method, user), calls in self._calls.items():
                part, units = out[vendor], self._units[vendor, method, user]
                by_user = part["users"].setdefault(user, {"calls": 0, "units": 0.0, "methods": {}})
                for row in (part, by_user, part["methods"].setdefault(method, {"calls": 0, "units": 0.0})):
                    row["calls"] += calls
                    row["units"] += units
                by_user["methods"][method] = {"calls": calls, "units": units}
            return out
