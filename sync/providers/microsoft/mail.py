"""Outlook as a `MailProvider`: one mailbox (providers.md 2).

A tracked mail costs 3 requests in 2 HTTP calls beside the look: the whole mail, its categories, its way home. A burst
of 50 is read in 3 HTTP calls and settled in 6. Nothing here sleeps or repeats by itself, except single parts of a
batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sync.core import mime
from sync.errors import Busy, Rejected, RemoteError
from sync.model import LabelMap, LabelTree, Mark, Message, Note, Outcome, Page, Seen
from sync.ports import Meter
from sync.providers.microsoft import batch, changes, conversations, errors, notes, removal, settle, tree
from sync.providers.microsoft.calls import Calls
from sync.providers.microsoft.http import Api, Client
from sync.providers.microsoft.item import FRESH, Item, Memory, category_name
from sync.providers.microsoft.level import Level
from sync.providers.microsoft.listing import collect, learn_places, places
from sync.providers.microsoft.quota import BATCH_PARTS

READ_BYTES = 64 * 2**20  # of one `read`: what comes after that much is left for the next


class Outlook:
    """`client` is the mailbox's user's way to Graph (`auth.Grants.client`), wherever Graph lives."""

    def __init__(self, address: str, client: Client, meter: Meter) -> None:
        self.address = address
        self._api = Api(client, meter)
        self._calls = Calls(address)
        self._memory = Memory(address.lower())

    def ensure_tree(self, label_tree: LabelTree) -> LabelMap:
        """One HTTP call when all is there (the first time of an object two)."""
        return tree.ensure(self._api, self._calls, self._memory, label_tree)

    def changes(self, cursor: str | None, labels: Sequence[str] = ()) -> Page[Seen]:
        """One HTTP call of 2 requests and 1 for each trigger category of `labels`; up to four drop folders cost 2 each,
        more of them 1 per 500 children of their parents, and 1 for each that is not empty.

        What arrives in Inbox and Sent Items, or is dropped at once, is told as `arrived`. What a user's rule moves on
        arrival to another folder is not seen: looks at every folder of a mailbox would cost too much.
        """
        return changes.read(self._api, self._calls, self._memory, cursor, labels)

    def dropped(self, labels: Sequence[str]) -> Sequence[Seen]:
        """A trigger category on what was thrown away does not count, nor one that came with the message."""
        found: dict[str, tuple[Item, set[str]]] = {}
        for label, items in self._lying(labels).items():
            for item in items:
                found.setdefault(item.id, (item, set()))[1].add(label)
        return [Seen(item.id, item.thread, frozenset(inside)) for item, inside in found.values()]

    def read(self, ids: Sequence[str]) -> Mapping[str, Message | RemoteError]:
        """1 request per message, 2 for one that no look has told just before, 1 more for one in a drop folder that may
        be a copy. Mails with attachments are read one by one, and of all only as many as fit into memory; the others
        are `Busy`, for now. A draft is `Rejected`."""
        wanted = list(dict.fromkeys(ids))
        out: dict[str, Message | RemoteError] = self._learn(wanted)
        loose = [key for key in wanted if key not in out and not self._memory.met[key].item.attachments]
        heavy = [key for key in wanted if key not in out and self._memory.met[key].item.attachments]
        chunks = [loose[start : start + BATCH_PARTS] for start in range(0, len(loose), BATCH_PARTS)]
        size = 0
        for chunk in [*chunks, *([key] for key in heavy)]:
            if size > READ_BYTES:
                out |= dict.fromkeys(chunk, Busy("enough for one call", retry_after=0.0))
                continue
            try:
                found = self._read(chunk)
            except Busy as error:
                if not any(isinstance(message, Message) for message in out.values()):
                    raise
                return out | {key: error for key in wanted if key not in out}
            out |= found
            size += sum(message.size for message in found.values() if isinstance(message, Message))
        return out

    def settle(self, marks: Sequence[Mark]) -> Sequence[Outcome]:
        """2 requests per mail that goes home, 1 per mail in its place, none when all is as wanted. A category that is
        gone from the master list is set all the same, without its colour."""
        failed = settle.write(self._api, self._calls, self._memory, marks) if marks else {}
        return [Outcome(mark.id, failed.get(mark.id)) for mark in marks]

    def remove(self, labels: Sequence[str]) -> Sequence[Outcome]:
        """A category that a message wears is not empty either."""
        return removal.remove(self._api, self._calls, self._memory, labels)

    def present(self, labels: Sequence[str]) -> frozenset[str]:
        return removal.present(self._api, self._calls, self._memory, labels)

    def conversations(self, threads: Sequence[str]) -> Mapping[str, Sequence[Seen]]:
        """Outlook's own conversations: a changed subject begins another one (providers.md 2.4)."""
        return conversations.read(self._api, self._calls, self._memory, threads)

    def put(self, several: Sequence[Note]) -> Sequence[Outcome]:
        """`text` is not used: Exchange makes the text of the HTML."""
        return notes.put(self._api, self._calls, self._memory, several)

    def take(self, ids: Sequence[str]) -> Sequence[Outcome]:
        return notes.take(self._api, self._calls, self._memory, ids)

    def lag(self, labels: Sequence[str]) -> Mapping[str, float]:
        """The date on which the oldest message of each label reached the mailbox: Graph does not tell when it was
        dropped, so this is an upper bound of the wait."""
        return {
            label: min(dates)
            for label, items in self._lying(labels).items()
            if (dates := [item.received.timestamp() for item in items if item.received])
        }

    def _lying(self, labels: Sequence[str]) -> dict[str, list[Item]]:
        if not labels:
            return {}
        level = Level(self._api, self._calls, self._memory, labels)
        found = level.read(collect(self._api, self._calls, level.ask()))
        out = {
            label: [item for item in items if not (category_name(label) and self._memory.ignores(item))]
            for label, items in found.items()
        }
        return {label: items for label, items in out.items() if items}

    def _learn(self, ids: Sequence[str]) -> dict[str, Message | RemoteError]:
        """Ask for what was not met just before; what is no mail to be filed, by id."""
        unknown = [key for key in ids if self._memory.known(key, FRESH) is None]
        asked = {("message", key): self._calls.message(key) for key in unknown}
        answers = collect(self._api, self._calls, {**asked, **(places(self._memory, self._calls) if ids else {})})
        learn_places(self._memory, answers)
        out: dict[str, Message | RemoteError] = {}
        for key in unknown:
            found = answers[("message", key)]
            if isinstance(found, dict):
                self._memory.meet(Item.read(found))
            elif isinstance(found, RemoteError):
                out[key] = found
        draft = Rejected("a draft was never sent", reason="not_mail", vendor=errors.VENDOR, operation="messages.get")
        return out | {key: draft for key in ids if key not in out and self._memory.met[key].item.draft}

    def _read(self, ids: Sequence[str]) -> dict[str, Message | RemoteError]:
        """Whole mails; in the same HTTP call the question whether those in drop folders are copies."""
        memory = self._memory
        dropped = [key for key in ids if memory.met[key].item.folder in memory.drops]
        pairs = {key: call for key in dropped if (call := settle.twins(self._calls, memory, key))}
        answers = batch.run(self._api, [*(self._calls.mime(key) for key in ids), *pairs.values()])
        for key, answer in zip(pairs, answers[len(ids) :], strict=True):
            if isinstance(answer, dict):
                memory.pair(key, [Item.read(body) for body in answer.get("value", ())])
        return {key: self._message(memory.met[key].item, answer) for key, answer in zip(ids, answers, strict=False)}

    def _message(self, item: Item, answer: batch.Answer) -> Message | RemoteError:
        """A mail, or why it is none: what Exchange cannot convert has no whole form."""
        if isinstance(answer, Rejected):
            return Rejected(answer.detail, reason="not_mail", vendor=errors.VENDOR, operation=answer.operation)
        if isinstance(answer, RemoteError):
            return answer
        raw = bytes(answer)
        return Message(
            id=item.id,
            thread=item.thread,
            labels=self._memory.labels(item),
            direction="sent" if self._memory.sent(item) else "received",
            mime=mime.parse(raw),
            received=item.received,
            size=len(raw),
        )
