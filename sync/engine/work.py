"""What one wake of one mailbox works with: its ports, its policy and its lease."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from sync.core import labels as label_names
from sync.core.labels import Enabled, Remembered
from sync.core.matching import MailboxIdentity
from sync.engine.budget import Budget, Lane
from sync.model import Drop, LabelTree, Target, Trigger
from sync.policy import Policy
from sync.ports import CrmProvider, MailProvider
from sync.store.leases import Lease
from sync.store.store import Store
from sync.store.transaction import Transaction

CREATES = "drop.create."
Spent = Mapping[str, tuple[int, float]]  # calls and quota units, by vendor
Moment = tuple[float, float]  # by the wall clock, and by one that nobody sets and that counts while the machine sleeps

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


@dataclass(frozen=True, slots=True)
class Ports:
    """A mailbox's two ends, as `sync.wiring` composes them."""

    mail: MailProvider
    crm: CrmProvider
    crm_connection: int
    crm_name: str
    policy: Policy
    identity: MailboxIdentity
    owner: str  # the address by which the CRM knows the mailbox's user
    budgets: tuple[Budget, ...] = ()
    put: Trigger = "label"  # what people of this mail system put a mail on or in


def claimant(lease: Lease) -> str:
    """Names the holder of a lease in claims on filings: a later holder of the same mailbox is someone else."""
    return f"{lease.mailbox_id}:{lease.fence}"


@dataclass(slots=True)
class Work:
    """One wake. Every commit goes through `commit`, which checks the lease's fence and extends the lease."""

    store: Store
    ports: Ports
    lease: Lease
    lease_seconds: float
    guard_seconds: float  # how long a call to the CRM may still take effect after it was sent
    clock: Callable[[], float]
    turn_ends: float  # after that no further batch is begun: a mailbox with thousands of drops lets the others work
    labels: Mapping[str, str] = field(default_factory=dict)  # node key -> remote id
    drops: Mapping[str, Drop] = field(default_factory=dict)  # remote id -> what it means there; leaves too
    tree: LabelTree = LabelTree(())  # wanted, without leaves
    enabled: tuple[Enabled, ...] = ()  # the policy's modules as the CRM describes them
    unusable: str = ""  # modules that the CRM has not, as it was noted last
    leaves: Mapping[str, Drop] = field(default_factory=dict)
    user: str = ""  # CRM user id of the mailbox, once a match found it
    level: str = ""  # when all items were listed last, and for which policy
    knock: set[int] = field(default_factory=set)  # other mailboxes that have something to do by what was done here
    items_wait: float = 0.0  # until then no item is looked at

    @property
    def who(self) -> str:
        return claimant(self.lease)

    def commit(self) -> AbstractContextManager[Transaction]:
        return self.store.under(self.lease, self.clock(), self.lease_seconds)

    def moment(self) -> Moment:
        return self.clock(), time.clock_gettime(_STEADY)

    def age(self, moment: Moment) -> float:
        """Seconds since then by the clock that says more: a process may have stood still, a clock may have been set.
        Infinite when the wall clock went back."""
        ages = [now - then for now, then in zip(self.moment(), moment, strict=True)]
        return max(ages) if min(ages) >= 0 else math.inf

    def remember(self, remembered: Mapping[str, Remembered]) -> None:
        """Use these labels from now on."""
        self.labels = {key: item.remote_id for key, item in remembered.items()}
        self.tree = self.wanted(remembered)
        base = {
            self.labels[node.key]: Drop(node.target, "category" if node.role == "trigger" else self.ports.put)
            for node in self.tree.nodes
            if node.target and node.key in self.labels
        }
        wanted = {node.key for node in self.tree.nodes}
        for key, remote_id in self.labels.items():  # of a module that is off now: what lies in it must not lie for ever
            if key.startswith(CREATES) and key not in wanted:
                base[remote_id] = Drop(Target("create", key.removeprefix(CREATES)), self.ports.put)
        self.drops = {**base, **self.leaves}

    def wanted(self, remembered: Mapping[str, Remembered], reasons: Iterable[str] = ()) -> LabelTree:
        """The tree that the policy asks for."""
        policy, name = self.ports.policy, self.ports.crm_name
        return label_names.tree(policy, name, remembered, self.store.hash, reasons, self.enabled)

    def know_leaves(self, leaves: Mapping[str, tuple[str, str]]) -> None:
        """Remote id -> (kind, record id) of every Assign To leaf."""
        base = {remote_id: drop for remote_id, drop in self.drops.items() if remote_id not in self.leaves}
        self.leaves = {key: Drop(Target("record", kind, id_), self.ports.put) for key, (kind, id_) in leaves.items()}
        self.drops = {**base, **self.leaves}

    def load_leaves(self) -> None:
        with self.commit() as tx:
            self.know_leaves(tx.leaves())

    def lane(self, lane: Lane) -> None:
        for budget in self.ports.budgets:
            budget.lane = lane

    def spent(self) -> Spent:
        """Calls and units so far, by vendor."""
        return {budget.vendor: (budget.calls, budget.units) for budget in self.ports.budgets}

    def since(self, before: Spent) -> dict[str, dict[str, float]]:
        """What was spent since then, for the record; all mails of a batch share it."""
        return {
            vendor: {"calls": calls - before.get(vendor, (0, 0.0))[0], "units": units - before.get(vendor, (0, 0.0))[1]}
            for vendor, (calls, units) in self.spent().items()
        }
