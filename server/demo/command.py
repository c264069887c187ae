"""`mailspan demo`: the main job on the sandbox, with progress, a table and a clear verdict."""

from __future__ import annotations

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
from server.demo.flows import FLOWS, Running, World
from server.demo.outlook import OUTLOOK_FLOWS

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
    world = World(running.mail(), running.crm(), control, control.stories())
    control.meter_reset()
    under_way: list[Running] = []
    bars = {}
    for flow in (*FLOWS, *OUTLOOK_FLOWS):
        bars[flow.name] = progress.add_task(f"  {flow.title}", total=None)
        under_way.append(flow.act(world, flow))

    def ended(run: Running) -> None:
        progress.update(bars[run.flow.name], description=f"  {run.flow.title}: {run.ms} ms", total=1, completed=1)

    flows.wait(under_way, ended)
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
    """Three columns, so that it can be read in 80 columns too."""
    table = Table(
        title="Dropped in Gmail and Outlook, found in Salesforce",
        title_justify="left",
        box=HORIZONTALS,
        show_lines=True,
        pad_edge=False,
    )
    table.add_column("mail", overflow="fold")
    table.add_column("people and CRM records", overflow="fold", min_width=RECORD_WIDTH)
    table.add_column("ended as", overflow="fold", min_width=STATE_WIDTH)
    for row in result["flows"]:
        table.add_row(*_cells(row))
    console.print(table)
    for vendor, row in result["calls"].items():
        console.print(f"{vendor}: {row['calls']} calls in {row['requests']} requests, {row['units']:g} quota units")


def _cells(row: dict[str, Any]) -> tuple[str, str, str]:
    """A flow: what it is and where its mail was put; people and records; how it ended, why and after how long."""
    records = ", ".join(one for one in row["crm"] if one.startswith(("02s", "00T")))
    ended = [one for one in (row["reason"], f"{row['ms']} ms" if row["ms"] is not None else "") if one]
    state = [f"[{'green' if row['ok'] else 'red'}]{'✓' if row['ok'] else '✗'}[/] {row['state']}"]
    state += [f"[dim]{' · '.join(ended)}[/]"] if ended else []
    state += [f"[red]{escape(row['problem'])}[/]"] if row["problem"] else []
    return (
        f"[bold]{escape(row['title'])}[/]\n[dim]{_place(row)}: {escape(row['mail'])}[/]",
        f"{escape(', '.join(row['people'])) or '[dim]nobody[/]'}\n[dim]{records or 'no record'}[/]",
        "\n".join(state),
    )


def _place(row: dict[str, Any]) -> str:
    """What the mail was put on or in, such as "Gmail label"; both for a mail in two systems."""
    pairs = zip(row["provider"].split(", "), row["trigger"].split(", "), strict=True)
    return " and ".join(f"{provider.capitalize()} {trigger}" for provider, trigger in pairs)


def _stay(console: Console, running: stage.Stage) -> None:
    console.print("\nStill running, and yours to try (Ctrl-C ends it):")
    for vendor in ("google", "microsoft", "salesforce"):
        console.print(f"  {vendor:<11}{running.ready[vendor]['url']}")
    console.print(f"  {'control':<11}{running.ready['control']}\n  {'CA file':<11}{running.ready['ca']}")
    console.print(f"  {'log':<11}{running.folder / 'mailspan.log'}")
    threading.Event().wait()
