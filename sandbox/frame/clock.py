"""The sandbox's time, which tests may move."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Real time plus an offset that only grows until `reset`. Thread-safe (one float)."""

    def __init__(self) -> None:
        self._offset = 0.0

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self._offset

    def now(self) -> datetime:
        """Aware, in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    def advance(self, seconds: float) -> None:
        """Move on; ValueError for a step back, which no vendor's clock takes."""
        if seconds < 0:
            raise ValueError("the clock moves forward only")
        self._offset += seconds

    def reset(self) -> None:
        """Back to real time."""
        self._offset = 0.0
