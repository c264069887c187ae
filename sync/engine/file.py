"""Match, plan and file a batch: one question to the CRM, one graph per mail, one call for them all (design.md 4, 6-8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sync.core import filing as plans
from sync.core import matching, pace
from sync.core import trace as traces
from sync.core.matching import Matching
from sync.core.reasons import REASONS
from sync.engine.work import Work
from sync.errors import Busy, Conflict, Denied, Missing, Rejected, RemoteError
from sync.model import Directory, Entry, Filed, NewRecord, Outcome, RecordRef, Sent

if TYPE_CHECKING:
    from sync.engine.mail import Case
    from sync.store.transaction import Transaction

CREATION_SECONDS = 120.0  # how long a created person may be invisible to a match; then the claim is free again
HOLD_SECONDS = 1800.0  # between tries of a mail that is held for a missing match
OTHER_WAIT = 1.0


@dataclass(frozen=True, slots=True)
class Planned:
    case: Case
    matching: Matching
    entry: Entry
    trace: dict[str, Any]


def file(work: Work, cases: Sequence[Case], before: Mapping[str, tuple[int, float]]) -> None:
    """Every case ends decided (done, missing, parked) or deferred with a time. Raises `Busy` and `Denied` after the
    cases were given back."""
    try:
        abilities = work.ports.crm.abilities()
        directory = work.ports.crm.match(_question(work, cases))
    except (Busy, Denied) as error:
        _defer(work, cases, error)
        raise
    ready: list[Planned] = []
    with work.commit() as tx:
        for case in cases:
            planned = _plan(work, tx, case, directory, abilities, before)
            if planned is not None:
                ready.append(planned)
        ready = _claim_creations(work, tx, ready)
        tx.sent([(p.case.filing.id, p.trace) for p in ready], work.clock())
    if ready:
        _send(work, ready, before)


def _question(work: Work, cases: Sequence[Case]) -> Any:
    question = matching.question([c.message for c in cases], work.ports.policy, work.ports.identity, Directory())
    sent = tuple(
        Sent(c.message.mime.message_id, c.message.mime.subject, plans.moment(c.filing.sent_at))
        for c in cases
        if c.filing.state == "sent"
    )
    return replace(question, sent=sent)


def _plan(
    work: Work,
    tx: Transaction,
    case: Case,
    directory: Directory,
    abilities: Any,
    before: Mapping[str, tuple[int, float]],
) -> Planned | None:
    """The entry to write, or None when the case was decided or put off here."""
    message, policy, identity = case.message, work.ports.policy, work.ports.identity
    found = matching.match(message, directory, policy, identity)
    plan = plans.plan(message, found, policy, abilities, key=str(case.filing.id))
    trace = traces.trace(found, plan, work.store.hash)
    there = directory.filed.get(message.mime.message_id)
    if there is None and case.filing.state == "done":
        there = _remembered(work, case)
    if isinstance(plan, plans.Skip):
        _skip(work, tx, case, plan.reason, trace, before)
        return None
    if there is not None:
        missing = plans.relate(plan, there)
        if missing is None:
            _done(work, tx, case, _records(there), trace, before)
            return None
        return Planned(case, found, missing, trace)
    return Planned(case, found, plan, trace)


def _remembered(work: Work, case: Case) -> Filed | None:
    """What we filed, if the CRM still has it; a record that somebody deleted is written anew."""
    record = RecordRef(*case.filing.records["activity"]) if "activity" in case.filing.records else None
    if record is None or record not in work.ports.crm.names([record]):
        return None
    return Filed(record)


def _skip(
    work: Work, tx: Transaction, case: Case, reason: str, trace: dict[str, Any], before: Mapping[str, tuple[int, float]]
) -> None:
    if work.ports.policy.hold_on_missing_match and REASONS[reason].outcome == "missing":
        tx.defer([case.sighting.id], work.clock() + HOLD_SECONDS, refund=True)
        return
    tx.park(case.filing.id, reason, trace, work.clock())
    tx.decide([case.sighting.id], REASONS[reason].outcome, reason, _calls(work, before))


def _done(
    work: Work,
    tx: Transaction,
    case: Case,
    records: Mapping[str, RecordRef],
    trace: dict[str, Any],
    before: Mapping[str, tuple[int, float]],
) -> None:
    kept = {**{k: tuple(v) for k, v in case.filing.records.items()}, **{k: (r.kind, r.id) for k, r in records.items()}}
    users = sorted({*case.filing.users, work.lease.mailbox_id})
    tx.filed(case.filing.id, kept, users, trace, work.clock())
    tx.decide([case.sighting.id], "done", None, _calls(work, before))


def _records(there: Filed) -> dict[str, RecordRef]:
    records = {"activity": there.record}
    if there.activity is not None:
        records["task"] = there.activity
    return records


def _creation_key(record: NewRecord) -> str:
    """What must not be made twice: a person by address, an account by name."""
    return (record.fields.get("email") or record.fields.get("name") or record.ref).lower()


def _claim_creations(work: Work, tx: Transaction, ready: Sequence[Planned]) -> list[Planned]:
    """Only one filing at a time may create a person or an account; the others wait and match it then."""
    now, until = work.clock(), work.clock() + work.guard_seconds
    kept: list[Planned] = []
    ours = {p.case.filing.id for p in ready}
    for planned in ready:
        holder = None
        for record in planned.entry.create:
            key = work.store.hash(f"{record.kind}:{_creation_key(record)}")
            claim = tx.claim_creation(work.ports.crm_connection, record.kind, key, planned.case.filing.id, now, until)
            holder = holder if claim.mine else claim.filing_id
        if holder is None:
            kept.append(planned)
        else:
            wait = 0.0 if holder in ours else OTHER_WAIT
            tx.defer([planned.case.sighting.id], now + wait, refund=True)
    return kept


def _send(work: Work, ready: Sequence[Planned], before: Mapping[str, tuple[int, float]]) -> None:
    try:
        outcomes = work.ports.crm.file([planned.entry for planned in ready])
    except (Busy, Denied) as error:
        unknown = isinstance(error, Busy) and error.unknown
        _defer(work, [planned.case for planned in ready], error, reset=not unknown)
        raise
    with work.commit() as tx:
        for planned, outcome in zip(ready, outcomes, strict=True):
            _conclude(work, tx, planned, outcome, before)


def _conclude(
    work: Work, tx: Transaction, planned: Planned, outcome: Outcome, before: Mapping[str, tuple[int, float]]
) -> None:
    case, error = planned.case, outcome.error
    trace = {**planned.trace, "notes": [*planned.trace.get("notes", ()), *outcome.notes]}
    if error is None:
        for record in planned.entry.create:
            key = work.store.hash(f"{record.kind}:{_creation_key(record)}")
            made = outcome.records.get(record.ref)
            tx.created(
                work.ports.crm_connection,
                record.kind,
                key,
                case.filing.id,
                made.id if made else None,
                work.clock() + CREATION_SECONDS,
            )
        _done(work, tx, case, outcome.records, trace, before)
        return
    for record in planned.entry.create:
        key = work.store.hash(f"{record.kind}:{_creation_key(record)}")
        tx.forget_creation(work.ports.crm_connection, record.kind, key, case.filing.id)
    _failed(work, tx, case, error, trace, before)


def _failed(
    work: Work,
    tx: Transaction,
    case: Case,
    error: RemoteError,
    trace: dict[str, Any],
    before: Mapping[str, tuple[int, float]],
) -> None:
    """The engine's one reaction to each error (design.md 5)."""
    now = work.clock()
    if isinstance(error, Rejected):
        reason = error.reason if error.reason in REASONS else "rejected"
        tx.park(case.filing.id, reason, {**trace, "error": error.detail}, now)
        tx.decide([case.sighting.id], "parked", reason, _calls(work, before))
    elif isinstance(error, (Conflict, Missing)):
        tx.reset_filing(case.filing.id)
        tx.defer([case.sighting.id], now, refund=False)  # re-read and plan again; strikes bound it
    else:
        if not (isinstance(error, Busy) and error.unknown):
            tx.reset_filing(case.filing.id)
        wait = error.retry_after if isinstance(error, Busy) else pace.back_off(case.sighting.attempts, str(case.filing.id))
        tx.defer([case.sighting.id], now + wait, refund=isinstance(error, Busy))


def _defer(work: Work, cases: Sequence[Case], error: RemoteError, *, reset: bool = False) -> None:
    wait = error.retry_after if isinstance(error, Busy) else 0.0
    with work.commit() as tx:
        for case in cases:
            if reset:
                tx.reset_filing(case.filing.id)
        tx.defer([case.sighting.id for case in cases], work.clock() + wait, refund=True)


def _calls(work: Work, before: Mapping[str, tuple[int, float]]) -> dict[str, Any]:
    """Calls and quota units that this batch took, by vendor; all mails of the batch share them."""
    out = {}
    for vendor, (calls, units) in work.spent().items():
        calls0, units0 = before.get(vendor, (0, 0.0))
        out[vendor] = {"calls": calls - calls0, "units": units - units0}
    return out
