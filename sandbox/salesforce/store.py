"""Rows in memory, with look-up by value and transactions that really roll back."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

Row = dict[str, Any]
Key = Any  # text in lower case, or the value itself


def key_of(value: Any) -> Key:
    """How a value is compared: text without regard to case."""
    return value.lower() if isinstance(value, str) else value


class Store:
    """Tables of rows by id. A row is never changed in place, so that whoever holds one keeps it.

    All methods want `lock` to be held; `transaction` takes it.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._tables: dict[str, dict[str, Row]] = {}
        self._indexes: dict[str, dict[str, dict[Key, dict[str, None]]]] = {}
        self._journal: list[tuple[str, str, Row | None]] = []
        self._depth = 0

    def table(self, name: str) -> dict[str, Row]:
        """The rows of an object by id, oldest first; do not change it."""
        return self._tables.setdefault(name, {})

    def get(self, name: str, row_id: str) -> Row | None:
        """The row, deleted or not."""
        return self._tables.get(name, {}).get(row_id)

    def put(self, name: str, row: Row) -> None:
        """Insert, or replace the row with the same Id."""
        self._set(name, row["Id"], row)

    def drop(self, name: str, row_id: str) -> None:
        """Remove without a trace (not the recycle bin)."""
        self._set(name, row_id, None)

    def _set(self, name: str, row_id: str, row: Row | None) -> None:
        table = self.table(name)
        old = table.get(row_id)
        self._journal.append((name, row_id, old))
        self._change(name, row_id, old, row)

    def _change(self, name: str, row_id: str, old: Row | None, row: Row | None) -> None:
        for field, index in self._indexes.get(name, {}).items():
            before = key_of(old.get(field)) if old is not None else None
            after = key_of(row.get(field)) if row is not None else None
            if old is not None and (row is None or before != after):
                index[before].pop(row_id, None)
            if row is not None and (old is None or before != after):
                index.setdefault(after, {})[row_id] = None
        if row is None:
            self._tables[name].pop(row_id, None)
        else:
            self._tables[name][row_id] = row

    def lookup(self, name: str, field: str, values: Iterable[Any]) -> list[Row]:
        """Rows whose field has one of the values (text without regard to case)."""
        table = self.table(name)
        if field == "Id":
            return [table[v] for v in dict.fromkeys(values) if v in table]
        indexes = self._indexes.setdefault(name, {})
        if field not in indexes:
            made: dict[Key, dict[str, None]] = {}
            for row_id, row in table.items():
                made.setdefault(key_of(row.get(field)), {})[row_id] = None
            indexes[field] = made
        index = indexes[field]
        keys = dict.fromkeys(key_of(v) for v in values)
        return [table[row_id] for key in keys for row_id in index.get(key, ())]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; may be nested (the inner one rolls back alone)."""
        with self.lock:
            mark = len(self._journal)
            self._depth += 1
            try:
                yield
            except BaseException:
                self._rollback(mark)
                raise
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._journal.clear()

    def _rollback(self, mark: int) -> None:
        while len(self._journal) > mark:
            name, row_id, old = self._journal.pop()
            self._change(name, row_id, self._tables[name].get(row_id), old)
