"""The mail half of a wake: pull, then claim, fetch, match, file and settle until nothing is due (design.md 4)."""

from __future__ import annotations

from collections.abc import Sequence

from sync.engine import file, follow, pull, settle, undo
from sync.engine.plan import Case
from sync.engine.work import Work
from sync.errors import Busy, Denied, Missing, Rejected, RemoteError
from sync.model import Message
from sync.store.rows import Filing, Sighting
from sync.store.transaction import Transaction

BATCH = 50  # mails per claim: one call fetches them, one matches, one files, one settles
STRIKES = 3  # attempts are counted before the try, so a mail that kills its worker is parked, not tried for ever
OTHER_WAIT = 1.0  # seconds until we look again at a mail that a colleague's mailbox is filing


def run(work: Work) -> None:
    """One round. Raises `Busy`, `Denied` or `LeaseLost`: what was committed stays, what was not is found again."""
    work.lane("background")
    if pull.pull(work):
        settle.settle(work)  # what an earlier wake decided but could not settle
    while work.clock() < work.turn_ends and (claimed := _claim(work)):
        work.lane("person")
        before = work.spent()
        fetched = _fetch(work, undo.run(work, claimed))
        cases = _bind(work, follow.keep_out(work, fetched))
        if cases:
            try:
                file.file(work, cases, before)
            except (Busy, Denied):
                settle.settle(work)  # what is decided is not kept waiting by what is not
                raise
        settle.settle(work)
        follow.scan(work)


def _claim(work: Work) -> list[Sighting]:
    """The next mails. One whose last try ended without a word may have killed its worker: it is tried alone, so that it
    cannot take the others with it."""
    with work.commit() as tx:
        claimed = tx.claim(work.clock(), BATCH)
        suspects = [sighting for sighting in claimed if sighting.attempts > 1]
        if not suspects:
            return claimed
        tx.defer([sighting.id for sighting in claimed if sighting is not suspects[0]], work.clock())
        return suspects[:1]


def _fetch(work: Work, claimed: Sequence[Sighting]) -> list[tuple[Sighting, Message]]:
    """Read the mails. One that cannot be read ends in a stated way; the others go on."""
    tired = [s for s in claimed if s.attempts > STRIKES]
    fresh = [s for s in claimed if s.attempts <= STRIKES]
    try:
        found = work.ports.mail.read(list(dict.fromkeys(s.remote_id for s in fresh))) if fresh else {}
    except (Busy, Denied) as error:
        _give_back(work, claimed, error)
        raise
    answers = [(sighting, found.get(sighting.remote_id, Missing("not in the answer"))) for sighting in fresh]
    unread = [(sighting, why) for sighting, why in answers if isinstance(why, RemoteError)]
    if tired or unread:
        with work.commit() as tx:
            tx.decide([s.id for s in tired], "parked", "too_many_attempts")
            for sighting, why in unread:
                _unread(work, tx, sighting, why)
    return [(sighting, message) for sighting, message in answers if isinstance(message, Message)]


def _unread(work: Work, tx: Transaction, sighting: Sighting, error: RemoteError) -> None:
    if isinstance(error, Missing):
        tx.decide([sighting.id], "gone")
        tx.settle([sighting.id], work.clock())
    elif isinstance(error, Rejected):
        tx.decide([sighting.id], "parked", error.reason)
    elif isinstance(error, Busy):
        tx.defer([sighting.id], work.clock() + error.retry_after)
    else:
        tx.defer([sighting.id], work.clock() + 5, refund=False)


def _give_back(work: Work, claimed: Sequence[Sighting], error: RemoteError) -> None:
    wait = error.retry_after if isinstance(error, Busy) else 0.0
    with work.commit() as tx:
        tx.defer([s.id for s in claimed], work.clock() + wait)


def _bind(work: Work, fetched: Sequence[tuple[Sighting, Message]]) -> list[Case]:
    """Find or make the one filing of each mail for the whole organisation, and claim those that need work."""
    if not fetched:
        return []
    now = work.clock()
    connection = work.ports.crm_connection
    cases: list[Case] = []
    with work.commit() as tx:
        keys = [(s.id, work.store.hash(m.mime.message_id), s.target, s.trigger) for s, m in fetched]
        filings = tx.bind(connection, keys, now)
        wanted = []
        for sighting, message in fetched:
            filing = filings[sighting.id]
            if _withdrawn(sighting, message, filing):
                tx.decide([sighting.id], "withdrawn")
                tx.settle([sighting.id], now)
            else:
                wanted.append((sighting, message, filing))
        won = tx.claim_filings([f.id for _, _, f in wanted], work.who, now, now + work.guard_seconds)
        others = tx.filings_of(connection, [filing.message_key for _, _, filing in wanted])
        taken: set[int] = set()
        for sighting, message, filing in wanted:
            # another mailbox has it, a dead worker's call may still take effect, or the mail lies here twice
            if filing.id not in won or filing.id in taken:
                tx.defer([sighting.id], now + OTHER_WAIT)
                continue
            taken.add(filing.id)
            if won[filing.id].state in ("parked", "undone", "moved"):
                tx.reset_filing(filing.id)
            rest = tuple(one for one in others[filing.message_key] if one.id != filing.id)
            cases.append(Case(sighting, message, won[filing.id], rest))
    return cases


def _withdrawn(sighting: Sighting, message: Message, filing: Filing) -> bool:
    """The user took the mail out again before we came. A mail that we filed already is settled all the same, and one
    that was put back to work by `retry` has no drop label to lose."""
    dropped = bool(sighting.labels & message.labels) or sighting.trigger in ("click", "retry", "follow")
    return not dropped and filing.state in ("planned", "parked", "undone", "moved")
