"""Runs queries: which rows, in which order, and how they are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from sandbox.salesforce import access, history
from sandbox.salesforce.aggregates import aggregate_rows, is_aggregate
from sandbox.salesforce.binding import HINT, Binder, Column, Step, bound_object
from sandbox.salesforce.errors import ApiError, not_simulated
from sandbox.salesforce.filters import Filter, indexed
from sandbox.salesforce.org import Context
from sandbox.salesforce.reading import attributes, getter, name_value
from sandbox.salesforce.schema import Child, Field, SObject
from sandbox.salesforce.soql import Call, Comparison, FieldPath, Item, Logic, Order, Query, TypeOf, parse, refused
from sandbox.salesforce.store import Row, key_of

MAX_OFFSET = 2000
ARCHIVE_DAYS = 365  # older closed activities are in queryAll only, providers.md 5.3 [unverified]
FIELD_SETS: dict[str, Callable[[Field], bool]] = {"ALL": lambda f: True, "STANDARD": lambda f: not f.custom,
                                                  "CUSTOM": lambda f: f.custom}  # fmt: skip
BOUNDS = frozenset({"id", "ownerid", "whoid", "whatid", "accountid", "startdatetime", "activitydatetime",
                    "activitydate", "systemmodstamp", "createddate", "lastmodifieddate"})  # fmt: skip
Show = Callable[[Row], Any]


@dataclass(slots=True)
class Result:
    """Shown lazily: `rows` in order, `show` makes a record of one."""

    size: int
    rows: list[Any]
    show: Show


@dataclass(slots=True)
class Node:
    """What is shown of one object on the way: its fields, and its parents by relationship name."""

    steps: tuple[Step, ...]
    kind: SObject | None  # None: Salesforce's Name object
    leaves: list[tuple[str, Show]] = field(default_factory=list)
    parents: dict[str, Node] = field(default_factory=dict)


class Runner:
    """One request's queries. `everything` is queryAll: with deleted rows and archived activities."""

    def __init__(self, ctx: Context, text: str, everything: bool = False) -> None:
        self.ctx, self.text, self.everything = ctx, text, everything

    def run(self) -> Result:
        """The whole query; ApiError for what Salesforce refuses."""
        query = parse(self.text)
        if query.sobject.lower() == access.NAME:
            made = access.rows(self.ctx, query, self.text)
            return Result(len(made), made, lambda row: row)
        sobject = bound_object(self.ctx, query, self.text)
        binder = Binder(self.ctx, query, sobject, self.text)
        self._check(query, sobject)
        if _is_count(query):
            rows = self._rows(query, binder, self._base(sobject))
            return Result(len(rows) if query.limit is None else min(len(rows), query.limit), [], lambda row: row)
        if query.group or any(is_aggregate(i) for i in query.items):
            made = aggregate_rows(query, binder, self._rows(query, binder, self._base(sobject)), self._subselect)
            cut = made[query.offset :][: query.limit] if query.limit is not None else made[query.offset :]
            return Result(len(cut), cut, lambda row: row)
        show = self._shower(query, binder)
        rows = self._ordered(query, binder, self._rows(query, binder, self._base(sobject)))
        return Result(len(rows), rows, show)

    # -- checks ----------------------------------------------------------------------------------

    def _check(self, query: Query, sobject: SObject) -> None:
        if query.all_rows:
            raise refused("MALFORMED_QUERY", "ALL ROWS not allowed in this context", self.text, query.at)
        if "UPDATE" in query.locks:
            raise not_simulated("FOR UPDATE in a query")
        if query.with_ not in ("", "SECURITY_ENFORCED", "USER_MODE", "SYSTEM_MODE"):
            raise refused("MALFORMED_QUERY", f"unexpected token: '{query.with_}'", self.text, query.at)
        if query.offset > MAX_OFFSET:
            raise ApiError("NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000")
        if sobject.name == "ContentDocumentLink":
            self._check_file_links(query, sobject)
        if sobject.name in ("Task", "Event"):
            self._check_bound(query, sobject)

    def _check_bound(self, query: Query, sobject: SObject) -> None:
        """Activities are many: a query must name owner, record or time (providers.md SF-20)."""
        if len(self.ctx.org.store.table(sobject.name)) >= self.ctx.org.frame.settings["salesforce_too_large"] \
                and not BOUNDS & set(named(query.where)):  # fmt: skip
            raise ApiError("OPERATION_TOO_LARGE", f"exceeded the limit of {sobject.name} rows for this query")

    def _check_file_links(self, query: Query, sobject: SObject) -> None:
        binder = Binder(self.ctx, query, sobject, self.text)
        found = indexed(query.where, binder, lambda f, v: v.value) if query.where else None
        if found is None or found[0] not in ("ContentDocumentId", "LinkedEntityId", "Id"):
            raise ApiError("MALFORMED_QUERY", "Implementation restriction: ContentDocumentLink requires a filter by "
                           "a single Id on ContentDocumentId or LinkedEntityId using the equals operator or multiple "
                           "Id's using the IN operator.")  # fmt: skip

    # -- rows ------------------------------------------------------------------------------------

    def _base(self, sobject: SObject) -> Callable[[tuple[str, list[Any]] | None], Iterable[Row]]:
        """Rows of the object that the user may see; fewer when the filter names values of an indexed field."""
        org, ctx, name = self.ctx.org, self.ctx, sobject.name
        archive = (org.frame.clock.now() - timedelta(days=ARCHIVE_DAYS)).date().isoformat()
        activities = name in ("Task", "Event")

        def seen(row: Row) -> bool:
            if row.get("IsDeleted") and not (self.everything and org.in_bin(row)):
                return False
            if activities and not self.everything and (row.get("ActivityDate") or "9") < archive \
                    and (name == "Event" or row.get("IsClosed")):  # fmt: skip
                return False
            return org.appeared(row) and org.readable(ctx, name, row)

        def rows(found: tuple[str, list[Any]] | None) -> Iterable[Row]:
            candidates = org.store.lookup(name, *found) if found else org.store.table(name).values()
            return (row for row in candidates if seen(row))

        return rows

    def _rows(self, query: Query, binder: Binder, base: Callable[..., Iterable[Row]]) -> list[Row]:
        mine = self._scope(query, binder.sobject)
        if query.where is None:
            return [row for row in base(None) if mine(row)]
        compiled = Filter(binder, self._subselect)
        test = compiled.test(query.where)
        found = indexed(query.where, binder, compiled.value)
        return [row for row in base(found) if test(row) and mine(row)]

    def _scope(self, query: Query, sobject: SObject) -> Callable[[Row], bool]:
        if query.scope in ("", "everything"):
            return lambda row: True
        if query.scope == "mine" and "OwnerId" in sobject.fields:
            user = self.ctx.user_id
            return lambda row: row.get("OwnerId") == user
        if query.scope in ("mine", "team", "delegated", "mine_and_my_groups", "my_territory", "my_team_territory"):
            raise not_simulated(f"USING SCOPE {query.scope} on {sobject.name}")
        raise refused("MALFORMED_QUERY", f"unexpected token: '{query.scope}'", self.text, query.at)

    def _ordered(self, query: Query, binder: Binder, rows: list[Row]) -> list[Row]:
        for order in reversed(query.order):
            rows = sort(rows, self.sortable(binder, order), order)
        end = None if query.limit is None else query.offset + query.limit
        return rows[query.offset : end]

    def sortable(self, binder: Binder, order: Order) -> Column:
        """The column of a sort key; INVALID_FIELD if Salesforce cannot sort by it."""
        column = binder.column(order.what)
        if not column.field.may("S"):
            raise refused("INVALID_FIELD", f"field '{column.field.name}' can not be sorted in a query call", self.text,
                          order.what.at)  # fmt: skip
        return column

    def _subselect(self, query: Query) -> set[str]:
        sobject = bound_object(self.ctx, query, self.text)
        binder = Binder(self.ctx, query, sobject, self.text)
        what = query.items[0].what if len(query.items) == 1 and isinstance(query.items[0], Item) else None
        column = binder.path(what) if isinstance(what, FieldPath) else None
        if column is None or column.field.type not in ("id", "reference"):
            raise refused("MALFORMED_QUERY", "The inner select must select exactly one ID or reference field",
                          self.text, query.at)  # fmt: skip
        return {v for row in self._rows(query, binder, self._base(sobject)) if (v := column.read(row)) is not None}

    # -- showing ---------------------------------------------------------------------------------

    def _shower(self, query: Query, binder: Binder) -> Show:
        root = Node((), binder.sobject)
        shown: set[str] = set()
        for item in self._expanded(query, binder):
            if isinstance(item, Query):
                self._child(item, binder, root)
            elif isinstance(item, TypeOf):
                self._typeof(item, binder, root)
            else:
                self._leaf(item, binder, root, shown)
        return lambda row: self._record(root, binder.sobject, row)

    def _expanded(self, query: Query, binder: Binder) -> Iterable[Any]:
        for item in query.items:
            call = item.what if isinstance(item, Item) and isinstance(item.what, Call) else None
            if call is None or call.name != "FIELDS":
                yield item
                continue
            named = call.arguments[0] if len(call.arguments) == 1 else None
            which = named.text.upper() if isinstance(named, FieldPath) else ""
            if which not in FIELD_SETS:
                raise refused("MALFORMED_QUERY", f"unexpected token: '{which}'", self.text, call.at)
            if which != "STANDARD" and (query.limit is None or query.limit > 200):
                raise ApiError("MALFORMED_QUERY", "The SOQL FIELDS function must have a LIMIT of at most 200")
            for f in binder.sobject.fields.values():
                if FIELD_SETS[which](f):
                    yield Item(FieldPath(f.name, call.at))

    def _leaf(self, item: Item, binder: Binder, root: Node, shown: set[str]) -> None:
        if item.alias and isinstance(item.what, FieldPath):
            raise refused("MALFORMED_QUERY", "only aggregate expressions use field aliasing", self.text, item.what.at)
        column = binder.column(item.what)
        path = ".".join([*(s.field.relationship for s in column.steps), column.field.name])
        if path.lower() in shown:
            raise refused("INVALID_FIELD", f"duplicate field selected: {path}", self.text, item.what.at)
        shown.add(path.lower())
        node = self._node(root, column.steps)
        kind = node.kind
        if isinstance(item.what, Call):
            root.leaves.append((item.alias or column.field.name, column.read))
        elif kind is None:
            objects, name = self.ctx.org.schema.objects, column.field.name
            node.leaves.append((name, lambda r: name_value(objects[self.ctx.org.object_of(r["Id"]) or ""], r, name)))
        else:
            node.leaves.append((column.field.name, getter(self.ctx, kind, column.field)))

    def _node(self, root: Node, steps: tuple[Step, ...]) -> Node:
        node = root
        for at, step in enumerate(steps):
            node = node.parents.setdefault(step.field.relationship, Node(steps[: at + 1], step.kind))
        return node

    def _record(self, node: Node, sobject: SObject, row: Row) -> dict[str, Any]:
        kind = sobject.name if node.kind else "Name"
        out: dict[str, Any] = {"attributes": attributes(self.ctx, kind, sobject.name, row["Id"])}
        for name, show in node.leaves:
            out[name] = show(row)
        for name, parent in node.parents.items():
            found = self.ctx.org.visible(self.ctx, row.get(parent.steps[-1].field.name))
            out[name] = None if found is None else self._record(parent, self._object(found[0]), found[1])
        return out

    def _object(self, name: str) -> SObject:
        return self.ctx.org.schema.objects[name]

    def _typeof(self, item: TypeOf, binder: Binder, root: Node) -> None:
        names = binder.names(item.path)
        step = binder.sobject.parents.get(names[0].lower()) if len(names) == 1 else None
        if step is None or not step.polymorphic:
            raise refused("INVALID_FIELD", f"TYPEOF needs a polymorphic relationship, not '{item.path.text}'",
                          self.text, item.path.at)  # fmt: skip
        branches: dict[str, list[Field]] = {}
        for name, paths in item.branches:
            kind = self.ctx.org.schema.find(name)
            if kind is None or kind.name not in step.targets:
                raise refused("INVALID_TYPE", f"sObject type '{name}' is not supported.", self.text, item.path.at)
            branches[kind.name] = [Binder(self.ctx, Query((), name, 0), kind, self.text).path(p).field for p in paths]
        otherwise = [p.text for p in item.otherwise]

        def show(row: Row) -> Any:
            found = self.ctx.org.visible(self.ctx, row.get(step.name))
            if found is None:
                return None
            kind = self._object(found[0])
            out: dict[str, Any] = {"attributes": attributes(self.ctx, kind.name, kind.name, found[1]["Id"])}
            if kind.name in branches:
                return out | {f.name: getter(self.ctx, kind, f)(found[1]) for f in branches[kind.name]}
            return out | {name: name_value(kind, found[1], name) for name in otherwise}

        root.leaves.append((step.relationship, show))

    def _child(self, query: Query, binder: Binder, root: Node) -> None:
        child = self.ctx.org.schema.children[binder.sobject.name].get(query.sobject.lower())
        if child is None or child.sobject not in self.ctx.org.schema.objects:
            raise refused("INVALID_TYPE", f"Didn't understand relationship '{query.sobject}' in FROM part of query "
                          "call. If you are attempting to use a custom relationship, be sure to append the '__r' "
                          f"after the custom relationship name. {HINT}", self.text, query.at)  # fmt: skip
        sobject = self._object(child.sobject)
        inner = Binder(self.ctx, replace(query, sobject=sobject.name), sobject, self.text)
        self._check(replace(query, where=None), binder.sobject)
        show, rows_of = self._shower(query, inner), self._children(query, binder, child)
        compiled = Filter(inner, self._subselect)
        test = compiled.test(query.where) if query.where is not None else lambda row: True

        def shown(row: Row) -> Any:
            rows = self._ordered(query, inner, [r for r in rows_of(row["Id"]) if test(r)])
            return {"totalSize": len(rows), "done": True, "records": [show(r) for r in rows]} if rows else None

        root.leaves.append((child.name, shown))

    def _children(self, query: Query, outer: Binder, child: Child) -> Callable[[str], Iterable[Row]]:
        """From a parent's id to its children."""
        if child.sobject not in (history.PAST, history.FUTURE):
            base = self._base(self._object(child.sobject))
            return lambda parent: base((child.field, [parent]))
        where = outer.query.where
        found = indexed(where, outer, Filter(outer, self._subselect).value) if where is not None else None
        history.check(self.ctx, child.sobject, query, found is not None and found[0] == "Id" and len(found[1]) == 1)
        return lambda parent: history.listed(self.ctx, child.sobject, outer.sobject.name, parent)


def named(condition: Any) -> Iterable[str]:
    """The fields of the query's own object that every row is held against, in lower case."""
    if isinstance(condition, Comparison):
        return [condition.left.text.lower()] if isinstance(condition.left, FieldPath) else []
    if isinstance(condition, Logic) and condition.operator == "and":
        return [name for part in condition.parts for name in named(part)]
    return []


def _is_count(query: Query) -> bool:
    first = query.items[0]
    return len(query.items) == 1 and isinstance(first, Item) and isinstance(first.what, Call) \
        and first.what.name == "COUNT" and not first.what.arguments  # fmt: skip


def sort(rows: list[Any], column: Column, order: Order) -> list[Any]:
    """A stable sort by one key; empty values come first unless NULLS LAST."""
    values = [(key_of(column.read(row)), row) for row in rows]
    full = sorted((v for v in values if v[0] is not None), key=lambda v: v[0], reverse=order.descending)
    empty = [row for key, row in values if key is None]
    ordered = [row for _, row in full]
    return ordered + empty if order.nulls_last else empty + ordered
