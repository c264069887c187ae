"""Outlook for the contract suite: the sandbox, with users made for the test, acted upon through its control API."""

from __future__ import annotations

import base64
import json
import re
import ssl
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sync.ports import Meter
from sync.providers.microsoft.auth import Grants, Secrets
from sync.providers.microsoft.item import category_id, category_name
from sync.providers.microsoft.mail import Outlook
from tests.contracts.mail_world import CountingMeter, FaultKind, State
from tests.sandboxed import Sandbox

API = "^/v1.0"  # the token endpoint is never struck
WRITING = ("create", "update", "delete", "permanentDelete", "move", "copy")
PLACES = ("inbox", "drafts", "sentitems", "deleteditems", "junkemail", "archive", "outbox", "conversationhistory")
PER_CALL = 20
SEEN = "id,parentFolderId,isRead,flag,categories,internetMessageId,conversationId"
_numbers = count(1)


@dataclass(slots=True)
class OutlookMailbox:
    """One user's mailbox in the sandbox. Drop labels are folders, markers are categories."""

    world: OutlookWorld
    address: str
    places: dict[str, str] = field(default_factory=dict)  # folder id -> well-known name

    def provider(self, meter: Meter | None = None) -> Outlook:
        return Outlook(self.address, self.world.grants.client(self.address), meter or CountingMeter())

    def deliver(self, raw: bytes, *, labels: Sequence[str] = (), inbox: bool = True) -> str:
        folders = [label for label in labels if not category_name(label)]
        names = [name for name in map(category_name, labels) if name]
        return self._arrive(raw, folders[0] if folders else "inbox" if inbox else "archive", names)

    def sent(self, raw: bytes, *, to_self: bool = False) -> str:
        """Its sender is the user, as of every mail that the user sends; to oneself, it arrives a little later."""
        own = re.sub(rb"(?mi)^From: .*$", b"From: Alex Contract <" + self.address.encode() + rb">\r", raw, count=1)
        own = own.replace(b"\r\r\n", b"\r\n")
        key = self._arrive(own, "sentitems", [], sent=True)
        if to_self:
            self._arrive(own, "inbox", [], date=(datetime.now(UTC) + timedelta(seconds=2)).isoformat())
        return key

    def _arrive(self, raw: bytes, folder: str, categories: Sequence[str], **more: Any) -> str:
        content = base64.b64encode(raw).decode()
        body = {"raw_base64": content, "folder": folder, "categories": list(categories), **more}
        return str(self.act("deliver", **body)["immutableId"])

    def draft(self, raw: bytes) -> str:
        return self._arrive(raw, "drafts", [])

    def junk(self, raw: bytes) -> str:
        return self._arrive(raw, "junkemail", [])

    def throw_away(self, message_id: str) -> None:
        self.act("delete_message", message=message_id)

    def inside(self, label: str) -> Sequence[str]:
        return [one["id"] for one in self._all(f"mailFolders/{label}/messages?$select=id")]

    def drop(self, message_id: str, label: str, *, move: bool = True) -> str:
        if name := category_name(label):
            return str(self.act("set_categories", message=message_id, add=[name])["immutableId"])
        return str(self.act("drop", message=message_id, to=label, copy=not move)["immutableId"])

    def undrop(self, message_id: str, label: str) -> None:
        if name := category_name(label):
            self.act("set_categories", message=message_id, remove=[name])
        else:
            self.act("drop", message=message_id, to="inbox")

    def archive(self, message_id: str) -> None:
        self.act("drop", message=message_id, to="archive")

    def star(self, message_id: str) -> None:
        self.act("flag", message=message_id)

    def mark_read(self, message_id: str) -> None:
        self.act("mark_read", message=message_id)

    def delete(self, message_id: str) -> None:
        self.act("delete_message", message=message_id, forever=True)

    def create_label(self, *path: str, marker: bool = False) -> str:
        if marker:
            return category_id(self.act("create_category", name=": ".join(path))["displayName"])
        return str(self.act("create_folder", path="/".join(path))["id"])

    def rename_label(self, label: str, name: str) -> None:
        self.act("rename_folder", folder=label, name=name)

    def delete_label(self, label: str) -> None:
        if name := category_name(label):
            self.act("delete_category", name=name)
        else:
            self.act("delete_folder", folder=label)

    def labels(self) -> Mapping[str, tuple[str, ...]]:
        found = self._all("outlook/masterCategories")
        out = {category_id(entry["displayName"]): tuple(entry["displayName"].split(": ")) for entry in found}
        return out | self._below("msgfolderroot", ())

    def _below(self, folder: str, path: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        out: dict[str, tuple[str, ...]] = {}
        for child in self._all(f"mailFolders/{folder}/childFolders"):
            if child["id"] not in self.places:
                out[child["id"]] = (*path, child["displayName"])
                out |= self._below(child["id"], out[child["id"]])
        return out

    def state(self, message_id: str) -> State:
        body = self._message(message_id)
        wanted = urllib.parse.quote(f"internetMessageId eq '{body['internetMessageId']}'")
        same = self._all(f"messages?$filter={wanted}&$select={SEEN}")
        homes = {self.places.get(other["parentFolderId"]) for other in same}
        own = frozenset() if body["parentFolderId"] in self.places else frozenset({body["parentFolderId"]})
        return State(
            own | set(map(category_id, body["categories"])),
            inbox="inbox" in homes,
            sent="sentitems" in homes,
            unread=not body["isRead"],
            starred=body["flag"]["flagStatus"] == "flagged",
        )

    def thread(self, message_id: str) -> str:
        return str(self._message(message_id)["conversationId"])

    def _message(self, message_id: str) -> dict[str, Any]:
        return dict(self.api(f"messages/{message_id}?$select={SEEN}"))

    def _all(self, path: str) -> list[dict[str, Any]]:
        """A list with all its pages."""
        out: list[dict[str, Any]] = []
        while path:
            page = self.api(path)
            out += page["value"]
            path = page.get("@odata.nextLink", "").partition(f"/users/{self.address}/")[2]
        return out

    def act(self, action: str, **body: Any) -> dict[str, Any]:
        return self.world.sandbox.act("microsoft", action, user=self.address, **body)

    def api(self, path: str) -> Any:
        """What another client of the user's sees through Graph; it is not metered."""
        sandbox = self.world.sandbox
        request = urllib.request.Request(
            f"{sandbox.url('microsoft')}/v1.0/users/{self.address}/{path}",
            headers={
                "Authorization": f"Bearer {sandbox.token('microsoft', self.address)}",
                "Prefer": 'IdType="ImmutableId"',
                "X-Sandbox-Onlooker": "1",
            },
        )
        with urllib.request.urlopen(request, timeout=30, context=self.world.tls) as answer:
            return json.load(answer)


@dataclass(slots=True)
class OutlookWorld:
    """The sandbox's Microsoft, of which only mailboxes of its own are touched. Close it after the test."""

    sandbox: Sandbox
    name: str = "outlook"
    places: bool = True
    named_markers: bool = True
    cuts: bool = False
    boxes: list[OutlookMailbox] = field(default_factory=list)
    grants: Grants = field(init=False)
    tls: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        self.grants = Grants(self.secrets())
        self.tls = ssl.create_default_context(cafile=self.sandbox.ca)

    def secrets(self, **other: Any) -> Secrets:
        """The sandbox's app registration; `other` ways to sign in than its secret."""
        found = self.sandbox.ready["microsoft"]
        how = other or {"client_secret": found["client_secret"]}
        return Secrets(
            tenant=found["tenant"],
            client_id=found["client_id"],
            authority_url=found["url"],
            graph_url=found["url"],
            ca_file=self.sandbox.ca,
            timeout=10.0,
            **how,
        )

    def close(self) -> None:
        self.sandbox.clear_faults()
        self.sandbox.settings(page_size=None)

    def mailbox(self) -> OutlookMailbox:
        address = f"contract-{next(_numbers)}@mailspan.example"
        user = {"email": address, "name": "Alex Contract", "mail": "microsoft"}
        self.sandbox.seed({"users": [user]}, add=True)
        self.grants.client(address).token()  # not metered to the test
        box = OutlookMailbox(self, address)
        box.places = {box.api(f"mailFolders/{name}?$select=id")["id"]: name for name in PLACES}
        self.boxes.append(box)
        return box

    def read_calls(self, count: int) -> int:
        """All that is known of a message, then the message; in the first call also the well-known folders."""
        return -(-(count + 6) // PER_CALL) + -(-count // PER_CALL)

    def settle_calls(self, count: int) -> int:
        """Whether it is a copy, its categories, its way home."""
        return 3 * -(-count // PER_CALL)

    def expire_cursors(self) -> None:
        for box in self.boxes:
            box.act("expire_delta")

    def small_pages(self, size: int) -> None:
        self.sandbox.settings(page_size=size)

    def fault(self, kind: FaultKind, *, retry_after: float | None = None) -> None:
        if kind == "revoked":
            for box in self.boxes:
                box.act("revoke")
        elif kind == "throttled":
            self.sandbox.fault("status", vendor="microsoft", path=API, status=429, retry_after=retry_after)
        elif kind == "down":
            self.sandbox.fault("status", vendor="microsoft", path=API, status=503)
        elif kind == "reset":
            self.sandbox.fault("reset", vendor="microsoft", path=API)
        else:
            path = r"^/v1.0/(\$batch|users/[^/]+/mailFolders/[^/]+(/messages)?)$"  # many writes, or a single one
            writes = r'"method": "(PATCH|POST|DELETE)"|"displayName"|"singleValueExtendedProperties"'
            self.sandbox.fault("lost", vendor="microsoft", path=path, body_matches=writes)

    def throttle_part(self) -> None:
        self.sandbox.fault("status", vendor="microsoft", path=r"^/v1\.0/.*/messages/[^/]+/\$value", status=429)

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
        """Graph's count of requests, of this world's mailboxes: parts of a batch count singly."""
        users = self._meter().get("users", {})
        return sum(float(users.get(box.address, {}).get("units", 0)) for box in self.boxes)

    def _meter(self) -> dict[str, Any]:
        return dict(self.sandbox.meter().get("microsoft", {}))
