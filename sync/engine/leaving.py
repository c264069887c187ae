"""What goes from the mailbox again: leaves and summaries of items that leave, or that the policy shows otherwise.

A mail that lies in a leaf is filed before the leaf goes (product.md 9 F3.7): it is looked into right before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from sync.core import pace
from sync.core.labels import Enabled
from sync.engine import pull
from sync.engine.work import Work
from sync.errors import Busy, Conflict, RemoteError
from sync.model import Seen
from sync.modules import ModuleItem
from sync.store.rows import StoredItem

log = structlog.get_logger()

WAIT_SECONDS = 60.0  # before another try to remove a leaf in which a mail lies
STRIKES = 8
FAILED_SECONDS = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """One item and what the mailbox shall show of it. `item` is None when nothing is to be shown any more."""

    row: StoredItem
    enabled: Enabled | None
    item: ModuleItem | None
    leaving: bool = False


def failed(work: Work, row: StoredItem, error: RemoteError) -> StoredItem:
    """One item's trouble keeps none of the others."""
    attempts = row.attempts + 1
    wait = error.retry_after if isinstance(error, Busy) else pace.back_off(attempts, row.record_id)
    if attempts >= STRIKES:
        wait = FAILED_SECONDS
    log.warning(
        "item.failed", mailbox=work.lease.mailbox_id, kind=row.kind, record=row.record_id, error=type(error).__name__
    )
    return replace(row, due=True, attempts=attempts, not_before=work.clock() + wait)


def leave(work: Work, wanted: Sequence[Wanted]) -> None:
    """A mail that lies in a leaf is filed first (product.md 9 F3.7): the leaf is looked into right before it goes."""
    rows = [one.row for one in wanted]
    leaf_errors, note_errors = _take_away(work, [r for r in rows if r.leaf_id], [r for r in rows if r.note_id])
    out = []
    for row in rows:
        note_error, leaf_error = note_errors.get(row.record_id), leaf_errors.get(row.record_id)
        if note_error is None:
            row = replace(row, note_id=None, note_digest=None)
        if isinstance(leaf_error, Conflict):
            out.append(replace(row, due=True, not_before=work.clock() + WAIT_SECONDS))
        elif (error := note_error or leaf_error) is not None:
            out.append(failed(work, row, error))
        else:
            out.append(
                replace(row, state="closed", leaf_id=None, leaf_digest=None, due=False, attempts=0, not_before=0.0)
            )
    if out:
        with work.commit() as tx:
            tx.keep_items(out)


def unwanted(work: Work, one: Wanted) -> bool:
    """Whether something is there of an item that stays, which the policy does not show any more."""
    return _unwanted_leaf(work, one) or _unwanted_note(work, one)


def _unwanted_leaf(work: Work, one: Wanted) -> bool:
    assert one.enabled is not None, "an item that stays is there"
    return one.row.leaf_id is not None and not one.enabled.assign_to(work.ports.policy)


def _unwanted_note(work: Work, one: Wanted) -> bool:
    assert one.enabled is not None, "an item that stays is there"
    return one.row.note_id is not None and not one.enabled.summaries(work.ports.policy)


def shed(work: Work, wanted: Sequence[Wanted]) -> list[Wanted]:
    """Items that stay, without what the policy does not show of them any more. What could not go is still there."""
    leafy = [one.row for one in wanted if _unwanted_leaf(work, one)]
    noted = [one.row for one in wanted if _unwanted_note(work, one)]
    leaf_errors, note_errors = _take_away(work, leafy, noted)
    bare = {row.record_id for row in leafy} - leaf_errors.keys()
    silent = {row.record_id for row in noted} - note_errors.keys()
    out = []
    for one in wanted:
        row = one.row
        if row.record_id in bare:
            row = replace(row, leaf_id=None, leaf_digest=None)
        if row.record_id in silent:
            row = replace(row, note_id=None, note_digest=None)
        out.append(replace(one, row=row))
    return out


def _take_away(
    work: Work, leafy: Sequence[StoredItem], noted: Sequence[StoredItem]
) -> tuple[dict[str, RemoteError], dict[str, RemoteError]]:
    """Remove the leaves of the one and the summaries of the other; what kept some there, by record id. A leaf with a
    mail in it stays: `Conflict`."""
    full = _file_first(work, [row.leaf_id for row in leafy if row.leaf_id])
    kept: dict[str, RemoteError] = {
        row.record_id: Conflict("a mail lies in it") for row in leafy if row.leaf_id in full
    }
    empty = [row for row in leafy if row.record_id not in kept]
    removed = work.ports.mail.remove([row.leaf_id or "" for row in empty]) if empty else ()
    taken = work.ports.mail.take([row.note_id or "" for row in noted]) if noted else ()
    kept |= {row.record_id: one.error for row, one in zip(empty, removed, strict=True) if one.error is not None}
    return kept, {row.record_id: one.error for row, one in zip(noted, taken, strict=True) if one.error is not None}


def _file_first(work: Work, leaf_ids: Sequence[str]) -> frozenset[str]:
    """The leaves in which mails lie; these are seen, so the next round files them."""
    lying: Sequence[Seen] = work.ports.mail.dropped(list(leaf_ids)) if leaf_ids else ()
    if lying:
        pull.record(work, lying)
    return frozenset(label for one in lying for label in one.labels)
