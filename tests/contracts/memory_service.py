"""What the in-memory services have in common: calls that are paid for, counted, limited, and that may fail."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from sync.errors import Busy, Denied
from sync.ports import Meter
from tests.contracts.mail_world import FaultKind

T = TypeVar("T")
Trouble = FaultKind | Literal["cut", "empty"]
"""`cut`: the connection ends after half of the effect. `empty`: a list has nothing in it, though it should."""


@dataclass(slots=True)
class Allowance:
    """`units` in any window of `seconds` of the service's own clock. What exceeds it is refused, and remembered."""

    units: float
    seconds: float = 60.0
    refused: int = 0
    peak: float = 0.0  # the most that was granted in a window
    _granted: deque[tuple[float, float]] = field(default_factory=deque)

    def take(self, units: float, now: float) -> float:
        """0 when it is granted, else the seconds after which it would be."""
        while self._granted and self._granted[0][0] <= now - self.seconds:
            self._granted.popleft()
        used = sum(each for _, each in self._granted)
        if used + units > self.units:
            self.refused += 1
            return self._granted[0][0] + self.seconds - now if self._granted else self.seconds
        self._granted.append((now, units))
        self.peak = max(self.peak, used + units)
        return 0.0


@dataclass(slots=True)
class Service:
    """The side of the vendor that all mailboxes share: counters, and the troubles ordered for coming calls."""

    page: int = 500
    request_count: int = 0
    write_count: int = 0
    part_throttled: bool = False
    faults: list[tuple[Trouble, float | None]] = field(default_factory=list)
    clock: Callable[[], float] = time.time

    def small_pages(self, size: int) -> None:
        self.page = size

    def fault(self, kind: Trouble, *, retry_after: float | None = None) -> None:
        self.faults.append((kind, retry_after))

    def throttle_part(self) -> None:
        self.part_throttled = True

    def requests(self) -> int:
        return self.request_count

    def writes(self) -> int:
        return self.write_count

    def heal(self) -> None:
        """No trouble any more."""
        self.faults.clear()
        self.part_throttled = False


@dataclass(slots=True)
class Line:
    """One adapter's way to the service, paid from its meter and bounded by the mailbox's allowance."""

    service: Service
    meter: Meter
    allowance: Allowance | None = None

    def call(self, method: str, units: float = 1.0, *, writes: bool = False) -> None:
        """One remote call whose answer may get lost."""
        with self.answer(method, units, writes=writes):
            return

    def listing(self, method: str, units: float, found: Sequence[T]) -> Sequence[T]:
        """One remote call that reads a list."""
        with self.answer(method, units) as trouble:
            return () if trouble == "empty" else found

    @contextmanager
    def answer(self, method: str, units: float = 1.0, *, writes: bool = False) -> Iterator[Trouble | None]:
        """Around the effect of one remote call, which may fail before it or after it. Gives the trouble that the effect
        itself must show: `cut` takes effect by half."""
        self.meter.spend(method, units)
        service = self.service
        service.request_count += 1
        kind, wait = service.faults.pop(0) if service.faults else (None, None)
        if kind == "revoked":
            raise Denied("connect the mailbox again")
        over = self.allowance.take(units, service.clock()) if self.allowance is not None else 0.0
        if kind == "throttled" or over:
            self.meter.throttled(method, over or wait or 5.0)
        if kind in ("throttled", "down", "reset") or over:
            raise Busy(str(kind or "throttled"), retry_after=over or wait or 5.0)
        service.write_count += writes
        yield kind
        if kind in ("lost", "cut"):
            raise Busy("no answer")
