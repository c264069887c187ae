"""users.threads: conversations as a whole (`providers.md GM-3`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.google.call import Call, operation
from sandbox.google.errors import not_found
from sandbox.google.gmail import shape
from sandbox.google.gmail.labels import check_change
from sandbox.google.gmail.messages import descending, matching, relabel

if TYPE_CHECKING:
    from sandbox.google.gmail.mailbox import Stored

Json = dict[str, Any]


def _find(call: Call) -> list[Stored]:
    thread = call.account.mailbox.threads.get(call.params["id"])
    if not thread:
        raise not_found()
    return sorted(thread, key=lambda s: s.order)


def _brief(thread: list[Stored]) -> Json:
    return {"id": thread[0].thread_id, "messages": [shape.brief(stored) for stored in thread]}


@operation("gmail.users.threads.list")
def list_threads(call: Call) -> Json:
    """Threads with a matching message, by their newest matching one."""
    newest: dict[str, Stored] = {}
    for stored in sorted(matching(call), key=descending):
        newest.setdefault(stored.thread_id, stored)
    page, token = call.google.pages.cut(call, list(newest.values()), descending)
    out: Json = {"threads": [_listed(call, stored) for stored in page]} if page else {}
    if token:
        out["nextPageToken"] = token
    return out | {"resultSizeEstimate": len(newest)}


def _listed(call: Call, stored: Stored) -> Json:
    thread = call.account.mailbox.threads[stored.thread_id]
    return {
        "id": stored.thread_id,
        "snippet": max(thread, key=lambda s: s.order).mail.snippet,
        "historyId": str(max(s.history_id for s in thread)),
    }


@operation("gmail.users.threads.get")
def get(call: Call) -> Json:
    """All messages, oldest first; there is no raw format for threads."""
    thread = _find(call)
    form, wanted, nonce = call.params["format"], call.params.get("metadataHeaders"), call.google.token(8)
    return {
        "id": thread[0].thread_id,
        "historyId": str(max(s.history_id for s in thread)),
        "messages": [shape.message(stored, form, wanted, nonce) for stored in thread],
    }


@operation("gmail.users.threads.modify")
def modify(call: Call) -> Json:
    """Every message of the thread, each with records of its own."""
    thread, box = _find(call), call.account.mailbox
    add, remove = check_change(box, call.body)
    for stored in thread:
        relabel(box, stored, add, remove)
    return _brief(thread)


@operation("gmail.users.threads.trash")
def trash(call: Call) -> Json:
    """All messages into the trash."""
    thread = _find(call)
    for stored in thread:
        relabel(call.account.mailbox, stored, ["TRASH"], ["SPAM"])
    return _brief(thread)


@operation("gmail.users.threads.untrash")
def untrash(call: Call) -> Json:
    """All messages out of the trash."""
    thread = _find(call)
    for stored in thread:
        relabel(call.account.mailbox, stored, [], ["TRASH"])
    return _brief(thread)


@operation("gmail.users.threads.delete")
def delete(call: Call) -> None:
    """All messages for ever; needs the full scope."""
    for stored in _find(call):
        call.account.mailbox.delete(stored)
