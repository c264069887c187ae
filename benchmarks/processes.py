"""Throughput, memory and recovery of the installation as processes: `mailspan up` with four workers."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.inprocess import BURST, check_filed, deliver_and_drop
from benchmarks.mails import of_strangers
from benchmarks.metrics import Value, Values
from benchmarks.peer import NaiveCrm, NaiveGmail
from tests.e2e.installation import GRAPH, Installation, until
from tests.sandboxed import Sandbox

WORKERS = 4
USERS = tuple(f"{name}@northpeak.example" for name in ("anna", "ben", "maria", "erik", "priya", "tom"))
KILLED = USERS[:2]
BUSY, WAITING, STEADY = USERS[2], 300, 200  # whose mailbox, how many mails wait there, how many of them are timed
SLOW = 4.0  # seconds for which the filing is held under way, so that its worker can be killed in the middle
MIB = 2**20
PATIENCE = 300.0  # seconds for what ends well on a quiet machine in a fraction of it


@contextmanager
def up(sandbox: Sandbox) -> Iterator[Installation]:
    """At rest, with labels in every mailbox. Nothing is polled: a knock starts the work, as a push does."""
    sandbox.reset()
    with tempfile.TemporaryDirectory(prefix="mailspan-bench-") as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'mailspan.sqlite3'}"
        office = Installation(sandbox, folder, url, USERS, options={"drop_poll_seconds": 3600})
        try:
            office.apply()
            office.start("up", "up", "-n", str(WORKERS))
            for user in USERS:
                until(office.desk(user).has_tree, PATIENCE, f"a drop label for {user}")
            until(lambda: at_rest(office), PATIENCE, "all mailboxes at rest")
            yield office
        finally:
            office.close()


def at_rest(office: Installation) -> bool:
    """Every knock was answered and nothing is open."""
    store = office.app.store
    answered = all(box.dirty == box.handled and not box.lease_owner for box in store.mailboxes())
    return answered and not any(row.open or row.decided for row in store.status(time.time()))


def throughput(office: Installation) -> Values:
    """A burst in every mailbox at once. Redis, the sandbox and the workers share this machine, quotas are on."""
    dropped: Mapping[str, list[str]] = {
        user: [
            deliver_and_drop(office.desk(user), one)
            for one in of_strangers(f"many-{user.partition('@')[0]}", user, BURST)
        ]
        for user in USERS
    }
    begun = time.perf_counter()
    for user in USERS:
        office.knock(user)
    until(lambda: at_rest(office), PATIENCE, "all filed")
    took = time.perf_counter() - begun
    for user, mails in dropped.items():
        check_filed(office.desk(user), mails)
    rss = max(one.memory_info().rss for one in office.family("up", "worker"))
    return {
        "mails_per_second_4_workers": Value(sum(map(len, dropped.values())) / took, naive_speed(office)),
        "worker_rss_mib": Value(rss / MIB),
    }


def naive_speed(office: Installation) -> float:
    """Mails a second of one peer, in a mailbox at rest that it takes from us."""
    desk, user = office.desk(USERS[0]), USERS[0]
    peer, crm = NaiveGmail(office.sandbox, user), NaiveCrm(office.sandbox, office.crm_user)
    mails = [deliver_and_drop(desk, one) for one in of_strangers("many-peer", user, 10)]
    begun = time.perf_counter()
    assert peer.run(crm) == len(mails)
    return len(mails) / (time.perf_counter() - begun)


def quota_bound(office: Installation) -> Values:
    """Many mails wait in one Gmail mailbox: how fast Gmail lets us file when what was saved up is spent, and how often
    any service refused us for rate. In real time; a minute of it."""
    sandbox = office.sandbox
    sandbox.settings(gmail_quota_status=429)
    mails = [deliver_and_drop(office.desk(BUSY), one) for one in of_strangers("queue", BUSY, WAITING)]
    sandbox.meter(reset=True)
    office.knock(BUSY)
    until(lambda: 0 < left(office, BUSY) <= STEADY, PATIENCE, "what was saved up is spent")
    begun, many = time.perf_counter(), left(office, BUSY)
    until(lambda: at_rest(office), PATIENCE, "all filed")
    took = time.perf_counter() - begun
    refused = sum(row["statuses"].get("429", 0) for row in sandbox.meter().values())
    check_filed(office.desk(BUSY), mails)
    return {
        "mails_per_minute_quota_bound": Value(many * 60 / took),
        "throttled_429s": Value(refused),
    }


def left(office: Installation, user: str) -> int:
    """How many mails of the mailbox are seen and not settled."""
    rows = {row.mailbox_id: row for row in office.app.store.status(time.time())}
    row = rows[office.mailbox_id(user)]
    return row.open + row.decided


def recovery(office: Installation) -> Values:
    """The worst of two: SIGKILL while the filing is under way, until the mail is settled."""
    sandbox = office.sandbox
    waits: list[tuple[float, Callable[[], bool], str]] = []
    for user in KILLED:
        (letter,) = of_strangers(f"killed-{user.partition('@')[0]}", user, 1)
        fault = sandbox.fault("slow", path=GRAPH, body_matches=letter.subject, seconds=SLOW)
        desk = office.desk(user)
        mail = deliver_and_drop(desk, letter)
        office.knock(user)
        until(lambda f=fault: _struck(sandbox, f), 40, "a filing under way")  # type: ignore[misc]
        psutil.Process(office.leases()[user]).send_signal(signal.SIGKILL)
        waits.append((time.perf_counter(), lambda d=desk, m=mail: d.ended(m), user))  # type: ignore[misc]
    took = []
    for killed_at, ended, user in waits:
        until(ended, 60, f"{user} settled")
        took.append(time.perf_counter() - killed_at)
    return {"recovery_seconds": Value(max(took))}


def _struck(sandbox: Sandbox, fault: int) -> bool:
    return any(one["id"] == fault and one["hits"] for one in sandbox.faults())
