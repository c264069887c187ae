"""``POST /batch``: up to 100 calls in one multipart request (`providers.md 1.2 GM-16`)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from http.client import responses
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sandbox.frame.record import readable
from sandbox.google import upload
from sandbox.google.errors import GoogleError, bad_request, invalid, usual_body
from sandbox.google.message import Answer, Request
from sandbox.google.multipart import read_head, split

if TYPE_CHECKING:
    from sandbox.google.vendor import Google

Json = dict[str, Any]
Serve = Callable[[Request], Answer]
LIMIT = 100
REQUEST_LINE = re.compile(rb"\s*([A-Z]+)[ \t]+(\S+)(?:[ \t]+HTTP/[\d.]+)?[ \t]*\r?\n?")


def serve(google: Google, one: Serve, request: Request) -> Answer:
    """Answer a whole batch; its parts are metered and recorded one by one."""
    call: Json = {"method": "batch", "units": 0, "api": None, "parts": []}
    try:
        if request.verb != "POST":
            raise GoogleError(404)
        parts = split(request.body, request.headers.get("content-type", ""))
        if not parts:
            raise bad_request("The batch request has no parts.")
        if len(parts) > LIMIT:
            raise invalid(f"The batch request contains {len(parts)} calls; at most {LIMIT} are allowed.")
    except GoogleError as error:
        return Answer(error.status, json.dumps(error.body()).encode(), call={**call, "parts": None})
    chunks = [_part(google, one, request, headers, content, call["parts"]) for headers, content in parts]
    if google.frame.settings["gmail_batch_shuffle"]:
        google.frame.random.shuffle(chunks)
    mark = "batch_" + google.token(32)
    body = b"".join(b"--" + mark.encode() + b"\r\n" + chunk + b"\r\n" for chunk in chunks)
    return Answer(200, body + b"--" + mark.encode() + b"--", f"multipart/mixed; boundary={mark}", call=call)


def _part(
    google: Google, one: Serve, outer: Request, headers: dict[str, str], content: bytes, notes: list[Json]
) -> bytes:
    match = REQUEST_LINE.match(content)
    if match is None or not headers.get("content-type", "").startswith("application/http"):
        return _wrap(headers, Answer(400, json.dumps(bad_request("Failed to parse batch part.").body()).encode()))
    inner, body = read_head(content[match.end() :])
    parts = urlsplit(match[2].decode("latin-1"))
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    inner.setdefault("authorization", outer.headers.get("authorization", ""))
    request = Request(match[1].decode(), target, inner, body)
    answer = _faulty(google, one, request)
    note = dict(answer.call)
    note |= {
        "verb": request.verb,
        "path": target,
        "status": answer.status,
        "request": readable(body, inner.get("content-type", "")),
        "response": readable(answer.body, answer.kind),
    }
    note.setdefault("api", google.api_of(target))
    notes.append(note)
    return _wrap(headers, answer)


def _faulty(google: Google, one: Serve, request: Request) -> Answer:
    """One part, with the faults that are ordered for it. A part cannot lose its connection: it gets 503."""
    if request.path.startswith(upload.PREFIXES):
        return Answer(400, json.dumps(invalid("Media uploads are not allowed in a batch.").body()).encode())
    grant = google.oauth.grant(request.headers["authorization"].partition(" ")[2])
    user = grant.user if grant else None
    fault = google.frame.faults.take("google", request.verb, request.target, user, request.body)
    call: Json = {"method": "refused", "units": 0, "user": user, "api": google.api_of(request.target)}
    if fault and fault.kind == "slow":
        time.sleep(fault.seconds)
    if fault and fault.kind in ("lost", "cut", "garbled"):
        call = one(request).call
    if fault and fault.kind in ("status", "garbled"):
        body = usual_body(fault.status) if fault.body is None else fault.body
        extra = fault.headers | ({} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"})
        return Answer(fault.status, json.dumps(body).encode(), headers=extra, call=call)
    if fault and fault.kind in ("reset", "lost", "cut"):
        return Answer(503, json.dumps(usual_body(503)).encode(), call=call)
    return one(request)


def _wrap(headers: dict[str, str], answer: Answer) -> bytes:
    ident = headers.get("content-id", "")
    lines = ["Content-Type: application/http"]
    if ident:
        lines.append(f"Content-ID: <response-{ident.removeprefix('<').removesuffix('>')}>")
    lines += ["", f"HTTP/1.1 {answer.status} {responses.get(answer.status, 'Status')}"]
    if answer.body:
        lines.append(f"Content-Type: {answer.kind}")
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    lines.append(f"Content-Length: {len(answer.body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + answer.body
