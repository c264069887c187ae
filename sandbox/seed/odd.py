"""Single mails: the letters of `tables/letters.yaml`, and a helper for mails made of raw headers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from sandbox.seed import files, mime
from sandbox.seed.letters import Box, Mail, compose, letter_text, places, received
from sandbox.seed.people import Person, ascii_fold, contacts, google_boxes, own_boxes, table, users

ANNA, BEN, MARIA, ERIK, PRIYA, TOM = (users()[key] for key in ("anna", "ben", "maria", "erik", "priya", "tom"))


def person(text: str) -> Person:
    """A user, a contact, or `Name <address>; company; title; mail program` as somebody."""
    known = users().get(text) or contacts().get(text)
    if known:
        return known
    who, company, title, client = (*(part.strip() for part in text.split(";")), "", "", "")[:4]
    name, _, address = who.rpartition(" <") if " <" in who else ("", "", who)
    first, _, last = name.strip('"').partition(" ")
    return Person(
        key=ascii_fold(address),
        first=first,
        last=last,
        email=address.rstrip(">"),
        title=title,
        company=company,
        phone="",
        client=client or "outlook",
    )


def _boxes(texts: Sequence[str]) -> list[Box]:
    """Display names and addresses; `*64` stands for the first 64 contacts."""
    crowd = [p.box for p in contacts().values()]
    return [box for text in texts for box in (crowd[: int(text[1:])] if text[0] == "*" else [person(text).box])]


def _marked(boxes: dict[str, dict[str, Any]], marks: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The places with a letter's own labels (`=LABEL` instead of the usual ones) or folder."""
    found = dict(boxes)
    for key, mark in marks.items():
        box = users()[key].email
        if box not in google_boxes():
            found[box] = {**found[box], "folder": mark}
        elif isinstance(mark, str):
            found[box] = {"labels": [mark.removeprefix("=")]}
        else:
            found[box] = {"labels": [*found[box]["labels"], *mark]}
    return found


def _letter(row: dict[str, Any], earlier: dict[str, Mail]) -> Mail:
    author, to = person(row["from"]), _boxes(row["to"])
    greeted = to[0][0].partition(" ")[0] if len(to) == 1 else "all"
    lang = row.get("lang", "en")
    text = letter_text(author, row.get("hello", greeted), row["text"], lang, row["subject"])
    attached = [mime.file(a["name"], "application/pdf", files.pdf(a["lines"])) for a in row.get("attach", ())]
    mail = compose(
        author,
        to,
        _boxes(row.get("cc", ())),
        row["subject"],
        mime.at(str(row["when"]), row.get("zone", 1)),
        text,
        reply_to=earlier.get(row.get("reply", "")),
        lang=lang,
        files=attached,
        ident=row.get("ident", ""),
        extra=[(name, value) for name, value in row.get("headers", ())],
        with_logo=row.get("logo", False),
        charset=row.get("charset", "utf-8"),
        q=row.get("q", False),
    )
    boxes = mail.boxes
    if "delivered" in row:
        boxes = places(mail.sender, [users()[key].email for key in row["delivered"]], mail.when, mail.message_id)
    arrives = users()[row["arrives"]].email if "arrives" in row else ""
    return replace(
        mail,
        cases=tuple(row.get("cases", ())),
        story=row.get("story", ""),
        arrives=arrives,
        boxes={} if arrives else _marked(boxes, row.get("mark", {})),
    )


def letters() -> Iterator[Mail]:
    """Every letter of the table."""
    earlier: dict[str, Mail] = {}
    for row in table("letters"):
        mail = _letter(row, earlier)
        if "id" in row:
            earlier[row["id"]] = mail
        yield mail


def bare(
    when: str,
    sender: str,
    recipients: Sequence[str],
    headers: Sequence[tuple[str, str]],
    part: mime.Part,
    *,
    cases: tuple[str, ...] = (),
    story: str = "",
    subject: str = "",
    ident: str | None = None,
    dated: bool = True,
) -> Mail:
    """A mail from raw headers, delivered to `recipients` whether or not a header names them.

    A trace (for a sender from outside), a Date and a Message-ID are added unless turned off (`ident=""`).
    """
    moment = mime.at(when)
    ident = f"<{mime.digest(subject, when, sender)[:24]}@mail.{sender.rpartition('@')[2]}>" if ident is None else ident
    head = received(sender, moment, ident or subject) if sender and sender.lower() not in own_boxes() else []
    head += headers
    head += [("Date", mime.date(moment))] if dated else []
    head += [("Message-ID", ident)] if ident else []
    return Mail(
        when=moment,
        raw=mime.render(head, part),
        subject=subject,
        sender=sender,
        message_id=ident,
        cases=cases,
        story=story,
        boxes=places(sender, recipients, moment, ident or subject),
    )
