"""What changed in modules, for the whole organisation: one query per module, five in a call (providers.md 5.2).

Stamps are the order, but records may appear minutes after their stamp (SF-13): each look begins five minutes before the
latest stamp that was seen. What was told within that time is remembered as short digests in the cursor, up to a bound;
beyond it a change is told twice. Once the latest stamp is long seen nothing can appear before it any more, and only
later ones are asked for. All times that are compared are Salesforce's, all durations ours: the clocks need not agree.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sync.errors import CursorExpired
from sync.model import Page, RecordRef
from sync.modules import Change
from sync.providers.salesforce import items, soql
from sync.providers.salesforce.asking import QUERIES_PER_CALL, Asker, Query, Row
from sync.providers.salesforce.modules import Shape

OVERLAP = timedelta(minutes=5)
SETTLED_SECONDS = 900.0  # after which nothing appears before the latest stamp any more
ROWS = 1000  # of one module on a page
TOLD = 200  # digests of one module that a cursor holds


@dataclass(frozen=True, slots=True)
class Place:
    """How far one module has been read. `high`: the latest stamp seen, "" while there is none, first seen at `seen` of
    our clock; `page`: (stamp, id) after which the next page begins."""

    high: str
    seen: float
    page: tuple[str, str] | None = None
    told: tuple[str, ...] = ()

    def encoded(self) -> list[Any]:
        return [self.high, self.seen, list(self.page) if self.page else None, list(self.told)]


@dataclass(slots=True)
class Feed:
    """Reads the changes of some modules for one client."""

    asker: Asker
    clock: Callable[[], float] = time.time
    _out: list[Change] = field(default_factory=list)

    def page(self, cursor: str | None, shapes: Sequence[Shape]) -> Page[Change]:
        """The next page. A module that the cursor does not know is as it is now. Raises `CursorExpired` for a cursor
        that is none."""
        places = _decoded(cursor)
        queries = []
        for shape in shapes:
            place = places.get(shape.module.kind)
            text = _newest(shape) if place is None else _changes(shape, place, self._settled(place))
            queries.append(Query(shape.module.name, text, deleted=True))
        answers: list[Sequence[Row]] = []
        for at in range(0, len(queries), QUERIES_PER_CALL):
            answers += [answer for _, answer in self.asker.rows(queries[at : at + QUERIES_PER_CALL])]
        more = False
        for shape, rows in zip(shapes, answers, strict=True):
            kind = shape.module.kind
            before = places.get(kind)
            if before is None:
                places[kind] = self._begin(shape, rows)
                continue
            places[kind], full = self._read(shape, before, rows)
            more |= full
        kinds = {shape.module.kind for shape in shapes}
        kept = {kind: place.encoded() for kind, place in places.items() if kind in kinds}
        return Page(tuple(self._out), json.dumps(kept, separators=(",", ":"), sort_keys=True), more=more)

    def _begin(self, shape: Shape, rows: Sequence[Row]) -> Place:
        """Now; what the first look would find again is told already."""
        if not rows:
            return Place("", self.clock())
        high = str(rows[0]["SystemModstamp"])
        since = items.moment(high) - OVERLAP
        recent = [row for row in rows if items.moment(row["SystemModstamp"]) >= since]
        return Place(high, self.clock(), told=tuple(_digest(row, shape) for row in recent))

    def _settled(self, place: Place) -> bool:
        return self.clock() - place.seen > SETTLED_SECONDS

    def _read(self, shape: Shape, place: Place, rows: Sequence[Row]) -> tuple[Place, bool]:
        told = list(place.told)
        known = set(told)
        for row in rows:
            digest = _digest(row, shape)
            if digest not in known:
                self._out.append(_change(row, shape))
                known.add(digest)
                told.append(digest)
        full = len(rows) == ROWS
        high = max([place.high, *(row["SystemModstamp"] for row in rows)])
        seen = place.seen if high == place.high else self.clock()
        last = (rows[-1]["SystemModstamp"], rows[-1]["Id"]) if full else None
        settled = not rows and self._settled(place)
        return Place(high, seen, last, () if settled else tuple(told[-TOLD:])), full


def _columns(shape: Shape) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*items.columns(shape), "IsDeleted", "SystemModstamp")))


def _newest(shape: Shape) -> str:
    return soql.query(_columns(shape), shape.module.name, order="SystemModstamp DESC, Id", limit=TOLD)


def _changes(shape: Shape, place: Place, settled: bool) -> str:
    where = ""
    if place.page is not None:
        stamp, last = _literal(place.page[0]), soql.text(place.page[1])
        where = f"(SystemModstamp > {stamp} OR (SystemModstamp = {stamp} AND Id > {last}))"
    elif place.high and settled:
        where = f"SystemModstamp > {_literal(place.high)}"
    elif place.high:
        where = f"SystemModstamp >= {soql.moment(items.moment(place.high) - OVERLAP)}"
    return soql.query(_columns(shape), shape.module.name, where, order="SystemModstamp, Id", limit=ROWS)


def _literal(stamp: str) -> str:
    """To the millisecond, as it was told."""
    return items.moment(stamp).strftime("%Y-%m-%dT%H:%M:%S.") + stamp[20:23] + "Z"


def _digest(row: Row, shape: Shape) -> str:
    known = f"{row['Id']}{items.version(row, shape)}{row['IsDeleted']}"
    return hashlib.sha256(known.encode()).hexdigest()[:8]


def _change(row: Row, shape: Shape) -> Change:
    record = RecordRef(shape.module.kind, row["Id"])
    at = items.moment(row["SystemModstamp"]).timestamp()
    if row["IsDeleted"]:
        return Change(record, "", gone=True, at=at)
    return Change(record, items.version(row, shape), row.get("OwnerId") or "", at=at)


def _decoded(cursor: str | None) -> dict[str, Place]:
    if cursor is None:
        return {}
    try:
        found: Mapping[str, Any] = json.loads(cursor)
        return {
            kind: Place(str(high), float(seen), (str(page[0]), str(page[1])) if page else None, tuple(told))
            for kind, (high, seen, page, told) in found.items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise CursorExpired("the cursor is none of ours") from error
