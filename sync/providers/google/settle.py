"""Writing label changes in as few Gmail calls as can be (providers.md 1.6): all in one HTTP call per 50 edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sync.errors import Conflict, Missing, Rejected, RemoteError
from sync.providers.google import batch, errors
from sync.providers.google.http import Api, Call
from sync.providers.google.quota import BULK_FROM, BULK_IDS

Delta = tuple[frozenset[str], frozenset[str]]  # add, remove: both are label ids
ROUNDS = 4  # a refused edit is corrected at most twice; the rest is for a mailbox that changes meanwhile


@dataclass(frozen=True, slots=True)
class _Edit:
    """One write: what changes, and on which messages."""

    delta: Delta
    ids: tuple[str, ...]


def write(api: Api, groups: Mapping[Delta, Sequence[str]]) -> dict[str, RemoteError]:
    """Change the messages of each group; errors by message id. 5 units per message, 50 per 1,000 that change alike when
    they are more than 10; 1 more when something was refused."""
    edits = [
        _Edit(delta, tuple(ids[start : start + size]))
        for delta, ids in groups.items()
        for size in (BULK_IDS if len(ids) >= BULK_FROM else 1,)
        for start in range(0, len(ids), size)
    ]
    failed: dict[str, RemoteError] = {}
    for _ in range(ROUNDS):
        edits = _round(api, edits, failed)
        if not edits:
            return failed
    late = Conflict("the labels keep changing", vendor=errors.VENDOR, operation="messages.modify")
    return failed | dict.fromkeys((key for edit in edits for key in edit.ids), late)


def _round(api: Api, edits: Sequence[_Edit], failed: dict[str, RemoteError]) -> list[_Edit]:
    """Send the edits; put errors into `failed` and return what is worth another try."""
    again: list[_Edit] = []
    existing: frozenset[str] | None = None
    for edit, answer in zip(edits, batch.run(api, [_call(api, edit) for edit in edits]), strict=True):
        if not isinstance(answer, RemoteError):
            continue
        if isinstance(answer, Rejected) and existing is None:
            existing = _label_ids(api)
        better = _corrected(edit, answer, existing or frozenset())
        if isinstance(better, RemoteError):
            failed.update(dict.fromkeys(edit.ids, better))
        else:
            again += better
    return [edit for edit in again if any(edit.delta)]


def _corrected(edit: _Edit, error: RemoteError, existing: frozenset[str]) -> list[_Edit] | RemoteError:
    """What to write instead of an edit that was refused, or the error to report.

    A label to add that is gone is for the engine to make anew; one to remove that is gone is removed. One bad id must
    not hold back the others of a bulk edit.
    """
    add, remove = edit.delta
    if isinstance(error, Rejected) and not add <= existing:
        return Conflict("a label is gone", vendor=errors.VENDOR, operation=error.operation, status=error.status)
    if isinstance(error, Rejected) and not remove <= existing:
        return [_Edit((add, remove & existing), edit.ids)]
    if isinstance(error, Missing | Rejected) and len(edit.ids) > 1:
        return [_Edit(edit.delta, (key,)) for key in edit.ids]
    return error


def _call(api: Api, edit: _Edit) -> Call:
    messages = api.build.messages
    body = {"addLabelIds": sorted(edit.delta[0]), "removeLabelIds": sorted(edit.delta[1])}
    if len(edit.ids) > 1:
        return Call("messages.batchModify", messages.batchModify(userId="me", body={"ids": edit.ids, **body}))
    return Call("messages.modify", messages.modify(userId="me", id=edit.ids[0], body=body))


def _label_ids(api: Api) -> frozenset[str]:
    answer = api.call(Call("labels.list", api.build.labels.list(userId="me")))
    return frozenset(label["id"] for label in answer.get("labels", ()))
