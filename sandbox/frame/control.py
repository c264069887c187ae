"""The control API: what tests, the demo and a curious person tell the sandbox."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from sandbox.frame.organisation import read_organisation

if TYPE_CHECKING:
    from sandbox.frame.frame import Frame


class Refused(Exception):
    """A request that makes no sense; becomes a 4xx with its text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def _body(*known: str) -> dict[str, Any]:
    """The JSON object of the request; {} without a body. With `known`, other members are refused."""
    data = request.get_data(parse_form_data=False)
    if not data:
        return {}
    try:
        body = json.loads(data)
    except ValueError as error:
        raise Refused(400, f"not JSON: {error}") from None
    if not isinstance(body, dict):
        raise Refused(400, "the body must be a JSON object")
    unknown = sorted(set(body) - set(known)) if known else []
    if unknown:
        raise Refused(400, f"unknown member(s) {', '.join(unknown)}; known are {', '.join(known)}")
    return body


def control_app(frame: Frame) -> Flask:
    """The Flask app of the control port."""
    app = Flask("sandbox.control")
    _errors(app)
    _life(app, frame)
    _clock(app, frame)
    _faults(app, frame)
    _looks(app, frame)
    return app


def _errors(app: Flask) -> None:
    @app.errorhandler(Refused)
    def refused(error: Refused) -> ResponseReturnValue:
        return {"error": str(error)}, error.status

    @app.errorhandler(LookupError)
    def unknown(error: LookupError) -> ResponseReturnValue:
        return {"error": str(error.args[0]) if error.args else "not found"}, 404

    @app.errorhandler(ValueError)
    def wrong(error: ValueError) -> ResponseReturnValue:
        return {"error": str(error)}, 400

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> ResponseReturnValue:
        return {"error": error.description}, error.code or 500


def _life(app: Flask, frame: Frame) -> None:
    @app.get("/")
    def ready() -> ResponseReturnValue:
        return jsonify(frame.ready())

    @app.post("/reset")
    def reset() -> ResponseReturnValue:
        frame.reset(seed=bool(_body("seed").get("seed", True)))
        return jsonify(frame.ready())

    @app.post("/seed")
    def seed() -> ResponseReturnValue:
        body = _body("organisation", "file", "mail", "add")
        if ("organisation" in body) == ("file" in body):
            raise Refused(400, "give either organisation (the data) or file (a path)")
        path = Path(body["file"]) if "file" in body else None
        org = body["organisation"] if path is None else read_organisation(path)
        mail = Path(body["mail"]) if body.get("mail") else path.parent / "mail" if path else None
        if not body.get("add"):
            frame.reset(seed=False)
        frame.seed(org, mail)
        return jsonify(frame.ready())


def _clock(app: Flask, frame: Frame) -> None:
    @app.get("/clock")
    def read() -> ResponseReturnValue:
        return {"now": frame.clock.now().isoformat(), "time": frame.clock.time()}

    @app.post("/clock")
    def advance() -> ResponseReturnValue:
        body = _body("advance", "now")
        if len(body) != 1:
            raise Refused(400, "give either advance (seconds) or now (ISO 8601 with offset)")
        if "now" in body:
            frame.clock.advance((datetime.fromisoformat(body["now"]) - frame.clock.now()).total_seconds())
        else:
            frame.clock.advance(float(body["advance"]))
        return read()


def _faults(app: Flask, frame: Frame) -> None:
    @app.get("/faults")
    def faults() -> ResponseReturnValue:
        return jsonify([asdict(fault) for fault in frame.faults.list()])

    @app.post("/faults")
    def add() -> ResponseReturnValue:
        orders = _body().get("faults") or [_body()]
        if not isinstance(orders, list) or not all(isinstance(order, dict) for order in orders):
            raise Refused(400, 'the body must be a fault, or {"faults": [fault, ...]}')
        for order in orders:
            if order.get("vendor") is not None and order["vendor"] not in frame.vendors:
                raise Refused(400, f"no vendor {order['vendor']!r}")
        return jsonify([asdict(frame.faults.add(order)) for order in orders])

    @app.delete("/faults")
    @app.delete("/faults/<int:fault_id>")
    def clear(fault_id: int | None = None) -> ResponseReturnValue:
        frame.faults.clear(fault_id)
        return faults()


def _looks(app: Flask, frame: Frame) -> None:
    def vendor(name: str) -> Any:
        if name not in frame.vendors:
            raise Refused(404, f"no vendor {name!r}; there are {', '.join(frame.vendors)}")
        return frame.vendors[name]

    @app.get("/meter")
    def meter() -> ResponseReturnValue:
        return jsonify(frame.meter.read())

    @app.post("/meter/reset")
    def meter_reset() -> ResponseReturnValue:
        frame.meter.reset()
        return jsonify(frame.meter.read())

    @app.get("/settings")
    def settings() -> ResponseReturnValue:
        return jsonify(
            {name: {"value": frame.settings[name], "help": text} for name, text in frame.settings.help.items()}
        )

    @app.post("/settings")
    def change() -> ResponseReturnValue:
        frame.settings.change(_body())
        return jsonify(dict(frame.settings))

    @app.post("/act/<name>/<action>")
    def act(name: str, action: str) -> ResponseReturnValue:
        return jsonify(vendor(name).act(action, _body()))

    @app.get("/stories")
    def stories() -> ResponseReturnValue:
        return jsonify(frame.stories())

    @app.get("/mail/<name>")
    def mail(name: str) -> ResponseReturnValue:
        return Response(frame.mail(name), mimetype="message/rfc822")

    @app.get("/state/<name>")
    def state(name: str) -> ResponseReturnValue:
        dump = getattr(vendor(name), "state", None)
        if dump is None:
            raise Refused(501, f"{name} has no dump")
        return jsonify(dump())
