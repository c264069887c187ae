"""``POST /$batch``: up to 20 calls in one request (`providers.md 2.9 GR-15`)."""

from __future__ import annotations

import base64
import json
import time
import uuid
from typing import TYPE_CHECKING, Any

from sandbox.frame.record import readable
from sandbox.microsoft.errors import GraphError, bad_request, error_body, usual_body
from sandbox.microsoft.http import Answer, Request

if TYPE_CHECKING:
    from sandbox.microsoft.graph.app import GraphApp
    from sandbox.microsoft.vendor import Microsoft

Json = dict[str, Any]
LIMIT = 20
BYTES = 4 * 1024 * 1024
PARALLEL = 4  # Graph runs so many parts of a batch at once (`providers.md 2.1`)
VERBS = ("GET", "POST", "PATCH", "PUT", "DELETE")


def serve(microsoft: Microsoft, app: GraphApp, request: Request) -> Answer:
    """Answer a whole batch; its parts are metered one by one, the whole is recorded."""
    request_id = str(uuid.uuid4())
    client_id = request.headers.get("client-request-id", "") or request_id
    headers = {"request-id": request_id, "client-request-id": client_id, "Cache-Control": "private"}
    notes: list[Json] = []
    try:
        if request.verb != "POST":
            raise GraphError(405)
        parts = read_parts(request.body)
        answers = _run(microsoft, app, request, parts, notes)
    except GraphError as error:
        content = error_body(error.code, error.text, microsoft.frame.clock.now(), request_id, client_id)
        call = {"method": "$batch", "units": 0}
        return Answer(error.status, json.dumps(content).encode(), headers=headers | error.headers, call=call)
    if microsoft.frame.settings["graph_batch_shuffle"]:
        microsoft.frame.random.shuffle(answers)
    body = json.dumps({"responses": answers}, ensure_ascii=False).encode("utf-8", "replace")
    if microsoft.frame.recorder.on and microsoft.frame.settings["record"]:
        microsoft.frame.recorder.write(
            {
                "api": "graph",
                "method": "POST",
                "path": request.target,
                "status": 200,
                "request": readable(request.body, "application/json"),
                "response": readable(body, "application/json"),
            }
        )
    return Answer(200, body, "application/json", headers, {"method": "$batch", "parts": notes})


def read_parts(body: bytes) -> list[Json]:
    """The requests of a batch, judged as a whole."""
    if len(body) > BYTES:
        raise GraphError(413)
    try:
        parts = json.loads(body)["requests"]
        idents = [part["id"] for part in parts]
        good = all(isinstance(i, str) and i and isinstance(p["url"], str) for i, p in zip(idents, parts, strict=True))
        good = good and bool(parts) and all(str(p["method"]).upper() in VERBS for p in parts)
    except (ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise bad_request("Invalid batch payload format.")
    if len(parts) > LIMIT:
        raise bad_request(
            f"Number of batch requests exceeds maximum number allowed of {LIMIT}.", "MaximumRequestsExceeded"
        )
    if len({i.lower() for i in idents}) != len(idents):
        raise bad_request("Request Id values in a batch must be unique, whatever their case.")
    _check_order(parts)
    return list(parts)


def _check_order(parts: list[Json]) -> None:
    """Fully parallel, fully sequential, or all others after the first (`providers.md 2.9`)."""
    known: list[str] = []
    for part in parts:
        wanted = part.get("dependsOn") or []
        if not isinstance(wanted, list) or any(w not in known for w in wanted):
            raise bad_request("Invalid dependsOn: a request depends on requests before it.")
        known.append(part["id"])
    some = [part for part in parts[1:] if part.get("dependsOn")]
    if some and len(some) != len(parts) - 1:
        raise bad_request("The dependsOn of a batch must be either for all requests or for none.")


def _run(microsoft: Microsoft, app: GraphApp, outer: Request, parts: list[Json], notes: list[Json]) -> list[Json]:
    answers: dict[str, Json] = {}
    if outer.lane < 0:
        raise microsoft.throttle.refusal("Application is over its MailboxConcurrency limit.")
    for number, part in enumerate(parts):
        wanted = part.get("dependsOn") or []
        failed = [w for w in wanted if answers[w]["status"] >= 400]
        if failed:
            content = error_body("FailedDependency", "One of the requests that it depends on has failed.",
                                 microsoft.frame.clock.now(), str(uuid.uuid4()))  # fmt: skip
            answers[part["id"]] = {"id": part["id"], "status": 424, "headers": {}, "body": content}
            continue
        crowded = not wanted and not any(p.get("dependsOn") for p in parts) and number % PARALLEL >= max(outer.lane, 1)
        answers[part["id"]] = _part(microsoft, app, outer, part, -1 if crowded else 1, notes)
    return list(answers.values())


def _part(microsoft: Microsoft, app: GraphApp, outer: Request, part: Json, lane: int, notes: list[Json]) -> Json:
    headers = {str(k).lower(): str(v) for k, v in (part.get("headers") or {}).items()}
    content, body = part.get("body"), b""
    if isinstance(content, str):
        body = content.encode()
    elif content is not None:
        body = json.dumps(content).encode()
    headers.setdefault("authorization", outer.headers.get("authorization", ""))
    request = Request(part["method"].upper(), "/v1.0/" + part["url"].lstrip("/"), headers, body, lane)
    if content is not None and "content-type" not in headers:
        text = "Write request id : " + part["id"] + " does not contain Content-Type header or body."
        refused = error_body("BadRequest", text, microsoft.frame.clock.now(), str(uuid.uuid4()))
        answer = Answer(400, json.dumps(refused).encode(), call={"method": "refused"})
    else:
        answer = _faulty(microsoft, app, request)
    notes.append({**answer.call, "api": None, "status": answer.status})
    shown = {name: value for name, value in answer.headers.items() if name not in ("request-id", "client-request-id")}
    out: Json = {"id": part["id"], "status": answer.status, "headers": shown}
    if answer.body:
        out["headers"]["Content-Type"] = answer.kind
        is_json = answer.kind.startswith("application/json")
        out["body"] = json.loads(answer.body) if is_json else base64.b64encode(answer.body).decode()
    return out


def _faulty(microsoft: Microsoft, app: GraphApp, request: Request) -> Answer:
    """One part, with the faults that are ordered for it. A part cannot lose its connection: it gets 504."""
    grant = microsoft.oauth.grant(request.token)
    user = microsoft.mailbox_of(request, grant) if grant else None
    fault = microsoft.frame.faults.take("microsoft", request.verb, request.target, user, request.body)
    call: Json = {"method": "refused", "units": 0, "user": user}
    if fault and fault.kind == "slow":
        time.sleep(fault.seconds)
    if fault and fault.kind in ("lost", "cut", "garbled"):
        call = app.one(request).call
    if fault and fault.kind in ("status", "garbled"):
        content = usual_body(fault.status, microsoft.frame.clock.now()) if fault.body is None else fault.body
        extra = fault.headers | ({} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"})
        return Answer(fault.status, json.dumps(content).encode(), headers=dict(extra), call=call)
    if fault and fault.kind in ("reset", "lost", "cut"):
        return Answer(504, json.dumps(usual_body(504, microsoft.frame.clock.now())).encode(), call=call)
    return app.one(request)
