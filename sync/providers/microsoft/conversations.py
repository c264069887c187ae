"""Whole conversations, as Outlook keeps them: a request per 100 mails of each (providers.md 2.4)."""

from __future__ import annotations

from collections.abc import Sequence

from sync.model import Seen
from sync.providers.microsoft.calls import Calls
from sync.providers.microsoft.changes import seen
from sync.providers.microsoft.http import Api
from sync.providers.microsoft.item import Item, Memory
from sync.providers.microsoft.listing import collect, learn_places, places, values


def read(api: Api, calls: Calls, memory: Memory, threads: Sequence[str]) -> dict[str, tuple[Seen, ...]]:
    """See `MailProvider.conversations`; one HTTP call per 20. Raises what any of them was refused with."""
    if not threads:
        return {}
    wanted = {("thread", thread): calls.conversation(thread) for thread in threads}
    answers = collect(api, calls, {**wanted, **places(memory, calls)})
    learn_places(memory, answers)
    out: dict[str, tuple[Seen, ...]] = {}
    for thread in threads:
        found = reversed(values(answers[("thread", thread)]))  # of one second, the newest come first
        items = [memory.meet(Item.read(body)) for body in found]
        told = (seen(memory, item) for item in items if not memory.aside(item))
        out[thread] = tuple(sorted(told, key=lambda one: one.at))
    return out
