"""Users of two mail systems at work on one CRM, with everything that vendors and machines do to them.

Every deed takes plain numbers, so that a failing story can be printed and told again. `pick` counts mails from the
newest one back. What users do stands in `people.py` and, with items and conversations, in `assign.py`; what happens to
items in the CRM in `business.py`; what must hold in `verdict.py` and `verdict_items.py`.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sync.core.follow import subject_key
from sync.core.labels import Remembered
from sync.core.mime import parse
from sync.engine import feed
from sync.engine import wake as engine
from sync.errors import Busy, Denied
from sync.model import RecordRef, Target
from sync.policy import parse as policy_of
from tests.contracts.mail_world import mail
from tests.engine import assign, people
from tests.engine.office import GUARD, LEASE, Desk, Killed, Office

DROPPED = ("drop.", "trigger.")
MARKERS = ("marker.done", "marker.missing", "marker.error", "marker.followed")
KINDS = ("opportunity", "case")
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
LEVEL = 6 * 3600 + LONGEST  # seconds after which everything has been looked at whole
QUOTAS = ((6000.0, 1000.0, 6000.0), (3600.0, 1200.0, 200.0))
"""Units a minute of labels, folders and CRM: as vendors grant them, and so few that they run out."""

BASE: dict[str, Any] = {
    "modules": list(KINDS),
    "assign_to": True,
    "conversation_follow": True,
    "trigger_categories": {"New case": "case"},
}
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"modules": ["case"]},
    {"modules": [], "trigger_categories": {}},
    {"assign_to": False},
    {"summaries": False},
    {"assign_to": False, "summaries": False},
    {"conversation_follow": False},
    {"follow_existing_later": False},
    {"trigger_burst": 2},
    {"summary_link": "edit", "currency": "EUR"},
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
    subject: str = ""
    conversation: str = ""  # Message-ID of the mail that began it
    awaited: bool = False  # it answers in a conversation that is followed: it must end with a marker
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
    leaves: dict[int, dict[str, RecordRef]] = field(default_factory=dict)  # by desk: remote id -> item
    numbers: dict[tuple[int, RecordRef], int] = field(default_factory=dict)  # by desk and item, once and for ever
    asked: dict[str, list[set[Target]]] = field(default_factory=dict)  # by Message-ID: where people put it, in waves
    vague: set[str] = field(default_factory=set)  # Message-IDs of which the last wave need not be how it ends
    undone: set[str] = field(default_factory=set)  # Message-IDs, since everything was quiet last
    at_rest_undone: set[str] = field(default_factory=set)
    undos: int = 0
    about: dict[str, tuple[str, str]] = field(default_factory=dict)  # Message-ID -> conversation, subject
    made: set[RecordRef] = field(default_factory=set)  # items that people made in the CRM
    dim: set[str] = field(default_factory=set)  # ids of items whose summary shows what the CRM told nobody about
    renamed: set[str] = field(default_factory=set)  # leaves that a user renamed
    blind: bool = False  # an answer left out changes: what only they tell may be missed
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
        self.office.policy = policy_of(BASE)
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

    def letter(self, sender: str, to: str, answers: str = "", subject: str = "") -> bytes:
        message_id = f"<{self.fresh('id')}@mail.example>"
        self.texts.add(message_id)
        body = f"{self.fresh('Body')} lies before you.\n"
        subject = subject or self.fresh("Subject")
        return mail(subject, sender=sender, to=to, message_id=message_id, body=body, answers=answers)

    def arrive(self, who: int, kind: str, count: int) -> list[Copy]:
        """`count` mails of a sender, or one in so many mailboxes (`shared`), or one from desk to desk (`colleague`)."""
        desk = self.desks[who]
        if kind == "garbage":
            return [self.add(desk, GARBAGE[count % len(GARBAGE)])]
        if kind == "sent":
            return [self.add(desk, self.letter(desk.address, self._unknown()), outgoing=True)]
        if kind == "answer" and self.copies:
            return [self.add(desk, self.letter(self._unknown(), desk.address, answers=self.copies[-1].message_id))]
        if kind == "colleague":
            other = self.desks[(who + count) % len(self.desks)]
            raw = self.letter(desk.address, f"{other.address}, {self._unknown()}")
            return [self.add(desk, raw, outgoing=True), *([self.add(other, raw)] if other is not desk else ())]
        sender = SENDERS.get(kind) or self._unknown()
        if kind == "shared":
            raw = self.letter(sender, "team@lists.example")
            return [self.add(self.desks[(who + n) % len(self.desks)], raw) for n in range(count)]
        raws = [self.letter(sender, desk.address) for _ in range(count)]
        if kind == "anonymous":
            raws = [b"\r\n".join(n for n in raw.split(b"\r\n") if not n.startswith(b"Message-ID")) for raw in raws]
        return [self.add(desk, raw) for raw in raws]

    def add(self, desk: Desk, raw: bytes, *, outgoing: bool = False) -> Copy:
        key = desk.box.sent(raw) if outgoing else desk.box.deliver(raw)
        return self._new(desk, key, raw, outgoing, unread=not outgoing)

    def _new(self, desk: Desk, key: str, raw: bytes, outgoing: bool, **how: Any) -> Copy:
        parsed = parse(raw)
        began = next((one.conversation for one in self.copies if one.message_id == parsed.in_reply_to), "")
        conversation = began or parsed.in_reply_to or parsed.message_id
        copy = Copy(desk, key, parsed.message_id, outgoing, subject=parsed.subject, conversation=conversation, **how)
        self.copies.append(copy)
        self.about[copy.message_id] = (conversation, subject_key(copy.subject))
        return copy

    def arrive_dropped(self, who: int) -> None:
        """A rule of the user puts a mail on the drop label before anybody sees it."""
        desk = self.desks[who]
        label = self.role(desk, "drop.archive")
        if label is not None:
            raw = self.letter(self._unknown(), desk.address)
            key = desk.box.deliver(raw, labels=[label])
            copy = self._new(desk, key, raw, False, owes=True, home=True)
            self.wants(copy, Target("archive"))

    # --- where things lie -------------------------------------------------------------------------------------------

    def role(self, desk: Desk, key: str) -> str | None:
        """The label that the engine uses for this, while it is there."""
        known = self.labels(desk).get(key)
        return known.remote_id if known and known.remote_id in desk.box.labels() else None

    def drops_of(self, desk: Desk) -> frozenset[str]:
        """Every label, folder and category that asks for something, while it is there."""
        known = {one.remote_id for key, one in self.labels(desk).items() if key.startswith(DROPPED)}
        return frozenset((known | self.leaves[desk.id].keys()) & desk.box.labels().keys())

    def copied(self, copy: Copy) -> bool:
        """Whether a copy of it waits in a drop folder."""
        box = copy.desk.box
        return copy.twin in box.mails and bool(self.drops_of(copy.desk) & box.tags(copy.twin))

    def lies_dropped(self, copy: Copy) -> bool:
        return bool(self.drops_of(copy.desk) & copy.labels) or self.copied(copy)

    # --- what people want -------------------------------------------------------------------------------------------

    def wants(self, copy: Copy, *targets: Target) -> None:
        """Somebody puts the mail to all of these at once. Whoever puts a mail of a conversation elsewhere may send the
        others elsewhere too."""
        key = copy.message_id
        waves = self.asked.setdefault(key, [])
        if self.under_way(key):
            self.vague.add(key)
        waves.append(set(targets))
        same = {one.message_id for one in self.copies if one.conversation == copy.conversation}
        self.vague |= same - {key}
        self.undone -= same

    def under_way(self, message_id: str) -> bool:
        """Whether something is asked for this mail already and has not ended."""
        if any(one.message_id == message_id and self.lies_dropped(one) for one in self.copies):
            return True
        filings = self.office.store.explain(self.office.store.hash(message_id))
        ended = all(one.filing.state not in ("planned", "sent") for one in filings)
        return not ended or any(one.state != "settled" for found in filings for one in found.sightings)

    def expect_nothing(self) -> None:
        """What was to be followed need not be any more."""
        for copy in self.copies:
            copy.awaited = False

    def picked(self, pick: int) -> Copy | None:
        return self.copies[-1 - pick % len(self.copies)] if self.copies else None

    def labels(self, desk: Desk) -> Mapping[str, Remembered]:
        """What the engine remembers of the tree, as of its last wake there."""
        return self.known[desk.id]

    def _learn(self, desk: Desk) -> None:
        self.known[desk.id] = self.office.store.labels(desk.id)
        self.meanings[desk.id] |= {label.remote_id: key for key, label in self.known[desk.id].items()}
        rows = self.office.store.items(desk.id)
        self.leaves[desk.id] = {row.leaf_id: RecordRef(row.kind, row.record_id) for row in rows if row.leaf_id}
        for row in rows:
            number = self.numbers.setdefault((desk.id, RecordRef(row.kind, row.record_id)), row.number)
            assert number == row.number, f"another number: {row}"

    # --- time, vendors, machines ------------------------------------------------------------------------------------

    def policy(self, which: int) -> None:
        self.office.policy = policy_of({**BASE, **OPTIONS[which]})
        self.expect_nothing()
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

    def feed(self, *, dies: bool = False) -> None:
        """As the job does it. What is refused is asked for by the next one. `dies`: between the CRM and the store."""
        office = self.office
        rules, scope = office.policy.modules, office.policy.assign_to_scope
        wants: Any = {row.id: {rule.name: scope for rule in rules} for row in office.store.policies()}

        def heard(name: str, before: bool) -> None:
            if dies and name == "feed" and not before:
                raise Killed

        with contextlib.suppress(Busy, Denied, Killed):
            if rules and office.policy.enabled:
                for mailbox_id in feed.run(office.store, office.connection, office.feeding(heard), wants):
                    office.store.wake(mailbox_id)

    def interrupted(self, who: int, point: int, deed: Callable[[str], None]) -> None:
        """A wake with something to do, at whose `point`-th moment of a remote call or a commit (it is told which)
        something happens."""
        for copy in self.arrive(who, "unknown", 2):
            people.drop(self, copy)
        assign.create(self, self.copies[-1])
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
        self.blind = False
        if self._waits_for_ever():
            office.policy = replace(policy_of(BASE), create_missing=office.policy.create_missing)
            self.expect_nothing()
        office.now += LEVEL
        for desk in self.desks:
            office.store.activate(desk.id)
            office.store.wake(desk.id)
        for _ in range(400):
            self.tick()
            self.feed()
            if self._quiet():
                people.look_again(self)
                self.undone, was = set(), self.undone
                self.at_rest_undone = was
                return
            due = office.store.next_wake(office.time)
            assert due is not None, "something waits, but for nothing"
            office.now += max(1.0, due - office.time)  # a tick
        raise AssertionError(f"it does not come to rest: {office.store.status(office.time)}")

    def _waits_for_ever(self) -> bool:
        """A policy with which a mail is not filed, nor brought back: it is off, or what it wears means nothing."""
        policy = self.office.policy
        if not policy.enabled or policy.hold_on_missing_match:
            return True
        meant = {"trigger.archive"} if policy.trigger_category else set()
        meant |= {f"trigger.{one.name.casefold()}" for one in policy.trigger_categories}
        meant |= {"trigger.stop"} if policy.conversation_follow else set()
        worn = {self.meanings[copy.desk.id].get(label, "") for copy in self.copies for label in copy.labels}
        return any(key.startswith("trigger.") and key not in meant for key in worn)

    def _quiet(self) -> bool:
        idle = all(row.dirty == row.handled for row in self.office.store.mailboxes())
        health = self.office.store.status(self.office.time)
        return idle and not any(one.open or one.decided or any(each.due for each in one.modules) for one in health)


__all__ = ["CANARY", "KINDS", "MARKERS", "OPTIONS", "QUOTAS", "STAFF", "Copy", "Killed", "Town"]
