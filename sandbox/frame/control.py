"""The control API: what tests, the demo and a curious person tell the sandbox.

Plain WSGI: importing a web framework would be a fifth of the time that a test run waits for the
sandbox. `ROUTES` is the whole API.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import datetime
from http.client import responses
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sandbox.frame.organisation import read_organisation

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from sandbox.frame.frame import Frame

Body = dict[str, Any]
Handler = Callable[..., Any]  # (frame, body, *path parts) -> JSON, or bytes of a mail


class Refused(Exception):
    """A request that makes no sense; becomes a 4xx with its text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def _known(body: Body, *names: str) -> None:
    unknown = sorted(set(body) - set(names))
    if unknown:
        raise Refused(400, f"unknown member(s) {', '.join(unknown)}; known are {', '.join(names)}")


def _vendor(frame: Frame, name: str) -> Any:
    if name not in frame.vendors:
        raise Refused(404, f"no vendor {name!r}; there are {', '.join(frame.vendors)}")
    return frame.vendors[name]


# ---- life ----------------------------------------------------------------------------------------


def _ready(frame: Frame, _: Body) -> Any:
    return frame.ready()


def _reset(frame: Frame, body: Body) -> Any:
    _known(body, "seed")
    frame.reset(seed=bool(body.get("seed", True)))
    return frame.ready()


def _seed(frame: Frame, body: Body) -> Any:
    _known(body, "organisation", "file", "mail", "add")
    if ("organisation" in body) == ("file" in body):
        raise Refused(400, "give either organisation (the data) or file (a path)")
    path = Path(body["file"]) if "file" in body else None
    try:
        org = body["organisation"] if path is None else read_organisation(path)
    except OSError as error:
        raise Refused(400, str(error)) from None
    mail = Path(body["mail"]) if body.get("mail") else path.parent / "mail" if path else None
    if not body.get("add"):
        frame.reset(seed=False)
    frame.seed(org, mail)
    return frame.ready()


# ---- clock, faults, settings -----------------------------------------------------------------------


def _clock(frame: Frame, _: Body) -> Any:
    return {"now": frame.clock.now().isoformat(), "time": frame.clock.time()}


def _advance(frame: Frame, body: Body) -> Any:
    _known(body, "advance", "now", "frozen")
    if len(body) != 1:
        raise Refused(400, "give either advance (seconds), now (ISO 8601 with offset) or frozen (true)")
    if "frozen" in body:
        if body["frozen"] is not True:
            raise Refused(400, "only a reset lets it run again")
        frame.clock.freeze()
    elif "now" in body:
        moment = datetime.fromisoformat(str(body["now"]))
        if moment.tzinfo is None:
            raise Refused(400, "now needs an offset")
        frame.clock.advance((moment - frame.clock.now()).total_seconds())
    else:
        frame.clock.advance(float(body["advance"]))
    return _clock(frame, body)


def _faults(frame: Frame, _: Body) -> Any:
    return [asdict(fault) for fault in frame.faults.list()]


def _add_faults(frame: Frame, body: Body) -> Any:
    orders = body.get("faults") or [body]
    if not isinstance(orders, list) or not all(isinstance(order, dict) for order in orders):
        raise Refused(400, 'the body must be a fault, or {"faults": [fault, ...]}')
    for order in orders:
        if order.get("vendor") is not None and order["vendor"] not in frame.vendors:
            raise Refused(400, f"no vendor {order['vendor']!r}")
    return [asdict(frame.faults.add(order)) for order in orders]


def _clear_faults(frame: Frame, body: Body, fault_id: str | None = None) -> Any:
    frame.faults.clear(int(fault_id) if fault_id else None)
    return _faults(frame, body)


def _settings(frame: Frame, _: Body) -> Any:
    return {name: {"value": frame.settings[name], "help": text} for name, text in frame.settings.help.items()}


def _change_settings(frame: Frame, body: Body) -> Any:
    frame.settings.change(body)
    return dict(frame.settings)


# ---- looking and acting ---------------------------------------------------------------------------------


def _meter(frame: Frame, _: Body) -> Any:
    return frame.meter.read()


def _reset_meter(frame: Frame, _: Body) -> Any:
    frame.meter.reset()
    return frame.meter.read()


def _act(frame: Frame, body: Body, name: str, action: str) -> Any:
    return _vendor(frame, name).act(action, body)


def _stories(frame: Frame, _: Body) -> Any:
    return frame.stories()


def _mail(frame: Frame, _: Body, name: str) -> bytes:
    return frame.mail(name)


def _state(frame: Frame, _: Body, name: str) -> Any:
    dump = getattr(_vendor(frame, name), "state", None)
    if dump is None:
        raise Refused(501, f"{name} has no dump")
    return dump()


ROUTES: dict[str, dict[str, Handler]] = {
    r"/": {"GET": _ready},
    r"/reset": {"POST": _reset},
    r"/seed": {"POST": _seed},
    r"/clock": {"GET": _clock, "POST": _advance},
    r"/faults": {"GET": _faults, "POST": _add_faults, "DELETE": _clear_faults},
    r"/faults/(\d+)": {"DELETE": _clear_faults},
    r"/settings": {"GET": _settings, "POST": _change_settings},
    r"/meter": {"GET": _meter},
    r"/meter/reset": {"POST": _reset_meter},
    r"/act/([^/]+)/([^/]+)": {"POST": _act},
    r"/stories": {"GET": _stories},
    r"/mail/([^/]+)": {"GET": _mail},
    r"/state/([^/]+)": {"GET": _state},
}


class Control:
    """The WSGI callable of the control port."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._routes = [(re.compile(pattern), methods) for pattern, methods in ROUTES.items()]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        status, content = self._answer(environ)
        kind = "message/rfc822" if isinstance(content, bytes) else "application/json"
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        start_response(
            f"{status} {responses.get(status, 'Status')}", [("Content-Type", kind), ("Content-Length", str(len(data)))]
        )
        return [data]

    def _answer(self, environ: WSGIEnvironment) -> tuple[int, Any]:
        try:
            data = environ["wsgi.input"].read()
            handler, parts = self._find(environ["REQUEST_METHOD"], environ["PATH_INFO"])
            return 200, handler(self._frame, _read(data), *parts)
        except Refused as error:
            return error.status, {"error": str(error)}
        except LookupError as error:
            return 404, {"error": str(error.args[0]) if error.args else "not found"}
        except (ValueError, TypeError) as error:
            return 400, {"error": str(error)}

    def _find(self, method: str, path: str) -> tuple[Handler, list[str]]:
        for pattern, methods in self._routes:
            match = pattern.fullmatch(path)
            if match and method not in methods:
                raise Refused(405, f"{path} takes {', '.join(methods)}")
            if match:
                return methods[method], [unquote(part) for part in match.groups()]
        raise Refused(404, f"no {path}; there are {', '.join(ROUTES)}")


def _read(data: bytes) -> Body:
    """The JSON object of the request; {} without a body."""
    if not data:
        return {}
    try:
        body = json.loads(data)
    except ValueError as error:
        raise Refused(400, f"not JSON: {error}") from None
    if not isinstance(body, dict):
        raise Refused(400, "the body must be a JSON object")
    return body
