"""Lists of Graph, page by page, many at once (providers.md 2.5, 7.2: pages may be empty and still have a next one)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sync.errors import Missing, RemoteError
from sync.providers.microsoft import batch
from sync.providers.microsoft.calls import Calls
from sync.providers.microsoft.http import Api, Call
from sync.providers.microsoft.item import Memory

K = TypeVar("K", bound=Hashable)
PLACES = ("msgfolderroot", "inbox", "sentitems", "drafts", "deleteditems", "junkemail")
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
