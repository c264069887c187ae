"""sendMail, send, replies and forwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sandbox.microsoft.errors import bad_request
from sandbox.microsoft.graph import reading, shape
from sandbox.microsoft.graph.call import SEND_MAIL, WRITE_MAIL, Call, Reply, operation
from sandbox.microsoft.graph.items import Item
from sandbox.microsoft.graph.messages import draft, fill, item_of, mime_draft, routes
from sandbox.microsoft.graph.messages import is_mime as mime_given
from sandbox.microsoft.graph.types import read_body
from sandbox.microsoft.graph.values import READERS
from sandbox.microsoft.mail.compose import compose

if TYPE_CHECKING:
    from sandbox.microsoft.graph.mailbox import Mailbox
    from sandbox.microsoft.vendor import Microsoft

Json = dict[str, Any]
FIELDS = ("toRecipients", "ccRecipients", "bccRecipients")
SUBJECTS = {"reply": "RE: ", "replyAll": "RE: ", "forward": "FW: "}


def _addresses(item: Item) -> list[str]:
    return [r["emailAddress"]["address"] for name in FIELDS for r in reading.value(item, name)]


def _dispatch(call: Call, item: Item, *, keep: bool) -> None:
    call.later += dispatch(call.microsoft, call.box, item, keep=keep)


def dispatch(microsoft: Microsoft, box: Mailbox, item: Item, *, keep: bool) -> list[Callable[[], object]]:
    """Send: the recipients get it, the own copy lies in Sent Items as a message that is no draft.

    What is left to do when no lock is held; GraphError 400 without a recipient.
    """
    recipients = _addresses(item)
    if not recipients or any("@" not in address for address in recipients):
        raise bad_request("At least one recipient is not valid.", "ErrorInvalidRecipients")
    item.sent = item.received = microsoft.frame.clock.time()
    if item.mail is None:
        raw = compose(item, bcc=False)
    else:
        head, gap, body = item.mail.raw.partition(b"\r\n\r\n")
        raw = b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"bcc:")) + gap + body
    item.is_draft, item.is_read = False, True
    target = box.well_known["sentitems"]
    if item.immutable in box.items:
        box.move(item, target) if keep else box.remove(item)
    elif keep:
        item.folder = target
        box.add(item)
    return microsoft.outbox.carry(raw, recipients)[1]


@operation("sendMail", "POST /users/*/sendMail", rights=SEND_MAIL)
def send_mail(call: Call) -> Reply:
    """A message of a JSON or a MIME body."""
    if mime_given(call):
        _dispatch(call, mime_draft(call, call.box.well_known["drafts"]), keep=True)
        return Reply(202)
    given = call.json()
    body = {k[:1].lower() + k[1:]: v for k, v in given.items()} if isinstance(given, dict) else {}
    if "message" not in body or set(body) - {"message", "saveToSentItems"}:
        raise bad_request("The parameters are message and saveToSentItems.", "ErrorInvalidParameter")
    item = draft(call, call.box.well_known["drafts"], read_body("message", body["message"], "c"))
    _dispatch(call, item, keep=READERS["bool"]("saveToSentItems", body.get("saveToSentItems", True)))
    return Reply(202)


@operation("messages.send", *routes("POST", "/send"), rights=SEND_MAIL)
def send_draft(call: Call) -> Reply:
    """A draft leaves."""
    item = item_of(call)
    if not item.is_draft:
        raise bad_request("The message is no draft.", "ErrorInvalidRequest")
    _dispatch(call, item, keep=True)
    return Reply(202)


# ---- replies and forwards ------------------------------------------------------------------------------


def _recipients(call: Call, item: Item, kind: str) -> Json:
    if kind == "forward":
        return {}
    reply_to = reading.value(item, "replyTo") or [p for p in [reading.value(item, "from")] if p]
    out: Json = {"toRecipients": reply_to}
    if kind == "replyAll":
        others = [r for r in reading.value(item, "toRecipients") if not call.user.owns(r["emailAddress"]["address"])]
        out = {"toRecipients": [*reply_to, *others], "ccRecipients": reading.value(item, "ccRecipients")}
    return out


def _answer_draft(call: Call, kind: str) -> Item:
    """A draft in the conversation of the message that is answered (`providers.md GR-12`)."""
    source, given = item_of(call), call.json()
    body = {k[:1].lower() + k[1:]: v for k, v in given.items()} if isinstance(given, dict) else {}
    if set(body) - {"message", "comment", "toRecipients"}:
        raise bad_request("The parameters are message, comment and toRecipients.", "ErrorInvalidParameter")
    prefix, subject = SUBJECTS[kind], str(reading.value(source, "subject"))
    comment = READERS["text"]("comment", body.get("comment") or "")
    content = f"{comment}\r\n\r\n________________________________\r\n{reading.plain_text(source)}"
    members: Json = {
        "subject": prefix + subject.removeprefix(prefix),
        "body": {"contentType": "text", "content": content},
    }
    item = draft(call, call.box.well_known["drafts"], members | _recipients(call, source, kind))
    ident = reading.value(source, "internetMessageId")
    earlier = source.fields.get("references", source.mail.references if source.mail else ())
    item.fields["references"] = tuple(i for i in (ident, *earlier) if i)
    if kind == "forward":
        item.fields["files"] = reading.files(source)
    if "toRecipients" in body:
        item.fields["toRecipients"] = READERS["recipients"]("toRecipients", body["toRecipients"])
    if "message" in body:
        fill(call, item, read_body("message", body["message"], "c"))
    return item


def _register(kind: str) -> None:
    create = f"create{kind[0].upper()}{kind[1:]}"

    @operation(f"messages.{create}", *routes("POST", f"/{create}"), rights=WRITE_MAIL)
    def create_answer(call: Call) -> Reply:
        return Reply(201, shape.message(call, call.box.add(_answer_draft(call, kind))))

    @operation(f"messages.{kind}", *routes("POST", f"/{kind}"), rights=SEND_MAIL)
    def send_answer(call: Call) -> Reply:
        _dispatch(call, call.box.add(_answer_draft(call, kind)), keep=True)
        return Reply(202)


for _kind in SUBJECTS:
    _register(_kind)
