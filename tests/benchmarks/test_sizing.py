"""The sizes of docs/limits.md are computed, and grow as they should."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import sizing
from benchmarks.metrics import METRICS
from benchmarks.sizing import MEASURED, SIZES, USUAL, need
from sync.providers.google import quota as google
from sync.providers.microsoft import quota as microsoft
from tests.docs.pages import read, rows
from tests.sandboxed import ROOT

PAGE = ROOT / "docs" / "limits.md"


def test_the_page_shows_what_the_program_prints(capsys: pytest.CaptureFixture[str]) -> None:
    sizing.main([])
    shown = capsys.readouterr().out
    assert f"\n\n{shown}\n" in read(PAGE)
    assert [f"{size:,} mailboxes" for size in SIZES] == rows(PAGE, "## What an installation needs")[0][1:]


def test_every_figure_it_starts_from_is_measured_by_the_benchmark() -> None:
    assert MEASURED.keys() - METRICS.keys() == set()


def test_a_run_replaces_the_documented_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results.json"
    figures = [{"name": "salesforce_calls_per_mail_cold", "value": 3}, {"name": "worker_rss_mib", "value": 100_000}]
    results.write_text(json.dumps({"metrics": figures}))
    found = sizing.measured(results)
    assert found == {**MEASURED, "salesforce_calls_per_mail_cold": 3, "worker_rss_mib": 100_000}
    sizing.main([str(results)])
    assert re.search(r"^\| Salesforce calls a day \| 1,200 \| 120,000 \|", capsys.readouterr().out, re.MULTILINE)


def test_the_limits_are_those_that_the_product_keeps_to() -> None:
    assert sizing.GMAIL_USER_MINUTE == google.USER_UNITS_PER_MINUTE
    assert sizing.GMAIL_DAY == google.PROJECT_UNITS_PER_DAY
    assert sizing.GRAPH_TEN_MINUTES == microsoft.MAILBOX_REQUESTS
    listed = {
        method: int(row[1])
        for row in rows(PAGE, "What a call costs in units")[1:]
        for method in re.findall(r"`([\w.]+)`", row[0])
    }
    assert len(listed) >= 10
    assert {method: google.UNITS[method] for method in listed} == listed


def test_a_day_with_mails_has_more_looks_and_a_day_without_them_one_in_two_minutes() -> None:
    assert sizing.looks(USUAL, mails=False) == 86_400 // 120
    busy = sizing.looks(USUAL)
    assert 8 * 3600 // 30 + 16 * 3600 // 120 <= busy <= 86_400 // 30
    assert sizing.looks(replace(USUAL, hours=4)) < busy


def test_needs_grow_with_the_mailboxes_and_with_their_mails() -> None:
    small, large = need(10), need(10_000)
    assert large.salesforce_calls == 1000 * small.salesforce_calls == 10_000 * 40 * 2
    assert large.gmail_day_share == pytest.approx(1000 * small.gmail_day_share)
    assert large.gmail_minute_share == small.gmail_minute_share
    assert (small.workers, small.processors) == (2, 1)
    assert large.workers > large.processors > need(1000).processors
    busier = need(1000, day=replace(USUAL, mails=80))
    quiet = need(1000)
    assert busier.database_mib_year == 2 * quiet.database_mib_year
    assert busier.memory_mib >= quiet.memory_mib
    assert busier.graph_requests > quiet.graph_requests
