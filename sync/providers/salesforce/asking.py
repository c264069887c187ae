"""Asking: queries five at a time in composite calls, all pages of each answer (providers.md 5.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sync.errors import Busy
from sync.providers.salesforce import soql
from sync.providers.salesforce.auth import VENDOR
from sync.providers.salesforce.http import Client, Fault, error_for, faults

Row = Mapping[str, Any]
QUERIES_PER_CALL = 5
PARTS_PER_CALL = 25
OUTDATED = frozenset({"INVALID_FIELD", "INVALID_TYPE"})  # the description that the queries were made from is wrong


@dataclass(frozen=True, slots=True)
class Query:
    """`about` is the object whose rows it gives; `deleted` asks for what lies in the recycle bin too."""

    about: str
    text: str
    deleted: bool = False


class Answer(list[Row]):
    """Rows; `cut` when there were too many to read."""

    def __init__(self, rows: Iterable[Row], *, cut: bool = False) -> None:
        super().__init__(rows)
        self.cut = cut


class Asker:
    """Questions to one client's organisation. Raises like `Client.call`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def rows(
        self, queries: Sequence[Query], most: Mapping[str, int] | None = None, *, strict: bool = True
    ) -> list[tuple[Query, Answer]]:
        """The rows of every query, all pages; of an object in `most` only when there are not more than that. Unless
        `strict`, an object that the user does not see has none."""
        return self.rows_and_records(queries, (), most, strict=strict)[0]

    def rows_and_records(
        self,
        queries: Sequence[Query],
        records: Sequence[tuple[str, str]],
        most: Mapping[str, int] | None = None,
        *,
        strict: bool = True,
    ) -> tuple[list[tuple[Query, Answer]], frozenset[tuple[str, str]]]:
        """The same, and which of the records (object, id) are there: asked in the first call, so at most 20."""
        out: list[tuple[Query, Answer]] = []
        there: frozenset[tuple[str, str]] = frozenset()
        for at in range(0, len(queries) or len(records[:1]), QUERIES_PER_CALL):
            some = queries[at : at + QUERIES_PER_CALL]
            urls = [soql.url(self._client.root, query.text, deleted=query.deleted) for query in some]
            urls += [f"{self._client.root}/sobjects/{name}/{key}?fields=Id" for name, key in records if at == 0]
            parts = self.parts([{"method": "GET", "url": url} for url in urls])
            for query, part in zip(some, parts, strict=False):
                first = _body(part, query, strict)
                limit = (most or {}).get(query.about)
                too_many = limit is not None and int(first.get("totalSize") or 0) > limit
                out.append((query, Answer(() if too_many else self.pages(first), cut=too_many)))
            if at == 0:
                there = _there(records, parts[len(some) :])
        return out, there

    def first(self, queries: Sequence[Query], *, strict: bool = True) -> list[Iterator[Row]]:
        """The rows of at most five queries, page after page as they are wanted."""
        urls = [soql.url(self._client.root, query.text, deleted=query.deleted) for query in queries]
        parts = self.parts([{"method": "GET", "url": url} for url in urls]) if urls else []
        firsts = [_body(part, query, strict) for query, part in zip(queries, parts, strict=True)]
        return [iter(self.pages(one)) for one in firsts]

    def parts(
        self, requests: Sequence[Mapping[str, Any]], *, operation: str = "composite", write: bool = False
    ) -> list[Mapping[str, Any]]:
        """The answers of one composite call, in order; each request succeeds or fails for itself."""
        named = [{**request, "referenceId": f"q{number}"} for number, request in enumerate(requests)]
        answer = self._client.call(operation, "composite", {"allOrNone": False, "compositeRequest": named}, write=write)
        found = {part["referenceId"]: part for part in answer.get("compositeResponse", ())}
        if len(found) != len(named):
            raise Busy("an incomplete answer", unknown=write, vendor=VENDOR, operation=operation)
        return [found[request["referenceId"]] for request in named]

    def pages(self, first: Mapping[str, Any]) -> Iterator[Row]:
        page = first
        while True:
            yield from page["records"]
            if page["done"]:
                return
            path = str(page["nextRecordsUrl"]).removeprefix(self._client.root + "/")
            page = self._client.call("query", path, verb="GET")


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


def _there(records: Sequence[tuple[str, str]], parts: Sequence[Mapping[str, Any]]) -> frozenset[tuple[str, str]]:
    out = set()
    for record, part in zip(records, parts, strict=True):
        status = int(part["httpStatusCode"])
        if status >= 500:
            raise Busy(f"HTTP_{status}", retry_after=30.0, vendor=VENDOR, operation="read", status=status)
        if status == 200:
            out.add(record)
    return frozenset(out)


def within_subquery(row: Row, relationship: str) -> list[Row]:
    """The rows of a sub-query."""
    return list((row.get(relationship) or {}).get("records") or ())
