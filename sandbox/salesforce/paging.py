"""Pages of query results: opaque cursors, bound to user and query, valid two days (`providers.md` SF-15, SIM-6)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.org import Context, Org
from sandbox.salesforce.query import Result, Runner

PAGE = 2000
SMALLEST, LARGEST = 200, 2000
LIFETIME = 2 * 86400.0
BATCH_SIZE = re.compile(r"batchSize\s*=\s*(\d+)", re.I)
LOCATOR = re.compile(r"(\w{18})-(\d+)")


@dataclass(slots=True)
class _Cursor:
    result: Result
    user: str
    kind: str  # query or queryAll
    until: float
    size: int


class Pages:
    """The open cursors of an org."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self.clear()

    def clear(self) -> None:
        """Forget every cursor."""
        self._cursors: dict[str, _Cursor] = {}

    def first(self, ctx: Context, kind: str, text: str, options: str) -> dict[str, Any]:
        """Run a query and answer its first page."""
        result = Runner(ctx, text, everything=kind == "queryAll").run()
        size = self._size(options)
        if not result.rows or len(result.rows) <= size:
            return {"totalSize": result.size, "done": True, "records": [result.show(row) for row in result.rows]}
        now = self._org.frame.clock.time()
        self._cursors = {k: c for k, c in self._cursors.items() if c.until > now}
        locator = self._org.ids.make("01g")
        self._cursors[locator] = _Cursor(result, ctx.user_id, kind, now + LIFETIME, size)
        return self._page(ctx, self._cursors[locator], locator, 0)

    def more(self, ctx: Context, kind: str, name: str) -> dict[str, Any]:
        """The page behind a nextRecordsUrl; INVALID_QUERY_LOCATOR unless used verbatim, in time, by its user."""
        found = LOCATOR.fullmatch(name)
        cursor = self._cursors.get(found[1]) if found else None
        good = cursor is not None and (cursor.user, cursor.kind) == (ctx.user_id, kind) \
            and cursor.until > self._org.frame.clock.time()  # fmt: skip
        if found is None or cursor is None or not good or int(found[2]) >= len(cursor.result.rows):
            raise ApiError("INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(ctx, cursor, found[1], int(found[2]))

    def _size(self, options: str) -> int:
        found = BATCH_SIZE.search(options)
        size = min(max(int(found[1]), SMALLEST), LARGEST) if found else PAGE
        forced = int(self._org.frame.settings.get("page_size") or 0)
        return min(size, forced) if forced else size

    def _page(self, ctx: Context, cursor: _Cursor, locator: str, start: int) -> dict[str, Any]:
        rows = cursor.result.rows[start : start + cursor.size]
        out: dict[str, Any] = {"totalSize": cursor.result.size, "done": start + len(rows) >= len(cursor.result.rows)}
        if not out["done"]:
            out["nextRecordsUrl"] = f"/services/data/v{ctx.version}/{cursor.kind}/{locator}-{start + len(rows)}"
        out["records"] = [cursor.result.show(row) for row in rows]
        return out
