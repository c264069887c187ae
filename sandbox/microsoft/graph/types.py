"""Types of the resources as tables: what may be selected, filtered, sorted, created and changed.

A row is ``name kind flags``. Flags: ``f`` may stand in $filter, ``s`` in $orderby, ``c`` counts in a creation, ``p``
may be patched always, ``d`` may be patched while the message is a draft (`providers.md GR-9`), ``o`` comes only when it
is selected. A property without ``c`` in a creation is read-only: Graph passes over it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.microsoft.errors import GraphError, bad_request

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Property:
    """One row of a table."""

    name: str
    kind: str
    flags: str


def _table(text: str) -> dict[str, Property]:
    rows = (line.split() for line in text.strip().splitlines())
    return {row[0]: Property(row[0], row[1], row[2] if len(row) > 2 else "") for row in rows}


EXTENDED = {
    "singleValueExtendedProperties": Property("singleValueExtendedProperties", "extended", "fcpo"),
    "multiValueExtendedProperties": Property("multiValueExtendedProperties", "list", "o"),
}
MESSAGE = (
    _table("""
createdDateTime date fs
lastModifiedDateTime date fs
changeKey text
categories texts fcp
receivedDateTime date fs
sentDateTime date fs
hasAttachments bool f
internetMessageId text fcd
subject text fscd
bodyPreview text
importance importance fscp
parentFolderId text f
conversationId text f
conversationIndex binary
isDeliveryReceiptRequested bool cp
isReadReceiptRequested bool cp
isRead bool fcp
isDraft bool f
webLink text
inferenceClassification inference fcp
body body cd
sender recipient fscd
from recipient fscd
toRecipients recipients fcp
ccRecipients recipients fcp
bccRecipients recipients fcp
replyTo recipients cd
flag flag fcp
uniqueBody body o
internetMessageHeaders headers co
attachments attachments co
extensions list o
""")
    | EXTENDED
)
FOLDER = (
    _table("""
displayName text fscp
parentFolderId text f
childFolderCount int fs
unreadItemCount int fs
totalItemCount int fs
isHidden bool fc
childFolders list o
messages list o
messageRules list o
""")
    | EXTENDED
)
CATEGORY = _table("""
displayName text c
color color cp
""")
USER = _table("""
displayName text fs
givenName text f
surname text f
jobTitle text f
mail text fs
mobilePhone text
officeLocation text
preferredLanguage text
businessPhones texts
userPrincipalName text fs
accountEnabled bool fo
proxyAddresses texts fo
mailboxSettings list o
""")
EVENT_MESSAGE = _table("""
meetingMessageType text
startDateTime moment
endDateTime moment
location list
type text
isOutOfDate bool
isAllDay bool
isDelegated bool
recurrence list
""")
SUBSCRIPTION = _table("""
changeType text c
notificationUrl text cp
lifecycleNotificationUrl text c
resource text c
expirationDateTime date cp
clientState text c
latestSupportedTlsVersion text c
includeResourceData bool c
encryptionCertificate text c
encryptionCertificateId text c
notificationQueryOptions text
notificationUrlAppId text
applicationId text
creatorId text
""")
ATTACHMENT = _table("""
name text c
contentType text c
size int
isInline bool c
lastModifiedDateTime date
contentBytes binary c
contentId text c
contentLocation text c
item list co
""")
TYPES = {
    "message": MESSAGE,
    "mailFolder": FOLDER,
    "outlookCategory": CATEGORY,
    "user": USER,
    "subscription": SUBSCRIPTION,
    "attachment": ATTACHMENT,
}
ENUMS = {
    "importance": ("low", "normal", "high"),
    "inference": ("focused", "other"),
    "color": ("none", *(f"preset{n}" for n in range(25))),
    "flagged": ("notFlagged", "complete", "flagged"),
    "content": ("text", "html"),
}
DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?$")
RELAXED = ("Action", "@odata")


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


def read_body(kind: str, body: Any, wanted: str) -> Json:
    """The typed members of a body that count for a creation ("c") or a change ("pd"); read-only ones are left out.

    GraphError 400 for a property that the type does not have and for a value of another type (`providers.md SIM-4`).
    """
    if not isinstance(body, dict):
        raise bad_request(
            "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is "
            "of valid JSON format."
        )
    table, out = TYPES[kind], {}
    for name, value in body.items():
        row = table.get(name)
        if row is None and (name == "id" or "@" in name):
            continue
        if row is None:
            raise bad_request(
                f"The property '{name}' does not exist on type 'microsoft.graph.{kind}'. Make sure to "
                "only use property names that are defined by the type.",
                "RequestBodyRead",
            )
        if any(flag in row.flags for flag in wanted):
            out[name] = READERS[row.kind](name, value)
    return out
