"""What an organisation can do, from its own description: one call, kept for twelve hours per user.

Field-level security makes the description differ from user to user (providers.md 5.1).
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sync.errors import Busy, RemoteError
from sync.model import Abilities
from sync.providers.salesforce import soql
from sync.providers.salesforce.auth import VENDOR
from sync.providers.salesforce.http import Client, Fault, error_for, faults
from sync.providers.salesforce.modules import Shapes

TTL_SECONDS = 12 * 3600
OBJECTS = (
    "EmailMessage", "EmailMessageRelation", "ContentVersion", "Task", "Contact", "Lead", "Account", "User",
)  # fmt: skip
KINDS: Mapping[str, str] = {"User": "user", "Contact": "contact", "Lead": "lead", "Account": "account"}
STATUSES = "SELECT ApiName, IsClosed, IsDefault FROM TaskStatus ORDER BY SortOrder, Id"

# further e-mail fields by name, whatever their type (product.md C9); with or without the underscore
_EMAIL_NAME = re.compile(r"(Email_?\d+|(Other|Personal|Work|Secondary)_?Email)__c", re.IGNORECASE)
# of a person account: the person's own addresses say nothing about a company
_PERSON = re.compile(r"PersonEmail$|__pc$")


@dataclass(frozen=True, slots=True)
class Field:
    """`length` is in characters, 0 where there is no limit; `required` on create, without a default."""

    name: str
    type: str = "string"
    length: int = 0
    createable: bool = True
    updateable: bool = True
    filterable: bool = True
    required: bool = False


@dataclass(frozen=True, slots=True)
class Sobject:
    """An object as this user may use it."""

    name: str
    createable: bool
    fields: Mapping[str, Field]
    children: Mapping[tuple[str, str], str] = field(default_factory=dict)  # (object, field) -> relationship

    @property
    def email_fields(self) -> tuple[str, ...]:
        """Filterable fields that hold an address; `Email` first, the others by name."""
        found = [
            item.name
            for item in self.fields.values()
            if item.filterable
            and (item.type == "email" or _EMAIL_NAME.fullmatch(item.name))
            and not _PERSON.search(item.name)
        ]
        return tuple(sorted(found, key=lambda name: (name != "Email", name)))

    @property
    def required_custom(self) -> tuple[str, ...]:
        """Custom fields without which nothing can be created."""
        return tuple(sorted(f.name for f in self.fields.values() if f.required and f.name.endswith("__c")))


@dataclass(frozen=True, slots=True)
class Description:
    """Objects that the user does not see are missing. The statuses are the values for an open and a closed task."""

    objects: Mapping[str, Sobject]
    open_status: str = "Not Started"
    closed_status: str = "Completed"

    @property
    def email_record(self) -> bool:
        found = self.objects.get("EmailMessage")
        return found is not None and found.createable

    @property
    def shared_activities(self) -> bool:
        found = self.objects.get("Task")
        return found is not None and "TaskWhoIds" in found.fields

    def abilities(self) -> Abilities:
        fields = {KINDS[name]: item.email_fields for name, item in self.objects.items() if name in KINDS}
        return Abilities(self.email_record, self.shared_activities, fields)


@dataclass(slots=True)
class _Cached:
    description: Description | None = None
    expires: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Descriptions:
    """The descriptions of a process, by organisation and user. Thread-safe; only one thread asks for each."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.shapes = Shapes(clock)
        self._clock = clock
        self._known: dict[tuple[str, ...], _Cached] = {}
        self._guard = threading.Lock()

    def of(self, client: Client, *, fresh: bool = False) -> Description:
        """The description for the client's user; `fresh` asks again, because the one known has proved wrong."""
        with self._guard:
            entry = self._known.setdefault(client.key, _Cached())
        with entry.lock:
            if fresh or entry.description is None or entry.expires <= self._clock():
                entry.description = fetch(client)
                entry.expires = self._clock() + TTL_SECONDS
            return entry.description

    def forget(self) -> None:
        """Ask again for everything: the organisation was changed."""
        with self._guard:
            self._known.clear()
        self.shapes.forget()


SHARED = Descriptions()


def fetch(client: Client) -> Description:
    """One call: a composite counts once, where a batch counts every part. Raises like `Client.call`; an object that the
    user does not see is left out."""
    paths = {name: f"{client.root}/sobjects/{name}/describe" for name in OBJECTS}
    requests = [
        {"method": "GET", "url": path, "referenceId": name}
        for name, path in {**paths, "TaskStatus": soql.url(client.root, STATUSES)}.items()
    ]
    answer = client.call("describe", "composite", {"allOrNone": False, "compositeRequest": requests})
    parts = {part["referenceId"]: part for part in answer.get("compositeResponse", ())}
    if len(parts) != len(requests):
        raise Busy("an incomplete answer", vendor=VENDOR, operation="describe")
    objects = {}
    for name in OBJECTS:
        if parts[name]["httpStatusCode"] == 200:
            objects[name] = _sobject(name, parts[name]["body"])
        elif parts[name]["httpStatusCode"] not in (403, 404):
            raise _error(parts[name])
    status = parts["TaskStatus"]
    return Description(objects, **_statuses(status["body"]["records"] if status["httpStatusCode"] == 200 else []))


def _error(part: Mapping[str, Any]) -> RemoteError:
    status = int(part["httpStatusCode"])
    fault = next(iter(faults(part.get("body"))), Fault(f"HTTP_{status}"))
    if status >= 500:
        return Busy(fault.code, retry_after=30.0, vendor=VENDOR, operation="describe", status=status)
    return error_for(fault, "describe", status)


def _sobject(name: str, raw: Mapping[str, Any]) -> Sobject:
    fields = {
        item["name"]: Field(
            item["name"],
            item["type"],
            int(item.get("length") or 0),
            bool(item["createable"]),
            bool(item["updateable"]),
            bool(item["filterable"]),
            bool(item["createable"] and not item["nillable"] and not item["defaultedOnCreate"]),
        )
        for item in raw["fields"]
    }
    children = {
        (one["childSObject"], one["field"]): str(one["relationshipName"])
        for one in raw.get("childRelationships") or ()
        if one.get("relationshipName")
    }
    return Sobject(name, bool(raw["createable"]), fields, children)


def _statuses(records: list[Mapping[str, Any]]) -> dict[str, str]:
    """The organisation's own first: the default of each sort, else the first in its order. `Completed` is what a closed
    activity is called where it exists, since several values may count as closed."""
    out = {}
    for key, closed in (("open_status", False), ("closed_status", True)):
        fitting = [record for record in records if bool(record["IsClosed"]) is closed]
        fitting.sort(key=lambda record: (not (closed and record["ApiName"] == "Completed"), not record["IsDefault"]))
        if fitting:
            out[key] = str(fitting[0]["ApiName"])
    return out
