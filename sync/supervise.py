"""Several programs as one: started together, prefixed in one log, restarted when they die, stopped within seconds.

`mailspan up` and `mailspan worker -n N` run on it. A program that is killed costs nothing but time (design.md 4), so
one that does not stop in time is killed.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import IO, TextIO

from sync.leash import leashed
from sync.settings import ConfigError

GRACE_SECONDS = 6.0
_STEADY_SECONDS = 10.0  # a program that ran this long starts again at once
_LONGEST_PAUSE = 30.0
_READY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Program:
    """One process. `environ` is added to this process's own. With `ready`, the programs after it in the list start when
    that says yes, and they are stopped before it."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] | None = None
    hint: str = ""  # where to look when it does not start


@dataclass(slots=True)
class _Running:
    program: Program
    process: subprocess.Popen[str] | None = None
    started: float = 0.0
    restart_at: float | None = None  # monotonic; None while it runs
    quick_deaths: int = 0
    reader: threading.Thread | None = None


class Supervisor:
    """Runs programs until it is told to stop. Use `run` from the main thread of a process."""

    def __init__(self, programs: Sequence[Program], out: TextIO | None = None) -> None:
        self._running = [_Running(program) for program in programs]
        self._out = out or sys.stderr
        self._width = max((len(program.name) for program in programs), default=0)
        self._lock = threading.Lock()
        self._stopping = False
        self._events: queue.SimpleQueue[str] = queue.SimpleQueue()

    def run(self) -> int:
        """Start all, keep them running, and stop them at SIGINT or SIGTERM. Gives the exit status: 0 when every program
        ended by itself in time, 1 when one had to be killed."""
        with self._signals():
            try:
                self._start_all()
                while not self._stopping and self._next_event() != "stop":
                    self._mend()
            finally:
                killed = self.stop()
        return 1 if killed else 0

    def request_stop(self) -> None:
        """Make `run` end; from any thread or signal handler."""
        self._stopping = True
        self._events.put("stop")

    def stop(self) -> bool:
        """Stop all that runs: SIGTERM, then SIGKILL after `GRACE_SECONDS`. Whether one had to be killed."""
        ground = [item for item in self._running if item.program.ready is not None]
        others = [item for item in self._running if item.program.ready is None]
        killed = _end(others)
        killed = _end(ground) or killed
        for item in self._running:
            if item.reader is not None:
                item.reader.join(1.0)
        return killed

    def say(self, name: str, line: str) -> None:
        """One line of the common log."""
        with self._lock:
            self._out.write(f"{name:<{self._width}} | {line}\n")
            self._out.flush()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def handle(_number: int, _frame: FrameType | None) -> None:
            self.request_stop()

        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _start_all(self) -> None:
        for item in self._running:
            if self._stopping:
                return
            self._start(item)
            limit = time.monotonic() + _READY_SECONDS
            while item.program.ready is not None and not item.program.ready() and not self._stopping:
                if time.monotonic() > limit:
                    raise ConfigError([f"{item.program.name} does not start; {item.program.hint}"])
                time.sleep(0.02)

    def _next_event(self) -> str:
        """Wait for a death, the time of a restart, or the end."""
        waiting = [item.restart_at for item in self._running if item.restart_at is not None]
        timeout = max(0.0, min(waiting) - time.monotonic()) if waiting else None
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            return "restart"

    def _mend(self) -> None:
        now = time.monotonic()
        for item in self._running:
            if item.process is not None and item.process.poll() is not None:
                self._bury(item, item.process.returncode, now)
            if item.restart_at is not None and item.restart_at <= now:
                self._start(item)

    def _bury(self, item: _Running, status: int, now: float) -> None:
        item.process = None
        item.quick_deaths = 0 if now - item.started >= _STEADY_SECONDS else item.quick_deaths + 1
        pause = 0.0 if item.quick_deaths <= 1 else min(_LONGEST_PAUSE, 2.0 ** (item.quick_deaths - 2))
        item.restart_at = now + pause
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        self.say(item.program.name, f"{how}; starts again" + (f" in {pause:.0f} s" if pause else ""))

    def _start(self, item: _Running) -> None:
        item.process = subprocess.Popen(
            leashed(item.program.command),
            env={**os.environ, "PYTHONUNBUFFERED": "1", **item.program.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,  # a Ctrl-C in the terminal reaches the supervisor alone, which stops the others in order
        )
        item.started, item.restart_at = time.monotonic(), None
        assert item.process.stdout is not None
        item.reader = threading.Thread(
            target=self._follow, args=(item.program.name, item.process, item.process.stdout), daemon=True
        )
        item.reader.start()

    def _follow(self, name: str, process: subprocess.Popen[str], lines: IO[str]) -> None:
        with lines:
            for line in lines:
                self.say(name, line.rstrip("\n"))
        process.wait()
        self._events.put("death")


def _end(items: Sequence[_Running]) -> bool:
    processes = [item.process for item in items if item.process is not None]
    for process in processes:
        if process.poll() is None:
            process.terminate()
    limit = time.monotonic() + GRACE_SECONDS
    killed = False
    for process in processes:
        try:
            process.wait(max(0.0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed = True
    return killed
