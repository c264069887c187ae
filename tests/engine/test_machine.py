"""Any order of mails, drops, edits, faults, crashes and waiting: nothing is lost, nothing doubled, nothing given away.

`make test` tells the same short stories each time; `make soak` tells thousands of steps of new ones.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sync.store.store import Store
from tests.databases import KEY, assert_no_content
from tests.engine.office import Office
from tests.engine.town import DROPS, MARKERS, OPTIONS, Copy, Killed, Town

WHO = st.integers(0, 2)
PICK = st.integers(0, 7)
MAILS = ("known", "unknown", "lead", "internal", "sent", "answer", "shared", "anonymous", "garbage")
DEEDS = (
    *("drop", "drop a copy", "drop the thread", "categorise", "take off", "take the category off"),
    *("take the marker off", "star", "read", "archive", "tag", "delete"),
)
CRM_DEEDS = (
    *("delete the activity", "delete a contact", "delete an account", "rename a contact", "rename an account"),
    *("lock a contact", "lock an account", "require a field"),
)
OURS = (*DROPS, *MARKERS, "master")


@cache
def _empty() -> bytes:
    """An SQLite file with the tables and nothing in them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.sqlite3"
        store = Store.open(f"sqlite:///{path}", [KEY])
        store.migrate()
        store.close()
        return path.read_bytes()


@contextmanager
def _listening() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


class Users(RuleBasedStateMachine):
    """The rules are what happens; what must hold is below them."""

    steps = 0
    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.restless = 0  # steps since everything was quiet
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        path = self.folder / "store.sqlite3"
        path.write_bytes(_empty())
        self.url = f"sqlite:///{path}"
        self.store = Store.open(self.url, [KEY])
        self.listening = _listening()
        self.logs = self.listening.__enter__()
        office = Office(self.store)
        office.open(migrate=False)
        self.town = Town(office)
        self.town.open()

    def teardown(self) -> None:
        try:
            self.town.calm()
            self._all_is_well()
        finally:
            self.listening.__exit__(None, None, None)
            self.store.close()
            shutil.rmtree(self.folder)

    @initialize(page=st.sampled_from([500, 3, 1]), shared=st.booleans(), stamps=st.booleans())
    def begin(self, page: int, shared: bool, stamps: bool) -> None:
        """How long the pages of the mail system are, and what kind of CRM it is."""
        self.town.office.mails.small_pages(page)
        self.town.office.crm.switch(email_record=stamps, shared_activities=shared)
        for who, kind in enumerate(("unknown", "shared", "sent")):
            for copy in self.town.arrive(who, kind, 3):
                self.town.drop(copy)

    # --- what happens -----------------------------------------------------------------------------------------------

    @rule(who=WHO, kind=st.sampled_from(MAILS), count=st.integers(1, 4), drop=st.booleans())
    def mails(self, who: int, kind: str, count: int, drop: bool) -> None:
        for copy in self.town.arrive(who, kind, count):
            if drop:
                self.town.drop(copy)

    @rule(deed=st.sampled_from(DEEDS), pick=PICK)
    def user(self, deed: str, pick: int) -> None:
        self.town.user(deed, pick)

    @rule(pick=PICK, deed=st.sampled_from(["drop", "categorise"]))
    def drops(self, pick: int, deed: str) -> None:
        self.town.user(deed, pick)

    @rule(who=WHO, key=st.sampled_from(OURS), delete=st.booleans())
    def relabel(self, who: int, key: str, delete: bool) -> None:
        self.town.relabel(who, key, delete and key != "master")

    @rule(deed=st.sampled_from(CRM_DEEDS), pick=PICK)
    def crm(self, deed: str, pick: int) -> None:
        self.town.crm(deed, pick)

    @rule(which=st.integers(0, len(OPTIONS) - 1))
    def policy(self, which: int) -> None:
        self.town.policy(which)

    @rule(
        kind=st.sampled_from(["throttled", "down", "reset", "lost", "revoked", "part", "expired"]),
        wait=st.sampled_from([None, 2.0, 40.0]),
    )
    def mail_fault(self, kind: Any, wait: float | None) -> None:
        mails = self.town.office.mails
        if kind == "part":
            mails.throttle_part()
        elif kind == "expired":
            mails.expire_cursors()
        else:
            mails.fault(kind, retry_after=wait)

    @rule(
        kind=st.sampled_from(["throttled", "limit", "down", "reset", "lost", "expired", "revoked"]),
        wait=st.sampled_from([None, 2.0, 40.0]),
        skip=st.integers(0, 3),
    )
    def crm_fault(self, kind: Any, wait: float | None, skip: int) -> None:
        self.town.office.crm.fault(kind, retry_after=wait, skip=skip)

    @rule(skip=st.integers(0, 3))
    def crm_answer_is_lost(self, skip: int) -> None:
        self.town.office.crm.fault("lost", skip=skip)

    @rule(who=WHO)
    def wake(self, who: int) -> None:
        self.town.wake(who)

    @rule(who=WHO, point=st.integers(1, 30))
    def kill(self, who: int, point: int) -> None:
        """The worker dies in the middle of it."""

        def die(moment: str) -> None:
            self.seen[f"killed {moment}"] += 1
            raise Killed(moment)

        self.town.interrupted(who, point, die)

    @rule(who=WHO, point=st.integers(1, 30))
    def sleep(self, who: int, point: int) -> None:
        """The worker's process stands still, another takes over, then the first goes on."""

        def stand_still(moment: str) -> None:
            self.seen[f"slept {moment}"] += 1
            self.town.office.now += 1000
            self.town.wake(who)

        self.town.interrupted(who, point, stand_still)

    @rule(who=WHO, other=WHO, point=st.integers(1, 30))
    def side_by_side(self, who: int, other: int, point: int) -> None:
        """Another worker wakes a mailbox (the same one, too) in the middle of it."""
        self.town.interrupted(who, point, lambda moment: self.town.wake(other))

    @rule(who=WHO, point=st.integers(1, 30))
    def one_mail_for_all(self, who: int, point: int) -> None:
        """Everybody drops the same mail, and two workers are at it together."""
        for copy in self.town.arrive(who, "shared", 3):
            self.town.drop(copy)
        self.town.interrupted(who, point, lambda moment: self.town.wake((who + 1) % 3))

    @rule(who=WHO, point=st.integers(1, 30), deed=st.sampled_from(DEEDS), pick=PICK)
    def user_meanwhile(self, who: int, point: int, deed: str, pick: int) -> None:
        self.town.interrupted(who, point, lambda moment: self.town.user(deed, pick))

    @rule(who=WHO, point=st.integers(1, 30), deed=st.sampled_from(CRM_DEEDS), pick=PICK)
    def crm_meanwhile(self, who: int, point: int, deed: str, pick: int) -> None:
        self.town.interrupted(who, point, lambda moment: self.town.crm(deed, pick))

    @rule(seconds=st.sampled_from([0.5, 5.0, 30.0, 700.0]))
    def wait(self, seconds: float) -> None:
        self.town.office.now += seconds
        self.town.tick()

    @rule()
    def retry(self) -> None:
        self.town.office.store.retry("all", self.town.office.now)

    @rule(who=WHO)
    def connect_again(self, who: int) -> None:
        self.town.office.store.activate(self.town.desks[who].id)

    @precondition(lambda self: self.restless >= 10)
    @rule()
    def calm(self) -> None:
        """Rest is only worth a look, and its cost, when something happened before."""
        self.restless = 0
        self.town.calm()
        self._all_is_well()

    # --- what must hold ---------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_doubled(self) -> None:
        Users.steps += 1
        self.restless += 1
        crm = self.town.office.crm
        records: Counter[tuple[str, Any]] = Counter()
        for activity in crm.activities():
            # a CRM with tasks only cannot put a lead, nor without shared activities a second person, on the same one
            people = {record for record in activity.people if record.kind in ("contact", "lead")}
            alone = activity.record.kind == "task" and (
                not crm.org.shared or any(record.kind == "lead" for record in people)
            )
            records[activity.message_id, frozenset(people) if alone else None] += 1
        assert set(records.values()) <= {1}, f"filed twice: {records.most_common(1)}"
        for kind, name in (("contact", "email"), ("lead", "email"), ("account", "name")):
            made = Counter(fields[name].lower() for _, fields in self.town.made(kind))
            assert set(made.values()) <= {1}, f"{kind} made twice: {made.most_common(1)}"

    @invariant()
    def what_belongs_to_the_user_is_unchanged(self) -> None:
        for copy in self.town.copies:
            assert ("STARRED" in copy.labels, "UNREAD" in copy.labels) == (copy.starred, copy.unread), copy
            assert copy.own <= copy.labels, copy
            assert ("SENT" in copy.labels) == copy.outgoing, copy
            assert not (copy.outgoing and "INBOX" in copy.labels), copy

    def _all_is_well(self) -> None:
        for copy in self.town.copies:
            self._has_ended(copy)
        for health in self.store.status(self.town.office.now):
            assert (health.lag, health.open, health.decided, health.state) == (0, 0, 0, "active")
        for desk in self.town.desks:
            paths = Counter(path for path in desk.box.paths.values())
            assert set(paths.values()) == {1}, f"labels twice: {paths.most_common(1)}"
        assert_no_content(self.url, self.town.texts)
        said = repr(self.logs)
        assert not [text for text in self.town.texts if text in said], "content in the log"

    def _has_ended(self, copy: Copy) -> None:
        known = self.store.labels(copy.desk.id)
        there = {key for key, label in known.items() if label.remote_id in copy.labels}
        marks, reasons = there & set(MARKERS), {key for key in there if key.startswith("reason.")}
        assert not there & set(DROPS), f"not settled: {copy} {there}"
        assert len(marks) <= 1, f"two ends: {copy} {there}"
        if not copy.owes:
            return
        assert len(marks) == 1, f"lost: {copy} {there}"
        assert not (reasons and "marker.done" in marks), f"a reason without a failure: {copy} {there}"
        assert not copy.home or "INBOX" in copy.labels, f"not brought home: {copy} {there}"
        if "marker.done" in marks and copy.message_id not in self.town.forgotten:
            found = [one for one in self.town.office.crm.activities() if one.message_id == copy.message_id]
            assert found, f"done, but not in the CRM: {copy}"


SHORT = settings(
    max_examples=10,
    stateful_step_count=30,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def test_no_order_of_events_loses_or_doubles_a_mail() -> None:
    run_state_machine_as_test(Users, settings=SHORT)
