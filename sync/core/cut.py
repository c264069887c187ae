"""Shortening text without breaking what a person sees as one character."""

from __future__ import annotations

import unicodedata

ELLIPSIS = "…"
_JOINER = "\u200d"


def _extends(char: str) -> bool:
    """Belongs to the character before it: combining marks, variation selectors, skin tones, tags, joiners."""
    return (
        char == _JOINER
        or unicodedata.category(char) in ("Mn", "Me", "Mc")
        or "\U0001f3fb" <= char <= "\U0001f3ff"
        or "\U000e0020" <= char <= "\U000e007f"
        or "\u1160" <= char <= "\u11ff"  # Hangul vowels and finals
    )


def _is_flag(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def boundary(text: str, limit: int) -> int:
    """The largest index <= limit at which `text` may be cut between two characters as people see them.

    0 when the first one is longer than `limit`.
    """
    if limit >= len(text):
        return len(text)
    at = max(limit, 0)
    while at > 0 and (_extends(text[at]) or text[at - 1] == _JOINER or text[at - 1 : at + 1] == "\r\n"):
        at -= 1
    if at and _is_flag(text[at]):  # flags are pairs: count how many letters stand before
        start = at
        while start > 0 and _is_flag(text[start - 1]):
            start -= 1
        at -= (at - start) % 2
    return at


def shorten(text: str, limit: int, ending: str = ELLIPSIS) -> str:
    """`text`, or its beginning with `ending`, in at most `limit` characters."""
    if len(text) <= limit:
        return text
    room = limit - len(ending)
    if room <= 0:
        return text[: boundary(text, limit)]
    return text[: boundary(text, room)].rstrip() + ending
