"""users.messages: reading, listing, changing, inserting (`providers.md 1.6`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.google.call import Call, operation
from sandbox.google.errors import GoogleError, invalid, not_found
from sandbox.google.gmail import shape
from sandbox.google.gmail.labels import FIXED, check_change, check_known
from sandbox.google.gmail.mime import MAILS, unb64url
from sandbox.google.gmail.search import Query

if TYPE_CHECKING:
    from sandbox.google.gmail.mailbox import Mailbox, Stored

Json = dict[str, Any]
BATCH_LIMIT = 1000
NO_RAW = "'raw' RFC822 payload message string or uploading message via /upload/* URL required"


def find(call: Call, name: str = "id") -> Stored:
    """The message that the path names; 404 also while it is not visible yet (`providers.md GM-5`)."""
    stored = call.account.mailbox.messages.get(call.params[name])
    if stored is None or stored.visible_at > call.google.frame.clock.time():
        raise not_found()
    return stored


def raw_of(call: Call) -> bytes:
    """The bytes of an insert, import or send, uploaded or in the body."""
    if call.media is not None:
        return call.media
    if not call.body.get("raw"):
        raise invalid(NO_RAW)
    try:
        return unb64url(call.body["raw"])
    except ValueError:
        raise invalid("Invalid value for ByteString: raw") from None


def matching(call: Call) -> list[Stored]:
    """Messages by labelIds, q and includeSpamTrash, newest first."""
    box, params = call.account.mailbox, call.params
    wanted = set(params.get("labelIds", ()))
    for name in wanted:
        check_known(box, name)
    text = params.get("q", "").strip()
    query = Query(text, box) if text else None
    everywhere = params.get("includeSpamTrash") or bool(wanted & {"SPAM", "TRASH"})
    everywhere = everywhere or (query is not None and query.trash_and_spam)
    now = box.clock.time()
    found = [
        s
        for s in (box.messages.values() if not wanted else box.with_label(next(iter(wanted))))
        if wanted <= s.labels
        and (everywhere or not s.labels & {"SPAM", "TRASH"})
        and (query is None or (s.indexed_at <= now and query(s)))
    ]
    return sorted(found, key=lambda s: s.order, reverse=True)


def descending(stored: Stored) -> tuple[int, int]:
    """A key that ascends from the newest message to the oldest."""
    return -stored.order[0], -int(stored.id, 16)


@operation("gmail.users.messages.list")
def list_messages(call: Call) -> Json:
    """Ids only, newest first; no `messages` member when nothing is found."""
    found = sorted(matching(call), key=descending)
    page, token = call.google.pages.cut(call, found, descending)
    out: Json = {"messages": [{"id": s.id, "threadId": s.thread_id} for s in page]} if page else {}
    if token:
        out["nextPageToken"] = token
    return out | {"resultSizeEstimate": len(found)}


@operation("gmail.users.messages.get")
def get(call: Call) -> Json:
    """One message in one of the four formats."""
    return shape.message(find(call), call.params["format"], call.params.get("metadataHeaders"), call.google.token(8))


@operation("gmail.users.messages.attachments.get")
def get_attachment(call: Call) -> Json:
    """An attachment's bytes by an id that a full get has shown."""
    try:
        return shape.attachment(find(call, "messageId"), call.params["id"])
    except LookupError:
        raise invalid("Invalid attachment token") from None


def relabel(box: Mailbox, stored: Stored, add: list[str], remove: list[str]) -> None:
    """Apply a checked change; trash and spam leave the Inbox, a draft takes no label (Gmail's guide to drafts)."""
    gone = ["INBOX"] if {"TRASH", "SPAM"} & set(add) and "INBOX" not in add else []
    if "DRAFT" in stored.labels:
        add = [name for name in add if name == "TRASH"]
    box.change(stored, add, [*remove, *gone])


@operation("gmail.users.messages.modify")
def modify(call: Call) -> Json:
    """Idempotent; no history when nothing changes (`providers.md GM-9`)."""
    stored, box = find(call), call.account.mailbox
    add, remove = check_change(box, call.body)
    if "DRAFT" in stored.labels and set(add) - {"TRASH"}:
        raise invalid("Invalid label: DRAFT")
    relabel(box, stored, add, remove)
    return shape.brief(stored)


def _some(call: Call) -> list[Stored]:
    ids = call.body.get("ids", [])
    if not ids:
        raise invalid("No message ids specified")
    if len(ids) > BATCH_LIMIT:
        raise invalid(f"Too many message ids: at most {BATCH_LIMIT}")
    box = call.account.mailbox
    return [box.messages[ident] for ident in dict.fromkeys(ids) if ident in box.messages]


@operation("gmail.users.messages.batchModify")
def batch_modify(call: Call) -> None:
    """The same change for many; unknown ids are passed over in silence (`providers.md GM-9`)."""
    box = call.account.mailbox
    add, remove = check_change(box, {n: v for n, v in call.body.items() if n != "ids"})
    for stored in _some(call):
        relabel(box, stored, add, remove)


@operation("gmail.users.messages.batchDelete")
def batch_delete(call: Call) -> None:
    """For ever; unknown ids are passed over in silence."""
    for stored in _some(call):
        call.account.mailbox.delete(stored)


@operation("gmail.users.messages.delete")
def delete(call: Call) -> None:
    """For ever; needs the full scope."""
    call.account.mailbox.delete(find(call))


@operation("gmail.users.messages.trash")
def trash(call: Call) -> Json:
    """Into the trash, out of the Inbox."""
    stored = find(call)
    relabel(call.account.mailbox, stored, ["TRASH"], ["SPAM"])
    return shape.brief(stored)


@operation("gmail.users.messages.untrash")
def untrash(call: Call) -> Json:
    """Out of the trash, not back into the Inbox."""
    stored = find(call)
    relabel(call.account.mailbox, stored, [], ["TRASH"])
    return shape.brief(stored)


def own_thread(call: Call, raw: bytes) -> str:
    """The thread that the body asks for, when References and Subject allow it; 404 for an unknown one."""
    asked = call.body.get("threadId", "")
    if not asked:
        return ""
    box = call.account.mailbox
    if asked not in box.threads:
        raise not_found()
    return asked if box.fits(MAILS.get(raw), asked) else ""


def _stored(call: Call, thread_id: str, raw: bytes, date_header: bool) -> Stored:
    box, google = call.account.mailbox, call.google
    labels = call.body.get("labelIds", [])
    for name in labels:
        check_known(box, name)
    if set(labels) & (FIXED - {"SENT"}):
        raise invalid(f"Invalid label: {min(set(labels) & FIXED)}")
    mail = MAILS.get(raw)
    date = mail.date if date_header else None
    moment = date.timestamp() if date else google.frame.clock.time()
    return box.add(
        mail, labels, int(moment * 1000), thread_id, index_delay=float(google.frame.settings["gmail_index_delay"])
    )


@operation("gmail.users.messages.insert")
def insert(call: Call) -> Json:
    """Like IMAP APPEND: no sending, no filters, not idempotent (`providers.md GM-11`)."""
    raw = raw_of(call)
    if not raw.strip():
        raise invalid(NO_RAW)
    stored = _stored(call, own_thread(call, raw), raw, call.params["internalDateSource"] == "dateHeader")
    return shape.brief(stored)


@operation("gmail.users.messages.import")
def import_message(call: Call) -> Json:
    """Like a delivery by SMTP that nobody sent: threading as for arriving mail, labels of the body."""
    raw = raw_of(call)
    if call.params.get("processForCalendar"):
        raise GoogleError(501, "The sandbox does not do gmail.users.messages.import with processForCalendar.")
    thread = own_thread(call, raw) or call.account.mailbox.thread_for(MAILS.get(raw))
    stored = _stored(call, thread, raw, call.params["internalDateSource"] == "dateHeader")
    return shape.brief(stored)
