"""A matched mail -> the module item to create from it (product.md 9 F2, 12).

Each field of the new item, from the first of these that has something:

| field | value |
|---|---|
| any | the policy's `fields` for the module, with {words} replaced |
| the title | the policy's `title`, by default the subject |
| owner | the mailbox's CRM user |
| contact, account | the sender (of a sent mail the first recipient) who is a contact, and that contact's account |
| one that the CRM fills | left to the CRM |
| required, the module's state | the first that the CRM lists |
| required, the module's due date | 30 days from now |

A required field that is still empty keeps the item from being made: the reason names it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation

from sync.core.cut import shorten
from sync.core.matching import Matching
from sync.core.names import company_domain
from sync.model import Message, NewItem, RecordRef
from sync.modules import FieldSpec, Module
from sync.options import ModuleRule
from sync.policy import Policy

DUE_DAYS = 30
NO_SUBJECT = "(no subject)"
Value = str | int | float | bool
_WORD = re.compile(r"\{(\w+)([+-]\d{1,4})?\}")


@dataclass(frozen=True, slots=True)
class Lacking:
    """The item cannot be made: `fields` are labels of required fields without a value, `wrong` of values that do not
    fit. Labels are the CRM's, so they hold no content."""

    fields: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()

    @property
    def detail(self) -> str:
        parts = []
        if self.fields:
            parts.append("required fields without a value: " + ", ".join(self.fields))
        if self.wrong:
            parts.append("values of the policy that do not fit: " + ", ".join(self.wrong))
        return "; ".join(parts)


def new_item(
    message: Message, matching: Matching, rule: ModuleRule, module: Module, policy: Policy, owner: str, today: date
) -> NewItem | Lacking:
    """The item to create. `today` is the day in UTC."""
    contact, account = _party(message, matching)
    words = _words(message, policy)
    values: dict[str, Value] = {}
    wrong: list[str] = []
    given: dict[str, Value] = {module.title: rule.title, **dict(rule.fields)}
    for name, raw in given.items():
        spec = _spec(module, name)
        if spec is None:
            wrong.append(name)
            continue
        if not spec.writable:
            if name != module.title:
                wrong.append(spec.label)
            continue
        value = _fitted(_filled(raw, words, today) if isinstance(raw, str) else raw, spec)
        if value is None:
            wrong.append(spec.label)
        elif value != "":
            values[spec.name] = value
        elif spec.name == module.title:
            values[spec.name] = NO_SUBJECT
    referred = {module.account: account, module.contact: contact}
    for spec in module.fields.values():
        if spec.required and spec.writable and spec.name not in values and referred.get(spec.name) is None:
            preset = _preset(spec, module, today)
            if preset is not None:
                values[spec.name] = preset
    lacking = tuple(
        spec.label
        for spec in module.fields.values()
        if spec.required and spec.writable and spec.name not in values and referred.get(spec.name) is None
    )
    if lacking or wrong:
        return Lacking(lacking, tuple(wrong))
    return NewItem(
        module.kind,
        values,
        owner,
        account if module.account and module.account not in values else None,
        contact if module.contact and module.contact not in values else None,
    )


def _spec(module: Module, name: str) -> FieldSpec | None:
    folded = name.casefold()
    return next((spec for spec in module.fields.values() if spec.name.casefold() == folded), None)


def _party(message: Message, matching: Matching) -> tuple[RecordRef | None, RecordRef | None]:
    """(contact, account) of the person on the other side."""
    wanted = ("to", "cc", "bcc") if message.direction == "sent" else ("from", "reply_to", "to", "cc", "bcc")
    chosen = {one.email: one for one in matching.decisions if one.chosen is not None and one.chosen.kind == "contact"}
    for role in wanted:
        for one in message.mime.participants:
            decision = chosen.get(one.email) if one.role == role else None
            if decision is not None and decision.chosen is not None:
                return decision.chosen, matching.account_of(decision.chosen)
    return None, None


def _words(message: Message, policy: Policy) -> Mapping[str, str]:
    roles = ("to", "cc") if message.direction == "sent" else ("from",)
    party = next((one for role in roles for one in message.mime.participants if one.role == role), None)
    email = party.email if party else ""
    company = (party.company if party else "") or (company_domain(email, policy) if email else "")
    return {
        "subject": message.mime.subject.strip(),
        "sender": (party.name or email) if party else "",
        "sender_email": email,
        "company": company,
    }


def _filled(text: str, words: Mapping[str, str], today: date) -> str:
    def word(found: re.Match[str]) -> str:
        if found[1] == "date":
            return (today + timedelta(days=int(found[2] or 0))).isoformat()
        return words.get(found[1], found[0]) if found[2] is None else found[0]

    return _WORD.sub(word, text).strip()


def _fitted(value: Value, spec: FieldSpec) -> Value | None:
    """The value as the field takes it; None: it cannot be one."""
    if spec.type == "flag":
        text = str(value).strip().lower()
        return value if isinstance(value, bool) else {"true": True, "false": False, "yes": True, "no": False}.get(text)
    if spec.type in ("number", "money"):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value
        try:
            return float(Decimal(str(value)))
        except InvalidOperation:
            return None
    text = str(value)
    if spec.type == "date":
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            return None
    return shorten(text, spec.length) if spec.length and spec.type == "text" else text


def _preset(spec: FieldSpec, module: Module, today: date) -> Value | None:
    if spec.name == module.status and spec.choices:
        return spec.choices[0]
    if spec.name == module.due and spec.type == "date":
        return (today + timedelta(days=DUE_DAYS)).isoformat()
    return None
