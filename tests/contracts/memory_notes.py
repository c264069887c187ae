"""Notes in the mail system with labels in memory: as where a mail cannot be changed, in two calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sync.errors import Busy, Conflict, Rejected
from sync.model import Note, Outcome
from tests.contracts.mail_world import written
from tests.contracts.memory_service import Line

if TYPE_CHECKING:
    from tests.contracts.memory_mail import MemoryMailbox


def put(box: MemoryMailbox, line: Line, notes: Sequence[Note]) -> list[Outcome]:
    """See `MailProvider.put`. Whoever dies between the calls leaves the old one and the new."""
    if any(note.unsure for note in notes):
        line.call("look", 15.0)
    with line.answer("put", 25.0 * len(notes), writes=True) as trouble:
        made = [_there(box, note) for note in (notes[: len(notes) // 2] if trouble == "cut" else notes)]
    old = {key for note, there in zip(notes, made, strict=True) for key in _replaced(box, note, there)}
    if old:
        try:
            _trash(box, line, "put", sorted(old))
        except Busy as error:  # the new ones are there: nobody may take this for a call without an effect
            return [Outcome(note.key, error, id=key) for note, key in zip(notes, made, strict=True)]
    lost = Conflict("a label is gone")
    return [Outcome(note.key, None if key else lost, id=key) for note, key in zip(notes, made, strict=True)]


def _there(box: MemoryMailbox, note: Note) -> str:
    """The id of the note in its place, adopted or new; "": there is no such place."""
    if note.place not in box.paths:
        return ""
    same = [key for key in box.inside(note.place) if _same(box.mails[key].note, note)] if note.unsure else []
    return same[0] if same else _insert(box, note)


def _insert(box: MemoryMailbox, note: Note) -> str:
    """Read, and under its own date."""
    key = box.add(written(note), {note.place}, note)
    box.mails[key].received = note.date.timestamp()
    return key


def _same(lying: Note | None, note: Note) -> bool:
    return lying is not None and (lying.key, lying.revision) == (note.key, note.revision)


def _replaced(box: MemoryMailbox, note: Note, there: str) -> set[str]:
    if not there:
        return set()
    same = {key for key, mail in box.mails.items() if note.unsure and mail.note and mail.note.key == note.key}
    return {key for key in same | {note.previous} if key in box.mails and key != there}


def take(box: MemoryMailbox, line: Line, ids: Sequence[str]) -> list[Outcome]:
    """See `MailProvider.take`."""
    there = {key: box.mails[key].note is not None for key in ids if key in box.mails}
    _trash(box, line, "take", [key for key, ours in there.items() if ours])
    return [Outcome(key, None if there.get(key, True) else Rejected("no note of ours")) for key in ids]


def _trash(box: MemoryMailbox, line: Line, method: str, keys: Sequence[str]) -> None:
    """Out of all labels, so that these can be removed."""
    with line.answer(method, 25.0 * len(keys), writes=bool(keys)) as trouble:
        for key in keys[: len(keys) // 2] if trouble == "cut" else keys:
            box.untag(key, box.tags(key) & box.paths.keys())
            box.throw_away(key)
