"""UserRecordAccess: what a user may do with records (`providers.md` 5.2 [unverified], not among the tables)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.salesforce import sharing
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.ids import long_id
from sandbox.salesforce.org import Context
from sandbox.salesforce.sharing import Level
from sandbox.salesforce.soql import Comparison, FieldPath, Item, Logic, Query, refused

NAME = "userrecordaccess"
MOST = 200
FIELDS: dict[str, tuple[str, Callable[[str, Level], Any]]] = {
    "recordid": ("RecordId", lambda record, level: record),
    "hasreadaccess": ("HasReadAccess", lambda record, level: level >= Level.READ),
    "haseditaccess": ("HasEditAccess", lambda record, level: level >= Level.EDIT),
    "hasdeleteaccess": ("HasDeleteAccess", lambda record, level: level >= Level.ALL),
    "hastransferaccess": ("HasTransferAccess", lambda record, level: level >= Level.ALL),
    "hasallaccess": ("HasAllAccess", lambda record, level: level >= Level.ALL),
    "maxaccesslevel": ("MaxAccessLevel", lambda record, level: level.name.title()),
}


def _given(query: Query) -> dict[str, list[str]]:
    """The ids that the WHERE names, by field."""
    where = query.where
    parts = where.parts if isinstance(where, Logic) and where.operator == "and" else (where,)
    given: dict[str, list[str]] = {}
    for part in parts:
        if isinstance(part, Comparison) and part.operator in ("=", "in") and isinstance(part.left, FieldPath) \
                and not isinstance(part.values, Query):  # fmt: skip
            given[part.left.text.lower()] = [str(v.value) for v in part.values]
    return given


def rows(ctx: Context, query: Query, text: str) -> list[dict[str, Any]]:
    """The answer's records; MALFORMED_QUERY unless one user and 1 to 200 records are named."""
    given = _given(query)
    users, records = given.get("userid", []), given.get("recordid", [])
    if len(users) != 1 or not records or len(records) > MOST:
        raise refused("MALFORMED_QUERY", "UserRecordAccess needs a filter on one UserId and on 1 to 200 values of "
                      "RecordId", text, query.at)  # fmt: skip
    user = ctx.org.store.get("User", long_id(users[0]) or "")
    if user is None:
        raise ApiError("INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {users[0]}")
    wanted = []
    for item in query.items:
        what = item.what if isinstance(item, Item) else None
        name = what.text.rpartition(".")[2].lower() if isinstance(what, FieldPath) else ""
        if name not in FIELDS:
            raise refused("INVALID_FIELD", f"No such column '{name}' on entity 'UserRecordAccess'.", text, query.at)
        wanted.append(FIELDS[name])
    other = Context(ctx.org, user, ctx.version)
    out = []
    for record in dict.fromkeys(long_id(r) or "" for r in records):
        found = ctx.org.find(record)
        if found is not None:
            level = sharing.level(other, *found)
            out.append({"attributes": {"type": "UserRecordAccess"}, **{n: show(record, level) for n, show in wanted}})
    return out
