"""Around each vendor's app: faults, latency, meter and recording.

A handler reports its call in ``environ["sandbox.call"]``, a dictionary with these members, all of
them optional:

``method``
    the operation's name for the meter, for example "gmail.users.messages.get"
``user``
    whom it is charged to (address or user name); ``units`` its cost (default 1)
``api``
    the name for the recording (default: the vendor's name); None keeps it out of the recording
``path``, ``verb``
    for the recording, when a mount point must be cut off or a header has overridden the method (then
    the body was the query, and is recorded as none)
``parts``
    of a batch: a list of such dictionaries, each also with ``verb``, ``path``, ``status``,
    ``request`` and ``response``; they are metered and recorded in place of the whole
"""

from __future__ import annotations

import io
import json
import logging
import time
from contextlib import nullcontext
from http.client import responses
from typing import TYPE_CHECKING, Any

from sandbox.frame.faults import BEFORE, Fault
from sandbox.frame.record import readable
from sandbox.frame.server import Line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from sandbox.frame.frame import Frame
    from sandbox.frame.vendor import Vendor

Headers = list[tuple[str, str]]
ONLOOKER = "HTTP_X_SANDBOX_ONLOOKER"  # requests with this header are not metered: a demo or a test that only looks
log = logging.getLogger("sandbox")


class Middleware:
    """WSGI callable that wraps the app of one vendor."""

    def __init__(self, frame: Frame, vendor: Vendor) -> None:
        self._frame = frame
        self._vendor = vendor
        self._name = vendor.name
        self._caller = getattr(vendor, "caller", lambda environ: None)
        self._gate = getattr(vendor, "gate", lambda environ, user: nullcontext())
        self._fault_body = getattr(vendor, "fault_body", None)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input_terminated"] = True
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        user = self._caller(environ)
        if ONLOOKER in environ:
            status, headers, answer = self._serve(environ, body, user)
        else:
            epoch = self._frame.meter.enter(self._name, user)
            try:
                with self._gate(environ, user):
                    status, headers, answer = self._serve(environ, body, user)
            finally:
                self._frame.meter.leave(self._name, user, epoch)
        start_response(status, headers)
        return [answer]

    def _serve(self, environ: WSGIEnvironment, body: bytes, user: str | None) -> tuple[str, Headers, bytes]:
        begun = time.perf_counter()
        answer = self._answer(environ, body, user)
        latency = self._frame.settings["latency_ms"].get(self._name, 0) / 1000
        time.sleep(max(0.0, begun + latency - time.perf_counter()))
        return answer

    def _answer(self, environ: WSGIEnvironment, body: bytes, user: str | None) -> tuple[str, Headers, bytes]:
        path = environ.get("RAW_URI") or environ["PATH_INFO"]
        fault = self._frame.faults.take(self._name, environ["REQUEST_METHOD"], path, user, body)
        line: Line = environ["sandbox.line"]
        if fault and fault.kind in BEFORE:
            if fault.kind == "reset":
                self._account(environ, body, 0, [], b"", user)
                line.reset()
            if fault.kind == "slow":
                time.sleep(fault.seconds)
            if fault.kind == "status":
                status, headers, answer = self._refuse(fault)
                self._account(environ, body, int(status[:3]), headers, answer, user)
                return status, headers, answer
        status, headers, answer = run(self._vendor.app, environ)
        self._account(environ, body, int(status[:3]), headers, answer, user)
        if fault and fault.kind == "lost":
            line.close()
        if fault and fault.kind == "cut":
            line.close(_head(status, headers) + answer[: int(len(answer) * fault.share)])
        if fault and fault.kind == "garbled":
            return self._refuse(fault)
        return status, headers, answer

    def _refuse(self, fault: Fault) -> tuple[str, Headers, bytes]:
        content = fault.body
        if content is None and self._fault_body is not None:
            content = self._fault_body(fault.status)
        kind = "text/plain; charset=UTF-8" if isinstance(content, str) else "application/json; charset=UTF-8"
        text = content if isinstance(content, str) else "" if content is None else json.dumps(content)
        answer = text.encode()
        headers = [("Content-Type", kind), ("Content-Length", str(len(answer)))]
        if fault.retry_after is not None:
            headers.append(("Retry-After", f"{fault.retry_after:g}"))
        return _line(fault.status), headers + list(fault.headers.items()), answer

    def _account(
        self, environ: WSGIEnvironment, body: bytes, status: int, headers: Headers, answer: bytes, user: str | None
    ) -> None:
        """Meter the call; record it when it was answered (status 0: it was not)."""
        call: dict[str, Any] = environ.get("sandbox.call") or {"method": "refused", "units": 0}
        path = call.get("path") or environ.get("RAW_URI") or environ["PATH_INFO"]
        parts = call.get("parts")
        for part in [] if ONLOOKER in environ else [call] if parts is None else parts:
            self._frame.meter.count(
                self._name,
                part.get("method", "other"),
                part.get("user") or user or "",
                part.get("units", 1),
                part.get("status", status),
            )
        recorder = self._frame.recorder
        if not (recorder.on and status and self._frame.settings["record"]):
            return
        if parts is not None:
            for part in parts:
                if part.get("api", self._name):
                    recorder.write(
                        {
                            "api": part.get("api", self._name),
                            "method": part["verb"],
                            "path": part["path"],
                            "status": part["status"],
                            "request": part.get("request"),
                            "response": part.get("response"),
                        }
                    )
            return
        api = call.get("api", self._default_api(path))
        if api:
            kind = next((v for n, v in headers if n.lower() == "content-type"), "")
            recorder.write(
                {
                    "api": api,
                    "method": call.get("verb") or environ["REQUEST_METHOD"],
                    "path": path,
                    "status": status,
                    "request": None if "verb" in call else readable(body, environ.get("CONTENT_TYPE", "")),
                    "response": readable(answer, kind),
                }
            )

    def _default_api(self, path: str) -> str | None:
        """The api of a request that a fault answered before the app saw it."""
        api_of = getattr(self._vendor, "api_of", None)
        return api_of(path) if api_of else self._name


def _line(status: int) -> str:
    return f"{status} {responses.get(status, 'Status')}"


def _head(status: str, headers: Headers) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def run(app: WSGIApplication, environ: WSGIEnvironment) -> tuple[str, Headers, bytes]:
    """Call a WSGI app and collect its whole answer; a crash of the app is a logged 500."""
    caught: list[tuple[str, Headers]] = []

    def start_response(status: str, headers: Headers, exc_info: Any = None) -> Any:
        caught.append((status, headers))
        return lambda data: None

    try:
        chunks = app(environ, start_response)
        try:
            answer = b"".join(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        status, headers = caught[-1]
    except Exception:
        log.exception("the simulator failed at %s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"])
        status, headers, answer = "500 Internal Server Error", [("Content-Type", "text/plain")], b"simulator failure"
    headers = [(n, v) for n, v in headers if n.lower() != "content-length"]
    return status, [*headers, ("Content-Length", str(len(answer)))], answer
