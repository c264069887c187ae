"""Mail on its way: messages.send, and delivery into mailboxes (`providers.md GM-2 GM-5 GM-10`)."""

from __future__ import annotations

import re
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from sandbox.google.call import Call, operation
from sandbox.google.errors import invalid
from sandbox.google.gmail import shape
from sandbox.google.gmail.filters import apply_filters
from sandbox.google.gmail.mailbox import Stored
from sandbox.google.gmail.messages import own_thread, raw_of
from sandbox.google.gmail.mime import MAILS, Mail, crlf, with_headers, without_header

if TYPE_CHECKING:
    from sandbox.google.accounts import Account
    from sandbox.google.vendor import Google

Json = dict[str, Any]
ARRIVAL = ("INBOX", "UNREAD", "CATEGORY_PERSONAL")
SPAM = ("SPAM", "UNREAD")
ADDRESS = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+")


def deliver(
    google: Google, account: Account, raw: bytes, *, date_ms: int | None = None, labels: tuple[str, ...] = ARRIVAL
) -> Stored:
    """A mail arrives: threading, then filters; the history knows only messageAdded (`providers.md GM-2`)."""
    box, mail = account.mailbox, MAILS.get(crlf(raw))
    settings = google.frame.settings
    moment = int(google.frame.clock.time() * 1000) if date_ms is None else date_ms
    thread = box.thread_for(mail)
    trial = Stored("0", thread, mail, set(labels), moment, 0, 0.0)
    return box.add(
        mail,
        apply_filters(box, trial),
        moment,
        thread,
        index_delay=float(settings["gmail_index_delay"]),
        vanish=float(settings["gmail_arrival_delay"]),
    )


def _complete(google: Google, account: Account, raw: bytes) -> bytes:
    """What Gmail sets in a mail that it sends: Message-ID, Date, an own From."""
    mail, extra = Mail(raw), {}
    senders = [address for _, address in mail.people("From")]
    if not senders or not account.owns(senders[0]):
        raw = without_header(raw, "From")
        extra["From"] = f"{account.name} <{account.email}>" if account.name.isascii() else account.email
    if not mail.message_id:
        raw = without_header(raw, "Message-ID")
        extra["Message-ID"] = f"<CA{google.token(40)}@mail.gmail.com>"
    if mail.date is None:
        raw = without_header(raw, "Date")
        extra["Date"] = format_datetime(google.frame.clock.now())
    return with_headers(raw, extra) if extra else raw


@operation("gmail.users.messages.send")
def send(call: Call) -> Json:
    """Deliver to every mailbox of the sandbox; the own copy is SENT, and keeps Bcc."""
    raw = _complete(call.google, call.account, crlf(raw_of(call)))
    return shape.brief(dispatch(call.google, call.account, raw, own_thread(call, raw)))


def dispatch(google: Google, account: Account, raw: bytes, thread: str = "") -> Stored:
    """Send complete bytes; without a `thread` the copy joins the one that it fits into. GoogleError 400."""
    mail = MAILS.get(raw)
    recipients = list(dict.fromkeys(address.lower() for _, address in mail.people("To", "Cc", "Bcc")))
    if not recipients:
        raise invalid("Recipient address required")
    if any(not ADDRESS.fullmatch(address) for address in recipients):
        raise invalid("Invalid To header")
    thread = thread or account.mailbox.thread_for(mail)
    to_self = any(account.owns(address) for address in recipients)
    labels = {"SENT"} | (set(ARRIVAL) - {"CATEGORY_PERSONAL"} if to_self else set())
    stored = account.mailbox.add(
        mail,
        labels,
        int(google.frame.clock.time() * 1000),
        thread,
        index_delay=float(google.frame.settings["gmail_index_delay"]),
    )
    carry(google, without_header(raw, "Bcc"), recipients, sender=account)
    return stored


def carry(
    google: Google, raw: bytes, recipients: list[str], *, sender: Account | None = None, spam: bool = False
) -> dict[str, Stored]:
    """Into the mailboxes of others, also at other vendors; the rest leaves through the outbox.

    What came into mailboxes of the domain, by address; `sender` gets none, `spam` goes where spam goes.
    """
    out: dict[str, Stored] = {}
    for address in recipients:
        account = google.directory.find(address)
        if account is not None:
            if account is not sender and account.email not in out:
                out[account.email] = deliver(google, account, raw, labels=SPAM if spam else ARRIVAL)
        elif not google.hand_over(address, raw, spam=spam):
            google.outbox.append({"to": address, "raw": raw.decode("utf-8", "replace")})
    return out
