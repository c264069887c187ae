"""Whole conversations, as Gmail keeps them: 40 units a thread, whatever its length (providers.md 1.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sync.errors import Missing, RemoteError
from sync.model import Seen
from sync.providers.google import batch
from sync.providers.google.changes import NO_ARRIVAL
from sync.providers.google.http import Api, Call

FIELDS = "messages(id,threadId,labelIds,internalDate)"  # the snippet would be content


def read(api: Api, threads: Sequence[str]) -> dict[str, tuple[Seen, ...]]:
    """See `MailProvider.conversations`; one HTTP call per 50. Raises what any of them was refused with."""
    wanted = list(dict.fromkeys(threads))
    get = api.build.threads.get
    calls = [Call("threads.get", get(userId="me", id=key, format="minimal", fields=FIELDS)) for key in wanted]
    out: dict[str, tuple[Seen, ...]] = {}
    for key, answer in zip(wanted, batch.run(api, calls), strict=True):
        if isinstance(answer, RemoteError) and not isinstance(answer, Missing):
            raise answer
        out[key] = () if isinstance(answer, Missing) else _seen(answer)
    return out


def _seen(thread: Mapping[str, Any]) -> tuple[Seen, ...]:
    found = [
        Seen(one["id"], one["threadId"], labels, at=int(one.get("internalDate", 0)) / 1000)
        for one in thread.get("messages", ())
        if not (labels := frozenset(one.get("labelIds", ()))) & NO_ARRIVAL
    ]
    return tuple(sorted(found, key=lambda seen: seen.at))
