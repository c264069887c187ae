"""A CRM in memory: the reference of `CrmProvider`, as plain as the contract allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from urllib.parse import urlsplit

from sync.errors import Busy, Conflict, Denied, Rejected, RemoteError
from sync.model import (
    Abilities,
    Account,
    Directory,
    Entry,
    Filed,
    Item,
    NewRecord,
    Outcome,
    Person,
    Question,
    RecordRef,
    Relation,
)
from sync.ports import Meter
from tests.contracts.crm_world import Activity, CountingMeter, FaultKind
from tests.contracts.memory_service import Allowance

EMAIL_FIELD = "other_email"
TWELVE_HOURS = 12 * 3600
SUBJECT = 255
TEXT = 32_000
PEOPLE = ("user", "contact", "lead")
LIMIT = 100_000


class _Lost(Exception):
    """The answer did not come."""


@dataclass
class _Org:
    """Everything an organisation holds. Records are in the order of their creation."""

    records: dict[RecordRef, dict[str, str]] = field(default_factory=dict)
    activities: list[Activity] = field(default_factory=list)
    email_record: bool = True
    shared: bool = True
    email_fields: dict[str, list[str]] = field(default_factory=lambda: {kind: ["email"] for kind in PEOPLE})
    unique: set[str] = field(default_factory=set)
    demands: set[str] = field(default_factory=set)
    locks: dict[RecordRef, int] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)

    def copy(self) -> _Org:
        """As it is now; what is written later to the records and activities of either does not show in the other."""
        records = {record: dict(fields) for record, fields in self.records.items()}
        return replace(self, records=records, activities=list(self.activities))

    def make(self, kind: str, **values: str) -> RecordRef:
        record = RecordRef(kind, f"{kind}-{next(self.numbers):06}")
        self.records[record] = {name: value for name, value in values.items() if value}
        return record


class MemoryCrm:
    """The provider."""

    def __init__(self, world: MemoryCrmWorld, meter: Meter, extra: Sequence[str]) -> None:
        self._world = world
        self._meter = meter
        self._extra = extra
        self._known: tuple[float, Abilities] | None = None

    def abilities(self) -> Abilities:
        if self._known is None or self._world.now - self._known[0] >= TWELVE_HOURS:
            with self._call("describe"):
                org = self._world.org
                fields = {kind: tuple(names) for kind, names in org.email_fields.items()}
                self._known = (self._world.now, Abilities(org.email_record, org.shared, fields))
        return self._known[1]

    def match(self, question: Question) -> Directory:
        if not question:
            return Directory()
        with self._call("match"):
            return Directory(
                {address: tuple(self._people(address)) for address in question.addresses},
                {domain: tuple(self._by_domain(domain)) for domain in question.domains},
                {
                    name: tuple(
                        Account(record, f["name"]) for record, f in self._all("account") if f["name"].lower() == name
                    )
                    for name in question.companies
                },
                self._filed(question),
            )

    def file(self, entries: Sequence[Entry], before: Callable[[], None] | None = None) -> Sequence[Outcome]:
        todo = [entry for entry in entries if self._changes(entry)]
        done = {entry.key: Outcome(entry.key, None, self._known_records(entry)) for entry in entries}
        if todo:
            with self._call("file", write=True):
                if before is not None:
                    before()
                done |= {entry.key: self._one(entry) for entry in todo}
        return [done[entry.key] for entry in entries]

    def names(self, records: Sequence[RecordRef]) -> Mapping[RecordRef, Item]:
        if not records:
            return {}
        with self._call("names"):
            return {
                record: Item(record, title, "", f"https://crm.example/{record.id}")
                for record in records
                if (title := self._world.title(record))
            }

    # --- matching

    def _all(self, kind: str) -> Iterator[tuple[RecordRef, dict[str, str]]]:
        return ((record, fields) for record, fields in self._world.org.records.items() if record.kind == kind)

    def _people(self, address: str) -> Iterator[Person]:
        for kind in PEOPLE:
            names = self._world.org.email_fields[kind]
            wanted = [name for name in names if name == "email" or "auto" in self._extra or name in self._extra]
            for record, fields in self._all(kind):
                held = [name for name in wanted if fields.get(name, "").lower() == address]
                if held and not fields.get("inactive"):
                    account = RecordRef("account", fields["account"]) if fields.get("account") else None
                    yield Person(record, fields["name"], address, account, held[0])

    def _by_domain(self, domain: str) -> Iterator[Account]:
        mails: set[str] = set()
        for _, fields in self._all("contact"):
            if fields.get("account") and _below(fields.get("email", "").rpartition("@")[2].lower(), domain):
                mails.add(fields["account"])
        for record, fields in self._all("account"):
            if _below(_host(fields.get("website", "")), domain):
                yield Account(record, fields["name"], "website")
            elif record.id in mails or _below(fields.get(EMAIL_FIELD, "").rpartition("@")[2].lower(), domain):
                yield Account(record, fields["name"], "email")

    def _filed(self, question: Question) -> dict[str, Filed]:
        sent = {one.message_id: one for one in question.sent}
        out: dict[str, Filed] = {}
        for activity in self._world.org.activities:
            key = activity.message_id
            if key not in question.message_ids and key not in sent:
                continue
            if activity.record.kind == "task" and (
                key not in sent or _task_subject(sent[key].subject) != activity.subject
            ):
                continue
            known = out.get(key) or Filed(activity.record)
            owner = {activity.owner} if activity.owner else set()
            out[key] = replace(known, people=known.people | activity.people | activity.items | owner)
        return out

    # --- filing

    def _changes(self, entry: Entry) -> bool:
        known = entry.existing.people if entry.existing else frozenset()
        if entry.existing is None or entry.create or any(target not in known for target in entry.targets):
            return True
        kinds = PEOPLE if entry.existing.record.kind == "email" else PEOPLE[1:]
        return any(r.record and r.record.kind in kinds and r.record not in known for r in entry.relations)

    @staticmethod
    def _known_records(entry: Entry) -> dict[str, RecordRef]:
        return {"activity": entry.existing.record} if entry.existing else {}

    def _one(self, entry: Entry) -> Outcome:
        """All or none: the organisation is put back when something is refused."""
        world = self._world
        before = world.org.copy()
        try:
            return self._write(entry)
        except RemoteError as error:
            locks = world.org.locks
            world.org = before
            world.org.locks = locks
            return Outcome(entry.key, error)

    def _write(self, entry: Entry) -> Outcome:
        made: dict[str, RecordRef] = self._known_records(entry)
        notes: list[str] = []
        for new in sorted(entry.create, key=lambda one: one.kind != "account"):
            made[new.ref] = self._create(new, made, notes)
        if len(entry.text) > TEXT:
            notes.append("text cut")
        relations = [replace(r, record=self._real(r.record, made)) for r in entry.relations]
        targets = [target for target in entry.targets if target.kind not in PEOPLE]
        relations += [Relation("other", "", "", target) for target in entry.targets if target.kind in PEOPLE]
        entry = replace(entry, relations=tuple(relations), targets=tuple(targets))
        record = entry.existing.record.kind if entry.existing else entry.record
        made |= self._email(entry, notes) if record == "email" else self._tasks(entry, notes)
        return Outcome(entry.key, None, made, tuple(notes))

    def _create(self, new: NewRecord, made: Mapping[str, RecordRef], notes: list[str]) -> RecordRef:
        org = self._world.org
        if new.kind in org.demands:
            raise Rejected("a field is required", reason="required_field")
        name = new.fields.get("last_name") or new.fields.get("name", "")
        for record, fields in self._all(new.kind):
            if new.kind in org.unique and fields.get("last_name", fields["name"]) == name:
                notes.append(f"{new.kind} not created: a duplicate rule found {record.id}")
                return record
        account = self._real(new.account, made)
        if account:
            self._touch(account)
        values = {**new.fields, "name": name, "owner": new.owner, "account": account.id if account else ""}
        return org.make(new.kind, **values)

    def _email(self, entry: Entry, notes: list[str]) -> dict[str, RecordRef]:
        people = [(r.role, self._touch(r.record)) for r in entry.relations if r.record and r.record.kind in PEOPLE]
        listed = {record for role, record in people if role != "other"}
        related = frozenset((role, record) for role, record in people if role != "other" or record not in listed)
        if entry.existing is not None:
            known = entry.existing.people
            return self._extend(entry, frozenset(pair for pair in related if pair[1] not in known), notes)
        if len(entry.targets) > 1:
            notes.append("further targets left out")
        activity = Activity(
            self._world.org.make("email"),
            entry.subject,
            related,
            {role: _without_record(entry, role) for role in ("from", "to", "cc", "bcc")},
            frozenset(entry.targets[:1]),
            entry.text,
            entry.html,
            entry.incoming,
            message_id=entry.message_id,
            files={file.name: file.content for file in entry.attachments},
        )
        self._world.org.activities.append(activity)
        return {"activity": activity.record}

    def _tasks(self, entry: Entry, notes: list[str]) -> dict[str, RecordRef]:
        org = self._world.org
        known = entry.existing.people if entry.existing else frozenset()
        kinds = PEOPLE[1:]
        people = list(dict.fromkeys(r.record for r in entry.relations if r.record and r.record.kind in kinds))
        missing = [self._touch(one) for one in people if one not in known]
        there = {one.kind for one in known if one.kind in kinds}
        out: dict[str, RecordRef] = {}
        if entry.existing is not None:
            if any(r.record and r.record.kind == "user" and r.record not in known for r in entry.relations):
                notes.append("a user is not related: a task has one owner")
            joins = [one for one in missing if one.kind == "contact" and org.shared and there <= {"contact"}]
            joins = joins or (missing[:1] if not there else [])
            out = self._extend(entry, frozenset(("who", one) for one in joins), notes)
            missing = [one for one in missing if one not in joins]
        contacts = [one for one in missing if one.kind == "contact"]
        groups = [contacts] if contacts and org.shared else [[one] for one in contacts]
        groups += [[one] for one in missing if one.kind == "lead"]
        if entry.existing is None:
            groups = groups or [[]]
        subject = _task_subject(entry.subject)
        for number, group in enumerate(groups, 1 if entry.existing is None else 2):
            lead = any(one.kind == "lead" for one in group)
            activity = Activity(
                org.make("task"),
                subject,
                frozenset(("who", one) for one in group),
                items=frozenset() if lead else frozenset(entry.targets[:1]),
                text=entry.text,
                closed=entry.completed,
                owner=RecordRef("user", entry.owner),
                message_id=entry.message_id,
                files={file.name: file.content for file in entry.attachments} if number == 1 else {},
            )
            org.activities.append(activity)
            out["activity" if number == 1 else f"activity.{number}"] = activity.record
        return out

    def _extend(
        self, entry: Entry, related: frozenset[tuple[str, RecordRef]], notes: list[str]
    ) -> dict[str, RecordRef]:
        assert entry.existing is not None
        activities = self._world.org.activities
        place = next(at for at, one in enumerate(activities) if one.record == entry.existing.record)
        old = activities[place]
        if entry.targets and old.items and not old.items & set(entry.targets):
            notes.append("the target left out")
        items = old.items or frozenset(entry.targets[:1])
        activities[place] = replace(old, related=old.related | related, items=items)
        return {"activity": old.record}

    def _real(self, record: RecordRef | None, made: Mapping[str, RecordRef]) -> RecordRef | None:
        return made[record.id] if record and record.id.startswith("@") else record

    def _touch(self, record: RecordRef) -> RecordRef:
        org = self._world.org
        if record not in org.records:
            raise Conflict("deleted")
        if org.locks.get(record, 0):
            org.locks[record] -= 1
            raise Busy("locked", retry_after=3.0)
        return record

    @contextmanager
    def _call(self, method: str, *, write: bool = False) -> Iterator[None]:
        self._meter.spend(method, 1)
        over = self._world.over()
        if over:
            self._meter.throttled(method, over)
            raise Busy("limit", retry_after=over)
        fault = self._world.strike(self._meter)
        yield
        if fault is not None:
            raise Busy("no answer", unknown=write) from fault


class MemoryCrmWorld:
    """The surroundings."""

    name = "memory"

    def __init__(self) -> None:
        self.org = _Org()
        self.now = 0.0
        self.allowance: Allowance | None = None
        self.clock: Callable[[], float] = lambda: self.now  # of the allowance
        self._requests = 0
        self._faults: list[tuple[FaultKind, float | None, int]] = []
        self.anna = self.user("Lindqvist", "anna@northpeak.example")
        self.ben = self.user("Carter", "ben@northpeak.example")

    def crm(self, meter: Meter | None = None, *, extra_email_fields: Sequence[str] = ("auto",)) -> MemoryCrm:
        return MemoryCrm(self, meter or CountingMeter(), extra_email_fields)

    def user(self, last_name: str, email: str, *, active: bool = True) -> RecordRef:
        return self.org.make("user", name=last_name, email=email, inactive="" if active else "yes")

    def account(self, name: str, *, website: str = "", email: str = "") -> RecordRef:
        return self.org.make("account", name=name, website=website, other_email=email)

    def contact(
        self, last_name: str, email: str = "", *, account: RecordRef | None = None, other_email: str = ""
    ) -> RecordRef:
        parent = account.id if account else ""
        names = {"name": last_name, "last_name": last_name}
        return self.org.make("contact", **names, email=email, account=parent, other_email=other_email)

    def lead(self, last_name: str, email: str, *, converted: bool = False) -> RecordRef:
        gone = "yes" if converted else ""
        return self.org.make("lead", name=last_name, last_name=last_name, email=email, inactive=gone)

    def opportunity(self, name: str) -> RecordRef:
        return self.org.make("opportunity", name=name)

    def delete(self, record: RecordRef) -> None:
        del self.org.records[record]

    def task(self, subject: str, text: str) -> RecordRef:
        record = self.org.make("task")
        self.org.activities.append(Activity(record, subject, frozenset(), text=text, owner=self.anna))
        return record

    def switch(self, *, email_record: bool | None = None, shared_activities: bool | None = None) -> None:
        if email_record is not None:
            self.org.email_record = email_record
        if shared_activities is not None:
            self.org.shared = shared_activities

    def email_field(self, kind: str) -> str:
        self.org.email_fields.setdefault(kind, []).append(EMAIL_FIELD)
        return EMAIL_FIELD

    def duplicate_rule(self, kind: str) -> None:
        self.org.unique.add(kind)

    def demand(self, kind: str) -> None:
        self.org.demands.add(kind)

    def lock(self, record: RecordRef, *, writes: int = 1) -> None:
        self.org.locks[record] = writes

    def fault(self, kind: FaultKind, *, retry_after: float | None = None, skip: int = 0) -> None:
        self._faults.append((kind, retry_after, skip))

    def heal(self) -> None:
        """No trouble any more."""
        self._faults.clear()
        self.org.locks.clear()

    def over(self) -> float:
        """Seconds to wait when this call is one too many."""
        return self.allowance.take(1, self.clock()) if self.allowance is not None else 0.0

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def requests(self) -> int:
        return self._requests

    def activities(self) -> Sequence[Activity]:
        return [one for one in self.org.activities if one.message_id]

    def count(self, kind: str) -> int:
        return sum(record.kind == kind for record in self.org.records)

    def fields(self, record: RecordRef) -> Mapping[str, str]:
        return {name: value for name, value in self.org.records[record].items() if name != "inactive"}

    def title(self, record: RecordRef) -> str:
        fields = self.org.records.get(record)
        found = [one.subject for one in self.org.activities if one.record == record]
        return "" if fields is None else (found or [fields["name"]])[0]

    def strike(self, meter: Meter) -> _Lost | None:
        """What is ordered for this call; a lost answer is given back for later."""
        for at, (kind, wait, skip) in enumerate(self._faults):
            if skip:
                self._faults[at] = (kind, wait, skip - 1)
                continue
            if kind != "revoked":
                del self._faults[at]
            return self._strike(kind, wait, meter)
        self._requests += 1
        meter.report(self._requests, LIMIT)
        return None

    def _strike(self, kind: FaultKind, wait: float | None, meter: Meter) -> _Lost | None:
        if kind == "lost":
            self._requests += 1
            return _Lost()
        if kind == "revoked":
            raise Denied("revoked")
        if kind == "expired":
            return None  # signing in again is nothing here
        if kind in ("throttled", "limit"):
            seconds = wait or 900.0
            meter.throttled("call", seconds)
            raise Busy(kind, retry_after=seconds)
        raise Busy(kind)


def _task_subject(subject: str) -> str:
    return " ".join(subject.split())[:SUBJECT] or "(no subject)"


def _host(website: str) -> str:
    found = urlsplit(website if "//" in website else f"//{website}").hostname or ""
    try:
        return found.encode("idna").decode().removeprefix("www.")
    except UnicodeError:
        return found


def _below(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


def _without_record(entry: Entry, role: str) -> frozenset[str]:
    return frozenset(r.email for r in entry.relations if r.role == role and r.record is None)
