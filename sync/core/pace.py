"""When to look at a mailbox next, and how long to wait after a failure. The clock is an argument: epoch seconds."""

from __future__ import annotations

import hashlib

from sync.policy import Policy

_TIERS = ((900.0, 1), (7200.0, 2), (float("inf"), 4))
"""(quiet for less than this many seconds, look that many times less often): people drop mails in bursts."""

SLOWEST_POLL = 300.0
"""Seconds between looks at the changes of a mailbox that nobody uses; the incumbent's fastest (product.md 22)."""

_WAITS = (2.0, 8.0, 30.0, 120.0, 600.0, 3600.0)
"""Seconds after the first, second ... failure: within seconds at first, then every hour (product.md 19 X1)."""


def next_due(policy: Policy, now: float, last_activity: float | None, push_healthy: bool) -> float:
    """When to look next if nothing calls before.

    With a healthy push the sweep alone is due; else the changes are polled, more often where somebody was active lately
    (`last_activity`: the latest drop or change that mattered, None: never). Never later than the sweep.
    """
    sweep = policy.sweep_minutes * 60.0
    if push_healthy:
        return now + sweep
    quiet = now - last_activity if last_activity is not None else float("inf")
    factor = next(times for most, times in _TIERS if quiet < most or most == float("inf"))
    base = float(policy.drop_poll_seconds)
    return now + min(max(base, min(base * factor, SLOWEST_POLL)), sweep)


def back_off(attempts: int, key: str = "") -> float:
    """Seconds to wait after `attempts` failures (>= 1). The jitter of +-20 % is a function of `key`, so that mailboxes
    which failed together do not come back together, and a test can tell what to expect."""
    wait = _WAITS[min(max(attempts, 1), len(_WAITS)) - 1]
    seed = hashlib.sha256(f"{key}\x1f{attempts}".encode()).digest()
    return wait * (0.8 + 0.4 * int.from_bytes(seed[:4]) / 0xFFFFFFFF)
