"""The product's nouns: frozen data that core, engine, store and providers hand to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from sync.errors import RemoteError

T = TypeVar("T")
Role = Literal["from", "reply_to", "to", "cc", "bcc", "about"]  # about: whom a delivery report is about
Direction = Literal["received", "sent"]
MessageKind = Literal["mail", "bounce", "calendar", "receipt"]
NodeRole = Literal["container", "drop", "trigger", "marker"]
Trigger = Literal["label", "folder", "category", "click", "follow", "capture", "retry", "undo"]
Scope = Literal[
    "owned", "team", "visible"
]  # whose items: the user's own, of teams that the user is in, all that one sees


# --- mail -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Participant:
    """One address of a mail's header. `email` is lower case and syntactically plausible; `company` is the sender's
    Organization header (empty elsewhere)."""

    role: Role
    email: str
    name: str = ""
    company: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """`inline` parts are those the HTML body shows by Content-ID."""

    name: str
    content_type: str
    content: bytes
    inline: bool = False


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a MIME message says, whatever shape it is in. `defects` are texts without content."""

    message_id: str  # as in the header, with <>; a stable stand-in <...@mailspan.invalid> when the header is missing
    subject: str
    date: datetime | None  # aware, UTC
    participants: tuple[Participant, ...]
    text: str
    html: str
    attachments: tuple[Attachment, ...]
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    kind: MessageKind = "mail"
    automatic: bool = False
    defects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """A mail as it lies in one mailbox. `id` and `thread` mean something in that mailbox only (providers.md 1.6)."""

    id: str
    thread: str
    labels: frozenset[str]  # provider ids of the labels, folder or categories it carries now
    direction: Direction
    mime: Parsed
    received: datetime | None = None  # the provider's own date, aware, UTC
    size: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a mailbox says about one message: an event (from `changes`) or a level (from `dropped`)."""

    id: str
    thread: str
    labels: frozenset[str]  # provider ids that it carries after the last event of the page
    archived: bool = False  # it lay outside of the Inbox before it was dropped: do not put it back there
    arrived: bool = False  # it came or was sent since the cursor; never a draft, junk, a chat or what was thrown away
    split: bool = (
        False  # it begins a thread that may be the continuation of one which the mail system cut (at 100, say)
    )
    at: float = 0.0  # epoch seconds of its arrival, where the mail system tells it for nothing


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """`cursor` is opaque text. Absence means deletion only on a page that is `complete`."""

    changed: tuple[T, ...]
    cursor: str
    gone: tuple[str, ...] = ()
    more: bool = False
    complete: bool = False


# --- the drop tree --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """Where a mail is filed to: `archive` (contacts and leads only), `create` an item of `kind`, or an existing
    `record`. `stop` files nothing: it ends the follow of the mail's conversation."""

    action: Literal["archive", "create", "record", "stop"] = "archive"
    kind: str = ""
    id: str = ""

    @property
    def key(self) -> str:
        return ":".join(part for part in (self.action, self.kind, self.id) if part)

    @classmethod
    def parse(cls, key: str) -> Target:
        action, kind, identifier = [*key.split(":"), "", ""][:3]
        if action not in ("archive", "create", "record", "stop"):
            raise ValueError(f"no such target: {key!r}")
        return cls(action, kind, identifier)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Node:
    """One label, folder or category that Mailspan wants. Where a mail system has folders and categories, containers and
    drops are folders, triggers and markers are categories. `remote_id` is the one remembered, if any; `rename` says
    that the wanted name changed since it was set, so that a user's own renaming survives (product.md 7 L2)."""

    key: str  # "master", "drop.archive", "trigger.archive", "marker.done", "reason.no_sender", ...
    name: str
    parent: str | None = None
    role: NodeRole = "container"
    target: Target | None = None
    color: str = "grey"  # a word of core.labels.COLORS; the adapter knows the vendor's palette
    remote_id: str | None = None
    rename: bool = False


@dataclass(frozen=True, slots=True)
class Drop:
    """What it means that a mail carries a label: file it to `target`. `trigger` says how the user asked: by putting it
    somewhere (label, folder), which is undone when it is filed, or by a category, which leaves it where it is."""

    target: Target
    trigger: Trigger = "label"


@dataclass(frozen=True, slots=True)
class LabelTree:
    """Parents come before their children."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class LabelMap:
    """Node key -> the provider's id, for every node of the tree."""

    ids: Mapping[str, str]
    created: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """How one message is left: `remove` and `add` are provider ids. `home` puts it back to Inbox or Sent by
    direction; read state, stars, dates and other labels stay."""

    id: str
    remove: frozenset[str] = frozenset()
    add: frozenset[str] = frozenset()
    home: bool = True


@dataclass(frozen=True, slots=True)
class Note:
    """A mail that Mailspan puts into the mailbox: an item's summary. It is never sent, never unread, and never filed.

    `key` names it for ever; after a call without an answer the adapter finds it again by key and revision.
    """

    key: str  # "opportunity:006..."
    revision: str  # differs when it says something else
    place: str  # provider id of the label or folder it lies in
    sender: str  # the name that it shows
    subject: str
    text: str
    html: str
    date: datetime  # aware
    previous: str = ""  # provider id of the note that it replaces
    unsure: bool = False  # an earlier try may have put it: look for it first


SUMMARY_SENDER = "summary@mailspan.invalid"
"""From address of every `Note`: whoever reads a mail with it knows that Mailspan wrote it, on every mail system and in
every copy (`.invalid` is reserved, RFC 2606)."""


# --- the CRM --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RecordRef:
    """A CRM record. `kind` is user, contact, lead, account, email, task, or a module's name; an `id` that begins with
    "@" names a `NewRecord` of the same entry."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Person:
    """A user, contact or lead found for an address."""

    record: RecordRef
    name: str
    email: str  # the address it was found by, lower case
    account: RecordRef | None = None
    field: str = ""  # the CRM field that held the address
    owner: str = ""  # id of the CRM user who owns the record; of several people with one address, the user's own wins


@dataclass(frozen=True, slots=True)
class Account:
    record: RecordRef
    name: str
    found_by: Literal["name", "website", "email"] = "name"


@dataclass(frozen=True, slots=True)
class Filed:
    """A mail that the CRM already holds. `people` are the records related to it; `activity` the task beside it."""

    record: RecordRef
    people: frozenset[RecordRef] = frozenset()
    activity: RecordRef | None = None
    item: RecordRef | None = None  # the one item that the record is related to (also in `people`)


@dataclass(frozen=True, slots=True)
class Sent:
    """A filing whose outcome is unknown: enough to look for it where the CRM has no Message-ID (design.md 7).

    With `beside` the record looked for is a further activity of a mail that has one already: the one that is related to
    this record or, when its id is "", to any record of its kind.
    """

    message_id: str
    subject: str
    since: datetime
    beside: RecordRef | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """Everything one `match` call must answer. Addresses, domains and company names are lower case."""

    addresses: frozenset[str] = frozenset()
    message_ids: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()  # those whose account is wanted
    companies: frozenset[str] = frozenset()
    sent: tuple[Sent, ...] = ()
    items: frozenset[RecordRef] = frozenset()  # module items: are they there?

    def __bool__(self) -> bool:
        return bool(self.addresses or self.message_ids or self.domains or self.companies or self.sent or self.items)


@dataclass(frozen=True, slots=True)
class Directory:
    """The CRM's answer. Every asked key is present; an empty tuple means: asked, and there is none."""

    people: Mapping[str, tuple[Person, ...]] = field(default_factory=dict)  # by address
    by_domain: Mapping[str, tuple[Account, ...]] = field(default_factory=dict)
    by_company: Mapping[str, tuple[Account, ...]] = field(default_factory=dict)
    filed: Mapping[str, Filed] = field(default_factory=dict)  # by Message-ID; only those that are there
    beside: Mapping[tuple[str, RecordRef], Filed] = field(default_factory=dict)  # by Message-ID and `Sent.beside`
    items: Mapping[RecordRef, bool] = field(default_factory=dict)  # whether it is there, for this user

    def merge(self, other: Directory) -> Directory:
        """Both answers in one; `other` wins."""
        return Directory(
            {**self.people, **other.people},
            {**self.by_domain, **other.by_domain},
            {**self.by_company, **other.by_company},
            {**self.filed, **other.filed},
            {**self.beside, **other.beside},
            {**self.items, **other.items},
        )


@dataclass(frozen=True, slots=True)
class Abilities:
    """What this CRM organisation can do, from its own description."""

    email_record: bool  # a record kind of its own for e-mail that can be created
    shared_activities: bool  # one task related to several contacts
    email_fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # kind -> e-mail fields found by describe


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to create with the entry. `ref` is "@" + a name unique in the entry; `fields` are canonical: first_name,
    last_name, email, company, name, website; `account` may be a reference within the entry."""

    ref: str
    kind: Literal["contact", "lead", "account"]
    fields: Mapping[str, str]
    owner: str
    account: RecordRef | None = None


@dataclass(frozen=True, slots=True)
class NewItem:
    """A module item to create with the entry. `fields` are the CRM's own field names with values as JSON has them
    (`core.items` made them from the policy and the module's description); account and contact may be references within
    the entry."""

    kind: str
    fields: Mapping[str, str | int | float | bool]
    owner: str
    account: RecordRef | None = None
    contact: RecordRef | None = None
    ref: str = "@item"


@dataclass(frozen=True, slots=True)
class Relation:
    """A participant and the record it stands for (None: an address without a record)."""

    role: Literal["from", "to", "cc", "bcc", "other"]
    email: str
    name: str
    record: RecordRef | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One mail as the CRM shall hold it: written all-or-none, one entry per mail and target (design.md 4.7).

    With `existing` set the activity is there already: only missing relations are added, and it is related to the first
    target when it is related to no item, or to `moved_from`; `moved_from` says that the user moves the mail from there.
    With `item` a module item is created too; `targets` then begins with its reference.
    """

    key: str  # unique within one `file` call
    message_id: str
    record: Literal["email", "task"]
    completed: bool  # of a task: whether it is done
    owner: str  # CRM user id
    subject: str
    date: datetime
    incoming: bool
    text: str
    html: str
    relations: tuple[Relation, ...]
    create: tuple[NewRecord, ...] = ()
    targets: tuple[RecordRef, ...] = ()  # items it is related to, the primary one first
    attachments: tuple[Attachment, ...] = ()
    existing: Filed | None = None
    notes: tuple[str, ...] = ()  # what was left out and why, without content
    item: NewItem | None = None
    moved_from: RecordRef | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """What undoing one mail's filings takes back, in this order: activities get their former item back (None: no item),
    relations and activities that we wrote go, then records that we created, each only if nobody has touched it since.
    """

    key: str
    restore: tuple[tuple[RecordRef, RecordRef | None], ...] = ()
    unrelate: tuple[tuple[RecordRef, RecordRef], ...] = ()  # (activity, person)
    delete: tuple[RecordRef, ...] = ()  # activities
    created: tuple[RecordRef, ...] = ()  # items before contacts and leads, these before accounts


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item of a call. `records` maps to CRM records: the entry's "@" references, "activity",
    "activity.N" for further tasks, "added.N" for people added to an existing one; `id` is the provider's id of a note
    that was put."""

    key: str
    error: RemoteError | None = None
    records: Mapping[str, RecordRef] = field(default_factory=dict)
    notes: Sequence[str] = ()  # what was left out and why, without content
    id: str = ""

    @property
    def ok(self) -> bool:
        return self.error is None


@dataclass(frozen=True, slots=True)
class Item:
    """A CRM record as a person sees it in a list."""

    record: RecordRef
    title: str
    subtitle: str = ""
    link: str = ""
