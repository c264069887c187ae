"""Calls, units and time of one mail and of a burst: engine and adapters run in this process, on a real sandbox.

The budgets are asked as always, but emptied of what was spent before, and the sandbox's quotas are off: what is counted
is what the work needs. Connections, sign-ins and descriptions of the CRM are made before (`Bench.warm_up`).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.mails import Letter, of_friends, of_strangers
from benchmarks.metrics import Value, Values
from benchmarks.peer import NaiveCrm, NaiveGmail, NaiveGraph
from sync import embedded
from sync.engine import wake as engine
from sync.engine.work import Ports
from sync.model import Mark, Outcome
from sync.ports import MailProvider
from tests.e2e.installation import DONE, DROP, Desk, Installation
from tests.sandboxed import Json, Sandbox

GMAIL, OUTLOOK = "anna@northpeak.example", "erik@northpeak.example"
NAIVE = {GMAIL: "ben@northpeak.example", OUTLOOK: "priya@northpeak.example"}  # in whose mailbox the peer works
ALONE = 5  # mails dropped one after the other; a figure is their mean, a time their median
BURST = 50
LATENCY_MS = 80
HOUR, DAY = 3_600.0, 86_400.0
NAIVE_POLL = 60.0  # seconds
LOOKS = 20


@dataclass(frozen=True, slots=True)
class Cost:
    """What one mail took, on average; `ms` is the median."""

    calls: dict[str, float]
    units: dict[str, float]
    http: dict[str, float]
    ms: float


class Watched:
    """A mailbox that notes when (`perf_counter`) it has answered the last change; 0 when there was none."""

    def __init__(self, mail: MailProvider) -> None:
        self._mail, self.settled_at = mail, 0.0

    def settle(self, marks: Sequence[Mark]) -> Sequence[Outcome]:
        try:
            return self._mail.settle(marks)
        finally:
            self.settled_at = time.perf_counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mail, name)


def cost(meter: Json, mails: int, seconds: Sequence[float]) -> Cost:
    """Of the sandbox's meter."""
    return Cost(
        {vendor: row["calls"] / mails for vendor, row in meter.items()},
        {vendor: row["units"] / mails for vendor, row in meter.items()},
        {vendor: row["requests"] / mails for vendor, row in meter.items()},
        statistics.median(seconds) * 1000,
    )


@dataclass
class Bench:
    """An installation without processes, and the peer beside it."""

    office: Installation

    @classmethod
    @contextmanager
    def open(cls, sandbox: Sandbox) -> Iterator[Bench]:
        """Every mailbox has its tree: ours, and the peer's, which works in a tree that we made."""
        sandbox.reset()
        sandbox.settings(gmail_quota=False, graph_quota=0)
        users = (*NAIVE.keys(), *NAIVE.values())
        with tempfile.TemporaryDirectory(prefix="mailspan-bench-") as name:
            folder = Path(name)
            url = f"sqlite:///{folder / 'mailspan.sqlite3'}"
            with embedded.serve(folder) as redis_url:
                office = Installation(sandbox, folder, url, users, {"MAILSPAN_REDIS_URL": redis_url}, options={})
                try:
                    office.apply()
                    bench = cls(office)
                    for user in users:
                        bench.wake(user)
                    yield bench
                finally:
                    office.close()

    @property
    def sandbox(self) -> Sandbox:
        return self.office.sandbox

    # ---- ours ------------------------------------------------------------------------------------

    def wake(self, user: str) -> float:
        """One wake, as a push brings it; the seconds until the mailbox has answered the last change, if there was one.
        What the wake commits after that keeps nobody waiting."""
        app, mailbox = self.office.app, self.office.mailbox_id(user)
        ports = app.ports(mailbox)
        mail = Watched(ports.mail)
        app.redis.flushdb()
        begun = time.perf_counter()
        app.store.wake(mailbox)
        report = self._look(mailbox, lambda _: replace(app.ports(mailbox), mail=mail), time.time)
        ended = time.perf_counter()
        assert report.ended == "done", report
        return (mail.settled_at or ended) - begun

    def _look(self, mailbox: int, ports: Callable[[int], Ports], clock: Callable[[], float]) -> engine.Report:
        return engine.wake(
            self.office.app.store, mailbox, ports, worker="bench", clock=clock, lease_seconds=60, guard_seconds=20
        )

    def ours(self, letters: Sequence[Letter], at_once: bool = False) -> Cost:
        """Drop and wake, mail by mail or all in one wake."""
        user = letters[0].owner
        return self._measured(letters, at_once, lambda: self.wake(user))

    def warm_up(self, user: str) -> None:
        """A mail of others, so that connections stand, tokens are there and the CRM is described."""
        self.ours(list(of_strangers(f"warmup-{user[:4]}", user, 1)))

    # ---- the peer ----------------------------------------------------------------------------------

    def naive(self, letters: Sequence[Letter], at_once: bool = False) -> Cost:
        """The same by the peer."""
        user = letters[0].owner
        crm = NaiveCrm(self.sandbox, self.office.crm_user)
        run: Callable[[], int]
        if self.office.in_outlook(user):
            folders: dict[str, str] = self.office.desk(user).box()["folders"]
            graph = NaiveGraph(self.sandbox, user, next(id_ for id_, path in folders.items() if path == DROP))
            run = lambda: graph.run(crm.file)  # noqa: E731
        else:
            gmail = NaiveGmail(self.sandbox, user)
            run = lambda: gmail.run(crm)  # noqa: E731

        def timed() -> float:
            begun = time.perf_counter()
            assert run() == (len(letters) if at_once else 1)
            return time.perf_counter() - begun

        return self._measured(letters, at_once, timed)

    # ---- both --------------------------------------------------------------------------------------

    def _measured(self, letters: Sequence[Letter], at_once: bool, work: Callable[[], float]) -> Cost:
        desk = self.office.desk(letters[0].owner)
        self.sandbox.meter(reset=True)
        seconds = []
        for part in [letters] if at_once else [[one] for one in letters]:
            dropped = [deliver_and_drop(desk, one) for one in part]
            seconds.append(work())
            check_filed(desk, dropped)
        return cost(self.sandbox.meter(), len(letters), seconds)

    def _latency(self, milliseconds: int) -> None:
        self.sandbox.settings(latency_ms=dict.fromkeys(("google", "microsoft", "salesforce"), milliseconds))

    # ---- metrics -----------------------------------------------------------------------------------

    def gmail(self) -> Values:
        """One mail after the other, of strangers and of friends, and a burst."""
        self.warm_up(GMAIL)
        cold, naive_cold = self._pair("cold", of_strangers)
        warm, naive_warm = self._pair("warm", of_friends, first=1)
        burst, naive_burst = self._pair("burst", of_strangers, BURST, at_once=True)
        return {
            "salesforce_calls_per_mail_cold": _value(cold.http, naive_cold.http, "salesforce"),
            "salesforce_calls_per_mail_warm": _value(warm.http, naive_warm.http, "salesforce"),
            "salesforce_calls_per_mail_burst50": _value(burst.http, naive_burst.http, "salesforce"),
            "gmail_calls_per_mail": _value(warm.calls, naive_warm.calls, "google"),
            "gmail_units_per_mail": _value(warm.units, naive_warm.units, "google"),
            "gmail_http_per_mail_burst50": _value(burst.http, naive_burst.http, "google"),
            "gmail_units_per_mail_burst50": _value(burst.units, naive_burst.units, "google"),
        }

    def graph(self) -> Values:
        """One mail after the other, and a burst."""
        self.warm_up(OUTLOOK)
        ours, naive = self._pair("graph", of_strangers, user=OUTLOOK)
        burst, naive_burst = self._pair("graphburst", of_strangers, BURST, at_once=True, user=OUTLOOK)
        return {
            "graph_requests_per_mail": _value(ours.calls, naive.calls, "microsoft"),
            "graph_http_per_mail": _value(ours.http, naive.http, "microsoft"),
            "graph_requests_per_mail_burst50": _value(burst.calls, naive_burst.calls, "microsoft"),
            "graph_http_per_mail_burst50": _value(burst.http, naive_burst.http, "microsoft"),
        }

    def latency(self) -> Values:
        """From the wake to the settled mail."""
        self.warm_up(GMAIL)
        self._latency(LATENCY_MS)
        try:
            cold, naive_cold = self._pair("slowcold", of_strangers, 3)
            warm, naive_warm = self._pair("slowwarm", of_friends, 4, first=1)
        finally:
            self._latency(0)
        return {
            "latency_cold_ms_80": Value(cold.ms, naive_cold.ms),
            "latency_warm_ms_80": Value(warm.ms, naive_warm.ms),
        }

    def idle(self) -> Values:
        """A day in which nothing happens: every wake at its virtual time. Sign-ins are not counted."""
        ours, graph = self._day(GMAIL)["google"]["calls"], self._day(OUTLOOK)["microsoft"]["calls"]
        peer = NaiveGmail(self.sandbox, NAIVE[GMAIL])
        label = peer.labels()[DROP]
        self.sandbox.meter(reset=True)
        for _ in range(round(HOUR / NAIVE_POLL)):
            peer.dropped(label)
        naive = self.sandbox.meter(reset=True)["google"]["calls"] * DAY / HOUR
        return {
            "idle_calls_per_mailbox_day": Value(ours, naive),
            "graph_idle_requests_per_mailbox_day": Value(graph),
        }

    def _day(self, user: str) -> Json:
        """The meter of a virtual day of looks."""
        mailbox, app = self.office.mailbox_id(user), self.office.app
        self.sandbox.meter(reset=True)
        begin = now = time.time()
        while now < begin + DAY:
            app.redis.flushdb()
            report = self._look(mailbox, app.ports, lambda at=now: at)  # type: ignore[misc]
            assert report.ended == "done", report
            assert report.next_look > now
            now = report.next_look
        return self.sandbox.meter(reset=True)

    def _pair(
        self,
        name: str,
        make: Callable[[str, str, int], Iterator[Letter]],
        count: int = ALONE,
        *,
        first: int = 0,
        at_once: bool = False,
        user: str = GMAIL,
    ) -> tuple[Cost, Cost]:
        """Ours and the peer's cost of such letters; the `first` ones are filed before and not counted."""
        out = []
        for run, owner, word in ((self.ours, user, "ours"), (self.naive, NAIVE[user], "peer")):
            letters = list(make(f"{name}-{word}", owner, count + first))
            if first:
                run(letters[:first])
            out.append(run(letters[first:], at_once))
        return out[0], out[1]


def _value(ours: dict[str, float], naive: dict[str, float], vendor: str) -> Value:
    return Value(ours[vendor], naive[vendor])


def deliver_and_drop(desk: Desk, letter: Letter) -> str:
    """The id of the mail."""
    mail = desk.deliver(letter.raw)
    desk.drop(mail)
    return mail


def check_filed(desk: Desk, mails: Sequence[str]) -> None:
    """AssertionError unless each is done: a fast failure is no result."""
    for mail, marks in zip(mails, desk.marks(*mails), strict=True):
        assert DONE in marks, (desk.address, mail, marks)
        assert DROP not in marks, (desk.address, mail, marks)
