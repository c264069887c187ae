"""What people write in Outlook and get from others: answers, forwards, drafts, automatic mails (`providers.md SIM-7`).

`receive`, `send` and the draft actions take the same members as Google's. `kind` is a name of
`sandbox.frame.letters.KINDS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.frame import letters
from sandbox.frame.letters import Letter, Source
from sandbox.microsoft.acting import Later, action, posting
from sandbox.microsoft.actions import message_of
from sandbox.microsoft.graph import extended
from sandbox.microsoft.graph.messages import new_message_id
from sandbox.microsoft.graph.sending import dispatch
from sandbox.microsoft.mail.compose import compose
from sandbox.microsoft.mail.kind import kind_of
from sandbox.microsoft.mail.mime import MAILS

if TYPE_CHECKING:
    from sandbox.microsoft.directory import Account
    from sandbox.microsoft.graph.items import Item
    from sandbox.microsoft.vendor import Microsoft

Json = dict[str, Any]
FIELDS = {"to": "toRecipients", "cc": "ccRecipients", "bcc": "bccRecipients"}
VERBS = {"reply": "102", "reply_all": "103", "forward": "104"}  # PidTagLastVerbExecuted
LAST_VERB = "Integer 0x1081"


def _source(account: Account, body: Json) -> tuple[Source, Item | None]:
    """The mail that is answered; none for a new one."""
    if body.get("kind", "reply") == "new":
        return letters.NOTHING, None
    item = message_of(account.mailbox, body)
    return letters.read(item.mail.raw if item.mail is not None else compose(item)), item


def _others(account: Account, source: Source, kind: str) -> list[str]:
    """Whom an answer of the account's goes to."""
    found = [source.sender] if not account.owns(source.sender) else list(source.people)
    if kind == "reply_all":
        found += source.people
    return [a for a in dict.fromkeys(found) if a and not account.owns(a)] if kind != "forward" else []


def _told(item: Item) -> Json:
    return {
        "id": item.mutable,
        "immutableId": item.immutable,
        "conversationId": item.conversation,
        "folder": item.folder.path,
    }


def _ordered(account: Account, body: Json, source: Source) -> Letter:
    to = _others(account, source, body.get("kind", "reply"))
    return letters.ordered(body, f"{account.name} <{account.email}>", to, outlook=True)


@posting
def receive(microsoft: Microsoft, body: Json, later: Later) -> Json:
    """Someone else answers a mail of the user's: `kind` (reply), by `from` (default: the other side of the mail).

    `to` (default: the user) and `cc` get it in whatever mailbox of the sandbox; `subject` in place of the usual one,
    `text`, `response` of a meeting_reply; `spam`: it arrives in Junk Email. Answers the user's copy, if there is one.
    """
    account = microsoft.directory.get(body["user"])
    source, _ = _source(account, body)
    others = _others(account, source, "reply_all")
    sender = body.get("from") or (others[0] if others else "")
    if body.get("kind") == "bounce":
        sender = body.get("from") or f"Microsoft Outlook <postmaster@{account.email.rpartition('@')[2]}>"
    if not sender:
        raise ValueError("from is required: the mail has no other side")
    letter = letters.ordered(body, sender, [account.email])
    ident = f"<{microsoft.token(24)}@{sender.strip('>').rpartition('@')[2]}>"
    raw = letters.write(letter, source, ident, microsoft.frame.clock.now())
    got, rest = microsoft.outbox.carry(raw, [*letter.to, *letter.cc], spam=bool(body.get("spam")))
    later += rest
    mine = got.get(account.email)
    return {"messageId": ident, **(_told(mine) if mine else {})}


@posting
def send(microsoft: Microsoft, body: Json, later: Later) -> Json:
    """The user writes and sends: `kind` reply, reply_all, forward, an automatic one, or new (to nobody's mail).

    `to`, `cc`, `bcc`, `subject`, `text`. Colleagues within the sandbox get it; the copy lies in Sent Items, but of
    automatic mails there is none. The answered mail changes, too: Outlook notes in it that it was answered.
    """
    account = microsoft.directory.get(body["user"])
    box, now = account.mailbox, microsoft.frame.clock.time()
    source, answered = _source(account, body)
    letter, ident = _ordered(account, body, source), new_message_id()
    mail = MAILS.get(letters.write(letter, source, ident, microsoft.frame.clock.now()))
    item = box.new_item(box.well_known["drafts"], mail, now, now)
    item.kind = kind_of(mail)
    keep = letter.kind not in letters.UNSAVED
    later += dispatch(microsoft, box, item, keep=keep)
    _note(account, letter, answered)
    return {"messageId": ident, **(_told(item) if keep else {})}


def _note(account: Account, letter: Letter, answered: Item | None) -> None:
    """The mail that was answered or forwarded wears the arrow from now on."""
    if answered is not None and letter.kind in VERBS and answered.immutable in account.mailbox.items:
        extended.write(answered, extended.read_properties([{"id": LAST_VERB, "value": VERBS[letter.kind]}]))
        account.mailbox.touch(answered)


# ---- drafts --------------------------------------------------------------------------------------------


def _fill(item: Item, given: Json) -> None:
    """Write `to`, `cc`, `bcc`, `subject` and `text` into a draft."""
    for name, member in FIELDS.items():
        if name in given:
            item.fields[member] = [{"emailAddress": {"name": a, "address": a}} for a in given[name]]
    if "subject" in given:
        item.fields["subject"] = given["subject"]
    if "text" in given:
        item.fields["body"] = {"contentType": "text", "content": given["text"]}


def _draft(account: Account, body: Json) -> Item:
    found = account.mailbox.items.get(body["draft"])
    if found is None or not found.is_draft:
        raise LookupError(f"{account.email} has no draft {body['draft']}")
    return found


@action
def write_draft(microsoft: Microsoft, body: Json) -> Json:
    """The user begins to write; members as of `send`. Answers `draft`, the immutable id: it stays when sent."""
    account = microsoft.directory.get(body["user"])
    box, now = account.mailbox, microsoft.frame.clock.time()
    source, answered = _source(account, body)
    letter = _ordered(account, body, source)
    item = box.new_item(box.well_known["drafts"], None, now, now)
    item.is_draft = item.is_read = True
    own = {"emailAddress": {"name": account.name, "address": account.email}}
    item.fields |= {"internetMessageId": new_message_id(), "from": own, "sender": own}
    if answered is not None and source.ident:
        item.fields["references"] = (source.ident, *reversed(source.references))
    subject = letters.subject_of(letter, source)
    _fill(item, {"to": letter.to, "cc": letter.cc, "bcc": letter.bcc, "subject": subject, "text": letter.text})
    box.add(item)
    return {"draft": item.immutable, "messageId": item.fields["internetMessageId"], **_told(item)}


@action
def edit_draft(microsoft: Microsoft, body: Json) -> Json:
    """The user saves `draft` again, with another `subject`, `text`, `to`, `cc` or `bcc`: the same item."""
    account = microsoft.directory.get(body["user"])
    item = _draft(account, body)
    _fill(item, {n: body[n] for n in (*FIELDS, "subject", "text") if n in body})
    if "subject" in body:
        account.mailbox.conversations.replace(item)
    account.mailbox.touch(item)
    return {"draft": item.immutable, "messageId": item.fields["internetMessageId"], **_told(item)}


@posting
def send_draft(microsoft: Microsoft, body: Json, later: Later) -> Json:
    """`draft` goes to Sent Items and is no draft any more: the same immutable id and conversation."""
    account = microsoft.directory.get(body["user"])
    item = _draft(account, body)
    later += dispatch(microsoft, account.mailbox, item, keep=True)
    return {"messageId": item.fields["internetMessageId"], **_told(item)}


@action
def discard_draft(microsoft: Microsoft, body: Json) -> Json:
    """`draft` goes to Deleted Items."""
    account = microsoft.directory.get(body["user"])
    item = _draft(account, body)
    account.mailbox.move(item, account.mailbox.well_known["deleteditems"])
    return _told(item)
