"""A matched mail -> the entry for the CRM (product.md 9 F1, 10).

Record kind by `crm_email_record`:

| option | a contact or lead matched or was created | only users, or nobody |
|---|---|---|
| `task` | task, completed | task, not completed |
| `email_message` | e-mail record | e-mail record |
| `auto` | e-mail record | task, not completed |

Where the CRM has no e-mail record it is a task throughout, and the entry says so. A mail that the CRM holds already
keeps its kind. Invitations, delivery reports and read receipts are mails: somebody dropped them, so they are filed like
any other when the people whom they are about are known; but reports create nobody (`matching`).
"""

from __future__ import annotations

import html as entities
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from sync.core import text
from sync.core.cut import shorten
from sync.core.markup import tidy, to_text
from sync.core.matching import MAX_ADDRESSES, Matching
from sync.core.placing import Place
from sync.core.replies import newest_part
from sync.model import Abilities, Attachment, Entry, Message, NewItem, Participant, RecordRef, Relation
from sync.policy import Policy

MAX_FILES = 50
MAX_FILE_BYTES = 35 << 20
"""Attachments of one mail that are stored at most: number, and bytes together."""

NAMED = 20
"""Attachments left out that are named one by one; of the others the number is told."""

SUBJECT_LIMIT: Mapping[str, int] = {"task": 255, "email": 3000}
ARCHIVED = Place()
PERSONS = frozenset({"contact", "lead", "user"})
NO_SUBJECT = "(no subject)"
_OLDEST = datetime(1980, 1, 1, tzinfo=UTC)
_MIB = 1 << 20
_RelationRole = Literal["from", "to", "cc", "bcc", "other"]
_ROLE: Mapping[str, _RelationRole] = {
    "from": "from",
    "to": "to",
    "cc": "cc",
    "bcc": "bcc",
    "reply_to": "other",
    "about": "other",
}


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing is filed; `reason` is a code of `core.reasons`."""

    reason: str


def plan(
    message: Message,
    matching: Matching,
    policy: Policy,
    abilities: Abilities,
    owner: str,
    key: str,
    *,
    place: Place = ARCHIVED,
    item: NewItem | None = None,
) -> Entry | Skip:
    """The entry to write, or why there is none. `owner` is the CRM user's id; `place` says what the CRM holds of the
    mail and where it goes, `item` what is created with it."""
    if matching.verdict != "file":
        return Skip(matching.reason or "rejected")
    if not owner:
        return Skip("no_owner")
    notes = list(matching.notes)
    kind = _kind(policy, abilities, bool(matching.people), place, notes)
    kept, left_out = ((), []) if place.beside else _attachments(message.mime.attachments, policy, notes)
    target = RecordRef(item.kind, item.ref) if item else place.item
    plain, html = _body(message, policy, kind, left_out, notes)
    return Entry(
        key=key,
        message_id=message.mime.message_id,
        record=kind,
        completed=bool(matching.people),
        owner=owner,
        subject=shorten(message.mime.subject or NO_SUBJECT, SUBJECT_LIMIT[kind]),
        date=_date(message, notes),
        incoming=message.direction == "received",
        text=plain,
        html=html,
        relations=relations(message, matching, notes),
        create=tuple(new if new.owner else replace(new, owner=owner) for new in matching.create),
        targets=(target,) if target else (),
        attachments=kept,
        existing=place.existing,
        notes=tuple(notes),
        item=item,
        moved_from=place.moved_from,
    )


def _kind(
    policy: Policy, abilities: Abilities, people: bool, place: Place, notes: list[str]
) -> Literal["email", "task"]:
    if place.existing:
        return "email" if place.existing.record.kind == "email" else "task"
    if place.beside:
        notes.append("a further item: filed as a task beside the mail's record")
        return "task"
    wanted = policy.crm_email_record
    if wanted == "task" or (wanted == "auto" and not people):
        return "task"
    if abilities.email_record:
        return "email"
    if wanted == "email_message":
        notes.append("filed as a task: this CRM has no e-mail record")
    return "task"


def _date(message: Message, notes: list[str]) -> datetime:
    """The sender's date, unless it cannot be true: then the mailbox's."""
    sent, received = message.mime.date, message.received
    if sent and sent >= _OLDEST and (received is None or sent <= received + timedelta(days=1)):
        return sent
    if received:
        if sent:
            notes.append("the Date header cannot be true; the date of arrival was taken")
        return received
    notes.append("the mail has no date")
    return sent or datetime(1970, 1, 1, tzinfo=UTC)


# --- people ---------------------------------------------------------------------------------------------------------


def relations(message: Message, matching: Matching, notes: list[str]) -> tuple[Relation, ...]:
    """One relation per address as sender and one as recipient (its first place in To, Cc, Bcc); Reply-To and the
    addresses that a report is about count only when they are nothing else.

    A record stands once per role; a second address of the same person is kept as an address. At most 500, those with
    records first.
    """
    chosen = {decision.email: decision.chosen for decision in matching.decisions}
    out: list[Relation] = []
    taken: set[tuple[str, str]] = set()  # (from|recipient, address)
    linked: set[tuple[str, RecordRef]] = set()
    for one in sorted(message.mime.participants, key=lambda one: _ROLE[one.role] == "other"):
        role = _ROLE[one.role]
        if role == "other" and any((side, one.email) in taken for side in ("from", "recipient")):
            continue
        side = "recipient" if role in ("to", "cc", "bcc") else role
        if (side, one.email) in taken:
            continue
        taken.add((side, one.email))
        record = chosen.get(one.email)
        if record is not None and (role, record) in linked:
            record = None
        if record is not None:
            linked.add((role, record))
        out.append(Relation(role, one.email, one.name, record))
    if len(out) > MAX_ADDRESSES:
        notes.append(f"{len(out) - MAX_ADDRESSES} addresses were left out: at most {MAX_ADDRESSES} are related")
        keep = sorted(range(len(out)), key=lambda n: (out[n].record is None, n))[:MAX_ADDRESSES]
        out = [out[n] for n in sorted(keep)]
    return tuple(out)


def with_owner(entry: Entry, address: str) -> Entry:
    """The mailbox's own user is related too, where no header names them: a blind copy, a mailing list (product.md
    `one_record_per_message`: one record, every user related). A task names its user as owner."""
    mine = RecordRef("user", entry.owner)
    if entry.record == "task" or any(relation.record == mine for relation in entry.relations):
        return entry
    return replace(entry, relations=(*entry.relations, Relation("other", address, "", mine)))


def complete(entry: Entry) -> bool:
    """Whether nothing is left to write: the CRM holds the mail, with everybody whom it can relate."""
    if entry.existing is None or entry.item is not None:
        return False
    if any(target != entry.existing.item for target in entry.targets if target.kind not in PERSONS):
        return False
    if entry.record == "task":
        return True
    wanted = {relation.record for relation in entry.relations if relation.record is not None}
    return not entry.create and wanted <= entry.existing.people


# --- text -----------------------------------------------------------------------------------------------------------


def _body(message: Message, policy: Policy, kind: str, left_out: Sequence[str], notes: list[str]) -> tuple[str, str]:
    """(text, HTML) within the CRM's limits. A task has no fields for people, so its text begins with them."""
    most = text.TASK_LIMIT if kind == "task" else text.EMAIL_LIMIT
    mime = message.mime
    plain, html = "", ""
    if policy.body != "headers_only":
        plain = tidy(mime.text) if mime.text.strip() else to_text(mime.html)
        html = mime.html if policy.body == "full" and kind == "email" else ""
    if policy.body == "newest_part":
        plain = newest_part(plain)
    if kind == "task":
        plain = f"{_head(mime.participants)}\n\n{plain}".strip()
    if left_out:
        remark = "[Attachments not stored in the CRM: " + "; ".join(left_out) + "]"
        plain = f"{text.limit(plain, most - len(remark) - 2)}\n\n{remark}".strip()
        html = f"{html}\n<p>{entities.escape(remark)}</p>" if html else ""
    if len(html) > text.EMAIL_LIMIT:
        notes.append("the HTML is longer than the CRM takes: filed as text")
        html = ""
    return text.limit(plain, most), html


def _head(participants: Sequence[Participant]) -> str:
    lines = []
    for role, title in (("from", "From"), ("to", "To"), ("cc", "Cc"), ("bcc", "Bcc")):
        people = [f"{one.name} <{one.email}>" if one.name else one.email for one in participants if one.role == role]
        if people:
            more = f" and {len(people) - 50} more" if len(people) > 50 else ""
            lines.append(f"{title}: {', '.join(people[:50])}{more}")
    return "\n".join(lines)


# --- attachments ----------------------------------------------------------------------------------------------------


def _attachments(
    found: Sequence[Attachment], policy: Policy, notes: list[str]
) -> tuple[tuple[Attachment, ...], list[str]]:
    """(to store, what the record's text says of the others). Inline images and signature logos are no attachments."""
    kept: list[Attachment] = []
    left_out: list[str] = []
    total = 0
    real = [one for one in found if not one.inline]
    if len(found) > len(real):
        notes.append(f"{len(found) - len(real)} inline images or signatures are not stored as files")
    if real and (not policy.attachments or policy.attachment_max_mb == 0):
        notes.append(f"{len(real)} attachments are not stored: the policy says so")
        return (), []
    for number, one in enumerate(real, 1):
        size = len(one.content)
        if size > policy.attachment_max_mb * _MIB:
            why = f"over the limit of {policy.attachment_max_mb} MiB"
        elif len(kept) >= MAX_FILES or total + size > MAX_FILE_BYTES:
            why = f"the mail has more than {MAX_FILES} files or {MAX_FILE_BYTES // _MIB} MiB"
        elif size == 0:
            why = "empty"
        else:
            kept.append(one)
            total += size
            continue
        if len(left_out) < NAMED:
            notes.append(f"attachment {number} is not stored: {size / _MIB:.1f} MiB, {why}")
            left_out.append(f"{one.name} ({size / _MIB:.1f} MiB)")
    if more := len(real) - len(kept) - len(left_out):
        notes.append(f"{more} more attachments are not stored")
        left_out.append(f"{more} more")
    return tuple(kept), left_out
