"""What is measured: one table of names, units and goals, and the form in which results are shown and kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Metric:
    """`goal` is the value to reach: at most, or at least where `more` is better; None when there is none."""

    name: str
    unit: str
    goal: float | None
    more: bool = False

    def met(self, value: float) -> bool | None:
        """Whether the goal is reached, as far as shown digits tell; None without a goal."""
        if self.goal is None:
            return None
        return round(value, 2) >= self.goal if self.more else round(value, 2) <= self.goal


@dataclass(frozen=True, slots=True)
class Value:
    """Ours, and the naive peer's where it was measured."""

    ours: float
    peer: float | None = None


Values = Mapping[str, Value]

# Goals: design.md 12. Where that has none, there is none here; but for one mailbox under its quota: nine tenths of the
# mails for which 70 % of Gmail's units a minute are enough at 21 each, and no refusal. Of items and conversations: what
# Gmail's prices allow (a followed mail is a filing of 27 units and a summary of 30), and one call to the CRM for 20.
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("salesforce_calls_per_mail_cold", "calls", 2),
        Metric("salesforce_calls_per_mail_warm", "calls", 1),
        Metric("salesforce_calls_per_mail_burst50", "calls", 0.1),
        Metric("gmail_calls_per_mail", "calls", 3),
        Metric("gmail_units_per_mail", "units", 27),
        Metric("gmail_http_per_mail_burst50", "HTTP calls", 0.08),
        Metric("gmail_units_per_mail_burst50", "units", 21.1),
        Metric("graph_requests_per_mail", "requests", 3),
        Metric("graph_http_per_mail", "HTTP calls", 2),
        Metric("graph_requests_per_mail_burst50", "requests", None),
        Metric("graph_http_per_mail_burst50", "HTTP calls", None),
        Metric("gmail_calls_per_followed_mail", "calls", 5),
        Metric("gmail_units_per_followed_mail", "units", 57),
        Metric("salesforce_calls_per_followed_mail", "calls", 3),
        Metric("graph_requests_per_followed_mail", "requests", None),
        Metric("graph_http_per_followed_mail", "HTTP calls", None),
        Metric("gmail_calls_per_summary_update", "calls", 2.1),
        Metric("gmail_units_per_summary_update", "units", 30.2),
        Metric("salesforce_calls_per_summary_update", "calls", 0.1),
        Metric("graph_requests_per_summary_update", "requests", None),
        Metric("graph_http_per_summary_update", "HTTP calls", None),
        Metric("gmail_calls_per_leaf", "calls", 1.2),
        Metric("gmail_units_per_leaf", "units", 5.2),
        Metric("salesforce_calls_per_leaf", "calls", 0.1),
        Metric("graph_requests_per_leaf", "requests", None),
        Metric("graph_http_per_leaf", "HTTP calls", None),
        Metric("latency_cold_ms_80", "ms", 410),
        Metric("latency_warm_ms_80", "ms", 330),
        Metric("mails_per_second_4_workers", "mails/s", None, more=True),
        Metric("mails_per_minute_quota_bound", "mails/min", 180, more=True),
        Metric("throttled_429s", "refusals", 0),
        Metric("idle_calls_per_mailbox_day", "calls", 25),
        Metric("graph_idle_requests_per_mailbox_day", "requests", None),
        Metric("scale_429s", "refusals", 0),
        Metric("scale_first_sync_seconds", "s", None),
        Metric("scale_filing_ms_quiet", "ms", None),
        Metric("scale_filing_ms_syncing", "ms", None),
        Metric("scale_filing_p95_ms_quiet", "ms", None),
        Metric("scale_filing_p95_ms_syncing", "ms", None),
        Metric("scale_gmail_units_per_item", "units", None),
        Metric("scale_salesforce_calls_per_item", "calls", None),
        Metric("scale_database_kib_per_item", "KiB", None),
        Metric("scale_idle_gmail_calls_per_mailbox_day", "calls", None),
        Metric("scale_idle_salesforce_calls_per_mailbox_day", "calls", None),
        Metric("recovery_seconds", "s", 30),
        Metric("worker_rss_mib", "MiB", None),
        Metric("worker_kib_per_mailbox", "KiB", None),
        Metric("redis_kib_per_mailbox", "KiB", None),
        Metric("database_kib_per_mail", "KiB", None),
        Metric("cpu_ms_per_mail", "ms", None),
        Metric("cpu_ms_per_look", "ms", None),
    )
}


def rows(values: Values) -> list[dict[str, Any]]:
    """One row per measured metric, in the order of the table. KeyError for a name that is not in it."""
    unknown = sorted(values.keys() - METRICS.keys())
    if unknown:
        raise KeyError(f"no such metric: {', '.join(unknown)}")
    return [
        {
            "name": metric.name,
            "value": round(values[metric.name].ours, 3),
            "unit": metric.unit,
            "peer": None if (peer := values[metric.name].peer) is None else round(peer, 3),
            "goal": metric.goal,
        }
        for metric in METRICS.values()
        if metric.name in values
    ]


def write(path: Path, values: Values) -> None:
    """``{"metrics": [{"name", "value", "unit", "peer", "goal"}]}``."""
    path.write_text(json.dumps({"metrics": rows(values)}, indent=2) + "\n", encoding="utf-8")


def table(found: Iterable[Mapping[str, Any]]) -> Table:
    """The rows for people."""
    out = Table(title="Mailspan, measured", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    out.add_column("metric", no_wrap=True)
    for name in ("value", "naive peer", "goal"):
        out.add_column(name, justify="right")
    out.add_column("unit")
    out.add_column("")
    words = {True: "[green]reached[/]", False: "[red]missed[/]", None: ""}
    for row in found:
        met = METRICS[row["name"]].met(row["value"])
        out.add_row(
            row["name"],
            *(("" if row[key] is None else f"{row[key]:g}") for key in ("value", "peer", "goal")),
            row["unit"],
            words[met],
        )
    return out
