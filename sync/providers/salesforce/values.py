"""Values as Salesforce takes them: clean, cut, and recognisable when they are read back."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

# first three characters of an id -> our kind
PREFIXES: Mapping[str, str] = {
    "001": "account",
    "003": "contact",
    "005": "user",
    "006": "opportunity",
    "00Q": "lead",
    "00T": "task",
    "00U": "event",
    "02s": "email",
    "500": "case",
    "701": "campaign",
    "800": "contract",
    "0Q0": "quote",
}
# our kind -> the object; other kinds are called as the object itself
OBJECTS: Mapping[str, str] = {
    "account": "Account",
    "contact": "Contact",
    "user": "User",
    "opportunity": "Opportunity",
    "lead": "Lead",
    "task": "Task",
    "event": "Event",
    "email": "EmailMessage",
    "case": "Case",
    "campaign": "Campaign",
    "contract": "Contract",
    "quote": "Quote",
}
IDENTIFIER_LENGTH = 765  # EmailMessage.MessageIdentifier
SUBJECT_LENGTH = 255  # Task.Subject
NO_SUBJECT = "(no subject)"
MESSAGE_ID_LINE = "Message-ID: "
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_LINE = re.compile(rf"^{MESSAGE_ID_LINE}(.+?)\s*$", re.MULTILINE)


def kind_of(record_id: str) -> str:
    """The kind that an id's prefix tells; the prefix itself for objects that have no name here."""
    return PREFIXES.get(record_id[:3], record_id[:3])


def object_of(kind: str) -> str:
    """The object's API name."""
    return OBJECTS.get(kind.lower(), kind)


def clean(text: str) -> str:
    """Without characters that JSON or Salesforce refuses, lines ended by line feeds."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str) -> str:
    return " ".join(clean(text).split())


def size(text: str) -> int:
    """The length as Salesforce counts: UTF-16 code units."""
    return len(text) + sum(1 for letter in text if ord(letter) > 0xFFFF)


def cut(text: str, length: int) -> str:
    """At most `length` characters as Salesforce counts them, never half of one; 0 is no limit."""
    if length <= 0 or size(text) <= length:
        return text
    text = text[:length]
    while size(text) > length:
        text = text[: -max(1, (size(text) - length) // 2)]
    return text


def subject(text: str) -> str:
    """The subject of a task; the same when it is written and when it is looked for. Salesforce strips outer blanks."""
    return cut(one_line(text), SUBJECT_LENGTH).strip() or NO_SUBJECT


def identifier(message_id: str) -> str:
    """The Message-ID as MessageIdentifier holds it; one that is too long ends in a digest of the whole."""
    plain = one_line(message_id)
    if size(plain) <= IDENTIFIER_LENGTH:
        return plain
    digest = hashlib.sha256(plain.encode()).hexdigest()[:32]
    return cut(plain, IDENTIFIER_LENGTH - 33) + "~" + digest


def message_id_line(message_id: str) -> str:
    """The line of a task's text by which the task is found again."""
    return MESSAGE_ID_LINE + identifier(message_id)


def message_id_of(description: str) -> str:
    """The identifier in a task's text; "" when there is none. The first such line is ours: it stands in the header
    block above the mail's own text."""
    found = _LINE.search(description)
    return found[1] if found else ""
