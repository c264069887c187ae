"""What must hold about items, leaves, summaries, followed conversations and what was undone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from sync.core import leaves, summary
from sync.core.follow import subject_key
from sync.core.labels import Enabled, clean
from sync.model import RecordRef, Target
from sync.modules import ModuleItem
from tests.contracts import memory_items
from tests.engine import business
from tests.engine.office import Desk
from tests.engine.town import KINDS, Town

Check = Callable[[Town], None]


# --- always ---------------------------------------------------------------------------------------------------------


def one_record_per_mail_and_item(town: Town) -> None:
    """And one e-mail record of a mail, whatever it is related to."""
    crm = town.office.crm
    emails: Counter[str] = Counter()
    records: Counter[Any] = Counter()
    for one in crm.activities():
        emails[one.message_id] += one.record.kind == "email"
        # a CRM with tasks only cannot put a lead, nor without shared activities a second person, on the same one
        people = {record for record in one.people if record.kind in ("contact", "lead")}
        alone = one.record.kind == "task" and (not crm.org.shared or any(record.kind == "lead" for record in people))
        records[one.message_id, one.items, frozenset(people) if alone else None] += 1
    assert set(emails.values()) <= {0, 1}, f"filed twice: {emails.most_common(1)}"
    assert set(records.values()) <= {1}, f"filed twice: {records.most_common(1)}"


def related_to_what_was_asked_for(town: Town) -> None:
    """By people, for the mail or for another of its conversation with the same subject."""
    allowed: dict[tuple[str, str], set[Target]] = defaultdict(set)
    for key, waves in town.asked.items():
        allowed[town.about[key]].update(target for wave in waves for target in wave)
    for one in town.office.crm.activities():
        wanted = allowed.get(town.about.get(one.message_id, ("", "")), set())
        assert wanted or one.message_id not in town.about, f"nobody asked for it: {one}"
        for item in one.items:
            made = item not in town.made and Target("create", item.kind) in wanted
            assert made or Target("record", item.kind, item.id) in wanted, f"a stranger's item: {one} {wanted}"


def no_summary_is_filed(town: Town) -> None:
    filed = {one.message_id for one in town.office.crm.activities()}
    assert not [key for key in filed if key.endswith("@mailspan.invalid>") and key.startswith("<note-")]


def one_item_per_mail(town: Town) -> None:
    """For each time that somebody took an earlier one back, or deleted it, one more may have been made."""
    asked = Counter(
        (kind, subject_key(town.about[key][1]))
        for key, waves in town.asked.items()
        for kind in {target.kind for wave in waves for target in wave if target.action == "create"}
    )
    made: Counter[Any] = Counter()
    for record, fields in town.office.crm.org.records.items():
        if record.kind in KINDS and record not in town.made and not fields["name"].startswith("Retitled"):
            made[record.kind, subject_key(fields["name"])] += 1
    if not town.undos:
        assert all(asked[key] >= many for key, many in made.items()), f"made twice: {made - asked}"


# --- at rest --------------------------------------------------------------------------------------------------------


def put_last_is_where_it_lies(town: Town) -> None:
    crm = town.office.crm
    if town.clock_was_set or not crm.org.email_record:
        return
    for key, waves in town.asked.items():
        found = [one for one in crm.activities() if one.message_id == key]
        if key in town.vague or key in town.forgotten or not _filed(town, key) or not found:
            continue
        if not any(one.record.kind == "email" for one in found):
            continue
        there = {item for one in found for item in one.items}
        last = {one for one in waves[-1] if one.action != "archive"}
        if not last or any(one.action == "archive" for wave in waves for one in wave):
            continue
        for target in last:
            assert [item for item in there if _is(town, target, item)], f"not related: {key} {waves} {there}"
        if all(len(wave) == 1 for wave in waves[:-1]):
            assert len(there) == len(last), f"related to what it left: {key} {waves} {there}"


def _is(town: Town, target: Target, item: RecordRef) -> bool:
    if target.action == "create":
        return item.kind == target.kind and item not in town.made
    return (target.kind, target.id) == (item.kind, item.id)


def _filed(town: Town, key: str) -> bool:
    """Everybody who put it sees that it was filed."""
    ends = []
    for copy in town.copies:
        if copy.message_id == key and copy.owes:
            known = town.labels(copy.desk)
            ends.append("marker.done" in known and known["marker.done"].remote_id in copy.labels)
    return bool(ends) and all(ends)


def what_was_undone_is_gone(town: Town) -> None:
    for key in town.at_rest_undone:
        found = [one for one in town.office.crm.activities() if one.message_id == key]
        assert not found, f"undone, but still there: {found}"
        for copy in town.copies:
            if copy.message_id == key:
                known = {label.remote_id: name for name, label in town.labels(copy.desk).items()}
                worn = {known[label] for label in copy.labels if label in known}
                assert not [name for name in worn if name.startswith("marker.")], f"undone, but marked: {copy} {worn}"


def what_arrived_in_a_followed_conversation_is_filed(town: Town) -> None:
    for copy in town.copies:
        if copy.awaited:
            known = town.labels(copy.desk).items()
            worn = {key for key, label in known if label.remote_id in copy.labels and key.startswith("marker.")}
            assert worn, f"not followed: {copy}"


def _shown(town: Town, desk: Desk) -> Iterator[tuple[ModuleItem, Enabled]]:
    policy = town.office.policy
    user = town.office.store.mailbox(desk.id).crm_user_id or business.users(town)[desk.address].id
    crm = town.office.crm.crm()
    for rule in policy.modules:
        module = memory_items.module(rule.name)
        assert module is not None
        for item in crm.active(rule, user, policy.assign_to_scope, 10_000):  # type: ignore[arg-type]
            whole = crm.items([item.record], [rule], user, policy.assign_to_scope)  # type: ignore[arg-type]
            yield whole[item.record], Enabled(rule, module)


def a_leaf_for_every_item(town: Town) -> None:
    policy = town.office.policy
    for desk in town.desks:
        if not town.office.store.mailbox(desk.id).crm_user_id:
            continue
        rows = {RecordRef(row.kind, row.record_id): row for row in town.office.store.items(desk.id)}
        paths = desk.box.labels()
        wanted = {}
        for item, enabled in _shown(town, desk):
            if enabled.assign_to(policy):
                number = rows[item.record].number
                wanted[item.record] = clean(leaves.leaf_name(item, number, enabled.rule, policy.currency))
        there = {RecordRef(row.kind, row.record_id): row.leaf_id for row in rows.values() if row.leaf_id}
        assert there.keys() == wanted.keys(), f"leaves and items: {desk.address} {there} {wanted}"
        assert len(set(there.values())) == len(there), "one leaf of two items"
        for item, label in there.items():
            assert label in paths, f"no leaf: {desk.address} {item} {label}"
            if label not in town.renamed:
                assert paths[label][-1] == wanted[item], f"another name: {paths[label]} {wanted[item]}"
        ours = set(there.values())
        stray = {key: path for key, path in paths.items() if path[-1].startswith("[") and key not in ours}
        assert not stray, f"leaves of nobody: {stray}"


def a_summary_for_every_item(town: Town) -> None:
    policy = town.office.policy
    for desk in town.desks:
        if not town.office.store.mailbox(desk.id).crm_user_id:
            continue
        lying = [
            (key, one.note)
            for key, one in desk.box.mails.items()
            if one.note is not None and not desk.box.tags(key) & {"TRASH", "deleteditems"}
        ]
        keys = Counter(note.key for _, note in lying)
        shown = [one for one in _shown(town, desk) if one[1].summaries(policy)]
        wanted = {f"{item.record.kind}:{item.record.id}": (item, enabled) for item, enabled in shown}
        assert keys == Counter(wanted.keys()), f"summaries and items: {desk.address} {keys} {wanted.keys()}"
        for key, note in lying:
            item, enabled = wanted[note.key]
            place = town.role(desk, f"module.{item.record.kind}")
            assert place in desk.box.tags(key), f"elsewhere: {desk.address} {note.key}"
            said = summary.compose(item, enabled, policy, "Salesforce")
            if item.record.id not in town.dim:
                assert (note.subject, note.text) == (said.subject, said.text), (
                    f"an old summary: {note.key} {note.text} {said.text}"
                )


ALWAYS: tuple[Check, ...] = (
    one_record_per_mail_and_item,
    related_to_what_was_asked_for,
    no_summary_is_filed,
    one_item_per_mail,
)
AT_REST: tuple[Check, ...] = (
    put_last_is_where_it_lies,
    what_was_undone_is_gone,
    what_arrived_in_a_followed_conversation_is_filed,
    a_leaf_for_every_item,
    a_summary_for_every_item,
)
