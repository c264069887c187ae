"""Module items: the kinds of things that people work on in the CRM, and what leaves and summaries show of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from sync.model import RecordRef

Scope = Literal["owned", "team", "visible"]  # the user's own, those of the user's teams, all that the user sees


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of a module, from the CRM's description."""

    name: str
    label: str
    type: Literal["text", "number", "money", "date", "datetime", "flag", "choice", "reference", "other"]
    required: bool = False  # it must be given at creation: not nillable, without a default
    writable: bool = True  # at creation
    default: str = ""
    choices: tuple[str, ...] = ()
    length: int = 0  # characters; 0: no limit told
    refers: tuple[str, ...] = ()  # kinds


@dataclass(frozen=True, slots=True)
class Module:
    """A kind of item that people work on: opportunity, case, a custom object. Names of fields are the CRM's; "" where
    the kind has none."""

    kind: str  # as in RecordRef: lower case
    name: str  # the CRM's own
    label: str  # "Opportunity"
    plural: str  # "Opportunities"
    fields: Mapping[str, FieldSpec]
    title: str
    number: str = ""
    amount: str = ""
    status: str = ""
    due: str = ""
    account: str = ""
    contact: str = ""
    creatable: bool = True
    activities: bool = True  # a mail can be related to its items


@dataclass(frozen=True, slots=True)
class Activity:
    """One line of an item's history."""

    at: datetime
    kind: str  # "email", "task", "event"
    subject: str
    who: str = ""


@dataclass(frozen=True, slots=True)
class ModuleItem:
    """An item as leaves and summaries show it. Texts are the CRM's, not escaped."""

    record: RecordRef
    title: str
    owner: str  # CRM user id
    closed: bool
    version: str  # opaque; differs when anything of the item differs
    changed: datetime  # last change or activity, aware
    number: str = ""
    amount: Decimal | None = None
    currency: str = ""  # ISO code where the CRM has several
    status: str = ""
    due: date | None = None
    owner_name: str = ""
    account: str = ""
    contact: str = ""
    fields: tuple[tuple[str, str], ...] = ()  # (label, value) of the policy's summary_fields
    activities: tuple[Activity, ...] = ()  # the newest first, at most 5
    view: str = ""  # links
    edit: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """The feed says that an item changed, at `at` (epoch seconds). `owner` is the CRM user id now; "" when the item is
    gone. `version` is that of `ModuleItem`."""

    record: RecordRef
    version: str
    owner: str = ""
    gone: bool = False
    at: float = 0.0
