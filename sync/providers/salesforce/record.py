"""Which Salesforce records an e-mail is: an EmailMessage with relations, or Tasks (providers.md 5.3, product.md 10).

EmailMessage: people stand in the junction lists of their role, addresses without a record in the address fields, the
sender in a relation of his own. `RelatedToId` is the primary target and nothing else: without a target it stays empty,
because Salesforce itself rolls the automatic task up to the account of the contact, and a guessed account would stand
in the way of the opportunity or case that a user relates later.

Task: one task has one lead, or up to 50 contacts with Shared Activities, or one contact without. So a mail may need
several tasks. `WhatId` (the primary target) does not go together with a lead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any

from sync.model import Entry, RecordRef, Relation
from sync.providers.salesforce.describe import Description
from sync.providers.salesforce.graph import Draft, Fixes, Graph
from sync.providers.salesforce.modules import Shape
from sync.providers.salesforce.values import (
    clean,
    identifier,
    message_id_line,
    one_line,
    size,
    subject,
)

PERSONS = frozenset({"contact", "lead", "user"})
TASK_PERSONS = frozenset({"contact", "lead"})
CONTACTS_PER_TASK = 50
MAX_TASKS = 100  # of one mail: who follows is named in the text
ADDRESS_LENGTH = 4000  # characters of ToAddress, CcAddress and BccAddress
RELATION_TYPES = {
    "from": "FromAddress",
    "to": "ToAddress",
    "cc": "CcAddress",
    "bcc": "BccAddress",
    "other": "OtherAddress",
}
LISTS = (("to", "ToIds", "ToAddress"), ("cc", "CcIds", "CcAddress"), ("bcc", "BccIds", "BccAddress"))
SENT = "3"  # EmailMessage.Status; the only one that is valid without a case as its parent


def build(entry: Entry, description: Description, fixes: Fixes, shapes: Mapping[str, Shape] | None = None) -> Graph:
    """The graph of an entry; without nodes when everything is there. `shapes`: the modules of items to create."""
    draft = Draft(entry, description, fixes, shapes)
    draft.people()
    draft.item()
    if entry.existing is not None:
        draft.records["activity"] = entry.existing.record
        if entry.existing.record.kind == "email":
            _relate_email(draft, entry.existing.record)
        else:
            _relate_task(draft, entry.existing.record)
    elif entry.record == "email":
        _email(draft)
    else:
        _tasks(draft)
    return draft.graph()


# --- EmailMessage


def _email(draft: Draft) -> None:
    entry = draft.entry
    relations = _relations(draft)
    sender = next((one for one in relations if one.role == "from"), None)
    values: dict[str, Any] = {
        "MessageIdentifier": identifier(entry.message_id),
        "Status": SENT,
        "Incoming": entry.incoming,
        "IsClientManaged": True,
        "MessageDate": _date(draft),
        "Subject": one_line(entry.subject),
        "FromAddress": sender.email if sender else "",
        "FromName": one_line(sender.name) if sender else "",
        **_bodies(draft),
        **_recipients(draft, relations),
        **_related_to(draft),
    }
    draft.add("activity", "EmailMessage", values, ref="activity", kind="email")
    listed = {draft.link(one.record) for one in relations if one.record and one.role in ("to", "cc", "bcc")}
    apart = [one for one in relations if one.record and one.role in ("from", "other")]
    _relation_nodes(draft, "@{activity.id}", [r for r in apart if r.role == "from" or draft.link(_is(r)) not in listed])
    draft.files("@{activity.id}")


def _relate_email(draft: Draft, record: RecordRef) -> None:
    """Only what is missing. What is added is told, so that it can be taken back."""
    existing = draft.entry.existing
    known = existing.people if existing else frozenset()
    missing = [one for one in _relations(draft) if one.record and draft.resolve(one.record) not in known]
    _added(draft, _relation_nodes(draft, record.id, missing))
    _late_target(draft, record, "RelatedToId")


def _relation_nodes(draft: Draft, email: str, relations: Iterable[Relation]) -> list[RecordRef]:
    """Who is related by them."""
    out: list[RecordRef] = []
    done: set[tuple[str, str]] = set()
    for number, one in enumerate(relations, 1):
        record, kind = draft.link(_is(one)), RELATION_TYPES[one.role]
        if kind == "OtherAddress" and any(record == other for other, _ in done):
            continue
        if (record, kind) not in done:
            done.add((record, kind))
            values = {"EmailMessageId": email, "RelationId": record, "RelationType": kind, "RelationAddress": one.email}
            if draft.add(f"rel{number}", "EmailMessageRelation", values):
                out.append(_is(one))
    return out


def _relations(draft: Draft) -> list[Relation]:
    """The entry's relations, and its targets that are people; records that are no people are named in the notes."""
    out = []
    for one in draft.entry.relations:
        if one.record is None or draft.resolve(one.record).kind in PERSONS:
            out.append(one)
        else:
            draft.notes.append(f"a relation left out: {one.record.kind} records cannot take part in an e-mail")
    out += [Relation("other", "", "", one) for one in draft.entry.targets if one.kind in PERSONS]
    return out


def _recipients(draft: Draft, relations: Sequence[Relation]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for role, ids, addresses in LISTS:
        some = [one for one in relations if one.role == role]
        out[ids] = list(dict.fromkeys(draft.link(one.record) for one in some if one.record))
        text, left = _joined([one.email for one in some if one.record is None], ADDRESS_LENGTH)
        out[addresses] = text
        if left:
            draft.notes.append(f"{left} addresses left out of {addresses}")
    return out


def _bodies(draft: Draft) -> dict[str, str]:
    """HTML is left out rather than cut, as half a page shows anything; text is cut by length."""
    entry = draft.entry
    known = draft.description.objects.get("EmailMessage")
    spec = known.fields.get("HtmlBody") if known else None
    html = clean(entry.html)
    if spec and 0 < spec.length < size(html):
        draft.notes.append(f"EmailMessage.HtmlBody left out: longer than {spec.length} characters")
        return {"TextBody": entry.text or "(the text is too long)"}
    return {"HtmlBody": html, "TextBody": entry.text}


def _related_to(draft: Draft) -> dict[str, Any]:
    """Of a case too RelatedToId alone: a parent could never be exchanged, so the mail could not be moved (providers.md
    5.3: ParentId is create-only)."""
    target = _target(draft)
    return {"RelatedToId": draft.link(target)} if target else {}


# --- Task


def _tasks(draft: Draft) -> None:
    people = _task_people(draft)
    groups = _groups(draft, people)
    if not any(one.kind == "contact" for one in people) and (_target(draft) or not groups):
        groups = [[], *groups]  # the item's own: a lead's task cannot be related to it
    if len(groups) > MAX_TASKS:
        draft.notes.append(f"{len(groups) - MAX_TASKS} people are not related: a mail has at most {MAX_TASKS} tasks")
    for number, group in enumerate(groups[:MAX_TASKS], 1):
        _task(draft, number, group)
    draft.files("@{activity.id}")


def _relate_task(draft: Draft, record: RecordRef) -> None:
    """Missing contacts join the task where they can; others get a task of their own. A user can only own a task, so a
    second colleague is not related."""
    existing = draft.entry.existing
    known = existing.people if existing else frozenset()
    there = [one for one in known if one.kind in TASK_PERSONS]
    missing = [one for one in _task_people(draft) if one not in known]
    shared = draft.description.shared_activities
    contacts = [one for one in missing if one.kind == "contact"]
    present = sorted(one.id for one in there if one.kind == "contact")
    joins = [] if not shared or (there and not present) else contacts[: CONTACTS_PER_TASK - len(present)]
    if joins:
        draft.change("join", record, {"TaskWhoIds": [*present, *(draft.link(one) for one in joins)]})
    elif missing and not there:
        joins = missing[:1]
        draft.change("join", record, {"WhoId": draft.link(joins[0])})
    rest = [one for one in missing if one not in joins]
    for number, group in enumerate(_groups(draft, rest)[:MAX_TASKS], 2):
        _task(draft, number, group)
    colleagues = [one.record for one in draft.entry.relations if one.record and one.record.kind == "user"]
    if any(one not in known for one in colleagues):
        draft.notes.append("a user is not related: a task has one owner")
    _added(draft, joins)
    _late_target(draft, record, "WhatId")


def _task(draft: Draft, number: int, group: Sequence[RecordRef]) -> None:
    entry, description = draft.entry, draft.description
    suffix = "" if number == 1 else f".{number}"
    target = _target(draft)
    lead = any(one.kind == "lead" for one in group)
    if lead and target is not None:
        draft.notes.append("a lead has a task of its own: it cannot be related to another record")
    ids = [draft.link(one) for one in group]
    who: dict[str, Any] = {"TaskWhoIds": ids} if description.shared_activities else {"WhoId": ids[0] if ids else ""}
    values = {
        "Subject": subject(entry.subject),
        "Description": _description(entry),
        "Status": description.closed_status if entry.completed else description.open_status,
        "ActivityDate": entry.date.astimezone(UTC).date().isoformat(),
        "TaskSubtype": "Email",
        "OwnerId": entry.owner,
        "WhatId": draft.link(target) if target is not None and not lead else "",
        **who,
    }
    draft.add(f"activity{suffix.replace('.', '_')}", "Task", values, ref=f"activity{suffix}", kind="task")


def _task_people(draft: Draft) -> list[RecordRef]:
    """Contacts and leads in the order of the header, each once."""
    records = [one.record for one in draft.entry.relations if one.record] + list(draft.entry.targets)
    return list(dict.fromkeys(one for one in map(draft.resolve, records) if one.kind in TASK_PERSONS))


def _groups(draft: Draft, people: Sequence[RecordRef]) -> list[list[RecordRef]]:
    """Who shares a task; contacts come first, as only they go together with a target."""
    contacts = [one for one in people if one.kind == "contact"]
    step = CONTACTS_PER_TASK if draft.description.shared_activities else 1
    together = [contacts[at : at + step] for at in range(0, len(contacts), step)]
    return together + [[one] for one in people if one.kind == "lead"]


def _description(entry: Entry) -> str:
    """The lines by which the task is found again and dated, then the text, which names the people itself."""
    date = f"Date: {entry.date.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return "\n".join([message_id_line(entry.message_id), date, clean(entry.text)])


# --- both


def _target(draft: Draft) -> RecordRef | None:
    """The primary target; people among the targets are related as people."""
    items = [one for one in draft.entry.targets if one.kind not in PERSONS]
    if len(items) > 1:
        draft.notes.append(f"{len(items) - 1} further targets left out: an activity is related to one record")
    return items[0] if items else None


def _late_target(draft: Draft, record: RecordRef, field: str) -> None:
    """The item of an activity that is there: set when there is none, exchanged only where the mail is moved from."""
    entry, target = draft.entry, _target(draft)
    former = entry.existing.item if entry.existing else None
    if target is None or target == former:
        return
    if former is not None and former != entry.moved_from:
        draft.notes.append("the target left out: the activity is related to another record")
    elif draft.fixed or (record.kind == "task" and _of_lead(draft)):
        contacts = [one for one in _task_people(draft) if one.kind == "contact"]
        _task(draft, MAX_TASKS + 1, next(iter(_groups(draft, contacts)), []))
    else:
        draft.change("target", record, {field: draft.link(target)})


def _of_lead(draft: Draft) -> bool:
    """Whether the task that is there is a lead's, which cannot be related to an item."""
    known = draft.entry.existing.people if draft.entry.existing else frozenset()
    return any(one.kind == "lead" for one in known) and not any(one.kind == "contact" for one in known)


def _added(draft: Draft, people: Iterable[RecordRef]) -> None:
    for number, one in enumerate(dict.fromkeys(draft.resolve(one) for one in people), 1):
        draft.records[f"added.{number}"] = one


def _date(draft: Draft) -> str:
    """Empty for a date that Salesforce does not take: a wrong clock must not keep a mail out."""
    when = draft.entry.date.astimezone(UTC)
    if not 1700 <= when.year <= 4000:
        draft.notes.append("the date left out: it is out of range")
        return ""
    return when.strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def _is(relation: Relation) -> RecordRef:
    assert relation.record is not None, "asked only of relations with a record"
    return relation.record


def _joined(parts: Sequence[str], length: int) -> tuple[str, int]:
    """The parts that fit, whole, each once; and how many do not."""
    out: list[str] = []
    room = length
    unique = list(dict.fromkeys(parts))
    for part in unique:
        room -= size(part) + 2
        if room < 0:
            break
        out.append(part)
    return "; ".join(out), len(unique) - len(out)
