"""What a person does and sees in Outlook, through Microsoft Graph."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

from server.demo.flows import DROP
from server.demo.vendors import Api, Note

LOOK = 0.4  # seconds: Graph has no cheap way to ask whether anything happened
INBOX, SENT = "Inbox", "Sent Items"


class OutlookUser(Api):
    """One person's Outlook. Ids are immutable ones: a moved mail keeps its id."""

    vendor = "microsoft"

    def __init__(self, address: str, url: str, token: str, ca: str) -> None:
        super().__init__(f"{url}/v1.0/users/{address}", token, ca)
        self._http.headers["Prefer"] = 'IdType="ImmutableId"'
        self.address = address
        self._folders: dict[str, str] = {}
        self._looked = 0.0

    def folders(self) -> dict[str, str]:
        """Path -> id."""
        rows: dict[str, dict[str, Any]] = {}
        page = self.call("GET", "/mailFolders/delta", **{"$select": "displayName,parentFolderId"})
        while page:
            rows |= {row["id"]: row for row in page["value"] if "@removed" not in row}
            page = self.call("GET", page["@odata.nextLink"]) if "@odata.nextLink" in page else None

        def path(row: dict[str, Any]) -> str:
            above = rows.get(row["parentFolderId"])
            return f"{path(above)}/{row['displayName']}" if above else str(row["displayName"])

        self._folders = {path(row): identifier for identifier, row in rows.items()}
        return self._folders

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

    def below(self, label: str) -> list[str]:
        """Names of the folders right in this one, without its own."""
        names = [path.removeprefix(f"{label}/") for path in self.folders() if path.startswith(f"{label}/")]
        return [name for name in names if "/" not in name]

    def notes(self, label: str, title: str) -> list[Note]:
        """The mails in a folder whose subject has these words."""
        folder = self._folders.get(label) or self.folders().get(label)
        if folder is None:
            return []
        query = {"$select": "id,subject,body,isRead", "$top": 100}
        rows = self.call("GET", f"/mailFolders/{folder}/messages", **query)["value"]
        return [
            Note(row["id"], row["subject"], row["body"]["content"], not row["isRead"])
            for row in rows
            if title in row["subject"]
        ]

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
        folder counts as lying there. Where it lies in a folder that was made since, the path is read anew."""
        select = {"$select": "categories,parentFolderId,internetMessageId"}
        row = self.call("GET", f"/messages/{quote(mail, safe='')}", **select)
        found = {*row["categories"], self._path(row["parentFolderId"])}
        wanted = {"$select": "internetMessageId", "$top": 100}
        lying = self.call("GET", f"/mailFolders/{self._folder(DROP)}/messages", **wanted)["value"]
        if any(one["internetMessageId"] == row["internetMessageId"] for one in lying):
            found.add(DROP)
        return found

    def _path(self, folder: str) -> str:
        if folder not in self._folders.values():
            self.folders()
        return next((path for path, identifier in self._folders.items() if identifier == folder), folder)
