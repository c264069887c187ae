"""What the contract suite of `CrmProvider` needs of an adapter's surroundings: an organisation as its people have it.

One `CrmWorld` per adapter. It acts and looks through the vendor's own API (or the reference's own data), never through
the adapter under test, so that the two can disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from sync.errors import Busy
from sync.model import RecordRef
from sync.ports import CrmProvider, Meter

FaultKind = Literal["throttled", "down", "reset", "lost", "expired", "revoked", "limit"]


@dataclass(frozen=True, slots=True)
class Activity:
    """A filed mail as people see it. `related` has a pair (role, record) for each person; of a task the role is
    "who". `addresses` are those without a record, by role. `items` are the other records it is related to."""

    record: RecordRef
    subject: str
    related: frozenset[tuple[str, RecordRef]]
    addresses: Mapping[str, frozenset[str]] = field(default_factory=dict)
    items: frozenset[RecordRef] = frozenset()
    text: str = ""
    html: str = ""
    incoming: bool | None = None  # None: a task does not tell
    closed: bool | None = None  # None: an e-mail is neither
    owner: RecordRef | None = None
    message_id: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def people(self) -> frozenset[RecordRef]:
        return frozenset(record for _, record in self.related)


class CrmWorld(Protocol):
    """An organisation that tests may command; new and empty but for the user `anna`."""

    name: str
    anna: RecordRef  # the user whom the adapter acts as, by default
    ben: RecordRef  # a colleague

    def crm(self, meter: Meter | None = None, *, extra_email_fields: Sequence[str] = ("auto",)) -> CrmProvider:
        """A new adapter object, as a new process would have."""

    # what is there

    def user(self, last_name: str, email: str, *, active: bool = True) -> RecordRef: ...

    def account(self, name: str, *, website: str = "", email: str = "") -> RecordRef:
        """`email` needs `email_field("account", ...)` before."""

    def contact(
        self, last_name: str, email: str = "", *, account: RecordRef | None = None, other_email: str = ""
    ) -> RecordRef:
        """`other_email` needs `email_field("contact", ...)` before."""

    def lead(self, last_name: str, email: str, *, converted: bool = False) -> RecordRef: ...

    def opportunity(self, name: str) -> RecordRef:
        """An item that a mail can be filed to."""

    def item(self, kind: str, title: str, *, owner: RecordRef | None = None, **values: Any) -> RecordRef:
        """An opportunity, a case or a project__c, by default Anna's. `values`: amount, status, due (ISO), account,
        contact, next_step, escalated."""

    def edit(self, record: RecordRef, *, by: RecordRef | None = None, **values: Any) -> None:
        """Somebody changes an item: `values` as above, title, owner, or closed=True."""

    def delete(self, record: RecordRef) -> None: ...

    def task(self, subject: str, text: str) -> RecordRef:
        """A task of an e-mail that somebody else wrote."""

    # how the organisation is

    def switch(self, *, email_record: bool | None = None, shared_activities: bool | None = None) -> None:
        """What the organisation can do from now on."""

    def email_field(self, kind: str) -> str:
        """The administrator adds a further e-mail field; its name."""

    def duplicate_rule(self, kind: str) -> None:
        """Another record of the kind with the same name (of people: the last name) is refused from now on."""

    def demand(self, kind: str) -> None:
        """The administrator demands of new records of the kind what no mail can give."""

    def private(self) -> None:
        """From now on users see only what is theirs, their teams' or shared with them."""

    def share(self, record: RecordRef, user: RecordRef) -> None: ...

    def team(self, record: RecordRef, user: RecordRef) -> None:
        """The user joins the team of an opportunity."""

    def rule(self, kind: str, message: str) -> None:
        """The administrator refuses new items of the kind."""

    def foreign_mail(self, message_id: str, subject: str) -> RecordRef:
        """An e-mail record that another product wrote and that cannot be related to an item any more."""

    def log(self, subject: str, about: RecordRef) -> RecordRef:
        """A colleague's task about an item, an account or a person."""

    def lock(self, record: RecordRef, *, writes: int = 1) -> None:
        """The next writes that touch the record find it in use by somebody else."""

    def fault(self, kind: FaultKind, *, retry_after: float | None = None, skip: int = 0) -> None:
        """The next call of an adapter but `skip` fails so: `lost` after its effect, the others before it. `expired`
        lets a sign-in help, `revoked` does not; `limit` is the organisation's daily number of calls."""

    def advance(self, seconds: float) -> None:
        """Time passes."""

    def requests(self) -> int:
        """Calls of adapters so far that count against the organisation's daily number."""

    # what one sees

    def activities(self) -> Sequence[Activity]:
        """Every mail that was filed, in order; the vendor's own doubles of an e-mail record are left out."""

    def count(self, kind: str) -> int: ...

    def snapshot(self) -> Any:
        """Everything that is there, in a form that can be compared; without the times at which it was read or
        changed."""

    def fields(self, record: RecordRef) -> Mapping[str, str]:
        """first_name, last_name, email, company, name, website, owner, account: those that have a value."""


@dataclass(slots=True)
class CountingMeter:
    """A `Meter` that notes all, and refuses when told."""

    spent: list[tuple[str, float]] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    usage: list[tuple[int, int]] = field(default_factory=list)
    empty: bool = False

    def spend(self, method: str, units: float, calls: int = 1) -> None:
        if self.empty:
            raise Busy("budget", retry_after=3.0)
        self.spent.append((method, units))

    def throttled(self, method: str, retry_after: float) -> None:
        self.refused.append(retry_after)

    def report(self, used: int, limit: int) -> None:
        self.usage.append((used, limit))
