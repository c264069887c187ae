"""The benchmark's own time: who waits passes no time of the machine, and all happens in order."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from benchmarks.world import CALL_SECONDS, Workers, World


@dataclass
class _Clock:
    """The sandbox as far as a world knows it."""

    now: float = 1_000.0
    frozen: list[object] = field(default_factory=list)

    def control(self, method: str, path: str, body: object) -> dict[str, float]:
        self.frozen.append((method, path, body))
        return {"time": self.now}

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def world() -> World:
    found = World(_Clock())  # type: ignore[arg-type]
    found.start()
    return found


def test_actors_act_in_the_order_of_time_and_the_sandbox_shows_it(world: World) -> None:
    told: list[tuple[str, float, float]] = []

    def actor(name: str, pause: float) -> None:
        for _ in range(3):
            world.wait(pause)
            world.call()
            told.append((name, round(world.now, 2), round(world.sandbox.now, 2)))  # type: ignore[attr-defined]

    world.begin(lambda: actor("slow", 10))
    world.begin(lambda: actor("quick", 4))
    world.wait(100)
    world.end()
    call = CALL_SECONDS
    quick = [("quick", round(1_000 + n * (4 + call), 2)) for n in (1, 2, 3)]
    slow = [("slow", round(1_000 + n * (10 + call), 2)) for n in (1, 2, 3)]
    assert [(name, at) for name, at, _ in told] == sorted(quick + slow, key=lambda one: one[1])
    assert all(at == shown for _, at, shown in told)
    assert world.sandbox.frozen == [("POST", "/clock", {"frozen": True})]  # type: ignore[attr-defined]


def test_what_an_actor_raises_is_raised_at_the_end(world: World) -> None:
    def actor() -> None:
        world.wait(1)
        raise ValueError("broken")

    world.begin(actor)
    world.wait(5)
    assert world.ended
    with pytest.raises(ValueError, match="broken"):
        world.end()


def test_a_knock_gets_an_idle_worker_up_and_two_work_side_by_side(world: World) -> None:
    seen: list[tuple[int, float]] = []

    def look(mailbox: int) -> float | None:
        seen.append((mailbox, world.now))
        world.wait(2)
        return world.now + 50 if mailbox == 1 else None

    workers = Workers(world, look)
    for _ in range(2):
        world.begin(workers.run)
    world.wait(1)
    workers.knock(1, 2, 3)
    world.wait(60)
    workers.stop()
    world.end()
    assert seen == [(1, 1_001), (2, 1_001), (3, 1_003), (1, 1_053)]
    assert workers.looks == 4
