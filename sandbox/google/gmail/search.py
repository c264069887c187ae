"""Gmail's search language, as far as people and programs use it.

Words, "phrases", -not, OR, (groups), {alternatives} and the operators of `OPERATORS`; another
``name:value`` is looked for as text, as Gmail does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.google.gmail.mailbox import Mailbox, Stored

Test = Callable[["Stored"], bool]
TOKEN = re.compile(
    r"""\s*(?:(?P<open>[({])|(?P<close>[)}])|(?P<minus>-)(?=\S)|
    (?P<name>[A-Za-z][A-Za-z0-9_]*):\s*(?P<group>[({])?|"(?P<phrase>[^"]*)"|(?P<word>[^\s(){}"]+))""",
    re.VERBOSE,
)
VALUE = re.compile(r'"([^"]*)"|([^\s(){}]+)')
SPAN = re.compile(r"(\d+)([dmy])")
DAYS = {"d": 1, "m": 30, "y": 365}
PLACES = {
    "inbox": "INBOX",
    "sent": "SENT",
    "draft": "DRAFT",
    "drafts": "DRAFT",
    "trash": "TRASH",
    "bin": "TRASH",
    "spam": "SPAM",
    "starred": "STARRED",
    "important": "IMPORTANT",
    "unread": "UNREAD",
    "chats": "CHAT",
}
STATES = {
    "unread": ("UNREAD", True),
    "read": ("UNREAD", False),
    "starred": ("STARRED", True),
    "important": ("IMPORTANT", True),
    "sent": ("SENT", True),
    "inbox": ("INBOX", True),
}


def slug(name: str) -> str:
    """A label's name as search writes it: lower case, hyphens for blanks and slashes."""
    return re.sub(r"[\s/&()\"]+", "-", name.strip().lower())


class Query:
    """A parsed query over one mailbox; call it with a message. Never fails: what makes no sense matches nothing."""

    def __init__(self, text: str, box: Mailbox) -> None:
        self._box = box
        self._text = text
        self._at = 0
        self.anywhere = bool(re.search(r"\b(in:\s*\"?(anywhere|trash|bin|spam)|rfc822msgid:)", text, re.IGNORECASE))
        self.trash_and_spam = bool(re.search(r"\bin:\s*\"?(anywhere|trash|bin|spam)", text, re.IGNORECASE))
        self._test = self._all("")

    def __call__(self, stored: Stored) -> bool:
        return self._test(stored)

    # ---- grammar -------------------------------------------------------------------------

    def _all(self, closing: str) -> Test:
        """Terms until the closing bracket: all must match, "OR" binds neighbours, {} means any."""
        terms: list[list[Test]] = []
        joined = False
        while self._at < len(self._text):
            match = TOKEN.match(self._text, self._at)
            if match is None:
                self._at += 1
                continue
            if match["close"]:
                self._at = match.end()
                break
            if match["word"] in ("OR", "|", "AND"):
                self._at = match.end()
                joined = match["word"] != "AND" and bool(terms)
                continue
            term = self._term()
            if term is None:
                continue
            if joined:
                terms[-1].append(term)
            else:
                terms.append([term])
            joined = False
        if closing == "}":
            return lambda s: any(test(s) for group in terms for test in group)
        return lambda s: all(any(test(s) for test in group) for group in terms)

    def _term(self) -> Test | None:
        match = TOKEN.match(self._text, self._at)
        if match is None:
            self._at = len(self._text)
            return None
        self._at = match.end()
        if match["minus"]:
            inner = self._term()
            return None if inner is None else lambda s: not inner(s)
        if match["open"]:
            return self._all("}" if match["open"] == "{" else ")")
        if match["name"]:
            return self._operator(match["name"].lower(), match["group"])
        words = match["phrase"] if match["phrase"] is not None else match["word"] or ""
        return self._contains(words)

    def _operator(self, name: str, group: str | None) -> Test:
        if group:  # subject:(a b), label:{a b}
            closing = "}" if group == "{" else ")"
            end = self._text.find(closing, self._at)
            end = len(self._text) if end < 0 else end
            values = [quoted or plain for quoted, plain in VALUE.findall(self._text[self._at : end]) if plain != "OR"]
            self._at = end + 1
            tests = [self._named(name, value) for value in values]
            return (lambda s: any(t(s) for t in tests)) if group == "{" else (lambda s: all(t(s) for t in tests))
        match = VALUE.match(self._text, self._at)
        if match is None:
            return self._contains(name)
        self._at = match.end()
        return self._named(name, match[1] if match[1] is not None else match[2])

    def _named(self, name: str, value: str) -> Test:
        make = OPERATORS.get(name)
        return make(self, value) if make else self._contains(f"{name}:{value}")

    # ---- operators ------------------------------------------------------------------------

    def _contains(self, words: str) -> Test:
        wanted = " ".join(words.casefold().split())
        pattern = re.compile(r"(?<!\w)" + re.escape(wanted) + r"(?!\w)")
        return lambda s: pattern.search(" ".join(s.mail.haystack.split())) is not None

    def person(self, *headers: str) -> Callable[[str], Test]:
        def make(value: str) -> Test:
            wanted = value.casefold()
            wanted = self._box.address.casefold() if wanted == "me" else wanted.strip("<>")
            return lambda s: any(wanted in f"{n} {a}".casefold() for n, a in s.mail.people(*headers))

        return make

    def label(self, value: str) -> Test:
        wanted = slug(value)
        ids = {x.id for x in self._box.labels.values() if slug(x.name) == wanted or x.id.lower() == value.lower()}
        return lambda s: bool(ids & s.labels)

    def place(self, value: str) -> Test:
        place = value.lower()
        if place == "anywhere":
            return lambda s: True
        if place == "archive":
            return lambda s: not {"INBOX", "SENT", "DRAFT", "TRASH", "SPAM"} & s.labels
        label = PLACES.get(place)
        return self.label(value) if label is None else lambda s: label in s.labels

    def state(self, value: str) -> Test:
        label, wanted = STATES.get(value.lower(), ("", True))
        return lambda s: bool(label) and (label in s.labels) is wanted

    def has(self, value: str) -> Test:
        kind = value.lower()
        if kind == "attachment":
            return lambda s: bool(s.mail.files)
        if kind in ("userlabels", "nouserlabels"):
            return lambda s: any(x.startswith("Label_") for x in s.labels) is (kind == "userlabels")
        return lambda s: False

    def _when(self, value: str) -> float | None:
        """Seconds of a date (midnight UTC) or of a number of seconds."""
        if re.fullmatch(r"\d{9,11}", value):
            return float(value)
        numbers = re.split(r"[/-]", value)
        try:
            year, month, day = (int(n) for n in (numbers if len(numbers[0]) == 4 else [numbers[2], *numbers[:2]]))
            return datetime(year, month, day, tzinfo=UTC).timestamp()
        except (ValueError, IndexError):
            return None

    def after(self, value: str) -> Test:
        start = self._when(value)
        return lambda s: start is not None and s.internal_date >= start * 1000

    def before(self, value: str) -> Test:
        end = self._when(value)
        return lambda s: end is not None and s.internal_date < end * 1000

    def within(self, value: str, newer: bool) -> Test:
        match = SPAN.fullmatch(value)
        if match is None:
            return lambda s: False
        edge = (self._box.clock.now() - timedelta(days=int(match[1]) * DAYS[match[2]])).timestamp() * 1000
        return lambda s: (s.internal_date >= edge) is newer

    def message_id(self, value: str) -> Test:
        wanted = value.strip("<>")
        return lambda s: s.mail.message_id.strip("<>") == wanted

    def size(self, value: str, larger: bool) -> Test:
        match = re.fullmatch(r"(\d+)([kKmM]?)", value)
        if match is None:
            return lambda s: False
        size = int(match[1]) * {"": 1, "k": 1024, "m": 1024 * 1024}[match[2].lower()]
        return lambda s: (len(s.mail.raw) > size) is larger


OPERATORS: dict[str, Callable[[Query, str], Test]] = {
    "in": Query.place,
    "label": Query.label,
    "is": Query.state,
    "has": Query.has,
    "category": lambda q, v: lambda s: f"CATEGORY_{'PERSONAL' if v.lower() == 'primary' else v.upper()}" in s.labels,
    "from": lambda q, v: q.person("From")(v),
    "to": lambda q, v: q.person("To", "Cc", "Bcc")(v),
    "cc": lambda q, v: q.person("Cc")(v),
    "bcc": lambda q, v: q.person("Bcc")(v),
    "deliveredto": lambda q, v: q.person("Delivered-To", "To", "Cc")(v),
    "list": lambda q, v: lambda s: v.casefold() in s.mail.header("List-Id").casefold(),
    "subject": lambda q, v: lambda s: " ".join(v.casefold().split()) in " ".join(s.mail.subject.casefold().split()),
    "filename": lambda q, v: lambda s: any(v.casefold() in name.casefold() for name in s.mail.files),
    "after": Query.after,
    "newer": Query.after,
    "before": Query.before,
    "older": Query.before,
    "newer_than": lambda q, v: q.within(v, newer=True),
    "older_than": lambda q, v: q.within(v, newer=False),
    "rfc822msgid": Query.message_id,
    "larger": lambda q, v: q.size(v, larger=True),
    "size": lambda q, v: q.size(v, larger=True),
    "smaller": lambda q, v: q.size(v, larger=False),
}
