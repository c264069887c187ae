"""Which mails of a conversation are followed (product.md 9 F7)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync.core.follow import begins, mails_after, redirects, refusal, subject_key
from sync.core.matching import MailboxIdentity
from sync.model import SUMMARY_SENDER, Message, Parsed, Participant, Target
from sync.policy import Policy

ME = MailboxIdentity("anna@northpeak.example")
POLICY = Policy(conversation_follow=True)
ONE, TWO, ARCHIVE = Target("record", "case", "5001"), Target("record", "case", "5002"), Target("archive")


def mail(sender: str = "rosa@acme.example", to: str = "anna@northpeak.example", **more: object) -> Message:
    people = (Participant("from", sender), Participant("to", to))
    parsed = replace(Parsed("<m@x.example>", "Widgets", None, people, "", "", ()), **more)  # type: ignore[arg-type]
    return Message("m", "t", frozenset(), "received", parsed)


@pytest.mark.parametrize(
    ("subject", "key"),
    [
        ("Widgets", "widgets"),
        ("Re: Widgets", "widgets"),
        ("RE: AW: Fwd:  Widgets ", "widgets"),
        ("Re[2]: [EXT] WG: Widgets", "widgets"),
        ("回复：Widgets", "widgets"),
        ("Project: Widgets", "project: widgets"),
        ("Repeat: Widgets", "repeat: widgets"),
        ("Re:", ""),
    ],
)
def test_what_subjects_of_a_conversation_share(subject: str, key: str) -> None:
    assert subject_key(subject) == key


@pytest.mark.parametrize(
    ("message", "same", "policy", "why"),
    [
        (mail(), True, POLICY, None),
        (mail(), False, POLICY, "subject"),
        (mail(), False, replace(POLICY, follow_subject_change_stops=False), None),
        (mail(sender=SUMMARY_SENDER), True, POLICY, "own"),
        (mail(kind="bounce"), True, POLICY, "report"),
        (mail(kind="calendar"), True, POLICY, "report"),
        (mail(kind="receipt"), True, POLICY, "report"),
        (mail(sender="ben@northpeak.example"), True, POLICY, None),
        (mail(sender="ben@northpeak.example"), True, replace(POLICY, follow_skip_internal=True), "internal"),
        (mail(), True, replace(POLICY, follow_skip_internal=True), None),
    ],
)
def test_what_is_kept_out(message: Message, same: bool, policy: Policy, why: str | None) -> None:
    assert refusal(message, same, policy, ME) == why


@pytest.mark.parametrize("trigger", ["label", "folder", "category", "click"])
def test_only_a_hand_begins_a_follow(trigger: str) -> None:
    assert begins(trigger, POLICY)  # type: ignore[arg-type]
    assert not begins(trigger, Policy())  # type: ignore[arg-type]
    assert not begins("follow", POLICY)
    assert not begins("retry", POLICY)


def test_another_item_takes_the_conversation_over() -> None:
    assert redirects(TWO, [ONE, ARCHIVE]) == (ONE, ARCHIVE)
    assert redirects(ONE, [ONE]) == ()
    assert redirects(ARCHIVE, [ONE]) == ()


def test_only_later_mails_are_taken() -> None:
    assert mails_after([("a", 1.0), ("b", 2.0), ("c", 3.0)], 2.0) == ("c",)
