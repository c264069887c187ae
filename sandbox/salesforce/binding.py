"""Names in a query -> fields and how to read them; what Salesforce refuses is refused here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from sandbox.salesforce import dates
from sandbox.salesforce.errors import not_simulated
from sandbox.salesforce.org import Context
from sandbox.salesforce.reading import Getter, getter, name_value
from sandbox.salesforce.schema import Field, SObject
from sandbox.salesforce.soql import Call, FieldPath, Query, refused
from sandbox.salesforce.store import Row
from sandbox.salesforce.values import moment

MAX_PARENTS = 5
HINT = "Please reference your WSDL or the describe call for the appropriate names."
DATE_PARTS: dict[str, Callable[[Any], Any]] = {
    "CALENDAR_YEAR": lambda d: d.year, "CALENDAR_MONTH": lambda d: d.month,
    "CALENDAR_QUARTER": lambda d: (d.month + 2) // 3, "DAY_IN_MONTH": lambda d: d.day,
    "FISCAL_YEAR": lambda d: d.year, "FISCAL_MONTH": lambda d: d.month, "FISCAL_QUARTER": lambda d: (d.month + 2) // 3,
    "DAY_IN_WEEK": lambda d: d.isoweekday() % 7 + 1, "DAY_IN_YEAR": lambda d: d.timetuple().tm_yday,
    "HOUR_IN_DAY": lambda d: d.hour, "WEEK_IN_YEAR": lambda d: (d.timetuple().tm_yday - 1) // 7 + 1,
    "WEEK_IN_MONTH": lambda d: (d.day - 1) // 7 + 1, "DAY_ONLY": lambda d: d.date().isoformat(),
}  # fmt: skip
AGGREGATES = frozenset({"COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX"})
INT = Field("expr", "int", "FGSN", 9)
DATE = Field("expr", "date", "FGSN")


@dataclass(frozen=True, slots=True)
class Step:
    """One parent on a path: `kind` is None for a polymorphic one (Salesforce's Name object)."""

    field: Field
    kind: SObject | None


@dataclass(frozen=True, slots=True)
class Column:
    """A bound path or function: the last field, and how to read it from a row of the query's object."""

    field: Field
    read: Getter
    steps: tuple[Step, ...] = ()
    function: str = ""


class Binder:
    """Names of one query (or subquery) seen from its object."""

    def __init__(self, ctx: Context, query: Query, sobject: SObject, text: str) -> None:
        self.ctx, self.query, self.sobject, self.text = ctx, query, sobject, text
        self._aliases = {query.alias.lower(), sobject.name.lower(), query.sobject.lower()} - {""}

    def column(self, what: FieldPath | Call) -> Column:
        """Bind a path or a function (aggregates excepted)."""
        return self.path(what) if isinstance(what, FieldPath) else self._function(what)

    def path(self, path: FieldPath) -> Column:
        """Bind "Account.Owner.Name"."""
        *names, last = self.names(path)
        if len(names) > MAX_PARENTS:
            raise refused("MALFORMED_QUERY", "too many parent relationships", self.text, path.at)
        here: SObject | None = self.sobject
        steps: list[Step] = []
        for name in names:
            step = here.parents.get(name.lower()) if here else None
            if step is None or not self._reachable(step):
                raise refused("INVALID_FIELD", f"Didn't understand relationship '{name}' in field path. If you are "
                              "attempting to use a custom relationship, be sure to append the '__r' after the custom "
                              f"relationship name. {HINT}", self.text, path.at)  # fmt: skip
            here = None if step.polymorphic else self.ctx.org.schema.objects[step.targets[0]]
            steps.append(Step(step, here))
        last_field = self._last(here, last, path)
        return Column(last_field, self._reader(here, last_field, tuple(steps)), tuple(steps))

    def names(self, path: FieldPath) -> list[str]:
        """The path's names, without the query's own alias."""
        names = path.text.split(".")
        return names[1:] if len(names) > 1 and names[0].lower() in self._aliases \
            and names[0].lower() not in self.sobject.parents else names  # fmt: skip

    def _reachable(self, step: Field) -> bool:
        return step.polymorphic or step.targets[0] in self.ctx.org.schema.objects

    def _last(self, here: SObject | None, name: str, path: FieldPath) -> Field:
        kind = here or self.ctx.org.schema.names_object
        found = kind.find(name)
        if found is None:
            raise refused("INVALID_FIELD", f"No such column '{name}' on entity '{kind.name}'. If you are attempting to "
                          "use a custom field, be sure to append the '__c' after the custom field name. "
                          f"{HINT}", self.text, path.at)  # fmt: skip
        return found

    def _reader(self, here: SObject | None, last: Field, steps: tuple[Step, ...]) -> Getter:
        if not steps:
            return getter(self.ctx, self.sobject, last)
        climb = self.climber(steps)
        if here is not None:
            read = getter(self.ctx, here, last)
            return lambda row: None if (up := climb(row)) is None else read(up[1])
        objects = self.ctx.org.schema.objects
        return lambda row: None if (up := climb(row)) is None else name_value(objects[up[0]], up[1], last.name)

    def climber(self, steps: tuple[Step, ...]) -> Callable[[Row], tuple[str, Row] | None]:
        """From a row of the object to (object, row) of the parent at the end of the steps."""
        ctx, names = self.ctx, [step.field.name for step in steps]

        def climb(row: Row) -> tuple[str, Row] | None:
            found = None
            for name in names:
                found = ctx.org.visible(ctx, row.get(name))
                if found is None:
                    return None
                row = found[1]
            return found

        return climb

    def _function(self, call: Call) -> Column:
        argument = call.arguments[0] if len(call.arguments) == 1 else None
        if call.name == "TOLABEL" and isinstance(argument, FieldPath):  # labels are equal to values here
            inner = self.path(argument)
            return Column(inner.field, inner.read, inner.steps, call.name)
        if call.name == "CONVERTCURRENCY" and isinstance(argument, FieldPath):
            return self._converted(call, argument)
        if call.name in DATE_PARTS and isinstance(argument, (FieldPath, Call)):
            inner = self.path(argument) if isinstance(argument, FieldPath) else self._zoned(argument)
            return self._date_part(call, inner)
        if call.name in AGGREGATES:
            raise refused("MALFORMED_QUERY", "Grouped query or aggregate function not allowed here", self.text, call.at)
        raise not_simulated(f"the SOQL function {call.name}")

    def _converted(self, call: Call, path: FieldPath) -> Column:
        """An amount in the user's currency; only an org with several currencies converts [unverified]."""
        inner, org = self.path(path), self.ctx.org
        if not org.multi_currency or inner.field.type != "currency" or inner.steps:
            raise refused("INVALID_FIELD", f"field '{inner.field.name}' does not support convertCurrency", self.text,
                          call.at)  # fmt: skip
        rate = org.currencies[self.ctx.currency]

        def read(row: Row) -> float | None:
            amount, code = inner.read(row), row.get("CurrencyIsoCode") or self.ctx.currency
            return None if amount is None else round(amount / org.currencies[code] * rate, 2)

        return Column(inner.field, read, inner.steps, call.name)

    def _zoned(self, call: Call) -> Column:
        argument = call.arguments[0] if call.name == "CONVERTTIMEZONE" and len(call.arguments) == 1 else None
        if not isinstance(argument, FieldPath):
            raise refused("MALFORMED_QUERY", f"unexpected token: '{call.name}'", self.text, call.at)
        inner, zone = self.path(argument), dates.zone_of(self.ctx.user.get("TimeZoneSidKey"))

        def read(row: Row) -> str | None:
            value = inner.read(row)
            return None if value is None else moment(value).astimezone(zone).replace(tzinfo=UTC).isoformat()

        return Column(inner.field, read, inner.steps)

    def _date_part(self, call: Call, inner: Column) -> Column:
        if inner.field.type not in ("date", "datetime"):
            raise refused("INVALID_FIELD", f"field '{inner.field.name}' does not support {call.name}", self.text,
                          call.at)  # fmt: skip
        part = DATE_PARTS[call.name]

        def read(row: Row) -> Any:
            value = inner.read(row)
            return None if value is None else part(moment(value if len(value) > 10 else f"{value}T00:00:00Z"))

        return Column(DATE if call.name == "DAY_ONLY" else INT, read, inner.steps, call.name)


def bound_object(ctx: Context, query: Query, text: str) -> SObject:
    """The object that a query is FROM; INVALID_TYPE if the org has none of that name."""
    found = ctx.org.schema.find(query.sobject)
    if found is None or "Q" not in found.operations:
        raise refused("INVALID_TYPE", f"sObject type '{query.sobject}' is not supported. If you are attempting to use "
                      f"a custom object, be sure to append the '__c' after the entity name. {HINT}",
                      text, query.at)  # fmt: skip
    return found
