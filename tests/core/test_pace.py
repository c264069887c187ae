"""When to look next; how long to wait after a failure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.core.pace import SLOWEST_POLL, back_off, next_due
from sync.policy import Policy

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("poll", "sweep", "quiet", "push", "wait"),
    [
        (30, 10, 0, True, 600),
        (30, 10, None, True, 600),
        (30, 10, 0, False, 30),
        (30, 10, 899, False, 30),
        (30, 10, 901, False, 60),
        (30, 10, 7201, False, 120),
        (30, 10, None, False, 120),
        (200, 60, None, False, SLOWEST_POLL),
        (900, 60, None, False, 900),  # the admin wants it slow
        (900, 1, 0, False, 60),  # the sweep comes first
        (30, 10, -5, False, 30),  # clocks differ
    ],
)
def test_next_due(poll: int, sweep: int, quiet: float | None, push: bool, wait: float) -> None:
    policy = Policy(drop_poll_seconds=poll, sweep_minutes=sweep)
    assert next_due(policy, NOW, None if quiet is None else NOW - quiet, push) == NOW + wait


@pytest.mark.parametrize(
    ("attempts", "wait"), [(0, 2), (1, 2), (2, 8), (3, 30), (4, 120), (5, 600), (6, 3600), (99, 3600)]
)
def test_back_off(attempts: int, wait: float) -> None:
    for key in ("a", "b", ""):
        assert 0.8 * wait <= back_off(attempts, key) <= 1.2 * wait


@given(st.integers(min_value=1, max_value=50), st.text(max_size=20))
def test_jitter_is_a_function_of_the_key(attempts: int, key: str) -> None:
    assert back_off(attempts, key) == back_off(attempts, key)


def test_mailboxes_that_failed_together_do_not_come_back_together() -> None:
    assert len({round(back_off(3, f"mailbox{n}"), 3) for n in range(50)}) > 40
