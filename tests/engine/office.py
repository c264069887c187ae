"""An installation in one process: a real store, the in-memory mail system and CRM, and a clock that tests move."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from redis import Redis

from sync.core.matching import MailboxIdentity
from sync.engine import wake as engine
from sync.engine.budget import Budget, Quota
from sync.engine.wake import Report
from sync.engine.work import Ports
from sync.model import LabelMap
from sync.policy import Policy
from sync.store.rows import Sighting
from sync.store.store import Store
from sync.store.tables import follow, sighting
from tests.contracts.crm_world import CountingMeter
from tests.contracts.mail_world import State, mail
from tests.contracts.memory_crm import MemoryCrm, MemoryCrmWorld
from tests.contracts.memory_folders import FolderMailbox, FolderWorld
from tests.contracts.memory_mail import MemoryMailbox, MemoryWorld
from tests.contracts.memory_service import Allowance

LEASE = 12.0
GUARD = 20.0
DONE = ("Processing Complete!",)
MISSING = ("Missing Required Matches",)
FAILED = ("Tracking Failed",)
DROP = ("Salesforce", "- Create New Email")


class Killed(BaseException):
    """The worker is gone in this very moment: no except clause of the product may catch it."""


class Tap:
    """A port whose every call is announced to `heard(name, before)`; that may raise."""

    def __init__(self, port: Any, heard: Callable[[str, bool], None]) -> None:
        self._port, self._heard = port, heard

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._port, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._heard(name, True)
            answer = inner(*args, **kwargs)
            self._heard(name, False)
            return answer

        return call


@dataclass(slots=True)
class Desk:
    """One user's place: the mailbox, and its id in the store."""

    id: int
    box: MemoryMailbox | FolderMailbox
    address: str

    @property
    def places(self) -> bool:
        """Whether a mail lies in one folder there."""
        return self.box.world.places

    def label(self, *path: str) -> str:
        return next(key for key, found in self.box.labels().items() if found == path)

    def drop(self, raw: bytes, **how: Any) -> str:
        """A mail arrives and is dropped on `- Create New Email`."""
        key = self.box.deliver(raw)
        self.box.drop(key, self.label(*DROP), **how)
        return key

    def marks(self, key: str) -> set[tuple[str, ...]]:
        """Paths of the labels on a mail."""
        paths = self.box.labels()
        return {paths[label] for label in self.box.state(key).labels}

    def state(self, key: str) -> State:
        return self.box.state(key)


@dataclass
class Office:
    """Anna and Ben, their mailboxes of either kind and their CRM.

    `now` is the true time, by which the services count; the workers' clocks differ from it by `skew` seconds. With
    `redis`, calls are paid from budgets.
    """

    store: Store
    policy: Policy = field(default_factory=Policy)
    now: float = 1_790_000_000.0
    mails: MemoryWorld = field(default_factory=MemoryWorld)
    folders: FolderWorld = field(default_factory=FolderWorld)
    crm: MemoryCrmWorld = field(default_factory=MemoryCrmWorld)
    desks: dict[int, Desk] = field(default_factory=dict)
    heard: Callable[[str, bool], None] = lambda name, before: None
    connection: int = 0
    skew: float = 0.0
    redis: Redis | None = None
    adapters: dict[int, MemoryCrm] | None = (
        None  # kept as a process keeps them, with what they described; else new ones
    )

    def __post_init__(self) -> None:
        self.mails.clock = self.folders.clock = self.crm.clock = lambda: self.now

    def open(self, *, migrate: bool = True) -> None:
        if migrate:
            self.store.migrate()
        self.store.put_connection("crm", "memory", {}, {})
        self.store.put_connection("mail", "memory", {}, {})
        found = self.store.connection("crm")
        assert found is not None
        self.connection = found.id
        self.store.put_policy("sales", {}, "crm", "mail")

    def desk(self, name: str, *, folders: bool = False) -> Desk:
        address = f"{name}@northpeak.example"
        box = self.folders.mailbox(address) if folders else self.mails.mailbox()
        desk = Desk(self.store.put_mailbox(address, "sales").id, box, address)
        self.desks[desk.id] = desk
        self.wake(desk)
        return desk

    def allow(self, labels: float, folders: float, crm: float) -> None:
        """What each mailbox and the CRM grant in a minute from now on, in units of their own."""
        for desk in self.desks.values():
            desk.box.allowance = Allowance(folders if desk.places else labels)
        self.crm.allowance = Allowance(crm)

    @property
    def allowances(self) -> list[Allowance]:
        found = [*(desk.box.allowance for desk in self.desks.values()), self.crm.allowance]
        return [allowance for allowance in found if allowance is not None]

    def _budget(self, name: str, allowance: Allowance | None) -> Budget | None:
        """A meter for this allowance, as `sync.wiring` would make it."""
        if self.redis is None or allowance is None:
            return None
        quota = Quota(name, allowance.units, allowance.seconds)
        return Budget(name, (quota,), self.redis, self.clock)

    def ports(self, mailbox_id: int) -> Ports:
        desk = self.desks[mailbox_id]
        mail_budget = self._budget(f"mail:{desk.id}", desk.box.allowance)
        crm_budget = self._budget("crm", self.crm.allowance)
        crm = self._crm(mailbox_id, crm_budget)
        return Ports(
            mail=Tap(desk.box.provider(mail_budget), self.heard),
            crm=Tap(crm, self.heard),
            crm_connection=self.connection,
            crm_name="Salesforce",
            policy=self.policy,
            identity=MailboxIdentity(desk.address),
            owner=desk.address,
            budgets=tuple(budget for budget in (mail_budget, crm_budget) if budget is not None),
            put="folder" if desk.places else "label",
        )

    def feeding(self, heard: Callable[[str, bool], None]) -> Any:
        """The CRM as the feed's job has it, with its own ear."""
        return Tap(self._crm(0, self._budget("crm", self.crm.allowance)), heard)

    def _crm(self, who: int, budget: Budget | None) -> MemoryCrm:
        new = self.crm.crm(budget)
        found = new if self.adapters is None else self.adapters.setdefault(who, new)
        found.meter = budget or CountingMeter()
        return found

    def wake(self, desk: Desk, worker: str = "worker") -> Report:
        """One wake, as the queue would bring it."""
        self.store.wake(desk.id)
        return engine.wake(
            self.store,
            desk.id,
            self.ports,
            worker=worker,
            clock=self.clock,
            lease_seconds=LEASE,
            guard_seconds=GUARD,
        )

    def clock(self) -> float:
        self.now += 0.001
        return self.time

    @property
    def time(self) -> float:
        """What the workers' clocks show."""
        return self.now + self.skew

    def settle(self, seconds: float = 120.0) -> None:
        """Let time pass and wake whatever is due, as the ticker does, until nothing is pending."""
        end = self.now + seconds
        worker = 0
        while self.now < end:
            worker += 1
            self.store.heal_times(self.time, LEASE, GUARD)
            for mailbox_id in self.store.due(self.now, 100):
                engine.wake(
                    self.store,
                    mailbox_id,
                    self.ports,
                    worker=f"later-{worker}",
                    clock=self.clock,
                    lease_seconds=LEASE,
                    guard_seconds=GUARD,
                )
            quiet = all(row.dirty == row.handled for row in self.store.mailboxes())
            if quiet and not any(health.open or health.decided for health in self.store.status(self.now)):
                return
            self.now += 1.0

    def killing(self, point: int) -> AbstractContextManager[list[str]]:
        """The worker dies at the `point`-th moment of a remote call or a commit (1, 2, ...); gives the moments seen."""

        def die() -> None:
            raise Killed

        return self.at(point, die)

    @contextmanager
    def at(self, point: int, deed: Callable[[], None]) -> Iterator[list[str]]:
        """`deed` happens at the `point`-th moment of a remote call or a commit (1, 2, ...); gives the moments seen. The
        heartbeat's are not counted: they come by the true time."""
        seen: list[str] = []
        ours = threading.current_thread()

        def heard(name: str, before: bool) -> None:
            if threading.current_thread() is not ours:
                return
            seen.append(f"{'before' if before else 'after'} {name}")
            if len(seen) == point:
                deed()

        self.heard = heard
        under = self.store.under

        @contextmanager
        def commit(*args: Any) -> Iterator[Any]:
            heard("commit", True)
            with under(*args) as tx:
                yield tx
            heard("commit", False)

        self.store.under = commit  # type: ignore[method-assign]
        try:
            yield seen
        finally:
            self.heard = lambda name, before: None
            self.store.under = under  # type: ignore[method-assign]

    def followed(self, desk: Desk, thread: str) -> frozenset[str]:
        """Hashes of the subjects with which a conversation is followed."""
        where = follow.c.mailbox_id == desk.id, follow.c.thread == thread, follow.c.state == "live"
        with self.store._database.reading() as conn:
            return frozenset(conn.execute(sa.select(follow.c.subject_hash).where(*where)).scalars())

    def followings(self) -> int:
        """How many copies of mails were filed because their conversation is followed."""
        where = sighting.c.trigger == "follow", sighting.c.outcome == "done"
        with self.store._database.reading() as conn:
            return conn.execute(sa.select(sa.func.count()).select_from(sighting).where(*where)).scalar() or 0

    def sightings(self, desk: Desk) -> list[Sighting]:
        lease = self.store.lease(desk.id, "test", 1, self.now)
        assert lease is not None
        with self.store.under(lease, self.now, 1) as tx:
            found = tx.decided(100)
        self.store.give_back(lease, self.now)
        return found


__all__ = ["DONE", "DROP", "FAILED", "MISSING", "Desk", "Killed", "LabelMap", "Mapping", "Office", "mail"]
