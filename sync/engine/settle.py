"""The common ending (product.md 9 R): drop label off, home to Inbox or Sent, the marker on; one call for many mails."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from sync.core.reasons import REASONS
from sync.engine import tree
from sync.engine.work import Work
from sync.errors import Busy, Conflict, Denied, Missing, Rejected
from sync.model import Mark
from sync.store.rows import Sighting

log = structlog.get_logger()

BATCH = 50
FOLLOWED = "marker.followed"
MARKERS = {"done": "marker.done", "missing": "marker.missing", "parked": "marker.error"}


def settle(work: Work) -> None:
    """Settle everything that is decided. Raises `Busy` when the mailbox cannot take it now; nothing is lost by that."""
    retried = False
    while True:
        with work.commit() as tx:
            decided = tx.decided(BATCH)
        if not decided:
            return
        _make_reasons(work, decided)
        by_message: dict[str, list[Sighting]] = defaultdict(list)
        for sighting in decided:
            by_message[sighting.remote_id].append(sighting)
        marks = [_mark(work, sightings) for sightings in by_message.values()]
        before = work.spent()
        outcomes = work.ports.mail.settle(marks)
        spent = work.since(before)
        finished: list[int] = []
        errors: list[Exception] = []
        for mark, outcome in zip(marks, outcomes, strict=True):
            if isinstance(outcome.error, Rejected):  # it will be refused for ever: the CRM side is done, so is this
                log.error("settle.refused", mailbox=work.lease.mailbox_id, error=str(outcome.error))
            if outcome.ok or isinstance(outcome.error, (Missing, Rejected)):
                finished += [sighting.id for sighting in by_message[mark.id]]
            elif outcome.error is not None:
                errors.append(outcome.error)
        with work.commit() as tx:
            tx.settle(finished, work.clock())
            tx.record_calls({s.id: _sum(s.calls or {}, spent) for s in decided if s.id in finished})
        if errors:
            _judge(work, errors, retried)
            retried = True
        elif len(decided) < BATCH:
            return


def _sum(calls: Mapping[str, Mapping[str, float]], more: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Calls and units by vendor, together."""
    return {
        vendor: {
            name: calls.get(vendor, {}).get(name, 0) + more.get(vendor, {}).get(name, 0) for name in ("calls", "units")
        }
        for vendor in {**calls, **more}
    }


def _mark(work: Work, sightings: Sequence[Sighting]) -> Mark:
    """One mark for all that was decided about one message; the marks of an earlier try come off. What was withdrawn
    says nothing new about the mail: it keeps them."""
    add = {work.labels[_marker(work, s)] for s in sightings if s.outcome in MARKERS}
    add |= {work.labels[f"reason.{s.reason}"] for s in sightings if f"reason.{s.reason}" in work.labels}
    news = any(s.outcome != "withdrawn" for s in sightings)
    ours = {remote for key, remote in work.labels.items() if news and key.startswith(("marker.", "reason."))}
    drops = frozenset(label for s in sightings for label in s.labels)
    home = any(s.trigger in ("label", "folder") and not s.archived for s in sightings)
    return Mark(sightings[0].remote_id, (drops | ours) - add, frozenset(add), home)


def _marker(work: Work, sighting: Sighting) -> str:
    """What was followed wears another marker than what was filed by hand (product.md 9 F7.4)."""
    if sighting.outcome == "done" and sighting.trigger == "follow" and FOLLOWED in work.labels:
        return FOLLOWED
    return MARKERS[sighting.outcome or "done"]


def _make_reasons(work: Work, decided: Sequence[Sighting]) -> None:
    codes = {
        s.reason for s in decided if s.reason is not None and s.reason in REASONS and s.outcome in ("missing", "parked")
    }
    if any(f"reason.{code}" not in work.labels for code in codes):
        tree.ensure(work, sorted(codes))


def _judge(work: Work, errors: Sequence[Exception], retried: bool) -> None:
    """A label vanished under our hands: make the tree whole and try once more. Anything else waits."""
    for error in errors:
        if isinstance(error, (Busy, Denied)):
            raise error
    if all(isinstance(error, Conflict) for error in errors) and not retried:
        tree.ensure(work)
        return
    log.warning("settle.refused", mailbox=work.lease.mailbox_id, errors=[type(error).__name__ for error in errors])
    raise Busy(f"the mailbox refused {len(errors)} marks: {errors[0]}", retry_after=60)
