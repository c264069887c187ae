"""What the store hands out and takes in. Addresses and secrets are left out of every repr, so no log can hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sync.model import RecordRef

MailboxStatus = Literal["new", "active", "parked", "disabled"]
FilingState = Literal["planned", "sent", "done", "parked"]
SightingState = Literal["open", "decided", "settled"]
SightingOutcome = Literal["done", "missing", "parked", "withdrawn", "gone"]


# --- configuration --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """What a `put_*` did. `fields` names what differed ("settings.login_url", "secrets"), never a value."""

    id: int
    state: Literal["created", "changed", "unchanged"]
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Connection:
    """One CRM organisation or mail domain. `status` is active or parked."""

    id: int
    name: str
    vendor: str
    settings: Mapping[str, Any]
    status: str
    status_reason: str | None
    secrets: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """`options` are those that differ from the defaults; `sync.policy.parse` reads them. `version` grows with each
    change."""

    id: int
    name: str
    options: Mapping[str, Any]
    version: int
    crm_connection_id: int
    mail_connection_id: int


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Who, and the scheduler's state. `token` is opaque text."""

    id: int
    policy_id: int
    status: MailboxStatus
    status_reason: str | None
    dirty: int
    handled: int
    urgent: int
    lease_owner: str | None
    lease_until: float
    fence: int
    next_due: float
    not_before: float
    swept_at: float | None
    synced_at: float | None
    address: str = field(repr=False)
    crm_user: str | None = field(repr=False)
    token: str | None = field(repr=False)


# --- scheduling -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a mailbox. `dirty` is the wakes that a look begun now covers."""

    mailbox_id: int
    owner: str
    fence: int
    dirty: int


# --- work -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewSighting:
    """An intent to record: a copy of a mail, and where it is to be filed. `target` is `Target.key`."""

    remote_id: str
    thread: str
    target: str
    labels: frozenset[str]
    archived: bool
    trigger: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """One copy of a mail in a mailbox and what became of it. `labels` are the drop labels it lay in."""

    id: int
    mailbox_id: int
    remote_id: str
    thread: str
    target: str
    labels: frozenset[str]
    archived: bool
    trigger: str
    filing_id: int | None
    state: SightingState
    outcome: SightingOutcome | None
    reason: str | None
    attempts: int
    not_before: float
    created_at: float
    settled_at: float | None
    calls: Any = None


@dataclass(frozen=True, slots=True)
class Pending:
    """What is not settled: how many, and when the first of them may be tried (None: there is none)."""

    count: int
    earliest: float | None


@dataclass(frozen=True, slots=True)
class Binding:
    """A sighting and the filing it stands for. `message_key` is the keyed hash of the Message-ID."""

    sighting_id: int
    connection_id: int
    message_key: str
    target: str
    trigger: str


@dataclass(frozen=True, slots=True)
class Filing:
    """One mail and target of the organisation: intent, journal and tracked message in one."""

    id: int
    connection_id: int
    message_key: str
    target: str
    state: FilingState
    reason: str | None
    trigger: str
    claimed_by: str | None
    claim_until: float
    sent_at: float | None
    records: Mapping[str, RecordRef]
    users: tuple[str, ...]
    trace: Any
    created_at: float
    done_at: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """A filing that the CRM holds now. `records` and `users` (CRM user ids) are added to those it had."""

    filing_id: int
    records: Mapping[str, RecordRef]
    users: Sequence[str]
    trace: Any = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to become of a sighting. `calls` is what it cost, by vendor and method."""

    sighting_id: int
    outcome: SightingOutcome
    reason: str | None = None
    calls: Any = None


@dataclass(frozen=True, slots=True)
class NewCreation:
    """The wish to create a record. `key` names the person or account (it is hashed before it is stored)."""

    kind: str
    key: str = field(repr=False)
    filing_id: int


@dataclass(frozen=True, slots=True)
class Creation:
    """`done`: use `remote_id`. `claimed` and `mine`: create it. `claimed` by another: come again later."""

    state: Literal["claimed", "done"]
    mine: bool
    remote_id: str | None


# --- reading for people ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ParkedItem:
    """A sighting that could not be filed."""

    sighting_id: int
    mailbox_id: int
    remote_id: str
    filing_id: int | None
    reason: str | None
    since: float


@dataclass(frozen=True, slots=True)
class Health:
    """A mailbox as `status` shows it. `lag` is the age in seconds of the oldest unsettled sighting; 0: none."""

    mailbox_id: int
    policy: str
    state: MailboxStatus
    reason: str | None
    lag: float
    open: int
    decided: int
    parked: tuple[ParkedItem, ...]
    next_due: float
    not_before: float
    synced_at: float | None
    address: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A filing and every copy of the mail that led to it."""

    filing: Filing
    sightings: tuple[Sighting, ...]
