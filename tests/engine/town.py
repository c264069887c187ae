"""Three users at work, with everything that people, vendors and machines do to them; `Town` remembers what must follow.

Every deed takes plain numbers, so that a failing story can be printed and told again. `pick` counts mails from the
newest one back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from sync.core.mime import parse
from sync.engine import wake as engine
from sync.model import RecordRef
from sync.policy import Policy
from tests.contracts.mail_world import mail
from tests.engine.office import GUARD, LEASE, Desk, Killed, Office

DROPS = ("drop.archive", "trigger.archive")
MARKERS = ("marker.done", "marker.missing", "marker.error")
GARBAGE = (b"", b"Subject: scan 0007\r\n\r\nx\r\n", b"\xff\xfe\x00From: <<>>\r\n\r\n", b"From: @\r\nTo: ;\r\n\r\n")
NAMES = ("anna", "ben", "cara")
SENDERS = {
    "known": "Kimberly Leemann <kim@widgets.example>",
    "lead": "Olamide Oduya <ola@prospect.example>",
    "internal": "Benjamin Carter <ben@northpeak.example>",
}
LONGEST = 3700.0  # seconds after which every wait of the engine is over: a held mail 1,800, a sweep 600

OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"crm_email_record": "task"},
    {"crm_email_record": "email_message", "must_match": False},
    {"create_missing": False},
    {"create_missing": False, "hold_on_missing_match": True},
    {"create_as_lead": True, "match_leads": True},
    {"user_exclusivity": False},
    {"account_name_from": "domain", "account_domain_must_be_unique": False},
    {"enabled": False},
    {"master_label": "Customer Desk"},
    {"done_marker": "Filed", "error_marker": "Not filed"},
    {"trigger_category": ""},
    {"trigger_category": "To the CRM"},
    {"drop_poll_seconds": 300, "sweep_minutes": 1},
)


@dataclass(slots=True, eq=False)
class Copy:
    """One copy of a mail in a mailbox, and what its user is entitled to find there."""

    desk: Desk = field(repr=False)
    key: str
    message_id: str
    outgoing: bool
    own: set[str] = field(default_factory=set)
    starred: bool = False
    unread: bool = True
    owes: bool = False  # dropped, and nobody took the drop or our marker off since: it must end with a marker
    home: bool = False  # it lay in the Inbox when it was dropped, so it lies there in the end

    @property
    def labels(self) -> set[str]:
        return self.desk.box.mails[self.key].labels


@dataclass
class Town:
    office: Office
    desks: list[Desk] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)  # what the store may never hold
    forgotten: set[str] = field(default_factory=set)  # Message-IDs whose record somebody deleted in the CRM
    number: int = 0
    workers: int = 0

    def open(self) -> None:
        self.office.crm.user("Novakova", "cara@northpeak.example")
        widgets = self.office.crm.account("Widgets Limited", website="widgets.example")
        self.office.crm.contact("Leemann", "kim@widgets.example", account=widgets)
        self.office.crm.lead("Oduya", "ola@prospect.example")
        self.desks = [self.office.desk(name) for name in NAMES]
        self.texts |= {desk.address for desk in self.desks}
        self.texts |= {"kim@widgets.example", "ola@prospect.example", "Kimberly Leemann", "Olamide Oduya"}

    def fresh(self, what: str) -> str:
        self.number += 1
        text = f"{what}-{self.number}-quartz"
        self.texts.add(text)
        return text

    # --- mails arrive -----------------------------------------------------------------------------------------------

    def _unknown(self) -> str:
        name = self.fresh("Rosalind")
        address = f"{name.lower()}@newco{self.number % 3}.example"
        self.texts.add(address)
        return f"{name} Diazmann <{address}>"

    def arrive(self, who: int, kind: str, count: int) -> list[Copy]:
        """`count` mails of a sender, or one in so many mailboxes (`shared`)."""
        desk = self.desks[who]
        if kind == "garbage":
            return [self._add(desk, GARBAGE[count % len(GARBAGE)])]
        if kind == "sent":
            raw = mail(self.fresh("Subject"), sender=desk.address, to=self._unknown(), message_id=self._id())
            return [self._add(desk, raw, outgoing=True)]
        if kind == "answer" and self.copies:
            raw = mail(
                self.fresh("Subject"), to=desk.address, message_id=self._id(), answers=self.copies[-1].message_id
            )
            return [self._add(desk, raw)]
        sender = SENDERS.get(kind) or self._unknown()
        if kind == "shared":
            raw = mail(self.fresh("Subject"), sender=sender, to="team@lists.example", message_id=self._id())
            return [self._add(self.desks[(who + n) % len(self.desks)], raw) for n in range(count)]
        raws = [
            mail(self.fresh("Subject"), sender=sender, to=desk.address, message_id=self._id()) for _ in range(count)
        ]
        if kind == "anonymous":
            raws = [b"\r\n".join(n for n in raw.split(b"\r\n") if not n.startswith(b"Message-ID")) for raw in raws]
        return [self._add(desk, raw) for raw in raws]

    def _id(self) -> str:
        found = f"<{self.fresh('id')}@mail.example>"
        self.texts.add(found)
        return found

    def _add(self, desk: Desk, raw: bytes, *, outgoing: bool = False) -> Copy:
        key = desk.box.sent(raw) if outgoing else desk.box.deliver(raw)
        copy = Copy(desk, key, parse(raw).message_id, outgoing, unread=not outgoing)
        self.copies.append(copy)
        return copy

    # --- users ------------------------------------------------------------------------------------------------------

    def role(self, desk: Desk, key: str) -> str | None:
        """The label that the engine uses for this, while it is there."""
        known = self.office.store.labels(desk.id).get(key)
        return known.remote_id if known and known.remote_id in desk.box.paths else None

    def lies_dropped(self, copy: Copy) -> bool:
        return any(label in copy.labels for key in DROPS if (label := self.role(copy.desk, key)))

    def drop(self, copy: Copy, role: str = "drop.archive", *, move: bool = True) -> None:
        label = self.role(copy.desk, role)
        if label is None or label in copy.labels:
            return
        inbox = "INBOX" in copy.labels
        copy.home = not copy.outgoing and (inbox or (copy.home and self.lies_dropped(copy)))
        copy.desk.box.drop(copy.key, label, move=move)
        copy.owes = True

    def undrop(self, copy: Copy, role: str = "drop.archive") -> None:
        label = self.role(copy.desk, role)
        if label is not None and label in copy.labels:
            copy.desk.box.undrop(copy.key, label)
            self._taken_off(copy)

    def _taken_off(self, copy: Copy) -> None:
        if not self.lies_dropped(copy):
            copy.owes = False
        copy.home = copy.home and "INBOX" in copy.labels

    def user(self, deed: str, pick: int) -> None:
        """What one does with one mail."""
        if not self.copies:
            return
        copy = self.copies[-1 - pick % len(self.copies)]
        box, labels = copy.desk.box, self.office.store.labels(copy.desk.id)
        if deed == "drop":
            self.drop(copy)
        elif deed == "drop a copy":
            self.drop(copy, move=False)
        elif deed == "categorise":
            self.drop(copy, "trigger.archive", move=False)
        elif deed == "drop the thread":
            thread = box.thread(copy.key)
            for one in [c for c in self.copies if c.desk is copy.desk and box.thread(c.key) == thread]:
                self.drop(one)
        elif deed == "take off":
            self.undrop(copy)
        elif deed == "take the category off":
            self.undrop(copy, "trigger.archive")
        elif deed == "take the marker off":
            ours = {known.remote_id for key, known in labels.items() if key.startswith(("marker.", "reason."))}
            box.change(copy.key, set(), ours)
            copy.owes = copy.owes and self.lies_dropped(copy)
        elif deed == "star":
            box.star(copy.key)
            copy.starred = True
        elif deed == "read":
            box.mark_read(copy.key)
            copy.unread = False
        elif deed == "archive":
            box.archive(copy.key)
            copy.home = False
        elif deed == "tag":
            label = next((k for k, path in box.paths.items() if path == ("My own",)), None)
            copy.own.add(label or box.create_label("My own"))
            box.change(copy.key, copy.own, set())
        elif deed == "delete":
            box.delete(copy.key)
            self.copies.remove(copy)
        else:
            raise AssertionError(deed)

    def relabel(self, who: int, key: str, delete: bool) -> None:
        """A user renames or deletes one of our labels."""
        desk = self.desks[who]
        label = self.role(desk, key)
        if label is None:
            return
        if not delete:
            desk.box.rename_label(label, self.fresh("Renamed"))
            return
        touched = [copy for copy in self.copies if copy.desk is desk and label in copy.labels]
        desk.box.delete_label(label)
        for copy in touched:
            if key in DROPS:
                self._taken_off(copy)
            else:
                copy.owes = copy.owes and self.lies_dropped(copy)

    # --- the CRM's people -------------------------------------------------------------------------------------------

    def crm(self, deed: str, pick: int) -> None:
        org, crm = self.office.crm.org, self.office.crm
        if deed == "require a field":
            org.demands ^= {"contact"}
            return
        if deed == "delete the activity":
            if org.activities:
                gone = org.activities.pop(-1 - pick % len(org.activities))
                crm.delete(gone.record)
                self.forgotten.add(gone.message_id)
            return
        kind = "account" if "account" in deed else "contact"
        found = [record for record in org.records if record.kind == kind]
        if not found:
            return
        record = found[-1 - pick % len(found)]
        if deed.startswith("delete"):
            crm.delete(record)
        elif deed.startswith("lock"):
            crm.lock(record)
        elif deed.startswith("rename"):
            org.records[record] |= {"name": self.fresh("Edited"), "last_name": self.fresh("Edited")}
        else:
            raise AssertionError(deed)

    # --- time, vendors, machines ------------------------------------------------------------------------------------

    def policy(self, which: int) -> None:
        self.office.policy = Policy(**OPTIONS[which])

    def wake(self, who: int, *, knock: bool = True) -> None:
        """Another worker each time."""
        desk = self.desks[who]
        if knock:
            self.office.store.wake(desk.id)
        self.workers += 1
        engine.wake(
            self.office.store,
            desk.id,
            self.office.ports,
            worker=f"worker-{self.workers}",
            clock=self.office.clock,
            lease_seconds=LEASE,
            guard_seconds=GUARD,
        )

    def tick(self) -> None:
        """As the ticker does it."""
        ids = [desk.id for desk in self.desks]
        for mailbox_id in self.office.store.due(self.office.now, 100):
            self.wake(ids.index(mailbox_id), knock=False)

    def interrupted(self, who: int, point: int, deed: Callable[[str], None]) -> None:
        """A wake with something to do, at whose `point`-th moment of a remote call or a commit (it is told which)
        something happens."""
        for copy in self.arrive(who, "unknown", 2):
            self.drop(copy)
        with self.office.at(point, lambda: deed(moments[-1])) as moments, contextlib.suppress(Killed):
            self.wake(who)

    def calm(self) -> None:
        """All faults end, the administrator has connected everything again, and enough time passes for all waits."""
        office = self.office
        office.mails.faults.clear()
        office.mails.part_throttled = False
        office.crm._faults.clear()
        office.crm.org.locks.clear()
        if not office.policy.enabled or office.policy.hold_on_missing_match or not office.policy.trigger_category:
            office.policy = replace(Policy(), create_missing=office.policy.create_missing)
        office.now += LONGEST
        for desk in self.desks:
            office.store.activate(desk.id)
            office.store.wake(desk.id)
        for _ in range(300):
            self.tick()
            if self._quiet():
                return
            due = office.store.next_wake(office.now)
            assert due is not None
            office.now = max(office.now + 0.1, due)
        raise AssertionError(f"it does not come to rest: {office.store.status(office.now)}")

    def _quiet(self) -> bool:
        idle = all(row.dirty == row.handled for row in self.office.store.mailboxes())
        return idle and not any(health.open or health.decided for health in self.office.store.status(self.office.now))

    # --- what is there ----------------------------------------------------------------------------------------------

    def made(self, kind: str) -> Iterator[tuple[RecordRef, dict[str, str]]]:
        """Records that we created: they have an owner."""
        found = self.office.crm.org.records.items()
        return ((record, fields) for record, fields in found if record.kind == kind and fields.get("owner"))


__all__ = ["DROPS", "MARKERS", "OPTIONS", "Copy", "Killed", "Town"]
