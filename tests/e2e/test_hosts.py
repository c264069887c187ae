"""Several hosts on one PostgreSQL and one Valkey, some of them cut off while they file: nothing lost, nothing doubled.

Five hosts with a worker each, three with a ticker, in network namespaces (hosts.py); their clocks differ by seconds.
All five are in the middle of filing a batch when four of them lose a part of the world at the same moment.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from sync import embedded
from sync.store.store import Store
from tests.databases import KEY
from tests.e2e.hosts import Cut, Host, hosts, missing
from tests.e2e.installation import DONE, GRAPH, Desk, Installation, letter, records, until
from tests.sandboxed import ROOT, Sandbox

NO_HOSTS = missing()
if NO_HOSTS and os.environ.get("CI"):
    raise RuntimeError(NO_HOSTS)
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(540),
    pytest.mark.skipif(bool(NO_HOSTS), reason=NO_HOSTS or "there are hosts"),
]

RECOVERY = 30.0
TIMEOUT = 15  # seconds that a call may take
LONG_RECOVERY = 50.0  # a call has to time out, a pause to end, and the guard of the call: then another host files
SLOW = 10.0  # seconds for which each filing is held before its effect: all hosts are cut off in the middle
EACH = 4
TRIES = 4
USERS = tuple(f"{name}@northpeak.example" for name in ("anna", "ben", "maria", "erik", "priya"))
WRITER = "laura.keller@example.com"
ALL = ("database", "redis", "gmail", "outlook", "crm")
CUTS: Mapping[str, tuple[str, ...]] = {
    "alone": ALL,
    "dataless": ("database",),
    "hintless": ("redis",),
    "crmless": ("crm",),
    "whole": (),
}
TICKERS = ("alone", "dataless", "whole")
SKEW = {"alone": 2.0, "hintless": -2.0}  # seconds by which a host's clock is wrong
CLOCK = """
import os, time
_real, _skew = time.time, float(os.environ.get("TEST_CLOCK_SKEW", "0"))
time.time = lambda: _real() + _skew
"""


@contextmanager
def database(postgres: str) -> Iterator[tuple[str, str, str]]:
    """An empty schema: its URL outside, its URL on a host, and the socket that leads there."""
    url = sa.make_url(postgres).set(drivername="postgresql+psycopg")
    schema = f"hosts_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(url, poolclass=sa.NullPool)
    with admin.begin() as conn:
        conn.execute(sa.text(f"CREATE SCHEMA {schema}"))
    options = f"?options=-csearch_path%3D{schema}"
    folder = str(url.query["host"])
    yield (
        url.set(drivername="postgresql")
        .update_query_dict({"options": f"-csearch_path={schema}"})
        .render_as_string(False),
        f"postgresql://{url.username}@127.0.0.1:5432/{url.database}{options}",
        f"{folder}/.s.PGSQL.5432",
    )
    with admin.begin() as conn:
        conn.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))


@dataclass
class Estate:
    """An installation on hosts; worker and ticker of a host are the processes `worker-HOST` and `ticker-HOST`."""

    office: Installation
    hosts: dict[str, Host]
    inside: Mapping[str, str] = field(default_factory=dict)

    def run(self, host: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command on a host, to its end."""
        return subprocess.run(
            [*self.hosts[host].enter, sys.executable, "-m", "sync.cli", *arguments],
            env={**self.office.environ, **self.inside},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def worker(self, host: str) -> int:
        return self.office.processes[f"worker-{host}"].pid


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Iterator[Estate]:
    folder = tmp_path_factory.mktemp("estate")
    (folder / "sitecustomize.py").write_text(CLOCK)
    with ExitStack() as stack:
        outside, inside, database_socket = stack.enter_context(database(postgres))
        world = stack.enter_context(Sandbox.start())
        redis_url = stack.enter_context(embedded.serve(folder))
        services: dict[str, tuple[int, int | str]] = {
            "database": (5432, database_socket),
            "redis": (6379, str(embedded.socket_path(folder))),
        }
        for name, vendor in (("gmail", "google"), ("outlook", "microsoft"), ("crm", "salesforce")):
            port = urlsplit(world.url(vendor)).port
            assert port
            services[name] = (port, port)
        made = stack.enter_context(hosts(list(CUTS), folder, services))
        environ = {"MAILSPAN_REDIS_URL": redis_url, "MAILSPAN_HTTP_TIMEOUT_SECONDS": str(TIMEOUT)}
        office = Installation(world, folder, outside, USERS, environ)
        stack.callback(office.close)
        office.apply()
        estate = Estate(
            office,
            {host.name: host for host in made},
            {"MAILSPAN_DATABASE_URL": inside, "MAILSPAN_REDIS_URL": "redis://127.0.0.1:6379/0"},
        )
        for name, host in estate.hosts.items():
            clock = {"PYTHONPATH": str(folder), "TEST_CLOCK_SKEW": str(SKEW.get(name, 0.0))}
            for kind in ("worker", "ticker") if name in TICKERS else ("worker",):
                words = ("worker", "-n", "1") if kind == "worker" else ("ticker",)
                office.start(f"{kind}-{name}", *words, within=host.enter, environ={**estate.inside, **clock})
        for address in USERS:
            until(office.desk(address).has_tree, 240, f"a drop label for {address}")
        for name in CUTS:
            log = folder / f"worker-{name}.log"
            until(lambda log=log: "worker.started" in log.read_text(), 60, f"a worker on {name}")  # type: ignore[misc]
        until(lambda: not office.leases(), 30, "all at rest")
        yield estate


@dataclass
class Batch:
    """Mails that are dropped together in one mailbox and whose filing is held."""

    estate: Estate
    address: str
    title: str
    mails: dict[str, str] = field(default_factory=dict)  # Message-ID -> id

    @property
    def desk(self) -> Desk:
        return self.estate.office.desk(self.address)

    def deliver(self) -> None:
        for number in range(EACH):
            message_id = f"<{uuid.uuid4().hex}@partner.example>"
            raw = letter(WRITER, self.address, f"{self.title} {number}", message_id)
            self.mails[message_id] = self.desk.deliver(raw)

    def drop(self) -> None:
        self.estate.office.sandbox.fault("slow", path=GRAPH, body_matches=self.title, seconds=SLOW)
        for mail in self.mails.values():
            self.desk.drop(mail)
        self.estate.office.knock(self.address)

    def ended(self) -> bool:
        return self.desk.ended(*self.mails.values())

    def check(self) -> None:
        """Each mail is filed once, and home with its marker."""
        office = self.estate.office
        for message_id, mail in self.mails.items():
            assert len(records(office.sandbox, office.crm_user, message_id)) == 1, f"{self.title}: {message_id}"
            (marks,) = self.desk.marks(mail)
            assert DONE in marks
            assert self.desk.at_home(marks)


def all_at_work(estate: Estate, title: str) -> dict[str, Batch]:
    """A batch in every mailbox, each in the hands of another host: host -> its batch. On a busy machine the first may
    be through before the last begins; then all of them end, and others are dropped."""
    office, found = estate.office, dict[str, Batch]()
    for attempt in range(TRIES):
        office.sandbox.clear_faults()
        batches = {address: Batch(estate, address, f"{title} {attempt} {address[:3]}") for address in USERS}
        for batch in batches.values():
            batch.deliver()
        for batch in batches.values():
            batch.drop()
        until(lambda: all(fault["hits"] for fault in office.sandbox.faults()), 90, "five filings under way")
        holders = {pid: address for address, pid in office.leases().items()}
        found = {name: batches[holders[pid]] for name in CUTS if (pid := estate.worker(name)) in holders}
        if len(found) == len(CUTS):
            break
        for batch in batches.values():
            until(batch.ended, 60, f"{batch.title} settled")
            batch.check()
    assert set(found) == set(CUTS), "every host is at work"
    return found


def cut(estate: Estate, how: Cut) -> float:
    for name, services in CUTS.items():
        estate.hosts[name].cut(services, how)
    return time.monotonic()


def lags(estate: Estate) -> dict[str, float]:
    return {row["address"]: row["lag"] for row in estate.office.told("status", "--offline")["mailboxes"]}


def alive(estate: Estate) -> list[str]:
    return [name for name, process in estate.office.processes.items() if process.poll() is None]


def test_hosts_that_are_cut_off_lose_and_double_nothing_and_join_again(estate: Estate) -> None:
    at_work = all_at_work(estate, "Vanished")
    begun = cut(estate, "vanish")
    until(lambda: lags(estate)[at_work["alone"].address] > 0, 10, "a status that knows of the drop")
    refused = estate.run("dataless", "status", "--offline")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert re.match("the database:? .*does not answer", refused.stderr), refused.stderr
    took: dict[str, float] = {}

    def everything_ended() -> bool:
        for name, batch in at_work.items():
            if name not in took and batch.ended():
                took[name] = time.monotonic() - begun
        return len(took) == len(at_work)

    limit = begun + LONG_RECOVERY
    while not everything_ended() and time.monotonic() < limit:
        time.sleep(0.1)
    assert set(took) == set(CUTS), f"settled are only {took}"
    assert max(took["hintless"], took["whole"]) < RECOVERY, took
    assert min(took["alone"], took["dataless"]) < RECOVERY, took  # the other may have gone to the host without a CRM
    for batch in at_work.values():
        batch.check()
    until(lambda: not any(lags(estate).values()), 15, "status without lag")
    assert len(alive(estate)) == len(CUTS) + len(TICKERS), "no process died of it"

    for host in estate.hosts.values():
        host.heal()
    again = all_at_work(estate, "Reset")  # every host has a batch in hand: all have joined again
    begun = cut(estate, "reset")
    time.sleep(1.0)
    for host in estate.hosts.values():
        host.heal()
    for batch in again.values():
        until(batch.ended, LONG_RECOVERY - (time.monotonic() - begun), f"{batch.title} settled")
    for batch in [*at_work.values(), *again.values()]:
        batch.check()
    assert len(alive(estate)) == len(CUTS) + len(TICKERS)


HOLDER = """
import sys, time
from sync.store.store import Store
store = Store.open(sys.argv[1], [sys.argv[2]], 2.0)
lease = store.lease(int(sys.argv[3]), "vanished", 12.0, time.time())
with store.under(lease, time.time(), 12.0):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_transaction_of_a_host_that_vanished_does_not_hold_up_the_others(tmp_path: Path, postgres: str) -> None:
    """The host dies, for the server, with the mailbox's row locked; and it finds out itself instead of hanging."""
    with ExitStack() as stack:
        outside, inside, database_socket = stack.enter_context(database(postgres))
        store = Store.open(outside, [KEY], 2.0)
        stack.callback(store.close)
        store.migrate()
        store.put_connection("crm", "salesforce", {}, {})
        store.put_connection("mail", "google", {}, {})
        store.put_policy("held", {}, "crm", "mail")
        mailbox = store.put_mailbox("held@northpeak.example", "held").id
        (host,) = stack.enter_context(hosts(["vanishing"], tmp_path, {"database": (5432, database_socket)}))
        holder = subprocess.Popen(
            [*host.enter, sys.executable, "-c", HOLDER, inside, KEY, str(mailbox)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        stack.callback(holder.kill)
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        host.cut(["database"], "vanish")
        begun = time.monotonic()
        assert store.lease(mailbox, "another", 12.0, time.time() + 13.0), "the lease has run out, the lock is gone"
        assert time.monotonic() - begun < 6.0
        _, said = holder.communicate("commit\n", timeout=20)
        assert holder.returncode == 1
        assert "OperationalError" in said
