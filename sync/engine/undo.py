"""Take back what a mail wrote: its records, what was created with them and nobody has touched since, its marks, its
follow (product.md 9 F6.6, 23.2 win 3).

All filings of the mail are undone together, by whichever mailbox was asked. Nothing is remembered in between: killed
anywhere, it is done again, and what is gone already counts as taken back.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from sync.engine import follow
from sync.engine.work import Work
from sync.errors import Busy, Denied, RemoteError
from sync.model import Outcome, RecordRef, Removal, Target
from sync.store.rows import Filing, Sighting

log = structlog.get_logger()

TRIGGER = "undo"
OTHER_WAIT = 1.0
FAILED_WAIT = 30.0
WRITTEN = ("done", "moved", "parked", "undone")  # states in which nothing is under way
_ORDER = ("contact", "lead", "account")  # items go first


def run(work: Work, claimed: Sequence[Sighting]) -> list[Sighting]:
    """Do what the user wants to have undone or stopped; the sightings that are to be filed come back."""
    rest = follow.stop(work, claimed)
    wanted = [one for one in rest if one.trigger == TRIGGER]
    for sighting in wanted:
        _undo(work, sighting)
    return [one for one in rest if one not in wanted]


def _undo(work: Work, sighting: Sighting) -> None:
    now, connection = work.clock(), work.ports.crm_connection
    with work.commit() as tx:
        filings = tx.filings_with(connection, sighting.filing_id)
        won = tx.claim_filings([one.id for one in filings], work.who, now, now + work.guard_seconds)
        if len(won) < len(filings) or any(one.state not in WRITTEN for one in won.values()):
            tx.unclaim_filings(list(won), work.who)
            tx.defer([sighting.id], now + OTHER_WAIT)
            return
    ours = sorted(won.values(), key=lambda one: one.id)
    try:
        outcome = work.ports.crm.undo([removal(ours)])[0]
    except (Busy, Denied) as error:
        with work.commit() as tx:
            tx.unclaim_filings(list(won), work.who)
            tx.defer([sighting.id], now + (error.retry_after if isinstance(error, Busy) else FAILED_WAIT))
        raise
    _conclude(work, sighting, ours, outcome)


def _conclude(work: Work, sighting: Sighting, filings: Sequence[Filing], outcome: Outcome) -> None:
    ids = [one.id for one in filings]
    with work.commit() as tx:
        if outcome.error is None:
            work.knock |= tx.undone(ids, {"undo": {"left": list(outcome.notes)}}, work.clock())
            items = {record.id for one in filings if (record := _item(one)) is not None}
            work.knock |= tx.touch_items(work.ports.crm_connection, sorted(items))
            return
        tx.unclaim_filings(ids, work.who)
        _not_now(work, sighting, outcome.error)
        busy = isinstance(outcome.error, Busy)
        wait = outcome.error.retry_after if isinstance(outcome.error, Busy) else FAILED_WAIT
        if busy or sighting.attempts < 3:
            tx.defer([sighting.id], work.clock() + wait, refund=busy)
        else:  # it stays as it was, and the trace says why
            tx.note_undo(ids, outcome.error.detail)
            tx.decide([sighting.id], "done")


def _not_now(work: Work, sighting: Sighting, error: RemoteError) -> None:
    log.warning("undo.refused", mailbox=work.lease.mailbox_id, sighting=sighting.id, error=type(error).__name__)


def _item(filing: Filing) -> RecordRef | None:
    target = Target.parse(filing.target)
    if target.action == "record":
        return RecordRef(target.kind, target.id)
    return RecordRef(*filing.records["@item"]) if "@item" in filing.records else None


def removal(filings: Sequence[Filing]) -> Removal:
    """What all these filings of one mail wrote. Records that were there before get back what they had."""
    adopted: dict[RecordRef, RecordRef | None] = {}
    added: set[tuple[RecordRef, RecordRef]] = set()
    activities: dict[RecordRef, None] = {}
    created: dict[RecordRef, None] = {}
    for one in filings:
        records = {name: RecordRef(*value) for name, value in one.records.items()}
        if "adopted" in records:
            adopted.setdefault(records["adopted"], records.get("former"))
        for name, record in records.items():
            if name.startswith("@"):
                created[record] = None
            elif name == "activity" or name.startswith("activity."):
                activities[record] = None
            elif name.startswith("added."):
                added.add((records["activity"], record))
    return Removal(
        str(filings[0].id) if filings else "",
        restore=tuple(adopted.items()),
        unrelate=tuple(sorted(((a, p) for a, p in added if a in adopted), key=lambda pair: (pair[0].id, pair[1].id))),
        delete=tuple(record for record in activities if record not in adopted),
        created=tuple(sorted(created, key=lambda record: (_rank(record.kind), record.id))),
    )


def _rank(kind: str) -> int:
    return _ORDER.index(kind) + 1 if kind in _ORDER else 0
