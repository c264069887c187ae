"""What a person does in Outlook, and what an administrator does to the tenant (`providers.md SIM-7`).

Every action about a mailbox takes ``user`` (an address). A message is named by ``message`` (either of its ids) or
``message_id`` (its Message-ID; with ``folder``: the one in that folder), a folder by its path of names, a well-known
name or its id.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sandbox.microsoft.directory import ADD_IN_CLIENT
from sandbox.microsoft.entra.errors import SIGN_IN
from sandbox.microsoft.entra.scopes import API, API_SCOPE
from sandbox.microsoft.errors import GraphError
from sandbox.microsoft.graph import reading
from sandbox.microsoft.graph.messages import unique
from sandbox.microsoft.graph.types import ENUMS

if TYPE_CHECKING:
    from sandbox.microsoft.graph.mailbox import Folder, Item, Mailbox
    from sandbox.microsoft.vendor import Microsoft

Json = dict[str, Any]
Later = list[Callable[[], object]]
Action = Callable[["Microsoft", Json, Later], Json]
ACTIONS: dict[str, Action] = {}


def _action(handler: Callable[[Microsoft, Json], Json]) -> Callable[[Microsoft, Json], Json]:
    def checked(microsoft: Microsoft, body: Json, later: Later) -> Json:
        try:
            return handler(microsoft, body)
        except GraphError as error:
            raise (LookupError if error.status == 404 else ValueError)(error.text) from None
        except KeyError as error:
            raise ValueError(f"{error.args[0]} is required") from None

    ACTIONS[handler.__name__] = checked
    return handler


def _box(microsoft: Microsoft, body: Json) -> Mailbox:
    return microsoft.directory.get(body["user"]).mailbox


def _message(box: Mailbox, body: Json) -> Item:
    if "message" in body:
        found = box.items.get(body["message"])
    else:
        wanted = body["message_id"].strip("<>")
        folder = box.at_path(body["folder"]) if "folder" in body else None
        found = next(
            (
                item
                for item in box.visible_items()
                if str(reading.value(item, "internetMessageId")).strip("<>") == wanted and folder in (None, item.folder)
            ),
            None,
        )
    if found is None:
        raise LookupError(f"{box.address} has no message {body.get('message') or body.get('message_id')}")
    return found


def _told(item: Item) -> Json:
    return {
        "id": item.mutable,
        "immutableId": item.immutable,
        "conversationId": item.conversation,
        "folder": item.folder.path,
        "categories": list(item.categories),
    }


def _folder(found: Folder) -> Json:
    return {"id": found.id, "displayName": found.name, "path": found.path}


# ---- messages ------------------------------------------------------------------------------------


@_action
def drop(microsoft: Microsoft, body: Json) -> Json:
    """Drag a message to the folder `to`; `copy` (Ctrl held): the original stays."""
    box = _box(microsoft, body)
    item, target = _message(box, body), box.at_path(body["to"])
    if body.get("copy"):
        return _told(box.copy(item, target))
    if item.folder is not target:
        box.move(item, target)
    return _told(item)


@_action
def set_categories(microsoft: Microsoft, body: Json) -> Json:
    """`categories` in place of the old ones; or `add` and `remove`, as the menu does."""
    box = _box(microsoft, body)
    item = _message(box, body)
    names = body.get("categories", item.categories)
    gone = {name.casefold() for name in body.get("remove", ())}
    item.categories = [n for n in unique([*names, *body.get("add", ())]) if n.casefold() not in gone]
    box.touch(item)
    return _told(item)


@_action
def deliver(microsoft: Microsoft, body: Json) -> Json:
    """A mail arrives: `raw` (text) or `raw_base64`; `date` (ISO) is when, `folder` where (Inbox).

    `categories`: it wears them on arrival. `sent`: the user has sent it from another program. `read`: not unread.
    """
    account = microsoft.directory.get(body["user"])
    raw = (
        base64.b64decode(body["raw_base64"]) if "raw_base64" in body else body["raw"].encode("utf-8", "surrogateescape")
    )
    sent = bool(body.get("sent"))
    item = microsoft.outbox.deliver(
        account,
        raw,
        folder=body.get("folder", "sentitems" if sent else "inbox"),
        received=datetime.fromisoformat(body["date"]).timestamp() if body.get("date") else None,
        categories=body.get("categories", ()),
        unread=not (sent or body.get("read")),
    )
    return _told(item)


@_action
def mark_read(microsoft: Microsoft, body: Json) -> Json:
    """Read, or with `value` false unread."""
    box = _box(microsoft, body)
    item = _message(box, body)
    item.is_read = bool(body.get("value", True))
    box.touch(item)
    return _told(item)


@_action
def flag(microsoft: Microsoft, body: Json) -> Json:
    """`value`: flagged (default), complete or notFlagged."""
    box = _box(microsoft, body)
    item, value = _message(box, body), body.get("value", "flagged")
    if value not in ENUMS["flagged"]:
        raise ValueError(f"a flag is one of {', '.join(ENUMS['flagged'])}")
    item.flag = {"flagStatus": value}
    box.touch(item)
    return _told(item)


@_action
def change_subject(microsoft: Microsoft, body: Json) -> Json:
    """The user edits the `subject` of a message: another topic, so another conversation (`providers.md 2.4`)."""
    box = _box(microsoft, body)
    item = _message(box, body)
    item.fields["subject"] = body["subject"]
    box.conversations.replace(item)
    box.touch(item)
    return _told(item)


@_action
def delete_message(microsoft: Microsoft, body: Json) -> Json:
    """Into Deleted Items; `forever` (Shift held): gone."""
    box = _box(microsoft, body)
    item = _message(box, body)
    if body.get("forever"):
        box.remove(item)
    else:
        box.move(item, box.well_known["deleteditems"])
    return _told(item)


# ---- folders and categories ----------------------------------------------------------------------------


@_action
def create_folder(microsoft: Microsoft, body: Json) -> Json:
    """A folder `name` below `parent` (default: the top); `path` makes what is missing of it."""
    from sandbox.microsoft.seeding import make_folder

    box = _box(microsoft, body)
    if "path" in body:
        return _folder(make_folder(box, body["path"]))
    parent = box.at_path(body["parent"]) if body.get("parent") else box.root
    return _folder(box.create_folder(parent, body["name"], hidden=bool(body.get("hidden"))))


@_action
def rename_folder(microsoft: Microsoft, body: Json) -> Json:
    """`folder` gets the `name`."""
    box = _box(microsoft, body)
    found = box.at_path(body["folder"])
    box.rename_folder(found, body["name"])
    return _folder(found)


@_action
def delete_folder(microsoft: Microsoft, body: Json) -> Json:
    """As in Outlook: `folder` moves to Deleted Items; `forever`: it is gone with all that is in it."""
    box = _box(microsoft, body)
    found = box.at_path(body["folder"])
    if body.get("forever"):
        box.delete_folder(found)
        return {"deleted": found.id}
    target, name, number = box.well_known["deleteditems"], found.name, 1
    while any(f.name.casefold() == found.name.casefold() for f in target.children.values()):
        box.rename_folder(found, f"{name}{number}")
        number += 1
    box.move_folder(found, target)
    return _folder(found)


@_action
def move_folder(microsoft: Microsoft, body: Json) -> Json:
    """`folder` goes below the folder `to` (msgfolderroot: the top)."""
    box = _box(microsoft, body)
    found = box.at_path(body["folder"])
    box.move_folder(found, box.at_path(body["to"]))
    return _folder(found)


@_action
def create_category(microsoft: Microsoft, body: Json) -> Json:
    """A category `name` with a `color` (preset0 to preset24, none)."""
    return dict(_box(microsoft, body).add_category(body["name"], body.get("color", "none")))


@_action
def delete_category(microsoft: Microsoft, body: Json) -> Json:
    """The category `name` leaves the master list; messages keep it."""
    box = _box(microsoft, body)
    found = next((c for c in box.categories.values() if c["displayName"].casefold() == body["name"].casefold()), None)
    if found is None:
        raise LookupError(f"{box.address} has no category {body['name']!r}")
    del box.categories[found["id"]]
    return {"deleted": found["id"]}


@_action
def expire_delta(microsoft: Microsoft, body: Json) -> Json:
    """Every delta link handed out so far for the mailbox is too old now (`providers.md GR-7`)."""
    box = _box(microsoft, body)
    box.epoch += 1
    return {"epoch": box.epoch}


# ---- sign-in and rights ----------------------------------------------------------------------------------


@_action
def revoke(microsoft: Microsoft, body: Json) -> Json:
    """The administrator withdraws the app's access to the user's mailbox; ready tokens live on.

    Refresh tokens end in AADSTS50173, exchanges on behalf of the user in 65001, app-only calls in 403; tokens that know
    challenges are challenged.
    """
    account, now = microsoft.directory.get(body["user"]), microsoft.frame.clock.time()
    account.tokens_after = account.challenged_at = now
    account.consented.clear()
    account.fault = account.fault or 65001
    account.app_allowed = False
    return {"revoked": account.email}


@_action
def restore(microsoft: Microsoft, body: Json) -> Json:
    """The opposite of `revoke`, `suspend` and `sign_in_fault`."""
    account = microsoft.directory.get(body["user"])
    account.fault, account.app_allowed, account.licensed = 0, True, True
    return {"restored": account.email}


@_action
def sign_in_fault(microsoft: Microsoft, body: Json) -> Json:
    """From now on every sign-in, refresh and exchange of the user ends in AADSTS `code`; 0 ends that."""
    account = microsoft.directory.get(body["user"])
    if body["code"] not in (0, *SIGN_IN):
        raise ValueError(f"code is 0 or one of {', '.join(map(str, SIGN_IN))}")
    account.fault = body["code"]
    return {"user": account.email, "code": account.fault}


@_action
def challenge(microsoft: Microsoft, body: Json) -> Json:
    """Continuous access evaluation: tokens older than now are challenged; without `user` the app's own (`EN-5`)."""
    now = microsoft.frame.clock.time()
    if "user" in body:
        microsoft.directory.get(body["user"]).challenged_at = now
    else:
        microsoft.app_challenged_at = now
    return {"nbf": int(now)}


@_action
def suspend(microsoft: Microsoft, body: Json) -> Json:
    """The mailbox loses its licence: 404 MailboxNotEnabledForRESTAPI; `value` false gives it back."""
    account = microsoft.directory.get(body["user"])
    account.licensed = not body.get("value", True)
    return {"licensed": account.licensed}


@_action
def expire_tokens(microsoft: Microsoft, body: Json) -> Json:
    """Every access token of the user (without `user`: of the app itself) is too old now; new ones can be had."""
    account = microsoft.directory.get(body["user"]) if "user" in body else None
    microsoft.oauth.expire(account.id if account else "")
    return {"expired": account.email if account else ""}


@_action
def rotate_keys(microsoft: Microsoft, body: Json) -> Json:
    """Tokens are signed with a new key; `retire`: the old ones are published no more (`providers.md EN-1`)."""
    kid = microsoft.oauth.keys.rotate()
    if body.get("retire"):
        microsoft.oauth.keys.retire()
    return {"kid": kid}


@_action
def add_in_token(microsoft: Microsoft, body: Json) -> Json:
    """The user signs in to the add-in: a token for our own API, as nested app authentication gives it."""
    account = microsoft.directory.get(body["user"])
    scopes = frozenset({API_SCOPE})
    token, life = microsoft.oauth.user_token(account, API, scopes, aware=False, answered=0.0, app=ADD_IN_CLIENT)
    return {"access_token": token, "expires_in": life, "id_token": microsoft.oauth.id_token(account, ADD_IN_CLIENT)}


@_action
def device_sign_in(microsoft: Microsoft, body: Json) -> Json:
    """The user enters the `user_code` of a device."""
    account = microsoft.directory.get(body["user"])
    microsoft.endpoint.sign_in_device(body["user_code"], account)
    return {"user": account.email}


# ---- subscriptions -----------------------------------------------------------------------------------------


@_action
def lifecycle(microsoft: Microsoft, body: Json) -> Json:
    """Send a lifecycle `event` (reauthorizationRequired, subscriptionRemoved, missed) to one `subscription` or to
    all of a `user` (`providers.md SU-7`)."""
    account = microsoft.directory.get(body["user"]) if "user" in body else None
    return microsoft.subscriptions.lifecycle(body["event"], body.get("subscription", ""), account)


@_action
def lose_notifications(microsoft: Microsoft, body: Json) -> Json:
    """The notifications that wait are never sent; a `missed` lifecycle event tells of it when `missed` is true."""
    lost = microsoft.notifier.drop_pending()
    told = microsoft.subscriptions.lifecycle("missed", "", None)["sent"] if body.get("missed") else 0
    return {"lost": lost, "told": told}


def _await_notifications(microsoft: Microsoft, body: Json, later: Later) -> Json:
    """Come back when no notification is due or on its way any more (at most `seconds`, 10)."""
    later.append(lambda: microsoft.notifier.settle(float(body.get("seconds", 10))))
    return {}


ACTIONS["await_notifications"] = _await_notifications
