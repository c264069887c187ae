"""What the contract suite of `MailProvider` needs of an adapter's surroundings: a mailbox as its user has it.

One `MailWorld` per adapter. Its mailboxes act and look through the vendor's own API (or the reference's own data),
never through the adapter under test, so that the two can disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from itertools import count
from typing import Literal, Protocol

from sync.core.labels import clean
from sync.errors import Busy
from sync.model import SUMMARY_SENDER, Note
from sync.ports import MailProvider, Meter

FaultKind = Literal["throttled", "down", "reset", "lost", "revoked"]
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class State:
    """A message as its user sees it. `labels` are ids of the user's labels (folders, categories) on it. Where a mail to
    oneself is two messages, `inbox` and `sent` tell of both."""

    labels: frozenset[str]
    inbox: bool
    sent: bool = False
    unread: bool = False
    starred: bool = False


class UserMailbox(Protocol):
    """One mailbox, new and empty of messages."""

    def provider(self, meter: Meter | None = None) -> MailProvider:
        """A new adapter object, as a new process would have."""

    def deliver(self, raw: bytes, *, labels: Sequence[str] = (), inbox: bool = True) -> str:
        """A mail arrives, unread; with `labels` a rule of the user labels it on arrival (of several folders it gets the
        first). Its id."""

    def sent(self, raw: bytes, *, to_self: bool = False) -> str:
        """The user has sent a mail (`to_self`: it lies in the Inbox too). Its id."""

    def drop(self, message_id: str, label: str, *, move: bool = True) -> str:
        """The user drops a mail on a label; `move` takes it out of the Inbox. The id of the message that lies there
        then: where labels are folders that is another one, a copy, without `move`."""

    def undrop(self, message_id: str, label: str) -> None:
        """The user takes a label off again."""

    def archive(self, message_id: str) -> None: ...

    def star(self, message_id: str) -> None: ...

    def mark_read(self, message_id: str) -> None: ...

    def delete(self, message_id: str) -> None:
        """The message is gone for good."""

    def create_label(self, *path: str, marker: bool = False) -> str:
        """The user creates a label below the others of the path, of the kind that drops are or that `marker`s are. Its
        id."""

    def rename_label(self, label: str, name: str) -> None:
        """As the vendor's own page does it: what lies below follows."""

    def delete_label(self, label: str) -> None:
        """As the vendor's own page does it; where labels are folders, what lies below goes along."""

    def labels(self) -> Mapping[str, tuple[str, ...]]:
        """Id -> path of every user label there is."""

    def state(self, message_id: str) -> State: ...

    def draft(self, raw: bytes) -> str:
        """The user saves a draft. Its id."""

    def junk(self, raw: bytes) -> str:
        """A mail arrives that is taken for junk. Its id."""

    def throw_away(self, message_id: str) -> None:
        """Into the trash, as the vendor's own page does it; it keeps its id and can be taken back."""

    def inside(self, label: str) -> Sequence[str]:
        """What the user sees in a label or folder: ids, in no order; without what was thrown away."""

    def thread(self, message_id: str) -> str:
        """The conversation's id as the vendor's API tells it."""


class MailWorld(Protocol):
    """A mail system that tests may command, and in which ways it differs from others."""

    name: str
    places: bool  # a mail lies in one folder, so that the next drop takes it out of the last
    cuts: bool  # a long conversation goes on as another one, so that a mail which begins one may belong to it
    named_markers: bool  # the id of a marker is its name, and a mail can have one that is on no list

    def read_calls(self, count: int) -> int:
        """The most HTTP calls for reading so many messages that were never met."""

    def settle_calls(self, count: int) -> int:
        """The most HTTP calls for settling so many that were read just before."""

    def mailbox(self) -> UserMailbox:
        """Each call another one."""

    def expire_cursors(self) -> None:
        """Every cursor that was handed out is too old now."""

    def small_pages(self, size: int) -> None:
        """Lists come in pages of `size` from now on."""

    def fault(self, kind: FaultKind, *, retry_after: float | None = None) -> None:
        """The next call of an adapter fails so: `lost` after its effect, the others before it."""

    def throttle_part(self) -> None:
        """One part of the next call for many is refused for rate, the others pass."""

    def requests(self) -> int:
        """Calls over the network so far."""

    def writes(self) -> int:
        """Changes of a mailbox through the vendor's API so far."""


@dataclass(slots=True)
class CountingMeter:
    """A `Meter` that notes all, and refuses when told."""

    spent: list[tuple[str, float, int]] = field(default_factory=list)
    refused: list[tuple[str, float]] = field(default_factory=list)
    empty: bool = False

    def spend(self, method: str, units: float, calls: int = 1) -> None:
        if self.empty:
            raise Busy("budget", retry_after=3.0)
        self.spent.append((method, units, calls))

    def throttled(self, method: str, retry_after: float) -> None:
        self.refused.append((method, retry_after))

    def report(self, used: int, limit: int) -> None:
        raise AssertionError("a mail system tells no daily count")

    @property
    def units(self) -> float:
        return sum(units for _, units, _ in self.spent)

    @property
    def calls(self) -> int:
        return sum(calls for _, _, calls in self.spent)


def mail(
    subject: str = "Offer for 3000 widgets",
    *,
    sender: str = "Kim Lee <kim@widgets.example>",
    to: str = "alex@mailspan.example",
    message_id: str = "",
    answers: str = "",
    body: str = "Good morning,\nthe widgets are ready.\n",
    attachment: bytes | None = None,
    date: datetime | None = None,
) -> bytes:
    """A mail as bytes with CRLF; its Message-ID is unique unless given."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = format_datetime(date or datetime.now(UTC))
    message["Message-ID"] = message_id or f"<contract-{next(_numbers)}@widgets.example>"
    if answers:
        message["In-Reply-To"] = message["References"] = answers
    message.set_content(body)
    if attachment is not None:
        message.add_attachment(attachment, maintype="application", subtype="octet-stream", filename="plan.bin")
    return message.as_bytes(policy=message.policy.clone(linesep="\r\n"))


def written(note: Note) -> bytes:
    """A note as a mail, for mail systems in memory."""
    message = EmailMessage()
    message["From"] = Address(clean(note.sender), addr_spec=SUMMARY_SENDER)
    message["Subject"] = clean(note.subject)
    message["Date"] = format_datetime(note.date)
    message["Message-ID"] = f"<note-{next(_numbers)}@mailspan.invalid>"
    message.set_content(note.text)
    message.add_alternative(note.html, subtype="html")
    return message.as_bytes(policy=message.policy.clone(linesep="\r\n"))
