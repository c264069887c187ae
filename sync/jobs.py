"""The RQ entry points. A job is a hint: it may be lost, doubled or late, and nothing depends on it but speed."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy.exc import OperationalError

from sync import wiring
from sync.engine import wake as engine
from sync.store.trouble import trouble

log = structlog.get_logger()

QUEUE = "mailspan"
QUEUED_SECONDS = 10  # a hint that was queued this long ago counts as lost
POKE = "mailspan:poke"  # a mailbox is due before the next tick
PASSES = 2  # hints that are given to others after a wake here could not go on
REST_SECONDS = 2.0  # of a worker that cannot reach the database, so that the others get what it gave back
TICK_LOCK = "mailspan:tick"
_passing: dict[int, int] = {}  # by mailbox: how many hints still go to others
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
    if _passing.get(mailbox_id, 0) > 0:  # perhaps only this host cannot reach a service: let another one try
        _passing[mailbox_id] -= 1
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
        log.warning("wake.no_database", mailbox=mailbox_id, error=str(trouble(error)))
        with _hinting(mailbox_id):
            hint(app.redis, mailbox_id)
        time.sleep(REST_SECONDS)
        return
    _passing.pop(mailbox_id, None)
    wait = report.next_look - time.time()
    log.debug("wake", mailbox=mailbox_id, ended=report.ended, next_look_in=round(wait, 3))
    if report.ended not in ("done", "busy"):
        return
    if report.ended == "busy" and wait > 0:
        _passing[mailbox_id] = PASSES
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
    finally:
        lock.release()
    floor = 0.2 if queued else 1.0  # those that are due and queued already need the workers, not us
    return period if upcoming is None else min(period, max(upcoming - time.time(), floor))


def poked(app: wiring.App, seconds: float) -> bool:
    """Wait until a worker says that a mailbox is due before the next tick, but not longer than this, and a second at
    most, so that the ticker ends soon when told to. Raises `RedisError`."""
    return app.redis.blpop([POKE], timeout=min(max(seconds, 0.05), 1.0)) is not None
