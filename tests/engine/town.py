"""Users of two mail systems at work on one CRM, with everything that vendors and machines do to them.

Every deed takes plain numbers, so that a failing story can be printed and told again. `pick` counts mails from the
newest one back. What users do stands in `people.py`, what must hold in `verdict.py`.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sync.core.labels import Remembered
from sync.core.mime import parse
from sync.engine import wake as engine
from sync.policy import Policy
from tests.contracts.mail_world import mail
from tests.engine import people
from tests.engine.office import GUARD, LEASE, Desk, Killed, Office

DROPS = ("drop.archive", "trigger.archive")
MARKERS = ("marker.done", "marker.missing", "marker.error")
GARBAGE = (b"", b"Subject: scan 0007\r\n\r\nx\r\n", b"\xff\xfe\x00From: <<>>\r\n\r\n", b"From: @\r\nTo: ;\r\n\r\n")
STAFF = (("anna", "Lindqvist", False), ("ben", "Carter", True), ("cara", "Novakova", False), ("dora", "Okafor", True))
"""Name, last name, and whether the mail system has folders."""
SENDERS = {
    "known": "Kimberly Leemann <kim@widgets.example>",
    "lead": "Olamide Oduya <ola@prospect.example>",
    "internal": "Frida Holm <frida@northpeak.example>",
}
CANARY = "quartz"  # in every text that is invented as a story goes
LONGEST = 3700.0  # seconds after which every wait of the engine is over: a held mail 1,800, a sweep 600
QUOTAS = ((6000.0, 1000.0, 6000.0), (3600.0, 400.0, 200.0))
"""Units a minute of labels, folders and CRM: as vendors grant them, and so few that they run out."""

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
    twin: str = ""  # the message that a copy into a drop folder made
    stale: frozenset[str] = frozenset()  # labels that it had when it was dropped: none of them is the new end

    @property
    def labels(self) -> frozenset[str]:
        return self.desk.box.tags(self.key)


@dataclass
class Town:
    office: Office
    desks: list[Desk] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)  # what the store may never hold
    forgotten: set[str] = field(default_factory=set)  # Message-IDs whose record somebody deleted in the CRM
    known: dict[int, Mapping[str, Remembered]] = field(default_factory=dict)  # by desk
    meanings: dict[int, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))  # desk -> label ever used
    number: int = 0
    workers: int = 0
    drops: int = 0
    clock_was_set: bool = False  # budgets cannot be right any more
    edited: bool = False  # somebody changed records in the CRM by hand
    related: bool = True  # who drops a mail is related to its record: no task was asked for, no user was inactive

    def open(self) -> None:
        crm = self.office.crm
        for name, last_name, _ in STAFF[2:]:
            crm.user(last_name, f"{name}@northpeak.example")
        crm.user("Holm", "frida@northpeak.example")
        widgets = crm.account("Widgets Limited", website="widgets.example")
        crm.contact("Leemann", "kim@widgets.example", account=widgets)
        crm.lead("Oduya", "ola@prospect.example")
        self.desks = [self.office.desk(name, folders=folders) for name, _, folders in STAFF]
        self.texts |= {desk.address for desk in self.desks}
        self.texts |= {"kim@widgets.example", "ola@prospect.example", "Kimberly Leemann", "Olamide Oduya"}
        for desk in self.desks:
            self._learn(desk)

    def fresh(self, what: str) -> str:
        self.number += 1
        text = f"{what}-{self.number}-{CANARY}"
        self.texts.add(text)
        return text

    # --- mails arrive -----------------------------------------------------------------------------------------------

    def _unknown(self) -> str:
        name = self.fresh("Rosalind")
        address = f"{name.lower()}@newco{self.number % 3}.example"
        self.texts.add(address)
        return f"{name} Diazmann <{address}>"

    def _mail(self, sender: str, to: str, answers: str = "") -> bytes:
        message_id = f"<{self.fresh('id')}@mail.example>"
        self.texts.add(message_id)
        body = f"{self.fresh('Body')} lies before you.\n"
        return mail(self.fresh("Subject"), sender=sender, to=to, message_id=message_id, body=body, answers=answers)

    def arrive(self, who: int, kind: str, count: int) -> list[Copy]:
        """`count` mails of a sender, or one in so many mailboxes (`shared`), or one from desk to desk (`colleague`)."""
        desk = self.desks[who]
        if kind == "garbage":
            return [self._add(desk, GARBAGE[count % len(GARBAGE)])]
        if kind == "sent":
            return [self._add(desk, self._mail(desk.address, self._unknown()), outgoing=True)]
        if kind == "answer" and self.copies:
            return [self._add(desk, self._mail(self._unknown(), desk.address, answers=self.copies[-1].message_id))]
        if kind == "colleague":
            other = self.desks[(who + count) % len(self.desks)]
            raw = self._mail(desk.address, f"{other.address}, {self._unknown()}")
            return [self._add(desk, raw, outgoing=True), *([self._add(other, raw)] if other is not desk else ())]
        sender = SENDERS.get(kind) or self._unknown()
        if kind == "shared":
            raw = self._mail(sender, "team@lists.example")
            return [self._add(self.desks[(who + n) % len(self.desks)], raw) for n in range(count)]
        raws = [self._mail(sender, desk.address) for _ in range(count)]
        if kind == "anonymous":
            raws = [b"\r\n".join(n for n in raw.split(b"\r\n") if not n.startswith(b"Message-ID")) for raw in raws]
        return [self._add(desk, raw) for raw in raws]

    def _add(self, desk: Desk, raw: bytes, *, outgoing: bool = False) -> Copy:
        key = desk.box.sent(raw) if outgoing else desk.box.deliver(raw)
        copy = Copy(desk, key, parse(raw).message_id, outgoing, unread=not outgoing)
        self.copies.append(copy)
        return copy

    def arrive_dropped(self, who: int) -> None:
        """A rule of the user puts a mail on the drop label before anybody sees it."""
        desk = self.desks[who]
        label = self.role(desk, "drop.archive")
        if label is not None:
            raw = self._mail(self._unknown(), desk.address)
            key = desk.box.deliver(raw, labels=[label])
            self.copies.append(Copy(desk, key, parse(raw).message_id, False, owes=True, home=True))

    # --- where things lie -------------------------------------------------------------------------------------------

    def role(self, desk: Desk, key: str) -> str | None:
        """The label that the engine uses for this, while it is there."""
        known = self.labels(desk).get(key)
        return known.remote_id if known and known.remote_id in desk.box.labels() else None

    def copied(self, copy: Copy) -> bool:
        """Whether a copy of it waits in the drop folder."""
        there = copy.desk.box.mails
        return copy.twin in there and self.role(copy.desk, "drop.archive") in copy.desk.box.tags(copy.twin)

    def lies_dropped(self, copy: Copy) -> bool:
        on = any(label in copy.labels for key in DROPS if (label := self.role(copy.desk, key)))
        return on or self.copied(copy)

    def picked(self, pick: int) -> Copy | None:
        return self.copies[-1 - pick % len(self.copies)] if self.copies else None

    def labels(self, desk: Desk) -> Mapping[str, Remembered]:
        """What the engine remembers of the tree, as of its last wake there."""
        return self.known[desk.id]

    def _learn(self, desk: Desk) -> None:
        self.known[desk.id] = self.office.store.labels(desk.id)
        self.meanings[desk.id] |= {label.remote_id: key for key, label in self.known[desk.id].items()}

    # --- time, vendors, machines ------------------------------------------------------------------------------------

    def policy(self, which: int) -> None:
        self.office.policy = Policy(**OPTIONS[which])
        self.related = self.related and self.office.policy.crm_email_record != "task"

    def wake(self, who: int, *, knock: bool = True) -> None:
        """Another worker each time."""
        desk = self.desks[who]
        if knock:
            self.office.store.wake(desk.id)
        self.workers += 1
        try:
            engine.wake(
                self.office.store,
                desk.id,
                self.office.ports,
                worker=f"worker-{self.workers}",
                clock=self.office.clock,
                lease_seconds=LEASE,
                guard_seconds=GUARD,
            )
        finally:
            self._learn(desk)

    def tick(self) -> None:
        """As the ticker does it."""
        self.office.store.heal_times(self.office.time, LEASE, GUARD)
        ids = [desk.id for desk in self.desks]
        for mailbox_id in self.office.store.due(self.office.time, 100):
            self.wake(ids.index(mailbox_id), knock=False)

    def interrupted(self, who: int, point: int, deed: Callable[[str], None]) -> None:
        """A wake with something to do, at whose `point`-th moment of a remote call or a commit (it is told which)
        something happens."""
        for copy in self.arrive(who, "unknown", 2):
            people.drop(self, copy)
        self.patience(who)
        with self.office.at(point, lambda: deed(moments[-1])) as moments, contextlib.suppress(Killed):
            self.wake(who)

    def patience(self, who: int) -> None:
        """Until a dead worker's lease and the waits of the mailbox are over."""
        row = self.office.store.mailbox(self.desks[who].id)
        self.office.now += max(0.0, min(max(row.lease_until, row.not_before) - self.office.time, LONGEST))

    def set_clock(self, seconds: float) -> None:
        """The hosts' clocks are set; the true time goes on."""
        self.office.skew += seconds
        self.clock_was_set = True

    def calm(self) -> None:
        """All faults end, the administrator has connected everything again, and enough time passes for all waits."""
        office = self.office
        for service in (office.mails, office.folders, office.crm):
            service.heal()
        if not office.policy.enabled or office.policy.hold_on_missing_match or not office.policy.trigger_category:
            office.policy = replace(Policy(), create_missing=office.policy.create_missing)
        office.now += LONGEST
        for desk in self.desks:
            office.store.activate(desk.id)
            office.store.wake(desk.id)
        for _ in range(400):
            self.tick()
            if self._quiet():
                return
            due = office.store.next_wake(office.time)
            assert due is not None, "something waits, but for nothing"
            office.now += max(0.1, due - office.time)
        raise AssertionError(f"it does not come to rest: {office.store.status(office.time)}")

    def _quiet(self) -> bool:
        idle = all(row.dirty == row.handled for row in self.office.store.mailboxes())
        return idle and not any(health.open or health.decided for health in self.office.store.status(self.office.time))


__all__ = ["CANARY", "DROPS", "MARKERS", "OPTIONS", "QUOTAS", "STAFF", "Copy", "Killed", "Town"]
