"""What people write in Gmail and get from others: answers, forwards, drafts, automatic mails (`providers.md SIM-7`).

`receive`, `send` and the draft actions take the same members as Microsoft's. `kind` is a name of
`sandbox.frame.letters.KINDS`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from email.utils import formataddr
from typing import TYPE_CHECKING, Any

from sandbox.frame import letters
from sandbox.frame.letters import Letter, Source
from sandbox.google.acting import account_of, action, message_of
from sandbox.google.gmail import shape
from sandbox.google.gmail.mime import MAILS
from sandbox.google.gmail.sending import carry, dispatch

if TYPE_CHECKING:
    from sandbox.google.accounts import Account
    from sandbox.google.gmail.mailbox import Stored
    from sandbox.google.vendor import Google

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Draft:
    """What a person writes; `message` is the id that the last save gave to it."""

    letter: Letter
    source: Source
    message: str


def _source(account: Account, body: Json) -> tuple[Source, Stored | None]:
    """The mail that is answered; none for a new one."""
    if body.get("kind", "reply") == "new":
        return letters.NOTHING, None
    stored = message_of(account.mailbox, body)
    return letters.read(stored.mail.raw), stored


def _bytes(google: Google, letter: Letter, source: Source) -> bytes:
    ident = f"<CA{google.token(40)}@mail.gmail.com>"
    return letters.write(letter, source, ident, google.frame.clock.now())


def _others(account: Account, source: Source, kind: str) -> list[str]:
    """Whom an answer of the account's goes to."""
    found = [source.sender] if not account.owns(source.sender) else list(source.people)
    if kind == "reply_all":
        found += source.people
    return [a for a in dict.fromkeys(found) if a and not account.owns(a)] if kind != "forward" else []


def _sender(account: Account) -> str:
    return formataddr((account.name, account.email)) if account.name.isascii() else f"{account.name} <{account.email}>"


@action
def receive(google: Google, body: Json) -> Json:
    """Someone else answers a mail of the user's: `kind` (reply), by `from` (default: the other side of the mail).

    `to` (default: the user) and `cc` get it in whatever mailbox of the sandbox; `subject` in place of the usual one,
    `text`, `response` of a meeting_reply; `spam`: it arrives as spam. Answers the user's copy, if there is one.
    """
    account = account_of(google, body)
    source, _ = _source(account, body)
    others = _others(account, source, "reply_all")
    sender = body.get("from") or (others[0] if others else "")
    if body.get("kind") == "bounce":
        sender = body.get("from") or f"Mail Delivery Subsystem <mailer-daemon@{account.email.rpartition('@')[2]}>"
    if not sender:
        raise ValueError("from is required: the mail has no other side")
    letter = letters.ordered(body, sender, [account.email])
    raw = _bytes(google, letter, source)
    got = carry(google, raw, [*letter.to, *letter.cc], spam=bool(body.get("spam")))
    mine = got.get(account.email)
    return {"messageId": MAILS.get(raw).message_id, **(shape.brief(mine) if mine else {})}


@action
def send(google: Google, body: Json) -> Json:
    """The user writes and sends: `kind` reply, reply_all, forward, an automatic one, or new (to nobody's mail).

    `to`, `cc`, `bcc`, `subject`, `text`. Colleagues within the sandbox get it; the copy is SENT, in the thread that it
    fits into: a changed subject starts another (`providers.md GM-10`).
    """
    account = account_of(google, body)
    source, stored = _source(account, body)
    letter = letters.ordered(body, _sender(account), _others(account, source, body.get("kind", "reply")))
    raw = _bytes(google, letter, source)
    fits = stored is not None and account.mailbox.fits(MAILS.get(raw), stored.thread_id)
    mine = dispatch(google, account, raw, stored.thread_id if stored is not None and fits else "")
    return {"messageId": mine.mail.message_id, **shape.brief(mine)}


# ---- drafts --------------------------------------------------------------------------------------------


def _save(google: Google, account: Account, ident: str, draft: Draft, thread: str) -> Json:
    """A draft's bytes as a new message; the last one is gone, as at each save."""
    box = account.mailbox
    mail = MAILS.get(_bytes(google, draft.letter, draft.source))
    keeps = draft.letter.kind == "new" or box.fits(mail, thread)
    delay = float(google.frame.settings["gmail_index_delay"])
    moment = int(google.frame.clock.time() * 1000)
    stored = box.add(mail, ["DRAFT"], moment, thread if keeps else "", index_delay=delay)
    if draft.message in box.messages:
        box.delete(box.messages[draft.message])
    box.drafts[ident] = replace(draft, message=stored.id)
    return {"draft": ident, "messageId": mail.message_id, **shape.brief(stored)}


def _draft(account: Account, body: Json) -> Draft:
    found: Draft | None = account.mailbox.drafts.get(body["draft"])
    if found is None or found.message not in account.mailbox.messages:
        raise LookupError(f"{account.email} has no draft {body['draft']}")
    return found


@action
def write_draft(google: Google, body: Json) -> Json:
    """The user begins to write; members as of `send`. Answers `draft`, the id that stays, beside the message's."""
    account = account_of(google, body)
    source, stored = _source(account, body)
    letter = letters.ordered(body, _sender(account), _others(account, source, body.get("kind", "reply")))
    ident = f"r{google.frame.random.getrandbits(62)}"
    return _save(google, account, ident, Draft(letter, source, ""), stored.thread_id if stored else "")


@action
def edit_draft(google: Google, body: Json) -> Json:
    """The user saves `draft` again, with another `subject`, `text`, `to`, `cc` or `bcc`: another message id."""
    account = account_of(google, body)
    draft = _draft(account, body)
    given: Json = {n: tuple(body[n]) for n in ("to", "cc", "bcc") if n in body}
    given |= {n: body[n] for n in ("subject", "text") if n in body}
    thread = account.mailbox.messages[draft.message].thread_id
    return _save(google, account, body["draft"], replace(draft, letter=replace(draft.letter, **given)), thread)


@action
def send_draft(google: Google, body: Json) -> Json:
    """`draft` is deleted and another message is SENT, in its thread unless the subject has changed."""
    account = account_of(google, body)
    draft, box = _draft(account, body), account.mailbox
    old = box.messages[draft.message]
    raw = _bytes(google, draft.letter, draft.source)
    keeps = draft.letter.kind == "new" or box.fits(MAILS.get(raw), old.thread_id)
    mine = dispatch(google, account, raw, old.thread_id if keeps else "")
    box.delete(old)
    del box.drafts[body["draft"]]
    return {"messageId": mine.mail.message_id, **shape.brief(mine)}


@action
def discard_draft(google: Google, body: Json) -> Json:
    """`draft` is gone for ever."""
    account = account_of(google, body)
    draft = _draft(account, body)
    account.mailbox.delete(account.mailbox.messages[draft.message])
    del account.mailbox.drafts[body["draft"]]
    return {"deleted": draft.message, "historyId": str(account.mailbox.history.current)}
