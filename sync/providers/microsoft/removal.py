"""Which folders and categories are there, and how those that are wanted no more go (providers.md 2.3).

Graph cannot remove a folder on the condition that it is empty. So an empty one goes to Deleted Items first, is looked
into again where nobody drops anything any more, and is removed from there, by the same request, only when it is still
empty: a mail that was dropped in the same moment brings the folder back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sync.errors import Conflict, Missing, RemoteError
from sync.model import Outcome
from sync.providers.microsoft import batch, errors, folders
from sync.providers.microsoft.calls import Calls
from sync.providers.microsoft.http import Api
from sync.providers.microsoft.item import Item, Memory, category_name, fold
from sync.providers.microsoft.listing import Found, Listing, collect, learn_places, places, values

Errors = dict[str, RemoteError | None]  # by label; None: it is gone


def present(api: Api, calls: Calls, memory: Memory, labels: Sequence[str]) -> frozenset[str]:
    """See `MailProvider.present`. 1 request for the categories, 1 per 500 folders of one parent, 1 per folder above."""
    if not labels:
        return frozenset()
    names = [label for label in labels if category_name(label)]
    wanted = [label for label in dict.fromkeys(labels) if not category_name(label)]
    memory.absent.clear()
    asked = {**places(memory, calls), **folders.ask(calls, memory, wanted)}
    answers = collect(api, calls, asked | ({("categories", ""): calls.categories()} if names else {}))
    learn_places(memory, answers)
    master = {fold(str(body["displayName"])) for body in values(answers.get(("categories", "")))}
    found = folders.locate(api, calls, memory, wanted, answers)
    gone = folders.thrown(api, calls, memory, found)
    return frozenset(found.keys() - gone) | {label for label in names if fold(category_name(label)) in master}


def remove(api: Api, calls: Calls, memory: Memory, labels: Sequence[str]) -> list[Outcome]:
    """See `MailProvider.remove`. 4 requests per folder in 4 HTTP calls per 20, 2 per category; children may go with
    their parents."""
    if not labels:
        return []
    names = [label for label in dict.fromkeys(labels) if category_name(label)]
    todo = [label for label in dict.fromkeys(labels) if not category_name(label)]
    done: Errors = {}
    while todo:
        now = _folders(api, calls, memory, todo)
        done |= now
        again = [label for label in todo if label not in now]  # what lies in them may have gone just now
        if not any(error is None for error in now.values()):
            done |= dict.fromkeys(again, _kept("mailFolders.delete"))
            again = []
        todo = again
    done |= _categories(api, calls, memory, names)
    memory.drops -= {label for label, error in done.items() if error is None}
    return [Outcome(label, done[label]) for label in labels]


# --- folders --------------------------------------------------------------------------------------------------------


def _folders(api: Api, calls: Calls, memory: Memory, labels: Sequence[str]) -> Errors:
    """What became of these; those in which a folder lies are left out."""
    asked = {("counts", label): calls.counts(label) for label in labels}
    answers = collect(api, calls, {**places(memory, calls), **asked})
    learn_places(memory, answers)
    out: Errors = {}
    bodies: folders.Bodies = {}
    for label in labels:
        found = answers[("counts", label)]
        if isinstance(found, dict):
            bodies[label] = found
        else:
            out[label] = None if isinstance(found, Missing) else _error(found)
    thrown = folders.thrown(api, calls, memory, bodies)
    out |= dict.fromkeys(thrown)
    full = {label for label, body in bodies.items() if label not in thrown and body.get("totalItemCount")}
    out |= {label: _kept("mailFolders.delete") for label in full}
    return out | _delete(
        api, calls, {k: v for k, v in bodies.items() if k not in out and not v.get("childFolderCount")}
    )


def _delete(api: Api, calls: Calls, bodies: Mapping[str, Mapping[str, Any]]) -> Errors:
    """Remove empty folders. Those that got a mail meanwhile go back where they were."""
    out = _each(bodies, batch.run(api, [calls.delete_folder(label) for label in bodies]))
    binned = [label for label, error in out.items() if error is None]
    counts = collect(api, calls, {("counts", label): calls.counts(label) for label in binned})
    # One that cannot be looked into now stays in Deleted Items: it counts as removed, and nothing in it is lost.
    read = {label: found for label in binned if isinstance(found := counts[("counts", label)], dict)}
    full = [label for label, found in read.items() if _filled(found)]
    empty = [label for label in read if label not in full]
    batch.run(api, [calls.delete_folder(label) for label in empty])
    parents = {label: str(bodies[label].get("parentFolderId") or "") for label in full}
    batch.run(api, [calls.move_folder(label, parent) for label, parent in parents.items()])
    return out | dict.fromkeys(full, _kept("mailFolders.delete"))


def _filled(body: Mapping[str, Any]) -> bool:
    return bool(body.get("totalItemCount") or body.get("childFolderCount"))


# --- categories -----------------------------------------------------------------------------------------------------


def _categories(api: Api, calls: Calls, memory: Memory, labels: Sequence[str]) -> Errors:
    """Off the master list, unless a message wears it: it would lose its colour."""
    if not labels:
        return {}
    wanted = {("wearing", label): calls.wearing(category_name(label)) for label in labels}
    answers = collect(api, calls, {**places(memory, calls), ("categories", ""): calls.categories(), **wanted}, most=1)
    learn_places(memory, answers)
    master = {fold(str(body["displayName"])): str(body["id"]) for body in _listed(answers[("categories", "")])}
    out: Errors = {}
    going: dict[str, str] = {}
    for label in labels:
        found, key = answers[("wearing", label)], master.get(fold(category_name(label)))
        if key is None:
            out[label] = None
        elif not isinstance(found, Listing):
            out[label] = _error(found)
        elif found.cut or not all(memory.aside(Item.read(body)) for body in found.values):
            out[label] = _kept("masterCategories.delete")
        else:
            going[label] = key
    return out | _each(going, batch.run(api, [calls.delete_category(key) for key in going.values()]))


def _listed(found: Found) -> list[dict[str, Any]]:
    if isinstance(found, RemoteError):
        raise found
    return values(found)


# --- outcomes -------------------------------------------------------------------------------------------------------


def _each(labels: Iterable[str], answers: Sequence[batch.Answer]) -> Errors:
    return {
        label: answer if isinstance(answer, RemoteError) and not isinstance(answer, Missing) else None
        for label, answer in zip(labels, answers, strict=True)
    }


def _error(found: Found) -> RemoteError:
    """What is neither a list nor an object was refused."""
    return found if isinstance(found, RemoteError) else _kept("mailFolders.get")


def _kept(operation: str) -> Conflict:
    return Conflict("a mail or a folder lies in it", vendor=errors.VENDOR, operation=operation)
