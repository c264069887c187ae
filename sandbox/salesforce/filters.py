"""WHERE and HAVING -> a function of a row (`providers.md SF-25`).

Text compares without regard to case; != and NOT IN are true for an empty field, the other
operators are not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from sandbox.salesforce import dates
from sandbox.salesforce.binding import Binder, Column
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.ids import long_id
from sandbox.salesforce.schema import NUMBERS, Field
from sandbox.salesforce.soql import (
    ESCAPED_PERCENT,
    ESCAPED_UNDERSCORE,
    Call,
    Comparison,
    FieldPath,
    Literal,
    Logic,
    Query,
    refused,
)
from sandbox.salesforce.store import Row, key_of
from sandbox.salesforce.values import moment, stamp

Test = Callable[[Row], bool]
Bind = Callable[[Any], Column]
SubSelect = Callable[[Query], set[str]]
WANTED = {"boolean": ("boolean",), "date": ("date", "date word"), "datetime": ("datetime", "date word")}
TYPE_NAMES = {"datetime": "dateTime", "textarea": "string", "reference": "ID", "id": "ID"}
LIKE_TYPES = frozenset({"string", "email", "phone", "url", "picklist", "combobox", "textarea", "multipicklist"})
ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip


class Filter:
    """Compiles the conditions of one query."""

    def __init__(self, binder: Binder, sub_select: SubSelect, bind: Bind | None = None) -> None:
        self._binder, self._sub_select = binder, sub_select
        self._bind = bind or self._filterable
        self._text = binder.text

    def test(self, condition: Any, under_or: bool = False) -> Test:
        """The condition as a function of a row."""
        if isinstance(condition, Comparison):
            return self._comparison(condition, under_or)
        assert isinstance(condition, Logic)
        parts = [self.test(p, under_or or condition.operator == "or") for p in condition.parts]
        if condition.operator == "and":
            return lambda row: all(part(row) for part in parts)
        if condition.operator == "or":
            return lambda row: any(part(row) for part in parts)
        return lambda row: not parts[0](row)

    def _filterable(self, what: FieldPath | Call) -> Column:
        column = self._binder.column(what)
        if not column.field.may("F"):
            raise refused("INVALID_FIELD", f"field '{column.field.name}' can not be filtered in a query call",
                          self._text, what.at)  # fmt: skip
        return column

    def _comparison(self, c: Comparison, under_or: bool) -> Test:
        column = self._bind(c.left)
        if isinstance(c.values, Query):
            return self._semi_join(c, column, c.values, under_or)
        if c.operator in ("includes", "excludes"):
            return self._includes(c, column)
        if c.operator == "like":
            return self._like(c, column)
        words = [v for v in c.values if v.kind == "date word"]
        if words:
            return self._date_word(c, column, words)
        values = [self.value(column.field, v) for v in c.values]
        return compare(c.operator, column, values, lambda: self._operator_error(c, column.field))

    def _operator_error(self, c: Comparison, field: Field) -> ApiError:
        return refused("INVALID_FIELD", f"invalid operator on {TYPE_NAMES.get(field.type, field.type).lower()} field",
                       self._text, c.left.at)  # fmt: skip

    def value(self, field: Field, literal: Literal) -> Any:
        """The literal in the field's stored form."""
        if literal.kind == "null":
            return None
        wanted = ("number", "currency") if field.type in NUMBERS else WANTED.get(field.type, ("string",))
        if literal.kind not in wanted:
            shown = TYPE_NAMES.get(field.type, field.type)
            quotes = "should be enclosed in quotes" if wanted == ("string",) else "should not be enclosed in quotes"
            shown = "string" if wanted == ("string",) else shown
            raise refused("INVALID_FIELD", f"value of filter criterion for field '{field.name}' must be of type "
                          f"{shown} and {quotes}", self._text, literal.at)  # fmt: skip
        if field.type in ("id", "reference"):
            return self._id(field, literal)
        if field.type == "datetime":
            return stamp(moment(literal.value), milliseconds=True)
        if literal.kind == "string":
            return plain(literal.value) or None
        return literal.value

    def _id(self, field: Field, literal: Literal) -> str | None:
        full = long_id(literal.value) if literal.value else None
        if full is None and literal.value:
            raise refused("INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {literal.value}", self._text, literal.at)
        return full

    def _like(self, c: Comparison, column: Column) -> Test:
        assert isinstance(c.values, tuple)
        literal = c.values[0]
        if column.field.type not in LIKE_TYPES:
            raise self._operator_error(c, column.field)
        if literal.kind != "string":
            raise refused("INVALID_FIELD", f"value of filter criterion for field '{column.field.name}' must be of type "
                          "string and should be enclosed in quotes", self._text, literal.at)  # fmt: skip
        pattern = re.compile(like_pattern(literal.value), re.I | re.S)
        read = column.read
        return lambda row: pattern.fullmatch(read(row) or "") is not None and read(row) is not None

    def _includes(self, c: Comparison, column: Column) -> Test:
        if column.field.type != "multipicklist":
            raise self._operator_error(c, column.field)
        assert isinstance(c.values, tuple)
        groups = [{p.strip().lower() for p in plain(v.value).split(";")} for v in c.values]
        wanted, read = c.operator == "includes", column.read

        def test(row: Row) -> bool:
            has = {p.strip().lower() for p in (read(row) or "").split(";")}
            return any(group <= has for group in groups) is wanted

        return test

    def _date_word(self, c: Comparison, column: Column, words: list[Literal]) -> Test:
        if column.field.type not in ("date", "datetime"):
            self.value(column.field, words[0])  # raises
        if c.operator not in ("=", "!=", "<", "<=", ">", ">="):
            raise self._operator_error(c, column.field)
        org, zone = self._binder.ctx.org, dates.zone_of(self._binder.ctx.user.get("TimeZoneSidKey"))
        start, end = dates.bounds(words[0].value, org.frame.clock.now(), zone, column.field.type == "datetime")
        read = column.read
        tests: dict[str, Callable[[str], bool]] = {
            "=": lambda v: start <= v < end, "!=": lambda v: not start <= v < end, "<": lambda v: v < start,
            "<=": lambda v: v < end, ">": lambda v: v >= end, ">=": lambda v: v >= start,
        }  # fmt: skip
        test, empty = tests[c.operator], c.operator == "!="
        return lambda row: empty if (value := read(row)) is None else test(value)

    def _semi_join(self, c: Comparison, column: Column, query: Query, under_or: bool) -> Test:
        if under_or:
            raise refused("MALFORMED_QUERY", "Semi join sub-selects are not allowed with the 'OR' operator", self._text,
                          c.left.at)  # fmt: skip
        if column.field.type not in ("id", "reference") or c.operator not in ("in", "not in"):
            raise self._operator_error(c, column.field)
        ids, read, wanted = self._sub_select(query), column.read, c.operator == "in"
        if wanted:
            return lambda row: read(row) in ids
        return lambda row: read(row) not in ids


def compare(operator: str, column: Column, values: Iterable[Any], refuse: Callable[[], ApiError]) -> Test:
    """= != < <= > >= in, not in over stored values."""
    keys, read = [key_of(v) for v in values], column.read
    if operator in ("=", "in", "!=", "not in"):
        members, wanted = frozenset(keys), operator in ("=", "in")
        if column.field.type == "junctionidlist":
            raise refuse()
        return lambda row: (key_of(read(row)) in members) is wanted
    if column.field.type in ("boolean", "id", "reference") or keys[0] is None:
        raise refuse()
    test, limit = ORDERED[operator], keys[0]
    return lambda row: (value := read(row)) is not None and test(key_of(value), limit)


def plain(text: str) -> str:
    """A string literal outside of LIKE."""
    return text.replace(ESCAPED_PERCENT, "%").replace(ESCAPED_UNDERSCORE, "_")


def like_pattern(text: str) -> str:
    """LIKE's wildcards as a regular expression."""
    special = {"%": ".*", "_": ".", ESCAPED_PERCENT: "%", ESCAPED_UNDERSCORE: "_"}
    return "".join(special.get(c) or re.escape(c) for c in text)


def indexed(condition: Any, binder: Binder, literal: Callable[[Field, Literal], Any]) -> tuple[str, list[Any]] | None:
    """(field, values) that every row of the result has, if the condition says so; Id first."""
    parts = condition.parts if isinstance(condition, Logic) and condition.operator == "and" else (condition,)
    best = None
    for part in parts:
        if not isinstance(part, Comparison) or part.operator not in ("=", "in") or isinstance(part.values, Query):
            continue
        if not isinstance(part.left, FieldPath) or len(binder.names(part.left)) > 1:
            continue
        field = binder.path(part.left).field
        if field.type in ("id", "reference", "string", "email"):
            found = (field.name, [literal(field, v) for v in part.values])
            best = found if best is None or field.name == "Id" else best
    return best
