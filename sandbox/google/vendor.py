"""The Google simulator as the frame sees it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sandbox.google.actions
import sandbox.google.correspondence
import sandbox.google.gmail  # noqa: F401  (they register themselves)
from sandbox.google.accounts import Account, Directory
from sandbox.google.acting import ACTIONS
from sandbox.google.app import App
from sandbox.google.discovery import Router
from sandbox.google.errors import usual_body
from sandbox.google.gmail.mailbox import HISTORY_DAYS, THREAD_LIMIT, Mailbox
from sandbox.google.oauth import APIS, CLIENT_ID, CLIENT_SECRET, Tokens
from sandbox.google.paging import Pages
from sandbox.google.quota import Quota
from sandbox.google.seeding import seed

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from sandbox.frame.frame import Frame

Json = dict[str, Any]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
PREFIXES = (
    ("/gmail/", "gmail.v1"),
    ("/calendar/", "calendar.v3"),
    ("/tasks/", "tasks.v1"),
    ("/oauth2/", "oauth2.v2"),
    ("/v1/projects/", "pubsub.v1"),
    ("/v1/", "people.v1"),
    ("/userinfo/", "oauth2.v2"),
)


class Google:
    """One Workspace domain. `lock` guards all state; the app holds it around every operation."""

    name = "google"

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.lock = threading.RLock()
        settings = frame.settings
        settings.define("gmail_batch_shuffle", True, "whether the parts of a batch answer come in another order")
        settings.define("gmail_index_delay", 2.0, "seconds until search (q) finds a new message")
        settings.define("gmail_arrival_delay", 0.0, "seconds until get finds a message that has just arrived")
        settings.define("gmail_history_days", HISTORY_DAYS, "days that a history cursor stays good")
        settings.define("gmail_label_limit", 10_000, "user labels per mailbox")
        settings.define("gmail_thread_limit", THREAD_LIMIT, "messages in a thread; the next one starts another")
        settings.define("gmail_label_delete_history", True, "whether deleting a label leaves labelRemoved records")
        settings.define("google_delegated_scopes", [], "scopes of the domain-wide delegation; empty: all")
        self.directory = Directory()
        self.quota = Quota(self)
        self.pages = Pages(frame.random)
        self.router = Router(APIS)
        self.oauth = Tokens(self, frame.folder)
        self.outbox: list[Json] = []
        self.notifications: list[Json] = []
        self.app = App(self)

    # ---- the contract ----------------------------------------------------------------------

    def reset(self) -> None:
        """No users, no tokens, no mail."""
        with self.lock:
            self.directory.clear()
            self.oauth.clear()
            self.pages.clear()
            self.quota.clear()
            self.outbox.clear()
            self.notifications.clear()

    def seed(self, org: Json, mail: Path | None) -> None:
        """Users with a Google mailbox, their labels and mails."""
        with self.lock:
            seed(self, org, mail)

    def tokens(self) -> dict[str, str]:
        """Ready tokens by address."""
        with self.lock:
            return {account.email: self.oauth.ready(account.email) for account in self.directory.all()}

    def info(self) -> Json:
        """How to get tokens in the real ways."""
        token_url = self.frame.url("google") + "/token"
        with self.lock:
            self.oauth.write_key_file(token_url)
            refresh = {account.email: self.oauth.refresh_token(account.email) for account in self.directory.all()}
        return {
            "token_url": token_url,
            "authorize_url": self.frame.url("google") + "/o/oauth2/v2/auth",
            "service_account": str(self.oauth.key_file),
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_tokens": refresh,
        }

    def act(self, action: str, body: Json) -> Json:
        """See `sandbox.google.actions`."""
        if action not in ACTIONS:
            raise LookupError(f"no action {action!r}; there are {', '.join(sorted(ACTIONS))}")
        with self.lock:
            return ACTIONS[action](self, body)

    # ---- what the middleware asks --------------------------------------------------------------

    def caller(self, environ: WSGIEnvironment) -> str | None:
        """The user of the bearer token."""
        grant = self.oauth.grant(environ.get("HTTP_AUTHORIZATION", "").partition(" ")[2].strip())
        return grant.user if grant else None

    def fault_body(self, status: int) -> Any:
        """Google's usual error of a status."""
        return usual_body(status)

    def api_of(self, path: str) -> str | None:
        """The discovery document that a path belongs to; None for a batch, which is recorded by parts."""
        plain = path.removeprefix("/resumable").removeprefix("/upload")
        if plain.startswith("/batch"):
            return None
        return next((api for prefix, api in PREFIXES if plain.startswith(prefix)), "google-oauth")

    def state(self) -> Json:
        """Everything, for tests."""
        with self.lock:
            return {
                "mailboxes": {account.email: _dump(account) for account in self.directory.all()},
                "outbox": list(self.outbox),
                "notifications": list(self.notifications),
            }

    # ---- services for the operations --------------------------------------------------------------

    def token(self, length: int) -> str:
        """A random text of URL-safe letters."""
        return "".join(self.frame.random.choices(LETTERS, k=length))

    def open_mailbox(self, address: str) -> Mailbox:
        """A new, empty mailbox."""
        return Mailbox(address, self.frame.clock, self.frame.random, self.frame.settings, self._changed)

    def _changed(self, box: Mailbox) -> None:
        """Where a push would leave: at most one a second and user (`providers.md 1.5`); kept for whoever sends them."""
        now = self.frame.clock.time()
        if box.watch and box.watch["expires"] > now and now - box.watch.get("pushed", 0.0) >= 1.0:
            box.watch["pushed"] = now
            self.notifications.append(
                {"topic": box.watch["topic"], "emailAddress": box.address, "historyId": box.history.current}
            )

    def hand_over(self, address: str, raw: bytes, *, spam: bool = False) -> bool:
        """Give a mail to another vendor of the sandbox that has this mailbox; False when none has."""
        for vendor in self.frame.vendors.values():
            receive = getattr(vendor, "receive", None)
            if vendor is not self and receive is not None and receive(address, raw, spam=spam):
                return True
        return False

    def receive(self, address: str, raw: bytes, *, spam: bool = False) -> bool:
        """A mail from another vendor of the sandbox; False when the address is not ours."""
        from sandbox.google.gmail.sending import ARRIVAL, SPAM, deliver

        account = self.directory.find(address)
        if account is None:
            return False
        with self.lock:
            deliver(self, account, raw, labels=SPAM if spam else ARRIVAL)
        return True


def _dump(account: Account) -> Json:
    box = account.mailbox
    return {
        "historyId": str(box.history.current),
        "labels": {label.id: label.name for label in box.labels.values() if label.kind == "user"},
        "filters": list(box.filters.values()),
        "watch": box.watch,
        "messages": [
            {
                "id": s.id,
                "threadId": s.thread_id,
                "labelIds": sorted(s.labels),
                "messageId": s.mail.message_id,
                "labels": sorted(box.labels[x].name for x in s.labels if x in box.labels),
                "subject": s.mail.subject,
                "from": s.mail.header("From"),
                "internalDate": s.internal_date,
            }
            for s in sorted(box.messages.values(), key=lambda s: s.order)
        ],
    }
