"""Values in request bodies: each kind of property has a reader that refuses what is none."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sandbox.microsoft.errors import GraphError, bad_request

Json = dict[str, Any]
ENUMS = {
    "importance": ("low", "normal", "high"),
    "inference": ("focused", "other"),
    "color": ("none", *(f"preset{n}" for n in range(25))),
    "flagged": ("notFlagged", "complete", "flagged"),
    "content": ("text", "html"),
}
DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?$")


def read_date(text: object) -> datetime:
    """An ISO moment with offset (a date alone is midnight, UTC); ValueError for anything else."""
    match = DATE.match(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is no date")
    clock = match[2] or "T00:00:00Z"
    if match[4]:
        clock = clock.replace(match[4], match[4][:7])
    return datetime.fromisoformat((match[1] + clock + ("" if match[5] or not match[2] else "Z")).replace("Z", "+00:00"))


def show_date(moment: float) -> str:
    """Seconds since the epoch as Graph writes them."""
    return datetime.utcfromtimestamp(int(moment)).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: DTZ004  (UTC is meant)


def _wrong(name: str, text: str = "") -> GraphError:
    return bad_request(text or f"Cannot convert a value to target type for property '{name}'.", "RequestBodyRead")


def _members(name: str, value: Any, known: tuple[str, ...]) -> Json:
    if not isinstance(value, dict):
        raise _wrong(name)
    for key in value:
        if key not in known and not key.startswith("@"):
            raise _wrong(
                name,
                f"The property '{key}' does not exist on type of '{name}'. Make sure to only use "
                "property names that are defined by the type.",
            )
    return value


def _enum(name: str, value: Any, kind: str) -> str:
    found = next((e for e in ENUMS[kind] if isinstance(value, str) and e.lower() == value.lower()), None)
    if found is None:
        raise _wrong(name, f"Requested value '{value}' was not found.")
    return found


def _recipient(name: str, value: Any) -> Json | None:
    if value is None:
        return None
    inner = _members(name, _members(name, value, ("emailAddress",)).get("emailAddress"), ("name", "address"))
    address, shown = inner.get("address"), inner.get("name")
    if not isinstance(address, (str, type(None))) or not isinstance(shown, (str, type(None))):
        raise _wrong(name)
    return {"emailAddress": {"name": shown or address or "", "address": address or ""}}


def _list(name: str, value: Any, one: Callable[[str, Any], Any]) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(name)
    return [one(name, item) for item in value]


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(name)
    return value


def _body(name: str, value: Any) -> Json:
    inner = _members(name, value, ("contentType", "content"))
    return {
        "contentType": _enum(name, inner.get("contentType", "text"), "content"),
        "content": _text(name, inner.get("content") or ""),
    }


def _moment(name: str, value: Any) -> Json:
    inner = _members(name, value, ("dateTime", "timeZone"))
    return {"dateTime": _text(name, inner.get("dateTime")), "timeZone": _text(name, inner.get("timeZone"))}


def _flag(name: str, value: Any) -> Json:
    dates = ("completedDateTime", "dueDateTime", "startDateTime")
    inner = _members(name, value, ("flagStatus", *dates))
    out: Json = {"flagStatus": _enum(name, inner.get("flagStatus", "notFlagged"), "flagged")}
    return out | {key: _moment(name, inner[key]) for key in dates if inner.get(key) is not None}


def _header(name: str, value: Any) -> Json:
    inner = _members(name, value, ("name", "value"))
    header = _text(name, inner.get("name"))
    if not header.lower().startswith("x-"):
        raise GraphError(
            400,
            "InvalidInternetMessageHeader",
            f"The internet message header name '{header}' should start with 'x-' or 'X-'.",
        )
    return {"name": header, "value": _text(name, inner.get("value"))}


def _binary(name: str, value: Any) -> bytes:
    try:
        return base64.b64decode(_text(name, value), validate=True)
    except ValueError:
        raise _wrong(name) from None


def _bool(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name)
    return value


def _date(name: str, value: Any) -> float:
    try:
        return read_date(value).timestamp()
    except ValueError:
        raise _wrong(name) from None


READERS: dict[str, Callable[[str, Any], Any]] = {
    "text": lambda n, v: "" if v is None else _text(n, v),
    "bool": _bool,
    "binary": _binary,
    "date": _date,
    "texts": lambda n, v: _list(n, v, _text),
    "recipients": lambda n, v: [r for r in _list(n, v, _recipient) if r],
    "recipient": _recipient,
    "headers": lambda n, v: _list(n, v, _header),
    "body": _body,
    "flag": _flag,
    "importance": lambda n, v: _enum(n, v, "importance"),
    "inference": lambda n, v: _enum(n, v, "inference"),
    "color": lambda n, v: _enum(n, v, "color"),
    "extended": lambda n, v: _list(n, v, lambda m, x: _members(m, x, ("id", "value"))),
    "attachments": lambda n, v: _list(n, v, lambda m, x: x),
    "list": lambda n, v: v,
    "int": lambda n, v: v,
    "moment": lambda n, v: v,
}
