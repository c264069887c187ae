"""What a mail, a look and a mailbox need of the machine: processor, database, memory. For `benchmarks.sizing`."""

from __future__ import annotations

import sqlite3
import time
from unittest import mock

import psutil

from benchmarks.inprocess import BURST, GMAIL, OUTLOOK, Bench
from benchmarks.mails import of_strangers
from benchmarks.metrics import Value, Values
from sync import jobs, wiring
from sync.model import RecordRef

TIMES = 20
PORTS = 60  # mailboxes that are kept at once, to see what one more takes
KIB = 1024
NOBODY = RecordRef("contact", "003000000000001AAA")


def footprint(bench: Bench) -> Values:
    """Of this process alone: the simulators and Valkey are others."""
    bench.warm_up(GMAIL)
    bench.warm_up(OUTLOOK)
    kept = max(_kept_bytes(bench, user) for user in (GMAIL, OUTLOOK))  # first: later the process has memory to spare
    mails = [bench.office.desk(GMAIL).deliver(one.raw) for one in of_strangers("cpu", GMAIL, TIMES)]
    spent = 0.0
    for mail in mails:
        bench.office.desk(GMAIL).drop(mail)
        spent += _cpu(bench)
    looking = sum(_cpu(bench) for _ in range(TIMES))
    before = _database_bytes(bench)
    bench.ours(list(of_strangers("rows", GMAIL, BURST)), at_once=True)
    rows = _database_bytes(bench) - before
    return {
        "cpu_ms_per_mail": Value(spent * 1000 / TIMES),
        "cpu_ms_per_look": Value(looking * 1000 / TIMES),
        "database_kib_per_mail": Value(rows / KIB / BURST),
        "redis_kib_per_mailbox": Value(_redis_bytes(bench) / KIB),
        "worker_kib_per_mailbox": Value(kept / KIB),
    }


def _cpu(bench: Bench) -> float:
    begun = time.process_time()
    bench.wake(GMAIL)
    return time.process_time() - begun


def _database_bytes(bench: Bench) -> int:
    path = bench.office.folder / "mailspan.sqlite3"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path.stat().st_size


def _redis_bytes(bench: Bench) -> int:
    """A budget, a hint and its job."""
    redis = bench.office.app.redis
    bench.wake(GMAIL)
    jobs.knock(bench.office.app, bench.office.mailbox_id(GMAIL))
    return sum(redis.memory_usage(key) or 0 for key in redis.scan_iter())


def _kept_bytes(bench: Bench, user: str) -> float:
    """Connections, tokens and memory that a worker keeps of a mailbox between two looks."""
    app, mailbox = wiring.App(bench.office.app.settings), bench.office.mailbox_id(user)
    process, kept = psutil.Process(), []
    with mock.patch.object(wiring, "KEPT_MAILBOXES", 0):  # so that each asking composes a mailbox of its own
        app.ports(mailbox).mail.changes(None)  # a process's first is dearer
        begun = process.memory_info().rss
        for _ in range(PORTS):
            app.redis.flushdb()  # budgets
            ports = app.ports(mailbox)
            ports.mail.changes(None)
            ports.crm.names([NOBODY])  # each has a connection to the CRM of its own
            kept.append(ports)
    app.close()
    assert len({id(ports.mail) for ports in kept}) == PORTS
    return max(0.0, process.memory_info().rss - begun) / PORTS
