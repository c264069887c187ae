"""``$filter``: parsed into a predicate, judged by the tables of types (`providers.md GR-18`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.microsoft.errors import GraphError, bad_request, no_property
from sandbox.microsoft.graph import extended
from sandbox.microsoft.graph.types import TYPES
from sandbox.microsoft.graph.values import read_date

Predicate = Callable[[Any], bool]
Getter = Callable[[Any, str], Any]  # object, name of a property
TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<date>\d{4}-\d{2}-\d{2}(?:T[\d:.]+(?:Z|[+-]\d{2}:\d{2})?)?)|(?P<number>-?\d+)"
    r"|(?P<word>[A-Za-z_][\w/]*)|(?P<mark>[(),:]))"
)
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: bool(a == b),
    "ne": lambda a, b: bool(a != b),
    "gt": lambda a, b: a is not None and b is not None and bool(a > b),
    "ge": lambda a, b: a is not None and b is not None and bool(a >= b),
    "lt": lambda a, b: a is not None and b is not None and bool(a < b),
    "le": lambda a, b: a is not None and b is not None and bool(a <= b),
}
TEXT: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda a, b: b in a,
    "startswith": lambda a, b: a.startswith(b),
    "endswith": lambda a, b: a.endswith(b),
}
EXACT = {"id", "conversationId", "parentFolderId", "internetMessageId"}
DEEP = {"recipient": ("emailAddress/address", "emailAddress/name"), "flag": ("flagStatus",)}
COLLECTIONS = {"categories", "singleValueExtendedProperties", "proxyAddresses"}


def _invalid(text: str) -> GraphError:
    return bad_request(f"Invalid filter clause: {text}")


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


@dataclass(slots=True)
class Filter:
    """A parsed filter: `matches` tells whether an object fits, `names` which properties it looks at, in order."""

    kind: str
    getter: Getter
    tokens: list[tuple[str, str]]
    names: list[str] = field(default_factory=list)
    alternatives: bool = False  # whether it holds an `or` or a `not`
    _at: int = 0
    _variable: str = ""
    _property: str = ""
    _ids: list[str] = field(default_factory=list)

    # ---- tokens --------------------------------------------------------------------------------

    def _peek(self) -> tuple[str, str]:
        return self.tokens[self._at] if self._at < len(self.tokens) else ("end", "")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _expect(self, mark: str) -> None:
        if self._next()[1] != mark:
            raise _invalid(f"Syntax error: '{mark}' expected.")

    def done(self) -> bool:
        """Whether everything was read."""
        return self._at >= len(self.tokens)

    # ---- grammar ---------------------------------------------------------------------------------

    def either(self) -> Predicate:
        """or"""
        parts = [self._both()]
        while self._peek() == ("word", "or"):
            self._next()
            self.alternatives = True
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda o: any(part(o) for part in parts)

    def _both(self) -> Predicate:
        parts = [self._one()]
        while self._peek() == ("word", "and"):
            self._next()
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda o: all(part(o) for part in parts)

    def _one(self) -> Predicate:
        kind, text = self._next()
        if (kind, text) == ("mark", "("):
            inner = self.either()
            self._expect(")")
            return inner
        if (kind, text) == ("word", "not"):
            self.alternatives = True
            negated = self._one()
            return lambda o: not negated(o)
        if kind != "word":
            raise _invalid(f"Syntax error at '{text}'.")
        if text.lower() in TEXT and self._peek()[1] == "(":
            return self._text_test(text.lower())
        if text.endswith("/any") and self._peek()[1] == "(":
            return self._any(text[:-4])
        return self._comparison(text)

    def _text_test(self, name: str) -> Predicate:
        self._expect("(")
        read = self._operand(self._next()[1])
        self._expect(",")
        wanted = _folded(self._literal())
        self._expect(")")
        test = TEXT[name]
        return lambda o: isinstance(v := _folded(read(o)), str) and test(v, str(wanted))

    def _comparison(self, path: str) -> Predicate:
        read = self._operand(path)
        kind, operator = self._next()
        if kind != "word" or operator not in COMPARE:
            raise _invalid(f"the operator '{operator}' is not supported.")
        wanted, compare = self._literal(), COMPARE[operator]
        if self._variable and path == f"{self._variable}/id":
            wanted = extended.key_of(wanted)
            self._ids.append(wanted)
            return lambda o: compare(read(o), wanted)
        if path in EXACT:
            return lambda o: compare(read(o), wanted)
        wanted = _folded(wanted)
        if read(None) is _DATE and not isinstance(wanted, float):
            raise _invalid(f"'{path}' is a date.")
        return lambda o: compare(_folded(read(o)), wanted)

    def _literal(self) -> Any:
        kind, text = self._next()
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "date":
            try:
                return read_date(text).timestamp()
            except ValueError:
                raise _invalid(f"'{text}' is no date.") from None
        if kind == "number":
            return int(text)
        if kind == "word" and text in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[text]
        raise _invalid(f"a literal was expected at '{text}'.")

    def _operand(self, path: str) -> Callable[[Any], Any]:
        """How to read what a path names; reading of None tells a date."""
        if self._variable:
            if path == self._variable:
                return lambda o: o
            name = path.removeprefix(f"{self._variable}/")
            if self._property != "singleValueExtendedProperties" or name not in ("id", "value"):
                raise no_property(path, self.kind)
            return lambda o: None if o is None else o[name]
        name, _, deep = path.partition("/")
        row = TYPES[self.kind].get(name)
        if row is None and name != "id":
            raise no_property(name, self.kind)
        flags, sort = (row.flags, row.kind) if row else ("f", "text")
        if "f" not in flags or sort in ("texts", "recipients", "extended"):
            raise GraphError(400, "ErrorInvalidUrlQueryFilter", "The query filter contains one or more invalid nodes.")
        if deep not in DEEP.get(sort, ("",)):
            raise no_property(path, self.kind)
        if name not in self.names:
            self.names.append(path)
        getter, steps, is_date = self.getter, deep.split("/") if deep else [], sort == "date"

        def read(target: Any) -> Any:
            if target is None:
                return _DATE if is_date else None
            found = getter(target, name)
            for step in steps:
                found = (found or {}).get(step)
            return found

        return read

    def _any(self, name: str) -> Predicate:
        row = TYPES[self.kind].get(name)
        if row is None:
            raise no_property(name, self.kind)
        if name not in COLLECTIONS or self._variable:
            raise GraphError(400, "ErrorInvalidUrlQueryFilter", "The query filter contains one or more invalid nodes.")
        self.names.append(name)
        self._expect("(")
        self._variable, self._property, self._ids = self._next()[1], name, []
        self._expect(":")
        inner, getter = self.either(), self.getter
        self._expect(")")
        ids, self._variable, self._property = list(self._ids), "", ""
        if name != "singleValueExtendedProperties":
            return lambda o: any(inner(element) for element in getter(o, name))
        if not ids:
            raise GraphError(400, "ErrorInvalidUrlQueryFilter", "An extended property is found by its id.")
        return lambda o: any(inner(found) for key in ids if (found := extended.read(o, key)) is not None)


_DATE = object()


def parse(text: str, kind: str, getter: Getter) -> tuple[Predicate, Filter]:
    """Predicate and what it was made of; GraphError 400 for what Graph does not take."""
    tokens, at = [], 0
    text = text.strip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None or match.end() == at:
            raise _invalid(f"Syntax error: character '{text[at]}' is not valid at position {at} in '{text}'.")
        tokens.append((match.lastgroup or "", match[match.lastgroup or 0]))
        at = match.end()
    found = Filter(kind, getter, tokens)
    predicate = found.either()
    if not found.done():
        raise _invalid(f"Syntax error at position {at} in '{text}'.")
    return predicate, found
