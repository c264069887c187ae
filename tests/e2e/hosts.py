"""Hosts: network namespaces whose only way out are links that a test can cut.

A namespace has nothing but its own loopback. For each service a socket listens there, at the address that the service
has outside, so that every host uses the same addresses and certificates; the listening sockets are handed to the test,
which carries the bytes. `Link.cut("vanish")` is a real black hole: a packet filter on the sockets throws away whatever
arrives from the host, also its handshakes, and nothing is acknowledged. Root is not needed where users may make
namespaces.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import os
import selectors
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

Cut = Literal["vanish", "reset"]
_ATTACH_FILTER, _DETACH_FILTER = 26, 27  # SO_ATTACH_FILTER, SO_DETACH_FILTER
_UNSHARE = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
_ENTER = ["nsenter", "--net"] if os.geteuid() == 0 else ["nsenter", "--user", "--preserve-credentials", "--net"]

# Inside the namespace: bring loopback up, listen, hand the sockets over, and stay until standard input ends.
_INSIDE = """
import array, fcntl, socket, struct, sys
ioctl = socket.socket()
fcntl.ioctl(ioctl, 0x8914, struct.pack("16sH14x", b"lo", 1 | 64))
listening = [socket.create_server(("127.0.0.1", int(port))) for port in sys.argv[2:]]
with socket.socket(socket.AF_UNIX) as way:
    way.connect(sys.argv[1])
    ancillary = array.array("i", [one.fileno() for one in listening])
    way.sendmsg([b"!"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, ancillary)])
sys.stdin.read()
"""


def missing() -> str:
    """Why there can be no hosts here; empty when there can."""
    if sys.platform != "linux" or not shutil.which("unshare") or not shutil.which("nsenter"):
        return "network namespaces need Linux with unshare and nsenter (util-linux)"
    tried = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False)
    return f"no network namespace can be made: {tried.stderr.strip()}" if tried.returncode else ""


class Link:
    """One host's way to one service, a thread of its own. `target` is a port of loopback or a Unix socket."""

    def __init__(self, listening: socket.socket, target: int | str) -> None:
        self._listening, self._target = listening, target
        self._pairs: dict[socket.socket, socket.socket] = {}  # both directions
        self._near: set[socket.socket] = set()  # the ends towards the host
        self._cut: Cut | None = None
        self._closed = False
        self._selector = selectors.DefaultSelector()
        self._alarm, self._bell = socket.socketpair()
        self._orders: list[Cut | None] = []
        self._done = threading.Event()
        listening.setblocking(False)
        self._selector.register(listening, selectors.EVENT_READ)
        self._selector.register(self._alarm, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self, how: Cut) -> None:
        """`vanish`: packets are lost from now on; `reset`: connections are reset, and new ones too."""
        self._order(how)

    def heal(self) -> None:
        """As new; connections that waited out the cut go on."""
        self._order(None)

    def close(self) -> None:
        self._closed = True
        self._bell.send(b"!")
        self._thread.join(5)

    def _order(self, cut: Cut | None) -> None:
        self._done.clear()
        self._orders.append(cut)
        self._bell.send(b"!")
        assert self._done.wait(5), "the link does not obey"

    def _run(self) -> None:
        while not self._closed:
            for key, _ in self._selector.select():
                found = key.fileobj
                assert isinstance(found, socket.socket)
                if found is self._alarm:
                    self._alarm.recv(64)
                    self._obey()
                elif found is self._listening:
                    self._accept()
                elif found in self._pairs:
                    self._carry(found)
        for one in [*self._pairs, self._listening, self._alarm, self._bell]:
            one.close()

    def _obey(self) -> None:
        while self._orders:
            cut = self._orders.pop(0)
            for one in [self._listening, *self._near]:
                _drop_all(one, cut == "vanish")
            for one in list(self._near):
                if cut == "reset":
                    self._end(one, reset=True)
                elif (cut is None) == (self._cut == "vanish"):  # what the service says is held back, too
                    self._watch(self._pairs[one], cut is None)
            self._cut = cut
            self._done.set()

    def _watch(self, one: socket.socket, on: bool) -> None:
        with contextlib.suppress(KeyError, ValueError):
            if on:
                self._selector.register(one, selectors.EVENT_READ)
            else:
                self._selector.unregister(one)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            near, _ = self._listening.accept()
            if self._cut == "reset":
                _reset(near)
                return
            far = socket.socket(socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET)
            try:
                far.connect(self._target if isinstance(self._target, str) else ("127.0.0.1", self._target))
            except OSError:
                near.close()
                far.close()
                return
            self._pairs |= {near: far, far: near}
            self._near.add(near)
            for one in (near, far):
                if isinstance(self._target, int) or one is near:
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._watch(one, True)

    def _carry(self, one: socket.socket) -> None:
        try:
            data = one.recv(65536)
            if data:
                self._pairs[one].sendall(data)
                return
        except OSError:
            data = b""
        self._end(one)

    def _end(self, one: socket.socket, *, reset: bool = False) -> None:
        other = self._pairs.pop(one)
        del self._pairs[other]
        for end in (one, other):
            self._watch(end, False)
            if reset and end in self._near:
                _reset(end)
            self._near.discard(end)
            end.close()


def _reset(one: socket.socket) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


def _drop_all(one: socket.socket, on: bool) -> None:
    """Have the kernel throw away every packet for this socket, or not."""
    if not on:
        with contextlib.suppress(OSError):  # there was no filter
            one.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)
        return
    program = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # BPF: return 0 bytes of it
    one.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(program)))


class Host:
    """A namespace with a link for each service: name -> (port inside, target outside)."""

    def __init__(self, name: str, folder: Path, services: Mapping[str, tuple[int, int | str]]) -> None:
        self.name = name
        path = str(folder / f"{name}.sock")
        ports = [str(port) for port, _ in services.values()]
        with socket.socket(socket.AF_UNIX) as way:
            way.bind(path)
            way.listen()
            way.settimeout(20)
            command = [*_UNSHARE, sys.executable, "-I", "-c", _INSIDE, path, *ports]
            self._inside = subprocess.Popen(command, stdin=subprocess.PIPE)
            with way.accept()[0] as told:
                told.settimeout(20)
                listening = _received(told, len(ports))
        targets = [target for _, target in services.values()]
        self.links = {
            service: Link(one, target) for service, one, target in zip(services, listening, targets, strict=True)
        }

    @property
    def enter(self) -> list[str]:
        """Put before a command, this runs it on the host."""
        return [*_ENTER, "--target", str(self._inside.pid), "--"]

    def cut(self, services: Sequence[str], how: Cut) -> None:
        for service in services:
            self.links[service].cut(how)

    def heal(self) -> None:
        for link in self.links.values():
            link.heal()

    def close(self) -> None:
        for link in self.links.values():
            link.close()
        self._inside.communicate(timeout=10)


def _received(way: socket.socket, count: int) -> list[socket.socket]:
    found = array.array("i")
    _, ancillary, _, _ = way.recvmsg(1, socket.CMSG_SPACE(count * found.itemsize))
    for _, _, data in ancillary:
        found.frombytes(data[: len(data) - len(data) % found.itemsize])
    assert len(found) == count
    return [socket.socket(fileno=one) for one in found]


@contextlib.contextmanager
def hosts(names: Sequence[str], folder: Path, services: Mapping[str, tuple[int, int | str]]) -> Iterator[list[Host]]:
    """Hosts with the same services; they end with the block."""
    with contextlib.ExitStack() as stack:
        made = []
        for name in names:
            made.append(Host(name, folder, services))
            stack.callback(made[-1].close)
        yield made
