"""Mails that Mailspan itself puts into a mailbox: inserted, replaced, taken away (providers.md 1.6).

Gmail cannot change a message, and inserting is not idempotent. So a note names its key and revision in its header, and
one that an earlier try may have put is looked for in two ways that leave no gap: the search index finds all revisions
of a key by `List-Id`, and what the index does not have yet (it is seconds behind) is what a list of the place shows
and a search of the place does not. These few are read.

What goes is put into the trash without its label: a trashed message would still count in `messagesTotal`.
"""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any

from sync.errors import Busy, Conflict, Missing, Rejected, RemoteError
from sync.model import SUMMARY_SENDER, Note, Outcome
from sync.providers.google import batch, errors
from sync.providers.google.http import Api, Call
from sync.providers.google.settle import Delta, write

TRASH = "TRASH"
LIST_PAGE = 500
KEY, REVISION = "X-Mailspan-Key", "X-Mailspan-Revision"
DOMAIN = SUMMARY_SENDER.partition("@")[2]
INDEXED = "larger:1"  # a search that finds whatever the index has
USER_LABEL = "Label_"  # how Gmail's ids of user labels begin


@dataclass(frozen=True, slots=True)
class _Lying:
    """A note that was found in the mailbox. `key` and `revision` are digests."""

    id: str
    key: str
    revision: str
    labels: frozenset[str]


# --- put ------------------------------------------------------------------------------------------------------------


def put(api: Api, address: str, notes: Sequence[Note]) -> list[Outcome]:
    """See `MailProvider.put`. 25 units for a new one, 30 for one that replaces another, in one HTTP call of each kind
    per 50. `unsure` ones: 5 more each, 10 per place and 500 notes in it, and 20 for each that is found."""
    lying = _look(api, address, [note for note in notes if note.unsure])
    made = _made(api, address, notes, lying)
    old = [_replaced(address, note, one, lying) for note, one in zip(notes, made, strict=True)]
    gone = [(one, frozenset({note.place})) for note, several in zip(notes, old, strict=True) for one in several]
    failed = _trash(api, gone)
    out = []
    for note, one, several in zip(notes, made, old, strict=True):
        error = one if isinstance(one, RemoteError) else next((failed[key] for key in several if key in failed), None)
        out.append(Outcome(note.key, error, id="" if isinstance(one, RemoteError) else one))
    return out


def _made(api: Api, address: str, notes: Sequence[Note], lying: Sequence[_Lying]) -> list[str | RemoteError]:
    """The id of each note, adopted or inserted, or why it is not there."""
    adopted = [_adopted(address, note, lying) for note in notes]
    new = [note for note, known in zip(notes, adopted, strict=True) if not known]
    answers = iter(batch.run(api, [_insert(api, address, note) for note in new]))
    labels: frozenset[str] | None = None
    out: list[str | RemoteError] = []
    for note, known in zip(notes, adopted, strict=True):
        answer: batch.Answer = {"id": known} if known else next(answers)
        if isinstance(answer, Rejected):
            labels = _labels(api) if labels is None else labels
            answer = answer if note.place in labels else _no_place(answer)
        out.append(answer if isinstance(answer, RemoteError) else str(answer["id"]))
    return out


def _adopted(address: str, note: Note, lying: Sequence[_Lying]) -> str:
    """The id of the note that an earlier try put into its place; "": there is none."""
    key, revision = _key(address, note), _digest(note.revision)
    same = (one.id for one in lying if note.unsure and (one.key, one.revision) == (key, revision))
    there = {one.id for one in lying if note.place in one.labels}
    return next((one for one in same if one in there), "")


def _replaced(address: str, note: Note, made: str | RemoteError, lying: Sequence[_Lying]) -> list[str]:
    """What is to go once the note is there: the one before it, and others of its key that a dead try left."""
    if isinstance(made, RemoteError):
        return []
    others = [one.id for one in lying if note.unsure and one.key == _key(address, note)]
    return [one for one in dict.fromkeys((note.previous, *others)) if one not in ("", made)]


def _trash(api: Api, ids: Sequence[tuple[str, frozenset[str]]]) -> dict[str, RemoteError]:
    """Into the trash and out of these labels (5 units each; `messages.trash` would be 20); errors by id, none for what
    is gone. The new notes are there already, so nothing is raised but `Denied`."""
    groups: dict[Delta, list[str]] = {}
    for key, labels in ids:
        groups.setdefault((frozenset({TRASH}), labels), []).append(key)
    try:
        failed = write(api, groups)
    except Busy as error:
        return {key: error for key, _ in ids}
    return {key: error for key, error in failed.items() if not isinstance(error, Missing)}


def _labels(api: Api) -> frozenset[str]:
    answer = api.call(Call("labels.list", api.build.labels.list(userId="me")))
    return frozenset(label["id"] for label in answer.get("labels", ()))


def _no_place(error: RemoteError) -> Conflict:
    return Conflict("a label is gone", vendor=errors.VENDOR, operation=error.operation, status=error.status)


# --- looking for what an earlier try put ----------------------------------------------------------------------------


def _look(api: Api, address: str, notes: Sequence[Note]) -> list[_Lying]:
    """All notes of these keys but the known ones before them. What was not indexed when its place was listed is read,
    and what was is found by the search after it."""
    if not notes:
        return []
    late = _not_indexed(api, list(dict.fromkeys(note.place for note in notes)))
    answers = batch.run(api, [_list(api, q=_query(address, note)) for note in notes])
    found = [one["id"] for answer in answers for one in _sure(answer).get("messages", ())]
    known = {note.previous for note in notes}
    wanted = [one for one in dict.fromkeys((*late, *found)) if one not in known]
    heads = zip(wanted, batch.run(api, [_head(api, one) for one in wanted]), strict=True)
    read = (_lying(one, _sure(answer)) for one, answer in heads if not isinstance(answer, Missing))
    return [one for one in read if one is not None and TRASH not in one.labels]


def _query(address: str, note: Note) -> str:
    return f"{{list:{_list_id(address, note)} rfc822msgid:{message_id(address, note).strip('<>')}}}"


def _not_indexed(api: Api, places: Sequence[str]) -> list[str]:
    """What lies in these places and is not found by a search yet."""
    indexed: set[str] = set()
    lying: list[str] = []
    pages = {(place, query): "" for place in places for query in ("", INDEXED)}
    while pages:
        calls = [_list(api, place, q=query, token=token) for (place, query), token in pages.items()]
        following: dict[tuple[str, str], str] = {}
        for (place, query), answer in zip(pages, batch.run(api, calls), strict=True):
            if isinstance(answer, Missing | Rejected):  # the label is gone
                continue
            found = [one["id"] for one in _sure(answer).get("messages", ())]
            (indexed.update if query else lying.extend)(found)
            if token := _sure(answer).get("nextPageToken"):
                following[place, query] = token
        pages = following
    return [one for one in lying if one not in indexed]


def _list(api: Api, label: str = "", *, q: str = "", token: str = "") -> Call:
    given: dict[str, Any] = {"labelIds": [label] if label else [], "q": q, "pageToken": token}
    chosen = {name: value for name, value in given.items() if value}
    return Call("messages.list", api.build.messages.list(userId="me", maxResults=LIST_PAGE, **chosen))


def _head(api: Api, message: str) -> Call:
    """Without its snippet, which would be content."""
    request = api.build.messages.get(
        userId="me",
        id=message,
        format="metadata",
        metadataHeaders=["From", KEY, REVISION],
        fields="id,labelIds,payload/headers",
    )
    return Call("messages.get", request)


def _lying(message: str, head: Mapping[str, Any]) -> _Lying | None:
    """None: it is no note of ours."""
    lines = head.get("payload", {}).get("headers", ())
    headers = {line["name"].casefold(): str(line["value"]) for line in lines}
    if parseaddr(headers.get("from", ""))[1].casefold() != SUMMARY_SENDER:
        return None
    labels = frozenset(head.get("labelIds", ()))
    return _Lying(message, headers.get(KEY.casefold(), ""), headers.get(REVISION.casefold(), ""), labels)


def _sure(answer: batch.Answer) -> dict[str, Any]:
    if isinstance(answer, RemoteError):
        raise answer
    return answer


# --- take -----------------------------------------------------------------------------------------------------------


def take(api: Api, ids: Sequence[str]) -> list[Outcome]:
    """See `MailProvider.take`. 25 units each: the header tells whether it is ours, and in which labels it lies."""
    wanted = list(dict.fromkeys(ids))
    refused: dict[str, RemoteError] = {}
    going: list[tuple[str, frozenset[str]]] = []
    for one, answer in zip(wanted, batch.run(api, [_head(api, one) for one in wanted]), strict=True):
        if isinstance(answer, RemoteError):
            refused |= {} if isinstance(answer, Missing) else {one: answer}
        elif (lying := _lying(one, answer)) is None:
            refused[one] = Rejected("no note of ours", vendor=errors.VENDOR, operation="messages.modify")
        elif TRASH not in lying.labels:
            going.append((one, frozenset(label for label in lying.labels if label.startswith(USER_LABEL))))
    refused |= _trash(api, going)
    return [Outcome(one, refused.get(one)) for one in ids]


# --- the mail -------------------------------------------------------------------------------------------------------


def message_id(address: str, note: Note) -> str:
    return f"<sum.{_key(address, note)}.{_digest(note.revision)}@{DOMAIN}>"


def raw(address: str, note: Note) -> bytes:
    """The note as RFC 822. Nothing in it can begin a header of its own."""
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = Address(_line(note.sender), addr_spec=SUMMARY_SENDER)
    message["To"] = _line(address)
    message["Subject"] = _line(note.subject)
    message["Date"] = format_datetime(note.date)
    message["Message-ID"] = message_id(address, note)
    message["List-Id"] = f"<{_list_id(address, note)}>"
    message["Auto-Submitted"] = "auto-generated"
    message[KEY], message[REVISION] = _key(address, note), _digest(note.revision)
    message.set_content(_encodable(note.text), cte="quoted-printable")
    message.add_alternative(_encodable(note.html), subtype="html", cte="quoted-printable")
    return message.as_bytes()


def _insert(api: Api, address: str, note: Note) -> Call:
    """Read (no UNREAD), not in the Inbox, sorted by the item's own date."""
    body = {"raw": base64.urlsafe_b64encode(raw(address, note)).decode(), "labelIds": [note.place]}
    insert = api.build.messages.insert
    request = insert(userId="me", body=body, internalDateSource="dateHeader", fields="id")
    return Call("messages.insert", request, repeatable=False)


def _list_id(address: str, note: Note) -> str:
    return f"{_key(address, note)}.{DOMAIN}"


def _key(address: str, note: Note) -> str:
    """Differs between mailboxes: a colleague's copy of a summary is not ours to replace."""
    return _digest(f"{address.casefold()}\n{note.key}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]  # so that the Message-ID fits into a line


def _line(text: str) -> str:
    """One line, whatever it held."""
    plain = "".join(" " if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") else char for char in text)
    return " ".join(plain.split())


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
