"""The Microsoft simulator as the frame sees it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import sandbox.microsoft.actions
import sandbox.microsoft.administration
import sandbox.microsoft.correspondence
import sandbox.microsoft.graph.operations  # noqa: F401  (they register themselves)
from sandbox.microsoft.acting import ACTIONS
from sandbox.microsoft.app import App
from sandbox.microsoft.directory import CLIENT_ID, CLIENT_SECRET, TENANT, Account, Directory
from sandbox.microsoft.entra.clients import Clients
from sandbox.microsoft.entra.endpoint import Endpoint
from sandbox.microsoft.entra.grants import Grant, Tokens
from sandbox.microsoft.entra.scopes import DELEGATED, USUAL_ROLES
from sandbox.microsoft.errors import GraphError, usual_body
from sandbox.microsoft.graph.batch import PARALLEL, read_parts
from sandbox.microsoft.graph.delta import Deltas
from sandbox.microsoft.graph.items import Folder, Item
from sandbox.microsoft.graph.mailbox import Mailbox
from sandbox.microsoft.graph.notify import Notifier
from sandbox.microsoft.graph.subscriptions import Subscriptions
from sandbox.microsoft.graph.throttle import Throttle
from sandbox.microsoft.http import Request
from sandbox.microsoft.mail.delivery import Outbox
from sandbox.microsoft.seeding import seed

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from sandbox.frame.frame import Frame

Json = dict[str, Any]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
USER = re.compile(r"/users(?:/|\(')([^/'?]+)", re.IGNORECASE)
BATCH = "/v1.0/$batch"
SETTINGS: tuple[tuple[str, Any, str], ...] = (
    ("entra_app_roles", USUAL_ROLES, "application permissions that the administrator has consented to"),
    ("entra_admin_consent", True, "whether the administrator has consented to the delegated permissions"),
    ("entra_consented_scopes", sorted(DELEGATED), "delegated permissions of that consent"),
    ("entra_refresh_once", False, "whether a refresh token is good for one use"),
    ("graph_app_mailboxes", [], "addresses that app-only tokens may reach (application access policy); empty: all"),
    ("graph_rbac_mailboxes", [], "addresses in the scope of the app's RBAC roles, beside what Entra grants"),
    ("graph_rbac_roles", USUAL_ROLES, "application permissions within that scope"),
    ("graph_if_match", True, "whether If-Match is honoured for messages"),
    ("graph_delete_to", "recoverableitemsdeletions", "folder that DELETE moves a message to; empty: it is gone"),
    ("graph_delete_folder_to", "deleteditems", "folder that DELETE moves a folder to; empty: it is gone"),
    ("graph_conversations", "topic", "what makes a conversation: topic, or references (and the same topic)"),
    ("graph_reencode", True, "whether $value is a message written anew, as Exchange does, or the bytes that came"),
    ("graph_batch_shuffle", True, "whether the answers of a batch come in another order"),
)


class Microsoft:
    """One tenant. `lock` guards all state; the app holds it around nearly every operation."""

    name = "microsoft"

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.lock = threading.RLock()
        for name, default, text in SETTINGS:
            frame.settings.define(name, default, text)
        self.directory = Directory()
        self.oauth = Tokens(self)
        self.clients = Clients(self)
        self.endpoint = Endpoint(self)
        self.throttle = Throttle(self)
        self.deltas = Deltas(self)
        self.subscriptions = Subscriptions(self)
        self.notifier = Notifier(self)
        self.outbox = Outbox(self)
        self.app_challenged_at = 0.0
        self.app = App(self)

    # ---- the contract ----------------------------------------------------------------------

    def reset(self) -> None:
        """No users, no tokens, no mail, no subscriptions."""
        with self.lock:
            for part in (self.directory, self.oauth, self.endpoint, self.throttle, self.deltas, self.subscriptions,
                         self.notifier, self.outbox):  # fmt: skip
                part.clear()
            self.app_challenged_at = 0.0

    def seed(self, org: Json, mail: Path | None) -> None:
        """Users with a Microsoft mailbox, their folders, categories and mails."""
        with self.lock:
            seed(self, org, mail)

    def tokens(self) -> dict[str, str]:
        """Ready tokens by address."""
        with self.lock:
            return {account.email: self.oauth.ready(account) for account in self.directory.all()}

    def info(self) -> Json:
        """How to get tokens in the real ways."""
        path, pair = self.frame.folder / "microsoft-client.pem", self.clients.certificate()
        if not path.exists():
            pair.write(path)
        return {
            "authority": f"{self.frame.url('microsoft')}/{TENANT}",
            "tenant": TENANT,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "certificate": str(path),
            "thumbprint": pair.thumbprint().hex(),
        }

    def act(self, action: str, body: Json) -> Json:
        """See `sandbox.microsoft.actions` and `administration`."""
        if action not in ACTIONS:
            raise LookupError(f"no action {action!r}; there are {', '.join(sorted(ACTIONS))}")
        later: list[Any] = []
        with self.lock:
            out = ACTIONS[action](self, body, later)
        for do in later:
            do()
        return out

    def close(self) -> None:
        """Stop sending notifications."""
        self.notifier.close()

    # ---- what the middleware asks --------------------------------------------------------------

    def caller(self, environ: WSGIEnvironment) -> str | None:
        """The mailbox that a request is about, by its path, else by its token."""
        headers = {"authorization": environ.get("HTTP_AUTHORIZATION", "")}
        request = Request(environ["REQUEST_METHOD"], environ["RAW_URI"], headers)
        grant = self.oauth.grant(request.token)
        if grant is None:
            return None
        if request.path == BATCH:
            request.body = environ["wsgi.input"].getvalue()
        return self.mailbox_of(request, grant)

    def mailbox_of(self, request: Request, grant: Grant) -> str:
        """Address of the mailbox, "" for none; of a batch, its first part's."""
        path = request.path
        if path == BATCH:
            found = USER.search(request.body.decode("utf-8", "replace"))
        else:
            found = USER.search(path)
        account = self.directory.find(unquote(found[1])) if found else self.directory.find(grant.user)
        return account.email if account else ""

    @contextmanager
    def gate(self, environ: WSGIEnvironment, user: str | None) -> Iterator[None]:
        """Around a request, from its arrival to its end: it occupies one lane of its mailbox, a batch up to four."""
        path = environ["RAW_URI"].partition("?")[0]
        if not path.startswith("/v1.0") or not user:
            yield
            return
        grant = self.oauth.grant(environ.get("HTTP_AUTHORIZATION", "").partition(" ")[2].strip())
        wanted = 1
        if path == BATCH:
            try:
                parts = read_parts(environ["wsgi.input"].getvalue())
                wanted = 1 if any(p.get("dependsOn") for p in parts) else min(PARALLEL, len(parts))
            except GraphError:
                wanted = 1  # the app refuses it
        account = self.directory.find(user)
        with self.throttle.lanes(grant.app if grant else "", account.id if account else "", wanted) as taken:
            environ["microsoft.lanes"] = taken or -1
            yield

    def fault_body(self, status: int) -> Any:
        """Graph's usual error of a status."""
        return usual_body(status, self.frame.clock.now())

    @staticmethod
    def api_of(path: str) -> str:
        """The name in recordings."""
        return "graph" if path.startswith(("/v1.0", "/beta")) else "entra"

    def state(self) -> Json:
        """Everything, for tests."""
        with self.lock:
            return {
                "mailboxes": {account.email: _dump(account) for account in self.directory.all()},
                "outbox": list(self.outbox.sent),
                "subscriptions": self.subscriptions.dump(),
                "notifications": self.notifier.dump(),
            }

    # ---- services for the operations --------------------------------------------------------------

    def token(self, length: int) -> str:
        """A random text of URL-safe letters."""
        return "".join(self.frame.random.choices(LETTERS, k=length))

    def open_mailbox(self, address: str) -> Mailbox:
        """A new, empty mailbox."""
        return Mailbox(address, self.frame.clock, self.frame.random, self.frame.settings, self._changed)

    def _changed(self, box: Mailbox, kind: str, item: Item, folder: Folder, mutable: str) -> None:
        self.subscriptions.changed(box, kind, item, folder, mutable)

    def in_scope(self, account: Account) -> bool:
        """Whether app-only tokens may reach the mailbox (`providers.md EN-6`)."""
        scope = self.frame.settings["graph_app_mailboxes"]
        return account.app_allowed and (not scope or any(account.owns(str(address)) for address in scope))

    def rights(self, grant: Grant, account: Account | None) -> frozenset[str]:
        """Of a grant for a mailbox: the token's, and what RBAC for Applications adds to an app's (`2.10`)."""
        if grant.user or account is None:
            return grant.rights
        settings = self.frame.settings
        if not any(account.owns(str(address)) for address in settings["graph_rbac_mailboxes"]):
            return grant.rights
        return grant.rights | (frozenset(settings["graph_rbac_roles"]) - {"User.Read.All"})

    def receive(self, address: str, raw: bytes, *, spam: bool = False) -> bool:
        """A mail from another vendor of the sandbox; False when the address is not ours."""
        account = self.directory.find(address)
        if account is None:
            return False
        with self.lock:
            self.outbox.deliver(account, raw, folder="junkemail" if spam else "inbox")
        return True


def _dump(account: Account) -> Json:
    box = account.mailbox
    return {
        "folders": {folder.id: folder.path for folder in box.visible_folders()},
        "categories": {entry["displayName"]: entry["color"] for entry in box.categories.values()},
        "messages": [
            {
                "id": item.mutable,
                "immutableId": item.immutable,
                "folder": item.folder.path,
                "messageId": item.mail.message_id if item.mail else item.fields.get("internetMessageId", ""),
                "subject": item.fields.get("subject", item.mail.subject if item.mail else ""),
                "categories": list(item.categories),
                "isRead": item.is_read,
                "isDraft": item.is_draft,
                "flag": item.flag["flagStatus"],
                "conversationId": item.conversation,
                "messageClass": item.kind.message_class,
                "received": item.received,
            }
            for item in sorted(box.visible_items(), key=lambda i: i.serial)
        ],
    }
