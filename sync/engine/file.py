"""Match, plan and file a batch: one question to the CRM, a graph per mail, one call for all (design.md 4, 6 to 8)."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from sync.core import filing as plans
from sync.core import matching, pace
from sync.core import trace as traces
from sync.core.matching import MailboxIdentity
from sync.core.reasons import REASONS
from sync.engine.permit import Permit
from sync.engine.work import Spent, Work
from sync.errors import Busy, Conflict, Denied, Missing, Rejected, RemoteError
from sync.model import Abilities, Directory, Entry, Filed, Message, NewRecord, Outcome, Question, RecordRef, Sent
from sync.store.rows import Filing, Sighting
from sync.store.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Iterable

log = structlog.get_logger()

CREATION_SECONDS = 60.0  # how long a match asked before may miss what was created; then the claim is free again
HOLD_SECONDS = 1800.0  # between tries of a mail that is held for a missing match
OTHER_WAIT = 1.0  # seconds until we look again at what another mailbox's wake is creating


@dataclass(frozen=True, slots=True)
class Case:
    """One sighting on its way to the CRM."""

    sighting: Sighting
    message: Message
    filing: Filing


@dataclass(frozen=True, slots=True)
class Planned:
    case: Case
    entry: Entry
    trace: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Round:
    """What all cases of a batch share: the CRM's answer, and the meters before it."""

    abilities: Abilities
    directory: Directory
    identity: MailboxIdentity
    before: Spent


def file(work: Work, cases: Sequence[Case], before: Spent) -> None:
    """Every case ends decided (done, missing, parked) or put off to a time. Raises `Busy` and `Denied` after the cases
    were given back."""
    asked = work.moment()
    try:
        abilities = work.ports.crm.abilities()
        directory = work.ports.crm.match(_question(work, cases))
        still_there = _still_there(work, cases, directory)
    except (Busy, Denied) as error:
        _give_back(work, cases, error)
        raise
    except Rejected as error:
        _suspect(work, cases, error, before)
        return
    round_ = Round(abilities, directory, _identity(work, directory), before)
    with work.commit() as tx:
        cases = _still_ours(work, tx, cases, fresh=work.age(asked) < CREATION_SECONDS)
        ready = [planned for case in cases if (planned := _plan(work, tx, round_, case, still_there)) is not None]
        ready = _claim_creations(work, tx, ready)
        tx.sent([(planned.case.filing.id, planned.trace) for planned in ready], work.clock())
    if ready:
        _send(work, round_, ready)


def _still_ours(work: Work, tx: Transaction, cases: Sequence[Case], *, fresh: bool) -> list[Case]:
    """The cases that nobody took over while we asked; the others wait. After an answer that is too old to be `fresh`
    all wait: what others have created since is not in it, and nothing remembers that they did."""
    held = tx.hold([case.filing.id for case in cases], work.who, work.clock() + work.guard_seconds)
    ours = [case for case in cases if fresh and case.filing.id in held]
    for case in cases:
        if case not in ours:
            _put_off(work, tx, case, work.clock() + OTHER_WAIT, refund=fresh)
    return ours


# --- asking ---------------------------------------------------------------------------------------------------------


def _question(work: Work, cases: Sequence[Case]) -> Question:
    """Everything at once, the mailbox's own user too. What was sent without an answer is looked for (design.md 7)."""
    question = matching.question([c.message for c in cases], work.ports.policy, work.ports.identity)
    sent = tuple(
        Sent(c.message.mime.message_id, c.message.mime.subject, datetime.fromtimestamp(c.filing.sent_at, UTC))
        for c in cases
        if c.filing.state == "sent"
    )
    return replace(question, addresses=question.addresses | {work.ports.owner}, sent=sent)


def _identity(work: Work, directory: Directory) -> MailboxIdentity:
    """The mailbox with its CRM user's id, if there is an active one."""
    users = [p.record.id for p in directory.people.get(work.ports.owner, ()) if p.record.kind == "user"]
    return replace(work.ports.identity, crm_user=users[0] if users else None)


def _still_there(work: Work, cases: Iterable[Case], directory: Directory) -> frozenset[RecordRef]:
    """Of the records that we filed earlier and that `match` cannot find by Message-ID (tasks): those not deleted."""
    unsure = {
        RecordRef(*c.filing.records["activity"])
        for c in cases
        if c.filing.state == "done"
        and "activity" in c.filing.records
        and c.message.mime.message_id not in directory.filed
    }
    return frozenset(work.ports.crm.names(sorted(unsure, key=lambda r: r.id))) if unsure else frozenset()


def _suspect(work: Work, cases: Sequence[Case], error: Rejected, before: Spent) -> None:
    """The CRM refused the question. One mail alone is to blame for that; of many each is tried alone next time."""
    log.error("match.refused", mails=len(cases), error=str(error))
    with work.commit() as tx:
        if len(cases) == 1:
            tx.park(cases[0].filing.id, "rejected", {"error": error.detail}, work.clock())
            tx.decide([cases[0].sighting.id], "parked", "rejected", work.since(before))
            return
        for case in cases:
            _put_off(work, tx, case, work.clock(), refund=False)


# --- planning -------------------------------------------------------------------------------------------------------


def _plan(work: Work, tx: Transaction, round_: Round, case: Case, still_there: frozenset[RecordRef]) -> Planned | None:
    """The entry to write; None when the case was decided or put off here."""
    policy, identity = work.ports.policy, round_.identity
    existing = round_.directory.filed.get(case.message.mime.message_id)
    if existing is None and "activity" in case.filing.records:
        ours = RecordRef(*case.filing.records["activity"])
        existing = Filed(ours) if ours in still_there else None
    try:
        found = matching.match(case.message, round_.directory, policy, identity)
        plan = plans.plan(
            case.message,
            found,
            policy,
            round_.abilities,
            identity.crm_user or "",
            str(case.filing.id),
            existing=existing,
        )
        if isinstance(plan, Entry):
            plan = plans.with_owner(plan, identity.address)
        trace = traces.trace(found, plan, work.store.hash)
    except Exception as error:  # noqa: BLE001 - whatever one mail does to us, the others go on
        at = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        log.error(
            "plan.failed", filing=case.filing.id, error=type(error).__name__, at=at
        )  # its text may quote the mail
        _failed(work, tx, round_, case, Rejected(type(error).__name__, reason="internal_error"), {})
        return None
    if isinstance(plan, plans.Skip):
        _skip(work, tx, round_, case, plan.reason, trace)
        return None
    if existing is not None and plans.complete(plan):
        _done(work, tx, round_, case, _records(existing), trace)
        return None
    return Planned(case, plan, trace)


def _records(there: Filed) -> dict[str, RecordRef]:
    records = {"activity": there.record}
    if there.activity is not None:
        records["task"] = there.activity
    return records


def _claim_creations(work: Work, tx: Transaction, ready: Sequence[Planned]) -> list[Planned]:
    """Only one filing at a time creates a person or an account; the others wait a moment and then match it."""
    now, connection = work.clock(), work.ports.crm_connection
    wishes = sorted((r.kind, _creation_key(r), p.case.filing.id) for p in ready for r in p.entry.create)
    ours = {planned.case.filing.id for planned in ready}
    waits: dict[int, float] = {}
    for kind, key, filing_id in wishes:
        claim = tx.claim_creation(connection, kind, key, filing_id, now, now + work.guard_seconds)
        if not claim.mine:
            # made in this very batch: there when we ask again; else another's
            wait = 0.0 if claim.filing_id in ours and claim.state == "claimed" else OTHER_WAIT
            waits[filing_id] = max(waits.get(filing_id, 0.0), wait)
    for planned in ready:
        filing_id = planned.case.filing.id
        if filing_id in waits:
            _put_off(work, tx, planned.case, now + waits[filing_id])
            for record in planned.entry.create:
                tx.forget_creation(connection, record.kind, _creation_key(record), filing_id)
    return [planned for planned in ready if planned.case.filing.id not in waits]


def _creation_key(record: NewRecord) -> str:
    """What must not be made twice: a person by address, an account by name."""
    return (record.fields.get("email") or record.fields.get("name") or record.ref).lower()


# --- writing --------------------------------------------------------------------------------------------------------


def _send(work: Work, round_: Round, ready: Sequence[Planned]) -> None:
    try:
        outcomes = work.ports.crm.file([planned.entry for planned in ready], _permit(work, ready))
    except (Busy, Denied) as error:
        _give_back(work, [planned.case for planned in ready], error, sent=True)
        raise
    with work.commit() as tx:
        failed = [planned.case.filing.id for planned, outcome in zip(ready, outcomes, strict=True) if not outcome.ok]
        held = tx.hold(failed, work.who, work.clock() + work.guard_seconds) if failed else frozenset()
        for planned, outcome in zip(ready, outcomes, strict=True):
            if outcome.ok or planned.case.filing.id in held:
                _conclude(work, tx, round_, planned, outcome)
            else:  # whoever took it over says how it ends
                tx.defer([planned.case.sighting.id], work.clock() + OTHER_WAIT)


def _permit(work: Work, ready: Sequence[Planned]) -> Permit:
    creations = {(r.kind, _creation_key(r)) for planned in ready for r in planned.entry.create}
    return Permit(work, [planned.case.filing.id for planned in ready], len(creations))


def _conclude(work: Work, tx: Transaction, round_: Round, planned: Planned, outcome: Outcome) -> None:
    case, connection = planned.case, work.ports.crm_connection
    trace = {**planned.trace, "notes": [*planned.trace.get("notes", ()), *outcome.notes]}
    for record in planned.entry.create:
        made = outcome.records.get(record.ref)
        if outcome.ok and made is not None:
            until = work.clock() + CREATION_SECONDS
            tx.created(connection, record.kind, _creation_key(record), case.filing.id, made.id, until)
        else:
            tx.forget_creation(connection, record.kind, _creation_key(record), case.filing.id)
    if outcome.error is None:
        _done(work, tx, round_, case, outcome.records, trace)
    else:
        _failed(work, tx, round_, case, outcome.error, trace)


def _done(
    work: Work,
    tx: Transaction,
    round_: Round,
    case: Case,
    records: Mapping[str, RecordRef],
    trace: dict[str, Any],
) -> None:
    stored = {name: (record.kind, record.id) for name, record in records.items()}
    tx.filed(case.filing.id, stored, [work.lease.mailbox_id], trace, work.clock())
    tx.decide([case.sighting.id], "done", None, work.since(round_.before))


def _skip(work: Work, tx: Transaction, round_: Round, case: Case, reason: str, trace: dict[str, Any]) -> None:
    outcome = REASONS[reason].outcome
    if work.ports.policy.hold_on_missing_match and outcome == "missing":
        _put_off(work, tx, case, work.clock() + HOLD_SECONDS)
        return
    tx.park(case.filing.id, reason, trace, work.clock())
    tx.decide([case.sighting.id], outcome, reason, work.since(round_.before))


def _failed(work: Work, tx: Transaction, round_: Round, case: Case, error: RemoteError, trace: dict[str, Any]) -> None:
    """The engine's one reaction to each error (design.md 5)."""
    now = work.clock()
    if isinstance(error, Rejected):
        reason = error.reason if error.reason in REASONS else "rejected"
        tx.park(case.filing.id, reason, {**trace, "error": error.detail}, now)
        tx.decide([case.sighting.id], REASONS[reason].outcome, reason, work.since(round_.before))
        return
    unknown = isinstance(error, Busy) and error.unknown
    if isinstance(error, (Conflict, Missing)):
        _put_off(work, tx, case, now, refund=False, refused=True)  # match and plan again; the strikes bound it
    elif isinstance(error, Busy):
        _put_off(work, tx, case, now + error.retry_after, refused=not unknown, unknown=unknown)
    else:
        wait = pace.back_off(case.sighting.attempts, str(case.filing.id))
        _put_off(work, tx, case, now + wait, refund=False, refused=True)


def _give_back(work: Work, cases: Sequence[Case], error: RemoteError, *, sent: bool = False) -> None:
    """The whole call failed: nobody's fault among the mails, so the attempts do not count."""
    wait = error.retry_after if isinstance(error, Busy) else 0.0
    unknown = isinstance(error, Busy) and error.unknown
    with work.commit() as tx:
        for case in cases:
            _put_off(work, tx, case, work.clock() + wait, refused=sent and not unknown, unknown=sent and unknown)


def _put_off(
    work: Work,
    tx: Transaction,
    case: Case,
    until: float,
    *,
    refund: bool = True,
    refused: bool = False,
    unknown: bool = False,
) -> None:
    """Try it again later. `refused`: the CRM said that nothing was written, so nobody needs to look for it. `unknown`:
    it did not answer; the filing stays claimed, so that nobody, nor this very wake, touches it before the call cannot
    take effect any more.
    """
    if unknown:
        until = max(until, work.clock() + work.guard_seconds)
    tx.defer([case.sighting.id], until, refund=refund)
    if refused:
        tx.reset_filing(case.filing.id, work.who)
    if not unknown:
        tx.unclaim_filings([case.filing.id], work.who)
