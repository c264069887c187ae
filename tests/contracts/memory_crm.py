"""A CRM in memory: the reference of `CrmProvider`, as plain as the contract allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from sync.errors import Busy, Conflict, Denied, Rejected, RemoteError
from sync.model import (
    Abilities,
    Account,
    Directory,
    Entry,
    Filed,
    Item,
    NewItem,
    NewRecord,
    Outcome,
    Page,
    Person,
    Question,
    RecordRef,
    Relation,
    Removal,
)
from sync.modules import Activity as Line
from sync.modules import Change, Module, ModuleItem, Scope
from sync.options import ModuleRule
from sync.ports import Meter
from tests.contracts import memory_items, memory_undo
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
class Org:
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
    rules: dict[str, str] = field(default_factory=dict)  # kind -> what a rule says that refuses every new one
    private: bool = False
    shares: set[tuple[RecordRef, str]] = field(default_factory=set)  # (record, user id)
    teams: set[tuple[RecordRef, str]] = field(default_factory=set)
    fixed: set[RecordRef] = field(default_factory=set)  # activities that cannot be changed
    stamps: dict[RecordRef, tuple[int, float]] = field(default_factory=dict)  # number and time of the last change
    born: dict[RecordRef, int] = field(default_factory=dict)  # number of the creation
    log: list[RecordRef] = field(default_factory=list)  # every change
    clock: Callable[[], float] = lambda: 0.0

    def copy(self) -> Org:
        """As it is now; what is written later to the records and activities of either does not show in the other."""
        records = {record: dict(fields) for record, fields in self.records.items()}
        stamps, born, log = dict(self.stamps), dict(self.born), list(self.log)
        return replace(self, records=records, activities=list(self.activities), stamps=stamps, born=born, log=log)

    def make(self, kind: str, **values: str) -> RecordRef:
        record = RecordRef(kind, f"{kind}-{next(self.numbers):06}")
        self.records[record] = {name: value for name, value in values.items() if value}
        self.stamp(record)
        self.born[record] = self.stamps[record][0]
        return record

    def stamp(self, record: RecordRef) -> None:
        """It was changed."""
        self.log.append(record)
        self.stamps[record] = (len(self.log), self.clock())

    def drop(self, record: RecordRef) -> None:
        """It is deleted."""
        if self.records.pop(record, None) is not None:
            self.log.append(record)


class MemoryCrm:
    """The provider."""

    def __init__(self, world: MemoryCrmWorld, meter: Meter, extra: Sequence[str]) -> None:
        self._world = world
        self.meter = meter
        self._extra = extra
        self._known: tuple[float, Abilities] | None = None
        self._modules: dict[str, Module | None] = {}

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
                self._beside(question),
                {one: one in self._world.org.records for one in question.items},
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

    def modules(self, names: Sequence[str]) -> Mapping[str, Module | RemoteError]:
        asked = {name.casefold() for name in names} - self._modules.keys()
        if asked:
            with self._call("describe"):
                self._modules |= {name: memory_items.module(name) for name in asked}
        found = {name: self._modules[name.casefold()] for name in names}
        return {name: one or Rejected(f"{name}: no such module") for name, one in found.items()}

    def items(
        self, records: Sequence[RecordRef], rules: Sequence[ModuleRule], user: str, scope: Scope
    ) -> Mapping[RecordRef, ModuleItem]:
        by_kind = {one.kind: rule for rule in rules if (one := memory_items.module(rule.name))}
        wanted = [one for one in dict.fromkeys(records) if one.kind in by_kind]
        if not wanted:
            return {}
        with self._call("items"):
            mine = [one for one in wanted if self._in_scope(one, user, scope)]
            return {one: self._item(one, by_kind[one.kind], whole=True) for one in mine}

    def active(self, rule: ModuleRule, user: str, scope: Scope, limit: int) -> Sequence[ModuleItem]:
        kind = memory_items.module(rule.name)
        if kind is None:
            raise Rejected(f"{rule.name}: no such module")
        with self._call("active"):
            mine = [record for record, _ in self._all(kind.kind) if self._in_scope(record, user, scope)]
            found = [self._item(record, rule, whole=False) for record in mine]
            found.sort(key=lambda one: (-one.changed.timestamp(), one.record.id))
            return [one for one in found if not one.closed][:limit]

    def feed(self, cursor: str | None, names: Sequence[str]) -> Page[Change]:
        org = self._world.org
        with self._call("feed"):
            kinds = {one.kind for name in names if (one := memory_items.module(name))}
            news = org.log[int(cursor) :] if cursor is not None else []
            changed = [self._change(one) for one in dict.fromkeys(news) if one.kind in kinds]
            return Page(tuple(changed), str(len(org.log)))

    def undo(self, removals: Sequence[Removal]) -> Sequence[Outcome]:
        if not removals:
            return []
        with self._call("undo", write=True):
            return [memory_undo.undo(self._world.org, one) for one in removals]

    # --- items

    def _in_scope(self, record: RecordRef, user: str, scope: Scope) -> bool:
        org = self._world.org
        fields = org.records.get(record)
        if fields is None:
            return False
        if fields.get("owner") == user or (scope != "owned" and (record, user) in org.teams):
            return True
        return scope == "visible" and (not org.private or (record, user) in org.shares)

    def _item(self, record: RecordRef, rule: ModuleRule, *, whole: bool) -> ModuleItem:
        org = self._world.org
        names = {one.id: fields.get("name", "") for one, fields in org.records.items()}
        lines = [
            Line(
                datetime.fromtimestamp(org.stamps[one.record][1], UTC),
                one.record.kind,
                one.subject,
                next((names[person.id] for person in sorted(one.people, key=lambda p: p.id) if person.id in names), ""),
            )
            for one in sorted(org.activities, key=lambda one: org.stamps[one.record][0], reverse=True)
            if record in one.items
        ]
        history = tuple(lines[:5])
        item = memory_items.read(record, org.records[record], names, rule, org.stamps[record], history)
        return item if whole else replace(item, activities=())

    def _change(self, record: RecordRef) -> Change:
        org = self._world.org
        number, at = org.stamps[record]
        if record not in org.records:
            return Change(record, "", gone=True, at=at)
        return Change(record, memory_items.version((number, at)), org.records[record].get("owner", ""), at=at)

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
            known = out.get(key) or Filed(activity.record, item=next(iter(activity.items), None))
            owner = {activity.owner} if activity.owner else set()
            out[key] = replace(known, people=known.people | activity.people | activity.items | owner)
        return out

    def _beside(self, question: Question) -> dict[tuple[str, RecordRef], Filed]:
        out: dict[tuple[str, RecordRef], Filed] = {}
        filed = self._filed(question)
        for activity in self._world.org.activities:
            main = filed.get(activity.message_id)
            item = next(iter(activity.items), None)
            if activity.record.kind != "task" or item is None or (main and main.record == activity.record):
                continue
            for one in question.sent:
                wanted = one.beside if one.message_id == activity.message_id else None
                if wanted is not None and item.kind == wanted.kind and wanted.id in ("", item.id):
                    found = Filed(activity.record, activity.people | activity.items, item=item)
                    out.setdefault((one.message_id, wanted), found)
        return out

    # --- filing

    def _changes(self, entry: Entry) -> bool:
        known = entry.existing.people if entry.existing else frozenset()
        if entry.existing is None or entry.create or entry.item is not None:
            return True
        items = [target for target in entry.targets if target.kind not in PEOPLE]
        if any(target != entry.existing.item for target in items):
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
        if entry.item is not None:
            made[entry.item.ref] = self._new_item(entry.item, made)
        if len(entry.text) > TEXT:
            notes.append("text cut")
        relations = [replace(r, record=self._real(r.record, made)) for r in entry.relations]
        targets = [made.get(target.id, target) for target in entry.targets if target.kind not in PEOPLE]
        for target in targets:
            self._touch(target)
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

    def _new_item(self, new: NewItem, made: Mapping[str, RecordRef]) -> RecordRef:
        org, kind = self._world.org, memory_items.MODULES[new.kind]
        if new.kind in org.demands:
            raise Rejected("a field is required: Region", reason="required_field")
        if new.kind in org.rules:
            raise Rejected(org.rules[new.kind], reason="validation_rule")
        values: dict[str, Any] = dict(new.fields)
        for name, record in (
            (kind.account, self._real(new.account, made)),
            (kind.contact, self._real(new.contact, made)),
        ):
            if name and record is not None and name not in values:
                values[name] = self._touch(record).id
        lacking = [spec.label for spec in kind.fields.values() if spec.required and not values.get(spec.name)]
        if lacking:
            raise Rejected(f"required fields: {', '.join(lacking)}", reason="required_field")
        return org.make(new.kind, **_item_values(new.kind, values, org), owner=new.owner)

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
        if entry.existing is None and not contacts and (entry.targets or not groups):
            groups = [[], *groups]
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
        org, activities = self._world.org, self._world.org.activities
        place = next(at for at, one in enumerate(activities) if one.record == entry.existing.record)
        old = activities[place]
        out = {"activity": old.record} | {
            f"added.{number}": record
            for number, record in enumerate(dict.fromkeys(record for _, record in sorted(related, key=str)), 1)
        }
        items = old.items
        if entry.targets and old.items != set(entry.targets[:1]):
            of_lead = old.record.kind == "task" and {one.kind for one in old.people} == {"lead"}
            if old.items and entry.moved_from not in old.items:
                notes.append("the target left out")
            elif old.record in org.fixed or of_lead:
                notes.append("the mail's record may not be changed: a task beside it is related to the item")
                task = Activity(
                    org.make("task"),
                    _task_subject(entry.subject),
                    frozenset(("who", r.record) for r in entry.relations if r.record and r.record.kind == "contact"),
                    items=frozenset(entry.targets[:1]),
                    text=entry.text,
                    closed=entry.completed,
                    owner=RecordRef("user", entry.owner),
                    message_id=entry.message_id,
                )
                activities.append(task)
                out["activity.101"] = task.record
            else:
                items = frozenset(entry.targets[:1])
        activities[place] = replace(old, related=old.related | related, items=items)
        return out

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
        self.meter.spend(method, 1)
        over = self._world.over()
        if over:
            self.meter.throttled(method, over)
            raise Busy("limit", retry_after=over)
        fault = self._world.strike(self.meter)
        yield
        if fault is not None:
            raise Busy("no answer", unknown=write) from fault


class MemoryCrmWorld:
    """The surroundings."""

    name = "memory"

    def __init__(self) -> None:
        self.org = Org(clock=lambda: self.clock())
        self.now = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
        self.allowance: Allowance | None = None
        self.clock: Callable[[], float] = lambda: self.now  # of the allowance and of changes
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
        return self.item("opportunity", name, owner=self.ben)

    def item(self, kind: str, title: str, *, owner: RecordRef | None = None, **values: Any) -> RecordRef:
        given = {"status": "Prospecting", "due": "2027-01-31"} if kind == "opportunity" else {}
        made = _item_values(kind, {"name": title, **given, **values}, self.org)
        return self.org.make(kind, **made, owner=(owner or self.anna).id)

    def edit(self, record: RecordRef, *, by: RecordRef | None = None, **values: Any) -> None:
        if values.pop("closed", False):
            values["status"] = {"opportunity": "Closed Won", "case": "Closed"}.get(record.kind, "Finished")
        if "title" in values:
            values["name"] = values.pop("title")
        self.org.records[record] |= {name: _plain(value) for name, value in values.items()}
        self.org.stamp(record)

    def delete(self, record: RecordRef) -> None:
        self.org.drop(record)
        self.org.activities[:] = [replace(one, items=one.items - {record}) for one in self.org.activities]

    def private(self) -> None:
        self.org.private = True

    def share(self, record: RecordRef, user: RecordRef) -> None:
        self.org.shares.add((record, user.id))

    def team(self, record: RecordRef, user: RecordRef) -> None:
        self.org.teams.add((record, user.id))

    def rule(self, kind: str, message: str) -> None:
        self.org.rules[kind] = message

    def foreign_mail(self, message_id: str, subject: str) -> RecordRef:
        record = self.org.make("email")
        self.org.activities.append(Activity(record, subject, frozenset(), message_id=message_id))
        self.org.fixed.add(record)
        return record

    def log(self, subject: str, about: RecordRef) -> RecordRef:
        record = self.org.make("task")
        related = frozenset({("who", about)} if about.kind in PEOPLE else ())
        items = frozenset({about} if about.kind not in PEOPLE else ())
        self.org.activities.append(Activity(record, subject, related, items=items, owner=self.ben))
        return record

    def snapshot(self) -> Any:
        return {record: dict(fields) for record, fields in self.org.records.items()}, tuple(
            sorted(self.org.activities, key=lambda one: one.record.id)
        )

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


def _item_values(kind: str, values: Mapping[str, Any], org: Org) -> dict[str, str]:
    """As they are kept, with what the CRM fills in."""
    out = {name: _plain(value) for name, value in values.items() if value not in ("", None)}
    if kind == "case":
        out |= {"number": f"{next(org.numbers):08}", "status": out.get("status", "New")}
    return out


def _plain(value: Any) -> str:
    if isinstance(value, RecordRef):
        return value.id
    return str(value).lower() if isinstance(value, bool) else str(value)


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
