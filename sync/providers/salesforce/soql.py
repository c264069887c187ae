"""SOQL text: quoting, and queries that fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import quote

from simple_salesforce.format import format_soql

T = TypeVar("T")
# URI and headers may have 16,384 bytes (providers.md 5.1, SF-22); the same bound for queries inside a composite keeps
# each of them well below SOQL's own 100,000 characters.
MAX_URI = 14_000


def text(value: str) -> str:
    """A quoted string."""
    return str(format_soql("{}", value))


def within(field: str, values: Sequence[str]) -> str:
    """`field IN (...)`; empty for no values, since Salesforce refuses `IN ()` (providers.md SF-25)."""
    return f"{field} IN ({','.join(text(value) for value in values)})" if values else ""


def like(field: str, before: str, value: str, after: str = "") -> str:
    """`field LIKE` with the wildcards of `value` escaped; `before` and `after` are taken as they are."""
    return f"{field} LIKE '{before}{format_soql('{:like}', value)}{after}'"


def either(conditions: Sequence[str]) -> str:
    """The conditions that are there, joined by OR, in brackets; empty for none."""
    real = [condition for condition in conditions if condition]
    return f"({' OR '.join(real)})" if real else ""


def query(columns: Sequence[str], source: str, where: str = "", *, order: str = "", limit: int = 0) -> str:
    """A query; what is empty is left out."""
    parts = ["SELECT", ", ".join(columns), "FROM", source]
    parts += ["WHERE", where] if where else []
    parts += ["ORDER BY", order] if order else []
    parts += ["LIMIT", str(limit)] if limit else []
    return " ".join(parts)


def select(columns: Sequence[str], source: str, where: str) -> str:
    """A query in the one order that answers of matching have: oldest first."""
    return query(columns, source, where, order="CreatedDate, Id")


def inner(column: str, source: str, where: str) -> str:
    """A sub-query for IN."""
    return f"({query((column,), source, where)})"


def moment(value: datetime) -> str:
    """A date-time literal."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def fit(items: Sequence[T], build: Callable[[Sequence[T]], str], limit: int = MAX_URI) -> list[str]:
    """The queries that `build` makes of the items, split so that each is at most `limit` bytes in an URI; a single item
    is never split. No items, no query."""
    if not items:
        return []
    query = build(items)
    if len(items) == 1 or len(quote(query)) <= limit:
        return [query]
    middle = len(items) // 2
    return fit(items[:middle], build, limit) + fit(items[middle:], build, limit)


def url(root: str, query: str, *, deleted: bool = False) -> str:
    """The address of a query as a sub-request of a composite call has it; with `deleted` of all rows."""
    return f"{root}/{'queryAll' if deleted else 'query'}?q={quote(query, safe='')}"
