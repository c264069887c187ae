"""Where in the CRM a mail goes that is filed to a target, given what is there already (product.md 9 F2, F3, F7.6).

A mail has one main record, found by its Message-ID; it is related to one item at most. What a further target means:

| the main record | target: none (archive) | target: an item, or one to create |
|---|---|---|
| is not there | is written | is written, related to the item |
| is related to no item | is kept | is related to the item |
| is related to that item | is kept | is kept |
| is related to another item, asked for at the same time | is kept | a task beside it, related to the item |
| is related to another item, filed before this was asked for | is kept | moves to this item |

So a mail that is put into two leaves at once is in the history of both, and one that is put into another leaf later is
moved there. Not every CRM has a field for the Message-ID on every kind of record: then our own journal says which
record it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sync.model import Filed, RecordRef, Target


@dataclass(frozen=True, slots=True)
class Before:
    """Another filing of the same mail. `item` is where it put the mail, None for an archive; `activity` its record;
    `earlier`: it was done before the user asked for the one at hand."""

    key: int
    item: RecordRef | None
    activity: RecordRef | None
    earlier: bool


@dataclass(frozen=True, slots=True)
class Place:
    """`existing` is added to instead of writing a new record; `beside` says that the new record is a task beside the
    main one. `item` is None for an archive and, with `create`, until it is made. `leaves` is the filing that ends by
    the move."""

    existing: Filed | None = None
    item: RecordRef | None = None
    create: bool = False
    beside: bool = False
    moved_from: RecordRef | None = None
    leaves: tuple[int, ...] = ()
    adopted: bool = False  # the existing record is not ours


def place(
    target: Target,
    main: Filed | None,
    beside: Filed | None,
    before: Sequence[Before],
    ours: RecordRef | None,
    made: RecordRef | None,
    *,
    unsure: bool = False,
) -> Place:
    """`main` is the mail's main record; `beside` a task of this very target that a lost call may have written; `ours`
    the record of an earlier try of this filing; `made` the item that it created earlier, if that is still there.
    `unsure`: an earlier call of this filing had no answer."""
    known = {one.activity for one in before if one.activity} | ({ours} if ours else set())
    adopted = main is not None and main.record not in known
    if target.action == "archive":
        return Place(existing=main, adopted=adopted)
    item = made if target.action == "create" else RecordRef(target.kind, target.id)
    if item is None and unsure:
        item = _lost(target, main, beside, before)
    create = item is None
    if main is None:
        return Place(existing=beside, item=item, create=create)
    if main.item is None or main.item == item:
        return Place(existing=main, item=item, create=create, adopted=adopted)
    if beside is not None and beside.item is not None and beside.item == item:
        return Place(existing=beside, item=item, beside=True)
    left = [one for one in before if one.earlier and one.item is not None and one.item != item]
    if left:
        first = next((one for one in left if one.item == main.item), left[0])
        record = main if first.item == main.item or first.activity is None else Filed(first.activity, item=first.item)
        return Place(
            existing=record,
            item=item,
            create=create,
            moved_from=first.item,
            leaves=(first.key,),
            adopted=adopted and record is main,
        )
    return Place(item=item, create=create, beside=True)


def _lost(target: Target, main: Filed | None, beside: Filed | None, before: Sequence[Before]) -> RecordRef | None:
    """The item that an earlier call without an answer made: the mail is related to one of that kind which no other
    filing of the mail put it to. Only asked for after such a call: `beside` and `main` then tell what it wrote."""
    others = {one.item for one in before}
    for found in (beside, main):
        item = found.item if found else None
        if item is not None and item.kind == target.kind and item not in others:
            return item
    return None
