"""What a person does in Gmail's own interface, and what an admin does to an account (`providers.md SIM-7`).

Every action takes ``user`` (an address). A message is named by ``message`` (its API id) or
``message_id`` (its Message-ID), a thread by ``thread`` or by one of its messages, a label by its
name or id.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sandbox.google.acting import ACTIONS, account_of, action, message_of, thread_of, told
from sandbox.google.gmail import labels as label_rules
from sandbox.google.gmail import shape
from sandbox.google.gmail.filters import create_filter
from sandbox.google.gmail.messages import relabel
from sandbox.google.gmail.sending import ARRIVAL, deliver

if TYPE_CHECKING:
    from sandbox.google.gmail.mailbox import Mailbox, Stored
    from sandbox.google.vendor import Google

Json = dict[str, Any]


def _drop(box: Mailbox, stored: list[Stored], body: Json) -> Json:
    label = box.label(body["label"])
    gone = [*(["INBOX"] if body.get("move") else []), *([box.label(body["from"]).id] if body.get("from") else [])]
    for one in stored:
        relabel(box, one, [label.id], gone)
    return told(box, stored)


@action
def drop_thread(google: Google, body: Json) -> Json:
    """Drag a conversation onto a label: every message but drafts gets it.

    `move`: out of the Inbox too; `from`: out of that label too. Without both it is a copy in a second label.
    """
    box = account_of(google, body).mailbox
    return _drop(box, thread_of(box, body), body)


@action
def drop_message(google: Google, body: Json) -> Json:
    """The same for one message (conversation view off)."""
    box = account_of(google, body).mailbox
    return _drop(box, [message_of(box, body)], body)


@action
def deliver_mail(google: Google, body: Json) -> Json:
    """A mail arrives: `raw` (text) or `raw_base64`; `date` (ISO) sets the internal date.

    `labels` in place of Inbox and unread; filters run after them. `sent` makes it a mail that the
    user has sent from another program.
    """
    account = account_of(google, body)
    raw = (
        base64.b64decode(body["raw_base64"]) if "raw_base64" in body else body["raw"].encode("utf-8", "surrogateescape")
    )
    names = body.get("labels") or (["SENT"] if body.get("sent") else list(ARRIVAL))
    labels = tuple(account.mailbox.label(name).id for name in names)
    date = datetime.fromisoformat(body["date"]).timestamp() * 1000 if body.get("date") else None
    stored = deliver(google, account, raw, date_ms=None if date is None else int(date), labels=labels)
    return shape.brief(stored)


ACTIONS["deliver"] = ACTIONS.pop("deliver_mail")


@action
def create_label(google: Google, body: Json) -> Json:
    """A new label `name`."""
    return label_rules.create_label(account_of(google, body).mailbox, {"name": body["name"]}).resource()


@action
def rename_label(google: Google, body: Json) -> Json:
    """`label` gets the `name`; as in the web interface, children follow."""
    box = account_of(google, body).mailbox
    label = box.label(body["label"])
    old = label.name
    label_rules.change_label(box, label, {"name": body["name"]})
    for child in [x for x in box.labels.values() if x.name.startswith(f"{old}/")]:
        label_rules.change_label(box, child, {"name": label.name + child.name[len(old) :]})
    return label.resource()


@action
def delete_label(google: Google, body: Json) -> Json:
    """Delete `label`; as in the web interface, with its children. The messages stay."""
    box = account_of(google, body).mailbox
    label = box.label(body["label"])
    if label.kind == "system":
        raise ValueError(f"{label.name} is a system label")
    gone = [label, *(x for x in box.labels.values() if x.name.startswith(f"{label.name}/"))]
    for one in gone:
        box.drop_label(one)
    return {"deleted": [one.id for one in gone]}


@action
def remove_label(google: Google, body: Json) -> Json:
    """Take `label` off one message, or off a whole `thread`."""
    box = account_of(google, body).mailbox
    label = box.label(body["label"])
    stored = thread_of(box, body) if "thread" in body else [message_of(box, body)]
    for one in stored:
        box.change(one, remove=[label.id])
    return told(box, stored)


def _mark(name: str, label: str, usually_on: bool) -> None:
    """An action that sets a state label on or off by `value` (default: yes)."""

    def act(google: Google, body: Json) -> Json:
        box = account_of(google, body).mailbox
        stored = thread_of(box, body) if "thread" in body else [message_of(box, body)]
        on = body.get("value", True) is usually_on
        for one in stored:
            relabel(box, one, *(([label], []) if on else ([], [label])))
        return told(box, stored)

    act.__name__ = name
    action(act)


_mark("archive", "INBOX", usually_on=False)
_mark("read", "UNREAD", usually_on=False)
_mark("star", "STARRED", usually_on=True)
_mark("trash", "TRASH", usually_on=True)
_mark("spam", "SPAM", usually_on=True)


@action
def delete_message(google: Google, body: Json) -> Json:
    """For ever."""
    box = account_of(google, body).mailbox
    stored = message_of(box, body)
    box.delete(stored)
    return {"deleted": stored.id, "historyId": str(box.history.current)}


@action
def make_filter(google: Google, body: Json) -> Json:
    """`criteria` as in the API; `label` (made when missing) is added, `archive` skips the Inbox."""
    box = account_of(google, body).mailbox
    try:
        label = box.label(body["label"])
    except LookupError:
        label = label_rules.create_label(box, {"name": body["label"]})
    action = {"addLabelIds": [label.id]} | ({"removeLabelIds": ["INBOX"]} if body.get("archive") else {})
    return create_filter(box, {"criteria": body["criteria"], "action": action}, "ANe1Bm" + google.token(20))


ACTIONS["create_filter"] = ACTIONS.pop("make_filter")


@action
def expire_history(google: Google, body: Json) -> Json:
    """Every cursor handed out so far becomes too old (`providers.md GM-1`)."""
    history = account_of(google, body).mailbox.history
    history.expire()
    return {"historyId": str(history.current)}


@action
def revoke(google: Google, body: Json) -> Json:
    """The user or the admin withdraws the application's access; ready tokens live on."""
    account = account_of(google, body)
    google.oauth.revoke(account.email)
    account.delegated = False
    return {"revoked": account.email}


@action
def suspend(google: Google, body: Json) -> Json:
    """The account loses its Gmail licence: 400 failedPrecondition; `value` false gives it back."""
    account = account_of(google, body)
    account.licensed = not body.get("value", True)
    return {"licensed": account.licensed}


@action
def expire_tokens(google: Google, body: Json) -> Json:
    """Every access token of the user is too old now; refreshing works."""
    account = account_of(google, body)
    google.oauth.expire(account.email)
    return {"expired": account.email}
