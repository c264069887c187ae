"""The body as the CRM shall hold it: text from HTML, the newest part of a reply, and the CRM's limits."""

from __future__ import annotations

import html as entities
import re

import lxml.etree
from inscriptis import get_text

from sync.core import charsets
from sync.core.cut import shorten
from sync.core.structure import FAULTS

TASK_LIMIT = 32_000
"""Characters of a task's description (providers.md 5.3)."""

EMAIL_LIMIT = 131_072
"""Characters of an e-mail record's text or HTML (providers.md 5.3)."""

CUT_NOTE = "\n\n[Cut by Mailspan: the mail is longer than the CRM takes.]"
_MAX_HTML = 2_000_000
_TOKEN = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*|!--|[!?])[^<>]{0,10000}>")
_HIDDEN = frozenset(("script", "style", "title", "head"))
_BREAKING = frozenset(("br", "p", "div", "tr", "li", "table", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6"))


def limit(text: str, most: int) -> str:
    """At most `most` characters, with a visible note when something was cut."""
    return shorten(text, most, CUT_NOTE)


def tidy(text: str) -> str:
    """No blanks at line ends, at most one empty line in a row."""
    lines = "\n".join(line.rstrip() for line in text.replace("\xa0", " ").split("\n"))
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n")


def from_html(html: str) -> str:
    """The text a reader would see. Never raises; deeply nested or broken HTML loses its layout, not its words."""
    source = html[:_MAX_HTML]
    if not source.strip():
        return ""
    try:
        text = get_text(source)
    except (lxml.etree.LxmlError, ArithmeticError, *FAULTS):
        text = ""
    return tidy(charsets.clean(text if text.strip() else _bare(source)))


def _bare(source: str) -> str:
    """The words between the tags, in one pass."""
    out: list[str] = []
    hidden, at = "", 0
    for token in _TOKEN.finditer(source):
        if not hidden:
            out.append(source[at : token.start()])
        at, name = token.end(), token[2].lower()
        if hidden:
            hidden = "" if token[1] and name == hidden else hidden
        elif name in _HIDDEN and not token[1]:
            hidden = name
        elif name in _BREAKING:
            out.append("\n")
    if not hidden:
        out.append(source[at:])
    return entities.unescape("".join(out))


def unflow(text: str, *, delete_space: bool = False) -> str:
    """Undo format=flowed (RFC 3676): lines that end in a blank go on in the next one."""
    out: list[str] = []
    open_quote: str | None = None  # quote prefix of the paragraph that goes on
    for line in text.split("\n"):
        quote = line[: len(line) - len(line.lstrip(">"))]
        content = line[len(quote) :].removeprefix(" ")
        flows = content.endswith(" ") and content != "-- "
        shown = content[:-1] if flows and delete_space else content
        if open_quote == quote and content != "-- ":
            out[-1] += shown
        else:
            out.append(f"{quote} {shown}" if quote else shown)
        open_quote = quote if flows else None
    return "\n".join(out)
