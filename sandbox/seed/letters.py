"""From a person, a text and the mails before it to a finished message, as that person's mail client would write it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape
from typing import Any

from sandbox.seed import mime
from sandbox.seed.files import logo
from sandbox.seed.people import Person, google_boxes, own_boxes

Box = tuple[str, str]
LOGO = "logo@northpeak.example"
UNREAD_SINCE = mime.at("2026-11-16 00:00")
ARCHIVED_BEFORE = mime.at("2026-10-20 00:00")


@dataclass(frozen=True, slots=True)
class Client:
    """How a mail program writes: the header that names it, its quoting, its Message-IDs, whether it sends HTML."""

    agent: tuple[str, str] | None
    quote: str
    ident: str
    html: bool


CLIENTS = {
    "gmail": Client(None, "inline", "CA+{0:.24}@mail.{1}", True),
    "outlook": Client(("X-Mailer", "Microsoft Outlook 16.0"), "block", "AM9PR05MB{0:.20}@AM9PR05MB4.{1}", True),
    "apple": Client(("X-Mailer", "Apple Mail (2.3774.600.62)"), "inline", "{0:.8}-{0:.4}-4F1B@{1}", True),
    "iphone": Client(("X-Mailer", "iPhone Mail (22B91)"), "inline", "{0:.8}-7C2E-{0:.12}@{1}", False),
    "thunderbird": Client(("User-Agent", "Mozilla Thunderbird"), "inline", "{0:.8}-{0:.4}-{0:.12}@{1}", False),
}
REPLY_PREFIX = {"en": "Re: ", "de": "AW: ", "sv": "SV: "}
GREETINGS = {
    "en": ("Hi {},", "Hello {},", "Dear {},", "Hi {},"),
    "de": ("Hallo {},", "Guten Tag {},"),
    "sv": ("Hej {},", "Hej {}!"),
}
GOODBYES = {
    "en": ("Best regards", "Kind regards", "Thanks", "Regards", "Many thanks"),
    "de": ("Mit freundlichen Grüßen", "Viele Grüße"),
    "sv": ("Med vänlig hälsning", "Hälsningar"),
}


@dataclass(frozen=True, slots=True)
class Mail:
    """A finished mail: its bytes, its place in time, the mailboxes it lies in, what it is an example of.

    A mail that lies nowhere yet names in `arrives` the mailbox that a test may deliver it to.
    """

    when: datetime
    raw: bytes
    subject: str
    sender: str
    message_id: str = ""
    boxes: dict[str, dict[str, Any]] = field(default_factory=dict)
    cases: tuple[str, ...] = ()
    story: str = ""
    arrives: str = ""
    text: str = ""
    html: str = ""
    author: Box = ("", "")
    to: tuple[Box, ...] = ()
    cc: tuple[Box, ...] = ()
    references: tuple[str, ...] = ()
    topic: bytes = b""


def message_id(author: Person, *words: object) -> str:
    """A Message-ID in the manner of the author's mail program."""
    ident = CLIENTS[author.client].ident.format(mime.digest("id", *words), author.email.partition("@")[2].lower())
    return f"<{ident}>"


def signature(author: Person) -> str:
    """Name, title, company and telephone."""
    return "\n".join(filter(None, (author.name, f"{author.title} | {author.company}".strip(" |"), author.phone)))


def letter_text(author: Person, reader: str, body: str, lang: str, *seed: object) -> str:
    """Greeting, body, goodbye and signature."""
    hello = mime.pick(GREETINGS[lang], "hello", author.key, *seed).format(reader) if reader else ""
    goodbye = mime.pick(GOODBYES[lang], "bye", author.key)
    tail = (
        f"{goodbye}\n{author.first}\n\nSent from my iPhone"
        if author.client == "iphone"
        else (f"{goodbye}\n{author.first}\n\n-- \n{signature(author)}")
    )
    return f"{hello}\n\n{body.strip()}\n\n{tail}" if hello else f"{body.strip()}\n\n{tail}"


def _attribution(mail: Mail, style: str, lang: str) -> str:
    name, address = mail.author
    if style == "block":
        to = "; ".join(f"{n} <{a}>" if n else a for n, a in mail.to)
        return f"From: {name} <{address}>\nSent: {mail.when:%d %B %Y %H:%M}\nTo: {to}\nSubject: {mail.subject}\n"
    if lang == "de":
        return f"Am {mail.when:%d.%m.%Y} um {mail.when:%H:%M} schrieb {name} <{address}>:\n"
    if lang == "sv":
        return f"Den {mail.when:%Y-%m-%d kl. %H:%M} skrev {name} <{address}>:\n"
    return f"On {mail.when.day} {mail.when:%b %Y at %H:%M}, {name} <{address}> wrote:\n"


def quoted_text(mail: Mail, style: str, lang: str) -> str:
    """The earlier mail under a reply: `>` in front of each line, or below a header block."""
    if style == "block":
        return "\n\n________________________________\n" + _attribution(mail, style, lang) + "\n" + mail.text
    lines = (("> " + line if not line.startswith(">") else ">" + line).rstrip() for line in mail.text.split("\n"))
    return "\n\n" + _attribution(mail, style, lang) + "\n".join(lines)


def html_of(text: str) -> str:
    """Paragraphs of a plain text."""
    blocks = (escape(block, quote=False).replace("\n", "<br>\n") for block in text.split("\n\n"))
    return "\n".join(f"<p>{block}</p>" for block in blocks)


def quoted_html(mail: Mail, style: str, lang: str) -> str:
    """The earlier mail as Gmail or Outlook would wrap it."""
    head = escape(_attribution(mail, style, lang), quote=False).strip().replace("\n", "<br>\n")
    if style == "block":
        return (
            '<div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm">'
            f'<p class="MsoNormal">{head}</p></div>\n{mail.html}'
        )
    return (
        f'<div class="gmail_quote"><div dir="ltr" class="gmail_attr">{head}</div>\n<blockquote class="gmail_quote" '
        f'style="margin:0 0 0 .8ex;border-left:1px solid #ccc;padding-left:1ex">\n{mail.html}\n</blockquote></div>'
    )


def received(sender: str, when: datetime, ident: str) -> list[tuple[str, str]]:
    """The trace that transport leaves on a mail from outside."""
    domain = sender.rpartition("@")[2].lower() or "unknown.example"
    hop = int(mime.digest(domain)[:2], 16)
    stamp, earlier = mime.date(when + timedelta(seconds=4)), mime.date(when + timedelta(seconds=2))
    return [
        ("Return-Path", f"<{sender}>"),
        (
            "Received",
            f"from out.mail.{domain} (out.mail.{domain} [192.0.2.{hop}])\r\n by mx.northpeak.example with "
            f"ESMTPS id {mime.digest(ident)[:12]};\r\n {stamp}",
        ),
        ("Received", f"from [203.0.113.{hop}] by out.mail.{domain} with ESMTPSA;\r\n {earlier}"),
        ("Authentication-Results", f"mx.northpeak.example; spf=pass smtp.mailfrom={sender}; dkim=pass"),
    ]


def content(
    text: str, html: str, client: Client, seed: str, files: Sequence[mime.Part], with_logo: bool, charset: str
) -> mime.Part:
    """The body of a letter: plain or both kinds, the logo beside the HTML, files behind."""
    body = mime.text(text, "plain", charset, flowed=client.agent == ("User-Agent", "Mozilla Thunderbird"))
    if client.html:
        image = f'<p><img src="cid:{LOGO}" alt="" width="96"></p>' if with_logo else ""
        page = f"<html><body>{html}{image}"
        body = mime.multipart("alternative", (body, mime.text(page + "</body></html>", "html", charset)), seed)
        if with_logo:
            picture = mime.file("image001.png", "image/png", logo(), cid=LOGO)
            body = mime.multipart("related", (body, picture), seed, ';\r\n type="multipart/alternative"')
    return mime.multipart("mixed", (body, *files), seed) if files else body


def _thread_index(reply_to: Mail | None, ident: str) -> bytes:
    """Outlook's Thread-Index: 22 bytes for the first mail, five more for each answer (`providers.md 2.4`)."""
    if reply_to:
        return reply_to.topic + bytes.fromhex(mime.digest("child", ident)[:10])
    return b"\x01\xdd" + bytes.fromhex(mime.digest("topic", ident)[:40])


def compose(
    author: Person,
    to: Sequence[Box],
    cc: Sequence[Box],
    subject: str,
    when: datetime,
    text: str,
    *,
    reply_to: Mail | None = None,
    files: Sequence[mime.Part] = (),
    lang: str = "en",
    ident: str = "",
    extra: Sequence[tuple[str, str]] = (),
    with_logo: bool = False,
    charset: str = "utf-8",
    q: bool = False,
) -> Mail:
    """A mail by `author`, with the mail it answers quoted below its text; `q` writes the subject in Q encoding."""
    client, when = CLIENTS[author.client], mime.local(when, author.country)
    ident = ident or message_id(author, author.email, subject, when)
    html, references = html_of(text), tuple[str, ...]()
    if reply_to:
        text += quoted_text(reply_to, client.quote, lang)
        html += quoted_html(reply_to, client.quote, lang)
        references = (*reply_to.references, reply_to.message_id)
    headers = received(author.email, when, ident) if author.email.lower() not in own_boxes() else []
    headers += [("From", mime.mailbox(*author.box, charset)), ("To", mime.addresses(to))]
    headers += [("Cc", mime.addresses(cc))] if cc else []
    line = mime.q_encoded(subject, charset) if q else mime.encoded(mime.folded(subject), charset)
    headers += [("Subject", line), ("Date", mime.date(when)), ("Message-ID", ident)]
    if reply_to:
        headers += [("In-Reply-To", reply_to.message_id), ("References", "\r\n ".join(references))]
    topic = _thread_index(reply_to, ident)
    if author.client == "outlook":
        headers += [
            ("Thread-Topic", mime.encoded(mime.folded(subject.rpartition(": ")[2] if reply_to else subject))),
            ("Thread-Index", base64.b64encode(topic).decode()),
        ]
    headers += [client.agent] if client.agent else []
    raw = mime.render((*headers, *extra), content(text, html, client, ident, files, with_logo, charset))
    return Mail(
        when=when,
        raw=raw,
        subject=subject,
        sender=author.email,
        message_id=ident,
        text=text,
        html=html,
        author=author.box,
        to=tuple(to),
        cc=tuple(cc),
        references=references,
        topic=topic,
        boxes=places(author.email, [a for _, a in (*to, *cc)], when, ident),
    )


def places(sender: str, recipients: Sequence[str], when: datetime, seed: str) -> dict[str, dict[str, Any]]:
    """In which of the six mailboxes a mail lies, and how: sent, unread, archived."""
    own = own_boxes()
    senders = own.get(sender.lower(), ())
    readers = dict.fromkeys(box for a in recipients for box in own.get(a.lower(), ()))
    fresh = when >= UNREAD_SINCE
    found: dict[str, dict[str, Any]] = {}
    for box in (*senders, *(r for r in readers if r not in senders)):
        chance = int(mime.digest("place", seed, box)[:4], 16) % 6
        if box in google_boxes():
            labels = ["SENT"] if box in senders else []
            if box in readers and (fresh or when > ARCHIVED_BEFORE or chance > 1):
                labels += ["INBOX"]
            labels += ["UNREAD"] if box in readers and fresh and chance < 3 else []
            found[box] = {"labels": labels + (["STARRED"] if chance == 5 else [])}
        else:
            archived = box not in senders and when < ARCHIVED_BEFORE and chance < 2
            folder = "Sent Items" if box in senders else "Archive" if archived else "Inbox"
            found[box] = {"folder": folder, "unread": folder == "Inbox" and fresh and chance < 3}
    return found
