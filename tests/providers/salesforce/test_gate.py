"""A request is asked about until its last byte; what is broken off never arrives whole."""

from __future__ import annotations

import socket
import threading

import pytest

from sync.errors import Busy
from sync.providers.salesforce.gate import PIECE, _Connection, asking


def _sent(body: bytes, pieces: int | None) -> tuple[int, int]:
    """Bytes that arrive, and how often it was asked, when the answer is no after so many pieces."""
    ours, theirs = socket.socketpair()
    arrived = bytearray()

    def read() -> None:
        while data := theirs.recv(1 << 16):
            arrived.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    asked = 0

    def before() -> None:
        nonlocal asked
        if pieces is not None and asked >= pieces:
            raise Busy("somebody else has taken the work over")
        asked += 1

    connection = _Connection("acme.example")
    connection.sock = ours  # type: ignore[assignment]
    try:
        with asking(before):
            if pieces is None:
                connection.send(body)
            else:
                with pytest.raises(Busy):
                    connection.send(body)
    finally:
        ours.close()
        reader.join(5)
        theirs.close()
    return len(arrived), asked


def test_every_piece_is_asked_about() -> None:
    assert _sent(b"x" * (3 * PIECE + 1), None) == (3 * PIECE + 1, 4)


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_what_is_refused_does_not_leave(pieces: int) -> None:
    assert _sent(b"x" * (3 * PIECE + 1), pieces) == (pieces * PIECE, pieces)
