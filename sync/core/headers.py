"""Header values -> text, people, ids and dates, whatever they hold."""

from __future__ import annotations

import binascii
import inspect
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import getaddresses, parsedate_to_datetime

from sync.core import charsets
from sync.core.addresses import normalise
from sync.core.structure import FAULTS, Budget, Part
from sync.model import Participant, Role

MAX_PARTICIPANTS = 2000
LONGEST_ID = 250
"""Characters of a Message-ID that a CRM's identifier field still takes."""

_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")
_ID = re.compile(r"<([^<>]{3,})>")
_LOOSE = re.compile(r"[^\s<>,;:\"()\[\]\\@]{1,64}@[^\s<>,;:\"()\[\]\\@]{3,190}")
_ROLES: tuple[tuple[Role, str], ...] = (
    ("from", "from"),
    ("reply_to", "reply-to"),
    ("to", "to"),
    ("cc", "cc"),
    ("bcc", "bcc"),
)
# newer Pythons refuse a whole header for one odd address unless told otherwise
_LENIENT: dict[str, bool] = {"strict": False} if "strict" in inspect.signature(getaddresses).parameters else {}


def decode_words(value: str, budget: Budget) -> str:
    """The text of a header value with its encoded words (RFC 2047) read.

    Bytes of neighbouring words in one charset are joined first, since senders cut characters in two.
    """
    out: list[str] = []
    pending: tuple[str, bytes] | None = None
    at = 0
    for word in _WORD.finditer(value):
        gap = value[at : word.start()]
        charset, raw = word[1].partition("*")[0].lower(), _word_bytes(word[2], word[3], budget)
        if pending and (gap.strip() or pending[0] != charset):
            out.append(_text(*pending, budget))
            pending = None
        if gap.strip() or at == 0:
            out.append(gap)
        pending = (charset, (pending[1] if pending else b"") + raw)
        at = word.end()
    if pending:
        out.append(_text(*pending, budget))
    return charsets.clean("".join(out) + value[at:])


def _text(charset: str, raw: bytes, budget: Budget) -> str:
    text, sure = charsets.decode(raw, charset)
    if not sure:
        budget.note("header text in an unknown or wrong charset")
    return text


def _word_bytes(encoding: str, content: str, budget: Budget) -> bytes:
    raw = content.encode("utf-8", "replace")
    if encoding in "qQ":
        return binascii.a2b_qp(raw.replace(b" ", b"_"), header=True)
    kept = re.sub(rb"[^A-Za-z0-9+/]", b"", raw)
    if len(kept) % 4 == 1:
        budget.note("broken encoded word")
        kept = kept[:-1]
    return binascii.a2b_base64(kept + b"=" * (-len(kept) % 4))


def _pairs(value: str, budget: Budget) -> list[tuple[str, str]]:
    try:
        return getaddresses([value], **_LENIENT)
    except FAULTS:
        budget.note("unreadable address list")
        return [("", found) for found in _LOOSE.findall(value)]


def _people(value: str, budget: Budget) -> Iterator[tuple[str, str]]:
    """(address, display name) of every usable address in a header value."""
    loose = ""  # what stood before an unquoted comma: `Doe, Jane <jane@acme.example>`
    found = 0
    for name, raw in _pairs(value, budget):
        email = normalise(raw) or normalise(decode_words(raw, budget))
        shown = decode_words(name, budget)
        if "=?" in shown:  # encoded twice
            shown = decode_words(shown, budget)
        shown = charsets.printable(shown, 200).strip("'\" ")
        if email is None:
            if raw and "@" not in raw and not name and len(raw) < 60:
                loose = charsets.printable(decode_words(raw, budget), 60)
            elif raw:
                budget.note("address without a full domain")
            continue
        found += 1
        if loose and shown:
            shown = f"{loose}, {shown}"
        loose = ""
        yield email, "" if shown.lower() == email else shown
    if not found:
        for raw in _LOOSE.findall(decode_words(value, budget)):
            email = normalise(raw)
            if email:
                found += 1
                budget.note("address list read loosely")
                yield email, ""
    if not found and value.strip() and not value.rstrip().endswith(";"):  # an empty group hides its members on purpose
        budget.note("header without a usable address")


def participants(part: Part, budget: Budget) -> tuple[Participant, ...]:
    """Everybody in the header, once per role, in the header's order. Sender stands in for a From without an address;
    Organization (product.md 8.1 step 6: Company) belongs to the first sender."""
    company = charsets.printable(decode_words(part.get("organization") or part.get("organisation"), budget), 255)
    out: dict[tuple[Role, str], Participant] = {}
    for role, header in _ROLES:
        values = part.all(header)
        if role == "from" and len(values) > 1:
            budget.note("several From headers")
        people = [person for value in values for person in _people(value, budget)]
        if role == "from" and not people:
            people = [person for value in part.all("sender") for person in _people(value, budget)]
        for email, name in people:
            if len(out) >= MAX_PARTICIPANTS:
                budget.note("too many addresses")
                return tuple(out.values())
            known = out.get((role, email))
            if known is None or (name and not known.name):
                out[role, email] = Participant(role, email, name, company if role == "from" and not out else "")
    return tuple(out.values())


def message_id(value: str) -> str:
    """The Message-ID with its <>, or empty when there is none that a CRM could hold."""
    found = _ID.search(value)
    text = re.sub(r"\s+", "", found[1] if found else value.strip().strip("<>"))
    usable = text.isprintable() and 3 <= len(text) <= LONGEST_ID - 2 and (found or "@" in text)
    return f"<{text}>" if usable else ""


def message_ids(value: str, limit: int = 100) -> tuple[str, ...]:
    """Every id of References or In-Reply-To, the first and the latest ones when there are more than `limit`."""
    found = list(dict.fromkeys(filter(None, (message_id(f"<{one}>") for one in _ID.findall(value)))))
    return tuple(found if len(found) <= limit else [found[0], *found[1 - limit :]])


def date(value: str, budget: Budget) -> datetime | None:
    """The Date header in UTC; a time without a zone counts as UTC."""
    if not value:
        return None
    try:
        found = parsedate_to_datetime(value)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except FAULTS:
        budget.note("unreadable date")
        return None
    return found
