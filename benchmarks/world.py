"""A time of our own, in which minutes of waiting take no time: for what is bound by quotas and remote calls.

Actors are threads of which one runs at a time, always the one whose moment is the earliest; who waits lets the others
go on. So a run is what would happen if all ran at once on machines that need no time to compute. The engine's clocks,
the budgets' and the sandbox's all show this time, and every remote call takes `CALL_SECONDS` of it.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from redis import Redis

from sync.engine.budget import Budget, Quota
from tests.sandboxed import Sandbox

CALL_SECONDS = 0.08  # of one remote call
FOREVER = 1e9  # seconds


@dataclass(slots=True, order=True)
class Turn:
    """When an actor goes on."""

    at: float
    order: int
    event: threading.Event = field(compare=False)
    dead: bool = field(default=False, compare=False)


class World:
    """Made and used by the main thread, which is an actor too. Until `start` it is real time, and calls take what they
    take."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.now = self._told = 0.0
        self.coupled = self.ended = False
        self.trouble: list[BaseException] = []
        self._order = itertools.count()
        self._waiting: list[Turn] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Go on from the sandbox's time, which moves with ours from now on."""
        self.now = self._told = float(self.sandbox.control("POST", "/clock", {"frozen": True})["time"])
        self.coupled = True

    def jump(self, now: float) -> None:
        """From now on nobody waits, calls take no time and the sandbox's clock stays behind: for counting."""
        self.coupled, self.now = False, max(self.now, now)

    def time(self) -> float:
        """The clock of whoever runs."""
        return self.now or time.time()

    def wait(self, seconds: float) -> None:
        """Let that much time pass for this actor."""
        self.sleep(self.turn(self.now + seconds))

    def turn(self, at: float) -> Turn:
        """Of an actor that will `sleep` until then."""
        turn = Turn(at, next(self._order), threading.Event())
        heapq.heappush(self._waiting, turn)
        return turn

    def sleep(self, turn: Turn) -> None:
        """Let the others go on until then."""
        self._next()
        turn.event.wait()

    def hasten(self, turn: Turn, at: float) -> Turn:
        """The same actor goes on earlier than it wanted."""
        turn.dead = True
        sooner = Turn(max(at, self.now), next(self._order), turn.event)
        heapq.heappush(self._waiting, sooner)
        return sooner

    def call(self) -> None:
        """A remote call is on its way: afterwards the sandbox's clock shows when it arrives."""
        if not self.coupled:
            return
        self.wait(CALL_SECONDS)
        if self.now > self._told:
            self.sandbox.advance(self.now - self._told)
            self._told = self.now

    def begin(self, actor: Callable[[], None]) -> None:
        """Another actor, from now on; what it raises ends all and is raised by `end`."""
        turn = self.turn(self.now)

        def run() -> None:
            turn.event.wait()
            try:
                actor()
            except BaseException as error:  # noqa: BLE001 - another thread raises it
                self.trouble.append(error)
                self.ended = True
            finally:
                self._next()

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def end(self) -> None:
        """Wait until every actor has seen that all is over."""
        self.ended = True
        while any(thread.is_alive() for thread in self._threads):
            self.wait(CALL_SECONDS)
        if self.trouble:
            raise self.trouble[0]

    def _next(self) -> None:
        while (turn := heapq.heappop(self._waiting)).dead:
            pass
        self.now = max(self.now, turn.at)
        turn.event.set()


def budgets(world: World) -> Callable[..., Budget]:
    """The product's own budgets in this time; what is paid for takes the time of a call."""

    class Timed(Budget):
        def spend(self, method: str, units: float, calls: int = 1) -> None:
            super().spend(method, units, calls)
            world.call()

    def make(vendor: str, quotas: Sequence[Quota], redis: Redis) -> Budget:
        return Timed(vendor, quotas, redis, world.time)

    return make


@dataclass
class Workers:
    """The queue and its workers: who is due first is looked at first. `look` returns when that mailbox is due again."""

    world: World
    look: Callable[[int], float | None]
    due: dict[int, float] = field(default_factory=dict)
    looks: int = 0
    _idle: list[Turn] = field(default_factory=list)

    def knock(self, *mailboxes: int) -> None:
        """As a push does."""
        for mailbox in mailboxes:
            self._schedule(mailbox, self.world.now)

    def stop(self) -> None:
        """Whoever is idle sees that all is over."""
        for turn in self._idle:
            self.world.hasten(turn, self.world.now)
        self._idle.clear()

    def run(self) -> None:
        """One worker: an actor."""
        while not self.world.ended:
            at, mailbox = min(((at, one) for one, at in self.due.items()), default=(self.world.now + FOREVER, 0))
            if at > self.world.now:
                turn = self.world.turn(at)
                self._idle.append(turn)
                self.world.sleep(turn)
                self._idle = [one for one in self._idle if one.event is not turn.event]
                continue
            del self.due[mailbox]
            self.looks += 1
            again = self.look(mailbox)
            if again is not None:
                self._schedule(mailbox, again)

    def _schedule(self, mailbox: int, at: float) -> None:
        """One that is idle gets up for it."""
        self.due[mailbox] = min(self.due.get(mailbox, at), at)
        for place, turn in enumerate(self._idle):
            if turn.at > at:
                self._idle[place] = self.world.hasten(turn, at)
                return
