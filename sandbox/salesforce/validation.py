"""An administrator's validation rules: a condition in SOQL's terms, and the text that the user reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.salesforce.binding import Binder
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.filters import Filter, Test
from sandbox.salesforce.soql import Query, parse

if TYPE_CHECKING:
    from sandbox.salesforce.org import Context
    from sandbox.salesforce.schema import SObject
    from sandbox.salesforce.store import Row


@dataclass(frozen=True, slots=True)
class ValidationRule:
    """A row of `sobject` for which `condition` holds is refused with `message`, on `field` or on the page."""

    sobject: str
    condition: str
    message: str
    field: str = ""


def compiled(ctx: Context, rule: ValidationRule) -> Test:
    """The condition as a function of a row; ApiError if it is none."""
    text = f"SELECT Id FROM {rule.sobject} WHERE {rule.condition}"
    query = parse(text)
    binder = Binder(ctx, query, ctx.org.full_schema.objects[rule.sobject], text)
    return Filter(binder, _no_query, binder.column).test(query.where)


def _no_query(query: Query) -> set[str]:
    raise ApiError("MALFORMED_QUERY", "a validation rule cannot hold a query")


def check(ctx: Context, sobject: SObject, row: Row) -> None:
    """FIELD_CUSTOM_VALIDATION_EXCEPTION with the administrator's text if a rule holds (providers.md 5.1)."""
    for rule in ctx.org.validation_rules:
        if rule.sobject == sobject.name and compiled(ctx, rule)(row):
            fields: list[Any] = [rule.field] if rule.field else []
            raise ApiError("FIELD_CUSTOM_VALIDATION_EXCEPTION", rule.message, fields)
