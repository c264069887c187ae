"""What a person does in Gmail's own interface, and what an admin does to an account (`providers.md SIM-7`).

Every action takes ``user`` (an address). A message is named by ``message`` (its API id) or
``message_id`` (its Message-ID), a thread by ``thread`` or by one of its messages, a label by its
name or id.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sandbox.google.errors import GoogleError
from sandbox.google.gmail import labels as label_rules
from sandbox.google.gmail import shape
from sandbox.google.gmail.filters import create_filter
from sandbox.google.gmail.sending import ARRIVAL, deliver

if TYPE_CHECKING:
    from sandbox.google.accounts import Account
    from sandbox.google.gmail.mailbox import Mailbox, Stored
    from sandbox.google.vendor import Google

Json = dict[str, Any]
Action = Callable[["Google", Json], Json]
ACTIONS: dict[str, Action] = {}


def _action(handler: Action) -> Action:
    def checked(google: Google, body: Json) -> Json:
        try:
            return handler(google, body)
        except GoogleError as error:
            raise ValueError(error.text) from None
        except KeyError as error:
            raise ValueError(f"{error.args[0]} is required") from None

    ACTIONS[handler.__name__] = checked
    return handler


def _account(google: Google, body: Json) -> Account:
    return google.directory.get(body["user"])


def _message(box: Mailbox, body: Json) -> Stored:
    if "message" in body:
        found = box.messages.get(body["message"])
    else:
        wanted = body["message_id"].strip("<>")
        found = next((s for s in box.messages.values() if s.mail.message_id.strip("<>") == wanted), None)
    if found is None:
        raise LookupError(f"{box.address} has no message {body.get('message') or body.get('message_id')}")
    return found


def _thread(box: Mailbox, body: Json) -> list[Stored]:
    ident = body["thread"] if "thread" in body else _message(box, body).thread_id
    if ident not in box.threads:
        raise LookupError(f"{box.address} has no thread {ident}")
    return sorted(box.threads[ident], key=lambda s: s.order)


def _told(box: Mailbox, stored: list[Stored]) -> Json:
    return {
        "thread": stored[0].thread_id,
        "messages": [shape.brief(s) for s in stored],
        "historyId": str(box.history.current),
    }


def _drop(box: Mailbox, stored: list[Stored], body: Json) -> Json:
    label = box.label(body["label"])
    for one in stored:
        box.change(one, [label.id], ["INBOX"] if body.get("move") else [])
    return _told(box, stored)


@_action
def drop_thread(google: Google, body: Json) -> Json:
    """Drag a conversation onto a label: every message gets it. `move`: out of the Inbox too."""
    box = _account(google, body).mailbox
    return _drop(box, _thread(box, body), body)


@_action
def drop_message(google: Google, body: Json) -> Json:
    """The same for one message (conversation view off)."""
    box = _account(google, body).mailbox
    return _drop(box, [_message(box, body)], body)


@_action
def deliver_mail(google: Google, body: Json) -> Json:
    """A mail arrives: `raw` (text) or `raw_base64`; `date` (ISO) sets the internal date.

    `labels` in place of Inbox and unread; filters run after them. `sent` makes it a mail that the
    user has sent from another program.
    """
    account = _account(google, body)
    raw = (
        base64.b64decode(body["raw_base64"]) if "raw_base64" in body else body["raw"].encode("utf-8", "surrogateescape")
    )
    names = body.get("labels") or (["SENT"] if body.get("sent") else list(ARRIVAL))
    labels = tuple(account.mailbox.label(name).id for name in names)
    date = datetime.fromisoformat(body["date"]).timestamp() * 1000 if body.get("date") else None
    stored = deliver(google, account, raw, date_ms=None if date is None else int(date), labels=labels)
    return shape.brief(stored)


ACTIONS["deliver"] = ACTIONS.pop("deliver_mail")


@_action
def create_label(google: Google, body: Json) -> Json:
    """A new label `name`."""
    return label_rules.create_label(_account(google, body).mailbox, {"name": body["name"]}).resource()


@_action
def rename_label(google: Google, body: Json) -> Json:
    """`label` gets the `name`; as in the web interface, children follow."""
    box = _account(google, body).mailbox
    label = box.label(body["label"])
    old = label.name
    label_rules.change_label(box, label, {"name": body["name"]})
    for child in [x for x in box.labels.values() if x.name.startswith(f"{old}/")]:
        label_rules.change_label(box, child, {"name": label.name + child.name[len(old) :]})
    return label.resource()


@_action
def delete_label(google: Google, body: Json) -> Json:
    """Delete `label`; as in the web interface, with its children. The messages stay."""
    box = _account(google, body).mailbox
    label = box.label(body["label"])
    if label.kind == "system":
        raise ValueError(f"{label.name} is a system label")
    gone = [label, *(x for x in box.labels.values() if x.name.startswith(f"{label.name}/"))]
    for one in gone:
        box.drop_label(one)
    return {"deleted": [one.id for one in gone]}


@_action
def remove_label(google: Google, body: Json) -> Json:
    """Take `label` off one message, or off a whole `thread`."""
    box = _account(google, body).mailbox
    label = box.label(body["label"])
    stored = _thread(box, body) if "thread" in body else [_message(box, body)]
    for one in stored:
        box.change(one, remove=[label.id])
    return _told(box, stored)


def _mark(name: str, label: str, usually_on: bool) -> None:
    """An action that sets a state label on or off by `value` (default: yes)."""

    def act(google: Google, body: Json) -> Json:
        box = _account(google, body).mailbox
        stored = _thread(box, body) if "thread" in body else [_message(box, body)]
        on = body.get("value", True) is usually_on
        for one in stored:
            box.change(one, *(([label], ()) if on else ((), [label])))
        return _told(box, stored)

    act.__name__ = name
    _action(act)


_mark("archive", "INBOX", usually_on=False)
_mark("read", "UNREAD", usually_on=False)
_mark("star", "STARRED", usually_on=True)
_mark("trash", "TRASH", usually_on=True)


@_action
def delete_message(google: Google, body: Json) -> Json:
    """For ever."""
    box = _account(google, body).mailbox
    stored = _message(box, body)
    box.delete(stored)
    return {"deleted": stored.id, "historyId": str(box.history.current)}


@_action
def make_filter(google: Google, body: Json) -> Json:
    """`criteria` as in the API; `label` (made when missing) is added, `archive` skips the Inbox."""
    box = _account(google, body).mailbox
    try:
        label = box.label(body["label"])
    except LookupError:
        label = label_rules.create_label(box, {"name": body["label"]})
    action = {"addLabelIds": [label.id]} | ({"removeLabelIds": ["INBOX"]} if body.get("archive") else {})
    return create_filter(box, {"criteria": body["criteria"], "action": action}, "ANe1Bm" + google.token(20))


ACTIONS["create_filter"] = ACTIONS.pop("make_filter")


@_action
def expire_history(google: Google, body: Json) -> Json:
    """Every cursor handed out so far becomes too old (`providers.md GM-1`)."""
    history = _account(google, body).mailbox.history
    history.expire()
    return {"historyId": str(history.current)}


@_action
def revoke(google: Google, body: Json) -> Json:
    """The user or the admin withdraws the application's access; ready tokens live on."""
    account = _account(google, body)
    google.oauth.revoke(account.email)
    account.delegated = False
    return {"revoked": account.email}


@_action
def suspend(google: Google, body: Json) -> Json:
    """The account loses its Gmail licence: 400 failedPrecondition; `value` false gives it back."""
    account = _account(google, body)
    account.licensed = not body.get("value", True)
    return {"licensed": account.licensed}


@_action
def expire_tokens(google: Google, body: Json) -> Json:
    """Every access token of the user is too old now; refreshing works."""
    account = _account(google, body)
    google.oauth.expire(account.email)
    return {"expired": account.email}
