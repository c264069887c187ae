"""What must hold in a town, at every moment (`ALWAYS`) and once everything has come to rest (`AT_REST`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from sync.store.rows import Health
from tests.engine import verdict_items
from tests.engine.town import MARKERS, Copy, Town

Check = Callable[[Town], None]


def one_person_per_address(town: Town) -> None:
    for kind, name in (("contact", "email"), ("lead", "email"), ("account", "name")):
        made: Counter[str] = Counter()
        for record, fields in town.office.crm.org.records.items():
            if record.kind == kind and fields.get(name):
                made[fields[name].lower()] += 1
        assert set(made.values()) <= {1}, f"{kind} made twice: {made.most_common(1)}"


def one_account_per_domain(town: Town) -> None:
    """Unless people edit accounts away from under us."""
    if town.edited:
        return
    records = town.office.crm.org.records
    sites = Counter(f["website"] for record, f in records.items() if record.kind == "account" and f.get("website"))
    assert set(sites.values()) <= {1}, f"two accounts for a domain: {sites.most_common(1)}"


def what_belongs_to_the_user_is_unchanged(town: Town) -> None:
    for copy in town.copies:
        labels = copy.labels
        assert ("STARRED" in labels, "UNREAD" in labels) == (copy.starred, copy.unread), copy
        assert copy.own <= labels, copy
        assert not (copy.outgoing and "INBOX" in labels), copy
        if not copy.desk.places:
            assert ("SENT" in labels) == copy.outgoing, copy


def within_the_quota(town: Town) -> None:
    """Our budgets come before the vendors': nobody has ever refused us. A clock that is set confuses them."""
    if not town.clock_was_set:
        assert [each.refused for each in town.office.allowances if each.refused] == []


def everything_has_ended(town: Town) -> None:
    for copy in town.copies:
        _has_ended(town, copy)


def _has_ended(town: Town, copy: Copy) -> None:
    known = {label.remote_id: key for key, label in town.labels(copy.desk).items()}
    meanings = town.meanings[copy.desk.id]
    now = {known[label] for label in copy.labels if label in known}
    there = now | {meanings[label] for label in copy.labels - copy.stale if label in meanings}
    marks, reasons = now & set(MARKERS), {key for key in now if key.startswith("reason.")}
    assert not town.lies_dropped(copy), f"not settled: {copy} {now}"
    assert not [key for key in now if key.startswith(("drop.", "trigger."))], f"not settled: {copy} {now}"
    several = (
        len(
            {target for key, waves in town.asked.items() for wave in waves for target in wave if _same(town, key, copy)}
        )
        > 1
    )
    assert len(marks) <= 1 or several, f"two ends: {copy} {now}"
    if not copy.owes:
        return
    assert there & set(MARKERS), f"lost: {copy} {there}"
    assert several or not (reasons and "marker.done" in marks), f"a reason without a failure: {copy} {there}"
    assert not copy.home or "INBOX" in copy.labels, f"not brought home: {copy} {copy.labels}"
    if "marker.done" in marks and copy.message_id not in town.forgotten:
        found = [one for one in town.office.crm.activities() if one.message_id == copy.message_id]
        assert found, f"done, but not in the CRM: {copy}"


def _same(town: Town, message_id: str, copy: Copy) -> bool:
    """Whether the copy is of this mail, or may be filed like it: each target of a mail has an end of its own."""
    return town.about[message_id][0] == copy.conversation


def whoever_dropped_it_is_related(town: Town) -> None:
    """In whatever mail system: one record for all of them. A task has one owner."""
    if not town.related:
        return
    crm = town.office.crm
    users = {fields["email"]: record for record, fields in crm.org.records.items() if record.kind == "user"}
    found = {one.message_id: one for one in crm.activities() if one.record.kind == "email"}
    for copy in town.copies:
        known = town.labels(copy.desk)
        done = copy.owes and "marker.done" in known and known["marker.done"].remote_id in copy.labels
        if done and copy.message_id in found:
            assert users[copy.desk.address] in found[copy.message_id].people, f"a user is not related: {copy}"


def every_mailbox_is_up_to_date(town: Town) -> None:
    def short(health: Health) -> tuple[float, int, int, str]:
        return health.lag, health.open, health.decided, health.state

    assert {short(health) for health in town.office.store.status(town.office.time)} == {(0, 0, 0, "active")}


def one_label_per_name(town: Town) -> None:
    for desk in town.desks:
        paths = Counter(desk.box.labels().values())
        assert set(paths.values()) == {1}, f"labels twice: {paths.most_common(1)}"


ALWAYS: tuple[Check, ...] = (
    one_person_per_address,
    one_account_per_domain,
    what_belongs_to_the_user_is_unchanged,
    within_the_quota,
    *verdict_items.ALWAYS,
)
AT_REST: tuple[Check, ...] = (
    everything_has_ended,
    whoever_dropped_it_is_related,
    every_mailbox_is_up_to_date,
    one_label_per_name,
    *verdict_items.AT_REST,
)
