"""Items for a user: whole ones by id, and the user's open ones, within the policy's scope.

| scope | an item counts when |
|---|---|
| owned | the user owns it |
| team | the user owns it, or is on its team or on its account's, where the organisation has teams |
| visible | the user may read it: UserRecordAccess, 200 records a query (providers.md 5.2) |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from sync.model import RecordRef
from sync.modules import ModuleItem, Scope
from sync.options import ModuleRule
from sync.providers.salesforce import items, soql
from sync.providers.salesforce.asking import QUERIES_PER_CALL, Asker, Query, Row
from sync.providers.salesforce.modules import Shape

PER_QUERY = 200
ACCESS = "UserRecordAccess"


class Reading:
    """Reads items for one client. `instance` is where people find them; `account_teams`: the organisation has them."""

    def __init__(self, asker: Asker, instance: str, *, account_teams: bool) -> None:
        self._asker = asker
        self._instance = instance
        self._account_teams = account_teams

    def items(
        self,
        wanted: Mapping[Shape, Sequence[RecordRef]],
        rules: Mapping[str, ModuleRule],
        user: str,
        scope: Scope,
    ) -> dict[RecordRef, ModuleItem]:
        """Those that are there and the user's; all kinds in one call as far as five queries go. `rules` by kind."""
        queries: list[Query] = []
        shapes = {shape.module.kind: shape for shape in wanted}
        for shape, records in wanted.items():
            queries += self._by_id(shape, rules[shape.module.kind], [one.id for one in records], user, scope)
        if scope == "visible":
            ids = [one.id for records in wanted.values() for one in records]
            queries += [Query(ACCESS, items.access(user, some)) for some in _chunks(ids)]
        rows: dict[str, list[tuple[str, Row]]] = {}
        mine: set[str] = set()
        for query, answer in self._asker.rows(queries):
            if query.about == ACCESS:
                mine |= {row["RecordId"] for row in answer if row["HasReadAccess"]}
            elif query.about.startswith("team "):
                mine |= {row["Id"] for row in answer}
            else:
                rows.setdefault(query.about, []).extend((row["Id"], row) for row in answer)
        found: dict[str, ModuleItem] = {}
        for kind, some in rows.items():
            for key, row in some:
                if row.get("OwnerId") == user or key in mine:
                    found[key[:15]] = items.read(row, shapes[kind], rules[kind], self._instance)
        asked = [one for records in wanted.values() for one in records]
        return {one: found[one.id[:15]] for one in asked if one.id[:15] in found}

    def active(self, shape: Shape, rule: ModuleRule, user: str, scope: Scope, limit: int) -> list[ModuleItem]:
        """The user's open items, at most `limit`."""
        still_open = items.open_only(shape, rule)
        owned = f"OwnerId = {soql.text(user)}"
        conditions = {"owned": [owned], "team": [owned, *self._teams(shape, user)], "visible": [""]}[scope]
        certain = (still_open != "" or not rule.closed_field) and scope != "visible"
        queries = [
            Query(
                shape.module.name,
                items.select(
                    shape, rule, " AND ".join(one for one in (mine, still_open) if one), limit=limit if certain else 0
                ),
            )
            for mine in conditions
        ]
        found: dict[str, ModuleItem] = {}
        for rows in self._asker.first(queries):
            judged = (row for row in rows if not items.closed(row, shape, rule))
            for row in islice(self._readable(judged, user) if scope == "visible" else judged, limit):
                found.setdefault(row["Id"], items.read(row, shape, rule, self._instance))
        return sorted(found.values(), key=lambda one: (-one.changed.timestamp(), one.record.id))[:limit]

    # --- scope

    def _by_id(self, shape: Shape, rule: ModuleRule, ids: Sequence[str], user: str, scope: Scope) -> list[Query]:
        """The queries of one kind."""
        kind, out = shape.module.kind, []
        more = items.history(shape)
        owned = f" AND OwnerId = {soql.text(user)}" if scope == "owned" else ""
        for some in _chunks(ids):
            within = soql.within("Id", some)
            out.append(Query(kind, items.select(shape, rule, within + owned, more=more)))
            if scope == "team":
                out += [
                    Query(f"team {kind}", soql.query(("Id",), shape.module.name, f"{within} AND {mine}"))
                    for mine in self._teams(shape, user)
                ]
        return out

    def _teams(self, shape: Shape, user: str) -> list[str]:
        return items.team(shape, user) + (items.account_team(shape, user) if self._account_teams else [])

    def _readable(self, rows: Iterator[Row], user: str) -> Iterator[Row]:
        """Those that the user may read, in order; a thousand candidates cost a call."""
        while some := list(islice(rows, PER_QUERY * QUERIES_PER_CALL)):
            foreign = [row["Id"] for row in some if row.get("OwnerId") != user]
            asked = [Query(ACCESS, items.access(user, ids)) for ids in _chunks(foreign)]
            answers = self._asker.rows(asked)
            readable = {row["RecordId"] for _, answer in answers for row in answer if row["HasReadAccess"]}
            yield from (row for row in some if row.get("OwnerId") == user or row["Id"] in readable)


def _chunks(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[at : at + PER_QUERY] for at in range(0, len(ids), PER_QUERY)]
