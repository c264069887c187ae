"""Any order of mails, drops, edits, faults, crashes and waiting, in two mail systems on one CRM: nothing is lost,
nothing doubled, nothing given away, and no service is asked for more than it grants.

`make test` tells the same short stories each time; `make soak` tells thousands of steps of new ones.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
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
from redis import Redis

from sync import embedded
from sync.store.store import Store
from tests.databases import KEY, assert_no_content
from tests.engine import assign, business, people, verdict
from tests.engine.office import Office
from tests.engine.town import CANARY, OPTIONS, QUOTAS, STAFF, Killed, Town

WHO = st.integers(0, len(STAFF) - 1)
PICK = st.integers(0, 7)
POINT = st.integers(1, 60)
MAILS = ("known", "unknown", "lead", "internal", "sent", "answer", "shared", "colleague", "anonymous", "garbage")
DEED = st.sampled_from(sorted(assign.DEEDS))
CRM_DEED = st.sampled_from(sorted(business.CRM_DEEDS))
WAIT = st.sampled_from([None, 2.0, 40.0])
HASHED = 8  # every so many texts are also looked for as keyless hashes; in all other forms the canary shows them


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
def valkey() -> Iterator[Redis]:
    """For the budgets."""
    with tempfile.TemporaryDirectory() as folder, embedded.serve(Path(folder)) as url, Redis.from_url(url) as client:
        yield client


class _Heard(logging.Handler):
    """Everything that is said through the standard library."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))


@contextmanager
def _listening() -> Iterator[tuple[list[Any], list[str]]]:
    """All log entries, of structlog and of the standard library."""
    heard = _Heard()
    logging.getLogger().addHandler(heard)
    try:
        with structlog.testing.capture_logs() as entries:
            yield entries, heard.said
    finally:
        logging.getLogger().removeHandler(heard)


class Users(RuleBasedStateMachine):
    """The rules are what happens; `verdict` tells what must hold."""

    steps = 0
    seen: ClassVar[Counter[str]] = Counter()
    redis: ClassVar[Redis | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.restless = 0  # steps since everything was quiet
        self.folder = Path(tempfile.mkdtemp(prefix="machine-", dir=_fast()))
        path = self.folder / "store.sqlite3"
        path.write_bytes(_empty())
        self.url = f"sqlite:///{path}"
        self.listening = _listening()
        self.entries, self.said = self.listening.__enter__()
        if self.redis is not None:
            self.redis.flushall()
        office = Office(Store.open(self.url, [KEY]), redis=self.redis)
        office.open(migrate=False)
        self.town = Town(office)
        self.town.open()

    @property
    def store(self) -> Store:
        return self.town.office.store

    def teardown(self) -> None:
        try:
            self.calm()
            self.what_holds_always()
            assert_no_content(self.url, [CANARY, *sorted(self.town.texts)[::HASHED]])
            self.seen["filed"] += len(self.town.office.crm.activities())
            self.seen["drops"] += self.town.drops
            self.seen["undone"] += self.town.undos
            self.seen["items"] += sum(len(self.store.items(desk.id)) for desk in self.town.desks)
            self.seen["followed"] += self.town.office.followings()
            self.seen["budget waits"] += repr(self.entries).count("the budget for calls is used up")
        finally:
            self.listening.__exit__(None, None, None)
            self.store.close()
            shutil.rmtree(self.folder)

    @initialize(page=st.sampled_from([500, 3, 1]), shared=st.booleans(), stamps=st.booleans(), quota=st.booleans())
    def begin(self, page: int, shared: bool, stamps: bool, quota: bool) -> None:
        """How long the pages of the mail systems are, what kind of CRM it is, and how much it all may be used."""
        office = self.town.office
        office.mails.small_pages(page)
        office.folders.small_pages(page)
        office.crm.switch(email_record=stamps, shared_activities=shared)
        office.adapters = {}
        office.allow(*QUOTAS[quota])
        for pick in range(6):
            business.new_item(self.town, pick)
        for who, kind in enumerate(("unknown", "shared", "sent", "colleague")):
            for copy in self.town.arrive(who, kind, 3):
                people.drop(self.town, copy)

    # --- people -----------------------------------------------------------------------------------------------------

    @rule(who=WHO, kind=st.sampled_from(MAILS), count=st.integers(1, 4), drop=st.booleans())
    def mails(self, who: int, kind: str, count: int, drop: bool) -> None:
        for copy in self.town.arrive(who, kind, count):
            if drop:
                people.drop(self.town, copy)

    @rule(who=WHO)
    def mail_arrives_dropped(self, who: int) -> None:
        self.town.arrive_dropped(who)

    @rule(deed=DEED, pick=PICK)
    def user(self, deed: str, pick: int) -> None:
        assign.user(self.town, deed, pick)

    @rule(pick=PICK, deed=st.sampled_from(["drop", "drop a copy", "categorise"]))
    def drops(self, pick: int, deed: str) -> None:
        assign.user(self.town, deed, pick)

    @rule(pick=PICK, deed=st.sampled_from(assign.ITEM_DEEDS))
    def works_with_items(self, pick: int, deed: str) -> None:
        assign.user(self.town, deed, pick)

    @rule(pick=PICK, deed=st.sampled_from(business.ITEM_DEEDS), told=st.booleans())
    def business(self, pick: int, deed: str, told: bool) -> None:
        business.crm(self.town, deed, pick)
        if told:
            self.town.feed()

    @rule(times=st.integers(1, 2), dies=st.booleans())
    def feed(self, times: int, dies: bool) -> None:
        """Early or late, twice, and by a worker that dies with it."""
        for _ in range(times):
            self.town.feed(dies=dies)

    @rule(who=WHO, point=POINT)
    def feed_meanwhile(self, who: int, point: int) -> None:
        business.crm(self.town, "edit an item", point)
        self.town.interrupted(who, point, lambda moment: self.town.feed())

    @rule(who=WHO, pick=PICK, deed=st.sampled_from(people.LABEL_DEEDS))
    def releaf(self, who: int, pick: int, deed: str) -> None:
        assign.releaf(self.town, who, pick, deed)

    @rule(who=WHO, pick=PICK)
    def drop_summary(self, who: int, pick: int) -> None:
        assign.drop_summary(self.town, who, pick)

    @rule(who=WHO, point=POINT, pick=PICK, deed=st.sampled_from(people.LABEL_DEEDS))
    def releaf_meanwhile(self, who: int, point: int, pick: int, deed: str) -> None:
        self.town.interrupted(who, point, lambda moment: assign.releaf(self.town, who, pick, deed))

    @rule(who=WHO, key=st.sampled_from(people.OURS), deed=st.sampled_from(people.LABEL_DEEDS))
    def relabel(self, who: int, key: str, deed: str) -> None:
        people.relabel(self.town, who, key, deed)

    @rule(deed=CRM_DEED, pick=PICK)
    def crm(self, deed: str, pick: int) -> None:
        business.crm(self.town, deed, pick)

    @rule(which=st.integers(0, len(OPTIONS) - 1))
    def policy(self, which: int) -> None:
        self.town.policy(which)

    # --- faults -----------------------------------------------------------------------------------------------------

    @rule(
        kind=st.sampled_from(
            ["throttled", "down", "reset", "lost", "cut", "empty", "revoked", "part", "expired"],
        ),
        wait=WAIT,
        folders=st.booleans(),
    )
    def mail_fault(self, kind: Any, wait: float | None, folders: bool) -> None:
        office = self.town.office
        service = office.folders if folders else office.mails
        self.seen["faults"] += 1
        if kind == "part":
            service.throttle_part()
        elif kind == "expired":
            service.expire_cursors()
        else:
            if kind == "empty":
                self.town.blind = True
                self.town.expect_nothing()
            service.fault(kind, retry_after=wait)

    @rule(
        kind=st.sampled_from(["throttled", "limit", "down", "reset", "lost", "lost", "lost", "expired", "revoked"]),
        wait=WAIT,
        skip=st.integers(0, 3),
    )
    def crm_fault(self, kind: Any, wait: float | None, skip: int) -> None:
        self.seen["faults"] += 1
        self.town.office.crm.fault(kind, retry_after=wait, skip=skip)

    # --- machines ---------------------------------------------------------------------------------------------------

    @rule(who=WHO)
    def wake(self, who: int) -> None:
        self.town.wake(who)

    @rule(who=WHO, point=POINT)
    def kill(self, who: int, point: int) -> None:
        """The worker dies in the middle of it."""

        def die(moment: str) -> None:
            self.seen["crashes"] += 1
            self.seen[f"killed {moment}"] += 1
            raise Killed(moment)

        self.town.interrupted(who, point, die)

    @rule(who=WHO, point=POINT)
    def sleep(self, who: int, point: int) -> None:
        """The worker's process stands still, another takes over, then the first goes on."""

        def stand_still(moment: str) -> None:
            self.seen["sleeps"] += 1
            self.seen[f"slept {moment}"] += 1
            self.town.office.now += 1000
            self.town.wake(who)

        self.town.interrupted(who, point, stand_still)

    @rule(who=WHO, other=WHO, point=POINT)
    def side_by_side(self, who: int, other: int, point: int) -> None:
        """Another worker wakes a mailbox (the same one, too) in the middle of it."""
        self.town.interrupted(who, point, lambda moment: self.town.wake(other))

    @rule(who=WHO, point=POINT, kind=st.sampled_from(["shared", "colleague"]))
    def one_mail_for_all(self, who: int, point: int, kind: str) -> None:
        """Everybody drops the same mail, and two workers of different mail systems are at it together."""
        for copy in self.town.arrive(who, kind, 3):
            people.drop(self.town, copy)
        self.town.interrupted(who, point, lambda moment: self.town.wake((who + 1) % len(STAFF)))

    @rule(who=WHO, point=POINT, deed=DEED, pick=PICK)
    def user_meanwhile(self, who: int, point: int, deed: str, pick: int) -> None:
        self.town.interrupted(who, point, lambda moment: assign.user(self.town, deed, pick))

    @rule(who=WHO, point=POINT, key=st.sampled_from(people.OURS), deed=st.sampled_from(people.LABEL_DEEDS))
    def relabel_meanwhile(self, who: int, point: int, key: str, deed: str) -> None:
        self.town.interrupted(who, point, lambda moment: people.relabel(self.town, who, key, deed))

    @rule(who=WHO, point=POINT, deed=CRM_DEED, pick=PICK)
    def crm_meanwhile(self, who: int, point: int, deed: str, pick: int) -> None:
        self.town.interrupted(who, point, lambda moment: business.crm(self.town, deed, pick))

    @rule()
    def restart(self) -> None:
        """All processes end and begin anew; nothing is left but the database."""
        self.store.close()
        self.town.office.adapters = {}
        self.town.office.store = Store.open(self.url, [KEY])

    @rule(seconds=st.sampled_from([0.5, 5.0, 30.0, 700.0]))
    def wait(self, seconds: float) -> None:
        self.town.office.now += seconds
        self.town.tick()

    @rule(seconds=st.sampled_from([-30.0, 30.0, 4000.0]))
    def clock_is_set(self, seconds: float) -> None:
        self.town.set_clock(seconds)

    @rule()
    def retry(self) -> None:
        self.store.retry("all", self.town.office.time)
        self.town.vague |= {copy.message_id for copy in self.town.copies}

    @rule(who=WHO)
    def connect_again(self, who: int) -> None:
        self.store.activate(self.town.desks[who].id)

    @precondition(lambda self: self.restless >= 20)
    @rule()
    def rest(self) -> None:
        """Rest is only worth a look, and its cost, when something happened before."""
        self.restless = 0
        self.calm()

    # --- what must hold ---------------------------------------------------------------------------------------------

    @invariant()
    def what_holds_always(self) -> None:
        Users.steps += 1
        self.restless += 1
        for check in verdict.ALWAYS:
            check(self.town)

    def calm(self) -> None:
        self.town.calm()
        for check in verdict.AT_REST:
            check(self.town)
        told = repr(self.entries) + "".join(self.said)
        assert not [text for text in self.town.texts if text in told], "content in the log"


@cache
def _fast() -> str | None:
    """Where files are in memory, if there is such a place: what a crash of the machine leaves is not asked here."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


SHORT = settings(
    max_examples=4,
    stateful_step_count=30,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def test_no_order_of_events_loses_or_doubles_a_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    with valkey() as redis:
        monkeypatch.setattr(Users, "redis", redis)
        run_state_machine_as_test(Users, settings=SHORT)
