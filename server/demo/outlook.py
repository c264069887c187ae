"""What a person does and sees in Outlook, through Microsoft Graph; and the flows of the demo that begin there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from server.demo import flows
from server.demo.flows import DONE, DROP, Flow, Running, World, one_each
from server.demo.vendors import Api

CATEGORY = "Track in CRM"
LOOK = 0.4  # seconds: Graph has no cheap way to ask whether anything happened
INBOX, SENT = "Inbox", "Sent Items"


class OutlookUser(Api):
    """One person's Outlook. Ids are immutable ones: a moved mail keeps its id."""

    def __init__(self, address: str, url: str, token: str, ca: str) -> None:
        super().__init__(f"{url}/v1.0/users/{address}", token, ca)
        self._http.headers["Prefer"] = 'IdType="ImmutableId"'
        self.address = address
        self._folders: dict[str, str] = {}
        self._looked = 0.0

    def folders(self) -> dict[str, str]:
        """Path -> id, two levels deep."""
        found: dict[str, str] = {}
        for row in self.call("GET", "/mailFolders", **{"$top": 100})["value"]:
            found[row["displayName"]] = row["id"]
            if row["childFolderCount"]:
                below = self.call("GET", f"/mailFolders/{row['id']}/childFolders", **{"$top": 100})["value"]
                found |= {f"{row['displayName']}/{child['displayName']}": child["id"] for child in below}
        self._folders = found
        return found

    def has(self, label: str) -> bool:
        return label in self.folders()

    def mails(self, folder: str) -> list[dict[str, Any]]:
        """What lies in a folder, newest first."""
        found = self.call(
            "GET",
            f"/mailFolders/{self.folders()[folder]}/messages",
            **{"$select": "id,subject,from,toRecipients,internetMessageId", "$top": 100},
        )
        return list(found["value"])

    def find(self, message_id: str) -> str | None:
        """The id of a mail by its Message-ID."""
        wanted = message_id.replace("'", "''")
        query = {"$filter": f"internetMessageId eq '{wanted}'", "$select": "id"}
        found = self.call("GET", "/messages", **query)["value"]
        return str(found[0]["id"]) if found else None

    def drop(self, mail: str, label: str) -> None:
        self.call("POST", f"/messages/{quote(mail, safe='')}/move", {"destinationId": self._folder(label)})

    def drop_copy(self, mail: str, label: str) -> None:
        self.call("POST", f"/messages/{quote(mail, safe='')}/copy", {"destinationId": self._folder(label)})

    def categorise(self, mail: str, category: str) -> None:
        path = f"/messages/{quote(mail, safe='')}"
        before = self.call("GET", path, **{"$select": "categories"})["categories"]
        self.call("PATCH", path, {"categories": [*before, category]})

    def _folder(self, path: str) -> str:
        return self._folders.get(path) or self.folders()[path]

    def now(self) -> str:
        return "0"

    def changed(self, since: str) -> tuple[bool, str]:
        """Time to look again, rather than news."""
        ready = time.monotonic() - self._looked >= LOOK
        if ready:
            self._looked = time.monotonic()
        return ready, since

    def marks(self, mail: str) -> set[str]:
        """The categories of a mail and the path of its folder, as labels; a copy of it that still lies in the drop
        folder counts as lying there."""
        select = {"$select": "categories,parentFolderId,internetMessageId"}
        row = self.call("GET", f"/messages/{quote(mail, safe='')}", **select)
        names = {identifier: path for path, identifier in (self._folders or self.folders()).items()}
        found = {*row["categories"], names.get(row["parentFolderId"], row["parentFolderId"])}
        wanted = {"$select": "internetMessageId", "$top": 100}
        lying = self.call("GET", f"/mailFolders/{self._folder(DROP)}/messages", **wanted)["value"]
        if any(one["internetMessageId"] == row["internetMessageId"] for one in lying):
            found.add(DROP)
        return found


# --- flows ----------------------------------------------------------------------------------------------------------


def _pick(world: World, user: OutlookUser, folder: str, number: int) -> Mapping[str, Any]:
    """The `number`-th mail of a folder whose sender (or receiver) is a contact in the CRM."""
    found = 0
    for row in user.mails(folder):
        people = [row["from"]] if folder == INBOX else row["toRecipients"]
        addresses = [one["emailAddress"]["address"] for one in people if one]
        if not addresses or row["internetMessageId"] in _told(world) or not world.crm.people(addresses):
            continue
        if found == number:
            return row
        found += 1
    raise RuntimeError(f"{user.address} has too few mails of contacts in {folder}")


def _told(world: World) -> set[str]:
    return {message_id for story in world.stories.values() for message_id in story["message_ids"]}


def _story(user: OutlookUser, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "subject": row["subject"],
        "message_ids": [row["internetMessageId"]],
        "mailbox": user.address,
        "mailboxes": [user.address],
    }


def _user(world: World, number: int) -> OutlookUser:
    users = [user for user in world.mail.values() if isinstance(user, OutlookUser)]
    return users[number % len(users)]


def _move(world: World, flow: Flow) -> Running:
    return _act(world, flow, _user(world, 0), INBOX, 0, lambda user, mail: user.drop(mail, DROP))


def _copy(world: World, flow: Flow) -> Running:
    return _act(world, flow, _user(world, 1), INBOX, 0, lambda user, mail: user.drop_copy(mail, DROP))


def _categorise(world: World, flow: Flow) -> Running:
    return _act(world, flow, _user(world, 2), INBOX, 0, lambda user, mail: user.categorise(mail, CATEGORY))


def _sent(world: World, flow: Flow) -> Running:
    return _act(world, flow, _user(world, 0), SENT, 0, lambda user, mail: user.drop(mail, DROP))


def _act(world: World, flow: Flow, user: OutlookUser, folder: str, number: int, do: Any) -> Running:
    row = _pick(world, user, folder, number)
    started = time.monotonic()
    do(user, row["id"])
    return Running(flow, _story(user, row), [(user, str(row["id"]))], started)


OUTLOOK_FLOWS = (
    Flow("outlook_move", "Outlook: moved to the folder", "", DONE, _move, one_each, "outlook", "folder", INBOX),
    Flow("outlook_copy", "Outlook: a copy in the folder", "", DONE, _copy, one_each, "outlook", "folder", INBOX),
    Flow(
        "outlook_category", "Outlook: a category is set", "", DONE, _categorise, one_each, "outlook", "category", INBOX
    ),
    Flow("outlook_sent", "Outlook: a sent mail", "", DONE, _sent, one_each, "outlook", "folder", SENT),
    Flow(
        "two_systems",
        "One mail in Gmail and in Outlook",
        "mixed_mailboxes",
        DONE,
        flows.drop,
        flows.both_users,
        "gmail, outlook",
        "label, folder",
    ),
)
