"""Folders by the hundred: where they are and how much is in them, in a request per parent (providers.md 0.8).

An Assign To folder for every item means hundreds of folders below a few parents. What is asked for is the children of
these parents with their counts, never a folder for itself, but for those whose parent is not known: after a restart a
few of them are asked, and mostly tell the parent of all.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sync.providers.microsoft.calls import Calls
from sync.providers.microsoft.http import Api, Call
from sync.providers.microsoft.item import Memory
from sync.providers.microsoft.listing import Found, Listing, collect, values

FEW = 4  # folders that are asked for one by one, in the hope that all others lie beside them
ABSENT = 600.0  # seconds for which one that is gone is not asked for again
Bodies = dict[str, dict[str, Any]]


def ask(calls: Calls, memory: Memory, folders: Sequence[str]) -> dict[tuple[str, str], Call]:
    """The first calls; others may ride along. `locate` gets their answers."""
    parents = {memory.parents[one] for one in folders if one in memory.parents}
    unknown = [one for one in folders if one not in memory.parents and not _absent(memory, one)]
    return _children(calls, parents) | _singly(calls, _spread(unknown, FEW))


def locate(
    api: Api, calls: Calls, memory: Memory, folders: Sequence[str], answers: Mapping[tuple[str, str], Found]
) -> Bodies:
    """Folder -> what Graph says of it, of those that are there, wherever they are. Costs more requests for those that
    the first answers do not tell: their parents' children, then more and more of them one by one."""
    found = _learn(memory, answers)
    asked = {key for kind, key in answers if kind == "folder"}
    listed = {key for kind, key in answers if kind == "children"}
    many = FEW
    while lost := [one for one in folders if one not in found and one not in asked and not _absent(memory, one)]:
        parents = {memory.parents[one] for one in folders if one in asked and one in found} - listed
        wanted = _children(calls, parents) or _singly(calls, _spread(lost, many))
        many = many if parents else many * 4
        asked |= {key for kind, key in wanted if kind == "folder"}
        listed |= parents
        found |= _learn(memory, collect(api, calls, wanted))
    return {one: found[one] for one in folders if one in found}


def thrown(api: Api, calls: Calls, memory: Memory, bodies: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    """Those of the folders that lie in Deleted Items, themselves or with a folder around them."""
    root, gone = memory.places.get("msgfolderroot", ""), memory.places.get("deleteditems", "")
    above = {key: str(body.get("parentFolderId") or "") for key, body in bodies.items()}
    ends = {root, gone, ""}
    while unknown := set(above.values()) - above.keys() - ends:
        found = collect(api, calls, _singly(calls, sorted(unknown)))
        read = _learn(memory, found)
        above |= {key: str(read[key].get("parentFolderId") or "") if key in read else "" for key in unknown}
    return frozenset(key for key in bodies if gone in _chain(above, key))


def _chain(above: Mapping[str, str], key: str) -> list[str]:
    chain: list[str] = []
    while key in above and len(chain) < 100:
        key = above[key]
        chain.append(key)
    return chain


def _spread(folders: Sequence[str], many: int) -> Sequence[str]:
    """Some of them, from all over the list: what was made together lies together."""
    return folders[:: max(1, len(folders) // many)][:many]


def _children(calls: Calls, parents: Iterable[str]) -> dict[tuple[str, str], Call]:
    return {("children", parent): calls.children(parent) for parent in sorted(parents) if parent}


def _singly(calls: Calls, folders: Iterable[str]) -> dict[tuple[str, str], Call]:
    return {("folder", one): calls.folder(one) for one in folders}


def _learn(memory: Memory, answers: Mapping[tuple[str, str], Found]) -> Bodies:
    """The folders that the answers tell of. Raises what they were refused with, but for those that are gone."""
    out: Bodies = {}
    for (kind, key), found in answers.items():
        if kind == "folder" and isinstance(found, dict):
            out[str(found["id"])] = found
        elif kind == "children" or kind == "folder":
            out |= {str(body["id"]): body for body in values(found)}
            if kind == "folder" and not isinstance(found, Listing):
                memory.absent[key] = time.monotonic()
    for key, body in out.items():
        memory.parents[key] = str(body.get("parentFolderId") or "")
        memory.absent.pop(key, None)
    return out


def _absent(memory: Memory, folder: str) -> bool:
    return time.monotonic() - memory.absent.get(folder, float("-inf")) < ABSENT
