"""Which later mails of a conversation are filed like the one that was filed by hand (product.md 9 F7, 15).

Asked in this order; the first that applies decides, and a mail that nothing keeps out is followed:

| a mail | is |
|---|---|
| that Mailspan wrote itself | `own` |
| that is no mail of people: bounce, invitation or its reply, receipt | `report` |
| with another subject, with `follow_subject_change_stops` | `subject`: a new conversation, for everybody |
| among colleagues only, with `follow_skip_internal` | `internal` |
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Literal

from sync.core.addresses import is_internal
from sync.core.matching import MailboxIdentity
from sync.model import SUMMARY_SENDER, Message, Target, Trigger
from sync.policy import Policy

Refusal = Literal["own", "report", "subject", "internal"]

BY_HAND: frozenset[Trigger] = frozenset({"label", "folder", "category", "click"})
"""Ways in which a person files: these begin a follow (product.md F7.2)."""

SPLIT_NEAR = 95
"""Mails of a thread from which on it may soon go on in another one (some mail systems cut at 100, providers.md 1.6)."""

# What mail programs put before the subject of a reply or a forwarded mail, in the languages they speak.
_PREFIX = re.compile(
    r"^(?:(?:re|r|aw|antw|antwort|sv|vs|odp|ref|rif|res|resp|bls|atb|ynt|ענה|回复|回覆|答复|返信|"
    r"fw|fwd|wg|wl|tr|rv|enc|i|vb|vl|doorst|pd|转发|轉寄|転送)\s*(?:\[\d+\]|\(\d+\))?\s*[:：]\s*)+",
    re.IGNORECASE,
)
_TAG = re.compile(r"^\[(?:ext|external|extern)\]\s*", re.IGNORECASE)  # put there by gateways on one side only


def subject_key(subject: str) -> str:
    """What two subjects of one conversation have in common."""
    text = " ".join(unicodedata.normalize("NFKC", subject).split())
    while (shorter := _TAG.sub("", _PREFIX.sub("", text))) != text:
        text = shorter
    return text.casefold()


def is_own(message: Message) -> bool:
    """Whether Mailspan wrote it: a summary, or a copy of one."""
    return any(one.role == "from" and one.email == SUMMARY_SENDER for one in message.mime.participants)


def refusal(message: Message, same_subject: bool, policy: Policy, mailbox: MailboxIdentity) -> Refusal | None:
    """Why this mail of a followed conversation is not filed; None: it is."""
    if is_own(message):
        return "own"
    if message.mime.kind != "mail":
        return "report"
    if policy.follow_subject_change_stops and not same_subject:
        return "subject"
    if policy.follow_skip_internal and _internal(message, policy, mailbox):
        return "internal"
    return None


def _internal(message: Message, policy: Policy, mailbox: MailboxIdentity) -> bool:
    return all(is_internal(one.email, mailbox.own_domains, policy) for one in message.mime.participants)


def begins(trigger: Trigger, policy: Policy) -> bool:
    """Whether a filing asked for in this way begins a follow."""
    return policy.conversation_follow and trigger in BY_HAND


def redirects(new: Target, followed: Iterable[Target]) -> tuple[Target, ...]:
    """The targets that the conversation leaves when a mail of it is filed by hand to `new`: every other item
    (product.md F7.6). Archiving a mail is no answer to where the conversation belongs, so it leaves none; a
    conversation that was only archived goes to the item from then on."""
    return () if new.action == "archive" else tuple(one for one in followed if one != new)


def mails_after(messages: Iterable[tuple[str, float]], since: float) -> tuple[str, ...]:
    """Of (id, arrival): those that came after the one that began the follow."""
    return tuple(key for key, at in messages if at > since)
