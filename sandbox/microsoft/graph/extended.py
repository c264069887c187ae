"""Extended properties: given ones, those that Exchange computes, those that mean something (`providers.md 2.7`)."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sandbox.microsoft.errors import GraphError, bad_request
from sandbox.microsoft.graph import reading
from sandbox.microsoft.graph.values import read_date, show_date
from sandbox.microsoft.mail.mime import normal_subject

if TYPE_CHECKING:
    from sandbox.microsoft.graph.items import Folder, Item

Json = dict[str, Any]
KINDS = "ApplicationTime Binary Boolean CLSID Currency Double Error Float Guid Integer Long Null Object Short String"
TYPES = {name.lower(): name for name in (*KINDS.split(), "SystemTime")}
FORM = re.compile(
    r"(\w+)\s+(?:(0x[0-9a-f]+)|\{?([0-9a-f-]{36})\}?\s+(?:(id)\s+(0x[0-9a-f]+)|(name)\s+(.+)))$", re.IGNORECASE
)
FLAGS = "Integer 0xe07"  # PidTagMessageFlags
READ, UNSENT = 0x1, 0x8
DELIVERED, SUBMITTED = "SystemTime 0xe06", "SystemTime 0x39"


def key_of(ident: object) -> str:
    """The id in one spelling: type and hexadecimal without case, a name with its case (`providers.md GR-13`)."""
    match = FORM.match(ident.strip()) if isinstance(ident, str) else None
    if match is None or match[1].lower() not in TYPES:
        raise bad_request(f"The property ID '{ident}' is invalid.", "ErrorInvalidExtendedPropertyId")
    kind = TYPES[match[1].lower()]
    if match[2]:
        return f"{kind} 0x{int(match[2], 16):x}"
    space = f"{{{match[3].lower()}}}"
    return f"{kind} {space} Id 0x{int(match[5], 16):x}" if match[4] else f"{kind} {space} Name {match[7]}"


def _checked(key: str, value: Any) -> str:
    kind = key.split()[0]
    try:
        if not isinstance(value, str):
            raise ValueError("no text")
        if kind in ("Integer", "Short", "Long"):
            int(value)
        elif kind == "Boolean" and value.lower() not in ("true", "false"):
            raise ValueError("no truth value")
        elif kind == "SystemTime":
            return show_date(read_date(value).timestamp())
        elif kind == "Binary":
            base64.b64decode(value, validate=True)
    except ValueError:
        raise GraphError(400, "ErrorInvalidExtendedPropertyValue", f"Extended property value '{value}' is invalid for "
                         f"the type {kind}.") from None  # fmt: skip
    return value


def read_properties(entries: list[Json]) -> dict[str, Json]:
    """Of a body: key -> id as given, and value. GraphError 400 for what is no property."""
    out = {}
    for entry in entries:
        if "id" not in entry or "value" not in entry:
            raise bad_request("An extended property has an id and a value.", "ErrorInvalidExtendedProperty")
        key = key_of(entry["id"])
        out[key] = {"id": entry["id"], "value": _checked(key, entry["value"])}
    return out


def write(target: Item | Folder, properties: dict[str, Json]) -> None:
    """Keep them; flags and dates of a message count at its creation only, see `creation`."""
    target.extended.update({k: v for k, v in properties.items() if k not in (FLAGS, DELIVERED, SUBMITTED)})


def creation(item: Item, properties: dict[str, Json]) -> None:
    """What a creating body says with MessageFlags and the two dates (`providers.md GR-8`)."""
    if FLAGS in properties:
        flags = int(properties[FLAGS]["value"])
        item.message_flags = flags
        item.is_draft = bool(flags & UNSENT)
        item.is_read = bool(flags & READ)
    if DELIVERED in properties:
        item.received = read_date(properties[DELIVERED]["value"]).timestamp()
    if SUBMITTED in properties:
        item.sent = read_date(properties[SUBMITTED]["value"]).timestamp()


def _message_flags(item: Item) -> str:
    files = 0x10 if any(not f.inline for f in reading.files(item)) else 0
    known = item.message_flags & ~(READ | UNSENT | 0x10)
    return str(known | files | (READ if item.is_read else 0) | (UNSENT if item.is_draft else 0))


def _subject(item: Item) -> str:
    return str(reading.value(item, "subject"))


COMPUTED: dict[str, Callable[[Item], str]] = {
    FLAGS: _message_flags,
    DELIVERED: lambda i: show_date(i.received),
    SUBMITTED: lambda i: show_date(i.sent),
    "String 0x1a": lambda i: i.kind.message_class,
    "String 0x37": _subject,
    "String 0x70": lambda i: normal_subject(_subject(i)),
    "Binary 0x71": lambda i: base64.b64encode(i.index).decode(),
    "String 0xe1d": lambda i: normal_subject(_subject(i)),
    "String 0x1035": lambda i: str(reading.value(i, "internetMessageId") or ""),
    "String 0x1042": lambda i: i.mail.header("In-Reply-To") if i.mail else "",
    "String 0x1039": lambda i: i.mail.header("References") if i.mail else "",
}


def read(target: Item | Folder, key: str) -> Json | None:
    """One property as JSON, or None when the object does not have it."""
    stored = target.extended.get(key)
    if stored is not None:
        return {"id": key, "value": stored["value"]}
    computed = COMPUTED.get(key)
    if computed is None or not hasattr(target, "mail"):
        return None
    value = computed(target)  # type: ignore[arg-type]
    return {"id": key, "value": value} if value else None
