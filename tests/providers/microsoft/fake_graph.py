"""A client of `http.Api` whose answers a function gives; batches are taken apart for it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

BASE = "https://graph.example/v1.0"
Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]
Handler = Callable[[str, str, Any], Answer]  # verb, path with query, JSON body


def refusal(status: int, code: str = "", **headers: str) -> Answer:
    """Graph's usual error; its text names a person."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"error": {"code": code, "message": "about kim@widgets.example"}}, named


@dataclass(slots=True)
class FakeGraph:
    """Every HTTP request is noted in `requests`, every call (also a batch's part) in `calls`."""

    handler: Handler
    whole: Callable[[str], Answer | Exception | None] = lambda path: None  # before a request is taken apart
    base_url: str = BASE
    requests: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    @property
    def sender(self) -> FakeGraph:
        return self

    def forget(self, claims: str = "") -> None:
        self.forgotten.append(claims)

    def send(self, verb: str, url: str, headers: Mapping[str, str], content: bytes | None) -> httpx.Response:
        path = url.removeprefix(self.base_url)
        self.requests.append(f"{verb} {path}")
        self.headers.append(headers)
        body = json.loads(content) if content else None
        self.bodies.append(body)
        first = self.whole(path)
        if isinstance(first, Exception):
            raise first
        if first is not None:
            return _response(first)
        return _response(self._batch(body) if path == "/$batch" else self._one(verb, path, body))

    def _one(self, verb: str, path: str, body: Any) -> Answer:
        self.calls.append(f"{verb} {path}")
        return self.handler(verb, path, body)

    def _batch(self, body: Any) -> Answer:
        """In another order, as Graph does it; what depends on a refused part is not done."""
        replies: dict[str, dict[str, Any]] = {}
        for part in body["requests"]:
            if any(replies[key]["status"] >= 400 for key in part.get("dependsOn", ())):
                status, content, *more = refusal(424, "FailedDependency")
            else:
                status, content, *more = self._one(part["method"], part["url"], part.get("body"))
            shown = base64.b64encode(content).decode() if isinstance(content, bytes) else content
            headers = more[0] if more else {}
            replies[part["id"]] = {"id": part["id"], "status": status, "headers": headers, "body": shown}
        return 200, {"responses": list(reversed(replies.values()))}


def _response(answer: Answer) -> httpx.Response:
    status, content, *more = answer
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return httpx.Response(status, content=raw, headers=more[0] if more else {})
