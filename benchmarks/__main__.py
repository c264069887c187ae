"""`python -m benchmarks`: measure, print the table, write results.json. Parts can be named: gmail graph ..."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks import metrics, processes
from benchmarks.footprint import footprint
from benchmarks.inprocess import Bench
from benchmarks.items import items
from benchmarks.scale import scale
from tests.sandboxed import Sandbox

RESULTS = Path(__file__).parent / "results.json"
HERE = {
    "gmail": Bench.gmail,
    "graph": Bench.graph,
    "latency": Bench.latency,
    "idle": Bench.idle,
    "footprint": footprint,
    "items": items,
}
SCALE = "scale"  # on an organisation of its own
AS_PROCESSES = {
    "throughput": processes.throughput,
    "quota": processes.quota_bound,
    "recovery": processes.recovery,
}


def main(words: list[str] | None = None) -> None:
    """All parts, or those named; with parts named, the file has only their metrics."""
    names = (*HERE, SCALE, *AS_PROCESSES)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(names))
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file to write")
    given = parser.parse_args(words)
    if unknown := sorted(set(given.parts) - set(names)):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(names)}")
    values: dict[str, metrics.Value] = {}
    for found in measure(tuple(given.parts) or names, Console(stderr=True)):
        values |= found
        metrics.write(given.results, values)  # now: should a later part fail, what was measured is there
    Console().print(metrics.table(metrics.rows(values)))


def measure(parts: tuple[str, ...], log: Console) -> Iterator[metrics.Values]:
    """Run these parts, each of the first kind on a sandbox as new; their values one by one."""

    def timed(name: str, run: Callable[[], metrics.Values]) -> metrics.Values:
        begun = time.perf_counter()
        values = run()
        log.print(f"{name}: {time.perf_counter() - begun:.0f} s", style="dim")
        return values

    with tempfile.TemporaryFile("w+") as words, Sandbox.start(log=words) as sandbox:
        for name in (name for name in HERE if name in parts):
            with Bench.open(sandbox) as bench:
                yield timed(name, partial(HERE[name], bench))
        if SCALE in parts:
            yield timed(SCALE, lambda: scale(sandbox, log))
        if chosen := [name for name in AS_PROCESSES if name in parts]:
            with processes.up(sandbox) as office:
                for name in chosen:
                    yield timed(name, partial(AS_PROCESSES[name], office))


if __name__ == "__main__":
    main()
