"""Mails that Mailspan itself puts into a mailbox: created, replaced, taken away (providers.md 2.7, 2.8).

A message that Graph creates is a draft unless its flags say otherwise at once, and what is no draft cannot be changed:
so a note is replaced by another one. Two named properties of ours hold its key and revision. A copy that the user makes
has them too, which is why only those in the note's own place are looked for.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from sync.core.cut import shorten
from sync.errors import Busy, Conflict, Missing, Rejected, RemoteError
from sync.model import SUMMARY_SENDER, Note, Outcome
from sync.providers.microsoft import batch, errors
from sync.providers.microsoft.calls import KEY, REVISION, Calls
from sync.providers.microsoft.http import Api
from sync.providers.microsoft.item import Memory
from sync.providers.microsoft.listing import Found, collect, learn_places, places, values

# MessageFlags of what was read and is no draft; when it came; when it was sent (providers.md 2.7).
FLAGS, READ = "Integer 0x0E07", "1"
DATES = ("SystemTime 0x0E06", "SystemTime 0x0039")
LONGEST_SUBJECT, LONGEST_NAME = 250, 100
_PLAIN = str.maketrans({'"': "'", "<": "(", ">": ")", "\\": "/"})  # a name that no program reads as an address


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one note needs: `there` is the one that an earlier try put, `old` goes once the note is there."""

    note: Note
    there: str = ""
    old: tuple[str, ...] = ()
    error: RemoteError | None = None


# --- put ------------------------------------------------------------------------------------------------------------


def put(api: Api, calls: Calls, memory: Memory, notes: Sequence[Note]) -> list[Outcome]:
    """See `MailProvider.put`. 1 request for a new one, 2 for one that replaces another, 1 more for an `unsure` one and
    1 for each place; in 2 HTTP calls for one, else in 3 per 20."""
    if not notes:
        return []
    plans = _look(api, calls, memory, notes)
    new = [plan for plan in plans if plan.error is None and not plan.there]
    gone = [key for plan in plans if plan.error is None for key in plan.old]
    made: dict[str, batch.Answer] = {plan.note.key: {"id": plan.there} for plan in plans if plan.there}
    if len(plans) == len(new) == len(gone) == 1:
        steps = [calls.create_note(new[0].note.place, _body(memory, new[0].note)), calls.delete_message(gone[0])]
        answer, removed = batch.sequence(api, steps)
        made[new[0].note.key], failed = answer, _failed({gone[0]: removed})
    else:
        answers = batch.run(api, [calls.create_note(plan.note.place, _body(memory, plan.note)) for plan in new])
        made |= {plan.note.key: answer for plan, answer in zip(new, answers, strict=True)}
        failed = _delete(api, calls, [key for plan in plans for key in plan.old if _done(made.get(plan.note.key))])
    memory.forget(gone)
    return [_outcome(plan, made.get(plan.note.key), failed) for plan in plans]


def _look(api: Api, calls: Calls, memory: Memory, notes: Sequence[Note]) -> list[_Plan]:
    """A note in a folder that was thrown away would never be seen."""
    wanted = {**places(memory, calls), **{("home", note.place): calls.folder(note.place) for note in notes}}
    wanted |= {("notes", note.key): calls.notes(note.place, note.key) for note in notes if note.unsure}
    answers = collect(api, calls, wanted)
    learn_places(memory, answers)
    return [_plan(memory, note, answers) for note in notes]


def _plan(memory: Memory, note: Note, answers: Mapping[tuple[str, str], Found]) -> _Plan:
    home, lying = answers[("home", note.place)], answers.get(("notes", note.key))
    for found in (home, lying):
        if isinstance(found, RemoteError):
            return _Plan(note, error=_no_place(found))
    if isinstance(home, dict) and home.get("parentFolderId") == memory.places.get("deleteditems"):
        return _Plan(note, error=_no_place(Missing(operation="mailFolders.get")))
    ours = {str(body["id"]): _ours(body) for body in values(lying)}
    same = [key for key, (name, _) in ours.items() if name == note.key]
    there = next((key for key in same if ours[key][1] == note.revision), "")
    old = [key for key in dict.fromkeys((note.previous, *same)) if key not in ("", there)]
    return _Plan(note, there, tuple(old))


def _ours(body: Mapping[str, Any]) -> tuple[str, str]:
    """Key and revision of a message; empty ones when it is no note."""
    found = body.get("singleValueExtendedProperties") or ()
    said = {str(one.get("id")).rpartition(" ")[2]: str(one.get("value") or "") for one in found}
    return said.get(KEY.rpartition(" ")[2], ""), said.get(REVISION.rpartition(" ")[2], "")


def _done(answer: batch.Answer | None) -> bool:
    return isinstance(answer, dict)


def _delete(api: Api, calls: Calls, keys: Sequence[str]) -> dict[str, RemoteError]:
    """Errors by id, none for what is gone. The new notes are there already, so nothing is raised but `Denied`."""
    try:
        answers = batch.run(api, [calls.delete_message(key) for key in keys])
    except Busy as error:
        return dict.fromkeys(keys, error)
    return _failed(dict(zip(keys, answers, strict=True)))


def _failed(answers: Mapping[str, batch.Answer]) -> dict[str, RemoteError]:
    return {
        key: answer
        for key, answer in answers.items()
        if isinstance(answer, RemoteError) and not isinstance(answer, Missing)
    }


def _outcome(plan: _Plan, made: batch.Answer | None, failed: Mapping[str, RemoteError]) -> Outcome:
    error = plan.error
    if isinstance(made, RemoteError):
        error = _no_place(made)
    if error is not None:
        return Outcome(plan.note.key, error)
    error = next((failed[key] for key in plan.old if key in failed), None)
    return Outcome(plan.note.key, error, id=str(batch.sure(made)["id"]))


def _no_place(error: RemoteError) -> RemoteError:
    if not isinstance(error, Missing):
        return error
    return Conflict("a folder is gone", vendor=errors.VENDOR, operation=error.operation, status=error.status)


# --- take -----------------------------------------------------------------------------------------------------------


def take(api: Api, calls: Calls, memory: Memory, ids: Sequence[str]) -> list[Outcome]:
    """See `MailProvider.take`. 2 requests each: whether it is ours, and its removal."""
    wanted = list(dict.fromkeys(ids))
    refused: dict[str, RemoteError] = {}
    going: list[str] = []
    for key, answer in zip(wanted, batch.run(api, [calls.note(key) for key in wanted]), strict=True):
        if isinstance(answer, RemoteError):
            refused |= _failed({key: answer})
        elif not _ours(answer)[0]:
            refused[key] = Rejected("no note of ours", vendor=errors.VENDOR, operation="messages.delete")
        else:
            going.append(key)
    refused |= _delete(api, calls, going)
    memory.forget(going)
    return [Outcome(key, refused.get(key)) for key in ids]


# --- the mail -------------------------------------------------------------------------------------------------------


def _body(memory: Memory, note: Note) -> dict[str, Any]:
    """Read, sorted by the item's own date. Exchange makes the text of the HTML."""
    sender = {"emailAddress": {"name": _line(note.sender.translate(_PLAIN), LONGEST_NAME), "address": SUMMARY_SENDER}}
    date = note.date.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    properties = {FLAGS: READ, **dict.fromkeys(DATES, date), KEY: note.key, REVISION: note.revision}
    return {
        "subject": _line(note.subject, LONGEST_SUBJECT),
        "body": {"contentType": "html", "content": _encodable(note.html)},
        "from": sender,
        "sender": sender,
        "toRecipients": [{"emailAddress": {"address": memory.address}}],
        "isRead": True,
        "singleValueExtendedProperties": [{"id": key, "value": value} for key, value in properties.items()],
    }


def _line(text: str, longest: int) -> str:
    """One line, whatever it held."""
    plain = "".join(" " if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") else char for char in text)
    return shorten(" ".join(plain.split()), longest)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
