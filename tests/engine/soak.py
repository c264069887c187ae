"""Thousands of steps of `Users` with new random numbers: `python -m tests.engine.soak --steps 10000 --seed 7`.

Prints the seed and the result; the same seed tells the same stories. A story that fails is printed; with
`--shrink` it is shortened before.
"""

from __future__ import annotations

import secrets
import sys
import time
from itertools import count

import click
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import get_state_machine_test

from tests.engine.test_machine import Users, valkey

STORY = 100  # steps
PROGRESS_SECONDS = 15.0
COUNTED = ("drops", "filed", "undone", "followed", "items", "crashes", "sleeps", "faults", "budget waits")


class Told(Users):
    """Tells now and then how far it has come."""

    started = time.monotonic()
    told = started

    def teardown(self) -> None:
        super().teardown()
        if time.monotonic() - Told.told > PROGRESS_SECONDS:
            Told.told = time.monotonic()
            seconds = Told.told - Told.started
            click.echo(f"  {_counts()} in {seconds:.0f} s, {Users.steps / seconds:.0f} steps/s")


@click.command()
@click.option("--steps", default=10_000, help="At least so many steps.")
@click.option("--seed", "number", type=int, help="Of an earlier run; else a new one.")
@click.option("--shrink", is_flag=True, help="Shorten a story that fails, which may take long.")
def main(steps: int, number: int | None, shrink: bool) -> None:
    """Tell random stories of users, faults and crashes to the engine until one fails or there were enough steps."""
    number = secrets.randbelow(1_000_000) if number is None else number
    click.echo(f"seed {number}, {steps} steps in stories of {STORY}")
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    how = settings(
        max_examples=min(-(-steps // STORY), 25),
        stateful_step_count=STORY,
        deadline=None,
        database=None,
        phases=phases,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    started = time.monotonic()
    try:
        with valkey() as Users.redis:
            for part in count(number * 1000):  # a story may end early
                if Users.steps >= steps:
                    break
                seed(part)(get_state_machine_test(Told, settings=how))()
    except Exception:
        click.echo(f"FAILED: seed {number}, {_counts()}, {time.monotonic() - started:.0f} s", err=True)
        raise
    for moment, times in sorted(Users.seen.items()):
        if moment not in COUNTED:
            click.echo(f"  {times:5} times {moment}")
    click.echo(f"passed: seed {number}, {_counts()}, {time.monotonic() - started:.0f} s: nothing lost or doubled")


def _counts() -> str:
    return ", ".join([f"{Users.steps} steps", *(f"{Users.seen[what]} {what}" for what in COUNTED)])


if __name__ == "__main__":
    sys.exit(main())
