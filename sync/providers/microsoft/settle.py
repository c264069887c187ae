"""Writing marks: categories are replaced whole, under the etag that was read, and a moved mail goes home
(providers.md 2.2, 2.3).

| the mail | what is done |
|---|---|
| lies in a drop folder, moved there | categories; to Inbox or Sent Items by direction (Archive when `home` is off) |
| lies in a drop folder, a copy | categories of the originals; the copy goes to Deleted Items |
| lies elsewhere (trigger category, or taken back) | categories |
| lies in Deleted Items or Junk | nothing: the user has decided |

A copy has the Message-ID and the very received date of its original; Graph tells nothing else of it. A mail to oneself,
whose two messages arrived at different times, is no copy, nor is a mail that the changes told to have left its folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sync.errors import Busy, Conflict, Missing, RemoteError
from sync.model import Mark
from sync.providers.microsoft import batch, errors
from sync.providers.microsoft.calls import Calls
from sync.providers.microsoft.http import Api, Call
from sync.providers.microsoft.item import USABLE, Item, Memory, category_name, with_categories
from sync.providers.microsoft.listing import Listing, collect, learn_places, places

ROUNDS = 3  # a message that changed meanwhile is read again twice


@dataclass(frozen=True, slots=True)
class _Steps:
    """What one mark needs: categories first, so that a mail never comes home unmarked."""

    key: str
    patches: tuple[Call, ...] = ()
    move: Call | None = None
    touched: tuple[str, ...] = ()

    @property
    def calls(self) -> list[Call]:
        return [*self.patches, *([self.move] if self.move else [])]


def write(api: Api, calls: Calls, memory: Memory, marks: Sequence[Mark]) -> dict[str, RemoteError]:
    """Apply the marks; errors by message id. 1 request per mark in place, 2 per mark that goes home; 1 or 2 more for
    messages that were not met just before."""
    failed: dict[str, RemoteError] = {}
    for _ in range(ROUNDS):
        again: dict[str, RemoteError] = {}
        failed |= learn(api, calls, memory, marks)
        todo = [mark for mark in marks if mark.id not in failed]
        steps = [_steps(calls, memory, mark) for mark in todo]
        for key, error in _run(api, memory, steps).items():
            (again if isinstance(error, Conflict) else failed)[key] = error
        marks = [mark for mark in todo if mark.id in again]
        if not marks:
            return failed
    late = Conflict("the message keeps changing", vendor=errors.VENDOR, operation="messages.update")
    return failed | dict.fromkeys((mark.id for mark in marks), late)


def learn(api: Api, calls: Calls, memory: Memory, marks: Sequence[Mark]) -> dict[str, RemoteError]:
    """Ask for messages that were not met lately, and for the twins of those that may be copies; errors by id."""
    for mark in marks:
        memory.drops |= {label for label in mark.remove if not category_name(label)}
    unknown = [mark.id for mark in marks if memory.known(mark.id, USABLE) is None]
    wanted = {**{("message", key): calls.message(key) for key in unknown}, **places(memory, calls)}
    answers = collect(api, calls, wanted)
    learn_places(memory, answers)
    failed: dict[str, RemoteError] = {}
    for key in unknown:
        found = answers[("message", key)]
        if isinstance(found, RemoteError):
            failed[key] = found
        elif isinstance(found, dict):
            memory.meet(Item.read(found))
    dropped = [mark for mark in marks if mark.id not in failed and memory.met[mark.id].item.folder in mark.remove]
    failed |= pair(api, calls, memory, [mark.id for mark in dropped])
    return failed


def pair(api: Api, calls: Calls, memory: Memory, keys: Sequence[str]) -> dict[str, RemoteError]:
    """Ask for the twins of messages in drop folders, unless it is known that they are no copies."""
    wanted = {key: call for key in keys if (call := twins(calls, memory, key))}
    failed: dict[str, RemoteError] = {}
    for key, found in (collect(api, calls, wanted, most=1) if wanted else {}).items():
        if isinstance(found, Listing):
            memory.pair(key, [Item.read(body) for body in found.values])
        elif isinstance(found, RemoteError):
            failed[key] = found
    return failed


def twins(calls: Calls, memory: Memory, key: str) -> Call | None:
    """The call that tells whether a message in a drop folder is a copy, if one is needed."""
    met = memory.met[key]
    needed = met.twins is None and key not in memory.came and met.item.message_id
    return calls.twins(met.item.message_id) if needed else None


def _steps(calls: Calls, memory: Memory, mark: Mark) -> _Steps:
    met = memory.met[mark.id]
    item = met.item
    if item.folder not in mark.remove:
        patches = [] if memory.aside(item) and not item.draft else _patches(calls, mark, [item])
        return _Steps(mark.id, tuple(patches), None, (item.id,))
    originals = _originals(memory, mark, item, met.twins or ())
    if originals:
        ids = (item.id, *(one.id for one in originals))
        return _Steps(mark.id, tuple(_patches(calls, mark, originals)), calls.move(item.id, "deleteditems"), ids)
    move = calls.move(item.id, _home(memory, mark, item))
    return _Steps(mark.id, tuple(_patches(calls, mark, [item])), move, (item.id,))


def _patches(calls: Calls, mark: Mark, items: Sequence[Item]) -> list[Call]:
    wanted = [(item, with_categories(item, mark.add, mark.remove)) for item in items]
    return [calls.categorise(item.id, new, item.etag) for item, new in wanted if tuple(new) != item.categories]


def _originals(memory: Memory, mark: Mark, item: Item, others: Sequence[Item]) -> list[Item]:
    """The messages that a copy was made of: those in Inbox and Sent Items, else any one."""
    drops = memory.drops | mark.remove
    same = [
        other
        for other in others
        if other.folder not in drops and not memory.aside(other) and other.received == item.received is not None
    ]
    main = [other for other in same if other.folder in (memory.places.get("inbox"), memory.places.get("sentitems"))]
    return main or same[:1]


def _home(memory: Memory, mark: Mark, item: Item) -> str:
    if item.draft:
        return "drafts"
    if not mark.home:
        return "archive"
    return "sentitems" if memory.sent(item) else "inbox"


def _run(api: Api, memory: Memory, steps: Sequence[_Steps]) -> dict[str, RemoteError]:
    """Do the steps; errors by message id. What was written to must be read again."""
    todo = [step for step in steps if step.calls]
    try:
        if len(todo) == 1:
            return _judge([(todo[0].key, answer) for answer in batch.sequence(api, todo[0].calls)])
        return _together(api, todo)
    finally:
        for step in todo:
            memory.forget(step.touched)


def _together(api: Api, steps: Sequence[_Steps]) -> dict[str, RemoteError]:
    """All categories, then all moves: Graph orders the parts of a batch wholly or not at all (providers.md 2.9)."""
    patches = [(step.key, call) for step in steps for call in step.patches]
    answers = batch.run(api, [call for _, call in patches])
    failed = _judge([(key, answer) for (key, _), answer in zip(patches, answers, strict=True)])
    moves = [(step.key, step.move) for step in steps if step.move and step.key not in failed]
    try:
        answers = batch.run(api, [call for _, call in moves])
    except Busy as error:
        if not patches:
            raise
        answers = [error] * len(moves)
    return failed | _judge([(key, answer) for (key, _), answer in zip(moves, answers, strict=True)])


def _judge(answers: Sequence[tuple[str, batch.Answer]]) -> dict[str, RemoteError]:
    """The first error of each mark. What is gone may be the message, its original or a folder: the mark is planned
    anew, and reading tells which."""
    out: dict[str, RemoteError] = {}
    for key, answer in answers:
        if isinstance(answer, Missing):
            answer = Conflict("something is gone", vendor=errors.VENDOR, operation=answer.operation, status=404)
        if isinstance(answer, RemoteError):
            out.setdefault(key, answer)
    return out
