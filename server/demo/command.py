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
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from server.demo import flows, stage
from server.demo.flows import FLOWS, Running, World
from server.demo.outlook import OUTLOOK_FLOWS


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
        step = progress.add_task("Starting simulators of Google and Salesforce, and Mailspan …", total=None)
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
    table = Table(title="Dropped in Gmail and Outlook, found in Salesforce", title_justify="left", expand=False)
    for heading in ("mail", "trigger", "people", "CRM records", "ended as", "ms"):
        table.add_column(heading, justify="right" if heading == "ms" else "left", overflow="fold")
    for row in result["flows"]:
        good = row["ok"]
        state = f"[{'green' if good else 'red'}]{'✓' if good else '✗'}[/] {row['state']}"
        if row["reason"]:
            state += f"\n[dim]{row['reason']}[/]"
        if row["problem"]:
            state += f"\n[red]{row['problem']}[/]"
        table.add_row(
            f"[bold]{row['title']}[/]\n[dim]{row['mail']}[/]",
            row["trigger"],
            "\n".join(row["people"]) or "[dim]nobody[/]",
            "\n".join(i for i in row["crm"] if i.startswith(("02s", "00T"))) or "[dim]none[/]",
            state,
            str(row["ms"]) if row["ms"] is not None else "-",
        )
    console.print(table)
    for vendor, row in result["calls"].items():
        console.print(f"{vendor}: {row['calls']} calls in {row['requests']} requests, {row['units']:g} quota units")


def _stay(console: Console, running: stage.Stage) -> None:
    console.print("\nStill running, and yours to try (Ctrl-C ends it):")
    for vendor in ("google", "microsoft", "salesforce"):
        console.print(f"  {vendor:<11}{running.ready[vendor]['url']}")
    console.print(f"  {'control':<11}{running.ready['control']}\n  {'CA file':<11}{running.ready['ca']}")
    console.print(f"  {'log':<11}{running.folder / 'mailspan.log'}")
    threading.Event().wait()
