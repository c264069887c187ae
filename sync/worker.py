"""A worker process: RQ's SimpleWorker on the one queue, which outlives a Redis that goes away (providers.md 7.5)."""

from __future__ import annotations

import contextlib
import os
import time

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq import SimpleWorker
from rq.exceptions import StopRequested
from rq.serializers import JSONSerializer

from sync import jobs, wiring

log = structlog.get_logger()

WORKER_TTL = 30  # with it a lost job is found after at most a minute (providers.md 7.5)
MAINTENANCE_SECONDS = 15
PAUSE_SECONDS = 2.0  # before Redis is tried again


class Worker(SimpleWorker):
    """Nobody sends it commands through Redis, so it does not listen for them. `told` once it shall end."""

    max_connection_wait_time = 4.0  # a host that can reach Redis again is at work again within seconds
    told = False

    def subscribe(self) -> None:
        self.log.debug("no commands are taken")

    def handle_warm_shutdown_request(self) -> None:
        self.told = True


def run(app: wiring.App) -> None:
    """Work until SIGTERM or SIGINT, which let the mailbox in hand be finished. Needs the main thread."""
    redis = wiring.connect_redis(app.settings)  # its own: RQ makes its client wait longer than we would
    log.info("worker.started", process=os.getpid())
    with contextlib.suppress(StopRequested, RedisError):  # told while it pauses, and Redis cannot be told
        while not _work(redis):
            time.sleep(PAUSE_SECONDS)
    redis.close()


def _work(redis: Redis) -> bool:
    """Work until told to end (True), or until Redis fails."""
    worker: Worker | None = None
    try:
        worker = Worker(
            [jobs.queue(redis)],
            connection=redis,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL,
            maintenance_interval=MAINTENANCE_SECONDS,
            log_job_description=False,
        )
        worker.work(logging_level="WARNING")
    except RedisError as error:
        log.warning("worker.no_redis", error=type(error).__name__)
    return worker is not None and worker.told
