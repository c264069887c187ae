"""Many items in many mailboxes: the first sync in slices under quotas, the mails dropped meanwhile, and what it costs
afterwards. `SCALE=50x500` (mailboxes x items) is the full one.

It runs in a time of its own (`benchmarks.world`): quotas of a minute are kept to the second, every remote call takes
80 ms, computing takes nothing. Engine, adapters, budgets (on the embedded Valkey), database and sandbox are the real
ones; the queue is `world.Workers`, where a knock is known at once.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

from rich.console import Console

from benchmarks import world as worlds
from benchmarks.inprocess import DAY
from benchmarks.mails import of_strangers
from benchmarks.metrics import Value, Values
from benchmarks.world import Workers, World
from sandbox.seed.scale import organisation
from sync import embedded, wiring
from sync.engine import feed
from sync.engine import wake as engine
from sync.engine.work import Ports
from sync.model import Mark, Outcome, RecordRef
from sync.ports import MailProvider
from sync.providers.salesforce import auth, crm
from sync.providers.salesforce.feed import Feed
from tests.e2e.installation import Installation
from tests.sandboxed import Json, Sandbox

USUAL = "3x60"
WORKERS = 4
DROP_SECONDS = 1.0  # between drops, in all mailboxes in turn
QUIET_SECONDS = 60.0  # of drops before and after the first sync
FEED_SECONDS = 60.0
FEEDS = 60  # that are run for the figure of a day
PAUSE_SECONDS = 400.0  # between the items' last changes and us: a feed begins with the five minutes before the newest
LEASE = 3600.0  # seconds: who waits for others here may do so for long by the machine's clock
NOBODY = RecordRef("contact", "003000000000001AAA")
PLAIN: Json = {"internal_domains": ["northpeak.example"]}
ITEMS: Json = {**PLAIN, "modules": ["opportunity"], "assign_to": True, "assign_to_cap": 5000}


class Timed:
    """A mailbox that notes when it has answered the last change of each mail."""

    def __init__(self, mail: MailProvider, world: World, settled: dict[str, float]) -> None:
        self._mail, self._world, self._settled = mail, world, settled

    def settle(self, marks: Sequence[Mark]) -> Sequence[Outcome]:
        outcomes = self._mail.settle(marks)
        self._settled.update((one.key, self._world.now) for one in outcomes if one.ok)
        return outcomes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mail, name)


@dataclass
class Scale:
    """An installation in a time of its own."""

    office: Installation
    world: World
    settled: dict[str, float] = field(default_factory=dict)
    dropped: dict[str, float] = field(default_factory=dict)
    workers: Workers = field(init=False)
    _letters: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.workers = Workers(self.world, self.look)
        self.ids = {box.address: box.id for box in self.office.app.store.mailboxes()}

    # ---- what runs -----------------------------------------------------------------------------------------

    def look(self, mailbox: int) -> float | None:
        app = self.office.app

        def ports(of: int) -> Ports:
            found = app.ports(of)
            return replace(found, mail=Timed(found.mail, self.world, self.settled))

        report = engine.wake(
            app.store,
            mailbox,
            ports,
            worker=threading.current_thread().name,
            clock=self.world.time,
            lease_seconds=LEASE,
            guard_seconds=LEASE,
        )
        assert report.ended in ("done", "busy", "elsewhere"), report
        return None if report.ended == "elsewhere" else report.next_look

    def feed(self) -> set[int]:
        """Ask the CRM what changed."""
        app = self.office.app
        [connection] = [one.id for one in app.store.connections() if one.vendor == "salesforce"]
        port, wants = app.feed(connection)
        woken = feed.run(app.store, connection, port, wants) if wants else set()
        for mailbox in woken:
            app.store.wake(mailbox)
        return woken

    def feeding(self) -> None:
        """The job that asks: an actor."""
        while not self.world.ended:
            self.workers.knock(*self.feed())
            after = self.world.now + FEED_SECONDS
            while self.world.now < after and not self.world.ended:
                self.world.wait(1.0)

    # ---- what people do ------------------------------------------------------------------------------------

    def drop(self, user: str) -> str:
        """A mail arrives and is dropped; the mailbox is knocked at."""
        (letter,) = of_strangers(f"scale{next(self._letters)}", user, 1)
        desk = self.office.desk(user)
        mail = desk.deliver(letter.raw)
        desk.drop(mail)
        self.dropped[mail] = self.world.now
        self.office.app.store.wake(self.ids[user])
        self.workers.knock(self.ids[user])
        return mail

    def drops(self, seconds: float) -> list[str]:
        """In all mailboxes in turn."""
        users = list(self.ids)
        end, mails = self.world.now + seconds, []
        while self.world.now < end and not self.world.ended:
            mails.append(self.drop(users[len(self.dropped) % len(users)]))
            self.world.wait(DROP_SECONDS)
        return mails

    def rest(self) -> None:
        """Until nothing is open."""
        while self.open() and not self.world.ended:
            self.world.wait(1.0)

    def open(self) -> int:
        """Mails that are not settled yet."""
        return sum(row.open + row.decided for row in self.office.app.store.status(self.world.now))

    def waits(self, mails: Sequence[str]) -> list[float]:
        """Milliseconds from the drop of each until it was settled."""
        return sorted((self.settled[mail] - self.dropped[mail]) * 1000 for mail in mails)

    # ---- what there is -------------------------------------------------------------------------------------

    def rows(self, what: str) -> int:
        with sqlite3.connect(self.path) as database:
            found: int = database.execute(f"SELECT count(*) FROM item WHERE {what}").fetchone()[0]
        database.close()
        return found

    def item_bytes(self) -> int:
        """How much larger the database is than it would be without items."""
        sizes = []
        for name in ("with", "without"):
            path = self.office.folder / f"{name}.sqlite3"
            with sqlite3.connect(self.path) as database:
                database.execute("VACUUM INTO ?", (str(path),))
            database.close()
            if name == "without":
                with sqlite3.connect(path, isolation_level=None) as database:
                    database.execute("DELETE FROM item")
                    database.execute("VACUUM")
                database.close()
            sizes.append(path.stat().st_size)
        return sizes[0] - sizes[1]

    @property
    def path(self) -> Path:
        return self.office.folder / "mailspan.sqlite3"


@contextmanager
def opened(sandbox: Sandbox, mailboxes: int, items: int) -> Iterator[Scale]:
    """Everybody is connected and signed in, no items yet; the sandbox's quotas are on."""
    sandbox.reset(seed=False)
    sandbox.seed(organisation(mailboxes, opportunities=items))
    sandbox.settings(gmail_quota_status=429)
    users = [f"u{number:03d}@northpeak.example" for number in range(1, mailboxes + 1)]
    world = World(sandbox)
    with tempfile.TemporaryDirectory(prefix="mailspan-scale-") as name, embedded.serve(Path(name)) as redis_url:
        folder = Path(name)
        url = f"sqlite:///{folder / 'mailspan.sqlite3'}"
        office = Installation(sandbox, folder, url, users, {"MAILSPAN_REDIS_URL": redis_url}, options=PLAIN)
        timed = mock.patch.object(wiring, "Budget", worlds.budgets(world))
        clock = mock.patch.object(crm, "Feed", partial(Feed, clock=world.time))
        signing = mock.patch.object(auth, "JwtBearer", partial(auth.JwtBearer, clock=world.time))
        with timed, clock, signing:
            try:
                office.apply()
                scale = Scale(office, world)
                for mailbox in scale.ids.values():
                    scale.look(mailbox)
                    port = office.app.ports(mailbox).crm
                    port.names([NOBODY])
                    port.modules(["opportunity"])  # a lock is held while it is asked: nobody may wait for that later
                sandbox.advance(PAUSE_SECONDS)
                newest = sandbox.act("salesforce", "records", object="Opportunity")["records"][0]["Id"]
                sandbox.act("salesforce", "edit", object="Opportunity", id=newest, fields={"Amount": 130000})
                yield scale
            finally:
                office.close()


def scale(sandbox: Sandbox, log: Console) -> Values:
    """See the module."""
    mailboxes, items = map(int, os.environ.get("SCALE", USUAL).split("x"))
    with opened(sandbox, mailboxes, items) as run:
        return _measured(run, mailboxes, items, log)


def _measured(run: Scale, mailboxes: int, items: int, log: Console) -> Values:
    world, office, sandbox = run.world, run.office, run.office.sandbox
    world.start()
    for _ in range(WORKERS):
        world.begin(run.workers.run)
    quiet = run.drops(QUIET_SECONDS)
    run.rest()
    refused = _refused(sandbox.meter(reset=True))

    office.options = ITEMS
    office.apply()
    world.begin(run.feeding)
    begun, syncing, looks = world.now, [], run.workers.looks
    run.workers.knock(*run.ids.values())
    while run.rows("version IS NOT NULL AND NOT due") < mailboxes * items and not world.ended:
        syncing += run.drops(5.0)
    took = world.now - begun
    run.rest()
    synced = sandbox.meter(reset=True)
    looks = run.workers.looks - looks
    what = f"{mailboxes} mailboxes of {items} items: {took:.0f} s, {looks} looks, {len(syncing)} mails meanwhile"
    log.print(what, style="dim")

    quiet += run.drops(QUIET_SECONDS)
    run.rest()
    run.workers.stop()
    world.end()
    refused += _refused(synced) + _refused(sandbox.meter(reset=True))
    assert run.rows("leaf_id IS NOT NULL AND note_id IS NOT NULL") == mailboxes * items

    calm, busy = run.waits(quiet), run.waits(syncing)
    gmail, salesforce = _idle(run)
    total = mailboxes * items
    return {
        "scale_429s": Value(refused),
        "scale_first_sync_seconds": Value(took),
        "scale_filing_ms_quiet": Value(statistics.median(calm)),
        "scale_filing_ms_syncing": Value(statistics.median(busy)),
        "scale_filing_p95_ms_quiet": Value(_p95(calm)),
        "scale_filing_p95_ms_syncing": Value(_p95(busy)),
        "scale_gmail_units_per_item": Value((synced["google"]["units"] - 27 * len(syncing)) / total),
        "scale_salesforce_calls_per_item": Value((synced["salesforce"]["requests"] - 2 * len(syncing)) / total),
        "scale_database_kib_per_item": Value(run.item_bytes() / 1024 / total),
        "scale_idle_gmail_calls_per_mailbox_day": Value(gmail),
        "scale_idle_salesforce_calls_per_mailbox_day": Value(salesforce),
    }


def _refused(meter: Json) -> int:
    return sum(row["statuses"].get("429", 0) for row in meter.values())


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def _idle(run: Scale) -> tuple[float, float]:
    """Calls to Gmail and to Salesforce, for one mailbox, in a day in which nothing happens: its looks, each at its
    time, and its share of the feed, of which an hour is run."""
    world, app, sandbox = run.world, run.office.app, run.office.sandbox
    mailbox = next(iter(run.ids.values()))
    end = world.now + DAY
    while world.now < end:
        app.redis.flushdb()
        again = run.look(mailbox)
        assert again is not None, "nobody else looks"
        assert again > world.now
        world.jump(again)
    looks = sandbox.meter(reset=True)
    for _ in range(FEEDS):
        world.jump(world.now + FEED_SECONDS)
        app.redis.flushdb()
        assert not run.feed()
    feeds = sandbox.meter(reset=True)["salesforce"]["requests"] * DAY / FEED_SECONDS / FEEDS
    salesforce = looks.get("salesforce", {"requests": 0})["requests"]
    return looks["google"]["calls"], salesforce + feeds / len(run.ids)
