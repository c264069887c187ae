"""HTML of a mail -> the text that a reader sees.

The parser is libxml2's; the layout is our own and small, since libraries that draw tables turn 100 KB of hostile HTML
into gigabytes of blanks. The result is never much longer than its source, and the work is linear in it.
"""

from __future__ import annotations

import html as entities
import re
from collections.abc import Mapping
from typing import Any

import lxml.etree

from sync.core import charsets
from sync.core.structure import FAULTS

MAX_SOURCE = 2_000_000
"""Characters of HTML that are read."""

_HIDDEN = frozenset(("script", "style", "title", "template", "noscript", "select", "object", "svg", "math"))
_LINE = frozenset("div tr li dt dd section article header footer form address center caption option legend".split())
_PARAGRAPH = frozenset("p h1 h2 h3 h4 h5 h6 table ul ol dl blockquote pre hr figure fieldset".split())
_VERBATIM = frozenset(("pre", "textarea"))
_BLANKS = re.compile(r"[ \t\n\r\f\u200b\xa0]+")
_TAGS = re.compile(r"<[^<>]{0,10000}>")
_DEEPEST_QUOTE = 5


class _Writer:
    """Receives the parser's events and lays out the text."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._line: list[str] = []
        self._hidden = 0
        self._verbatim = 0
        self._quotes: list[bool] = []  # of every open blockquote: is it a quotation, or just an indent
        self._depth = 0  # open quotations
        self._numbers: list[int | None] = []  # of every open list: the next number, None for bullets
        self._mark = ""  # bullet or number that the next words get

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag in _HIDDEN:
            self._hidden += 1
        elif tag == "br":
            self._break(force=True)
        elif tag in _LINE or tag in _PARAGRAPH:
            self._block(tag)
            if tag == "blockquote":
                kind = f"{attributes.get('type', '')} {attributes.get('class', '')}".lower()
                self._quotes.append("cite" in kind or "quote" in kind)
                self._depth += self._quotes[-1]
            elif tag in ("ul", "ol"):
                self._numbers.append(1 if tag == "ol" else None)
            elif tag == "li":
                self._bullet()
            elif tag == "hr":
                self._line.append("-" * 20)
                self._break()
        elif tag in ("td", "th") and self._line:
            self._line.append("  ")
        self._verbatim += tag in _VERBATIM

    def end(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(self._hidden - 1, 0)
        elif tag in _LINE or (tag in _PARAGRAPH and tag != "hr"):
            self._break()
            if tag == "blockquote" and self._quotes:
                self._depth -= self._quotes.pop()
            elif tag in ("ul", "ol") and self._numbers:
                self._numbers.pop()
            self._block(tag)
        self._verbatim = max(self._verbatim - (tag in _VERBATIM), 0)

    def data(self, text: str) -> None:
        if self._hidden:
            return
        if self._verbatim:
            *whole, last = text.split("\n")
            for line in whole:
                self._line.append(line)
                self._break(force=True)
            self._line.append(last)
            return
        words = _BLANKS.sub(" ", text)
        if not self._line or self._line[-1].endswith(" "):
            words = words.lstrip(" ")
        if words:
            if self._mark:
                self._line.append(self._mark)
                self._mark = ""
            self._line.append(words)

    def close(self) -> None:
        self._break()

    def _bullet(self) -> None:
        depth = min(len(self._numbers), 5)
        number = self._numbers[-1] if self._numbers else None
        self._mark = "  " * max(depth - 1, 0) + (f"{number}. " if number else "* ")
        if number:
            self._numbers[-1] = number + 1

    def _block(self, tag: str) -> None:
        self._break()
        if tag in _PARAGRAPH and not self._numbers and self.lines and self.lines[-1].strip("> "):
            self.lines.append(self._prefix().rstrip())

    def _prefix(self) -> str:
        return "> " * min(self._depth, _DEEPEST_QUOTE)

    def _break(self, *, force: bool = False) -> None:
        if self._line or force:
            self.lines.append((self._prefix() + "".join(self._line)).rstrip())
            self._line.clear()


def tidy(text: str) -> str:
    """No blanks at line ends, at most one empty line in a row."""
    lines = "\n".join(line.rstrip() for line in text.replace("\xa0", " ").split("\n"))
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n")


def to_text(html: str) -> str:
    """The text of a page. Never raises; HTML that the parser gives up on keeps at least its words."""
    source = charsets.clean(html[:MAX_SOURCE])
    if not source.strip():
        return ""
    writer = _Writer()
    options: dict[str, Any] = {"target": writer, "huge_tree": True, "no_network": True, "recover": True}
    try:
        parser = lxml.etree.HTMLParser(**options)
        for at in range(0, len(source), 1 << 16):
            parser.feed(source[at : at + (1 << 16)])
        parser.close()
    except (lxml.etree.LxmlError, *FAULTS):
        writer.close()
    text = "\n".join(writer.lines)
    if not text.strip():
        text = entities.unescape(_TAGS.sub(" ", source)) if "<body" not in source.lower() else ""
    return tidy(charsets.clean(text))
