"""What lies in drop folders and wears trigger categories now (providers.md 2.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sync.providers.microsoft import folders
from sync.providers.microsoft.calls import Calls
from sync.providers.microsoft.folders import FEW
from sync.providers.microsoft.http import Api, Call
from sync.providers.microsoft.item import Item, Memory, category_name
from sync.providers.microsoft.listing import Found, collect, learn_places, places, values


class Level:
    """One look: in one HTTP call where the folders are few or empty, and a request per parent where they are many."""

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
        if len(self._folders) > FEW:
            return out | folders.ask(calls, memory, self._folders)
        out |= {("folder", label): calls.folder(label) for label in self._folders}
        return out | {("lying", label): calls.lying(label) for label in self._folders}

    def read(self, answers: Mapping[tuple[str, str], Found]) -> dict[str, list[Item]]:
        """Label -> what lies in it; drafts and what was thrown away are left out. A folder in Deleted Items is gone."""
        learn_places(self._memory, answers)
        found = folders.locate(self._api, self._calls, self._memory, self._folders, answers)
        gone = self._memory.places.get("deleteditems")
        there = [label for label, body in found.items() if body.get("parentFolderId") != gone]
        # Counts may lag behind a drop: where the list itself is at hand it decides.
        filled = [label for label in there if found[label].get("totalItemCount") or ("lying", label) in answers]
        late = {("lying", label): self._calls.lying(label) for label in filled if ("lying", label) not in answers}
        lists = {**answers, **collect(self._api, self._calls, late)}
        out = {label: self._items(values(lists[("lying", label)])) for label in filled}
        for label in self._categories:
            worn = self._items(values(lists[("wearing", label)]))
            out[label] = [item for item in worn if not self._memory.aside(item)]
        return {label: items for label, items in out.items() if items}

    def _items(self, found: Iterable[dict[str, Any]]) -> list[Item]:
        return [self._memory.meet(Item.read(body)) for body in found if "@removed" not in body]
