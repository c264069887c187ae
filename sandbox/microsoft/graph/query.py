"""Query options: read, and judged by what the operation takes (`providers.md SIM-4 GR-18`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from sandbox.microsoft.errors import GraphError, bad_request, no_property
from sandbox.microsoft.graph import extended
from sandbox.microsoft.graph.filter import Filter, Getter, Predicate, parse
from sandbox.microsoft.graph.types import TYPES

MOST = 1000
EXPANDED = re.compile(r"([\w.]+(?:/\w+)?)(?:\((.*)\))?$", re.DOTALL)
EXTENDED_FILTER = re.compile(r"\s*id\s+eq\s+'((?:[^']|'')*)'\s*$")
NAVIGATION = {
    "message": ("attachments", "singleValueExtendedProperties", "extensions"),
    "mailFolder": ("childFolders", "singleValueExtendedProperties", "messages", "messageRules"),
    "attachment": ("microsoft.graph.itemattachment/item",),
}


@dataclass(slots=True)
class Query:
    """Typed options of one request. `top` and `skip` are None without the option."""

    kind: str
    select: frozenset[str] | None = None
    expand: dict[str, Any] = field(default_factory=dict)  # name -> keys of extended properties, or a nested Query
    matches: Predicate | None = None
    filter: Filter | None = None
    order: list[tuple[str, bool]] = field(default_factory=list)  # path, whether descending
    top: int | None = None
    skip: int = 0
    count: bool = False
    options: dict[str, str] = field(default_factory=dict)  # all, by lower-case name


def split_options(text: str) -> dict[str, str]:
    """Option (lower case) -> value; 400 for one that stands twice."""
    out: dict[str, str] = {}
    for part in text.split("&") if text else ():
        name, _, value = part.partition("=")
        name = unquote_plus(name).lower()
        if name in out:
            raise bad_request(f"Query option '{name}' was specified more than once, but it must be specified at most "
                              "once.")  # fmt: skip
        if name:
            out[name] = unquote_plus(value)
    return out


def _commas(text: str) -> list[str]:
    """Split at commas outside of parentheses and texts."""
    out, depth, quoted, start = [], 0, False, 0
    for at, char in enumerate(text):
        if char == "'":
            quoted = not quoted
        elif not quoted:
            depth += {"(": 1, ")": -1}.get(char, 0)
            if char == "," and depth == 0:
                out.append(text[start:at])
                start = at + 1
    return [part.strip() for part in [*out, text[start:]] if part.strip()]


def _number(name: str, text: str, most: int) -> int:
    if not text.isdigit():
        raise bad_request(f"Invalid value '{text}' for {name} query option found. The {name} query option requires a "
                          "non-negative integer value.")  # fmt: skip
    if int(text) > most:
        raise bad_request(f"The limit of '{most}' for Top query has been exceeded. The value from the incoming request "
                          f"is '{text}'.")  # fmt: skip
    return int(text)


def _select(kind: str, text: str) -> frozenset[str]:
    table, out = {name.lower(): name for name in TYPES[kind]}, set()
    for name in (part.strip() for part in text.split(",") if part.strip()):
        found = table.get(name.lower())
        if name.lower() not in ("id", "*") and found is None:
            raise no_property(name, kind)
        out.add(found or name.lower())
    return frozenset(out)


def _extended_keys(inner: str) -> list[str]:
    found = re.match(r"\$filter=(.*)$", inner.strip(), re.DOTALL | re.IGNORECASE)
    parts = re.split(r"\s+or\s+", found[1].strip().removeprefix("(").removesuffix(")")) if found else []
    matches = [EXTENDED_FILTER.match(part.strip().removeprefix("(").removesuffix(")")) for part in parts]
    if not matches or not all(matches):
        raise bad_request("Expanding extended properties needs a $filter by id.", "ErrorInvalidUrlQuery")
    return [extended.key_of(m[1].replace("''", "'")) for m in matches if m]


def _expand(kind: str, text: str, getter: Getter) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for part in _commas(text):
        match = EXPANDED.match(part)
        name = next((n for n in NAVIGATION.get(kind, ()) if match and n.lower() == match[1].lower()), None)
        if match is None or name is None:
            raise no_property(part, kind)
        inner = match[2] or ""
        if name == "singleValueExtendedProperties":
            out[name] = _extended_keys(inner)
        elif name in ("attachments", "childFolders"):
            nested = "attachment" if name == "attachments" else "mailFolder"
            options = dict(pair.partition("=")[::2] for pair in inner.split(";") if pair)
            out[name] = read({k.strip().lower(): v for k, v in options.items()}, nested, set(options), getter)
        elif name == "microsoft.graph.itemattachment/item":
            out[name] = True
        else:
            raise GraphError(501, "NotImplemented", f"The sandbox does not expand {name}.")
    return out


def _order(kind: str, text: str) -> list[tuple[str, bool]]:
    out = []
    for part in _commas(text):
        words = part.split()
        path = words[0]
        row = TYPES[kind].get(path.partition("/")[0])
        if row is None:
            raise no_property(path, kind)
        if "s" not in row.flags or len(words) > 2 or words[1:] not in ([], ["asc"], ["desc"]):
            raise bad_request(f"The property '{path}' does not support ordering.", "ErrorInvalidUrlQuery")
        out.append((path, words[1:] == ["desc"]))
    return out


def read(options: dict[str, str], kind: str, allowed: set[str], getter: Getter) -> Query:
    """Typed options; 400 for one that the operation does not take, 501 for $search."""
    for name in options:
        if name not in {a.lower() for a in allowed}:
            raise bad_request(f"The query parameter '{name}' is not supported.", "ErrorInvalidUrlQuery")
    if "$search" in options:
        raise GraphError(501, "NotImplemented", "The sandbox does not do $search.")
    query = Query(kind, options=options)
    if options.get("$select", "").strip() and "*" not in (names := _select(kind, options["$select"])):
        query.select = names
    if "$expand" in options:
        query.expand = _expand(kind, options["$expand"], getter)
    if "$filter" in options:
        query.matches, query.filter = parse(options["$filter"], kind, getter)
    if "$orderby" in options:
        query.order = _order(kind, options["$orderby"])
    if "$top" in options:
        query.top = _number("$top", options["$top"], MOST)
    if "$skip" in options:
        query.skip = _number("$skip", options["$skip"], 2**31)
    query.count = options.get("$count", "").lower() == "true"
    return query


def check_cost(query: Query) -> None:
    """What is sorted by must be filtered by too, first and in the same order; else InefficientFilter (`2.4`)."""
    if query.filter is None or not query.order:
        return
    wanted = [path for path, _ in query.order]
    if query.filter.names[: len(wanted)] != wanted or query.filter.alternatives:
        raise bad_request("The restriction or sort order is too complex for this operation.", "InefficientFilter")


def sort_key(query: Query, getter: Getter) -> list[tuple[Callable[[Any], Any], bool]]:
    """How to sort: (key, whether descending), the most important first."""

    def key(path: str) -> Callable[[Any], Any]:
        name, _, deep = path.partition("/")

        def value(target: Any) -> Any:
            found = getter(target, name)
            if isinstance(found, dict):
                inner = found.get("emailAddress", found)
                found = inner.get(deep.rpartition("/")[2] or "name", "")
            return found.casefold() if isinstance(found, str) else -1 if found is None else found

        return value

    return [(key(path), descending) for path, descending in query.order]
