"""Programs that end with the one that started them, even when that one is killed: no orphan keeps a port or a lease.

On Linux the kernel does it (PR_SET_PDEATHSIG); elsewhere the wrapper stays and looks twice a second who its parent is.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
_LINUX = os.uname().sysname == "Linux"
_LOOK_SECONDS = 0.5


def leashed(command: Sequence[str]) -> list[str]:
    """The command to start instead of `command`, so that it ends with the calling process. On Linux start it from the
    main thread: the kernel's promise is about the thread that forked."""
    return [sys.executable, "-I", __file__, str(os.getpid()), *command]


def end_with(parent: int, sign: signal.Signals = signal.SIGTERM) -> None:
    """Send this process `sign` when `parent`, which started it, ends; at once if it has ended already."""
    if _LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(sign))
        if os.getppid() != parent:
            os.kill(os.getpid(), sign)
        return
    threading.Thread(target=_watch, args=(parent, sign), daemon=True, name="leash").start()


def _watch(parent: int, sign: signal.Signals) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), sign)


def _stay(parent: int, command: Sequence[str]) -> int:
    child = subprocess.Popen(command)

    def forward(number: int, _frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, forward)
    while child.poll() is None:
        if os.getppid() != parent:
            child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_LOOK_SECONDS)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def main(arguments: Sequence[str]) -> int:
    """`leash PARENT COMMAND...`: run the command on the leash of the process PARENT."""
    parent, command = int(arguments[0]), list(arguments[1:])
    if _LINUX:
        end_with(parent, signal.SIGKILL)
        os.execvp(command[0], command)  # noqa: S606 - the very point: become the command
    return _stay(parent, command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
