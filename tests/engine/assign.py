"""What people do with items and conversations: drop on `- Create New ...`, put into leaves, answer, stop following,
undo, and what they do to leaves and to summaries by mistake."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING

from sync.core import follow as rules
from sync.model import RecordRef, Target
from tests.engine import people

if TYPE_CHECKING:
    from tests.engine.office import Desk
    from tests.engine.town import Copy, Town

KIM = "Kimberly Leemann <kim@widgets.example>"


# --- a mail ---------------------------------------------------------------------------------------------------------


def create(town: Town, copy: Copy) -> None:
    _create(town, copy, "opportunity")


def create_case(town: Town, copy: Copy) -> None:
    _create(town, copy, "case")


def _create(town: Town, copy: Copy, kind: str) -> None:
    people.put(town, copy, town.role(copy.desk, f"drop.create.{kind}"), Target("create", kind))


def category_creates(town: Town, copy: Copy) -> None:
    people.set_category(town, copy, "trigger.new case", Target("create", "case"))


def leaves(town: Town, desk: Desk) -> list[tuple[str, RecordRef]]:
    """Those that are there, by their ids."""
    there = desk.box.labels()
    return sorted(((key, item) for key, item in town.leaves[desk.id].items() if key in there), key=lambda one: one[0])


def _leaf(town: Town, copy: Copy, which: int, *, move: bool = True) -> None:
    found = leaves(town, copy.desk)
    if found:
        label, item = found[which % len(found)]
        people.put(town, copy, label, Target("record", item.kind, item.id), move=move)


def assign(town: Town, copy: Copy) -> None:
    _leaf(town, copy, len(copy.message_id) + town.number)


def assign_again(town: Town, copy: Copy) -> None:
    """To another leaf than the last time, most often."""
    _leaf(town, copy, town.number // 3)


def assign_copy(town: Town, copy: Copy) -> None:
    _leaf(town, copy, town.number, move=False)


def assign_to_two(town: Town, copy: Copy) -> None:
    """Two leaves before anybody looks, where a mail can lie in two."""
    found = leaves(town, copy.desk)
    if copy.desk.places or len(found) < 2 or town.lies_dropped(copy):
        return assign(town, copy)
    free = not town.under_way(copy.message_id) and copy.message_id not in town.vague
    _leaf(town, copy, town.number)
    _leaf(town, copy, town.number + 1)
    waves = town.asked.get(copy.message_id, [])
    if free and len(waves) > 1:
        last = waves.pop()
        waves[-1] |= last
        town.vague.discard(copy.message_id)
    return None


def stop(town: Town, copy: Copy) -> None:
    """`Stop Following`."""
    label = town.role(copy.desk, "trigger.stop")
    if label is not None and label not in copy.labels:
        copy.desk.box.drop(copy.key, label, move=False)
        town.expect_nothing()


def undo(town: Town, copy: Copy) -> None:
    """`mailspan undo`. Nothing is left of it, unless somebody drops it, or a mail of its conversation, again."""
    key = copy.message_id
    same = [one for one in town.copies if one.message_id == key]
    lies = town.under_way(key)
    found = town.office.store.undo(town.office.store.hash(key))
    if not found.filings:
        return
    town.undos += 1
    town.vague.add(key)
    town.expect_nothing()
    for one in same:
        one.owes = one.owes and town.lies_dropped(one)
    if not lies:
        town.undone.add(key)


# --- a conversation -------------------------------------------------------------------------------------------------


def _answer(town: Town, copy: Copy, *, ours: bool, subject: str) -> None:
    """To everybody who has the mail that is answered."""
    theirs = {one.desk.id: one for one in town.copies if one.message_id == copy.message_id}
    raw = town.letter(copy.desk.address if ours else KIM, KIM if ours else copy.desk.address, copy.message_id, subject)
    for mine in theirs.values():
        desk, thread = mine.desk, mine.desk.box.thread(mine.key)
        waits = _followed(town, desk, copy, subject)
        new = town.add(desk, raw, outgoing=ours and desk is copy.desk)
        new.awaited = waits and desk.box.thread(new.key) == thread


def _followed(town: Town, desk: Desk, copy: Copy, subject: str) -> bool:
    """Whether what arrives now is filed for certain: the conversation has been followed for long, and nobody is about
    to change that."""
    if town.blind or not town.office.policy.conversation_follow:
        return False
    lying = [one for one in town.copies if one.desk is desk and one.conversation == copy.conversation]
    if any(town.lies_dropped(one) for one in lying) or not lying:
        return False
    thread = desk.box.thread(lying[0].key)
    key = town.office.store.hash("subject\x1f" + rules.subject_key(subject))
    return key in town.office.followed(desk, thread)


def customer_answers(town: Town, copy: Copy) -> None:
    _answer(town, copy, ours=False, subject=f"Re: {rules.subject_key(copy.subject)}")


def customer_changes_the_subject(town: Town, copy: Copy) -> None:
    _answer(town, copy, ours=False, subject=town.fresh("Subject"))


def user_answers(town: Town, copy: Copy) -> None:
    _answer(town, copy, ours=True, subject=f"AW: {copy.subject}")


DEEDS: MappingProxyType[str, Callable[[Town, Copy], None]] = MappingProxyType(
    {
        **people.DEEDS,
        "create an opportunity": create,
        "create a case": create_case,
        "set the category that creates": category_creates,
        "assign": assign,
        "assign again": assign_again,
        "assign a copy": assign_copy,
        "assign to two": assign_to_two,
        "stop following": stop,
        "undo": undo,
        "the customer answers": customer_answers,
        "the customer changes the subject": customer_changes_the_subject,
        "the user answers": user_answers,
    }
)
ITEM_DEEDS = tuple(sorted(DEEDS.keys() - people.DEEDS.keys()))


def user(town: Town, deed: str, pick: int) -> None:
    """What one does with one mail."""
    copy = town.picked(pick)
    if copy is not None:
        DEEDS[deed](town, copy)


# --- leaves and summaries -------------------------------------------------------------------------------------------


def releaf(town: Town, who: int, pick: int, deed: str) -> None:
    """A user renames, moves or deletes a leaf."""
    desk = town.desks[who]
    found = leaves(town, desk)
    if not found:
        return
    label, _ = found[pick % len(found)]
    if deed == "rename":
        desk.box.rename_label(label, town.fresh("Renamed"))
    elif deed == "move":
        desk.box.move_label(label, town.fresh("Elsewhere"))
    else:
        people.delete_label(town, desk, label, "leaf")
    town.renamed.add(label)


def drop_summary(town: Town, who: int, pick: int) -> None:
    """A user takes a summary for a mail. It is never filed."""
    desk = town.desks[who]
    notes = sorted(key for key, one in desk.box.mails.items() if one.note is not None)
    drops = sorted(town.drops_of(desk))
    if notes and drops:
        desk.box.drop(notes[-1 - pick % len(notes)], drops[pick % len(drops)], move=True)


__all__ = ["DEEDS", "ITEM_DEEDS", "drop_summary", "leaves", "releaf", "user"]
