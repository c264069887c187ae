"""Raw bytes of a mail -> `Parsed`: whatever the bytes are, without an exception, in bounded work.

Every oddity that was met is named in `defects`; what cannot be understood is kept as an attachment rather than lost.
"""

from __future__ import annotations

import hashlib
import html as entities
import re
from dataclasses import dataclass, field
from datetime import datetime

from sync.core import charsets, headers, markup, text
from sync.core.addresses import normalise
from sync.core.structure import Budget, Part, read
from sync.model import Attachment, MessageKind, Parsed, Participant

SMALL_IMAGE = 64 << 10
"""Bytes up to which an image with disposition inline that no HTML shows is taken for a signature's logo; larger ones
are photographs that somebody sent."""

_SUBJECT_LIMIT = 3000
_CID = re.compile(r"cid:([^\s\"'<>)]+)", re.IGNORECASE)
_META = re.compile(rb"<meta[^>]{0,300}charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
_EXTENSIONS = {
    "message/rfc822": ".eml",
    "message/delivery-status": ".txt",
    "message/disposition-notification": ".txt",
    "message/feedback-report": ".txt",
    "text/rfc822-headers": ".txt",
    "text/calendar": ".ics",
    "text/plain": ".txt",
    "text/html": ".html",
    "text/csv": ".csv",
    "text/vcard": ".vcf",
    "text/x-vcard": ".vcf",
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "application/ms-tnef": ".dat",
    "application/pkcs7-mime": ".p7m",
    "application/x-pkcs7-mime": ".p7m",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/gif": ".gif",
    "image/svg+xml": ".svg",
}
_SIGNATURES = frozenset(("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"))
_TNEF = frozenset(("application/ms-tnef", "application/vnd.ms-tnef"))
_REPORTS: dict[str, MessageKind] = {
    "message/delivery-status": "bounce",
    "message/disposition-notification": "receipt",
}
_ABOUT = re.compile(rb"^(?:Original|Final)-Recipient:\s*(?:[A-Za-z0-9-]+\s*;)?\s*([^\r\n]{3,300})", re.I | re.M)


@dataclass(slots=True)
class _Found:
    """What the walk over the parts has collected."""

    budget: Budget
    blocks: list[tuple[str, str]] = field(default_factory=list)  # (text, html) in the order of reading
    loose: list[tuple[Part, bool]] = field(default_factory=list)  # (part, in a multipart/related)
    kinds: set[MessageKind] = field(default_factory=set)
    about: list[str] = field(default_factory=list)


def parse(raw: bytes) -> Parsed:
    """Read a mail. Never raises; unreadable input gives a `Parsed` with defects and a stand-in Message-ID."""
    budget = Budget()
    root = read(raw, budget)
    found = _Found(budget)
    _walk(root, found)
    plain, html = _body(found.blocks)
    attachments = _attachments(found, plain, html)
    people = headers.participants(root, budget)
    kind = _kind(root, found, people)
    people = _with_about(root, found, people, kind)
    subject = charsets.printable(headers.decode_words(root.get("subject"), budget), _SUBJECT_LIMIT)
    date = headers.date(root.get("date"), budget)
    message_id = headers.message_id(root.get("message-id"))
    if not message_id:
        budget.note("no usable Message-ID")
        message_id = _stand_in(root, people, date, subject, plain or html)
    return Parsed(
        message_id,
        subject,
        date,
        people,
        plain,
        html,
        attachments,
        next(iter(headers.message_ids(root.get("in-reply-to"))), ""),
        headers.message_ids(" ".join(root.all("references"))),
        kind,
        kind in ("bounce", "receipt") or _automatic(root),
        tuple(budget.defects),
    )


def _stand_in(root: Part, people: tuple[Participant, ...], date: datetime | None, subject: str, body: str) -> str:
    """The same for every copy of a mail (providers.md 9.6): line ends, transfer encoding and route do not count."""
    sender = ",".join(person.email for person in people if person.role == "from")
    when = date.isoformat() if date else root.get("date")
    prefix = "".join((body or root.body.decode("latin-1")[:4000]).split())[:1000]
    seed = "\x1f".join((sender, when, subject, root.get("message-id"), prefix))
    return f"<sha256-{hashlib.sha256(seed.encode('utf-8', 'replace')).hexdigest()[:40]}@mailspan.invalid>"


# --- the walk -------------------------------------------------------------------------------------------------------


def _walk(part: Part, found: _Found, *, related: bool = False) -> None:
    kind = part.content_type
    if part.children:
        if kind == "multipart/alternative":
            _alternative(part, found)
            return
        for number, child in enumerate(part.children):
            _walk(child, found, related=related or (kind == "multipart/related" and number > 0))
        return
    if kind in _REPORTS:
        found.kinds.add(_REPORTS[kind])
        found.about.extend(match.decode("utf-8", "replace") for match in _ABOUT.findall(part.payload(found.budget)))
    if kind == "text/calendar" and (part.parameter("content-type", "method") or part.parent == "multipart/alternative"):
        found.kinds.add("calendar")
    if kind.startswith("multipart/"):
        found.budget.note("multipart without parts")
    elif _is_body(part, related=related):
        content = _text_of(part, found.budget)
        if kind == "text/html":
            found.blocks.append(("", content))
        else:
            found.blocks.append((content, ""))
        return
    if part.body.strip() or kind != "text/plain":
        found.loose.append((part, related))


def _is_body(part: Part, *, related: bool) -> bool:
    """Text that is shown, not attached. A related part after the root is a resource of it."""
    if part.content_type not in ("text/plain", "text/html", "text/enriched", "text/richtext", "text/x-amp-html"):
        return False
    if part.disposition not in ("", "inline") or (related and part.get("content-id")):
        return False
    return part.disposition == "" or not _raw_name(part)


def _alternative(part: Part, found: _Found) -> None:
    """One block: the first plain text and the last, richest HTML. An alternative of several parts (HTML, a file, HTML)
    counts as a whole; files inside of it are kept."""
    plain: list[str] = []
    html: list[str] = []
    for child in part.children:
        inner = _Found(found.budget)
        _walk(child, inner)
        content, page = _body(inner.blocks)
        if page:
            html.append(page)
        elif content:
            plain.append(content)
        found.loose += inner.loose
        found.kinds |= inner.kinds
        found.about += inner.about
    if len(plain) > 1 or len(html) > 1:
        found.budget.note("several alternatives of one kind")
    if plain or html:
        found.blocks.append((plain[0] if plain else "", html[-1] if html else ""))


def _text_of(part: Part, budget: Budget) -> str:
    raw = part.payload(budget)
    charset = part.parameter("content-type", "charset")
    if part.content_type == "text/html" and not charset:
        meta = _META.search(raw[:4096])
        charset = meta[1].decode("ascii") if meta else ""
    content, sure = charsets.decode(raw, charset)
    if not sure:
        budget.note("body in an unknown or wrong charset")
    if part.content_type in ("text/enriched", "text/richtext"):
        return markup.to_text(content)
    if part.content_type == "text/plain" and part.parameter("content-type", "format").lower() == "flowed":
        return text.unflow(content, delete_space=part.parameter("content-type", "delsp").lower() == "yes")
    return content


def _body(blocks: list[tuple[str, str]]) -> tuple[str, str]:
    """All blocks in reading order. As soon as one has only text or only HTML, the others' form is made for it, so that
    neither text nor HTML lacks a part."""
    shown = [(plain, html) for plain, html in blocks if plain.strip() or html.strip()]
    if len(shown) == 1:
        return shown[0]
    any_plain = any(plain.strip() for plain, _ in shown)
    any_html = any(html.strip() for _, html in shown)
    texts = [plain if plain.strip() else markup.to_text(html) for plain, html in shown] if any_plain else []
    pages = [html if html.strip() else f"<pre>{entities.escape(plain)}</pre>" for plain, html in shown]
    return "\n\n".join(texts), "\n".join(pages) if any_html else ""


# --- attachments ----------------------------------------------------------------------------------------------------


def _raw_name(part: Part) -> str:
    return part.parameter("content-disposition", "filename") or part.parameter("content-type", "name")


def _name(part: Part, number: int, content: bytes, budget: Budget) -> str:
    """A file name without a path; of an attached mail its subject."""
    name = charsets.printable(headers.decode_words(_raw_name(part), budget), 200)
    name = re.split(r"[/\\]", name)[-1].strip(". ").translate(str.maketrans('<>:"|?*', "_______"))
    if not name and part.content_type == "message/rfc822":
        inner = read(content[: 1 << 16], Budget())
        name = re.sub(r'[/\\<>:"|?*]', "_", headers.decode_words(inner.get("subject"), Budget()))
        name = charsets.printable(name, 150) + ".eml" if name.strip() else ""
    return name or f"attachment-{number}" + _EXTENSIONS.get(part.content_type, ".bin")


def _attachments(found: _Found, plain: str, html: str) -> tuple[Attachment, ...]:
    has_body = bool(plain.strip() or html.strip())  # a mail that is nothing but an image is not its own signature
    shown = {cid.lower() for cid in _CID.findall(html)}
    out: list[Attachment] = []
    seen: set[tuple[str, bytes]] = set()
    for number, (part, related) in enumerate(found.loose, 1):
        content = part.payload(found.budget)
        kind = part.content_type
        if kind in _TNEF:
            found.budget.note("TNEF kept unopened")
        if kind.startswith("multipart/"):
            kind = "application/octet-stream"
        key = (kind, hashlib.sha256(content).digest())
        if kind == "text/calendar" and key in seen:
            continue  # an invitation comes twice: as an alternative and as a file
        seen.add(key)
        name = _name(part, number, content, found.budget)
        inline = has_body and _inline(part, related, shown, len(content), bool(html))
        out.append(Attachment(name, kind, content, inline))
    return tuple(out)


def _inline(part: Part, related: bool, shown: set[str], size: int, has_html: bool) -> bool:
    """Part of the look, not of the matter: shown by the HTML, a signature's logo, a digital signature."""
    if part.content_type in _SIGNATURES:
        return True
    cid = part.get("content-id").strip().strip("<>").lower()
    location = part.get("content-location").strip().lower()
    if (cid and cid in shown) or (related and has_html and location and part.content_type.startswith("image/")):
        return True
    if not part.content_type.startswith("image/") or part.disposition == "attachment":
        return False
    return size <= SMALL_IMAGE and (part.disposition == "inline" or related or bool(cid))


# --- what kind of mail ----------------------------------------------------------------------------------------------


def _kind(root: Part, found: _Found, people: tuple[Participant, ...]) -> MessageKind:
    report = root.parameter("content-type", "report-type").lower()
    if "receipt" in found.kinds or report == "disposition-notification":
        return "receipt"
    if "bounce" in found.kinds or report == "delivery-status" or root.get("x-failed-recipients"):
        return "bounce"
    sender = next((person.email for person in people if person.role == "from"), "")
    if root.get("return-path").replace(" ", "") == "<>" and sender.startswith(("mailer-daemon@", "postmaster@")):
        return "bounce"
    return "calendar" if "calendar" in found.kinds else "mail"


def _with_about(
    root: Part, found: _Found, people: tuple[Participant, ...], kind: MessageKind
) -> tuple[Participant, ...]:
    """Of a report, the addresses that it is about."""
    if kind not in ("bounce", "receipt"):
        return people
    named = [*found.about, *root.get("x-failed-recipients").split(",")]
    about = dict.fromkeys(email for email in map(normalise, named[:100]) if email)
    return people + tuple(Participant("about", email) for email in about)


def _automatic(root: Part) -> bool:
    submitted = root.get("auto-submitted").partition(";")[0].strip().lower()
    return (
        submitted not in ("", "no")
        or root.get("precedence").strip().lower() in ("bulk", "junk", "list", "auto_reply")
        or any(root.get(name) for name in ("list-id", "list-unsubscribe", "x-autoreply", "x-autorespond"))
    )
