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


# --- the newest part of a reply -------------------------------------------------------------------------------------

_ATTRIBUTION = re.compile(
    r"^(?:on|am|le|el|il|op|em|den|dnia|wrote|schrieb|в|pe|ke|tarihinde|在|于)\b.{3,300}"
    r"(?:wrote|writes|schrieb|geschrieben|a écrit|écrit|escribió|scritto|ha scritto|schreef|escreveu|skrev|napisał|"
    r"napisał\(a\)|написал|пишет|kirjoitti|yazdı|写道)\s?(?:[^\n]{0,80})?:\s*$",
    re.IGNORECASE,
)
_ATTRIBUTION_END = re.compile(
    r"(?:wrote|writes|schrieb|a écrit|escribió|ha scritto|schreef|escreveu|skrev|napisał(?:\(a\))?|написал\(?а?\)?|"
    r"пишет|kirjoitti|yazdı|写道)\s?[:：]\s*$",
    re.IGNORECASE,
)
_DATED = re.compile(r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}\b.{3,200}(?:<[^<>\s]+@[^<>\s]+>|@).{0,20}:?\s*$")
_DIVIDER = re.compile(
    r"^[-_=*\s]{2,}\s*(?:original message|reply message|forwarded message|ursprüngliche nachricht|"
    r"weitergeleitete nachricht|message d'origine|message original|message transféré|mensaje original|"
    r"messaggio originale|oorspronkelijk bericht|originalmeddelande|oprindelig meddelelse|wiadomość oryginalna|"
    r"исходное сообщение|пересылаемое сообщение|原始邮件|元のメッセージ)\s*[-_=*\s]{2,}$",
    re.IGNORECASE,
)
_RULE = re.compile(r"^_{20,}$")
_HEADER_LINE = re.compile(
    r"^[>*\s]*(?:from|von|de|da|van|från|fra|od|от|发件人|差出人|sent|date|gesendet|datum|envoyé|enviado|inviato|"
    r"verzonden|skickat|sendt|data|fecha|отправлено|дата|发送时间|日時|to|an|à|para|a|aan|till|til|do|кому|收件人|宛先|"
    r"subject|betreff|objet|asunto|oggetto|onderwerp|ämne|emne|temat|тема|主题|件名|cc|kopie|copie|копия)\s*\*?\s*[:：]",
    re.IGNORECASE,
)


def newest_part(text: str) -> str:
    """The part of a reply that its author wrote, without the mails quoted below it.

    Cut at the first attribution line (`On ... wrote:`), divider (`-----Original Message-----`) or block of quoted
    header lines; lines that begin with `>` are dropped above it, except where answers stand between them. A mail that
    would come out empty (a bare forward) is kept whole.
    """
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    end = next((at for at in range(len(lines)) if _begins_quote(lines, at)), len(lines))
    kept = lines[:end]
    while kept and (not kept[-1].strip() or kept[-1].lstrip().startswith(">")):
        kept.pop()
    answer = tidy("\n".join(kept))
    return answer if answer.strip() else tidy(text)


def _begins_quote(lines: list[str], at: int) -> bool:
    """The mail before this one begins at this line."""
    line = lines[at].strip()
    if not line or len(line) > 500:
        return False
    if _DIVIDER.match(line) or _DATED.match(line):
        return True
    if _RULE.match(line):
        return _headers_follow(lines, at + 1)
    if _HEADER_LINE.match(line):
        return _headers_follow(lines, at)
    if _ATTRIBUTION.match(line):
        return True
    # an attribution that was wrapped: `On Mon, ... Jane Doe` / `<jane@acme.example> wrote:`
    return bool(_OPENING.match(line)) and any(
        _ATTRIBUTION_END.search(" ".join(part.strip() for part in lines[at : at + more])[:500]) for more in (2, 3, 4)
    )


_OPENING = re.compile(r"^>*\s*(?:on|am|le|el|il|op|em|den|dnia|в)\s.*\d", re.IGNORECASE)


def _headers_follow(lines: list[str], at: int) -> bool:
    """At least three of the next lines look like From, Sent, To, Subject, and no other text comes between."""
    count = 0
    for line in lines[at : at + 12]:
        if _HEADER_LINE.match(line):
            count += 1
            if count == 3:
                return True
        elif line.strip() and (count == 0 or ":" in line[:30]):
            return False
    return False
