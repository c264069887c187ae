"""HTTP requests and answers as the operations' side sees them, alone or as parts of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Json = dict[str, Any]
JSON_KIND = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"


@dataclass(slots=True)
class Request:
    """One HTTP request, alone or as a part of a batch."""

    verb: str
    target: str  # path and query as sent
    headers: dict[str, str]  # lower-case names
    body: bytes = b""
    lane: int = 0  # how many requests of the same app to the same mailbox are in flight, this one included

    @property
    def path(self) -> str:
        """Without the query, escapes kept."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """Without the question mark, escapes kept."""
        return self.target.partition("?")[2]

    @property
    def token(self) -> str:
        """Of the Authorization header, "" without one."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


@dataclass(slots=True)
class Answer:
    """What goes back, with what the middleware wants to know."""

    status: int
    body: bytes = b""
    kind: str = JSON_KIND
    headers: dict[str, str] = field(default_factory=dict)
    call: Json = field(default_factory=dict)


def read_request(environ: WSGIEnvironment) -> Request:
    """From WSGI."""
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    headers["content-type"] = environ.get("CONTENT_TYPE", "")
    target = environ["RAW_URI"]
    if "://" in target:
        parts = urlsplit(target)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
    return Request(environ["REQUEST_METHOD"], target, headers, environ["wsgi.input"].read())
