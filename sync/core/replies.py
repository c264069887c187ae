"""The newest part of a reply: what its author wrote, without the mails quoted in it.

Line by line and in linear time. Three things begin an older mail, in the common languages and mail programs:

- an attribution (`On Mon, 5 Jan 2026, Jane Doe wrote:`), also wrapped over up to four lines;
- a divider (`-----Original Message-----`);
- three header lines in a row (`From:`, `Sent:`, `To:`, `Subject:`), with or without a line of underscores above.

What is below is cut, with one exception: where the older mail is marked by `>` and text follows it, the author wrote
below the quotation or between its lines; then that text is kept, and with several such places the quotations too, since
an answer means nothing without its question. A mail that would come out empty (a bare forward) is kept whole.
"""

from __future__ import annotations

import re

from sync.core.markup import tidy

_ATTRIBUTION = re.compile(
    r"(?:wrote|writes|schrieb|geschrieben|a écrit|écrit|escribió|ha scritto|scritto|schreef|escreveu|skrev|napisał"
    r"|napisała|napisał\(a\)|написала?|пишет|kirjoitti|yazdı|írta|napsala?|a scris|写道|さんが書きました)"
    r"[^:：]{0,60}[:：]$",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"^(?:-+\s*)?(?:(?:on|am|le|el|il|op|em|den|dnia|в|pe|at|od|tisdag|måndag)\b.{0,80}\d|\d{1,4}\s?[-./年]\s?\d{1,2}\s?[-./月]\s?\d{1,4}|"
    r"[^\s<>]{1,40}(?: [^\s<>]{1,40}){0,4} <[^<>\s]+@[^<>\s]+>)",
    re.IGNORECASE,
)
_DATED = re.compile(r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}\b.{3,200}<[^<>\s]+@[^<>\s]+>.{0,20}:$")
_DIVIDER = re.compile(
    r"^[-_=*]{2,}\s*(?:original message|reply message|forwarded message|ursprüngliche nachricht|originalnachricht|"
    r"weitergeleitete nachricht|message d'origine|message original|message transféré|mensaje original|"
    r"messaggio originale|oorspronkelijk bericht|originalmeddelande|oprindelig meddelelse|wiadomość oryginalna|"
    r"mensagem original|исходное сообщение|пересылаемое сообщение|原始邮件|元のメッセージ)\s*[-_=*]{2,}$",
    re.IGNORECASE,
)
_RULE = re.compile(r"^_{20,}$")
_HEADER = re.compile(
    r"^[*\s]*(?:from|von|de|da|van|från|fra|od|от|发件人|差出人|sent|date|gesendet|datum|envoyé|enviado|inviato|verzonden|"
    r"skickat|sendt|data|fecha|отправлено|дата|发送时间|日時|to|an|à|para|a|aan|till|til|do|кому|收件人|宛先|subject|betreff|"
    r"objet|asunto|oggetto|onderwerp|ämne|emne|temat|assunto|тема|主题|件名|cc|kopie|copie|копия)\s*\*?\s*[:：]",
    re.IGNORECASE,
)
_LONGEST = 500  # characters of a line that may begin an older mail
_TAIL = 100  # characters at the end of an attribution that hold the word for "wrote"


def newest_part(text: str) -> str:
    """What the author of a reply wrote (see above)."""
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    for at in range(len(lines)):
        length = _begins_older(lines, at)
        if length:
            return _assembled(text, lines[:at], lines[at + length :])
    # quoted without any word about it
    first = next((at for at, line in enumerate(lines) if _quoted(line)), len(lines))
    return _assembled(text, lines[:first], lines[first:])


def _assembled(text: str, above: list[str], below: list[str]) -> str:
    runs = _runs(below)
    answers = [run for quoted, run in runs if not quoted]
    if runs and runs[0][0] and answers:  # marked by ">", and something stands after it
        quotations = sum(quoted for quoted, _ in runs)
        kept = answers[0] if quotations == 1 else below
        above = [*above, *kept] if quotations == 1 else [*above, "", *kept]
    while above and not above[-1].strip(" -_"):  # a rule that was drawn above the quotation
        above.pop()
    result = tidy("\n".join(above))
    return result if result.strip() else tidy(text)


def _quoted(line: str) -> bool:
    return line.lstrip().startswith(">")


def _runs(lines: list[str]) -> list[tuple[bool, list[str]]]:
    """Stretches of quoted and of other lines; blank lines belong to what is before them."""
    runs: list[tuple[bool, list[str]]] = []
    for line in lines:
        if line.strip() and (not runs or runs[-1][0] != _quoted(line)):
            runs.append((_quoted(line), [line]))
        elif runs:
            runs[-1][1].append(line)
    return runs


def _begins_older(lines: list[str], at: int) -> int:
    """How many lines introduce an older mail here; 0: none does."""
    line = lines[at].strip()
    if not line or len(line) > _LONGEST or line.startswith(">"):
        return 0
    if _DIVIDER.match(line) or _DATED.match(line):
        return 1
    if (_RULE.match(line) and _headers_follow(lines, at + 1)) or (_HEADER.match(line) and _headers_follow(lines, at)):
        return 1
    if not _OPENING.match(line):
        return 0
    joined = ""
    for count in range(1, 5):
        if at + count > len(lines):
            break
        joined = f"{joined} {lines[at + count - 1].strip()}"[:_LONGEST]
        if joined.endswith((":", "：")) and _ATTRIBUTION.search(joined[-_TAIL:]):
            return count
    return 0


def _headers_follow(lines: list[str], at: int) -> bool:
    """Three of the next lines look like From, Sent, To, Subject, with nothing but their continuations between."""
    count = 0
    for line in lines[at : at + 12]:
        if _HEADER.match(line):
            count += 1
            if count == 3:
                return True
        elif line.strip() and (count == 0 or ":" in line[:30]):
            return False
    return False
