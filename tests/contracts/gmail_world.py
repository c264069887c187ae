"""Gmail for the contract suite: the sandbox, with users made for the test, acted upon through its control API."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from sync.ports import MailProvider, Meter
from sync.providers.google.auth import Grants, Secrets
from sync.providers.google.mail import Gmail
from tests.contracts.mail_world import CountingMeter, FaultKind, State
from tests.sandboxed import Sandbox

SYSTEM = {"INBOX", "SENT", "UNREAD", "STARRED", "DRAFT", "TRASH", "SPAM", "IMPORTANT"}
WRITING = ("create", "patch", "update", "delete", "modify", "batchModify", "insert", "trash")
API = "^/(gmail|batch)"  # the token endpoint is never struck
_numbers = count(1)


@dataclass(slots=True)
class GmailMailbox:
    """One user's mailbox in the sandbox."""

    world: GmailWorld
    address: str

    def provider(self, meter: Meter | None = None) -> MailProvider:
        http = self.world.grants.http(self.address)
        return Gmail(self.address, http, meter or CountingMeter(), api_url=self.world.sandbox.url("google"))

    def deliver(self, raw: bytes, *, labels: Sequence[str] = (), inbox: bool = True) -> str:
        return self._arrive(raw, ["UNREAD", *(["INBOX"] if inbox else []), *labels])

    def sent(self, raw: bytes, *, to_self: bool = False) -> str:
        return self._arrive(raw, ["SENT", "INBOX"] if to_self else ["SENT"])

    def _arrive(self, raw: bytes, labels: Sequence[str]) -> str:
        return str(self._act("deliver", raw_base64=base64.b64encode(raw).decode(), labels=list(labels))["id"])

    def draft(self, raw: bytes) -> str:
        return self._arrive(raw, ["DRAFT"])

    def junk(self, raw: bytes) -> str:
        return self._arrive(raw, ["SPAM", "UNREAD"])

    def throw_away(self, message_id: str) -> None:
        self._act("trash", message=message_id)

    def inside(self, label: str) -> Sequence[str]:
        return [one["id"] for one in self.api("GET", f"messages?labelIds={label}").get("messages", ())]

    def drop(self, message_id: str, label: str, *, move: bool = True) -> str:
        self._act("drop_message", message=message_id, label=label, move=move)
        return message_id

    def undrop(self, message_id: str, label: str) -> None:
        self._act("remove_label", message=message_id, label=label)

    def archive(self, message_id: str) -> None:
        self._act("archive", message=message_id)

    def star(self, message_id: str) -> None:
        self._act("star", message=message_id)

    def mark_read(self, message_id: str) -> None:
        self._act("read", message=message_id)

    def delete(self, message_id: str) -> None:
        self._act("delete_message", message=message_id)

    def create_label(self, *path: str, marker: bool = False) -> str:
        return str(self._act("create_label", name="/".join(path))["id"])

    def rename_label(self, label: str, name: str) -> None:
        parents = self.labels()[label][:-1]
        self._act("rename_label", label=label, name="/".join((*parents, name)))

    def delete_label(self, label: str) -> None:
        self.api("DELETE", f"labels/{label}")

    def labels(self) -> Mapping[str, tuple[str, ...]]:
        found = self.api("GET", "labels")["labels"]
        return {label["id"]: tuple(label["name"].split("/")) for label in found if label["type"] == "user"}

    def state(self, message_id: str) -> State:
        labels = set(self.api("GET", f"messages/{message_id}?format=minimal").get("labelIds", ()))
        flags = {name: name.upper() in labels for name in ("inbox", "sent", "unread", "starred")}
        return State(frozenset(labels - SYSTEM), **flags)

    def thread(self, message_id: str) -> str:
        return str(self.api("GET", f"messages/{message_id}?format=minimal")["threadId"])

    def _act(self, action: str, **body: Any) -> dict[str, Any]:
        return self.world.sandbox.act("google", action, user=self.address, **body)

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """A call of the Gmail API as another client of the user's makes it; it is not metered."""
        sandbox = self.world.sandbox
        request = urllib.request.Request(
            f"{sandbox.url('google')}/gmail/v1/users/me/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {sandbox.token('google', self.address)}",
                "Content-Type": "application/json",
                "X-Sandbox-Onlooker": "1",
            },
        )
        with urllib.request.urlopen(request, timeout=30, context=self.world.tls) as answer:
            content = answer.read()
        return json.loads(content) if content else None


@dataclass(slots=True)
class GmailWorld:
    """The sandbox's Google, of which only mailboxes of its own are touched. Close it after the test."""

    sandbox: Sandbox
    name: str = "gmail"
    places: bool = False
    named_markers: bool = False
    cuts: bool = True
    boxes: list[GmailMailbox] = field(default_factory=list)
    grants: Grants = field(init=False)
    tls: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        google = self.sandbox.ready["google"]
        key_file = json.loads(Path(google["service_account"]).read_text(encoding="utf-8"))
        self.grants = Grants(
            Secrets(service_account=key_file, token_url=google["token_url"], ca_file=self.sandbox.ca, timeout=10.0)
        )
        self.tls = ssl.create_default_context(cafile=self.sandbox.ca)

    def close(self) -> None:
        self.sandbox.clear_faults()
        self.sandbox.settings(page_size=None)

    def mailbox(self) -> GmailMailbox:
        address = f"contract-{next(_numbers)}@mailspan.example"
        user = {"email": address, "name": "Alex Contract", "mail": "google"}
        self.sandbox.seed({"users": [user]}, add=True)
        self.grants.credentials(address).refresh(None)  # not metered to the test
        self.boxes.append(GmailMailbox(self, address))
        return self.boxes[-1]

    def read_calls(self, count: int) -> int:
        return -(-count // 50)

    def settle_calls(self, count: int) -> int:
        return -(-count // 50)

    def expire_cursors(self) -> None:
        for box in self.boxes:
            self.sandbox.act("google", "expire_history", user=box.address)

    def small_pages(self, size: int) -> None:
        self.sandbox.settings(page_size=size)

    def fault(self, kind: FaultKind, *, retry_after: float | None = None) -> None:
        if kind == "revoked":
            for box in self.boxes:
                self.sandbox.act("google", "revoke", user=box.address)
                self.sandbox.act("google", "expire_tokens", user=box.address)
        elif kind == "throttled":
            self.sandbox.fault("status", vendor="google", path=API, status=429, retry_after=retry_after)
        elif kind == "down":
            self.sandbox.fault("status", vendor="google", path=API, status=503)
        elif kind == "reset":
            self.sandbox.fault("reset", vendor="google", path=API)
        else:
            self.sandbox.fault("lost", vendor="google", path=API, method="POST")

    def throttle_part(self) -> None:
        self.sandbox.fault("status", vendor="google", path="^/gmail/v1/users/me/messages/", status=429)

    def requests(self) -> int:
        return int(self._meter().get("requests", 0))

    def writes(self) -> int:
        users = self._meter().get("users", {})
        return sum(
            int(part["calls"])
            for box in self.boxes
            for method, part in users.get(box.address, {}).get("methods", {}).items()
            if method.rpartition(".")[2] in WRITING
        )

    def units(self) -> float:
        """Quota units by the sandbox's own table, of this world's mailboxes."""
        users = self._meter().get("users", {})
        return sum(float(users.get(box.address, {}).get("units", 0)) for box in self.boxes)

    def _meter(self) -> dict[str, Any]:
        return dict(self.sandbox.meter().get("google", {}))
