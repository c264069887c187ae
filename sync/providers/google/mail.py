"""Gmail as a `MailProvider`: one mailbox (providers.md 1).

A tracked mail costs 3 HTTP calls and 27 units: history 2, get raw 20, modify 5. A burst of 50 is read in one batch and
settled in one batch. Nothing here sleeps or repeats by itself, except single parts of a batch (`batch.py`).
"""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sync.core import mime
from sync.errors import Busy, Missing, Rejected, RemoteError
from sync.model import LabelMap, LabelTree, Mark, Message, Note, Outcome, Page, Seen
from sync.ports import Meter
from sync.providers.google import batch, changes, conversations, errors, tree
from sync.providers.google import notes as own
from sync.providers.google.changes import INBOX, OUTGOING
from sync.providers.google.connection import TooLarge
from sync.providers.google.http import ROOT_URL, Api, Call, service
from sync.providers.google.quota import BATCH_PARTS
from sync.providers.google.settle import Delta, write

LIST_PAGE = 500
READ_BYTES = 64 * 2**20  # of one `read`: what comes after that much is left for the next
REMEMBERED = 5_000  # messages whose labels are kept: they tell the direction, so that settling need not ask
ASIDE = frozenset({"TRASH", "SPAM"})  # what the user threw away does not come back to the Inbox


class Gmail:
    """`http_factory` gives this thread's authorised http of the mailbox's user (`auth.Grants.http`); `api_url` is where
    the service lives, if not at Google."""

    def __init__(
        self, address: str, http_factory: Callable[[], Any], meter: Meter, *, api_url: str | None = None
    ) -> None:
        self.address = address
        self._api = Api(service(api_url or ROOT_URL), http_factory, meter)
        self._width = BATCH_PARTS  # messages that are read at once: fewer while they are very large
        self._met: OrderedDict[str, frozenset[str]] = OrderedDict()  # labels of messages met before

    def ensure_tree(self, label_tree: LabelTree) -> LabelMap:
        """1 unit when all is there; 5 for each label created or renamed."""
        return tree.ensure(self._api, label_tree)

    def changes(self, cursor: str | None, labels: Sequence[str] = ()) -> Page[Seen]:
        """2 units per 500 records, whatever the labels: Gmail tells all. A message named here may be gone when it is
        read: `Missing`."""
        page = changes.read(self._api, cursor)
        for seen in page.changed:
            self._meet(seen.id, seen.labels)
        return page

    def dropped(self, labels: Sequence[str]) -> Sequence[Seen]:
        """1 unit per label and 5 per 500 messages of those that are not empty; trash and spam are left out. `labels`
        of an answer are those asked for; what lay outside of the Inbox before cannot be told: `archived` is false."""
        found: dict[str, tuple[str, set[str]]] = {}
        for label, messages in self._lying(labels).items():
            for message in messages:
                found.setdefault(message["id"], (message["threadId"], set()))[1].add(label)
        return [Seen(key, thread, frozenset(inside)) for key, (thread, inside) in found.items()]

    def read(self, ids: Sequence[str]) -> Mapping[str, Message | RemoteError]:
        """20 units per message. Of very large ones only as many as fit into memory; the others are `Busy`, for now."""
        wanted = list(dict.fromkeys(ids))
        out: dict[str, Message | RemoteError] = {}
        size, width = 0, self._width
        while wanted[len(out) :]:
            chunk = wanted[len(out) : len(out) + width]
            if size > READ_BYTES:
                return out | dict.fromkeys(wanted[len(out) :], Busy("enough for one call", retry_after=0.0))
            try:
                found = self._read(chunk)
            except TooLarge:
                width = self._width = max(1, len(chunk) // 4)
                continue
            except Busy as error:
                if not out:
                    raise
                return out | dict.fromkeys(wanted[len(out) :], error)
            out |= found
            size += sum(message.size for message in found.values() if isinstance(message, Message))
        self._width = min(BATCH_PARTS, width * 2)
        return out

    def _read(self, ids: Sequence[str]) -> dict[str, Message | RemoteError]:
        answers = batch.run(self._api, [self._get(key, "raw") for key in ids])
        return {
            key: answer if isinstance(answer, RemoteError) else self._message(key, answer)
            for key, answer in zip(ids, answers, strict=True)
        }

    def settle(self, marks: Sequence[Mark]) -> Sequence[Outcome]:
        """5 units per message; 50 for up to 1,000 that change alike, when they are more than 10. Gmail tells no single
        failure there: a message that is gone counts as settled. A label that is gone gives `Conflict`."""
        failed = self._learn([mark.id for mark in marks if mark.home and mark.id not in self._met])
        groups: dict[Delta, list[str]] = {}
        for mark in marks:
            delta = self._delta(mark)
            if mark.id not in failed and any(delta):
                groups.setdefault(delta, []).append(mark.id)
        failed |= write(self._api, groups)
        return [Outcome(mark.id, failed.get(mark.id)) for mark in marks]

    def remove(self, labels: Sequence[str]) -> Sequence[Outcome]:
        """1 unit, and 6 for each label that is empty. A message in the trash or the junk does not keep its label."""
        failed = tree.remove(self._api, labels) if labels else {}
        return [Outcome(label, failed.get(label)) for label in labels]

    def present(self, labels: Sequence[str]) -> frozenset[str]:
        """1 unit, whatever their number."""
        return tree.present(self._api, labels) if labels else frozenset()

    def conversations(self, threads: Sequence[str]) -> Mapping[str, Sequence[Seen]]:
        """40 units per thread."""
        return conversations.read(self._api, threads)

    def put(self, notes: Sequence[Note]) -> Sequence[Outcome]:
        """25 units for a new one, 30 for one that replaces another."""
        return own.put(self._api, self.address, notes)

    def take(self, ids: Sequence[str]) -> Sequence[Outcome]:
        """25 units each; they go to the trash, from where Gmail deletes them after 30 days."""
        return own.take(self._api, ids)

    def lag(self, labels: Sequence[str]) -> Mapping[str, float]:
        """The date on which the oldest message of each label reached the mailbox: Gmail does not tell when it was
        dropped, so this is an upper bound of the wait. 20 units per label that is not empty."""
        last = {label: messages[-1]["id"] for label, messages in self._lying(labels).items() if messages}
        answers = batch.run(self._api, [self._get(key, "minimal") for key in last.values()])
        return {
            label: int(answer["internalDate"]) / 1000
            for label, answer in zip(last, answers, strict=True)
            if not isinstance(answer, RemoteError)
        }

    def _meet(self, key: str, labels: frozenset[str]) -> None:
        self._met[key] = labels
        self._met.move_to_end(key)
        while len(self._met) > REMEMBERED:
            self._met.popitem(last=False)

    def _get(self, message_id: str, form: str) -> Call:
        request = self._api.build.messages.get(userId="me", id=message_id, format=form)
        return Call("messages.get", request)

    def _message(self, key: str, body: Mapping[str, Any]) -> Message | RemoteError:
        labels = frozenset(body.get("labelIds", ()))
        self._meet(key, labels)
        try:
            raw = decode(body["raw"])
        except (KeyError, binascii.Error, ValueError):
            return Rejected("the raw message is not readable", vendor=errors.VENDOR, operation="messages.get")
        return Message(
            id=key,
            thread=body["threadId"],
            labels=labels,
            direction="sent" if labels & OUTGOING else "received",
            mime=mime.parse(raw),
            received=datetime.fromtimestamp(int(body["internalDate"]) / 1000, UTC) if "internalDate" in body else None,
            size=len(raw),
        )

    def _lying(self, labels: Sequence[str]) -> dict[str, list[Mapping[str, Any]]]:
        """Label -> what lies in it, newest first, for labels that are not empty; one that is gone is empty."""
        resource = self._api.build.labels
        wanted = list(dict.fromkeys(labels))
        counts = batch.run(self._api, [Call("labels.get", resource.get(userId="me", id=key)) for key in wanted])
        filled = [
            label
            for label, count in zip(wanted, counts, strict=True)
            if not _gone(count) and _sure(count).get("messagesTotal", 0) > 0
        ]
        out: dict[str, list[Mapping[str, Any]]] = {label: [] for label in filled}
        pages: dict[str, str | None] = dict.fromkeys(filled)
        while pages:
            answers = batch.run(self._api, [self._list(label, token) for label, token in pages.items()])
            following: dict[str, str | None] = {}
            for label, answer in zip(pages, answers, strict=True):
                if _gone(answer):
                    continue
                page = _sure(answer)
                out[label] += page.get("messages", ())
                if page.get("nextPageToken"):
                    following[label] = page["nextPageToken"]
            pages = following
        return out

    def _list(self, label: str, token: str | None) -> Call:
        more = {"pageToken": token} if token else {}
        request = self._api.build.messages.list(userId="me", labelIds=[label], maxResults=LIST_PAGE, **more)
        return Call("messages.list", request)

    def _learn(self, ids: Sequence[str]) -> dict[str, RemoteError]:
        """Ask for the labels of messages that this object never met (20 units each); errors by id."""
        wanted = list(dict.fromkeys(ids))
        failed: dict[str, RemoteError] = {}
        answers = batch.run(self._api, [self._get(key, "minimal") for key in wanted])
        for key, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, RemoteError):
                failed[key] = answer
            else:
                self._meet(key, frozenset(answer.get("labelIds", ())))
        return failed

    def _delta(self, mark: Mark) -> Delta:
        """SENT can be neither added nor removed (providers.md 1.3): home of a sent mail is where it is."""
        stays = self._met.get(mark.id, frozenset()) & (OUTGOING | ASIDE)
        add = mark.add | ({INBOX} if mark.home and not stays else frozenset())
        return add, mark.remove - add


def decode(raw: str) -> bytes:
    """The bytes of a raw message: base64url with or without padding (providers.md GM-13)."""
    text = "".join(raw.split()).rstrip("=").translate(str.maketrans("+/", "-_"))
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _gone(answer: batch.Answer) -> bool:
    return isinstance(answer, Missing)


def _sure(answer: batch.Answer) -> dict[str, Any]:
    """The answer, or its error raised: a level must be whole to be the truth."""
    if isinstance(answer, RemoteError):
        raise answer
    return answer
