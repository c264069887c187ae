"""What people do: to a mail, to the labels and folders, and in the CRM. Each deed is a function in a table."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING

from sync.model import RecordRef, Target

if TYPE_CHECKING:
    from tests.engine.office import Desk
    from tests.engine.town import Copy, Town

DROP, TRIGGER = "drop.archive", "trigger.archive"
ARCHIVE = Target("archive")
OURS = (
    *(DROP, TRIGGER, "marker.done", "marker.missing", "marker.error", "marker.followed", "master"),
    *("drop.create.case", "module.case", "assign.case", "module.opportunity", "assign.opportunity"),
    *("trigger.stop", "trigger.new case"),
)
LABEL_DEEDS = ("rename", "delete", "move")


# --- a mail ---------------------------------------------------------------------------------------------------------


def drop(town: Town, copy: Copy, *, move: bool = True) -> None:
    """Put it on the drop label, or (a copy of it) into the drop folder."""
    put(town, copy, town.role(copy.desk, DROP), ARCHIVE, move=move)


def put(town: Town, copy: Copy, label: str | None, target: Target, *, move: bool = True) -> None:
    """On a drop label or leaf, or into such a folder."""
    box = copy.desk.box
    if label is None or label in copy.labels or town.copied(copy):
        return
    town.wants(copy, target)
    inbox = "INBOX" in copy.labels
    if not copy.desk.places:
        copy.home = not copy.outgoing and (inbox or (copy.home and town.lies_dropped(copy)))
    else:  # what is moved out of any folder comes to the Inbox; what is copied stays where it is
        copy.home = not copy.outgoing and (move or inbox)
    _owed(town, copy)
    key = box.drop(copy.key, label, move=move)
    copy.twin = "" if key == copy.key else key


def _owed(town: Town, copy: Copy) -> None:
    """From now on: what it wears of labels that we do not use any more cannot be how it ends."""
    current = {known.remote_id for known in town.labels(copy.desk).values()}
    copy.owes, copy.stale = True, copy.labels - current
    town.drops += 1


def drop_copy(town: Town, copy: Copy) -> None:
    drop(town, copy, move=False)


def drop_thread(town: Town, copy: Copy) -> None:
    thread = copy.desk.box.thread(copy.key)
    for one in [c for c in town.copies if c.desk is copy.desk and c.desk.box.thread(c.key) == thread]:
        drop(town, one)


def categorise(town: Town, copy: Copy) -> None:
    """It stays where it lies, or comes home if it lies in a drop."""
    set_category(town, copy, TRIGGER, ARCHIVE)


def set_category(town: Town, copy: Copy, key: str, target: Target) -> None:
    label = town.role(copy.desk, key)
    if label is None or label in copy.labels:
        return
    town.wants(copy, target)
    copy.home = not copy.outgoing and ("INBOX" in copy.labels or (copy.home and town.lies_dropped(copy)))
    _owed(town, copy)
    copy.desk.box.drop(copy.key, label, move=False)


def take_off(town: Town, copy: Copy) -> None:
    """Off the drop labels; out of the drop folder into the Inbox, or the copy there thrown away."""
    on = town.drops_of(copy.desk) & copy.labels - triggers(town, copy)
    if town.copied(copy):
        copy.desk.box.delete(copy.twin)
    elif on:
        for label in sorted(on):
            copy.desk.box.undrop(copy.key, label)
    else:
        return
    _taken_off(town, copy)


def triggers(town: Town, copy: Copy) -> frozenset[str]:
    known = town.labels(copy.desk).items()
    return frozenset(one.remote_id for key, one in known if key.startswith("trigger."))


def take_category_off(town: Town, copy: Copy) -> None:
    on = triggers(town, copy) & copy.labels
    for label in sorted(on):
        copy.desk.box.undrop(copy.key, label)
    if on:
        _taken_off(town, copy)


def _taken_off(town: Town, copy: Copy) -> None:
    town.vague.add(copy.message_id)
    if not town.lies_dropped(copy):
        copy.owes = False
    copy.home = copy.home and "INBOX" in copy.labels


def take_marker_off(town: Town, copy: Copy) -> None:
    known = town.meanings[copy.desk.id].items()
    copy.desk.box.untag(copy.key, {label for label, key in known if key.startswith(("marker.", "reason."))})
    copy.owes, copy.awaited = copy.owes and town.lies_dropped(copy), False


def star(town: Town, copy: Copy) -> None:
    copy.desk.box.star(copy.key)
    copy.starred = True


def read(town: Town, copy: Copy) -> None:
    copy.desk.box.mark_read(copy.key)
    copy.unread = False


def archive(town: Town, copy: Copy) -> None:
    """Where a mail lies in one folder, this takes it out of the drop."""
    taken = copy.desk.places and bool(town.drops_of(copy.desk) & copy.labels - triggers(town, copy))
    copy.desk.box.archive(copy.key)
    copy.awaited = copy.awaited and not copy.desk.places
    copy.home = False
    if taken:
        _taken_off(town, copy)


def tag(town: Town, copy: Copy) -> None:
    box = copy.desk.box
    label = next((key for key, path in box.labels().items() if path == ("My own",)), None)
    copy.own.add(label or box.create_label("My own", marker=True))
    for own in copy.own:
        box.tag(copy.key, own)


def delete(town: Town, copy: Copy) -> None:
    """For good. A copy of it that waits in the drop folder is then the mail itself."""
    copied = town.copied(copy)
    copy.desk.box.delete(copy.key)
    if copied:
        copy.key, copy.twin, copy.home = copy.twin, "", not copy.outgoing
        _like_its_copy(copy)
    else:
        town.copies.remove(copy)


def _like_its_copy(copy: Copy) -> None:
    labels = copy.labels
    copy.starred, copy.unread, copy.own = "STARRED" in labels, "UNREAD" in labels, copy.own & labels


def look_again(town: Town) -> None:
    """Of a mail in one drop folder and its copy in another one is left: the other lies in Deleted Items."""
    for copy in town.copies:
        box = copy.desk.box
        if "deleteditems" in copy.labels and copy.twin in box.mails and "deleteditems" not in box.tags(copy.twin):
            copy.key, copy.twin = copy.twin, ""
            _like_its_copy(copy)


def throw_away(town: Town, copy: Copy) -> None:
    """Into Deleted Items: nobody is owed anything there."""
    if copy.desk.places and not town.copied(copy):
        copy.desk.box.throw_away(copy.key)  # type: ignore[union-attr]
        town.copies.remove(copy)
    else:
        delete(town, copy)


DEEDS: MappingProxyType[str, Callable[[Town, Copy], None]] = MappingProxyType(
    {
        "drop": drop,
        "drop a copy": drop_copy,
        "drop the thread": drop_thread,
        "categorise": categorise,
        "take off": take_off,
        "take the category off": take_category_off,
        "take the marker off": take_marker_off,
        "star": star,
        "read": read,
        "archive": archive,
        "tag": tag,
        "delete": delete,
        "throw away": throw_away,
    }
)


def user(town: Town, deed: str, pick: int) -> None:
    """What one does with one mail."""
    copy = town.picked(pick)
    if copy is not None:
        DEEDS[deed](town, copy)


# --- labels and folders ---------------------------------------------------------------------------------------------


def relabel(town: Town, who: int, key: str, deed: str) -> None:
    """A user renames, deletes or moves one of our labels, folders or categories."""
    desk = town.desks[who]
    box, label = desk.box, town.role(desk, key)
    if label is None:
        return
    named = desk.places and key.startswith(("trigger.", "marker."))  # a category is only a name: mails keep it
    if deed == "rename":
        box.rename_label(label, town.fresh("Renamed"))
    elif deed == "move" and not named:
        box.move_label(label, town.fresh("Elsewhere"))
    elif deed == "delete":
        delete_label(town, desk, label, key)


def delete_label(town: Town, desk: Desk, label: str, key: str) -> None:
    """A folder is thrown away with what is in it and below it."""
    box = desk.box
    named = desk.places and key.startswith(("trigger.", "marker."))
    mine = [copy for copy in town.copies if copy.desk is desk]
    before = {copy.key: (copy.labels, town.copied(copy)) for copy in mine}
    paths = box.labels()
    below = (
        {one for one, path in paths.items() if path[: len(paths[label])] == paths[label]} if desk.places else {label}
    )
    box.delete_label(label)
    for copy in mine:
        labels, copied = before[copy.key]
        if copied and not town.copied(copy):
            _taken_off(town, copy)
        elif not named and labels & below:
            _label_gone(town, copy, key)


def _label_gone(town: Town, copy: Copy, key: str) -> None:
    copy.awaited = False
    if copy.desk.places:
        town.copies.remove(copy)  # thrown away with its folder
    elif not key.startswith("marker."):
        _taken_off(town, copy)
    else:
        copy.owes = copy.owes and town.lies_dropped(copy)


# --- the CRM --------------------------------------------------------------------------------------------------------


def _demand(town: Town, pick: int) -> None:
    town.office.crm.org.demands ^= {"contact"}


def _delete_activity(town: Town, pick: int) -> None:
    org = town.office.crm.org
    if org.activities:
        gone = org.activities.pop(-1 - pick % len(org.activities))
        town.dim |= {item.id for item in gone.items}
        town.office.crm.delete(gone.record)
        town.forgotten.add(gone.message_id)


def _deactivate(town: Town, pick: int) -> None:
    """One user goes or comes back."""
    records = town.office.crm.org.records
    users = [fields for record, fields in records.items() if record.kind == "user"]
    fields = users[pick % len(users)]
    fields["inactive"] = "" if fields.get("inactive") else "yes"
    town.related = False


def _record(town: Town, kind: str, pick: int) -> RecordRef | None:
    found = [record for record in town.office.crm.org.records if record.kind == kind]
    return found[-1 - pick % len(found)] if found else None


def _on(kind: str, deed: Callable[[Town, RecordRef], None]) -> Callable[[Town, int], None]:
    def act(town: Town, pick: int) -> None:
        record = _record(town, kind, pick)
        if record is not None:
            deed(town, record)

    return act


def _untold(town: Town, record: RecordRef) -> None:
    """Items show the names of their people, which may change without a word about the item."""
    org = town.office.crm.org
    for item, fields in org.records.items():
        if record.id in (fields.get("account"), fields.get("contact")):
            town.dim.add(item.id)
    town.dim |= {item.id for one in org.activities if record in one.people for item in one.items}


def _delete(town: Town, record: RecordRef) -> None:
    _untold(town, record)
    town.office.crm.delete(record)
    town.edited = True


def _rename(town: Town, record: RecordRef) -> None:
    _untold(town, record)
    town.office.crm.org.records[record] |= {"name": town.fresh("Edited"), "last_name": town.fresh("Edited")}
    town.edited = True


def _lock(town: Town, record: RecordRef) -> None:
    town.office.crm.lock(record)


CRM_DEEDS: MappingProxyType[str, Callable[[Town, int], None]] = MappingProxyType(
    {
        "delete the activity": _delete_activity,
        "delete a contact": _on("contact", _delete),
        "delete an account": _on("account", _delete),
        "rename a contact": _on("contact", _rename),
        "rename an account": _on("account", _rename),
        "lock a contact": _on("contact", _lock),
        "lock an account": _on("account", _lock),
        "require a field": _demand,
        "a user goes or comes": _deactivate,
    }
)


def crm(town: Town, deed: str, pick: int) -> None:
    CRM_DEEDS[deed](town, pick)
