"""One Salesforce org: its schema with switches, its rows, users, sharing and record-level faults."""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sandbox.salesforce import sharing
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.ids import IdMaker
from sandbox.salesforce.schema import Schema
from sandbox.salesforce.sharing import Level
from sandbox.salesforce.store import Row, Store
from sandbox.salesforce.values import stamp

if TYPE_CHECKING:
    from sandbox.frame.frame import Frame
    from sandbox.salesforce.validation import ValidationRule

ADMINISTRATOR = "System Administrator"
BIN_DAYS = 15  # the recycle bin, providers.md SF-14
DAY = 86400.0
# What an org lacks without Shared Activities (with it: TaskRelation too) and without Enhanced Email, providers.md 5.3.
SHARED_ACTIVITIES = (("Task", "TaskWhoIds"), ("Event", "EventWhoIds"), ("Task", "WhoCount"), ("Task", "WhatCount"),
                     ("Event", "WhoCount"), ("Event", "WhatCount"))  # fmt: skip
ENHANCED_EMAIL: tuple[str, ...] = ("EmailMessage", "EmailMessageRelation")
TEAM_SELLING: tuple[str, ...] = ("OpportunityTeamMember", "AccountTeamMember")
NUMBER = re.compile(r"\{(0+)\}")
# Edition -> daily calls, and more per licence (providers.md 5.1).
DAILY_CALLS = {"Developer": (15_000, 0), "Professional": (100_000, 1_000), "Enterprise": (100_000, 1_000),
               "Unlimited": (100_000, 5_000), "Performance": (100_000, 5_000)}  # fmt: skip


@dataclass(slots=True)
class DuplicateRule:
    """`fields` equal and not empty mean a duplicate; action "allow" lets a client insist."""

    sobject: str
    fields: tuple[str, ...]
    action: str


@dataclass(slots=True)
class RowLock:
    """The next `count` writes that touch `target` (record id or object) find it locked."""

    target: str
    count: int


@dataclass(slots=True)
class Context:
    """Who does something, and how: the user's row, the API version, the request's wishes."""

    org: Org
    user: Row
    version: str = "67.0"
    save_duplicates: bool = False
    hidden: frozenset[str] = field(default_factory=frozenset)

    @property
    def currency(self) -> str:
        """The user's currency."""
        return str(self.user.get("DefaultCurrencyIsoCode") or next(iter(self.org.currencies)))

    @property
    def user_id(self) -> str:
        """Id of the user."""
        return str(self.user["Id"])


class Org:
    """All state of one org. Hold `store.lock` while using it."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.clear()

    def clear(self) -> None:
        """An org without anything, not even users."""
        self.store = Store()
        self.chance = random.Random(self.frame.random.random())
        self.ids = IdMaker(self.chance)
        self.full_schema = Schema()
        self.shared_activities = self.enhanced_email = True
        self.private = self.team_selling = self.multi_currency = False
        self.currencies = {"USD": 1.0, "EUR": 0.9, "GBP": 0.8, "SEK": 10.0}  # one unit of the first is worth so many
        self.name, self.edition, self.licences = "Example", "Enterprise", 20
        self.org_id = self.ids.make("00D")
        self.administrators: set[str] = set()
        self.duplicate_rules: list[DuplicateRule] = []
        self.validation_rules: list[ValidationRule] = []
        self.shares: dict[tuple[str, str], Level] = {}  # (record, user) -> level
        self.locks: list[RowLock] = []
        self.late: list[tuple[str, int, float]] = []  # object, how many more, seconds
        self.unseen: dict[str, float] = {}  # record id -> the time at which it appears
        self.counters: dict[str, int] = {}
        self.limit_reached = False
        self._calls: deque[float] = deque()
        self._stamped = (0, "")  # the last second and its text
        self.switch()

    def switch(self, **switches: bool) -> None:
        """Set shared_activities, enhanced_email, team_selling, multi_currency or private; the schema follows."""
        for name, value in switches.items():
            setattr(self, name, value)
        objects: tuple[str, ...] = () if self.enhanced_email else ENHANCED_EMAIL
        objects = objects if self.team_selling else (*objects, *TEAM_SELLING)
        fields: tuple[tuple[str, str], ...] = ()
        if not self.shared_activities:
            objects, fields = (*objects, "TaskRelation"), SHARED_ACTIVITIES
        if not self.multi_currency:
            fields = (*fields, *((name, "CurrencyIsoCode") for name in self.full_schema.objects))
        self.schema = self.full_schema.without(objects, fields)
        self.schema_changed = self.frame.clock.now().replace(microsecond=0)

    # -- time and calls -----------------------------------------------------------------------

    def stamp(self) -> str:
        """Now, as a system field has it."""
        second = int(self.frame.clock.time())
        if self._stamped[0] != second:
            self._stamped = (second, stamp(self.frame.clock.now()))
        return self._stamped[1]

    def daily_calls(self) -> int:
        """How many calls a rolling day may have."""
        base, each = DAILY_CALLS.get(self.edition, DAILY_CALLS["Enterprise"])
        limit = self.frame.settings.get("salesforce_daily_calls") or base + each * self.licences
        return int(limit)

    def used_calls(self) -> int:
        """Calls of the last 24 hours."""
        edge = self.frame.clock.time() - DAY
        while self._calls and self._calls[0] <= edge:
            self._calls.popleft()
        return len(self._calls)

    def count_call(self, units: int = 1) -> None:
        """Charge a call; ApiError once the day's are used up."""
        if self.limit_reached or self.used_calls() >= self.daily_calls():
            raise ApiError("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", status=403)
        self._calls.extend([self.frame.clock.time()] * units)

    # -- rows ---------------------------------------------------------------------------------

    def number(self, name: str, display: str = "") -> str:
        """The next autonumber of this name, in a format like "PRJ-{00000}"."""
        self.counters[name] = self.counters.get(name, 0 if display else 1000) + 1
        number = self.counters[name]
        return NUMBER.sub(lambda found: f"{number:0{len(found[1])}d}", display) if display else f"{number:08d}"

    def object_of(self, record_id: str) -> str | None:
        """The object whose prefix the id has."""
        return self.full_schema.by_prefix.get(record_id[:3])

    def find(self, record_id: str | None) -> tuple[str, Row] | None:
        """(object, row) that is not deleted and already there."""
        if not record_id:
            return None
        name = self.object_of(record_id)
        row = self.store.get(name, record_id) if name else None
        if name is None or row is None or row.get("IsDeleted") or not self.appeared(row):
            return None
        return name, row

    def appeared(self, row: Row) -> bool:
        """False while a record's long transaction has not ended (providers.md SF-13)."""
        if not self.unseen:
            return True
        at = self.unseen.get(row["Id"])
        if at is not None and at <= self.frame.clock.time():
            del self.unseen[row["Id"]]
            at = None
        return at is None

    def in_bin(self, row: Row) -> bool:
        """Whether a deleted row is still in the recycle bin."""
        return str(row["SystemModstamp"]) > stamp(self.frame.clock.now() - timedelta(days=BIN_DAYS))

    def live(self, name: str, field_name: str, values: Iterable[Any]) -> Iterator[Row]:
        """Rows by value, without the deleted."""
        return (row for row in self.store.lookup(name, field_name, values) if not row.get("IsDeleted"))

    def note_late(self, name: str, record_id: str) -> None:
        """Hide a new record for a while if that was ordered."""
        for at, (wanted, count, seconds) in enumerate(self.late):
            if wanted == name and count > 0:
                self.unseen[record_id] = self.frame.clock.time() + seconds
                self.late[at] = (wanted, count - 1, seconds)
                return

    def check_locks(self, name: str, touched: Iterable[str]) -> None:
        """UNABLE_TO_LOCK_ROW if one of the records, or the object, is ordered to be locked."""
        if not self.locks:
            return
        ids = list(touched)
        for lock in self.locks:
            if lock.count > 0 and (lock.target == name or lock.target in ids):
                lock.count -= 1
                which = lock.target if lock.target in ids else ", ".join(ids[:1])
                raise ApiError("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records: "
                               f"{which}", [])  # fmt: skip
        self.locks = [lock for lock in self.locks if lock.count > 0]

    # -- sharing ------------------------------------------------------------------------------

    def readable(self, ctx: Context, name: str, row: Row) -> bool:
        """Whether the user may see the row."""
        return sharing.level(ctx, name, row) >= Level.READ

    def editable(self, ctx: Context, name: str, row: Row) -> bool:
        """Whether the user may change the row."""
        return sharing.level(ctx, name, row) >= Level.EDIT

    def deletable(self, ctx: Context, name: str, row: Row) -> bool:
        """Whether the user may delete the row."""
        return sharing.level(ctx, name, row) >= Level.ALL

    def visible(self, ctx: Context, record_id: str | None) -> tuple[str, Row] | None:
        """(object, row) behind a reference if the user may see it: a hidden parent reads as none."""
        found = self.find(record_id)
        return found if found is not None and self.readable(ctx, *found) else None
