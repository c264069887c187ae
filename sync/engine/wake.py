"""The one loop: lease -> mail -> release (design.md 4). Read this file first.

RQ brings hints ("look at mailbox 12"); the database holds the work; the mailbox itself is the queue of record. A wake
takes the mailbox's lease, so that it is the only one at work there, and commits only while the lease's fencing number
is still the newest. It may be killed anywhere: what it did not commit is found again by the next wake.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

import structlog
from sqlalchemy.exc import SQLAlchemyError

from sync.core import pace
from sync.engine import items, mail, pull
from sync.engine.work import Ports, Work, claimant
from sync.errors import Busy, Denied, LeaseLost, Rejected, Unsupported
from sync.store.leases import Lease
from sync.store.store import Store

log = structlog.get_logger()

PAUSED_SECONDS = 60.0  # between looks at whether a policy that is off is on again
TURN_SECONDS = 60.0
LONGEST_WAIT = 3600.0  # whatever a service asks for: it may be well again, and its clock may be wrong


@dataclass(frozen=True, slots=True)
class Report:
    """How a wake ended, and when the mailbox wants to be looked at again (epoch seconds)."""

    ended: Literal["done", "elsewhere", "busy", "parked", "paused", "lost"]
    next_look: float = 0.0


def wake(
    store: Store,
    mailbox_id: int,
    open_ports: Callable[[int], Ports],
    *,
    worker: str,
    clock: Callable[[], float],
    lease_seconds: float,
    guard_seconds: float,
) -> Report:
    """Bring one mailbox up to date. Returns at once when another worker holds it."""
    lease = store.lease(mailbox_id, worker, lease_seconds, clock())
    if lease is None:
        return Report("elsewhere")
    try:
        with Heartbeat(store, lease, lease_seconds, guard_seconds, clock):
            try:
                ports = open_ports(mailbox_id)
            except Denied as error:
                return _park(store, lease, error)
            if not ports.policy.enabled:
                next_look = clock() + PAUSED_SECONDS
                store.give_back(lease, clock(), not_before=next_look)
                return Report("paused", next_look)
            return _run(Work(store, ports, lease, lease_seconds, guard_seconds, clock, clock() + TURN_SECONDS))
    except LeaseLost:
        log.warning("lease.lost", mailbox=mailbox_id, fence=lease.fence)
        return Report("lost")


def _run(work: Work) -> Report:
    store, clock = work.store, work.clock
    try:
        while clock() < work.turn_ends:
            mail.run(work)
            _knock(work)
            if items.run(work):
                continue  # mails first: people wait for them
            next_look = _next_look(work)
            if store.release(work.lease, clock(), next_due=next_look):
                return Report("done", next_look)
            work.lease = store.again(work.lease)  # somebody knocked meanwhile
        store.give_back(work.lease, clock())
        return Report("busy", clock())
    except Busy as error:
        not_before = clock() + min(max(error.retry_after, 0.0), LONGEST_WAIT)
        log.info("wake.busy", mailbox=work.lease.mailbox_id, error=str(error), retry_after=error.retry_after)
        store.give_back(work.lease, clock(), not_before=not_before)
        return Report("busy", not_before)
    except (Denied, Rejected, Unsupported) as error:  # of the mailbox itself: one mail's errors never come this far
        return _park(store, work.lease, error)
    except LeaseLost:
        raise
    except Exception:
        wait = pace.back_off(3, str(work.lease.mailbox_id))
        store.give_back(work.lease, clock(), not_before=clock() + wait)
        raise


def _knock(work: Work) -> None:
    """By a transaction of its own each: who holds one mailbox's row must not wait for another's. Were this lost, they
    would find out at their next look."""
    for mailbox_id in sorted(work.knock - {work.lease.mailbox_id}):
        work.store.wake(mailbox_id)
    work.knock.clear()


def _park(store: Store, lease: Lease, error: Exception) -> Report:
    log.error("mailbox.parked", mailbox=lease.mailbox_id, error=str(error))
    store.park_mailbox(lease, str(error))
    return Report("parked")


def _next_look(work: Work) -> float:
    now = work.clock()
    with work.commit() as tx:
        earliest = tx.pending(now).earliest
        active_at = tx.cursor(pull.ACTIVITY)
        item_at = max(tx.next_item(), now, work.items_wait)
    due = pace.next_due(work.ports.policy, now, float(active_at) if active_at else None, push_healthy=False)
    return min(due, earliest, item_at)


class Heartbeat:
    """Renews the lease, and the claims on filings, while a long remote call runs. It dies with the process: a killed
    worker's lease runs out soon, its claims when what it sent cannot take effect any more."""

    def __init__(
        self, store: Store, lease: Lease, seconds: float, guard_seconds: float, clock: Callable[[], float]
    ) -> None:
        self._store, self._lease, self._seconds, self._guard, self._clock = store, lease, seconds, guard_seconds, clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease-{lease.mailbox_id}", daemon=True)

    def _beat(self) -> None:
        while not self._stop.wait(self._seconds / 3):
            try:
                now = self._clock()
                with self._store.under(self._lease, now, self._seconds) as tx:
                    tx.extend_claims(claimant(self._lease), now + self._guard)
            except LeaseLost:
                return  # the next commit of the wake finds out by itself
            except SQLAlchemyError as error:  # a moment's trouble of the database: the lease has two more beats to live
                log.warning("lease.beat_failed", mailbox=self._lease.mailbox_id, error=type(error).__name__)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
