"""What people do: to a mail, to the labels and folders, and in the CRM. Each deed is a function in a table."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING

from sync.model import RecordRef

if TYPE_CHECKING:
    from tests.engine.town import Copy, Town

DROP, TRIGGER = "drop.archive", "trigger.archive"
OURS = (DROP, TRIGGER, "marker.done", "marker.missing", "marker.error", "master")
LABEL_DEEDS = ("rename", "delete", "move")


# --- a mail ---------------------------------------------------------------------------------------------------------


def drop(town: Town, copy: Copy, *, move: bool = True) -> None:
    """Put it on the drop label, or (a copy of it) into the drop folder."""
    box, label = copy.desk.box, town.role(copy.desk, DROP)
    if label is None or label in copy.labels or town.copied(copy):
        return
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
    label = town.role(copy.desk, TRIGGER)
    if label is None or label in copy.labels:
        return
    copy.home = not copy.outgoing and ("INBOX" in copy.labels or (copy.home and town.lies_dropped(copy)))
    _owed(town, copy)
    copy.desk.box.drop(copy.key, label, move=False)


def take_off(town: Town, copy: Copy) -> None:
    """Off the drop label; out of the drop folder into the Inbox, or the copy there thrown away."""
    label = town.role(copy.desk, DROP)
    if town.copied(copy):
        copy.desk.box.delete(copy.twin)
    elif label is not None and label in copy.labels:
        copy.desk.box.undrop(copy.key, label)
    else:
        return
    _taken_off(town, copy)


def take_category_off(town: Town, copy: Copy) -> None:
    label = town.role(copy.desk, TRIGGER)
    if label is not None and label in copy.labels:
        copy.desk.box.undrop(copy.key, label)
        _taken_off(town, copy)


def _taken_off(town: Town, copy: Copy) -> None:
    if not town.lies_dropped(copy):
        copy.owes = False
    copy.home = copy.home and "INBOX" in copy.labels


def take_marker_off(town: Town, copy: Copy) -> None:
    known = town.meanings[copy.desk.id].items()
    copy.desk.box.untag(copy.key, {label for label, key in known if key.startswith(("marker.", "reason."))})
    copy.owes = copy.owes and town.lies_dropped(copy)


def star(town: Town, copy: Copy) -> None:
    copy.desk.box.star(copy.key)
    copy.starred = True


def read(town: Town, copy: Copy) -> None:
    copy.desk.box.mark_read(copy.key)
    copy.unread = False


def archive(town: Town, copy: Copy) -> None:
    """Where a mail lies in one folder, this takes it out of the drop."""
    label = town.role(copy.desk, DROP)
    taken = copy.desk.places and label in copy.labels
    copy.desk.box.archive(copy.key)
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
    named = desk.places and key not in (DROP, "master")  # a category is only a name: mails keep it
    if deed == "rename":
        box.rename_label(label, town.fresh("Renamed"))
    elif deed == "move" and not named:
        box.move_label(label, town.fresh("Elsewhere"))
    elif deed == "delete":
        wearing = [copy for copy in town.copies if copy.desk is desk and not named and label in copy.labels]
        copied = [copy for copy in town.copies if copy.desk is desk and key == DROP and town.copied(copy)]
        box.delete_label(label)
        for copy in [*wearing, *copied]:
            _label_gone(town, copy, key)


def _label_gone(town: Town, copy: Copy, key: str) -> None:
    if copy.desk.places and key == DROP and not copy.twin:
        town.copies.remove(copy)  # thrown away with its folder
    elif key in (DROP, TRIGGER):
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


def _delete(town: Town, record: RecordRef) -> None:
    town.office.crm.delete(record)
    town.edited = True


def _rename(town: Town, record: RecordRef) -> None:
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
