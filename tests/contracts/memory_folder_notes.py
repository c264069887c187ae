"""Notes in the mail system with folders in memory: named properties that a copy has too (providers.md 2.8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sync.errors import Conflict, Rejected
from sync.model import Note, Outcome
from tests.contracts.mail_world import written
from tests.contracts.memory_folder_tree import thrown
from tests.contracts.memory_service import Line

if TYPE_CHECKING:
    from tests.contracts.memory_folders import FolderMailbox


def put(box: FolderMailbox, line: Line, notes: Sequence[Note]) -> list[Outcome]:
    """See `MailProvider.put`. Whoever dies between the calls leaves the old one and the new."""
    line.call("look", 1.0 * len(notes))
    with line.answer("put", 1.0 * len(notes), writes=True) as trouble:
        made = [_there(box, note) for note in (notes[: len(notes) // 2] if trouble == "cut" else notes)]
    old = {key for note, there in zip(notes, made, strict=True) for key in _replaced(box, note, there)}
    if old:
        _delete(box, line, "put", sorted(old))
    lost = Conflict("a folder is gone")
    return [Outcome(note.key, None if key else lost, id=key) for note, key in zip(notes, made, strict=True)]


def _there(box: FolderMailbox, note: Note) -> str:
    """The id of the note in its place, adopted or new; "": there is no such place."""
    if note.place not in box.folders or thrown(box, note.place):
        return ""
    same = [key for key in _of_key(box, note) if _revision(box, key) == note.revision]
    return same[0] if same else _create(box, note)


def _of_key(box: FolderMailbox, note: Note) -> list[str]:
    """Those of its key that an earlier try may have put into its place."""
    lying = {key: box.mails[key].note for key in box.inside(note.place)}
    return [key for key, there in lying.items() if note.unsure and there is not None and there.key == note.key]


def _revision(box: FolderMailbox, key: str) -> str:
    there = box.mails[key].note
    return there.revision if there is not None else ""


def _create(box: FolderMailbox, note: Note) -> str:
    """Read, and under its own date; it never arrived."""
    key = box.add(written(note), note.place, [])
    mail = box.mails[key]
    mail.note, mail.came, mail.unread, mail.received = note, 0, False, note.date.timestamp()
    return key


def _replaced(box: FolderMailbox, note: Note, there: str) -> set[str]:
    if not there:
        return set()
    return {key for key in (*_of_key(box, note), note.previous) if key in box.mails and key != there}


def take(box: FolderMailbox, line: Line, ids: Sequence[str]) -> list[Outcome]:
    """See `MailProvider.take`."""
    there = {key: box.mails[key].note is not None for key in ids if key in box.mails}
    line.call("look", 1.0 * len(ids))
    _delete(box, line, "take", [key for key, ours in there.items() if ours])
    return [Outcome(key, None if there.get(key, True) else Rejected("no note of ours")) for key in ids]


def _delete(box: FolderMailbox, line: Line, method: str, keys: Sequence[str]) -> None:
    with line.answer(method, 1.0 * len(keys), writes=bool(keys)) as trouble:
        for key in keys[: len(keys) // 2] if trouble == "cut" else keys:
            box.delete(key)
