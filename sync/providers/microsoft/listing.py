"""Lists of Graph, page by page, many at once (providers.md 2.5, 7.2: pages may be empty and still have a next one)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sync.errors import Missing, RemoteError
from sync.providers.microsoft import batch
from sync.providers.microsoft.calls import Calls
from sync.providers.microsoft.http import Api, Call
from sync.providers.microsoft.item import Item, Memory, category_name

K = TypeVar("K", bound=Hashable)
PLACES = ("msgfolderroot", "inbox", "sentitems", "drafts", "deleteditems", "junkemail")
FEW = 4  # folders that are asked for one by one, with what lies in them, in the hope that they are empty
LONGEST = 1_000  # pages of one list


@dataclass(slots=True)
class Listing:
    """All values so far; `link` is the path to the next changes, of a delta alone. `cut`: there are more pages."""

    values: list[dict[str, Any]] = field(default_factory=list)
    link: str = ""
    cut: bool = False


Found = Listing | dict[str, Any] | RemoteError


def collect(api: Api, calls: Calls, wanted: Mapping[K, Call], *, most: int = LONGEST) -> dict[K, Found]:
    """The answers by key: a list whole (or `most` pages of it), one object as it is, or the error."""
    out: dict[K, Found] = {}
    pending = dict(wanted)
    if not pending:
        return out
    for number in range(most):
        answers = batch.run(api, list(pending.values()))
        following: dict[K, Call] = {}
        for (key, call), answer in zip(pending.items(), answers, strict=True):
            if isinstance(answer, RemoteError) or not isinstance(answer.get("value"), list):
                out[key] = answer
                continue
            listing = out.setdefault(key, Listing())
            if not isinstance(listing, Listing):
                continue
            listing.values += answer["value"]
            if "@odata.nextLink" in answer:
                listing.link, listing.cut = api.follow(answer["@odata.nextLink"]), number == most - 1
                delta = call.method == "messages.delta"
                following[key] = calls.page(listing.link, method=call.method, delta=delta)
            elif "@odata.deltaLink" in answer:
                listing.link = api.follow(answer["@odata.deltaLink"])
        if not following:
            break
        pending = following
    return out


def values(found: Found | None) -> list[dict[str, Any]]:
    """The values of a list; [] when the thing is gone. Raises other errors: a level must be whole to be the truth."""
    if isinstance(found, Listing):
        return found.values
    if isinstance(found, RemoteError) and not isinstance(found, Missing):
        raise found
    return []


def places(memory: Memory, calls: Calls) -> dict[tuple[str, str], Call]:
    """The calls that tell the well-known folders, unless they are known."""
    return {("place", name): calls.folder(name) for name in PLACES if name not in memory.places}


def learn_places(memory: Memory, answers: Mapping[tuple[str, str], Found]) -> None:
    for (kind, name), found in answers.items():
        if kind == "place" and isinstance(found, dict):
            memory.places[name] = str(found["id"])
        elif kind == "place" and isinstance(found, RemoteError) and not isinstance(found, Missing):
            raise found


class Level:
    """What lies in drop folders and wears trigger categories, in one HTTP call where the folders are few or empty."""

    def __init__(self, api: Api, calls: Calls, memory: Memory, labels: Sequence[str]) -> None:
        self._api, self._calls, self._memory = api, calls, memory
        unique = dict.fromkeys(labels)
        self._folders = [label for label in unique if not category_name(label)]
        self._categories = [label for label in unique if category_name(label)]
        memory.use(unique)

    def ask(self) -> dict[tuple[str, str], Call]:
        """The first calls; others may ride along."""
        calls, memory = self._calls, self._memory
        out = places(memory, calls)
        out |= {("wearing", label): calls.wearing(category_name(label)) for label in self._categories}
        if len(self._folders) <= FEW:
            out |= {("folder", label): calls.folder(label) for label in self._folders}
            out |= {("lying", label): calls.lying(label) for label in self._folders}
            return out
        parents = {memory.parents[label] for label in self._folders if label in memory.parents}
        out |= {("children", parent): calls.children(parent) for parent in sorted(parents)}
        out |= {("folder", label): calls.folder(label) for label in self._folders if label not in memory.parents}
        return out

    def read(self, answers: Mapping[tuple[str, str], Found]) -> dict[str, list[Item]]:
        """Label -> what lies in it; drafts and what was thrown away are left out. A folder in Deleted Items is gone."""
        learn_places(self._memory, answers)
        folders = self._counts(answers)
        lost = [label for label in self._folders if label not in folders and ("folder", label) not in answers]
        if lost:
            asked = {("folder", label): self._calls.folder(label) for label in lost}
            folders |= self._counts(collect(self._api, self._calls, asked))
        gone = self._memory.places.get("deleteditems")
        there = [x for x in self._folders if x in folders and self._memory.parents.get(x) != gone]
        # Counts may lag behind a drop: where the list itself is at hand it decides.
        filled = [x for x in there if folders[x] or ("lying", x) in answers]
        late = {("lying", x): self._calls.lying(x) for x in filled if ("lying", x) not in answers}
        found = {**answers, **(collect(self._api, self._calls, late))}
        out = {label: self._items(values(found[("lying", label)])) for label in filled}
        for label in self._categories:
            out[label] = [i for i in self._items(values(found[("wearing", label)])) if not self._memory.aside(i)]
        return {label: items for label, items in out.items() if items}

    def _items(self, found: Iterable[dict[str, Any]]) -> list[Item]:
        return [self._memory.meet(Item.read(body)) for body in found if "@removed" not in body]

    def _counts(self, answers: Mapping[tuple[str, str], Found]) -> dict[str, int]:
        """Folder -> number of messages, of those that are there."""
        out: dict[str, int] = {}
        for (kind, _), found in answers.items():
            bodies = [found] if kind == "folder" and isinstance(found, dict) else []
            if kind == "children" or (kind == "folder" and isinstance(found, RemoteError)):
                bodies = values(found)
            for body in bodies:
                key = str(body["id"])
                self._memory.parents[key] = str(body.get("parentFolderId") or "")
                out[key] = int(body.get("totalItemCount") or 0)
        return out
