"""The ports: what the engine asks of a mail system and of a CRM. The docstrings are the contract, and
`tests/contracts` runs it on every adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    Note,
    Outcome,
    Page,
    Question,
    RecordRef,
    Removal,
    Seen,
)
from sync.modules import Change, Module, ModuleItem, Scope
from sync.options import ModuleRule


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

    def remove(self, labels: Sequence[str]) -> Sequence[Outcome]:
        """Remove labels, folders or categories of ours, one outcome each in order (`key` is the label's id). What
        is gone already counts as removed. One in which a mail or another label lies stays: `Conflict`."""

    def present(self, labels: Sequence[str]) -> frozenset[str]:
        """Which of these labels, folders or categories are there; a folder that was thrown away is not."""

    def conversations(self, threads: Sequence[str]) -> Mapping[str, Sequence[Seen]]:
        """Every message of these threads, oldest first, with `at`; without drafts, junk and what was thrown away. A
        thread that is gone is empty."""

    def put(self, notes: Sequence[Note]) -> Sequence[Outcome]:
        """Create or replace: afterwards exactly one note of each key lies in its place, read, and `Outcome.id` is its
        id. An `unsure` one is looked for first, so that repeating after a lost answer makes no second one.
        Raises `Busy` without `unknown` only when nothing was put."""

    def take(self, ids: Sequence[str]) -> Sequence[Outcome]:
        """Remove notes; one that is gone counts as removed, and what is no note of ours stays: `Rejected`."""

    def lag(self, labels: Sequence[str]) -> Mapping[str, float]:
        """Label id -> epoch seconds of the oldest message that lies in it; only non-empty ones. For status."""


class CrmProvider(Protocol):
    """One CRM organisation, acting as one user. Raises the errors of `sync.errors`, nothing else."""

    def abilities(self) -> Abilities:
        """What the organisation can do; cached, asked again after twelve hours."""

    def match(self, question: Question) -> Directory:
        """Answer everything in as few calls as can be; users are active ones only, leads not converted."""

    def file(self, entries: Sequence[Entry], before: Callable[[], None] | None = None) -> Sequence[Outcome]:
        """Write the entries, each all-or-none and independent of the others; one outcome per entry, in order.

        `before` is called as late as can be, right before a request or a piece of one leaves. What it raises breaks
        that request off, so that it has no effect; what earlier requests did is still told, as outcomes.

        Raises `Busy(unknown=True)` when the answer was lost: look (by `match`) before repeating.
        """

    def names(self, records: Sequence[RecordRef]) -> Mapping[RecordRef, Item]:
        """Titles and links of records, for people; those that are gone are left out."""

    def modules(self, names: Sequence[str]) -> Mapping[str, Module | RemoteError]:
        """What these kinds of items are (names in any case, labels too); `Rejected` for one that is not there or to
        which no mail can be related. Cached as `abilities` is."""

    def items(
        self, records: Sequence[RecordRef], rules: Sequence[ModuleRule], user: str, scope: Scope
    ) -> Mapping[RecordRef, ModuleItem]:
        """These items whole, with their last activities; those that are gone, or not the user's in this scope, are left
        out. One call per 200 of up to 5 kinds. `rules` say what is closed and which further fields are wanted."""

    def active(self, rule: ModuleRule, user: str, scope: Scope, limit: int) -> Sequence[ModuleItem]:
        """The user's open items, those with the latest activity first, at most `limit`; without activities."""

    def feed(self, cursor: str | None, names: Sequence[str]) -> Page[Change]:
        """What changed in these modules for the whole organisation since `cursor`; None: nothing is reported, and the
        cursor is now. One call for five modules. A change may be reported twice."""

    def undo(self, removals: Sequence[Removal]) -> Sequence[Outcome]:
        """Take back what was written; `notes` say what was left and why, without content. Idempotent."""
