"""Small mails and directories for the tests of the core. Everything invented lives under .example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sync.core.matching import MailboxIdentity
from sync.model import (
    Account,
    Attachment,
    Directory,
    Message,
    MessageKind,
    Parsed,
    Participant,
    Person,
    RecordRef,
    Role,
)

ME = MailboxIdentity("sam@ours.example", ("ours.example",), "005ME")
SENT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def mail(
    *people: tuple[Role, str] | tuple[Role, str, str] | tuple[Role, str, str, str],
    kind: MessageKind = "mail",
    subject: str = "Widgets",
    date: datetime | None = SENT,
    text: str = "Hello",
    html: str = "",
    attachments: Sequence[Attachment] = (),
    message_id: str = "<m1@acme.example>",
    received: datetime | None = SENT,
) -> Message:
    """People are (role, address[, display name[, company]])."""
    participants = tuple(Participant(*one) for one in people)
    parsed = Parsed(message_id, subject, date, participants, text, html, tuple(attachments), kind=kind)
    return Message("m1", "t1", frozenset(), "received", parsed, received, 100)


def found(kind: str, ident: str, email: str, owner: str = "") -> Person:
    return Person(RecordRef(kind, ident), "", email, owner=owner)


def directory(
    *people: Person,
    websites: Mapping[str, Sequence[str]] | None = None,
    emails: Mapping[str, Sequence[str]] | None = None,
    companies: Mapping[str, Sequence[str]] | None = None,
) -> Directory:
    by_email: dict[str, tuple[Person, ...]] = {}
    for one in people:
        by_email[one.email] = (*by_email.get(one.email, ()), one)
    by_domain: dict[str, tuple[Account, ...]] = {}
    for source, how in ((websites or {}, "website"), (emails or {}, "email")):
        for domain, ids in source.items():
            accounts = tuple(Account(RecordRef("account", ident), "", how) for ident in ids)  # type: ignore[arg-type]
            by_domain[domain] = by_domain.get(domain, ()) + accounts
    by_company = {
        name: tuple(Account(RecordRef("account", ident), name) for ident in ids)
        for name, ids in (companies or {}).items()
    }
    return Directory(by_email, by_domain, by_company)
