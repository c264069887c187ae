"""Does a JSON value fit a field, and how is it stored (`providers.md SF-4`)?

Stored forms: text as it is, numbers as int or float, dates "2026-04-01", moments
"2026-04-01T08:00:00.000+0000" (always UTC, so that they compare as text), ids with 18 characters.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, date, datetime
from typing import Any

from sandbox.salesforce.errors import ApiError, wrong_id
from sandbox.salesforce.ids import long_id
from sandbox.salesforce.schema import NUMBERS, Field, Schema

EMAIL = re.compile(r"[^\s@<>,;:\"()\[\]]+@[^\s@<>,;:\"()\[\]]+\.[^\s@<>,;:\"()\[\].]{2,}")
OFFSET = re.compile(r"([+-]\d\d)(\d\d)$")


def stamp(moment: datetime, milliseconds: bool = False) -> str:
    """A moment as Salesforce writes it; system stamps have whole seconds."""
    at = moment.astimezone(UTC)
    thousandths = at.microsecond // 1000 if milliseconds else 0
    return f"{at:%Y-%m-%dT%H:%M:%S}.{thousandths:03d}+0000"


def moment(text: str) -> datetime:
    """The moment that an ISO 8601 text with an offset names; ValueError if none."""
    at = datetime.fromisoformat(OFFSET.sub(r"\1:\2", text.replace(" ", "T", 1)))
    if at.tzinfo is None:
        raise ValueError("a moment needs an offset")
    return at.astimezone(UTC)


SHAPES = {int: "VALUE_NUMBER_INT", float: "VALUE_NUMBER_FLOAT", dict: "START_OBJECT", list: "START_ARRAY"}


def _unreadable(kind: str, value: Any) -> ApiError:
    shape = f"VALUE_{value}".upper() if isinstance(value, bool) else SHAPES.get(type(value), "VALUE_STRING")
    return ApiError("JSON_PARSER_ERROR", f"Cannot deserialize instance of {kind} from {shape} value {value} or "
                    "request may be missing a required field at [line:1, column:1]")  # fmt: skip


def convert(field: Field, value: Any, schema: Schema) -> Any:
    """The stored form; ApiError if the value does not fit. None and "" are both no value."""
    if value is None:
        return False if field.type == "boolean" else None
    if field.type == "boolean":
        return _boolean(value)
    if field.type in NUMBERS:
        return _number(field, value)
    if field.type == "junctionidlist":
        return _junction(field, value, schema)
    if field.type in ("address", "location") or not isinstance(value, str):
        raise _unreadable({"datetime": "datetime", "date": "date"}.get(field.type, "string"), value)
    if field.type in ("date", "datetime"):
        return _when(field, value) if value else None
    if field.type in ("reference", "id"):
        return reference(field, value, schema) if value else None
    if field.type == "base64":
        return _bytes(value)
    return _text(field, value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false", "1", "0"):
        return value.lower() in ("true", "1")
    raise _unreadable("boolean", value)


def _number(field: Field, value: Any) -> int | float | None:
    if value == "":
        return None
    try:
        if isinstance(value, (bool, dict, list)):
            raise ValueError(value)
        number = float(value)
    except ValueError:
        raise _unreadable(field.type if field.type in ("int", "long") else "double", value) from None
    if field.type in ("int", "long"):
        if not number.is_integer():
            raise _unreadable(field.type, value)
        if abs(number) >= 10**field.length:
            raise _too_big(field)
        return int(number)
    if abs(number) >= 10 ** (field.length - field.scale):
        raise _too_big(field)
    return round(number, field.scale)


def _too_big(field: Field) -> ApiError:
    return ApiError("NUMBER_OUTSIDE_VALID_RANGE", f"{field.label}: value outside of valid range on numeric field",
                    [field.name])  # fmt: skip


def _junction(field: Field, value: Any, schema: Schema) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise _unreadable("JunctionIdList", value)
    return list(dict.fromkeys(reference(field, v, schema) for v in value))


def _when(field: Field, value: str) -> str:
    try:
        if field.type == "datetime":
            return stamp(moment(value), milliseconds=True)
        return date.fromisoformat(value[:10]).isoformat() if len(value) == 10 else stamp(moment(value))[:10]
    except ValueError:
        raise _unreadable(field.type, value) from None


def reference(field: Field, value: str, schema: Schema) -> str:
    """The id in its long form, of one of the field's objects (whether the record exists is not judged)."""
    full = long_id(value)
    if full is None:
        raise wrong_id(field.label, value, field.name, "MALFORMED_ID")
    if field.targets and schema.by_prefix.get(full[:3]) not in field.targets:
        raise wrong_id(field.label, value, field.name)
    return full


def _bytes(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=not re.search(r"\s", value))
    except (binascii.Error, ValueError):
        raise _unreadable("base64", "of the body") from None


def _text(field: Field, value: str) -> str | None:
    text = value if field.type == "textarea" else value.strip()
    if not text:
        return None
    if field.length and len(text) > field.length:
        shown = text if len(text) <= 255 else text[:255]
        raise ApiError("STRING_TOO_LONG", f"{field.label}: data value too large: {shown} (max length={field.length})",
                       [field.name])  # fmt: skip
    if field.type == "email" and not EMAIL.fullmatch(text):
        raise ApiError("INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {text}", [field.name])
    if field.type in ("picklist", "multipicklist") and field.may("R"):
        return _choice(field, text)
    return text.lower() if field.type == "email" else text


def _choice(field: Field, text: str) -> str:
    known = {v.lower(): v for v in field.values}
    parts = text.split(";") if field.type == "multipicklist" else [text]
    if any(part.strip().lower() not in known for part in parts):
        raise ApiError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                       f"{field.label}: bad value for restricted picklist field: {text}", [field.name])  # fmt: skip
    return ";".join(known[part.strip().lower()] for part in parts)
