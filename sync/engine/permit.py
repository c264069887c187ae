"""The last look before a call that writes: is the work still ours? (docs/adr/0004-guard-time.md)

A process can stand still anywhere: stopped, swapped out, its machine paused. When it goes on after its claims have
ended, somebody else may have done its work, and a call that it sends then doubles a record.
"""

from __future__ import annotations

from collections.abc import Sequence

from sync.engine.work import Moment, Work
from sync.errors import Busy

SHARE = 0.25  # of the guard: how old a confirmation may be when bytes leave
TRIES = 3
OTHER_WAIT = 1.0  # seconds until we look again at what somebody else has taken over


class Permit:
    """For the adapter to call right before every piece of a request leaves. It returns when the store has confirmed,
    less than a quarter of the guard ago, that lease and claims are ours; a confirmation renews them all, so that nobody
    else begins for three quarters of the guard after the piece.

    Raises `LeaseLost` or `Busy`: then nothing more may be sent, and what was not sent whole has no effect.
    """

    def __init__(self, work: Work, filings: Sequence[int], creations: int) -> None:
        """`creations`: how many people and accounts these filings have claimed to create."""
        self._work, self._filings, self._creations = work, frozenset(filings), creations
        self._confirmed: Moment | None = None

    def __call__(self) -> None:
        for _ in range(TRIES):
            if self._fresh():
                return
            self._confirm()
        if not self._fresh():
            raise Busy("the store confirms too slowly that the work is ours", retry_after=OTHER_WAIT)

    def _fresh(self) -> bool:
        return self._confirmed is not None and self._work.age(self._confirmed) < self._work.guard_seconds * SHARE

    def _confirm(self) -> None:
        """The time is taken before the store is asked: a pause in between makes the answer old."""
        work, asked = self._work, self._work.moment()
        ids = sorted(self._filings)
        with work.commit() as tx:
            held = tx.hold(ids, work.who, asked[0] + work.guard_seconds)
            if held != self._filings or tx.creating(ids) != self._creations:
                raise Busy("somebody else has taken the work over", retry_after=OTHER_WAIT)
        self._confirmed = asked
