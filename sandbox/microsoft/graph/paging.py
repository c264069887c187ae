"""Lists: filtered, sorted, cut into pages (`providers.md SIM-9`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from sandbox.microsoft.graph.query import Query, check_cost, sort_key

if TYPE_CHECKING:
    from sandbox.microsoft.graph.call import Call
    from sandbox.microsoft.graph.filter import Getter

T = TypeVar("T")
USUAL = 10


def size(call: Call, asked: int | None, usual: int = USUAL) -> int:
    """What is asked for, within the sandbox's switch."""
    forced = int(call.microsoft.frame.settings["page_size"])
    wanted = usual if asked is None else asked
    return min(wanted, forced) if forced else wanted


def arrange(query: Query, found: Iterable[T], getter: Getter) -> list[T]:
    """What matches the filter, sorted as asked for; GraphError InefficientFilter."""
    check_cost(query)
    matches = query.matches
    out = [one for one in found if matches(one)] if matches is not None else list(found)
    for key, descending in reversed(sort_key(query, getter)):
        out.sort(key=key, reverse=descending)
    return out


def cut(call: Call, query: Query, found: list[T], usual: int = USUAL) -> tuple[list[T], str]:
    """One page, and the link to the next one or "".

    Pages are counted by `$skip`, as for Outlook's items: what moves away meanwhile shifts the next page.
    """
    many = size(call, query.top, usual)
    page = found[query.skip : query.skip + many]
    if query.skip + many >= len(found) or many == 0:
        return page, ""
    options: dict[str, Any] = {**call.options, "$skip": query.skip + many}
    return page, call.link("&".join(f"{quote(k, safe='$')}={quote(str(v), safe='')}" for k, v in options.items()))
