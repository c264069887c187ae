"""Quota budgets, shared by all workers through Redis, and the count of calls that `explain` shows.

A budget is a set of token buckets. A vendor that allows N units in any minute gets a bucket that holds 0.3 N and
refills 0.7 N a minute: then no window of a minute can see more than N. A fifth of every bucket is kept for people who
wait, and half of it for everything else by work that comes in bulk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from weakref import WeakKeyDictionary

import structlog
from redis import Redis
from redis.exceptions import RedisError

from sync.errors import Busy

log = structlog.get_logger()
Lane = Literal["person", "background", "bulk"]

BURST = 0.3
RESERVE: Mapping[Lane, float] = {"person": 0.0, "background": 0.2, "bulk": 0.5}  # share of a bucket left for others
HALVED_SECONDS = 60.0
BLIND_SECONDS = 5.0  # without asking a Redis that did not answer: every call of a wake would wait for it
_blind: WeakKeyDictionary[Redis, float] = WeakKeyDictionary()  # until when, by the monotonic clock
DAY_BACKGROUND_SHARE = 0.8  # of the daily allowance that background work may use up

# KEYS: the buckets. ARGV: now, cost, reserve share, then capacity and refill per second of each bucket.
# All or nothing: either every bucket pays or none. Returns the seconds to wait, 0 when paid.
_SPEND = """
local now, cost, reserve = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local wait, left = 0, {}
for i, key in ipairs(KEYS) do
  local capacity, rate = tonumber(ARGV[2 + 2 * i]), tonumber(ARGV[3 + 2 * i])
  local row = redis.call('HMGET', key, 'tokens', 'at', 'blocked', 'halved')
  local blocked, halved = tonumber(row[3]) or 0, tonumber(row[4]) or 0
  if blocked > now then wait = math.max(wait, blocked - now) end
  if halved > now then rate = rate / 2 end
  local at = tonumber(row[2]) or now
  local tokens = math.min(capacity, (tonumber(row[1]) or capacity) + math.max(0, now - at) * rate)
  local need = math.min(cost + reserve * capacity, capacity)
  if tokens < need then wait = math.max(wait, (need - tokens) / rate) end
  left[i] = tokens
end
for i, key in ipairs(KEYS) do
  local paid = left[i]
  if wait == 0 then paid = paid - cost end
  redis.call('HSET', key, 'tokens', tostring(paid), 'at', ARGV[1])
  redis.call('EXPIRE', key, 3600)
end
return tostring(wait)
"""


@dataclass(frozen=True, slots=True)
class Quota:
    """`units` allowed in any window of `seconds`, counted for `scope` (a project, a mailbox, an org)."""

    scope: str
    units: float
    seconds: float = 60.0


@dataclass(slots=True)
class Budget:
    """The `Meter` of one provider object: pays every call out of its quotas. Raises `Busy` before a call that would
    exceed them. Without Redis it lets the call pass: the vendor's own 429 is the net below."""

    vendor: str
    quotas: Sequence[Quota]
    redis: Redis
    clock: Callable[[], float] = time.time
    lane: Lane = "background"
    calls: int = 0
    units: float = 0.0
    _daily: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self._daily = f"mailspan:daily:{self.quotas[-1].scope}" if self.quotas else ""

    def spend(self, method: str, units: float, calls: int = 1) -> None:
        wait = max(self._wait(units), self._daily_wait())
        if wait > 0:
            raise Busy(
                "the budget for calls is used up", retry_after=min(wait, 900.0), vendor=self.vendor, operation=method
            )
        self.calls += calls
        self.units += units

    def room(self, share: float) -> float:
        """Seconds until every bucket is filled to this share of it, if nothing is spent meanwhile; 0: it is."""
        return self._wait(0.0, share)

    def _wait(self, units: float, reserve: float | None = None) -> float:
        keys = [f"mailspan:bucket:{quota.scope}" for quota in self.quotas]
        if not keys:
            return 0.0
        args: list[float] = [self.clock(), units, RESERVE[self.lane] if reserve is None else reserve]
        for quota in self.quotas:
            capacity = max(quota.units * BURST, min(units, quota.units))
            args += [capacity, quota.units * (1 - BURST) / quota.seconds]
        return float(self._redis(lambda: self.redis.eval(_SPEND, len(keys), *keys, *args), 0))

    def _daily_wait(self) -> float:
        if self.lane == "person" or not self._daily:
            return 0.0
        used, limit = self._redis(lambda: self.redis.hmget(self._daily, ["used", "limit"]), (None, None))
        return 600.0 if used and limit and float(used) > DAY_BACKGROUND_SHARE * float(limit) else 0.0

    def throttled(self, method: str, retry_after: float) -> None:
        """Block the narrowest scope for `retry_after` seconds and refill it at half speed for a minute after."""
        log.warning("throttled", vendor=self.vendor, method=method, retry_after=retry_after)
        if self.quotas:
            now = self.clock()
            row: dict[Any, Any] = {"blocked": now + retry_after, "halved": now + retry_after + HALVED_SECONDS}
            self._redis(lambda: self.redis.hset(f"mailspan:bucket:{self.quotas[0].scope}", mapping=row), 0)

    def report(self, used: int, limit: int) -> None:
        if self._daily:
            self._redis(lambda: self.redis.hset(self._daily, mapping={"used": used, "limit": limit}), 0)
            self._redis(lambda: self.redis.expire(self._daily, 3600), 0)

    def _redis(self, call: Callable[[], Any], otherwise: Any) -> Any:
        if time.monotonic() < _blind.get(self.redis, 0.0):
            return otherwise
        try:
            return call()
        except RedisError as error:
            _blind[self.redis] = time.monotonic() + BLIND_SECONDS
            log.warning("budget.unavailable", vendor=self.vendor, error=type(error).__name__)
            return otherwise
