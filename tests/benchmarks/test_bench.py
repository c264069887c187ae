"""The benchmark's own promises: the form of its file, its names, and that a part of it runs."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import __main__ as program
from benchmarks import metrics
from benchmarks.inprocess import GMAIL, NAIVE, Bench, Watched
from benchmarks.mails import of_friends, of_strangers
from benchmarks.metrics import METRICS, Value
from sync.errors import Busy
from tests.sandboxed import ROOT, Sandbox

PAGE = ROOT / "docs" / "benchmarks.md"


def test_the_file_has_rows_in_the_order_of_the_table(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    metrics.write(path, {"worker_rss_mib": Value(99.98765), "gmail_calls_per_mail": Value(3, 5)})
    assert json.loads(path.read_text()) == {
        "metrics": [
            {"name": "gmail_calls_per_mail", "value": 3, "unit": "calls", "peer": 5, "goal": 3},
            {"name": "worker_rss_mib", "value": 99.988, "unit": "MiB", "peer": None, "goal": None},
        ]
    }


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(KeyError, match="gmail_calls_per_male"):
        metrics.rows({"gmail_calls_per_male": Value(1)})


def test_a_goal_is_a_limit_or_a_floor() -> None:
    calls = METRICS["gmail_calls_per_mail"]
    assert [calls.met(3.0), calls.met(3.01), METRICS["worker_rss_mib"].met(1)] == [True, False, None]
    floor = metrics.Metric("mails", "mails/s", 10, more=True)
    assert [floor.met(10), floor.met(9.9)] == [True, False]


def test_the_table_shows_every_row_and_which_goals_are_missed() -> None:
    console = Console(record=True, width=120, quiet=True)
    with console.capture() as shown:
        console.quiet = False
        console.print(metrics.table(metrics.rows({name: Value(1000.0, 2000.0) for name in METRICS})))
    text = shown.get()
    assert [name for name in METRICS if not re.search(rf"\b{name}\b.*1000", text)] == []
    assert text.count("missed") == sum(metric.goal is not None and not metric.more for metric in METRICS.values())
    assert text.count("reached") == sum(metric.goal is not None and metric.more for metric in METRICS.values())


def test_the_page_explains_every_metric() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in METRICS if f"`{name}`" not in text] == []


def test_the_results_are_not_tracked() -> None:
    done = subprocess.run(["git", "check-ignore", "-q", str(program.RESULTS)], cwd=ROOT, check=False)
    if done.returncode == 128:
        pytest.skip("this is no git checkout")
    assert done.returncode == 0


def test_letters_of_strangers_share_nobody() -> None:
    people = [person for letter in of_strangers("some", GMAIL, 3) for person in letter.people]
    assert len(set(people)) == len(people) == 12
    assert len({person for letter in of_friends("some", GMAIL, 3) for person in letter.people}) == 4


class _Refusing:
    """A mailbox that refuses every change."""

    address = "ann@acme.example"

    def settle(self, marks: object) -> object:
        raise Busy("not now", retry_after=1)


def test_the_watch_notes_when_the_mailbox_answered_a_change_and_hides_nothing() -> None:
    mail = Watched(_Refusing())  # type: ignore[arg-type]
    assert (mail.address, mail.settled_at) == ("ann@acme.example", 0.0)
    before = time.perf_counter()
    with pytest.raises(Busy):
        mail.settle([])
    assert before <= mail.settled_at <= time.perf_counter()


@pytest.mark.e2e
def test_a_mail_costs_us_less_than_the_peer(sandbox: Sandbox) -> None:
    """One mail each: both end filed, and the meter saw both."""
    with Bench.open(sandbox) as bench:
        bench.warm_up(GMAIL)
        ours = bench.ours(list(of_strangers("ours", GMAIL, 1)))
        naive = bench.naive(list(of_strangers("peer", NAIVE[GMAIL], 1)))
    assert (ours.calls["google"], ours.units["google"]) == (3, 27)
    assert (naive.calls["google"], naive.units["google"]) == (5, 36)
    assert ours.http["salesforce"] == 2
    assert naive.http["salesforce"] > 10
    assert min(ours.ms, naive.ms) > 0
