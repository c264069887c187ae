"""The ports: what the engine asks of a mail system and of a CRM. The docstrings are the contract, and
`tests/contracts` runs it on every adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sync.errors import RemoteError
from sync.model import (
    Abilities,
    Directory,
    Entry,
    Item,
    LabelMap,
    LabelTree,
    Mark,
    Message,
    Outcome,
    Page,
    Question,
    RecordRef,
    Seen,
)


class Meter(Protocol):
    """Counts remote calls and keeps them within the quota."""

    def spend(self, method: str, units: float, calls: int = 1) -> None:
        """Called before each remote call with its cost. Raises `Busy(retry_after)` when the budget is empty; then the
        call must not be made."""

    def throttled(self, method: str, retry_after: float) -> None:
        """The remote system refused by 429 or its kin: halve the budget until it has passed."""

    def report(self, used: int, limit: int) -> None:
        """The remote system told its own count of used and allowed calls (a rolling day)."""


class MailProvider(Protocol):
    """One mailbox. Raises the errors of `sync.errors`, nothing else."""

    def ensure_tree(self, tree: LabelTree) -> LabelMap:
        """Make the mailbox have the tree; idempotent, and no write when all is there.

        A node with a `remote_id` that still exists is that label, whatever its name now (renamed in place only when
        `rename` is set). Without one, a label of the wanted name is adopted. A deleted one is made anew with its
        original name and place; its children keep their ids.
        """

    def changes(self, cursor: str | None, labels: Sequence[str] = ()) -> Page[Seen]:
        """Edge: what happened since `cursor`: messages that arrived or gained a label, folded so that `labels` is what
        each carries in the end. None: nothing is reported, and the cursor is now. Raises `CursorExpired`.

        `labels` are the drop labels: a mail system that tells changes per folder only looks at these.
        """

    def dropped(self, labels: Sequence[str]) -> Sequence[Seen]:
        """Level: every message that lies in one of these drop labels now. The truth."""

    def read(self, ids: Sequence[str]) -> Mapping[str, Message | RemoteError]:
        """The messages, whole, one call per 50; an error in place of one that could not be read."""

    def settle(self, marks: Sequence[Mark]) -> Sequence[Outcome]:
        """Apply the marks, one call for many; idempotent, one outcome per mark in order (`key` is the message id)."""

    def lag(self, labels: Sequence[str]) -> Mapping[str, float]:
        """Label id -> epoch seconds of the oldest message that lies in it; only non-empty ones. For status."""


class CrmProvider(Protocol):
    """One CRM organisation, acting as one user. Raises the errors of `sync.errors`, nothing else."""

    def abilities(self) -> Abilities:
        """What the organisation can do; cached, asked again after twelve hours."""

    def match(self, question: Question) -> Directory:
        """Answer everything in as few calls as can be; users are active ones only, leads not converted."""

    def file(self, entries: Sequence[Entry]) -> Sequence[Outcome]:
        """Write the entries, each all-or-none and independent of the others; one outcome per entry, in order.

        Raises `Busy(unknown=True)` when the answer was lost: look (by `match`) before repeating.
        """

    def names(self, records: Sequence[RecordRef]) -> Mapping[RecordRef, Item]:
        """Titles and links of records, for people; those that are gone are left out."""
