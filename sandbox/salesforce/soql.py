"""SOQL text -> syntax tree. The grammar stands in soql.lark; what names mean is `binding`'s part."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken, VisitError

from sandbox.salesforce.errors import ApiError

ESCAPED_PERCENT, ESCAPED_UNDERSCORE = "\ue000", "\ue001"  # what LIKE must not take for a wildcard
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "\\": "\\", "'": "'", '"': '"',
           "%": ESCAPED_PERCENT, "_": ESCAPED_UNDERSCORE}  # fmt: skip
MAX_LENGTH = 100_000  # characters of a query


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A field path; `at` is its place in the text."""

    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function of paths or literals."""

    name: str
    arguments: tuple[Any, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Literal:
    """kind: string, number, currency, boolean, null, date, datetime or date word."""

    kind: str
    value: Any
    at: int


@dataclass(frozen=True, slots=True)
class Item:
    """One selected path or call with its alias."""

    what: FieldPath | Call
    alias: str = ""


@dataclass(frozen=True, slots=True)
class TypeOf:
    """TYPEOF path WHEN object THEN fields ... ELSE fields END."""

    path: FieldPath
    branches: tuple[tuple[str, tuple[FieldPath, ...]], ...]
    otherwise: tuple[FieldPath, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """operator: = != < <= > >= like, in, not in, includes, excludes; values: literals or a query."""

    left: FieldPath | Call
    operator: str
    values: tuple[Literal, ...] | Query


@dataclass(frozen=True, slots=True)
class Logic:
    """and, or, not over conditions."""

    operator: str
    parts: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """One sort key."""

    what: FieldPath | Call
    descending: bool = False
    nulls_last: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A query or subquery; `text` is that of the whole, for messages."""

    items: tuple[Any, ...]
    sobject: str
    at: int
    alias: str = ""
    scope: str = ""
    where: Any = None
    group: tuple[FieldPath | Call, ...] = ()
    having: Any = None
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
    with_: str = ""
    locks: tuple[str, ...] = field(default=())
    all_rows: bool = False


def refused(code: str, message: str, text: str, at: int | None) -> ApiError:
    """An error about a place in a query, in Salesforce's form: the line, a caret, row and column."""
    if at is None or at < 0:
        return ApiError(code, message)
    start = max(0, at - 40)
    shown = text[start : at + 40].replace("\n", " ")
    row, column = text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1
    return ApiError(code, f"\n{shown}\n{' ' * (at - start)}^\nERROR at Row:{row}:Column:{column}\n{message}")


def _unquote(text: str, at: int) -> str:
    def one(found: re.Match[str]) -> str:
        character = found.group(1)
        if character not in ESCAPES:
            raise _Illegal(f"Illegal string literal. Illegal escape sequence \\{character}", at)
        return ESCAPES[character]

    return re.sub(r"\\(.)", one, text[1:-1], flags=re.S)


class _Illegal(Exception):
    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.message, self.at = message, at


@v_args(inline=True)
class _Builder(Transformer[Token, Query]):
    """Parse tree -> syntax tree, one method per rule."""

    def path(self, name: Token) -> FieldPath:
        return FieldPath(str(name), name.start_pos or 0)

    def alias(self, name: Token) -> tuple[str, str]:
        return ("alias", str(name))

    def call(self, name: Token, *arguments: Any) -> Call:
        return Call(name[:-1].strip().upper(), tuple(a for a in arguments if not _is(a, "RPAR")), name.start_pos or 0)

    def string(self, t: Token) -> Literal:
        return Literal("string", _unquote(t, t.start_pos or 0), t.start_pos or 0)

    def number(self, t: Token) -> Literal:
        return Literal("number", float(t) if "." in t else int(t), t.start_pos or 0)

    def currency(self, t: Token) -> Literal:
        return Literal("currency", float(t[3:]), t.start_pos or 0)

    def datetime(self, t: Token) -> Literal:
        return Literal("datetime", str(t), t.start_pos or 0)

    def date(self, t: Token) -> Literal:
        return Literal("date", str(t), t.start_pos or 0)

    def date_word(self, t: Token) -> Literal:
        return Literal("date word", t.upper(), t.start_pos or 0)

    def true(self, t: Token) -> Literal:
        return Literal("boolean", True, t.start_pos or 0)

    def false(self, t: Token) -> Literal:
        return Literal("boolean", False, t.start_pos or 0)

    def null(self, t: Token) -> Literal:
        return Literal("null", None, t.start_pos or 0)

    def select_path(self, path: FieldPath, alias: tuple[str, str] = ("", "")) -> Item:
        return Item(path, alias[1])

    def select_call(self, call: Call, alias: tuple[str, str] = ("", "")) -> Item:
        return Item(call, alias[1])

    def select_child(self, *parts: Any) -> Query:
        return next(p for p in parts if isinstance(p, Query))

    def when(self, _when: Token, name: Token, _then: Token, *paths: FieldPath) -> tuple[str, tuple[FieldPath, ...]]:
        return (str(name), paths)

    def otherwise(self, _else: Token, *paths: FieldPath) -> tuple[str, tuple[FieldPath, ...]]:
        return ("", paths)

    def typeof(self, _typeof: Token, path: FieldPath, *branches: Any) -> TypeOf:
        named = [b for b in branches if isinstance(b, tuple)]
        return TypeOf(path, tuple(b for b in named if b[0]), next((b[1] for b in named if not b[0]), ()))

    def comparison(self, left: Any, operator: Token, value: Literal) -> Comparison:
        return Comparison(left, "!=" if operator == "<>" else str(operator), (value,))

    def like(self, left: Any, _like: Token, value: Literal) -> Comparison:
        return Comparison(left, "like", (value,))

    def set_operator(self, *words: Token) -> tuple[str, str]:
        return ("set", " ".join(words).lower())

    def in_list(self, left: Any, operator: tuple[str, str], *values: Any) -> Comparison:
        return Comparison(left, operator[1], tuple(v for v in values if isinstance(v, Literal)))

    def in_query(self, left: Any, operator: tuple[str, str], *values: Any) -> Comparison:
        return Comparison(left, operator[1], next(v for v in values if isinstance(v, Query)))

    def and_(self, *parts: Any) -> Logic:
        return Logic("and", tuple(p for p in parts if not isinstance(p, Token)))

    def or_(self, *parts: Any) -> Logic:
        return Logic("or", tuple(p for p in parts if not isinstance(p, Token)))

    def not_(self, _not: Token, part: Any) -> Logic:
        return Logic("not", (part,))

    def select_clause(self, _select: Token, *items: Any) -> tuple[str, Any]:
        return ("items", tuple(items))

    def from_clause(self, _from: Token, name: Token, *rest: Any) -> tuple[str, Any]:
        alias = next((r[1] for r in rest if isinstance(r, tuple)), "")
        return ("from", (str(name), name.start_pos or 0, alias))

    def scope(self, _using: Token, _scope: Token, name: Token) -> tuple[str, Any]:
        return ("scope", str(name).lower())

    def where(self, _where: Token, condition: Any) -> tuple[str, Any]:
        return ("where", condition)

    def with_(self, _with: Token, name: Token) -> tuple[str, Any]:
        return ("with_", str(name).upper())

    def group(self, _group: Token, _by: Token, *items: Any) -> tuple[str, Any]:
        return ("group", items)

    def having(self, _having: Token, condition: Any) -> tuple[str, Any]:
        return ("having", condition)

    def direction(self, word: Token) -> tuple[str, bool]:
        return ("descending", word.upper() == "DESC")

    def nulls(self, _nulls: Token, word: Token) -> tuple[str, bool]:
        return ("nulls_last", word.upper() == "LAST")

    def order_item(self, what: Any, *options: Any) -> Order:
        return Order(what, **dict(options))

    def order(self, _order: Token, _by: Token, *items: Order) -> tuple[str, Any]:
        return ("order", items)

    def limit(self, _limit: Token, number: Token) -> tuple[str, Any]:
        return ("limit", int(float(number)))

    def offset(self, _offset: Token, number: Token) -> tuple[str, Any]:
        return ("offset", int(float(number)))

    def for_(self, _for: Token, *words: Token) -> tuple[str, Any]:
        return ("locks", tuple(w.upper() for w in words if w != ","))

    def all_rows(self, _all: Token, _rows: Token) -> tuple[str, Any]:
        return ("all_rows", True)

    def query(self, *clauses: tuple[str, Any]) -> Query:
        named = dict(clauses)
        sobject, at, alias = named.pop("from")
        return Query(sobject=sobject, at=at, alias=alias, **named)


def _is(thing: Any, kind: str) -> bool:
    return isinstance(thing, Token) and thing.type == kind


@cache
def _grammar() -> Lark:
    text = Path(__file__).with_name("soql.lark").read_text(encoding="utf-8")
    return Lark(text, parser="lalr", start="query", propagate_positions=False, maybe_placeholders=False)


@lru_cache(maxsize=2000)
def parse(text: str) -> Query:
    """The query's tree; ApiError MALFORMED_QUERY for what the grammar does not have."""
    if len(text) > MAX_LENGTH:
        raise ApiError("MALFORMED_QUERY", "SOQL statements cannot be longer than 100000 characters.")
    try:
        tree = _grammar().parse(text)
        return _Builder().transform(tree)
    except UnexpectedToken as error:
        word = "<EOF>" if error.token.type == "$END" else str(error.token)
        at = len(text.rstrip()) if error.token.type == "$END" else error.token.start_pos
        raise refused("MALFORMED_QUERY", f"unexpected token: '{word}'", text, at) from None
    except UnexpectedCharacters as error:
        seen: int = getattr(error, "pos_in_stream", 0)  # lark's own type for it is None
        raise refused("MALFORMED_QUERY", f"unexpected token: '{text[seen : seen + 1]}'", text, seen) from None
    except VisitError as error:
        if isinstance(error.orig_exc, _Illegal):
            raise refused("MALFORMED_QUERY", error.orig_exc.message, text, error.orig_exc.at) from None
        raise
    except UnexpectedInput:
        raise ApiError("MALFORMED_QUERY", "unexpected end of query") from None
