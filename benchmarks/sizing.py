"""`python -m benchmarks.sizing [results.json]`: what installations of some sizes need, as the table of docs/limits.md.

From the figures of a full run of the benchmark, or without one from `MEASURED`, by the product's own rule of when to
look. The assumptions stand in `Day`.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sync.core import pace
from sync.policy import Policy

SIZES = (10, 1_000, 10_000)
SECONDS = 86_400
MIB_PER_GIB = 1024

# Runs of November 2026 on two virtual processors that others used too, rounded up. Counts do not depend on the machine.
MEASURED: Mapping[str, float] = {
    "salesforce_calls_per_mail_cold": 2,
    "gmail_calls_per_mail": 3,
    "gmail_units_per_mail": 27,
    "graph_requests_per_mail": 8,
    "idle_calls_per_mailbox_day": 1_224,
    "graph_idle_requests_per_mailbox_day": 4_833,
    "latency_cold_ms_80": 500,
    "worker_rss_mib": 125,
    "worker_kib_per_mailbox": 20,
    "redis_kib_per_mailbox": 1,
    "database_kib_per_mail": 5.1,
    "cpu_ms_per_mail": 85,
    "cpu_ms_per_look": 28,
}

LOOK_UNITS, LOOK_REQUESTS = 2, 5  # Gmail units (one call), Graph requests (in one HTTP call)
SALESFORCE_PER_ORG, SALESFORCE_PER_LICENCE = 100_000, 1_000  # calls a day, Enterprise Edition
GMAIL_USER_MINUTE, GMAIL_DAY = 6_000, 80_000_000  # units
GRAPH_TEN_MINUTES = 10_000  # requests per mailbox
KEPT = 500  # mailboxes that a worker keeps at once
CALL_MS = 80  # of one remote call
OTHERS_MIB = 250  # ticker, supervisor, Redis without keys


@dataclass(frozen=True, slots=True)
class Day:
    """What is assumed of a mailbox and its day. Shares are of one."""

    mails: int = 40
    hours: int = 8  # in which they come, evenly
    busiest_hour: float = 0.25  # of the day's mails
    workdays: int = 250  # a year
    busy: float = 0.5  # of a worker's and of a processor's time in the busiest hour: the rest is for bursts


USUAL = Day()


@dataclass(frozen=True, slots=True)
class Need:
    """Of an installation. Calls and units are a day's; shares are of the vendor's limit."""

    mailboxes: int
    mails: int
    workers: int
    processors: int
    memory_mib: float
    redis_mib: float
    database_mib_year: float
    salesforce_calls: float
    salesforce_share: float
    gmail_calls: float
    gmail_day_share: float
    gmail_minute_share: float
    graph_requests: float
    graph_share: float


def looks(day: Day, mails: bool = True) -> int:
    """At a mailbox without push, in a day with or without mails."""
    policy, now, count = Policy(), 0.0, 0
    gap = day.hours * 3600 / day.mails
    while now < SECONDS:
        last = min(math.floor(now / gap), day.mails - 1) * gap if mails else None
        now, count = pace.next_due(policy, now, last, push_healthy=False), count + 1
    return count


def need(mailboxes: int, measured: Mapping[str, float] = MEASURED, day: Day = USUAL) -> Need:
    """What that many mailboxes need; Gmail and Graph as if all were there."""
    mails = mailboxes * day.mails
    more = looks(day) - looks(day, mails=False)  # than in an idle day; the look that finds a mail is one of them
    gmail = measured["idle_calls_per_mailbox_day"] + more + day.mails * (measured["gmail_calls_per_mail"] - 1)
    writing = measured["gmail_units_per_mail"] - LOOK_UNITS
    units = LOOK_UNITS * (measured["idle_calls_per_mailbox_day"] + more) + day.mails * writing
    finding = measured["graph_requests_per_mail"] - LOOK_REQUESTS
    graph = measured["graph_idle_requests_per_mailbox_day"] + LOOK_REQUESTS * more + day.mails * finding
    hour_looks, hour_mails = 3600 / Policy().drop_poll_seconds, day.mails * day.busiest_hour
    at_work = hour_mails * measured["latency_cold_ms_80"] + hour_looks * (CALL_MS + measured["cpu_ms_per_look"])
    cpu = hour_mails * measured["cpu_ms_per_mail"] + hour_looks * measured["cpu_ms_per_look"]
    workers = max(2, math.ceil(mailboxes * at_work / 3_600_000 / day.busy))
    worker_mib = measured["worker_rss_mib"] + min(KEPT, mailboxes) * measured["worker_kib_per_mailbox"] / 1024
    salesforce = mails * measured["salesforce_calls_per_mail_cold"]
    return Need(
        mailboxes=mailboxes,
        mails=mails,
        workers=workers,
        processors=max(1, math.ceil(mailboxes * cpu / 3_600_000 / day.busy)),
        memory_mib=workers * worker_mib + OTHERS_MIB,
        redis_mib=mailboxes * measured["redis_kib_per_mailbox"] / 1024,
        database_mib_year=mails * day.workdays * measured["database_kib_per_mail"] / 1024,
        salesforce_calls=salesforce,
        salesforce_share=salesforce / (SALESFORCE_PER_ORG + SALESFORCE_PER_LICENCE * mailboxes),
        gmail_calls=mailboxes * gmail,
        gmail_day_share=mailboxes * units / GMAIL_DAY,
        gmail_minute_share=(hour_mails * writing + hour_looks * LOOK_UNITS) / 60 / GMAIL_USER_MINUTE,
        graph_requests=mailboxes * graph,
        graph_share=(hour_mails * finding + hour_looks * LOOK_REQUESTS) / 6 / GRAPH_TEN_MINUTES,
    )


def table(needs: Sequence[Need]) -> str:
    """Markdown; one column per size."""
    columns = ["needs", *(f"{one.mailboxes:,} mailboxes" for one in needs)]
    cells = [
        ("tracked mails a day", [f"{one.mails:,}" for one in needs]),
        ("workers", [f"{one.workers:,}" for one in needs]),
        ("processors", [f"{one.processors:,}" for one in needs]),
        ("memory of all hosts, without the database's", [_size(one.memory_mib) for one in needs]),
        ("Redis keys", [_size(one.redis_mib) for one in needs]),
        ("database, more each year", [_size(one.database_mib_year) for one in needs]),
        ("Salesforce calls a day", [f"{one.salesforce_calls:,.0f}" for one in needs]),
        ("of what Enterprise Edition allows", [_share(one.salesforce_share) for one in needs]),
        ("Gmail calls a day, if all are there", [f"{one.gmail_calls:,.0f}" for one in needs]),
        ("of the project's units a day", [_share(one.gmail_day_share) for one in needs]),
        ("of a mailbox's units in a minute of the busiest hour", [_share(one.gmail_minute_share) for one in needs]),
        ("Graph requests a day, if all are there", [f"{one.graph_requests:,.0f}" for one in needs]),
        ("of a mailbox's requests in ten minutes of the busiest hour", [_share(one.graph_share) for one in needs]),
    ]
    rows = [columns, ["---", *("---:" for _ in needs)], *([name, *values] for name, values in cells)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _size(mib: float) -> str:
    return f"{mib / MIB_PER_GIB:,.1f} GiB" if mib >= MIB_PER_GIB else f"{max(mib, 0.1):,.1f} MiB"


def _share(part: float) -> str:
    return f"{part:.1%}" if part >= 0.001 else "below 0.1%"


def measured(path: Path) -> dict[str, float]:
    """The figures of a run; `MEASURED` for what it lacks."""
    rows = json.loads(path.read_text(encoding="utf-8"))["metrics"]
    return {**MEASURED, **{row["name"]: row["value"] for row in rows if row["name"] in MEASURED}}


def main(words: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizing", description=__doc__)
    parser.add_argument("results", type=Path, nargs="?", help="results of the benchmark; without, the documented run")
    given = parser.parse_args(words)
    figures = measured(given.results) if given.results else MEASURED
    print(table([need(size, figures) for size in SIZES]), end="")


if __name__ == "__main__":
    main()
