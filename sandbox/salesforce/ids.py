"""Record ids: 15 characters where case matters, 18 where it does not."""

from __future__ import annotations

import itertools
import random
import re
from functools import lru_cache

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
SHAPE = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
POD = "gK"


def checksum(short: str) -> str:
    """The three characters that an 18-character id has more: one per five, a bit per capital."""
    return _check(short[:5]) + _check(short[5:10]) + _check(short[10:])


@lru_cache(maxsize=4096)
def _check(five: str) -> str:
    return CHECK[sum(1 << bit for bit, c in enumerate(five) if "A" <= c <= "Z")]


def long_id(text: str) -> str | None:
    """The 18-character form of an id in either form; None if it is none.

    A wrong letter case in an 18-character id is repaired by its checksum, as Salesforce does.
    """
    if not SHAPE.fullmatch(text):
        return None
    if len(text) == 15:
        return text + checksum(text)
    repaired = []
    for at in range(3):
        bits = CHECK.find(text[15 + at].upper())
        if bits < 0:
            return None
        for bit, c in enumerate(text[at * 5 : at * 5 + 5]):
            repaired.append(c.upper() if bits >> bit & 1 else c.lower())
    short = "".join(repaired)
    full = short + checksum(short)
    return full if full.upper() == text.upper() else None


def base62(number: int, width: int) -> str:
    """The number in Salesforce's digits."""
    out = ""
    for _ in range(width):
        number, rest = divmod(number, 62)
        out = DIGITS[rest] + out
    return out


class IdMaker:
    """Hands out 18-character ids; per prefix they grow from a start that `chance` gives."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._counters: dict[str, itertools.count[int]] = {}

    def make(self, prefix: str) -> str:
        """A new id of this prefix."""
        if prefix not in self._counters:
            self._counters[prefix] = itertools.count(self._chance.randrange(62**4, 62**5))
        short = f"{prefix}{POD}0{base62(next(self._counters[prefix]), 9)}"
        return short + checksum(short)
