"""`CrmProvider` for one Salesforce organisation, acting as one user.

A mail costs two calls when nobody is known, one when everybody is; fifty mails at once cost three (providers.md 5.1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import requests

from sync.errors import RemoteError
from sync.model import Abilities, Directory, Entry, Item, Outcome, Page, Question, RecordRef, Removal
from sync.modules import Change, Module, ModuleItem, Scope
from sync.options import ModuleRule
from sync.ports import Meter
from sync.providers.salesforce import soql
from sync.providers.salesforce.asking import OUTDATED, Asker, Query, Row
from sync.providers.salesforce.auth import Login
from sync.providers.salesforce.describe import SHARED, Descriptions
from sync.providers.salesforce.directory import Plan
from sync.providers.salesforce.feed import Feed
from sync.providers.salesforce.graph import Fixes, Graph
from sync.providers.salesforce.http import API_VERSION, Client
from sync.providers.salesforce.modules import Shape
from sync.providers.salesforce.outbox import Outbox
from sync.providers.salesforce.reading import Reading
from sync.providers.salesforce.record import build
from sync.providers.salesforce.undo import Undo
from sync.providers.salesforce.values import object_of

T = TypeVar("T")
MANY_ROWS = 4000  # of contacts: more is a domain with a crowd behind it, and is asked for otherwise
_ID = re.compile(r"[a-zA-Z0-9]{15}([a-zA-Z0-9]{3})?")
RECORDS_PER_CALL = 20  # read one by one beside five queries

# object -> its title, and what stands below it
_TITLES: Mapping[str, tuple[str, str]] = {
    "EmailMessage": ("Subject", ""),
    "Task": ("Subject", "Status"),
    "Event": ("Subject", ""),
    "Case": ("CaseNumber", "Subject"),
    "Contract": ("ContractNumber", ""),
    "Contact": ("Name", "Account.Name"),
    "Lead": ("Name", "Company"),
    "User": ("Name", "Title"),
    "Opportunity": ("Name", "StageName"),
}


class Salesforce:
    """See `sync.ports.CrmProvider`. `extra_email_fields` are names of further fields to match addresses by; "auto"
    stands for those that the description shows (product.md C9)."""

    def __init__(
        self,
        login: Login,
        http: requests.Session,
        meter: Meter,
        *,
        version: str = API_VERSION,
        extra_email_fields: Sequence[str] = ("auto",),
        descriptions: Descriptions = SHARED,
    ) -> None:
        self._client = Client(login, http, meter, version=version)
        self._asker = Asker(self._client)
        self._extra = tuple(extra_email_fields)
        self._descriptions = descriptions
        self._refused: set[tuple[str, str]] = set()  # fields that the description promised in vain

    def abilities(self) -> Abilities:
        return self._descriptions.of(self._client).abilities()

    def match(self, question: Question) -> Directory:
        """One call for a normal question; more only when the queries or their answers are too long for one."""
        if not question:
            return Directory()
        try:
            return self._match(question, fresh=False)
        except RemoteError as error:
            if not error.detail.startswith(tuple(OUTDATED)):
                raise
        return self._match(question, fresh=True)

    def file(self, entries: Sequence[Entry], before: Callable[[], None] | None = None) -> Sequence[Outcome]:
        """One call for up to 75 entries of together 500 records and 48 MB; one more round for entries that Salesforce
        refused in a way that can be mended."""
        if not entries:
            return []
        description = self._descriptions.of(self._client)
        kinds = sorted({entry.item.kind for entry in entries if entry.item is not None})
        shapes = self._shapes(kinds)

        def graph(entry: Entry, fixes: Fixes) -> Graph:
            return build(entry, description, fixes, shapes)

        return Outbox(self._client, graph, self._refused, before).send(entries)

    def names(self, records: Sequence[RecordRef]) -> Mapping[RecordRef, Item]:
        """Titles and Lightning links; one call for up to five kinds."""
        by_object: dict[str, list[RecordRef]] = {}
        for record in dict.fromkeys(one for one in records if _ID.fullmatch(one.id)):
            by_object.setdefault(object_of(record.kind), []).append(record)
        queries = [query for name, some in sorted(by_object.items()) for query in _title_queries(name, some)]
        instance = self._client.instance_url() if queries else ""
        found: dict[str, Item] = {}
        for query, rows in self._asker.rows(queries, strict=False):
            for row in rows:
                link = f"{instance}/lightning/r/{query.about}/{row['Id']}/view"
                title, below = (_path(row, name) for name in _TITLES.get(query.about, ("Name", "")))
                found[row["Id"][:15]] = Item(RecordRef("", row["Id"]), title or row["Id"], below, link)
        return {
            record: Item(record, item.title, item.subtitle, item.link)
            for record in dict.fromkeys(records)
            if (item := found.get(record.id[:15])) is not None
        }

    def modules(self, names: Sequence[str]) -> Mapping[str, Module | RemoteError]:
        """One call for twenty kinds, kept for twelve hours; one more for names that are labels."""
        found = self._descriptions.shapes.of(self._client, names) if names else {}
        return {name: one.module if isinstance(one, Shape) else one for name, one in found.items()}

    def items(
        self, records: Sequence[RecordRef], rules: Sequence[ModuleRule], user: str, scope: Scope
    ) -> Mapping[RecordRef, ModuleItem]:
        """One call for five kinds; in scope `visible` for four, in scope `team` for one or two."""
        asked = [one for one in dict.fromkeys(records) if _ID.fullmatch(one.id)]

        def read() -> Mapping[RecordRef, ModuleItem]:
            shapes: dict[str, tuple[ModuleRule, Shape]] = {}
            for name, shape in self._shapes([rule.name for rule in rules], strict=False).items():
                shapes[shape.module.kind] = (next(rule for rule in rules if rule.name == name), shape)
            wanted: dict[Shape, list[RecordRef]] = {}
            for one in asked:
                if one.kind in shapes:
                    wanted.setdefault(shapes[one.kind][1], []).append(one)
            by_kind = {kind: rule for kind, (rule, _) in shapes.items()}
            return self._reading().items(wanted, by_kind, user, scope) if wanted else {}

        return self._current(read) if asked and user else {}

    def active(self, rule: ModuleRule, user: str, scope: Scope, limit: int) -> Sequence[ModuleItem]:
        """One call; in scope `visible` one more for a thousand candidates."""

        def read() -> Sequence[ModuleItem]:
            (shape,) = self._shapes([rule.name]).values()
            return self._reading().active(shape, rule, user, scope, limit)

        return self._current(read) if user and limit > 0 else ()

    def feed(self, cursor: str | None, names: Sequence[str]) -> Page[Change]:
        """One call for five modules and up to a thousand changes of each; modules that are none are left out."""

        def read() -> Page[Change]:
            shapes = {one.module.kind: one for one in self._shapes(names, strict=False).values()}
            return Feed(self._asker).page(cursor, list(shapes.values()))

        return self._current(read)

    def undo(self, removals: Sequence[Removal]) -> Sequence[Outcome]:
        """Two or three calls for each removal, four with files or many records; none for an empty one."""
        description = self._descriptions.of(self._client) if removals else None
        return [
            Undo(self._asker, self._client.root, description, self._shapes(_created_kinds(one), strict=False)).run(one)
            for one in removals
            if description is not None
        ]

    # --- asking

    def _shapes(self, names: Sequence[str], *, strict: bool = True) -> dict[str, Shape]:
        """The modules of these names; raises when one is none, unless not `strict`."""
        out = {}
        for name, found in (self._descriptions.shapes.of(self._client, names) if names else {}).items():
            if isinstance(found, Shape):
                out[name] = found
            elif strict:
                raise found
        return out

    def _current(self, read: Callable[[], T]) -> T:
        """What is read with the modules known; once more with new ones when these have proved wrong."""
        try:
            return read()
        except RemoteError as error:
            if not error.detail.startswith(tuple(OUTDATED)):
                raise
        self._descriptions.shapes.forget()
        return read()

    def _reading(self) -> Reading:
        account = self._descriptions.of(self._client).objects.get("Account")
        teams = account is not None and ("AccountTeamMember", "AccountId") in account.children
        return Reading(self._asker, self._client.instance_url(), account_teams=teams)

    def _match(self, question: Question, *, fresh: bool) -> Directory:
        plan = Plan(question, self._descriptions.of(self._client, fresh=fresh), self._extra)
        rows: dict[str, list[Row]] = {}
        crowds = False
        wanted = {(object_of(one.kind), one.id): one for one in question.items if _ID.fullmatch(one.id)}
        single = sorted(wanted) if len(wanted) <= RECORDS_PER_CALL else []
        answers, there = self._asker.rows_and_records(plan.queries(), single, most={"Contact": MANY_ROWS})
        for query, answer in answers:
            crowds |= answer.cut
            rows.setdefault(query.about, []).extend(answer)
        if not single and wanted:
            there = self._present(wanted)
        items = {one: (object_of(one.kind), one.id) in there for one in question.items}
        for query, answer in self._asker.rows(plan.people_of_tasks(rows)):
            rows.setdefault(query.about, []).extend(answer)
        if not crowds:
            return plan.answer(rows, items=items)
        rows["Contact"] = [row for _, some in self._asker.rows(plan.people_by_address()) for row in some]
        apart = plan.accounts_of_contacts()
        by_domain: dict[str, list[Row]] = {}
        for (domain, _), (_, some) in zip(apart, self._asker.rows([query for _, query in apart]), strict=True):
            by_domain.setdefault(domain, []).extend(some)
        return plan.answer(rows, by_domain, items)

    def _present(self, wanted: Mapping[tuple[str, str], RecordRef]) -> frozenset[tuple[str, str]]:
        """Which of many records are there; a query for each kind."""
        by_object: dict[str, list[str]] = {}
        for name, key in sorted(wanted):
            by_object.setdefault(name, []).append(key)
        queries = [
            Query(name, text) for name, ids in by_object.items() for text in soql.fit(ids, partial(_presence, name))
        ]
        found = {row["Id"][:15] for _, answer in self._asker.rows(queries, strict=False) for row in answer}
        return frozenset(one for one in wanted if one[1][:15] in found)


def _title_queries(name: str, records: Sequence[RecordRef]) -> list[Query]:
    columns = ("Id", *(column for column in _TITLES.get(name, ("Name", "")) if column))
    ids = sorted(record.id for record in records)

    def text(some: Sequence[str]) -> str:
        return soql.select(columns, name, soql.within("Id", some))

    return [Query(name, text_of) for text_of in soql.fit(ids, text)]


def _presence(name: str, ids: Sequence[str]) -> str:
    return soql.query(("Id",), name, soql.within("Id", ids))


def _created_kinds(removal: Removal) -> list[str]:
    """Of those that are items."""
    return sorted({one.kind for one in removal.created} - {"contact", "lead", "account"})


def _path(row: Mapping[str, Any], column: str) -> str:
    value: Any = row
    for name in column.split(".") if column else ():
        value = value.get(name) if isinstance(value, dict) else None
    return str(value) if column and value is not None else ""
