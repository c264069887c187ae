"""How actions of the control API make themselves known, and how they find what they are about."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sandbox.google.errors import GoogleError
from sandbox.google.gmail import shape

if TYPE_CHECKING:
    from sandbox.google.accounts import Account
    from sandbox.google.gmail.mailbox import Mailbox, Stored
    from sandbox.google.vendor import Google

Json = dict[str, Any]
Action = Callable[["Google", Json], Json]
ACTIONS: dict[str, Action] = {}


def action(handler: Action) -> Action:
    """Register a function under its name; a refusal of Gmail's and a member that is missing become ValueError (400)."""

    def checked(google: Google, body: Json) -> Json:
        try:
            return handler(google, body)
        except GoogleError as error:
            raise ValueError(error.text) from None
        except KeyError as error:
            raise ValueError(f"{error.args[0]} is required") from None

    ACTIONS[handler.__name__] = checked
    return handler


def account_of(google: Google, body: Json) -> Account:
    """Of `user`; LookupError."""
    return google.directory.get(body["user"])


def message_of(box: Mailbox, body: Json) -> Stored:
    """By `message` (its id) or `message_id` (its Message-ID); LookupError."""
    if "message" in body:
        found = box.messages.get(body["message"])
    else:
        wanted = body["message_id"].strip("<>")
        found = next((s for s in box.messages.values() if s.mail.message_id.strip("<>") == wanted), None)
    if found is None:
        raise LookupError(f"{box.address} has no message {body.get('message') or body.get('message_id')}")
    return found


def thread_of(box: Mailbox, body: Json) -> list[Stored]:
    """All messages of `thread`, or of the thread of one message; LookupError."""
    ident = body["thread"] if "thread" in body else message_of(box, body).thread_id
    if ident not in box.threads:
        raise LookupError(f"{box.address} has no thread {ident}")
    return sorted(box.threads[ident], key=lambda s: s.order)


def told(box: Mailbox, stored: list[Stored]) -> Json:
    """What an action answers about messages of one thread."""
    return {
        "thread": stored[0].thread_id,
        "messages": [shape.brief(s) for s in stored],
        "historyId": str(box.history.current),
    }
