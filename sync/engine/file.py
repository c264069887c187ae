"""Match, plan and file a batch: one question to the CRM, a graph per mail, one call for all (design.md 4, 6 to 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from sync.core import pace
from sync.core.placing import Place
from sync.core.reasons import REASONS
from sync.engine import follow
from sync.engine.permit import Permit
from sync.engine.plan import Case, Planned, Round, There, ask, plan
from sync.engine.work import Spent, Work
from sync.errors import Busy, Conflict, Denied, Missing, Rejected, RemoteError
from sync.model import Outcome, RecordRef, Target
from sync.store.rows import Listed
from sync.store.transaction import Transaction

log = structlog.get_logger()

CREATION_SECONDS = 60.0  # how long a match asked before may miss what was created; then the claim is free again
HOLD_SECONDS = 1800.0  # between tries of a mail that is held for a missing match
OTHER_WAIT = 1.0  # seconds until we look again at what another mailbox's wake is creating


def file(work: Work, cases: Sequence[Case], before: Spent) -> None:
    """Every case ends decided (done, missing, parked) or put off to a time. Raises `Busy` and `Denied` after the cases
    were given back."""
    asked = work.moment()
    try:
        round_ = ask(work, cases, before)
    except (Busy, Denied) as error:
        _give_back(work, cases, error)
        raise
    except Rejected as error:
        _suspect(work, cases, error, before)
        return
    with work.commit() as tx:
        if round_.identity.crm_user and round_.identity.crm_user != work.user:
            work.user = round_.identity.crm_user
            tx.set_user(work.user)
        cases = _still_ours(work, tx, cases, fresh=work.age(asked) < CREATION_SECONDS)
        ready = [planned for case in cases if (planned := _sort(work, tx, round_, case)) is not None]
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


def _sort(work: Work, tx: Transaction, round_: Round, case: Case) -> Planned | None:
    """The entry to write; None when the case was decided or put off here."""
    found = plan(work, round_, case)
    if isinstance(found, Planned):
        return found
    if isinstance(found, There):
        _done(work, tx, round_, case, found.place, found.records, found.trace)
    elif found.error is not None:
        _failed(work, tx, round_, case, found.error, found.trace)
    else:
        _skip(work, tx, round_, case, found.reason, found.trace)
    return None


def _claim_creations(work: Work, tx: Transaction, ready: Sequence[Planned]) -> list[Planned]:
    """Only one filing at a time creates a person, an account or a mail's main record; the others wait a moment and then
    match it."""
    now, connection = work.clock(), work.ports.crm_connection
    wishes = sorted((*wish, p.case.filing.id) for p in ready for wish in p.wishes)
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
            for kind, key in planned.wishes:
                tx.forget_creation(connection, kind, key, filing_id)
    held = [planned for planned in ready if planned.case.filing.id not in waits]
    for planned in held:  # an earlier try may have wanted to create more, before others did
        tx.only_creations(connection, planned.case.filing.id, planned.wishes)
    return held


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
    creations = {wish for planned in ready for wish in planned.wishes}
    return Permit(work, [planned.case.filing.id for planned in ready], len(creations))


def _conclude(work: Work, tx: Transaction, round_: Round, planned: Planned, outcome: Outcome) -> None:
    case, connection = planned.case, work.ports.crm_connection
    trace = {**planned.trace, "notes": [*planned.trace.get("notes", ()), *outcome.notes]}
    refs = [*(record.ref for record in planned.entry.create), "activity"]
    for (kind, key), ref in zip(planned.wishes, refs, strict=False):  # the mail itself is the last wish, if it is one
        made = outcome.records.get(ref)
        if outcome.ok and made is not None:
            tx.created(connection, kind, key, case.filing.id, made.id, work.clock() + CREATION_SECONDS)
        else:
            tx.forget_creation(connection, kind, key, case.filing.id)
    if outcome.error is None:
        _done(work, tx, round_, case, planned.place, outcome.records, trace)
    else:
        _failed(work, tx, round_, case, outcome.error, trace)


def _done(
    work: Work,
    tx: Transaction,
    round_: Round,
    case: Case,
    place: Place,
    records: Mapping[str, RecordRef],
    trace: dict[str, Any],
) -> None:
    """The CRM holds the mail. Whatever else shows it or comes after it is due now: the summary and the leaf of the
    item, the conversation."""
    now, connection = work.clock(), work.ports.crm_connection
    stored = {name: (record.kind, record.id) for name, record in records.items()}
    if place.adopted and place.existing is not None:  # undo must not take away what others wrote
        stored["adopted"] = stored["activity"]
        if place.existing.item is not None:
            stored["former"] = (place.existing.item.kind, place.existing.item.id)
    tx.filed(case.filing.id, stored, [work.lease.mailbox_id], trace, now)
    tx.decide([case.sighting.id], "done", None, work.since(round_.before))
    tx.moved(place.leaves)
    item = records.get("@item") or place.item
    if item is not None:
        if any(one.module.kind == item.kind and one.items(work.ports.policy) for one in work.enabled):
            tx.see_items(item.kind, [Listed(item.id, "", now)], whole=False)
        shown = [item.id, *([place.moved_from.id] if place.moved_from else ())]
        work.knock |= tx.touch_items(connection, shown)
        if case.target.action == "create":  # its later mails go to the item, not to another new one
            follow.begin(work, tx, case, Target("record", item.kind, item.id))
            return
    follow.begin(work, tx, case, case.target)


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
