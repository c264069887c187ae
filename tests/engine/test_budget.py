"""Quota budgets on a real Valkey: no window sees more than the vendor allows, people go first, all workers share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis

from sync import embedded, jobs
from sync.engine.budget import Budget, Quota
from sync.errors import Busy


@pytest.fixture(scope="module")
def valkey() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder, embedded.serve(Path(folder)) as url:
        yield url


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def redis(valkey: str) -> Iterator[Redis]:
    with Redis.from_url(valkey) as client:
        client.flushall()
        yield client


def test_no_window_of_a_minute_sees_more_than_the_quota(redis: Redis) -> None:
    clock = Clock()
    budget = Budget("v", (Quota("box", 6000),), redis, clock, lane="person")
    paid: list[tuple[float, float]] = []
    for _ in range(4000):
        try:
            budget.spend("get", 20)
            paid.append((clock.now, 20))
        except Busy as error:
            clock.now += max(error.retry_after, 0.05)
    end = clock.now
    assert end > 1_060
    for start in range(1_000, int(end) - 60):
        assert sum(units for at, units in paid if start <= at < start + 60) <= 6000
    assert sum(units for _, units in paid) >= 0.6 * 6000 * (end - 1_000) / 60


def test_background_work_leaves_a_fifth_for_people(redis: Redis) -> None:
    clock = Clock()
    background = Budget("v", (Quota("box", 1000),), redis, clock, lane="background")
    person = Budget("v", (Quota("box", 1000),), redis, clock, lane="person")
    for _ in range(24):  # 240 of the 300 that the bucket holds
        background.spend("list", 10)
    with pytest.raises(Busy) as caught:
        background.spend("list", 10)
    assert caught.value.retry_after > 0
    person.spend("get", 50)


def test_room_tells_when_buckets_are_filled_and_takes_nothing(redis: Redis) -> None:
    clock = Clock()
    budget = Budget("v", (Quota("box", 1000),), redis, clock, lane="person")
    assert [budget.room(1.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    budget.spend("list", 100)
    wait = budget.room(0.85)
    assert wait == pytest.approx(55 / (700 / 60))  # 300 are a full bucket, 255 are asked for, 200 are there
    assert (budget.calls, budget.units) == (1, 100)
    clock.now += wait
    assert budget.room(0.85) == pytest.approx(0.0, abs=1e-6)


def test_all_or_nothing_over_several_buckets(redis: Redis) -> None:
    clock = Clock()
    narrow, wide = Quota("box", 100), Quota("project", 100_000)
    budget = Budget("v", (narrow, wide), redis, clock, lane="person")
    budget.spend("get", 30)
    with pytest.raises(Busy):
        budget.spend("get", 30)
    alone = Budget("v", (wide,), redis, clock, lane="person")
    alone.spend("get", 30_000 - 30)  # the refused call cost the project nothing
    with pytest.raises(Busy):
        alone.spend("get", 30_000)


def test_a_refusal_by_the_vendor_blocks_all_workers_until_it_has_passed(redis: Redis) -> None:
    clock = Clock()
    one = Budget("v", (Quota("box", 6000),), redis, clock, lane="person")
    other = Budget("v", (Quota("box", 6000),), redis, clock, lane="person")
    one.throttled("get", 7.0)
    with pytest.raises(Busy) as caught:
        other.spend("get", 1)
    assert caught.value.retry_after == pytest.approx(7.0)
    clock.now += 7.1
    other.spend("get", 1)


def test_background_stops_near_the_daily_limit_and_people_go_on(redis: Redis) -> None:
    quotas = (Quota("org", 6000),)
    background = Budget("v", quotas, redis, Clock(), lane="background")
    person = Budget("v", quotas, redis, Clock(), lane="person")
    person.report(79_000, 100_000)
    background.spend("query", 1)
    person.report(81_000, 100_000)
    with pytest.raises(Busy):
        background.spend("query", 1)
    person.spend("query", 1)


def test_a_call_larger_than_the_burst_is_possible(redis: Redis) -> None:
    budget = Budget("v", (Quota("box", 1000),), redis, Clock(), lane="person")
    budget.spend("batch", 900)


def test_without_redis_the_call_passes(tmp_path: Path) -> None:
    nowhere = Redis(unix_socket_path=str(tmp_path / "none.sock"), retry=None, socket_connect_timeout=0.1)
    budget = Budget("v", (Quota("box", 10),), nowhere, lane="person")
    budget.spend("get", 1)
    assert (budget.calls, budget.units) == (1, 1)


def test_a_valkey_that_lost_everything_grants_one_more_burst_at_most(redis: Redis) -> None:
    """What was spent is forgotten, so a loss may cost the minute 0.3 of the quota more; the vendor's 429 is the net."""
    budget = Budget("v", (Quota("box", 6000),), redis, Clock(), lane="person")

    def spend() -> float:
        before = budget.units
        try:
            while True:
                budget.spend("get", 20)
        except Busy:
            return budget.units - before

    assert spend() == 1800
    redis.flushall()
    assert spend() == 1800


def test_a_tick_whose_lock_was_lost_ends_well_and_the_next_one_hints_again(redis: Redis) -> None:
    looks: list[float] = []

    def feeds_due(now: float) -> list[int]:
        looks.append(now)
        if len(looks) == 1:
            redis.flushall()  # hints, the note that they wait, the lock
            jobs.tick(app)  # nobody holds it: another ticker is at work at once
        return []

    store = SimpleNamespace(
        heal_times=lambda *_: 0.0, due=lambda *_: [7], next_wake=lambda *_: None, feeds_due=feeds_due
    )
    settings = SimpleNamespace(tick_seconds=10.0, lease_seconds=12.0, http_timeout_seconds=20.0)
    app: Any = SimpleNamespace(store=store, settings=settings, redis=redis)
    assert jobs.tick(app) == 10.0
    assert len(looks) == 2
    assert [job.args for job in jobs.queue(redis).jobs] == [[7]]
