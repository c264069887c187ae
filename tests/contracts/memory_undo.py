"""Taking back in the CRM in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sync.model import Outcome, RecordRef, Removal

if TYPE_CHECKING:
    from tests.contracts.memory_crm import Org


def undo(org: Org, removal: Removal) -> Outcome:
    notes: list[str] = []
    gone = set(removal.delete)
    former = dict(removal.restore)
    kept = []
    for one in org.activities:
        if one.record in gone:
            org.drop(one.record)
            continue
        if one.record in former:
            item = former[one.record]
            one = replace(one, items=frozenset({item} if item else ()))
        people = frozenset(pair for pair in one.related if (one.record, pair[1]) not in removal.unrelate)
        kept.append(replace(one, related=people))
    org.activities[:] = kept
    for record in removal.created:
        if record not in org.records:
            continue
        why = "it has been changed since" if org.stamps[record][0] != org.born[record] else ""
        if not why and _held(org, record):
            why = "other records belong to it"
        if why:
            notes.append(f"{record.kind} {record.id} left: {why}")
        else:
            org.drop(record)
    return Outcome(removal.key, None, {}, tuple(notes))


def _held(org: Org, record: RecordRef) -> bool:
    """Whether an activity or another record needs it."""
    if any(record in one.people or record in one.items for one in org.activities):
        return True
    return any(record.id in (fields.get("account"), fields.get("contact")) for fields in org.records.values())
