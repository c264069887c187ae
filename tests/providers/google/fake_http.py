"""An http object as the client library wants it, whose answers a function gives; batches are taken apart for it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httplib2

Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]
Handler = Callable[[str, str, Any], Answer]  # verb, path with query, JSON body
_PART = re.compile(r"Content-ID: <(?P<id>[^>]+)>.*?\n\n(?P<verb>[A-Z]+) (?P<path>\S+) HTTP/1.1\n(?P<rest>.*)", re.S)


def refusal(status: int, reason: str, text: str = "", **headers: str) -> Answer:
    """Google's usual error."""
    body = {"error": {"code": status, "message": text, "errors": [{"reason": reason, "message": text}]}}
    return status, body, headers


@dataclass(slots=True)
class FakeHttp:
    """Every HTTP request is noted in `requests`, every call (also a batch's part) in `calls`."""

    handler: Handler
    requests: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    whole: Callable[[str], Answer | None] = lambda path: None  # answers an HTTP request before it is taken apart

    def request(
        self, uri: str, method: str = "GET", body: Any = None, **kwargs: Any
    ) -> tuple[httplib2.Response, bytes]:
        path = re.sub(r"^https://[^/]+", "", uri)
        self.requests.append(f"{method} {path}")
        first = self.whole(path)
        if first is not None:
            return _response(first)
        if path != "/batch":
            return _response(self._one(method, path, body))
        parts = [self._part(part) for part in body.split("--===============")[1:] if "Content-ID" in part]
        parts.reverse()  # order is not guaranteed
        content = "".join(f"--mark\r\n{part}\r\n" for part in parts) + "--mark--"
        response = httplib2.Response({"status": "200", "content-type": 'multipart/mixed; boundary="mark"'})
        return response, content.encode()

    def _part(self, part: str) -> str:
        found = _PART.search(part)
        assert found is not None, part
        _, _, body = found["rest"].partition("\n\n")
        status, content, *more = self._one(found["verb"], found["path"], body.strip() or None)
        headers = "".join(f"{name}: {value}\r\n" for name, value in (more[0] if more else {}).items())
        return (
            f"Content-Type: application/http\r\nContent-ID: <response-{found['id']}>\r\n\r\n"
            f"HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\n{headers}\r\n{json.dumps(content)}"
        )

    def _one(self, method: str, path: str, body: Any) -> Answer:
        self.calls.append(f"{method} {path}")
        return self.handler(method, path, json.loads(body) if body else None)


def _response(answer: Answer) -> tuple[httplib2.Response, bytes]:
    status, content, *more = answer
    headers = {"status": str(status), **(more[0] if more else {})}
    return httplib2.Response(headers), content if isinstance(content, bytes) else json.dumps(content).encode()
