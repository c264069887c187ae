"""Look at the mailbox, decide what to file, and commit that together with the new cursor (design.md 4, 2 to 4)."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from sync.core import intake
from sync.engine import follow, tree
from sync.engine.work import Work
from sync.errors import CursorExpired
from sync.model import Message, Seen
from sync.store import reading
from sync.store.rows import NewSighting

log = structlog.get_logger()

STREAM = "mail"
TRIGGER_SECONDS = 60.0  # in which a person sets so many trigger categories and no more (policy trigger_burst)
RESCAN_SECONDS = 90 * 86400.0  # conversations that began before that are not looked through after a lost cursor
LEVEL = "items"  # when all items were listed last, and for which policy
LEAVES = "leaves"  # when the Assign To leaves were looked into last: epoch seconds
LEAVES_SECONDS = 6 * 3600.0
ACTIVITY = "activity"  # when somebody dropped something last, or was connected: epoch seconds


def pull(work: Work) -> bool:
    """Read what changed, page by page; at first sync, after an expired cursor and at every sweep also what lies there.
    Whether something from before waits to be settled.

    The cursor is taken before the level is read, so that what happens in between is seen by the next look.
    """
    now = work.clock()
    with work.commit() as tx:
        cursor = tx.cursor(STREAM)
        swept_at, remembered, waiting = tx.swept_at(), tx.labels(), bool(tx.decided(1))
        work.user, work.level = tx.user(), tx.cursor(LEVEL) or ""
        work.unusable = tx.cursor(reading.UNUSABLE) or ""
        leaves, leaves_at = tx.leaves(), float(tx.cursor(LEAVES) or 0)
    work.know_leaves(leaves)
    sweep = cursor is None or now - swept_at >= work.ports.policy.sweep_minutes * 60
    if not tree.load(work, remembered) or sweep:
        tree.ensure(work)
    if cursor is not None:
        try:
            _follow(work, cursor)
        except CursorExpired:
            cursor, sweep = None, True
    if cursor is None:
        try:
            cursor = work.ports.mail.changes(None, sorted(work.drops)).cursor
        except (
            CursorExpired
        ) as error:  # of a new one: what lies there can be read all the same; the next look tries again
            log.warning("cursor.refused", mailbox=work.lease.mailbox_id, error=str(error))
        _sweep(work, cursor, leaves=True)
    elif sweep:
        _sweep(work, None, leaves=bool(leaves) and now - leaves_at >= LEAVES_SECONDS)
    return waiting


def _follow(work: Work, cursor: str) -> None:
    while True:
        page = work.ports.mail.changes(cursor, sorted(work.drops))
        if page.changed or page.cursor != cursor:
            _commit(work, page.changed, page.cursor)
        if not page.more:
            return
        cursor = page.cursor


def _sweep(work: Work, cursor: str | None, *, leaves: bool) -> None:
    """Hundreds of leaves are looked into less often than the few drop labels, as each costs quota."""
    seen = work.ports.mail.dropped(sorted(drop for drop in work.drops if leaves or drop not in work.leaves))
    _commit(work, seen, cursor, swept=True)
    if leaves:
        with work.commit() as tx:
            tx.set_cursor(LEAVES, f"{work.clock():.0f}")


def record(work: Work, seen: Sequence[Seen]) -> None:
    """Note what lies there, apart from any cursor."""
    _commit(work, seen, None)


def _commit(work: Work, seen: Sequence[Seen], cursor: str | None, *, swept: bool = False) -> None:
    now = work.clock()
    put = [
        NewSighting(i.message, i.thread, i.target.key, i.labels, i.archived, i.trigger)
        for i in intake.decide(seen, work.drops)
    ]
    maybe = follow.may_split(work, seen)
    splits = [one for one in work.ports.mail.read(maybe).values() if isinstance(one, Message)] if maybe else []
    with work.commit() as tx:
        followed = follow.arrivals(work, tx, seen, frozenset(one.remote_id for one in put), splits)
        new = tx.see([*put, *followed], now)
        held = tx.hold_triggers(now, now - TRIGGER_SECONDS, work.ports.policy.trigger_burst)
        if new or (swept and cursor is not None):  # who has just been connected will soon try it
            tx.set_cursor(ACTIVITY, f"{now:.0f}")
        if cursor is not None:
            tx.set_cursor(STREAM, cursor)
        if swept:
            tx.swept(now)
            if cursor is not None:  # changes were missed: what arrived in followed conversations, too
                tx.rescan_follows(now - RESCAN_SECONDS)
    if held:
        log.warning("triggers.held", mailbox=work.lease.mailbox_id, mails=held)
