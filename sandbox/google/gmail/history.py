"""users.history: what changed since a cursor (`providers.md 1.4 GM-1..GM-5`)."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from sandbox.google.call import Call, operation
from sandbox.google.errors import invalid, not_found
from sandbox.google.gmail.mailbox import Record

Json = dict[str, Any]
MEMBERS = {
    "messageAdded": "messagesAdded",
    "messageDeleted": "messagesDeleted",
    "labelAdded": "labelsAdded",
    "labelRemoved": "labelsRemoved",
}


def show(record: Record) -> Json:
    """A record with its typed list and the same message again in `messages`."""
    plain = {"id": record.message, "threadId": record.thread}
    entry: Json = {"message": plain | ({"labelIds": list(record.labels)} if record.labels else {})}
    if record.changed:
        entry["labelIds"] = list(record.changed)
    return {"id": str(record.id), "messages": [plain], MEMBERS[record.kind]: [entry]}


@operation("gmail.users.history.list")
def list_history(call: Call) -> Json:
    """Ascending records after `startHistoryId`; 404 when the cursor is too old or unknown."""
    box, params = call.account.mailbox, call.params
    start = params.get("startHistoryId")
    if start is None:
        raise invalid("Missing required parameter: startHistoryId")
    if not box.history.knows(int(start), float(call.google.frame.settings["gmail_history_days"])):
        raise not_found()
    kinds = set(params.get("historyTypes", ())) or set(MEMBERS)
    label = params.get("labelId")
    records = [
        r
        for r in box.history.records[bisect_right(box.history.records, int(start), key=lambda record: record.id) :]
        if r.kind in kinds and (not label or label in r.labels or label in r.changed)
    ]
    page, token = call.google.pages.cut(call, records, lambda record: record.id)
    out: Json = {"history": [show(record) for record in page]} if page else {}
    if token:
        out["nextPageToken"] = token
    return out | {"historyId": str(box.history.touch())}
