"""The RQ entry points. A job is a hint: it may be lost, doubled or late, and nothing depends on it but speed."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import structlog
from redis import Redis
from redis.exceptions import LockNotOwnedError, RedisError
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy.exc import OperationalError

from sync import wiring
from sync.engine import feed as feeds
from sync.engine import wake as engine
from sync.errors import Busy, Denied
from sync.store.trouble import trouble

log = structlog.get_logger()

QUEUE = "mailspan"
QUEUED_SECONDS = 10  # a hint that was queued this long ago counts as lost
POKE = "mailspan:poke"  # a mailbox is due before the next tick
PASSES = 2  # times that a hint is given to others by a worker that could not go on lately
UNWELL_SECONDS = 30.0  # what "lately" is: for that mailbox always, for others unless a wake ends well before
REST_SECONDS = 2.0  # of a worker that cannot reach the database, so that the others get what it gave back
TICK_LOCK = "mailspan:tick"


@dataclass(slots=True)
class _Health:
    """Whether wakes in this process could go on. After one that could not, perhaps only this host is cut off from a
    service: hints are given back, so that idle workers elsewhere get them, but not for ever: there may be none."""

    unwell_until: float = 0.0  # monotonic
    troubled_until: dict[int, float] = field(default_factory=dict)  # by mailbox; a look at another may need less
    passed: Counter[int] = field(default_factory=Counter)  # by mailbox

    def judge(self, mailbox_id: int, *, well: bool) -> None:
        self.unwell_until = 0.0 if well else time.monotonic() + UNWELL_SECONDS
        if not well:
            self.troubled_until[mailbox_id] = self.unwell_until

    def passes_on(self, mailbox_id: int) -> bool:
        until = max(self.unwell_until, self.troubled_until.get(mailbox_id, 0.0))
        if time.monotonic() < until and self.passed[mailbox_id] < PASSES:
            self.passed[mailbox_id] += 1
            return True
        del self.passed[mailbox_id]
        if time.monotonic() >= until:
            self.troubled_until.pop(mailbox_id, None)
        return False


_health = _Health()
WORKER = f"{socket.gethostname()}:{os.getpid()}"


def queue(redis: Redis) -> Queue:
    """The one queue (providers.md 7.5)."""
    return Queue(QUEUE, connection=redis, serializer=JSONSerializer, default_timeout=600)


def hint(redis: Redis, mailbox_id: int, *, urgent: bool = False) -> bool:
    """Queue "look at this mailbox", unless such a hint waits already. A person who waits goes before the others."""
    fresh = redis.set(f"mailspan:queued:{mailbox_id}", "1", nx=not urgent, ex=QUEUED_SECONDS)
    if fresh:
        queue(redis).enqueue(
            "sync.jobs.wake", mailbox_id, at_front=urgent, result_ttl=0, failure_ttl=3600, job_timeout=600
        )
    return bool(fresh)


def knock(app: wiring.App, mailbox_id: int, *, urgent: bool = False) -> None:
    """What a push hook or a click does: note it in the database, then hint. Without Redis the ticker finds the note."""
    app.store.wake(mailbox_id, urgent=urgent)
    with _hinting(mailbox_id):
        hint(app.redis, mailbox_id, urgent=urgent)


def wake(mailbox_id: int) -> None:
    """Bring one mailbox up to date. Nothing sleeps here: what is due soon is the ticker's to remember."""
    app = wiring.current()
    with _hinting(mailbox_id):
        app.redis.delete(f"mailspan:queued:{mailbox_id}")
    if _health.passes_on(mailbox_id):
        with _hinting(mailbox_id):
            hint(app.redis, mailbox_id)
        return
    try:
        report = engine.wake(
            app.store,
            mailbox_id,
            app.ports,
            worker=WORKER,
            clock=time.time,
            lease_seconds=app.settings.lease_seconds,
            guard_seconds=app.settings.http_timeout_seconds,
        )
    except OperationalError as error:  # perhaps only this host cannot reach the database: let another one have it
        _health.judge(mailbox_id, well=False)
        log.warning("wake.no_database", mailbox=mailbox_id, error=str(trouble(error)))
        with _hinting(mailbox_id):
            hint(app.redis, mailbox_id)
        time.sleep(REST_SECONDS)
        return
    wait = report.next_look - time.time()
    log.debug("wake", mailbox=mailbox_id, ended=report.ended, next_look_in=round(wait, 3))
    if report.ended not in ("done", "busy"):
        return
    _health.judge(mailbox_id, well=report.ended == "done" or wait <= 0)
    with _hinting(mailbox_id):
        if wait <= 0:  # there is more to do, but the others have waited long enough
            hint(app.redis, mailbox_id)
        elif wait < app.settings.tick_seconds:
            with app.redis.pipeline() as pipe:
                pipe.rpush(POKE, mailbox_id)
                pipe.ltrim(POKE, -1, -1)  # one poke is as good as many
                pipe.execute()


@contextlib.contextmanager
def _hinting(mailbox_id: int) -> Iterator[None]:
    """Hints are worth a try: without Redis the tickers find the same in the database."""
    try:
        yield
    except RedisError as error:
        log.warning("hint.lost", mailbox=mailbox_id, error=type(error).__name__)


def feed(connection_id: int) -> None:
    """Ask one CRM what changed, and wake the mailboxes that show it."""
    app = wiring.current()
    try:
        crm, wants = app.feed(connection_id)
        woken = feeds.run(app.store, connection_id, crm, wants) if wants else set()
    except (Busy, Denied) as error:  # the next feed goes on where the last one ended
        log.warning("feed.refused", connection=connection_id, error=str(error))
        return
    for mailbox_id in sorted(woken):
        knock(app, mailbox_id)


def _feeds(app: wiring.App, now: float) -> None:
    """Have the CRMs asked whose turn it is. A job that is lost is made up for by the next one."""
    for connection_id in app.store.feeds_due(now):
        if app.store.claim_feed(connection_id, now, now + app.settings.feed_seconds):
            ttl = int(app.settings.feed_seconds)
            queue(app.redis).enqueue("sync.jobs.feed", connection_id, result_ttl=0, failure_ttl=3600, ttl=max(ttl, 10))


def tick(app: wiring.App) -> float:
    """Hint at every mailbox that is dirty, due, or was left by a dead worker. Returns the seconds to the next tick.

    Only one ticker of an installation hints at a time; the others wait. The database is asked before: a ticker that is
    cut off from it must not keep the lock from those that are not.
    """
    period = app.settings.tick_seconds
    now = time.time()
    back = app.store.heal_times(now, app.settings.lease_seconds, app.settings.http_timeout_seconds)
    if back:
        log.warning("clock.went_back", seconds=round(back))
    due, upcoming = app.store.due(now, 1000), app.store.next_wake(now)
    lock = app.redis.lock(TICK_LOCK, timeout=max(period, 5), blocking=False)
    if not lock.acquire():
        return period
    try:
        queued = [mailbox_id for mailbox_id in due if hint(app.redis, mailbox_id)]
        _feeds(app, now)
    finally:
        with contextlib.suppress(LockNotOwnedError):  # a Redis that came back empty has forgotten whose it was
            lock.release()
    floor = 0.2 if queued else 1.0  # those that are due and queued already need the workers, not us
    return period if upcoming is None else min(period, max(upcoming - time.time(), floor))


def poked(app: wiring.App, seconds: float) -> bool:
    """Wait until a worker says that a mailbox is due before the next tick, but not longer than this, and a second at
    most, so that the ticker ends soon when told to. Raises `RedisError`."""
    return app.redis.blpop([POKE], timeout=min(max(seconds, 0.05), 1.0)) is not None
