"""COUNT, SUM, MIN ... and GROUP BY."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.salesforce.binding import AGGREGATES, Binder, Column
from sandbox.salesforce.filters import Filter, SubSelect
from sandbox.salesforce.schema import NUMBERS, Field
from sandbox.salesforce.soql import Call, FieldPath, Item, Order, Query, refused
from sandbox.salesforce.store import Row, key_of

Rows = list[Row]
NUMBER = Field("expr", "double", "FGSN", 18)
TEXT_LESS = frozenset({"COUNT", "COUNT_DISTINCT"})
FUNCTIONS: dict[str, Callable[[list[Any]], Any]] = {
    "COUNT": len, "COUNT_DISTINCT": lambda v: len({key_of(x) for x in v}),
    "SUM": lambda v: sum(v) if v else None, "AVG": lambda v: sum(v) / len(v) if v else None,
    "MIN": lambda v: min(v, key=key_of) if v else None, "MAX": lambda v: max(v, key=key_of) if v else None,
}  # fmt: skip


def is_aggregate(item: Any) -> bool:
    """Whether a selected item is COUNT(...) or its like."""
    return isinstance(item, Item) and isinstance(item.what, Call) and item.what.name in AGGREGATES


def _signature(what: FieldPath | Call) -> str:
    if isinstance(what, FieldPath):
        return what.text.lower()
    return f"{what.name}({','.join(_signature(a) for a in what.arguments)})"


def aggregate_rows(query: Query, binder: Binder, rows: Rows, sub_select: SubSelect) -> list[dict[str, Any]]:
    """The AggregateResult records of a grouped query, ordered."""
    return _Grouping(query, binder, sub_select).records(rows)


class _Grouping:
    def __init__(self, query: Query, binder: Binder, sub_select: SubSelect) -> None:
        self._query, self._binder, self._sub_select = query, binder, sub_select
        self._keys = {_signature(g): self._groupable(g) for g in query.group}
        self._aliases: dict[str, FieldPath | Call] = {}

    def _groupable(self, what: FieldPath | Call) -> Column:
        column = self._binder.column(what)
        if not column.field.may("G"):
            raise refused("MALFORMED_QUERY", f"field '{column.field.name}' can not be grouped in a query call",
                          self._binder.text, what.at)  # fmt: skip
        return column

    def records(self, rows: Rows) -> list[dict[str, Any]]:
        named = [(self._alias(item, at), self._value(item.what)) for at, item in self._items()]
        groups: dict[tuple[Any, ...], Rows] = {} if self._query.group else {(): rows}
        for row in rows if self._query.group else ():
            groups.setdefault(tuple(key_of(c.read(row)) for c in self._keys.values()), []).append(row)
        held = [{"rows": group} for group in groups.values()]
        if self._query.having is not None:
            test = Filter(self._binder, self._sub_select, self._column).test(self._query.having)
            held = [group for group in held if test(group)]
        for order in reversed(self._query.order):
            held = self._sorted(held, order)
        return [{"attributes": {"type": "AggregateResult"}, **{name: show(g["rows"]) for name, show in named}}
                for g in held]  # fmt: skip

    def _items(self) -> list[tuple[int, Item]]:
        out, unnamed = [], 0
        for item in self._query.items:
            if not isinstance(item, Item):
                raise refused("MALFORMED_QUERY", "Grouped query or aggregate function cannot select a subquery",
                              self._binder.text, self._query.at)  # fmt: skip
            out.append((unnamed, item))
            unnamed += isinstance(item.what, Call) and not item.alias
        return out

    def _alias(self, item: Item, number: int) -> str:
        name = item.alias or (f"expr{number}" if isinstance(item.what, Call)
                              else self._binder.column(item.what).field.name)  # fmt: skip
        self._aliases[name.lower()] = item.what
        return name

    def _value(self, what: FieldPath | Call) -> Callable[[Rows], Any]:
        if _signature(what) in self._keys:
            column = self._keys[_signature(what)]
            return lambda rows: column.read(rows[0])
        if not isinstance(what, Call) or what.name not in AGGREGATES:
            name = what.text if isinstance(what, FieldPath) else what.name
            raise refused("MALFORMED_QUERY", f"Field must be grouped or aggregated: {name}", self._binder.text, what.at)
        function = FUNCTIONS[what.name]
        if not what.arguments:
            return len
        inner = self._binder.column(what.arguments[0])
        if what.name in ("SUM", "AVG") and inner.field.type not in NUMBERS:
            raise refused("MALFORMED_QUERY", f"field {inner.field.name} does not support aggregate operator "
                          f"{what.name}", self._binder.text, what.at)  # fmt: skip
        return lambda rows: function([v for row in rows if (v := inner.read(row)) is not None])

    def _column(self, what: FieldPath | Call) -> Column:
        """A column over groups, for HAVING and ORDER BY."""
        if isinstance(what, FieldPath):
            what = self._aliases.get(what.text.lower(), what)
        value = self._value(what)
        known = self._keys.get(_signature(what))
        field = known.field if known else NUMBER
        if known is None and isinstance(what, Call) and what.name not in TEXT_LESS and what.arguments:
            field = self._binder.column(what.arguments[0]).field
        return Column(field, lambda group: value(group["rows"]))

    def _sorted(self, held: list[dict[str, Rows]], order: Order) -> list[dict[str, Rows]]:
        column = self._column(order.what)
        full = [g for g in held if column.read(g) is not None]
        empty = [g for g in held if column.read(g) is None]
        full.sort(key=lambda g: key_of(column.read(g)), reverse=order.descending)
        return full + empty if order.nulls_last else empty + full
