"""Mails that people and servers write about an earlier one, for the actions of the control API.

Headers are laid out by hand: the standard library encodes Message-IDs that are longer than a line, which no mail
program does.
"""

from __future__ import annotations

import email
import quopri
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.header import Header, decode_header
from email.message import Message
from email.utils import format_datetime, getaddresses
from typing import Any

MESSAGE_ID = re.compile(r"<[^<>\s]+>")
PREFIX = re.compile(r"^\s*((re|fwd?|aw|wg|sv|vs)\s*:\s*)+", re.IGNORECASE)
UID = re.compile(r"^UID:(\S+)", re.MULTILINE)
RESPONSES = {"accepted": "Accepted", "declined": "Declined", "tentative": "Tentative"}
MARK = "sandbox-part"
Headers = list[tuple[str, str]]
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of the mail that is answered; addresses are bare, `references` from the first mail on."""

    ident: str
    references: tuple[str, ...]
    subject: str
    sender: str
    people: tuple[str, ...]
    text: str
    uid: str

    @property
    def topic(self) -> str:
        """The subject without its prefixes."""
        return PREFIX.sub("", self.subject).strip()


NOTHING = Source("", (), "", "", (), "", "")


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be written. `subject` None: the one that the kind of mail usually has."""

    kind: str
    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    subject: str | None
    text: str
    response: str = "accepted"
    outlook: bool = False  # prefixes as Outlook writes them


Written = tuple[str, Headers, bytes]  # the usual subject, own headers, the entity from its Content-Type on


def read(raw: bytes) -> Source:
    """The mail of these bytes, whatever they are."""
    mail = email.message_from_bytes(raw)
    subjects = [str(value) for name, value in mail.raw_items() if name.lower() == "subject"]
    refs = MESSAGE_ID.findall(str(mail.get("References", "")))
    parents = [i for i in MESSAGE_ID.findall(str(mail.get("In-Reply-To", ""))) if i not in refs]
    ident = MESSAGE_ID.search(str(mail.get("Message-ID", "")))
    senders = _addresses(mail, "From")
    plain = next((p for p in mail.walk() if p.get_content_type() == "text/plain" and not p.is_multipart()), None)
    uid = UID.search(raw.decode("utf-8", "replace"))
    return Source(
        ident[0] if ident else "",
        tuple(dict.fromkeys([*refs, *parents])),
        _decoded(subjects[0]) if subjects else "",
        senders[0] if senders else "",
        _addresses(mail, "To", "Cc"),
        _text(plain) if plain is not None else "",
        uid[1] if uid else "",
    )


def ordered(body: Json, sender: str, to: Sequence[str], outlook: bool = False) -> Letter:
    """The letter that an action's body asks for; ValueError for what makes no sense."""
    kind = body.get("kind", "reply")
    if kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}")
    response = body.get("response", "accepted")
    if response not in RESPONSES:
        raise ValueError(f"response is one of {', '.join(RESPONSES)}")
    for name in ("to", "cc", "bcc"):
        if not isinstance(body.get(name, []), list):
            raise ValueError(f"{name} is a list of addresses")
    return Letter(
        kind, sender, tuple(body.get("to", to)), tuple(body.get("cc", ())), tuple(body.get("bcc", ())),
        body.get("subject"), body.get("text", "Sandbox text."), response, outlook,
    )  # fmt: skip


def subject_of(letter: Letter, source: Source) -> str:
    """The subject that a letter has in the end."""
    return letter.subject if letter.subject is not None else KINDS[letter.kind](letter, source)[0]


def write(letter: Letter, source: Source, ident: str, when: datetime) -> bytes:
    """The bytes of the mail with CRLF line ends; `ident` is its Message-ID in angle brackets."""
    subject, own, entity = KINDS[letter.kind](letter, source)
    headers: Headers = [
        ("From", letter.sender),
        *[(n, ", ".join(v)) for n, v in (("To", letter.to), ("Cc", letter.cc), ("Bcc", letter.bcc)) if v],
        ("Subject", letter.subject if letter.subject is not None else subject),
        ("Date", format_datetime(when)),
        ("Message-ID", ident),
    ]
    if source.ident and letter.kind != "new":
        headers += [("In-Reply-To", source.ident), ("References", " ".join([*source.references, source.ident]))]
    return _head([*headers, *own, ("MIME-Version", "1.0")]) + entity


# ---- kinds -----------------------------------------------------------------------------------------


def _new(letter: Letter, source: Source) -> Written:
    return "Sandbox", [], _plain(letter.text)


def _reply(letter: Letter, source: Source) -> Written:
    quoted = "".join(f"> {line}\n" for line in source.text.splitlines())
    return f"{'RE' if letter.outlook else 'Re'}: {source.topic}", [], _plain(f"{letter.text}\n\n{quoted}")


def _forward(letter: Letter, source: Source) -> Written:
    text = f"{letter.text}\n\n---------- Forwarded message ---------\nFrom: {source.sender}\n\n{source.text}"
    return f"{'FW' if letter.outlook else 'Fwd'}: {source.topic}", [], _plain(text)


def _automatic(source: Source) -> Headers:
    """RFC 3834, and the topic by which Exchange keeps such mails in their conversation."""
    topic = [("Thread-Topic", source.topic)] if source.topic else []
    return [("Auto-Submitted", "auto-replied"), ("X-Auto-Response-Suppress", "All"), *topic]


def _auto_reply(letter: Letter, source: Source) -> Written:
    return f"Automatic reply: {source.topic}", _automatic(source), _plain(letter.text)


def _bounce(letter: Letter, source: Source) -> Written:
    """RFC 3464: the address that could not be reached is the first recipient of the source."""
    lost = source.people[0] if source.people else "nobody@nowhere.example"
    status = (
        f"Reporting-MTA: dns; mail.{lost.rpartition('@')[2]}\r\n\r\nFinal-Recipient: rfc822; {lost}\r\n"
        "Action: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
    )
    original = _head([("Message-ID", source.ident), ("Subject", source.subject)])
    parts = [
        _plain(f"{lost} could not be reached."),
        b"Content-Type: message/delivery-status\r\n\r\n" + status.encode(),
        b"Content-Type: text/rfc822-headers\r\n\r\n" + original,
    ]
    own = [*_automatic(source), ("X-Failed-Recipients", lost), ("Return-Path", "<>")]
    return f"Undeliverable: {source.topic}", own, _multipart("report; report-type=delivery-status", parts)


def _read_receipt(letter: Letter, source: Source) -> Written:
    """RFC 8098."""
    reader = getaddresses([letter.sender])[0][1]
    told = (
        f"Final-Recipient: rfc822; {reader}\r\nOriginal-Message-ID: {source.ident}\r\n"
        "Disposition: manual-action/MDN-sent-manually; displayed\r\n"
    )
    parts = [
        _plain("Your message was read."),
        b"Content-Type: message/disposition-notification\r\n\r\n" + told.encode(),
    ]
    kind = "report; report-type=disposition-notification"
    return f"Read: {source.topic}", _automatic(source), _multipart(kind, parts)


def _meeting_reply(letter: Letter, source: Source) -> Written:
    """An iTIP answer (RFC 5546) to the meeting of the source, or to one that it might have been."""
    attendee = getaddresses([letter.sender])[0][1]
    start = datetime(2026, 12, 1, 9, tzinfo=UTC)
    lines = [
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Sandbox//EN", "METHOD:REPLY", "BEGIN:VEVENT",
        f"UID:{source.uid or source.ident.strip('<>') or 'sandbox'}", f"DTSTAMP:{start:%Y%m%dT%H%M%SZ}",
        f"DTSTART:{start:%Y%m%dT%H%M%SZ}", f"DTEND:{start + timedelta(hours=1):%Y%m%dT%H%M%SZ}",
        f"SUMMARY:{source.topic}", f"ORGANIZER:mailto:{source.sender}",
        f"ATTENDEE;PARTSTAT={letter.response.upper()}:mailto:{attendee}", "END:VEVENT", "END:VCALENDAR",
    ]  # fmt: skip
    calendar = "\r\n".join(lines).encode() + b"\r\n"
    part = b"Content-Type: text/calendar; charset=utf-8; method=REPLY\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    entity = _multipart("alternative", [_plain(letter.text), part + calendar])
    topic = [("Thread-Topic", source.topic)] if source.topic else []
    return f"{RESPONSES[letter.response]}: {source.topic}", topic, entity


KINDS: dict[str, Callable[[Letter, Source], Written]] = {
    "new": _new,
    "reply": _reply,
    "reply_all": _reply,
    "forward": _forward,
    "auto_reply": _auto_reply,
    "bounce": _bounce,
    "meeting_reply": _meeting_reply,
    "read_receipt": _read_receipt,
}
UNSAVED = frozenset({"auto_reply", "bounce", "read_receipt"})  # Exchange keeps no copy of these in Sent Items


# ---- bytes ------------------------------------------------------------------------------------------


def _addresses(mail: Message, *names: str) -> tuple[str, ...]:
    values = [str(value) for name in names for value in mail.get_all(name, [])]
    return tuple(address for _, address in getaddresses(values) if "@" in address)


def _decoded(value: str) -> str:
    text = re.sub(r"\r?\n[ \t]*", " ", value).strip()
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    try:
        pieces = decode_header(text) if "=?" in text else [(text, None)]
    except ValueError:
        return text
    return "".join(data if isinstance(data, str) else _bytes_in(data, charset) for data, charset in pieces)


def _bytes_in(data: bytes, charset: str | None) -> str:
    try:
        return data.decode(charset or "utf-8", "replace")
    except LookupError:
        return data.decode("latin-1")


def _text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    try:
        return data.decode(part.get_content_charset() or "utf-8", "replace")
    except LookupError:
        return data.decode("utf-8", "replace")


def _value(text: str) -> str:
    plain = re.sub(r"[\r\n]+", " ", text)
    return plain if plain.isascii() else Header(plain, "utf-8", maxlinelen=60).encode(linesep="\r\n")


def _sender(text: str) -> str:
    """A mailbox whose display name may be anything."""
    ((name, address),) = getaddresses([text])[:1] or [("", text)]
    return f"{_value(name)} <{address}>" if name and not name.isascii() else _value(text)


def _head(headers: Headers) -> bytes:
    lines = [f"{n}: {_sender(v) if n == 'From' else _value(v)}\r\n" for n, v in headers]
    return "".join(line.replace("> <", ">\r\n <") if line.startswith("References") else line for line in lines).encode()


def _plain(text: str) -> bytes:
    data = quopri.encodestring(text.replace("\r\n", "\n").encode("utf-8", "replace"))
    head = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    return head + data.replace(b"\n", b"\r\n") + b"\r\n"


def _multipart(kind: str, parts: Sequence[bytes]) -> bytes:
    line = b"--" + MARK.encode()
    head = f'Content-Type: multipart/{kind}; boundary="{MARK}"\r\n\r\n'.encode()
    return head + b"".join(line + b"\r\n" + part + b"\r\n" for part in parts) + line + b"--\r\n"
