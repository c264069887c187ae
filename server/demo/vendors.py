"""What a person does and sees at the vendors, through their public APIs: nothing here knows Mailspan's tables."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import requests

TIMEOUT = 20.0


class Api:
    """JSON over HTTPS with a bearer token and the sandbox's CA."""

    def __init__(self, url: str, token: str, ca: str) -> None:
        self.url = url
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.verify = ca
        self._http.headers["Authorization"] = f"Bearer {token}"
        self._http.headers["X-Sandbox-Onlooker"] = "demo"  # what the demo itself does is not in the count of calls

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        url = path if path.startswith("https:") else self.url + path  # a link to the next page is whole
        answer = self._http.request(method, url, params=query or None, json=body, timeout=TIMEOUT)
        if answer.status_code >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json() if answer.content else None


@dataclass(frozen=True, slots=True)
class Note:
    """A mail that lies in a module's label: what it says, and whether it looks new."""

    id: str
    subject: str
    text: str
    unread: bool


class GmailUser(Api):
    """One person's Gmail."""

    vendor = "google"

    def __init__(self, address: str, url: str, token: str, ca: str) -> None:
        super().__init__(f"{url}/gmail/v1/users/me", token, ca)
        self.address = address

    def labels(self) -> dict[str, str]:
        """Name -> id."""
        return {row["name"]: row["id"] for row in self.call("GET", "/labels")["labels"]}

    def has(self, label: str) -> bool:
        return label in self.labels()

    def below(self, label: str) -> list[str]:
        """Names of the labels right below this one, without its own."""
        names = [name.removeprefix(f"{label}/") for name in self.labels() if name.startswith(f"{label}/")]
        return [name for name in names if "/" not in name]

    def notes(self, label: str, title: str) -> list[Note]:
        """The mails on a label whose subject has these words."""
        labels = self.labels()
        if label not in labels:
            return []
        query = {"labelIds": labels[label], "q": f'subject:"{title}"'}
        return [self._note(row["id"]) for row in self.call("GET", "/messages", **query).get("messages", [])]

    def _note(self, mail: str) -> Note:
        row = self.call("GET", f"/messages/{mail}", format="full")
        subject = next(h["value"] for h in row["payload"]["headers"] if h["name"].lower() == "subject")
        return Note(mail, subject, _plain(row["payload"]), "UNREAD" in row.get("labelIds", ()))

    def find(self, message_id: str) -> str | None:
        """The Gmail id of a mail by its Message-ID."""
        found = self.call("GET", "/messages", q=f"rfc822msgid:{message_id.strip('<>')}").get("messages", [])
        return str(found[0]["id"]) if found else None

    def thread_of(self, mail: str) -> str:
        return str(self.call("GET", f"/messages/{mail}", format="minimal")["threadId"])

    def mails_of(self, thread: str) -> list[str]:
        return [m["id"] for m in self.call("GET", f"/threads/{thread}", format="minimal")["messages"]]

    def drop(self, mail: str, label: str) -> None:
        """Move a mail to a label, as dragging it there does."""
        change = {"addLabelIds": [self.labels()[label]], "removeLabelIds": ["INBOX"]}
        self.call("POST", f"/messages/{mail}/modify", change)

    def drop_thread(self, thread: str, label: str) -> None:
        self.call("POST", f"/threads/{thread}/modify", {"addLabelIds": [label], "removeLabelIds": ["INBOX"]})

    def label_arriving(self, subject: str, label: str) -> None:
        """A filter rule: mail with this subject arrives on the label."""
        self.call("POST", "/settings/filters", {"criteria": {"subject": subject}, "action": {"addLabelIds": [label]}})

    def now(self) -> str:
        """The newest history id."""
        return str(self.call("GET", "/profile")["historyId"])

    def changed(self, since: str) -> tuple[bool, str]:
        """Whether anything happened since, and the newest history id."""
        page = self.call("GET", "/history", startHistoryId=since)
        return bool(page.get("history")), str(page["historyId"])

    def marks(self, mail: str) -> set[str]:
        """Names of the labels a mail carries; system labels by their ids."""
        names = {identifier: name for name, identifier in self.labels().items()}
        labels = self.call("GET", f"/messages/{mail}", format="minimal").get("labelIds", [])
        return {names.get(label, label) for label in labels}


def _plain(part: Mapping[str, Any]) -> str:
    """The plain text of a mail's part or of the parts in it."""
    if part["mimeType"] == "text/plain":
        data = part["body"].get("data", "")
        return base64.urlsafe_b64decode(data + "=" * (-len(data) % 4)).decode()
    return "".join(_plain(one) for one in part.get("parts", ()))


class MailUser(Protocol):
    """Somebody's mailbox, whatever the mail system. Labels, folders and categories go by their names."""

    vendor: str
    address: str

    def has(self, label: str) -> bool: ...

    def below(self, label: str) -> list[str]: ...

    def notes(self, label: str, title: str) -> list[Note]: ...

    def find(self, message_id: str) -> str | None: ...

    def drop(self, mail: str, label: str) -> None: ...

    def now(self) -> str: ...

    def changed(self, since: str) -> tuple[bool, str]: ...

    def marks(self, mail: str) -> set[str]: ...


@dataclass(frozen=True, slots=True)
class MailRecord:
    """An e-mail as Salesforce shows it: its id, who is related to it, and the item it belongs to."""

    id: str
    related: frozenset[str]
    item: str = ""


class SalesforceUser(Api):
    """Somebody who looks things up in Salesforce."""

    def __init__(self, url: str, token: str, ca: str) -> None:
        super().__init__(f"{url}/services/data/v67.0", token, ca)

    def query(self, soql: str) -> list[dict[str, Any]]:
        return list(self.call("GET", "/query", q=soql)["records"])

    def mails(self, message_ids: Iterable[str]) -> list[MailRecord]:
        """The e-mail records of these Message-IDs."""
        wanted = ", ".join(quote(m) for m in sorted(message_ids))
        rows = self.query(f"SELECT Id, RelatedToId FROM EmailMessage WHERE MessageIdentifier IN ({wanted})")  # noqa: S608
        if not rows:
            return []
        ids = ", ".join(quote(row["Id"]) for row in rows)
        relations = self.query(
            f"SELECT EmailMessageId, RelationId FROM EmailMessageRelation WHERE EmailMessageId IN ({ids})"  # noqa: S608
        )
        related: dict[str, set[str]] = {row["Id"]: set() for row in rows}
        for row in relations:
            if row["RelationId"]:
                related[row["EmailMessageId"]].add(row["RelationId"])
        return [MailRecord(row["Id"], frozenset(related[row["Id"]]), row["RelatedToId"] or "") for row in rows]

    def items(self, kind: str, field: str, title: str) -> list[dict[str, Any]]:
        """The items of a module that have this title, whole."""
        found = self.query(f"SELECT Id FROM {kind} WHERE {field} = {quote(title)}")  # noqa: S608 - SOQL
        return [self.call("GET", f"/sobjects/{kind}/{row['Id']}") for row in found]

    def there(self, kind: str, ids: Iterable[str]) -> list[str]:
        """Those of these records that are not deleted."""
        wanted = ", ".join(quote(i) for i in sorted(ids))
        rows = self.query(f"SELECT Id FROM {kind} WHERE Id IN ({wanted})") if wanted else []  # noqa: S608 - SOQL
        return [row["Id"] for row in rows]

    def tasks_beside(self, subjects: Sequence[str]) -> list[str]:
        wanted = ", ".join(quote(s) for s in subjects)
        return [row["Id"] for row in self.query(f"SELECT Id FROM Task WHERE Subject IN ({wanted})")]  # noqa: S608

    def people(self, addresses: Iterable[str]) -> list[dict[str, Any]]:
        wanted = ", ".join(quote(a) for a in sorted(addresses))
        return self.query(
            f"SELECT Id, Name, Account.Name, AccountId FROM Contact WHERE Email IN ({wanted})"  # noqa: S608 - SOQL
        )

    def users(self, addresses: Iterable[str]) -> dict[str, str]:
        """Address -> user id."""
        wanted = ", ".join(quote(a) for a in sorted(addresses))
        return {row["Email"]: row["Id"] for row in self.query(f"SELECT Id, Email FROM User WHERE Email IN ({wanted})")}  # noqa: S608

    def accounts_of(self, ids: Iterable[str]) -> dict[str, str]:
        """Contact id -> account id, of those that have one."""
        wanted = ", ".join(quote(i) for i in sorted(ids) if i.startswith("003"))
        rows = self.query(f"SELECT Id, AccountId FROM Contact WHERE Id IN ({wanted})") if wanted else []  # noqa: S608
        return {row["Id"]: row["AccountId"] for row in rows if row["AccountId"]}

    def names(self, ids: Iterable[str]) -> dict[str, str]:
        """Titles of people records, by id."""
        out: dict[str, str] = {}
        for prefix, kind in (("003", "Contact"), ("00Q", "Lead"), ("005", "User"), ("001", "Account")):
            wanted = ", ".join(quote(i) for i in sorted(ids) if i.startswith(prefix))
            if wanted:
                rows = self.query(f"SELECT Id, Name FROM {kind} WHERE Id IN ({wanted})")  # noqa: S608 - SOQL
                out |= {row["Id"]: row["Name"] for row in rows}
        return out


class Control(Api):
    """The sandbox's own switchboard: mail arrives from outside, and the call meter is read."""

    def __init__(self, url: str) -> None:
        super().__init__(url, "", "")
        self._http.verify = True
        del self._http.headers["Authorization"]

    def stories(self) -> Mapping[str, Any]:
        """Which seeded mails tell which story."""
        return dict(self.call("GET", "/stories"))

    def deliver(self, address: str, file: str) -> None:
        raw = self._http.get(f"{self.url}/mail/{file}", timeout=TIMEOUT)
        raw.raise_for_status()
        self.act("google", "deliver", user=address, raw_base64=base64.b64encode(raw.content).decode())

    def act(self, vendor: str, action: str, **body: Any) -> dict[str, Any]:
        """Act as somebody outside, or as the user in a program of their own."""
        return dict(self.call("POST", f"/act/{vendor}/{action}", body) or {})

    def meter(self) -> dict[str, Any]:
        return dict(self.call("GET", "/meter"))

    def meter_reset(self) -> None:
        self.call("POST", "/meter/reset")


def quote(text: str) -> str:
    """A SOQL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
