"""The body as the CRM shall hold it: within its limits, and without the line breaks that only transport needed."""

from __future__ import annotations

from sync.core.cut import shorten

TASK_LIMIT = 32_000
"""Characters of a task's description (providers.md 5.3)."""

EMAIL_LIMIT = 131_072
"""Characters of an e-mail record's text or HTML (providers.md 5.3)."""

CUT_NOTE = "\n\n[Cut by Mailspan: the mail is longer than the CRM takes.]"


def limit(text: str, most: int) -> str:
    """At most `most` characters, with a visible note when something was cut."""
    return shorten(text, most, CUT_NOTE)


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
