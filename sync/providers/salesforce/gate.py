"""Requests that are asked about until their last byte: whether they may still be sent.

Between the decision to write and the write lie a sign-in, a connection and, for large files, a minute of upload. A
process that stood still meanwhile must not go on: so the question is put where bytes go into the socket. A request that
is broken off there is incomplete, and the service drops it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from urllib3 import HTTPSConnectionPool
from urllib3.connection import HTTPSConnection

PIECE = 65_536  # bytes that are sent on one answer

_before: ContextVar[Callable[[], None] | None] = ContextVar("before", default=None)


@contextmanager
def asking(before: Callable[[], None] | None) -> Iterator[None]:
    """What this thread sends meanwhile is asked about, piece by piece; what `before` raises breaks the request off."""
    token = _before.set(before)
    try:
        yield
    finally:
        _before.reset(token)


class _Connection(HTTPSConnection):
    def send(self, data: Any) -> None:
        before = _before.get()
        if before is None or not isinstance(data, (bytes, bytearray)):
            super().send(data)
            return
        view = memoryview(data)
        for at in range(0, len(view), PIECE):
            before()
            super().send(view[at : at + PIECE])


class Pool(HTTPSConnectionPool):
    """Connections that ask."""

    ConnectionCls = _Connection
