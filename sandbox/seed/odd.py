"""Helpers for the mails that no conversation script makes."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sandbox.seed import mime
from sandbox.seed.letters import Box, Mail, compose, letter_text, places, received
from sandbox.seed.people import Person, ascii_fold, contacts, users

ANNA, BEN, MARIA, ERIK, PRIYA, TOM = (users()[key] for key in ("anna", "ben", "maria", "erik", "priya", "tom"))


def who(key: str) -> Person:
    """A contact of the organisation."""
    return contacts()[key]


def stranger(name: str, email: str, company: str = "", title: str = "", client: str = "outlook") -> Person:
    """Somebody whom the CRM does not know under this address."""
    first, _, last = name.partition(" ")
    return Person(key=ascii_fold(email), first=first, last=last, email=email, title=title, company=company, phone="",
                  client=client)


def letter(when: str, author: Person, to: Sequence[Person | Box], subject: str, text: str, *, cc: Sequence[Person | Box] = (),
           cases: tuple[str, ...] = (), story: str = "", reply_to: Mail | None = None, zone: float = 1,
           **options: Any) -> Mail:
    """An ordinary letter with greeting and signature, marked with what it shows."""
    def boxes(people: Sequence[Person | Box]) -> list[Box]:
        return [p.box if isinstance(p, Person) else p for p in people]

    greeted = to[0].first if len(to) == 1 and isinstance(to[0], Person) else "all"
    body = letter_text(author, greeted, text, options.get("lang", "en"), subject)
    mail = compose(author, boxes(to), boxes(cc), subject, mime.at(when, zone), body, reply_to=reply_to, **options)
    return replace(mail, cases=cases, story=story)


def bare(when: str, sender: str, recipients: Sequence[str], headers: Sequence[tuple[str, str]], part: mime.Part, *,
         cases: tuple[str, ...] = (), story: str = "", subject: str = "", ident: str | None = None,
         trace: bool = True, dated: bool = True, zone: float = 1, delivered: Sequence[str] = ()) -> Mail:
    """A mail from raw headers; a trace, a Date and a Message-ID are added unless they are turned off (`ident=""`).

    `delivered` names mailboxes that no header tells of.
    """
    moment = mime.at(when, zone)
    ident = f"<{mime.digest(subject, when, sender)[:24]}@mail.{sender.rpartition('@')[2]}>" if ident is None else ident
    head = received(sender, moment, ident or subject) if trace else []
    head += list(headers)
    head += [("Date", mime.date(moment))] if dated else []
    head += [("Message-ID", ident)] if ident else []
    return Mail(when=moment, raw=mime.render(head, part), subject=subject, sender=sender, message_id=ident, cases=cases,
                story=story, boxes=places(sender, [*recipients, *delivered], moment, ident or subject))
