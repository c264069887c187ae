"""`mailspan demo`: the main job on the sandbox, with progress, a table and a clear verdict."""

from __future__ import annotations

import itertools
import json
import shutil
import signal
import tempfile
import threading
from pathlib import Path
from typing import Any

import click
from rich.box import HORIZONTALS
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from server.demo import flows, stage
from server.demo.flows import Running, World
from server.demo.programme import FLOWS

RECORD_WIDTH, STATE_WIDTH = 20, 28  # an id of Salesforce; the longest end state; both with their padding


def run(*, once: bool, as_json: bool) -> None:
    """Play all flows and show how they ended; without `once` and `as_json` stay up until Ctrl-C. Raises `SystemExit(1)`
    when one did not end as it should."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    console = Console(stderr=as_json)
    folder = Path(tempfile.mkdtemp(prefix="mailspan-"))
    try:
        result = _play(console, folder, once=once or as_json, as_json=as_json)
    except KeyboardInterrupt:
        console.print("Stopped.")
        result = {"ok": True}
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not result["ok"]:
        raise SystemExit(1)


def _play(console: Console, folder: Path, *, once: bool, as_json: bool) -> dict[str, Any]:
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console) as progress:
        step = progress.add_task("Starting simulators of Google, Microsoft and Salesforce, and Mailspan …", total=None)
        with stage.set_up(folder) as running:
            progress.update(step, description="Waiting for the drop labels …")
            stage.wait_for_trees(running, flows.DROP)
            progress.update(step, description="Every mailbox has its drop label")
            progress.stop_task(step)
            result = _run(progress, running)
            progress.stop()
            if as_json:
                click.echo(json.dumps(result, indent=2, ensure_ascii=False))
            else:
                _show(console, result)
            if not once:
                _stay(console, running)
    return result


def _run(progress: Progress, running: stage.Stage) -> dict[str, Any]:
    control = running.control()
    world = World(running.mail(), running.crm(), control, control.stories(), running.environ)
    control.meter_reset()
    under_way = [Running(flow) for flow in FLOWS]
    bars = {flow.name: progress.add_task(f"  {flow.title}", total=None) for flow in FLOWS}

    def ended(run: Running) -> None:
        text = f"{run.ms} ms" if run.ms is not None else "failed"
        progress.update(bars[run.flow.name], description=f"  {run.flow.title}: {text}", total=1, completed=1)

    flows.play(world, under_way, ended)
    meter = control.meter()
    rows = [flows.report(world, run) for run in under_way]
    return {"ok": all(row["ok"] for row in rows), "flows": rows, "calls": _calls(meter, running)}


def _calls(meter: dict[str, Any], running: stage.Stage) -> dict[str, Any]:
    """Calls during the flows by vendor, those of the demo's own user included."""
    return {
        vendor: {"requests": row["requests"], "calls": row["calls"], "units": row["units"], "methods": row["methods"]}
        for vendor, row in meter.items()
        if vendor in running.ready
    }


def _show(console: Console, result: dict[str, Any]) -> None:
    """Three columns, so that it can be read in 80 columns too; a rule between sections only, so that it is not long."""
    table = Table(
        title="Done in Gmail and Outlook, found in Salesforce", title_justify="left", box=HORIZONTALS, pad_edge=False
    )
    table.add_column("what was done", overflow="fold")
    table.add_column("people and CRM records", overflow="fold", min_width=RECORD_WIDTH)
    table.add_column("ended as", overflow="fold", min_width=STATE_WIDTH)
    for section, rows in itertools.groupby(result["flows"], key=lambda row: row["section"]):
        table.add_section()
        table.add_row(f"[reverse] {section} [/]")
        for row in rows:
            table.add_row(*_cells(row))
    console.print(table)
    for vendor, row in result["calls"].items():
        console.print(f"{vendor}: {row['calls']} calls in {row['requests']} requests, {row['units']:g} quota units")


def _cells(row: dict[str, Any]) -> tuple[str, str, str]:
    """A flow: what it is, where its mail was put and to which item it went; people and records; how it ended, why and
    after how long."""
    ended = [one for one in (row["reason"], f"{row['ms']} ms" if row["ms"] is not None else "") if one]
    state = [f"[{'green' if row['ok'] else 'red'}]{'✓' if row['ok'] else '✗'}[/] {row['state']}"]
    state += [f"[dim]{' · '.join(ended)}[/]"] if ended else []
    state += [f"[red]{escape(row['problem'])}[/]"] if row["problem"] else []
    done = [f"[bold]{escape(row['title'])}[/]", f"[dim]{_place(row)}: {escape(row['mail'])}[/]"]
    done += [f"[dim]to {escape(item)}[/]" for item in row["items"] if item != row["mail"]]
    people = escape(", ".join(row["people"])) or "[dim]nobody[/]"
    return "\n".join(done), f"{people}\n[dim]{_records(row)}[/]", "\n".join(state)


def _records(row: dict[str, Any]) -> str:
    """The first e-mail record, and how many there are besides; of a flow without mails its item."""
    mails = [one for one in row["crm"] if one.startswith(("02s", "00T"))] or (row["crm"] if row["items"] else [])
    more = f" and {len(mails) - 1} more" if len(mails) > 1 else ""
    return f"{mails[0]}{more}" if mails else "no record"


def _place(row: dict[str, Any]) -> str:
    """What the mail was put on or in, such as "Gmail label"; both for a mail in two systems. What began in the CRM
    shows in a mailbox: "Outlook, CRM change"."""
    pairs = zip(row["provider"].split(", "), row["trigger"].split(", "), strict=True)
    return " and ".join(f"{provider.capitalize()} {trigger}" for provider, trigger in pairs)


def _stay(console: Console, running: stage.Stage) -> None:
    console.print("\nStill running, and yours to try (Ctrl-C ends it):")
    for vendor in ("google", "microsoft", "salesforce"):
        console.print(f"  {vendor:<11}{running.ready[vendor]['url']}")
    console.print(f"  {'control':<11}{running.ready['control']}\n  {'CA file':<11}{running.ready['ca']}")
    console.print(f"  {'log':<11}{running.folder / 'mailspan.log'}")
    threading.Event().wait()
