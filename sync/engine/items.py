"""Module items in the mailbox: an Assign To leaf and a summary for each active one (product.md 7, 9 F3.7 and F8, 14).

What is wanted is worked out from what the CRM says now and compared with what was made last; so a look that was killed,
doubled or late does no harm. It goes in slices, after the mails that people wait for, and takes only the part of the
quota that nobody else needs: a mailbox may have hundreds of items, and its filing must not wait for them.

| the item is | leaf | summary |
|---|---|---|
| active | made, or renamed in place | put, or replaced when it says something else |
| closed, for `assign_to_grace_days` | stays | stays, and says so |
| closed longer, gone, not the user's any more, its module off | its mails are filed, then it goes | goes |
| active, and the policy wants only the other of the two | its mails are filed, then it goes | goes |
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from sync.core import labels, leaves, summary
from sync.core.labels import Enabled, Leaf, Remembered
from sync.engine import leaving, pull
from sync.engine.budget import RESERVE
from sync.engine.leaving import Wanted
from sync.engine.work import Work
from sync.errors import Busy, LeaseLost
from sync.model import Note, Outcome, Question, RecordRef, Target
from sync.modules import ModuleItem
from sync.store import items as stored
from sync.store.rows import Listed, StoredItem

log = structlog.get_logger()

SLICE = 20  # items per look: after each the mails are looked at again
SLICE_SHARE = 0.35  # of a bucket, that a whole slice of new items takes at most
LEVEL_SECONDS = 6 * 3600.0  # between looks at all items of a user, whatever the feed said


def run(work: Work) -> bool:
    """One slice; whether more is due now. A budget that is used up, or a mail system or CRM that is busy, puts the
    items off and nothing else."""
    if work.clock() < work.items_wait:
        return False
    enabled = {one.module.kind: one for one in work.enabled if one.items(work.ports.policy)}
    if not enabled and not work.level:
        return False
    work.lane("bulk")
    try:
        if enabled and not work.user:
            _learn_user(work)
        _list(work, enabled)
        return _slice(work, enabled)
    except Busy as error:
        log.info("items.busy", mailbox=work.lease.mailbox_id, retry_after=error.retry_after)
        work.items_wait = work.clock() + max(error.retry_after, 1.0)
        return False
    finally:
        work.lane("background")


def _learn_user(work: Work) -> None:
    found = work.ports.crm.match(Question(addresses=frozenset({work.ports.owner}))).people.get(work.ports.owner, ())
    work.user = next((one.record.id for one in found if one.record.kind == "user"), "")
    if work.user:
        with work.commit() as tx:
            tx.set_user(work.user)


# --- which items there are ------------------------------------------------------------------------------------------


def _digest(work: Work) -> str:
    """Of everything in the policy that decides what items look like."""
    policy = work.ports.policy
    options = (policy.modules, policy.assign_to, policy.assign_to_scope, policy.assign_to_cap, policy.summaries)
    looks = (policy.summary_link, policy.currency, policy.assign_to_grace_days, work.ports.crm_name, work.user)
    modules = [(one.module.kind, one.module.label, one.module.plural) for one in work.enabled]
    return hashlib.sha256(repr((options, looks, modules)).encode()).hexdigest()[:16]


def _list(work: Work, enabled: Mapping[str, Enabled]) -> None:
    """At first, when the policy changed, and every six hours: all active items of the user, and all leaves."""
    now, digest = work.clock(), _digest(work)
    before, _, at = work.level.partition(" ")
    if before == digest and now - float(at or 0) < LEVEL_SECONDS:
        return
    policy = work.ports.policy
    cap = policy.assign_to_cap
    found = {
        kind: work.ports.crm.active(one.rule, work.user, policy.assign_to_scope, cap)  # type: ignore[arg-type]
        for kind, one in enabled.items()
        if work.user and cap
    }
    capped: list[str] = []
    with work.commit() as tx:
        for kind, items in found.items():
            listed = [Listed(one.record.id, one.version, one.changed.timestamp()) for one in items]
            tx.see_items(kind, listed, whole=True)
            if len(items) >= cap:
                capped.append(kind)
                log.warning("items.capped", mailbox=work.lease.mailbox_id, module=kind, cap=cap)
        if before != digest:
            tx.all_items_due()
        work.level = f"{digest} {now:.0f}"
        tx.set_cursor(pull.LEVEL, work.level)
        tx.set_cursor(stored.CAPPED, " ".join(capped) or None)
    _heal(work, enabled)


def _heal(work: Work, enabled: Mapping[str, Enabled]) -> None:
    """Leaves that the user deleted are made anew: their items are due again."""
    with work.commit() as tx:
        rows = [row for row in tx.items() if row.leaf_id and row.kind in enabled]
    if not rows:
        return
    there = work.ports.mail.present([row.leaf_id for row in rows if row.leaf_id])
    lost = [replace(row, leaf_id=None, leaf_digest=None, due=True) for row in rows if row.leaf_id not in there]
    if lost:
        with work.commit() as tx:
            tx.keep_items(lost)


# --- one slice ------------------------------------------------------------------------------------------------------


def _slice(work: Work, enabled: Mapping[str, Enabled]) -> bool:
    with work.commit() as tx:
        rows = tx.due_items(work.clock(), SLICE)
    if not rows or _too_early(work, len(rows)):
        return False
    asked = [RecordRef(row.kind, row.record_id) for row in rows if row.kind in enabled]
    scope = work.ports.policy.assign_to_scope
    rules = [one.rule for one in enabled.values()]
    found = work.ports.crm.items(asked, rules, work.user, scope) if asked else {}  # type: ignore[arg-type]
    _end_follows(work, asked, found)
    wanted = [_wanted(work, row, enabled.get(row.kind), found.get(RecordRef(row.kind, row.record_id))) for row in rows]
    _notes(work, _leaves(work, leaving.shed(work, [one for one in wanted if not one.leaving])))
    leaving.leave(work, [one for one in wanted if one.leaving])
    with work.commit() as tx:
        more = bool(tx.due_items(work.clock(), 1))
    work.load_leaves()
    return more


def _too_early(work: Work, items: int) -> bool:
    """A slice that broke off in the middle would ask the CRM again: it begins when there is quota for all of it."""
    share = RESERVE["bulk"] + SLICE_SHARE * items / SLICE
    wait = max((budget.room(share) for budget in work.ports.budgets), default=0.0)
    if wait > 0:
        work.items_wait = work.clock() + wait
    return wait > 0


def _end_follows(work: Work, asked: Sequence[RecordRef], found: Mapping[RecordRef, ModuleItem]) -> None:
    """Policy `follow_stop_on_close`: nothing more is filed by itself to an item that is closed or gone."""
    policy = work.ports.policy
    if not (policy.conversation_follow and policy.follow_stop_on_close):
        return
    over = [one for one in asked if one not in found or found[one].closed]
    if over:
        with work.commit() as tx:
            tx.end_follows_to([Target("record", one.kind, one.id).key for one in over], "closed")


def _wanted(work: Work, row: StoredItem, enabled: Enabled | None, item: ModuleItem | None) -> Wanted:
    now, policy = work.clock(), work.ports.policy
    if enabled is None or item is None:
        return Wanted(row, enabled, None, leaving=True)
    if not item.closed:
        return Wanted(replace(row, state="active", closed_at=None), enabled, item)
    closed_at = row.closed_at or now
    over = now - closed_at >= policy.assign_to_grace_days * 86400
    never = row.leaf_id is None and row.note_id is None
    return Wanted(replace(row, closed_at=closed_at), enabled, item, leaving=over or never)


def _leaves(work: Work, wanted: Sequence[Wanted]) -> list[Wanted]:
    """Make and rename; they come back with what was made."""
    policy = work.ports.policy
    mine = [one for one in wanted if one.enabled is not None and one.enabled.assign_to(policy)]
    named: dict[str, Leaf] = {}
    for one in mine:
        assert one.item is not None, "an item that stays is there"
        assert one.enabled is not None, "an item that stays is there"
        name = leaves.leaf_name(one.item, one.row.number, one.enabled.rule, policy.currency)
        known = Remembered(one.row.leaf_id, one.row.leaf_digest or "") if one.row.leaf_id else None
        named[one.row.record_id] = Leaf(one.row.kind, one.row.record_id, name, known)
    tree = labels.with_leaves(work.tree, named.values(), work.store.hash)
    digests = {node.key: work.store.hash(node.name) for node in tree.nodes}
    stale = [leaf for leaf in named.values() if leaf.remembered is None or leaf.remembered.digest != digests[leaf.key]]
    if not stale:
        return list(wanted)
    made = work.ports.mail.ensure_tree(labels.with_leaves(work.tree, stale, work.store.hash))
    ids = {leaf.record: (made.ids[leaf.key], digests[leaf.key]) for leaf in stale}
    out: list[Wanted] = []
    for one in wanted:
        leaf_id, digest = ids.get(one.row.record_id, (one.row.leaf_id, one.row.leaf_digest))
        out.append(replace(one, row=replace(one.row, leaf_id=leaf_id, leaf_digest=digest)))
    with work.commit() as tx:
        tx.keep_items([one.row for one in out if one.row.record_id in ids])
    return out


def _notes(work: Work, wanted: Sequence[Wanted]) -> None:
    """Put the summaries that say something new; then the item is true, until it changes again."""
    policy, crm_name = work.ports.policy, work.ports.crm_name
    notes: dict[str, Note] = {}
    for one in wanted:
        assert one.item is not None, "an item that stays is there"
        assert one.enabled is not None, "an item that stays is there"
        if not one.enabled.summaries(policy):
            continue
        text = summary.compose(one.item, one.enabled, policy, crm_name)
        revision = work.store.hash("\x1f".join((text.subject, text.text, text.html)))
        if revision == one.row.note_digest and one.row.note_id:
            continue
        place = work.labels[f"module.{one.row.kind}"]
        key = f"{one.row.kind}:{one.row.record_id}"
        notes[one.row.record_id] = Note(
            key,
            revision,
            place,
            crm_name,
            text.subject,
            text.text,
            text.html,
            one.item.changed,
            previous=one.row.note_id or "",
            unsure=one.row.attempts > 0,
        )
    if notes:  # counted before the try, so that who comes after a crash looks for what the dead one put
        with work.commit() as tx:
            tx.try_items([(one.row.kind, one.row.record_id) for one in wanted if one.row.record_id in notes])
    outcomes = _put(work, notes, [one.row for one in wanted if one.row.record_id in notes])
    out: list[StoredItem] = []
    for one in wanted:
        assert one.item is not None, "an item that stays is there"
        outcome = outcomes.get(one.row.record_id)
        true = replace(
            one.row,
            version=one.item.version,
            active_at=one.item.changed.timestamp(),
            due=False,
            attempts=0,
            not_before=0.0,
        )
        if leaving.unwanted(work, one):  # it could not go yet
            true = replace(true, due=True, not_before=work.clock() + leaving.WAIT_SECONDS)
        elif one.row.closed_at is not None:  # it leaves when its days of grace are over
            grace = policy.assign_to_grace_days * 86400
            true = replace(true, due=True, not_before=one.row.closed_at + grace)
        if outcome is None:
            out.append(true)
        elif outcome.error is None:
            note = notes[one.row.record_id]
            out.append(replace(true, note_id=outcome.id, note_digest=note.revision))
        else:
            out.append(leaving.failed(work, one.row, outcome.error))
    _keep(work, out, notes)


def _keep(work: Work, rows: Sequence[StoredItem], notes: Mapping[str, Note]) -> None:
    """Note what was made. Who finds out here that the mailbox was taken over has stood still, and what it put may lie
    beside what another put: that one looks once more."""
    try:
        with work.commit() as tx:
            tx.keep_items(rows)
    except LeaseLost:
        work.store.doubt_items(work.lease.mailbox_id, list(notes))
        raise


def _put(work: Work, notes: Mapping[str, Note], rows: Sequence[StoredItem]) -> dict[str, Outcome]:
    """By record id. A refusal that is sure to have had no effect is no try: what is unsure must be looked for first,
    and looking costs the quota for which the others wait."""
    if not notes:
        return {}
    try:
        return dict(zip(notes, work.ports.mail.put(list(notes.values())), strict=True))
    except Busy as error:
        _keep(work, [] if error.unknown else [replace(row, due=True) for row in rows], notes)
        raise
