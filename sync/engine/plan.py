"""The question to the CRM for a batch of mails, and from its answer an entry for each (design.md 4, 6 and 7)."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from sync.core import filing as plans
from sync.core import items, matching, placing
from sync.core import trace as traces
from sync.core.matching import MailboxIdentity
from sync.core.placing import Before, Place
from sync.engine.work import Spent, Work
from sync.errors import Rejected
from sync.model import (
    Abilities,
    Directory,
    Entry,
    Filed,
    Message,
    NewItem,
    NewRecord,
    Question,
    RecordRef,
    Sent,
    Target,
)
from sync.store.rows import Filing, Sighting

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Case:
    """One sighting on its way to the CRM. `others` are the other filings of the same mail."""

    sighting: Sighting
    message: Message
    filing: Filing
    others: tuple[Filing, ...] = ()

    @property
    def target(self) -> Target:
        return Target.parse(self.filing.target)


@dataclass(frozen=True, slots=True)
class Planned:
    case: Case
    entry: Entry
    trace: dict[str, Any]
    place: Place

    @property
    def wishes(self) -> tuple[tuple[str, str], ...]:
        """(kind, key) of everything that must not be made twice: a person by address, an account by name, and the main
        record of a mail, which several filings of it may want at once."""
        people = tuple((record.kind, _key(record)) for record in self.entry.create)
        main = self.entry.existing is None and not self.place.beside
        return (*people, ("message", self.case.message.mime.message_id)) if main else people


def _key(record: NewRecord) -> str:
    return (record.fields.get("email") or record.fields.get("name") or record.ref).lower()


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing is written for this mail, for a reason; or it failed in our own hands."""

    reason: str
    trace: dict[str, Any]
    error: Rejected | None = None


@dataclass(frozen=True, slots=True)
class There:
    """Everything is in the CRM already."""

    filed: Filed
    trace: dict[str, Any]
    place: Place

    @property
    def records(self) -> dict[str, RecordRef]:
        records = {"activity": self.filed.record}
        if self.filed.activity is not None:
            records["task"] = self.filed.activity
        return records


@dataclass(frozen=True, slots=True)
class Round:
    """What all cases of a batch share: the CRM's answer, and the meters before it. `there` are the records of earlier
    filings that are not deleted."""

    abilities: Abilities
    directory: Directory
    identity: MailboxIdentity
    there: frozenset[RecordRef]
    before: Spent


# --- asking ---------------------------------------------------------------------------------------------------------


def ask(work: Work, cases: Sequence[Case], before: Spent) -> Round:
    """One call to the CRM, two when records without a Message-ID must be looked for. Raises what the CRM raises."""
    crm = work.ports.crm
    abilities = crm.abilities()
    directory = crm.match(_question(work, cases))
    unsure = _unsure(cases, directory)
    there = frozenset(crm.names(sorted(unsure, key=lambda record: record.id))) if unsure else frozenset()
    return Round(abilities, directory, _identity(work, directory), there, before)


def _question(work: Work, cases: Sequence[Case]) -> Question:
    """Everything at once, the mailbox's own user too. What was sent without an answer is looked for (design.md 7)."""
    question = matching.question([c.message for c in cases], work.ports.policy, work.ports.identity)
    sent = tuple(
        Sent(
            c.message.mime.message_id,
            c.message.mime.subject,
            datetime.fromtimestamp(c.filing.sent_at, UTC),
            _beside(c.target),
        )
        for c in cases
        if c.filing.state == "sent"
    )
    wanted = frozenset(item for c in cases if (item := _item_of(c.filing)) is not None)
    return replace(question, addresses=question.addresses | {work.ports.owner}, sent=sent, items=wanted)


def _beside(target: Target) -> RecordRef | None:
    return None if target.action == "archive" else RecordRef(target.kind, target.id)


def _item_of(filing: Filing) -> RecordRef | None:
    """The item that a filing puts its mail to, as far as it is known."""
    target = Target.parse(filing.target)
    if target.action == "record":
        return RecordRef(target.kind, target.id)
    made = filing.records.get("@item")
    return RecordRef(*made) if made else None


def _identity(work: Work, directory: Directory) -> MailboxIdentity:
    """The mailbox with its CRM user's id, if there is an active one."""
    users = [p.record.id for p in directory.people.get(work.ports.owner, ()) if p.record.kind == "user"]
    return replace(work.ports.identity, crm_user=users[0] if users else None)


def _unsure(cases: Iterable[Case], directory: Directory) -> set[RecordRef]:
    """Of the records that we filed earlier: those that `match` cannot find by Message-ID (tasks)."""
    return {
        RecordRef(*filing.records["activity"])
        for c in cases
        for filing in (c.filing, *c.others)
        if filing.state == "done" and "activity" in filing.records
        if c.message.mime.message_id not in directory.filed
    }


# --- planning -------------------------------------------------------------------------------------------------------


def plan(work: Work, round_: Round, case: Case) -> Planned | There | Refused:
    """What to do with one mail. Whatever it does to us, the others go on."""
    try:
        return _plan(work, round_, case)
    except Exception as error:  # noqa: BLE001 - whatever one mail does to us, the others go on
        at = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        log.error(
            "plan.failed", filing=case.filing.id, error=type(error).__name__, at=at
        )  # its text may quote the mail
        return Refused("internal_error", {}, Rejected(type(error).__name__, reason="internal_error"))


def _plan(work: Work, round_: Round, case: Case) -> Planned | There | Refused:
    policy, identity = work.ports.policy, round_.identity
    found = matching.match(case.message, round_.directory, policy, identity)
    place = _place(case, round_)
    target = case.target
    if place.item is not None and round_.directory.items.get(place.item) is False:
        return Refused("item_gone", traces.trace(found, None, work.store.hash))
    item: NewItem | None = None
    if place.create and found.verdict == "file" and identity.crm_user:
        made = _new_item(work, case, found, target.kind, identity.crm_user)
        if isinstance(made, Refused):
            return replace(made, trace={**traces.trace(found, None, work.store.hash), **made.trace})
        item = made
    key, owner = str(case.filing.id), identity.crm_user or ""
    entry = plans.plan(case.message, found, policy, round_.abilities, owner, key, place=place, item=item)
    if isinstance(entry, Entry):
        entry = plans.with_owner(entry, identity.address)
    trace = traces.trace(found, entry, work.store.hash)
    if isinstance(entry, plans.Skip):
        return Refused(entry.reason, trace)
    if place.existing is not None and plans.complete(entry):
        return There(place.existing, trace, place)
    return Planned(case, entry, trace, place)


def _new_item(work: Work, case: Case, found: matching.Matching, kind: str, owner: str) -> NewItem | Refused:
    enabled = next((one for one in work.enabled if one.module.kind == kind), None)
    if enabled is None or not enabled.rule.create:
        return Refused("module_off", {})
    today = datetime.fromtimestamp(work.clock(), UTC).date()
    made = items.new_item(case.message, found, enabled.rule, enabled.module, work.ports.policy, owner, today)
    if isinstance(made, items.Lacking):
        return Refused("required_field", {"error": made.detail})
    return made


def _place(case: Case, round_: Round) -> Place:
    directory, message_id = round_.directory, case.message.mime.message_id
    before = [
        Before(
            other.id,
            _item_of(other),
            _record(other, "activity"),
            (other.done_at or 0.0) < case.sighting.created_at,
        )
        for other in case.others
        if other.state == "done"
    ]
    ours = _record(case.filing, "activity")
    made = _record(case.filing, "@item")
    if made is not None and directory.items.get(made) is False:
        made = None  # deleted in the CRM: a mail that is dropped again asks for a new one
    main = directory.filed.get(message_id) or _journal(case, round_, before)
    beside = directory.beside.get((message_id, ref)) if (ref := _beside(case.target)) else None
    if beside is None and ours is not None and main is not None and ours != main.record and ours in round_.there:
        beside = Filed(ours, item=_item_of(case.filing))
    return placing.place(case.target, main, beside, before, ours, made, unsure=case.filing.state == "sent")


def _journal(case: Case, round_: Round, before: Sequence[Before]) -> Filed | None:
    """The main record by our own books, where the CRM cannot find it by Message-ID."""
    ours = _record(case.filing, "activity")
    if ours is not None and ours in round_.there:
        return Filed(ours, item=_item_of(case.filing) if case.target.action != "archive" else _related(before, ours))
    for one in before:
        if one.activity is not None and one.activity in round_.there:
            return Filed(one.activity, item=_related(before, one.activity))
    return None


def _related(before: Sequence[Before], activity: RecordRef) -> RecordRef | None:
    return next((one.item for one in before if one.activity == activity and one.item is not None), None)


def _record(filing: Filing, name: str) -> RecordRef | None:
    found: Mapping[str, tuple[str, str]] = filing.records
    return RecordRef(*found[name]) if name in found else None
