"""`CrmProvider` for one Salesforce organisation, acting as one user.

A mail costs two calls when nobody is known, one when everybody is; fifty mails at once cost three (providers.md 5.1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import requests

from sync.errors import Busy, RemoteError
from sync.model import Abilities, Directory, Entry, Item, Outcome, Question, RecordRef
from sync.ports import Meter
from sync.providers.salesforce import soql
from sync.providers.salesforce.auth import VENDOR, Login
from sync.providers.salesforce.describe import SHARED, Descriptions
from sync.providers.salesforce.directory import Plan, Query, Row
from sync.providers.salesforce.graph import Fixes, Graph
from sync.providers.salesforce.http import API_VERSION, Client, Fault, error_for, faults
from sync.providers.salesforce.outbox import Outbox
from sync.providers.salesforce.record import build
from sync.providers.salesforce.values import object_of

QUERIES_PER_CALL = 5
MANY_ROWS = 4000  # of contacts: more is a domain with a crowd behind it, and is asked for otherwise
_ID = re.compile(r"[a-zA-Z0-9]{15}([a-zA-Z0-9]{3})?")
OUTDATED = frozenset({"INVALID_FIELD", "INVALID_TYPE"})  # the description that the queries were made from is wrong

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

        def graph(entry: Entry, fixes: Fixes) -> Graph:
            return build(entry, description, fixes)

        return Outbox(self._client, graph, self._refused, before).send(entries)

    def names(self, records: Sequence[RecordRef]) -> Mapping[RecordRef, Item]:
        """Titles and Lightning links; one call for up to five kinds."""
        by_object: dict[str, list[RecordRef]] = {}
        for record in dict.fromkeys(one for one in records if _ID.fullmatch(one.id)):
            by_object.setdefault(object_of(record.kind), []).append(record)
        queries = [query for name, some in sorted(by_object.items()) for query in _title_queries(name, some)]
        instance = self._client.instance_url() if queries else ""
        found: dict[str, Item] = {}
        for query, rows in self._ask(queries, strict=False):
            for row in rows:
                link = f"{instance}/lightning/r/{query.about}/{row['Id']}/view"
                title, below = (_path(row, name) for name in _TITLES.get(query.about, ("Name", "")))
                found[row["Id"][:15]] = Item(RecordRef("", row["Id"]), title or row["Id"], below, link)
        return {
            record: Item(record, item.title, item.subtitle, item.link)
            for record in dict.fromkeys(records)
            if (item := found.get(record.id[:15])) is not None
        }

    # --- asking

    def _match(self, question: Question, *, fresh: bool) -> Directory:
        plan = Plan(question, self._descriptions.of(self._client, fresh=fresh), self._extra)
        rows: dict[str, list[Row]] = {}
        crowds = False
        for query, answer in self._ask(plan.queries(), most={"Contact": MANY_ROWS}):
            crowds |= answer.cut
            rows.setdefault(query.about, []).extend(answer)
        for query, answer in self._ask(plan.people_of_tasks(rows)):
            rows.setdefault(query.about, []).extend(answer)
        if not crowds:
            return plan.answer(rows)
        rows["Contact"] = [row for _, some in self._ask(plan.people_by_address()) for row in some]
        apart = plan.accounts_of_contacts()
        answers = self._ask([query for _, query in apart])
        by_domain: dict[str, list[Row]] = {}
        for (domain, _), (_, some) in zip(apart, answers, strict=True):
            by_domain.setdefault(domain, []).extend(some)
        return plan.answer(rows, by_domain)

    def _ask(
        self, queries: Sequence[Query], most: Mapping[str, int] | None = None, *, strict: bool = True
    ) -> list[tuple[Query, _Answer]]:
        """The rows of every query, all pages; of an object in `most` only when there are not more than that. Unless
        `strict`, an object that the user does not see has none."""
        out = []
        for at in range(0, len(queries), QUERIES_PER_CALL):
            some = queries[at : at + QUERIES_PER_CALL]
            for query, first in zip(some, self._composite(some, strict), strict=True):
                limit = (most or {}).get(query.about)
                too_many = limit is not None and int(first.get("totalSize") or 0) > limit
                out.append((query, _Answer(() if too_many else self._pages(first), cut=too_many)))
        return out

    def _composite(self, queries: Sequence[Query], strict: bool) -> list[Mapping[str, Any]]:
        requests = [
            {"method": "GET", "url": soql.url(self._client.root, query.text), "referenceId": f"q{number}"}
            for number, query in enumerate(queries)
        ]
        body = {"allOrNone": False, "compositeRequest": requests}
        answer = self._client.call("composite", "composite", body)
        parts = {part["referenceId"]: part for part in answer.get("compositeResponse", ())}
        if len(parts) != len(queries):
            raise Busy("an incomplete answer", vendor=VENDOR, operation="composite")
        return [_body(parts[f"q{number}"], query, strict) for number, query in enumerate(queries)]

    def _pages(self, first: Mapping[str, Any]) -> Iterable[Row]:
        page = first
        while True:
            yield from page["records"]
            if page["done"]:
                return
            path = str(page["nextRecordsUrl"]).removeprefix(self._client.root + "/")
            page = self._client.call("query", path, verb="GET")


class _Answer(list[Row]):
    """Rows; `cut` when there were too many to read."""

    def __init__(self, rows: Iterable[Row], *, cut: bool) -> None:
        super().__init__(rows)
        self.cut = cut


def _body(part: Mapping[str, Any], query: Query, strict: bool) -> Mapping[str, Any]:
    status = int(part["httpStatusCode"])
    body = part["body"]
    if status == 200 and isinstance(body, dict):
        return body
    fault = next(iter(faults(body)), Fault(f"HTTP_{status}"))
    if status >= 500:
        raise Busy(fault.code, retry_after=30.0, vendor=VENDOR, operation=f"query {query.about}", status=status)
    if fault.code in OUTDATED and not strict:
        return {"totalSize": 0, "done": True, "records": []}
    raise error_for(fault, f"query {query.about}", status)


def _title_queries(name: str, records: Sequence[RecordRef]) -> list[Query]:
    columns = ("Id", *(column for column in _TITLES.get(name, ("Name", "")) if column))
    ids = sorted(record.id for record in records)

    def text(some: Sequence[str]) -> str:
        return soql.select(columns, name, soql.within("Id", some))

    return [Query(name, text_of) for text_of in soql.fit(ids, text)]


def _path(row: Mapping[str, Any], column: str) -> str:
    value: Any = row
    for name in column.split(".") if column else ():
        value = value.get(name) if isinstance(value, dict) else None
    return str(value) if column and value is not None else ""
