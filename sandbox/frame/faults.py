"""Faults on order: what goes wrong, for whom, and how often (`providers.md SIM-2`)."""

from __future__ import annotations

import itertools
import re
import threading
from dataclasses import dataclass, field, fields
from typing import Any

KINDS = {
    "status": "answer with `status`, `headers`, `retry_after` and `body` before any effect",
    "reset": "reset the connection before any effect",
    "slow": "wait `seconds` before the first byte, then answer as usual",
    "lost": "let the effect happen, then close the connection without an answer",
    "cut": "let the effect happen, then send `share` of the answer's body (0: the headers alone) and close",
    "garbled": "let the effect happen, then answer with `status`, `headers`, `retry_after` and `body`",
}
BEFORE = frozenset({"status", "reset", "slow"})


@dataclass(slots=True)
class Fault:
    """One order. Every criterion that is given must match; `path` and `user` as told below."""

    kind: str
    vendor: str | None = None
    method: str | None = None  # HTTP verb
    path: str | None = None  # regular expression, searched in path and query
    user: str | None = None
    body_matches: str | None = None  # regular expression, searched in the request body
    skip: int = 0  # let so many matching requests pass first
    count: int | None = 1  # then strike so often; None is for ever
    status: int = 503
    retry_after: float | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None  # None: the vendor's usual error for the status
    seconds: float = 0.0
    share: float = 0.5
    id: int = 0
    hits: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind {self.kind!r} is not one of {', '.join(KINDS)}")
        for pattern in (self.path, self.body_matches):
            if pattern is not None:
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None

    def wants(self, vendor: str, method: str, path: str, user: str | None, body: bytes) -> bool:
        """Whether the request is meant."""
        return (
            self.vendor in (None, vendor)
            and self.method in (None, method)
            and self.user in (None, user)
            and (self.path is None or re.search(self.path, path) is not None)
            and (self.body_matches is None or re.search(self.body_matches.encode(), body) is not None)
        )


class Faults:
    """The orders that stand, oldest first. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._orders: list[Fault] = []

    def add(self, order: dict[str, Any]) -> Fault:
        """Take an order as the control API has it; ValueError when it makes no sense."""
        unknown = set(order) - {f.name for f in fields(Fault)} | (set(order) & {"id", "hits"})
        if unknown:
            raise ValueError(f"unknown member(s) {', '.join(sorted(unknown))}")
        if "kind" not in order:
            raise ValueError("kind is required")
        fault = Fault(**order)
        with self._lock:
            fault.id = next(self._ids)
            self._orders.append(fault)
        return fault

    def clear(self, fault_id: int | None = None) -> None:
        """Withdraw one order or all; LookupError for an id that does not stand."""
        with self._lock:
            kept = [f for f in self._orders if fault_id is not None and f.id != fault_id]
            if fault_id is not None and len(kept) == len(self._orders):
                raise LookupError(f"no fault {fault_id}")
            self._orders = kept

    def list(self) -> list[Fault]:
        """All orders, used-up ones too."""
        with self._lock:
            return list(self._orders)

    def take(self, vendor: str, method: str, path: str, user: str | None, body: bytes = b"") -> Fault | None:
        """The first order that strikes this request; counts it."""
        if not self._orders:
            return None
        with self._lock:
            for fault in self._orders:
                if fault.count == 0 or not fault.wants(vendor, method, path, user, body):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.hits += 1
                if fault.count is not None:
                    fault.count -= 1
                return fault
        return None
