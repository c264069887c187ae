"""Sockets outside loopback are off: a test that would reach a real service fails at the connect, at once and by name.

The guard holds in the test process; programs that a test starts get their addresses from the test and need none.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest


class OutsideLoopback(RuntimeError):
    """A test tried to reach another machine. Not an OSError, so that no retry of the code under test swallows it."""


def is_loopback(host: str | bytes | None) -> bool:
    """Whether a host, as given to connect or getaddrinfo, is this machine; None and "" mean the local wildcard."""
    if not host:
        return True
    name = host.decode() if isinstance(host, bytes) else host
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.split("%")[0]).is_loopback
    except ValueError:
        return False


def _guarded_connect(original: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
    def connect(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(address[0]):
            raise OutsideLoopback(f"a test tried to connect to {address[0]}:{address[1]}")
        return original(self, address)

    return connect


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    lookup = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_loopback(host):
            raise OutsideLoopback(f"a test tried to look up {host!r}")
        return lookup(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _guarded_connect(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", _guarded_connect(socket.socket.connect_ex))
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield
