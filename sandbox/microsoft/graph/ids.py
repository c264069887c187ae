"""Ids as Exchange makes them: opaque, long, case-sensitive (`providers.md 2.2 GR-1`)."""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass, field

MUTABLE, IMMUTABLE, FOLDER, CONVERSATION = "AAMkA", "AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A", "AAMkA", "AAQkA"


@dataclass(slots=True)
class Ids:
    """Makes the ids of one mailbox."""

    rng: random.Random
    box: str = field(default="")

    def __post_init__(self) -> None:
        self.box = self._text(36)

    def _text(self, size: int) -> str:
        return base64.urlsafe_b64encode(self.rng.randbytes(size)).decode().rstrip("=")

    def mutable(self) -> str:
        """Of an item in its folder: 152 characters."""
        return f"{MUTABLE}{self.box}BGAAAAAA{self._text(63)}AAA="

    def immutable(self) -> str:
        """Of an item in its mailbox."""
        return f"{IMMUTABLE}{self._text(24)}AAA="

    def folder(self) -> str:
        """Of a folder; constant."""
        return f"{FOLDER}{self.box}AuAAAAAA{self._text(39)}AAA="

    def conversation(self) -> str:
        """Of a conversation."""
        return f"{CONVERSATION}{self.box}AQA{self._text(12)}="

    def change_key(self) -> str:
        """Another at each write."""
        return "CQAAABYA" + base64.b64encode(self.rng.randbytes(18)).decode()


def to_ews(ident: str) -> str:
    """The form that Office.js and EWS use."""
    return ident.replace("-", "/").replace("_", "+")


def from_ews(ident: str) -> str:
    """The form that REST uses."""
    return ident.replace("/", "-").replace("+", "_")
