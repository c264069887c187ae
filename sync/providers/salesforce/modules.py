"""Modules: what kinds of items an organisation has, from its own description, kept for twelve hours per user.

| what | found as |
|---|---|
| title | the name field; of a case the subject; of a kind that is numbered the first text, else the number |
| number | the case number, the number of a kind that is numbered |
| amount | a known field; of a custom object the first in a currency |
| status | StageName, Status, or the first choice with Stage or Status in its name |
| due | CloseDate, or the first date that is called due, close, end or deadline |
| account, contact | AccountId, ContactId, or the first reference to one that can be given at creation |
| activities | tasks or e-mails can be related to it, as its child relationships show |
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sync.errors import Busy, Rejected, RemoteError
from sync.modules import FieldSpec, Module
from sync.providers.salesforce import soql
from sync.providers.salesforce.asking import Asker
from sync.providers.salesforce.auth import VENDOR
from sync.providers.salesforce.http import Client, Fault, error_for, faults
from sync.providers.salesforce.values import OBJECTS

TTL_SECONDS = 12 * 3600
DESCRIBES_PER_CALL = 20
_NAME = re.compile(r"[A-Za-z]\w{0,79}")
FieldType = Literal["text", "number", "money", "date", "datetime", "flag", "choice", "reference", "other"]
TYPES: Mapping[str, FieldType] = {
    "currency": "money",
    **dict.fromkeys(("double", "int", "long", "percent"), "number"),
    **dict.fromkeys(("picklist", "multipicklist", "combobox"), "choice"),
    **dict.fromkeys(("string", "textarea", "email", "url", "phone", "encryptedstring"), "text"),
    "boolean": "flag",
    "date": "date",
    "datetime": "datetime",
    "reference": "reference",
}
# object -> the field that says which of its states are closed, and the object that lists them
STATES: Mapping[str, str] = {"Opportunity": "OpportunityStage", "Case": "CaseStatus"}
AMOUNTS: Mapping[str, str] = {"Opportunity": "Amount", "Quote": "GrandTotal"}
ACTIVITIES = frozenset({("Task", "WhatId"), ("EmailMessage", "RelatedToId")})
_STATE = re.compile(r"Stage|Status", re.IGNORECASE)
_WORDS = re.compile(r"[A-Z]?[a-z]+")
_DUE = frozenset({"due", "close", "closing", "end", "deadline"})


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A module, and what queries need to know of it. `labels`: field -> value -> what people read; `parents`: reference
    -> the name by which its record is reached; `children`: (object, field) -> the name by which they are reached."""

    module: Module
    prefix: str
    labels: Mapping[str, Mapping[str, str]]
    parents: Mapping[str, str]
    children: Mapping[tuple[str, str], str]

    def field(self, name: str) -> FieldSpec | None:
        """The field of this name in any case."""
        folded = name.casefold()
        found = self.module.fields.get(name)
        return found or next((one for key, one in self.module.fields.items() if key.casefold() == folded), None)

    def known(self, *names: str) -> tuple[str, ...]:
        """Those of these fields that the user sees."""
        return tuple(name for name in names if name in self.module.fields)


Found = Shape | RemoteError


@dataclass(slots=True)
class _Known:
    shapes: dict[str, tuple[float, Found]] = field(default_factory=dict)  # by the name asked for, folded
    lock: threading.Lock = field(default_factory=threading.Lock)


class Shapes:
    """The modules of a process, by organisation and user. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[tuple[str, ...], _Known] = {}
        self._guard = threading.Lock()

    def of(self, client: Client, names: Iterable[str]) -> dict[str, Found]:
        """What these kinds are; one call for twenty that are not known yet, one more for labels. `Rejected` stands for
        one that is none, and is not remembered: the administrator may be at it."""
        wanted = list(dict.fromkeys(names))
        with self._guard:
            known = self._known.setdefault(client.key, _Known())
        with known.lock:
            now = self._clock()
            fresh = {key: shape for key, (until, shape) in known.shapes.items() if until > now}
            missing = list({name.casefold(): name for name in wanted if name.casefold() not in fresh}.values())
            found = fetch(client, missing) if missing else {}
            for name, shape in found.items():
                fresh[name.casefold()] = shape
                if isinstance(shape, Shape):
                    kept = (now + TTL_SECONDS, shape)
                    known.shapes |= {name.casefold(): kept, shape.module.kind: kept}
            return {name: fresh[name.casefold()] for name in wanted}

    def forget(self) -> None:
        """Ask again for everything."""
        with self._guard:
            self._known.clear()


def fetch(client: Client, names: Sequence[str]) -> dict[str, Found]:
    """Describe them; those that are no API name, as it seems, are looked up as labels before. Raises like
    `Client.call`."""
    out = _describe(client, [name for name in names if _api_name(name)])
    unknown = [name for name in names if name not in out]
    if not unknown:
        return {name: _checked(name, out[name]) for name in names}
    labels: dict[str, str] = {}
    for row in client.call("describe", "sobjects", verb="GET").get("sobjects", ()):
        if row.get("queryable"):
            for label in (row["name"], row["name"].removesuffix("__c"), row["label"], row["labelPlural"]):
                labels.setdefault(str(label).casefold(), row["name"])
    real = {name: labels[name.casefold()] for name in unknown if name.casefold() in labels}
    made = _describe(client, list(dict.fromkeys(real.values())))
    out |= {name: made[api] for name, api in real.items() if api in made}
    return {name: _checked(name, out.get(name)) for name in names}


def _api_name(name: str) -> bool:
    folded = name.casefold()
    return _NAME.fullmatch(name) is not None and (folded in OBJECTS or folded.endswith("__c"))


def _checked(name: str, shape: Shape | None) -> Found:
    """A module, or why it is none."""
    if shape is None:
        return Rejected(f"{name}: the CRM has no such module, or the user does not see it", vendor=VENDOR)
    if not shape.module.activities:
        return Rejected(f"{name}: no activities can be related to {shape.module.plural}", vendor=VENDOR)
    return shape


def _describe(client: Client, names: Sequence[str]) -> dict[str, Shape]:
    """By name as given; those that are not there, or cannot be queried, are left out."""
    out: dict[str, Shape] = {}
    for at in range(0, len(names), DESCRIBES_PER_CALL):
        some = names[at : at + DESCRIBES_PER_CALL]
        states = [STATES[name] for name in STATES if name.casefold() in {one.casefold() for one in some}]
        urls = [f"{client.root}/sobjects/{name}/describe" for name in some]
        urls += [soql.url(client.root, soql.query(("ApiName", "IsClosed"), name)) for name in states]
        parts = Asker(client).parts([{"method": "GET", "url": url} for url in urls], operation="describe")
        closed = {}
        for name, part in zip(states, parts[len(some) :], strict=True):
            rows = part["body"]["records"] if part["httpStatusCode"] == 200 else ()
            closed[name] = frozenset(str(row["ApiName"]) for row in rows if row["IsClosed"])
        for name, part in zip(some, parts, strict=False):
            if part["httpStatusCode"] == 200 and part["body"]["queryable"]:
                out[name] = shape(part["body"], closed.get(STATES.get(part["body"]["name"], ""), frozenset()))
            elif part["httpStatusCode"] not in (200, 400, 403, 404):
                raise _error(part)
    return out


def _error(part: Mapping[str, Any]) -> RemoteError:
    status = int(part["httpStatusCode"])
    fault = next(iter(faults(part.get("body"))), Fault(f"HTTP_{status}"))
    if status >= 500:
        return Busy(fault.code, retry_after=30.0, vendor=VENDOR, operation="describe", status=status)
    return error_for(fault, "describe", status)


# --- from a description -----------------------------------------------------------------------------------------------


def shape(raw: Mapping[str, Any], closed: frozenset[str] = frozenset()) -> Shape:
    """The module of a description; `closed` are the states of an item that is closed."""
    items = [item for item in raw["fields"] if item["type"] not in ("address", "location", "base64")]
    specs = {item["name"]: _spec(item) for item in items}
    name = str(raw["name"])
    status = _status(specs)
    if status:
        choices = specs[status].choices
        specs[status] = replace(specs[status], choices=tuple(sorted(choices, key=lambda one: one in closed)))
    title, number = _title(name, items)
    children = {
        (one["childSObject"], one["field"]): str(one["relationshipName"])
        for one in raw.get("childRelationships") or ()
        if one.get("relationshipName")
    }
    module = Module(
        kind=name.lower(),
        name=name,
        label=str(raw["label"]),
        plural=str(raw["labelPlural"]),
        fields=specs,
        title=title,
        number=number,
        amount=_amount(name, specs),
        status=status,
        due=_due(specs),
        account=_lookup(specs, "AccountId", "Account"),
        contact=_lookup(specs, "ContactId", "Contact"),
        creatable=bool(raw["createable"]),
        activities=bool(ACTIVITIES & children.keys()),
    )
    labels = {
        item["name"]: {str(one["value"]): str(one["label"] or one["value"]) for one in item["picklistValues"]}
        for item in items
        if item.get("picklistValues")
    }
    parents = {item["name"]: str(item["relationshipName"]) for item in items if item.get("relationshipName")}
    return Shape(module, str(raw.get("keyPrefix") or ""), labels, parents, children)


def _spec(item: Mapping[str, Any]) -> FieldSpec:
    kind: FieldType = TYPES.get(item["type"], "other")
    active = [one for one in item.get("picklistValues") or () if one["active"]]
    preset = next((one["value"] for one in active if one.get("defaultValue")), None)
    default = item.get("defaultValue") if item.get("defaultValue") is not None else preset
    filled = item["defaultedOnCreate"] or item.get("autoNumber") or item.get("calculated")
    filled = filled or default is not None or item.get("defaultValueFormula")
    return FieldSpec(
        name=item["name"],
        label=str(item["label"]),
        type=kind,
        required=bool(item["createable"] and not item["nillable"] and not filled and kind != "flag"),
        writable=bool(item["createable"]),
        default="" if default is None else str(default),
        choices=tuple(str(one["value"]) for one in active),
        length=int(item.get("length") or 0) if kind == "text" else 0,
        refers=tuple(str(one).lower() for one in item.get("referenceTo") or ()),
    )


def _title(name: str, items: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """(title, number)"""
    if name == "Case":
        return "Subject", "CaseNumber"
    named = next((item for item in items if item.get("nameField")), None)
    if named is None:
        return "Id", ""
    if not named.get("autoNumber") and (named["createable"] or not name.endswith("__c")):
        return str(named["name"]), ""
    texts = [str(item["name"]) for item in items if item["type"] == "string" and item["createable"]]
    return (texts[0] if texts else str(named["name"])), str(named["name"])


def _amount(name: str, specs: Mapping[str, FieldSpec]) -> str:
    if name in AMOUNTS or not name.endswith("__c"):
        return AMOUNTS.get(name, "") if AMOUNTS.get(name) in specs else ""
    return next((one.name for one in specs.values() if one.type == "money"), "")


def _status(specs: Mapping[str, FieldSpec]) -> str:
    choices = [one.name for one in specs.values() if one.type == "choice"]
    named = [one for one in ("StageName", "Status") if one in choices]
    return next(iter([*named, *(one for one in choices if _STATE.search(one))]), "")


def _due(specs: Mapping[str, FieldSpec]) -> str:
    dates = [one.name for one in specs.values() if one.type == "date" and one.writable]
    found = [one for one in dates if _DUE & {word.lower() for word in _WORDS.findall(one)}]
    return "CloseDate" if "CloseDate" in dates else next(iter(found), "")


def _lookup(specs: Mapping[str, FieldSpec], usual: str, target: str) -> str:
    if usual in specs and specs[usual].writable:
        return usual
    fitting = [one.name for one in specs.values() if one.writable and target.lower() in one.refers]
    return next(iter(fitting), "")
