"""What happens to items in the CRM, by people who work there."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING

from sync.model import RecordRef
from tests.engine import people

if TYPE_CHECKING:
    from tests.engine.town import Town

ITEMS = ("opportunity", "case")
CLOSED = {"opportunity": "Closed Won", "case": "Closed"}
OPEN = {"opportunity": "Negotiation", "case": "Working"}


def items(town: Town) -> list[RecordRef]:
    return [record for record in town.office.crm.org.records if record.kind in ITEMS]


def users(town: Town) -> dict[str, RecordRef]:
    """By address."""
    records = town.office.crm.org.records.items()
    return {fields["email"]: record for record, fields in records if record.kind == "user"}


def new_item(town: Town, pick: int) -> None:
    desk = town.desks[pick % len(town.desks)]
    owner = users(town)[desk.address]
    made = town.office.crm.item(ITEMS[pick % 2], f"{town.fresh('Widgets')} / {pick}", owner=owner)
    town.made.add(made)


def _on(deed: Callable[[Town, RecordRef, int], None]) -> Callable[[Town, int], None]:
    def act(town: Town, pick: int) -> None:
        found = items(town)
        if found:
            deed(town, found[-1 - pick % len(found)], pick)

    return act


def _edit(town: Town, item: RecordRef, pick: int) -> None:
    amount = {"amount": str(1000 * (pick + 1))} if item.kind == "opportunity" else {}
    town.office.crm.edit(item, title=town.fresh("Retitled"), **amount)


def _close(town: Town, item: RecordRef, pick: int) -> None:
    town.office.crm.edit(item, status=CLOSED[item.kind])


def _reopen(town: Town, item: RecordRef, pick: int) -> None:
    town.office.crm.edit(item, status=OPEN[item.kind])


def _reassign(town: Town, item: RecordRef, pick: int) -> None:
    desk = town.desks[pick % len(town.desks)]
    town.office.crm.edit(item, owner=users(town)[desk.address])


def _delete(town: Town, item: RecordRef, pick: int) -> None:
    town.office.crm.delete(item)
    for key, waves in town.asked.items():
        if any(target.id == item.id or target.action == "create" for wave in waves for target in wave):
            town.vague.add(key)


def edit_contact(town: Town, pick: int) -> None:
    """One that may have been created for a mail: undo leaves it."""
    org = town.office.crm.org
    found = [record for record in org.records if record.kind == "contact"]
    if found:
        org.stamp(found[-1 - pick % len(found)])


CRM_DEEDS: MappingProxyType[str, Callable[[Town, int], None]] = MappingProxyType(
    {
        **people.CRM_DEEDS,
        "new item": new_item,
        "edit an item": _on(_edit),
        "close an item": _on(_close),
        "reopen an item": _on(_reopen),
        "reassign an item": _on(_reassign),
        "delete an item": _on(_delete),
        "edit a contact": edit_contact,
    }
)
ITEM_DEEDS = tuple(sorted(CRM_DEEDS.keys() - people.CRM_DEEDS.keys()))


def crm(town: Town, deed: str, pick: int) -> None:
    CRM_DEEDS[deed](town, pick)
