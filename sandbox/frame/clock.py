"""The sandbox's time, which tests may move."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Real time plus an offset that only grows until `reset`; or, once frozen, a time that only `advance` moves.
    Thread-safe (one assignment each)."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._frozen: float | None = None  # real time at which it stopped

    def time(self) -> float:
        """Seconds since the epoch."""
        frozen = self._frozen
        return (time.time() if frozen is None else frozen) + self._offset

    def now(self) -> datetime:
        """Aware, in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    def advance(self, seconds: float) -> None:
        """Move on; ValueError for a step back, which no vendor's clock takes."""
        if seconds < 0:
            raise ValueError("the clock moves forward only")
        self._offset += seconds

    def freeze(self) -> None:
        """Stand still from now on, but for `advance`: for tests that run in a time of their own."""
        if self._frozen is None:
            self._frozen = time.time()

    def reset(self) -> None:
        """Back to real time."""
        self._offset, self._frozen = 0.0, None
