"""What an operation gets, and how it makes itself known."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sandbox.microsoft.errors import GraphError, bad_request
from sandbox.microsoft.http import Request

if TYPE_CHECKING:
    from sandbox.microsoft.directory import Account
    from sandbox.microsoft.entra.grants import Grant
    from sandbox.microsoft.graph.mailbox import Mailbox
    from sandbox.microsoft.vendor import Microsoft

Json = dict[str, Any]
READ_MAIL = ("Mail.ReadWrite", "Mail.Read")
WRITE_MAIL = ("Mail.ReadWrite",)
SEND_MAIL = ("Mail.Send",)
READ_SETTINGS = ("MailboxSettings.ReadWrite", "MailboxSettings.Read")
WRITE_SETTINGS = ("MailboxSettings.ReadWrite",)
READ_USERS = ("User.Read.All", "User.ReadBasic.All")
LIST = {"$select", "$filter", "$orderby", "$top", "$skip", "$count", "$search", "$expand", "$format"}
ONE = {"$select", "$expand", "$format"}


@dataclass(slots=True)
class Reply:
    """Status and content: JSON, or bytes with their type."""

    status: int = 200
    content: Json | None = None
    raw: bytes = b""
    kind: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Call:
    """One checked call: who, with which rights, on what."""

    microsoft: Microsoft
    operation: str
    request: Request
    grant: Grant
    account: Account | None
    ids: dict[str, str]  # of the path
    options: dict[str, str]
    applied: list[str] = field(default_factory=list)  # preferences that were honoured
    later: list[Callable[[], object]] = field(default_factory=list)  # to do when the lock is free again

    @property
    def box(self) -> Mailbox:
        """The mailbox that is meant."""
        assert self.account is not None
        return self.account.mailbox

    @property
    def user(self) -> Account:
        """The user that is meant."""
        assert self.account is not None
        return self.account

    def prefer(self, name: str) -> str:
        """The value of a preference, lower case and without quotes; "" without it."""
        for part in self.request.headers.get("prefer", "").split(","):
            key, _, value = part.partition("=")
            if key.strip().lower() == name.lower():
                return value.strip().strip('"').lower()
        return ""

    @property
    def immutable(self) -> bool:
        """Whether ids are wanted that survive moves (`providers.md GR-1`)."""
        return self.prefer("IdType") == "immutableid"

    def honour(self, text: str) -> None:
        """Say in the answer that a preference was applied."""
        if text not in self.applied:
            self.applied.append(text)

    def json(self) -> Any:
        """The body; GraphError 400 when it is no JSON."""
        kind = self.request.headers.get("content-type", "")
        if not self.request.body:
            return {}
        if not kind.startswith("application/json"):
            raise bad_request("A valid Content-Type header must be provided: the body is no JSON.", "BadRequest")
        try:
            return json.loads(self.request.body)
        except ValueError:
            raise bad_request(
                "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid "
                "JSON format."
            ) from None

    def link(self, options: str) -> str:
        """The absolute address of the call's path with other options."""
        return f"{self.microsoft.frame.url('microsoft')}{self.request.path}?{options}"


Handler = Callable[[Call], Reply]


@dataclass(frozen=True, slots=True)
class Operation:
    """A handler with its name for the meter, the rights of which one is needed, and the query options it takes."""

    name: str
    handler: Handler
    rights: tuple[str, ...]
    options: frozenset[str]
    unlocked: bool = False  # it takes the vendor's lock itself


# A node: literal segment (lower case) or "*" -> node; "" -> {verb: operation}
TREE: dict[str, Any] = {}


def operation(
    name: str, *routes: str, rights: tuple[str, ...] = (), options: set[str] | None = None, unlocked: bool = False
) -> Callable[[Handler], Handler]:
    """Register a function for routes like ``GET /users/*/messages/{message}``; names in braces become `Call.ids`.

    ``/users/*/`` stands for ``/me/`` too.
    """

    def register(handler: Handler) -> Handler:
        found = Operation(name, handler, rights, frozenset(o.lower() for o in options or ()), unlocked)
        for route in routes:
            verb, path = route.split(" ")
            for shape in (path, path.replace("/users/*", "/me", 1)) if path.startswith("/users/*") else (path,):
                node, names = TREE, []
                for part in shape.strip("/").split("/"):
                    names += [part[1:-1]] if part.startswith("{") else ["user"] if part == "*" else []
                    node = node.setdefault("*" if part.startswith(("{", "*")) else part.lower(), {})
                node.setdefault("", {})[verb] = (found, tuple(names))
        return handler

    return register


def segments(path: str) -> Iterator[str]:
    """Of a path below the version: keys in parentheses and qualified names become plain segments."""
    for part in path.strip("/").split("/"):
        plain = unquote(part).removeprefix("microsoft.graph.")
        name, bracket, key = plain.partition("(")
        if bracket and key.startswith("'") and key.endswith("')"):
            yield name
            yield key[1:-2]
        else:
            yield name if plain.endswith("()") else plain


def find(verb: str, path: str) -> tuple[Operation, dict[str, str]]:
    """The operation of a path, and its ids; GraphError for a path that Graph does not have."""
    node, values = TREE, []
    parts = list(segments(path))
    for part in _flat(parts):
        below = node.get(part.lower())
        if below is None:
            below = node.get("*")
            values.append(part)
        if below is None or not part:
            raise bad_request(f"Resource not found for the segment '{part}'.", "BadRequest")
        node = below
    verbs = node.get("", {})
    if verb not in verbs:
        if not verbs:
            raise bad_request(f"Resource not found for the segment '{parts[-1]}'.", "BadRequest")
        raise GraphError(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.",
                         headers={"Allow": ", ".join(sorted(verbs))})  # fmt: skip
    found, names = verbs[verb]
    return found, dict(zip(names, values, strict=True))


def _flat(parts: list[str]) -> list[str]:
    """mailFolders/A/childFolders/B is mailFolders/B, however deep."""
    out: list[str] = []
    for part in parts:
        if len(out) >= 2 and out[-1].lower() == "childfolders" and part.lower() not in ("$count", "delta"):
            del out[-2:]
        out.append(part)
    return out
