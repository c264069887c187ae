"""Page tokens: opaque, random, good only verbatim, for the same user and the same query (`providers.md SIM-6`)."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any, TypeVar

from sandbox.google.call import Call
from sandbox.google.errors import invalid

Item = TypeVar("Item")
FREE = {"pageToken", "maxResults", "fields", "prettyPrint", "alt", "key", "quotaUser"}


class Pages:
    """Remembers what each page token stands for."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.clear()

    def clear(self) -> None:
        """Forget every token."""
        self._tokens: dict[str, tuple[str, Any]] = {}

    def start(self, call: Call) -> Any:
        """The position that the call's page token stands for, None for the first page."""
        token = call.params.get("pageToken")
        if not token:
            return None
        query, position = self._tokens.get(token, ("", None))
        if query != _fingerprint(call):
            raise invalid("Invalid pageToken")
        return position

    def token(self, call: Call, position: Any) -> str:
        """A token for going on at a position."""
        token = str(self._rng.getrandbits(63) | 1 << 62)
        self._tokens[token] = (_fingerprint(call), position)
        return token

    def cut(self, call: Call, items: Sequence[Item], key: Any) -> tuple[Sequence[Item], str]:
        """One page of a list ordered by ascending `key`, and the token of the next page or ""."""
        after = self.start(call)
        if after is not None:
            items = [item for item in items if key(item) > after]
        size = page_size(call)
        page = items[:size]
        return page, self.token(call, key(page[-1])) if len(items) > size else ""


def page_size(call: Call, most: int = 500, usual: int = 100) -> int:
    """What the call asks for, within the API's limit and the sandbox's switch (`providers.md SIM-9`)."""
    forced = call.google.frame.settings["page_size"]
    size = min(call.params.get("maxResults") or usual, most)
    return min(size, forced) if forced else size


def _fingerprint(call: Call) -> str:
    query = {name: value for name, value in call.params.items() if name not in FREE}
    return json.dumps([call.operation, call.account.email, query], sort_keys=True, default=str)
