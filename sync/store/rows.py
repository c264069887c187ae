"""What the store hands out and takes in. Addresses and secrets are left out of every repr, so no log can hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

MailboxStatus = Literal["new", "active", "parked", "disabled"]
FilingState = Literal["planned", "sent", "done", "parked", "moved", "undone"]
SightingState = Literal["open", "decided", "settled"]
SightingOutcome = Literal["done", "missing", "parked", "withdrawn", "gone", "undone"]


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
    crm_user_id: str | None
    address: str = field(repr=False)
    crm_user: str | None = field(repr=False)
    token: str | None = field(repr=False)


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


class Pending(NamedTuple):
    """What is not settled: how many, and when the first of them may be tried (infinity: there is none)."""

    unsettled: int
    earliest: float


@dataclass(frozen=True, slots=True)
class Filing:
    """One mail and target of the organisation: intent, journal and tracked message in one.

    `records` are CRM records as (kind, id) by their name in the entry; `users` the ids of the mailboxes it was filed
    for. `sent_at` is 0 when it was never sent.
    """

    id: int
    connection_id: int
    message_key: str
    target: str
    state: FilingState
    reason: str | None
    trigger: str
    claimed_by: str | None
    claim_until: float
    sent_at: float
    records: Mapping[str, tuple[str, str]]
    users: tuple[int, ...]
    trace: Any
    created_at: float
    done_at: float | None


@dataclass(frozen=True, slots=True)
class Creation:
    """Who creates a person or account. `mine`: create it. Else `filing_id` does (`claimed`) or just did (`done`, as
    `remote_id`): come again later."""

    state: Literal["claimed", "done"]
    mine: bool
    remote_id: str | None
    filing_id: int


@dataclass(frozen=True, slots=True)
class Listed:
    """An item as a list of the CRM shows it."""

    record_id: str
    version: str
    active_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredItem:
    """A module item of a mailbox. `number` is its own for ever; `version` that of the CRM when leaf and note were last
    made true; the digests are keyed hashes of the wanted name and of what the note says."""

    kind: str
    record_id: str
    number: int
    state: Literal["active", "closed", "gone"] = "active"
    leaf_id: str | None = None
    leaf_digest: str | None = None
    note_id: str | None = None
    note_digest: str | None = None
    version: str | None = None
    due: bool = True
    attempts: int = 0
    not_before: float = 0.0
    active_at: float = 0.0
    closed_at: float | None = None
    touches: int = 0  # how often it was told that it changed


@dataclass(frozen=True, slots=True)
class Follow:
    """A followed conversation of a mailbox. `since` is the arrival of the mail that began it."""

    id: int
    thread: str
    target: str
    subject_hash: str
    filing_id: int | None
    scanned: bool
    mails: int
    since: float
    created_at: float


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
class ModuleHealth:
    """The items of a module (its kind) in a mailbox: how many have a leaf, how many a summary, how many are due to be
    made true. `capped`: there are more of them than the policy shows."""

    kind: str
    leaves: int
    summaries: int
    due: int
    capped: bool


@dataclass(frozen=True, slots=True)
class Feed:
    """A CRM connection whose changed items are asked for; `asked_at` is when that succeeded last."""

    connection: str
    asked_at: float | None


@dataclass(frozen=True, slots=True)
class Health:
    """A mailbox as `status` shows it. `lag` is the age in seconds of the oldest unsettled sighting; 0: none.
    `unusable` are modules of the policy that the CRM has not, and why."""

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
    follows: int
    modules: tuple[ModuleHealth, ...]
    unusable: Mapping[str, str]
    address: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A filing and every copy of the mail that led to it."""

    filing: Filing
    sightings: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True)
class Undoing:
    """What became of a request to undo: `filings` are taken back soon, `busy` are still being filed (ask again)."""

    filings: int
    busy: int
    mailboxes: tuple[int, ...] = ()
