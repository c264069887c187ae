"""Many records at once for tests of scale: 500 open opportunities for each of 50 users in a second or two."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sandbox.salesforce import changes
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.org import Context, Org
from sandbox.salesforce.store import Row
from sandbox.salesforce.values import convert

Json = dict[str, Any]
NAMES = {"Opportunity": "Name", "Case": "Subject"}  # elsewhere: the name field
MOST = 200_000


def generate(org: Org, order: Json) -> list[str]:
    """Create `count` records of `object` for each of `owners` (user names; all active users unless given); their ids.

    `fields` are put into each; {n} (1, 2, ... within an owner), {i} (over all) and {owner} in a text are replaced.
    Opportunities get a stage, a close date a quarter ahead and an amount, opportunities and cases a title, unless
    given. A reference may be a list of ids, which are dealt out in turn.
    """
    kind = org.schema.find(order["object"])
    if kind is None:
        raise LookupError(f"no object {order['object']!r}")
    owners = _owners(org, order.get("owners"))
    if len(owners) * int(order["count"]) > MOST:
        raise ValueError(f"more than {MOST} records")
    template: Json = {**_usual(org, kind.name), **(order.get("fields") or {})}
    fields = {name: kind.find(name) for name in template}
    unknown = [name for name, field in fields.items() if field is None]
    if unknown:
        raise ApiError("INVALID_FIELD", f"No such column '{unknown[0]}' on sobject of type {kind.name}")
    made: list[str] = []
    stored: dict[tuple[str, Any], Any] = {}  # most values come again and again
    with org.store.transaction():
        for owner in owners:
            ctx = Context(org, owner, save_duplicates=True)
            for n in range(1, int(order["count"]) + 1):
                row: Row = {"OwnerId": owner["Id"]} if "OwnerId" in kind.fields else {}
                for name, field in fields.items():
                    assert field is not None
                    value = _filled(template[name], n, len(made), str(owner["Name"]))
                    known = (field.name, value)
                    if known not in stored:
                        stored[known] = convert(field, value, org.schema)
                    row[field.name] = stored[known]
                made.append(changes.insert(ctx, kind, row, frozenset(row)))
    return made


def _owners(org: Org, names: list[str] | None) -> list[Row]:
    users = [u for u in org.store.table("User").values() if u.get("IsActive") and u["Id"] not in org.administrators]
    if names is None:
        return users
    by_name = {str(u["Username"]).lower(): u for u in org.store.table("User").values()}
    missing = [name for name in names if name.lower() not in by_name]
    if missing:
        raise LookupError(f"no user {missing[0]!r}")
    return [by_name[name.lower()] for name in names]


def _usual(org: Org, name: str) -> Json:
    out: Json = {NAMES[name]: "{owner}, " + name.lower() + " {n}"} if name in NAMES else {}
    if name == "Opportunity":
        close = (org.frame.clock.now() + timedelta(days=90)).date().isoformat()
        out |= {"StageName": "Qualification", "CloseDate": close, "Amount": 1000}
    return out


def _filled(value: Any, n: int, at: int, owner: str) -> Any:
    if isinstance(value, list):
        return value[at % len(value)]
    if isinstance(value, str):
        return value.replace("{n}", str(n)).replace("{i}", str(at + 1)).replace("{owner}", owner)
    return value
