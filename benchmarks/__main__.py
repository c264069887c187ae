"""`python -m benchmarks`: measure, print the table, write results.json. Parts can be named: gmail graph ..."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from rich.console import Console

from benchmarks import metrics, processes
from benchmarks.footprint import footprint
from benchmarks.inprocess import Bench
from tests.sandboxed import Sandbox

RESULTS = Path(__file__).parent / "results.json"
HERE = {
    "gmail": Bench.gmail,
    "graph": Bench.graph,
    "latency": Bench.latency,
    "idle": Bench.idle,
    "footprint": footprint,
}
AS_PROCESSES = {
    "throughput": processes.throughput,
    "quota": processes.quota_bound,
    "recovery": processes.recovery,
}


def main(words: list[str] | None = None) -> None:
    """All parts, or those named; with parts named, the file has only their metrics."""
    names = (*HERE, *AS_PROCESSES)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(names))
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file to write")
    given = parser.parse_args(words)
    if unknown := sorted(set(given.parts) - set(names)):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(names)}")
    values = measure(tuple(given.parts) or names, Console(stderr=True))
    metrics.write(given.results, values)
    Console().print(metrics.table(metrics.rows(values)))


def measure(parts: tuple[str, ...], log: Console) -> metrics.Values:
    """Run these parts, each on a sandbox as new."""
    values: dict[str, metrics.Value] = {}
    with tempfile.TemporaryFile("w+") as words, Sandbox.start(log=words) as sandbox:
        for name, run in HERE.items():
            if name in parts:
                begun = time.perf_counter()
                with Bench.open(sandbox) as bench:
                    values |= run(bench)
                log.print(f"{name}: {time.perf_counter() - begun:.0f} s", style="dim")
        if chosen := [name for name in AS_PROCESSES if name in parts]:
            with processes.up(sandbox) as office:
                for name in chosen:
                    begun = time.perf_counter()
                    values |= AS_PROCESSES[name](office)
                    log.print(f"{name}: {time.perf_counter() - begun:.0f} s", style="dim")
    return values


if __name__ == "__main__":
    main()
