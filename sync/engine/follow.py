"""Conversations that are followed: begun by a filing by hand, kept up by what arrives, ended or sent elsewhere
(product.md 9 F7, 15). What is decided about a mail stands in `core.follow`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sync.core import follow as rules
from sync.engine.plan import Case
from sync.engine.work import Work
from sync.model import Message, Seen, Target
from sync.store.rows import Follow, NewSighting, Sighting
from sync.store.transaction import Transaction

THREADS = 20  # looked through in one call for mails that were there already


def begin(work: Work, tx: Transaction, case: Case, target: Target) -> None:
    """The mail was filed. By hand: its conversation is followed to that target from now on, and leaves where it went
    before the user asked for this. Archiving adds nothing to a conversation that goes to an item already."""
    policy, sighting, now = work.ports.policy, case.sighting, work.clock()
    if not rules.begins(sighting.trigger, policy):  # type: ignore[arg-type]
        return
    live = tx.follows([sighting.thread]).get(sighting.thread, [])
    if target.action == "archive" and live:
        return
    earlier = [Target.parse(one.target) for one in live if one.created_at < sighting.created_at]
    left = [one.key for one in rules.redirects(target, earlier)]
    key = case.filing.message_key
    if left:
        connection, asked = work.ports.crm_connection, sighting.created_at
        tx.redirect_follows(connection, key, left, target.key, before=asked, now=now)
    since = case.message.received.timestamp() if case.message.received else now
    subject = _subject_hash(work, case.message)
    scanned = not policy.follow_existing_later
    tx.follow(sighting.thread, target.key, subject, case.filing.id, since, now, scanned=scanned)


def _subject_hash(work: Work, message: Message) -> str:
    return work.store.hash("subject\x1f" + rules.subject_key(message.mime.subject))


# --- what arrives ---------------------------------------------------------------------------------------------------


def arrivals(
    work: Work, tx: Transaction, seen: Sequence[Seen], put: frozenset[str], splits: Sequence[Message]
) -> list[NewSighting]:
    """The intents to file what arrived in followed conversations. A mail of `put` was filed by hand in the same moment,
    which says where it belongs. `splits` may go on with a conversation in another thread."""
    if not work.ports.policy.conversation_follow:
        return []
    for message in splits:
        _join(work, tx, message)
    arrived = [one for one in seen if one.arrived and one.id not in put]
    live = tx.follows([one.thread for one in arrived]) if arrived else {}
    grew: dict[str, int] = {}
    out = []
    for one in arrived:
        if one.thread in live:
            grew[one.thread] = grew.get(one.thread, 0) + 1
        out += [_intent(one, follow) for follow in live.get(one.thread, ())]
    tx.thread_grew(grew)
    return out


def _intent(seen: Seen, follow: Follow) -> NewSighting:
    return NewSighting(seen.id, seen.thread, follow.target, frozenset(), True, "follow")


def _again(sighting: Sighting, target: str) -> NewSighting:
    return NewSighting(sighting.remote_id, sighting.thread, target, frozenset(), True, "follow")


def may_split(work: Work, seen: Sequence[Seen]) -> list[str]:
    """Mails to read before anything is decided: they begin a thread, and a followed one is so long that the mail system
    may have cut it."""
    found = [one.id for one in seen if one.arrived and one.split]
    if not found or not work.ports.policy.conversation_follow:
        return []
    more = Counter(one.thread for one in seen if one.arrived)
    with work.commit() as tx:
        live = tx.follows(sorted(more))
        long = any(one.mails + more[thread] >= rules.SPLIT_NEAR for thread, some in live.items() for one in some)
        return found if long or tx.follows_any(rules.SPLIT_NEAR) else []


def _join(work: Work, tx: Transaction, message: Message) -> None:
    """A mail that answers one of a followed conversation, with its subject, goes on with it (product.md V1)."""
    hashes = [work.store.hash(ref) for ref in (*message.mime.references, message.mime.in_reply_to) if ref]
    subject = _subject_hash(work, message)
    threads = [thread for thread in tx.threads_of(work.ports.crm_connection, hashes) if thread != message.thread]
    for follows in tx.follows(threads).values():
        for one in follows:
            if one.subject_hash == subject:
                now = work.clock()
                tx.follow(message.thread, one.target, subject, one.filing_id or 0, one.since, now, scanned=True)


def scan(work: Work) -> None:
    """Mails that came after the one that began a follow and were there already (policy `follow_existing_later`)."""
    if not work.ports.policy.conversation_follow:
        return
    with work.commit() as tx:
        rows = tx.unscanned_follows(THREADS)
        begun = tx.copies([row.filing_id for row in rows if row.filing_id is not None]) if rows else {}
    if not rows:
        return
    found = work.ports.mail.conversations(sorted({row.thread for row in rows}))
    intents, counts = [], {}
    for row in rows:
        mails = found.get(row.thread, ())
        counts[row.id] = len(mails)
        later = set(rules.mails_after([(one.id, one.at) for one in mails], row.since))
        later -= begun.get(row.filing_id or 0, frozenset())
        intents += [_intent(one, row) for one in mails if one.id in later]
    with work.commit() as tx:
        tx.see(intents, work.clock())
        tx.follows_scanned(counts)


# --- what is kept out -----------------------------------------------------------------------------------------------


def keep_out(work: Work, fetched: Sequence[tuple[Sighting, Message]]) -> list[tuple[Sighting, Message]]:
    """Without our own summaries, which go back to their place, and without mails of followed conversations that are not
    followed. A mail whose conversation is filed by hand in this very moment waits for where that goes; one whose
    conversation was sent elsewhere since it arrived goes there."""
    own = [(sighting, message) for sighting, message in fetched if rules.is_own(message)]
    followed = [one for one in fetched if one[0].trigger == "follow" and one not in own]
    if own:
        work.ports.mail.take([sighting.remote_id for sighting, _ in own])
    if not own and not followed:
        return list(fetched)
    by_hand = {sighting.thread for sighting, _ in fetched if sighting.trigger in rules.BY_HAND}
    waits = {sighting.id for sighting, _ in followed if sighting.thread in by_hand}
    out: set[int] = set()
    elsewhere: list[NewSighting] = []
    with work.commit() as tx:
        live = tx.follows([sighting.thread for sighting, _ in followed])
        for sighting, message in followed:
            here = live.get(sighting.thread, [])
            mine = [one for one in here if one.target == sighting.target]
            same = any(one.subject_hash == _subject_hash(work, message) for one in mine)
            if sighting.id in waits:
                continue
            if not mine or rules.refusal(message, same, work.ports.policy, work.ports.identity) is not None:
                out.add(sighting.id)
                elsewhere += [_again(sighting, one.target) for one in here if not mine]
        tx.defer(sorted(waits), work.clock())
        tx.see(elsewhere, work.clock())
        tx.decide(sorted(out), "withdrawn")
        tx.decide([sighting.id for sighting, _ in own], "gone")
        tx.settle([*sorted(out), *(sighting.id for sighting, _ in own)], work.clock())
        tx.notes_gone([sighting.remote_id for sighting, _ in own])
    out |= waits | {sighting.id for sighting, _ in own}
    return [one for one in fetched if one[0].id not in out]


def stop(work: Work, claimed: Sequence[Sighting]) -> list[Sighting]:
    """The user stops following a conversation by a category or label; the others come back."""
    stops = [one for one in claimed if Target.parse(one.target).action == "stop"]
    if not stops:
        return list(claimed)
    with work.commit() as tx:
        tx.end_follows([one.thread for one in stops], "stopped")
        tx.decide([one.id for one in stops], "withdrawn")
    return [one for one in claimed if one not in stops]
