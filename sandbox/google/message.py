"""HTTP requests and answers as the operations' side sees them, alone or as parts of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Json = dict[str, Any]


@dataclass(slots=True)
class Request:
    """One HTTP request, alone or as a part of a batch."""

    verb: str
    target: str  # path and query as sent
    headers: dict[str, str]  # lower-case names
    body: bytes

    @property
    def path(self) -> str:
        """Without the query, escapes kept."""
        return urlsplit(self.target).path


@dataclass(slots=True)
class Answer:
    """What goes back, with what the middleware wants to know."""

    status: int
    body: bytes = b""
    kind: str = "application/json; charset=UTF-8"
    headers: dict[str, str] = field(default_factory=dict)
    call: Json = field(default_factory=dict)


def read_request(environ: WSGIEnvironment) -> Request:
    """From WSGI; a GET that was too long for a URL comes as POST with X-HTTP-Method-Override (`providers.md 7.3`)."""
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    headers["content-type"] = environ.get("CONTENT_TYPE", "")
    verb, target, body = environ["REQUEST_METHOD"], environ["RAW_URI"], environ["wsgi.input"].read()
    override = headers.get("x-http-method-override", "")
    if verb == "POST" and override:
        verb = override.upper()
        if headers["content-type"].startswith("application/x-www-form-urlencoded"):
            target, body = target.split("?")[0] + "?" + body.decode("latin-1"), b""
    if "://" in target:
        parts = urlsplit(target)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
    return Request(verb, target, headers, body)
