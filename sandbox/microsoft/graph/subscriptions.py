"""Subscriptions to changes (`providers.md 2.6 SU`)."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.microsoft.directory import TENANT, Account
from sandbox.microsoft.errors import GraphError, bad_request, unimplemented
from sandbox.microsoft.graph import paging, shape
from sandbox.microsoft.graph.call import READ_MAIL, Call, Reply, operation
from sandbox.microsoft.graph.handshake import allowed_url, validate
from sandbox.microsoft.graph.query import read
from sandbox.microsoft.graph.types import read_body
from sandbox.microsoft.graph.values import show_date

if TYPE_CHECKING:
    from sandbox.microsoft.graph.items import Folder, Item
    from sandbox.microsoft.graph.mailbox import Mailbox
    from sandbox.microsoft.vendor import Microsoft

Json = dict[str, Any]
RESOURCE = re.compile(
    r"/?(?:(me)|users(?:/|\(')(?P<user>[^/')]+)(?:'\))?)/(?:mailfolders(?:/|\(')(?P<folder>[^/')]+)(?:'\))?/)?messages/?$",
    re.IGNORECASE,
)
LONGEST, SHORTEST = 10_080 * 60, 45 * 60
MOST = 1000
KINDS = ("created", "updated", "deleted")
EVENTS = ("reauthorizationRequired", "subscriptionRemoved", "missed")


@dataclass(slots=True)
class Subscription:
    """One subscription. `folder` is a folder's id, "" for the whole mailbox."""

    id: str
    app: str
    account: Account
    resource: str
    folder: str
    kinds: tuple[str, ...]
    url: str
    lifecycle_url: str
    state: str
    expires: float
    immutable: bool
    tls: str

    def shown(self) -> Json:
        """As JSON."""
        return {
            "id": self.id,
            "resource": self.resource,
            "applicationId": self.app if self.app != "ready" else TENANT,
            "changeType": ",".join(self.kinds),
            "clientState": self.state or None,
            "notificationUrl": self.url,
            "notificationQueryOptions": None,
            "lifecycleNotificationUrl": self.lifecycle_url or None,
            "expirationDateTime": show_date(self.expires),
            "creatorId": self.account.id,
            "includeResourceData": None,
            "latestSupportedTlsVersion": self.tls,
            "encryptionCertificate": None,
            "encryptionCertificateId": None,
            "notificationUrlAppId": None,
        }


class Subscriptions:
    """All that live. The vendor's lock is held."""

    def __init__(self, microsoft: Microsoft) -> None:
        self._microsoft = microsoft
        settings = microsoft.frame.settings
        settings.define("graph_validate_renewals", False, "whether a renewal validates the notificationUrl again")
        settings.define("graph_refuse_long", True, "whether a lifetime of more than 10,080 minutes is refused, not cut")
        self.clear()

    def clear(self) -> None:
        """None is left."""
        self._all: dict[str, Subscription] = {}

    @property
    def _now(self) -> float:
        return self._microsoft.frame.clock.time()

    def live(self) -> list[Subscription]:
        """Those that have not expired; the others are gone for good (`SU-2`)."""
        for ident in [s.id for s in self._all.values() if s.expires <= self._now]:
            del self._all[ident]
        return list(self._all.values())

    def get(self, call: Call) -> Subscription:
        """Of the path, and of the calling app; GraphError 404."""
        found = next((s for s in self.live() if s.id == call.ids["subscription"]), None)
        if found is None or call.grant.app not in (found.app, "ready"):
            raise GraphError(404, "ResourceNotFound", "The object was not found.")
        return found

    def of(self, app: str) -> list[Subscription]:
        """All of an app."""
        return [s for s in self.live() if app in (s.app, "ready")]

    def check_new(self, new: Subscription) -> None:
        """409 for one that is there already, 403 for the 1,001st of a mailbox."""
        mine = [s for s in self.live() if s.account is new.account]
        for other in mine:
            if (other.app, other.resource.lower(), other.url, set(other.kinds)) == (
                new.app,
                new.resource.lower(),
                new.url,
                set(new.kinds),
            ):
                raise GraphError(409, "Conflict", "The subscription already exists for the requested combination.")
        if len(mine) >= MOST:
            raise GraphError(403, "ExtensionError", "The limit of subscriptions of the mailbox has been reached.")

    def keep(self, new: Subscription) -> None:
        """From now on its changes are notified."""
        self._all[new.id] = new

    def remove(self, ident: str) -> None:
        """It ends."""
        self._all.pop(ident, None)

    def expiry(self, wanted: float) -> float:
        """The moment that a request's expirationDateTime gives (`SU-2`)."""
        life = wanted - self._now
        if life <= 0:
            raise bad_request("Subscription expiration must be in the future.", "ExtensionError")
        if life > LONGEST + 60 and self._microsoft.frame.settings["graph_refuse_long"]:
            raise bad_request("Subscription expiration can only be 10080 minutes in the future.", "ExtensionError")
        return self._now + min(max(life, SHORTEST), LONGEST)

    # ---- what happens ----------------------------------------------------------------------------

    def changed(self, box: Mailbox, kind: str, item: Item, folder: Folder, mutable: str) -> None:
        """Hand a change to every subscription that wants it, the changer's own too (`SU-3`)."""
        if not self._all:
            return
        for one in self.live():
            wanted = kind in one.kinds and one.account.mailbox is box and one.folder in ("", folder.id)
            if wanted and one.account.licensed:
                self._microsoft.notifier.put(one, self._change(one, kind, item, mutable))

    def _change(self, one: Subscription, kind: str, item: Item, mutable: str) -> Json:
        ident = item.immutable if one.immutable else mutable
        resource = f"Users/{one.account.id}/Messages/{ident}"
        return self._frame(one) | {
            "changeType": kind,
            "resource": resource,
            "resourceData": {
                "@odata.type": "#Microsoft.Graph.Message",
                "@odata.id": resource,
                "@odata.etag": item.etag,
                "id": ident,
            },
        }

    def _frame(self, one: Subscription) -> Json:
        return {
            "subscriptionId": one.id,
            "subscriptionExpirationDateTime": show_date(one.expires),
            "tenantId": TENANT,
            "clientState": one.state or None,
        }

    def lifecycle(self, event: str, ident: str, account: Account | None) -> Json:
        """Send a lifecycle event; a removed subscription is gone (`SU-7`)."""
        if event not in EVENTS:
            raise ValueError(f"an event is one of {', '.join(EVENTS)}")
        found = [s for s in self.live() if ident in ("", s.id) and account in (None, s.account)]
        if ident and not found:
            raise LookupError(f"no subscription {ident}")
        told = 0
        for one in found:
            if one.lifecycle_url:
                self._microsoft.notifier.put(one, self._frame(one) | {"lifecycleEvent": event}, lifecycle=True)
                told += 1
            if event == "subscriptionRemoved":
                self.remove(one.id)
        return {"sent": told}

    def dump(self) -> list[Json]:
        """For tests."""
        return [s.shown() | {"user": s.account.email} for s in self.live()]


# ---- operations ---------------------------------------------------------------------------------------


def _resource(call: Call, text: str) -> tuple[Account, str]:
    match = RESOURCE.match(text)
    if match is None:
        if re.search(r"/(events|contacts|tasks)/?$", text):
            raise unimplemented(f"subscriptions to {text.rpartition('/')[2]} yet")
        raise bad_request(f"Resource '{text}' is not supported for subscriptions.", "ExtensionError")
    key = match["user"] or call.grant.user
    account = call.microsoft.directory.principal(key) if key else None
    if account is None:
        raise bad_request("The user of the resource was not found.", "ExtensionError")
    reached = call.grant.user == account.id if call.grant.user else call.microsoft.in_scope(account)
    if not reached or not call.microsoft.rights(call.grant, account).intersection(READ_MAIL):
        raise GraphError(
            403,
            "ExtensionError",
            "Operation: Create; Exception: [Status Code: Forbidden; Reason: Access is "
            "denied. Check credentials and try again.]",
        )
    return account, account.mailbox.folder(match["folder"]).id if match["folder"] else ""


def _new(call: Call, body: Json) -> Subscription:
    for name in ("changeType", "notificationUrl", "resource", "expirationDateTime"):
        if name not in body:
            raise bad_request(f"The required property '{name}' is missing.", "InvalidRequest")
    if body.get("includeResourceData"):
        raise unimplemented("notifications with resource data")
    kinds = tuple(k.strip().lower() for k in body["changeType"].split(","))
    if not set(kinds) <= set(KINDS):
        raise bad_request(f"Unsupported changeType '{body['changeType']}'.", "InvalidRequest")
    if len(body.get("clientState", "")) > 128:
        raise bad_request("The clientState is longer than 128 characters.", "InvalidRequest")
    for name in ("notificationUrl", "lifecycleNotificationUrl"):
        if body.get(name) and not allowed_url(body[name]):
            raise bad_request(f"The {name} must start with https.", "InvalidRequest")
    account, folder = _resource(call, body["resource"])
    return Subscription(
        str(uuid.uuid4()),
        call.grant.app,
        account,
        body["resource"],
        folder,
        kinds,
        body["notificationUrl"],
        body.get("lifecycleNotificationUrl", ""),
        body.get("clientState", ""),
        call.microsoft.subscriptions.expiry(body["expirationDateTime"]),
        call.immutable,
        body.get("latestSupportedTlsVersion") or "v1_2",
    )


@operation("subscriptions.create", "POST /subscriptions", unlocked=True)
def create(call: Call) -> Reply:
    """Both URLs are called while the request is pending, without any lock (`SU-1`)."""
    subscriptions = call.microsoft.subscriptions
    with call.microsoft.lock:
        new = _new(call, read_body("subscription", call.json(), "c"))
        subscriptions.check_new(new)
    validate(call.microsoft, [new.url, *([new.lifecycle_url] if new.lifecycle_url else [])])
    with call.microsoft.lock:
        subscriptions.check_new(new)
        subscriptions.keep(new)
        if new.immutable:
            call.honour('IdType="ImmutableId"')
        return Reply(201, {"@odata.context": _context(call, "/$entity"), **new.shown()})


def _context(call: Call, tail: str = "") -> str:
    return f"{call.microsoft.frame.url('microsoft')}/v1.0/$metadata#subscriptions{tail}"


@operation("subscriptions.list", "GET /subscriptions")
def list_all(call: Call) -> Reply:
    """Of the calling app."""
    query = read(call.options, "subscription", {"$top", "$skip"}, getattr)
    page, following = paging.cut(call, query, call.microsoft.subscriptions.of(call.grant.app), usual=100)
    return Reply(content=shape.collection(call, "subscriptions", [s.shown() for s in page], following=following))


@operation("subscriptions.get", "GET /subscriptions/{subscription}")
def get(call: Call) -> Reply:
    """One."""
    return Reply(
        content={"@odata.context": _context(call, "/$entity"), **call.microsoft.subscriptions.get(call).shown()}
    )


@operation("subscriptions.update", "PATCH /subscriptions/{subscription}", unlocked=True)
def update(call: Call) -> Reply:
    """Renewal; it reauthorises as well. Another notificationUrl is validated first."""
    subscriptions = call.microsoft.subscriptions
    with call.microsoft.lock:
        given = call.json()
        body, found = read_body("subscription", given, "p"), subscriptions.get(call)
        fixed = [n for n in ("resource", "changeType", "clientState", "lifecycleNotificationUrl") if n in given]
        if fixed:
            raise bad_request(f"The property '{fixed[0]}' cannot be changed.", "InvalidRequest")
        expires = subscriptions.expiry(body["expirationDateTime"]) if "expirationDateTime" in body else found.expires
        url = body.get("notificationUrl", found.url)
    if url != found.url or call.microsoft.frame.settings["graph_validate_renewals"]:
        validate(call.microsoft, [url])
    with call.microsoft.lock:
        found.expires, found.url = expires, url
        return Reply(content={"@odata.context": _context(call, "/$entity"), **found.shown()})


@operation("subscriptions.delete", "DELETE /subscriptions/{subscription}")
def delete(call: Call) -> Reply:
    """It ends."""
    call.microsoft.subscriptions.remove(call.microsoft.subscriptions.get(call).id)
    return Reply(204)


@operation("subscriptions.reauthorize", "POST /subscriptions/{subscription}/reauthorize")
def reauthorize(call: Call) -> Reply:
    """The answer to a reauthorizationRequired event."""
    call.microsoft.subscriptions.get(call)
    return Reply(204)
