"""The naive peer: google-api-python-client, simple-salesforce and plain Graph, one call per record, nothing kept.

It does what a script of an afternoon does with a dropped mail: find it, read it, look up each person, create what is
missing, write the e-mail record and its relations, take the label off, put the marker on. It is correct where
nothing goes wrong, and it makes no call that it does not need for its way of working.
"""

from __future__ import annotations

import base64
import email
import email.policy
import email.utils
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

import httplib2
import requests
from google.oauth2.credentials import Credentials
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.discovery import build
from simple_salesforce.api import Salesforce

from tests.sandboxed import Sandbox

DONE = "Processing Complete!"
DROP = "Salesforce/- Create New Email"
ROLES = {"from": "FromAddress", "to": "ToAddress", "cc": "CcAddress"}


def parsed(raw: bytes) -> EmailMessage:
    """The mail."""
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


@dataclass
class NaiveCrm:
    """One call per question and per record."""

    sandbox: Sandbox
    user: str
    domain: str = "northpeak.example"
    crm: Any = field(init=False)

    def __post_init__(self) -> None:
        session = requests.Session()
        session.trust_env, session.verify = False, self.sandbox.ca
        self.crm = Salesforce(
            instance_url=self.sandbox.url("salesforce"),
            session_id=self.sandbox.token("salesforce", self.user),
            session=session,
            version="67.0",
        )

    def first(self, soql: str) -> str | None:
        """The id of the first record found."""
        found = self.crm.query(soql)["records"]
        return str(found[0]["Id"]) if found else None

    def file(self, mail: EmailMessage) -> None:
        """One EmailMessage with its people, unless it is there."""
        key = mail["Message-ID"]
        if self.first(f"SELECT Id FROM EmailMessage WHERE MessageIdentifier = '{key}'"):
            return
        people = [
            (role, name, address)
            for role in ROLES
            for name, address in email.utils.getaddresses([str(value) for value in mail.get_all(role, [])])
        ]
        known = [(role, self.person(name, address), address) for role, name, address in people]
        record = self.crm.EmailMessage.create(
            {
                "MessageIdentifier": key,
                "Subject": str(mail["Subject"]),
                "TextBody": mail.get_content(),
                "FromAddress": people[0][2],
                "Incoming": True,
                "IsClientManaged": True,
                "Status": "3",
            }
        )["id"]
        for role, person, address in known:
            self.crm.EmailMessageRelation.create(
                {
                    "EmailMessageId": record,
                    "RelationId": person,
                    "RelationType": ROLES[role],
                    "RelationAddress": address,
                }
            )

    def person(self, name: str, address: str) -> str:
        """The user or contact with the address; a contact with its account is made when there is none."""
        domain = address.partition("@")[2]
        if domain == self.domain:
            user = self.first(f"SELECT Id FROM User WHERE Email = '{address}'")
            assert user is not None, address
            return user
        contact = self.first(f"SELECT Id FROM Contact WHERE Email = '{address}'")
        if contact is None:
            account = self.first(f"SELECT Id FROM Account WHERE Name = '{domain}'")
            account = account or self.crm.Account.create({"Name": domain, "Website": domain})["id"]
            given, _, family = name.partition(" ")
            made: dict[str, Any] = self.crm.Contact.create(
                {"FirstName": given, "LastName": family or given or address, "Email": address, "AccountId": account}
            )
            contact = str(made["id"])
        return contact


@dataclass
class NaiveGmail:
    """One mailbox, polled."""

    sandbox: Sandbox
    address: str
    api: Any = field(init=False)

    def __post_init__(self) -> None:
        http = httplib2.Http(ca_certs=self.sandbox.ca)
        credentials = Credentials(token=self.sandbox.token("google", self.address))  # type: ignore[no-untyped-call]
        self.api = build(
            "gmail",
            "v1",
            http=AuthorizedHttp(credentials, http=http),
            client_options={"api_endpoint": self.sandbox.url("google")},
            static_discovery=True,
        ).users()

    def labels(self) -> dict[str, str]:
        """Name -> id."""
        return {one["name"]: one["id"] for one in self.api.labels().list(userId="me").execute()["labels"]}

    def dropped(self, label: str) -> list[str]:
        """Ids of what lies on the label."""
        found = self.api.messages().list(userId="me", labelIds=[label], maxResults=500).execute()
        return [one["id"] for one in found.get("messages", ())]

    def run(self, crm: NaiveCrm) -> int:
        """File all that lies on the drop label, mail by mail; how many."""
        labels = self.labels()
        found = self.dropped(labels[DROP])
        for one in found:
            raw = self.api.messages().get(userId="me", id=one, format="raw").execute()["raw"]
            crm.file(parsed(base64.urlsafe_b64decode(raw)))
            for change in ({"removeLabelIds": [labels[DROP]]}, {"addLabelIds": ["INBOX", labels[DONE]]}):
                self.api.messages().modify(userId="me", id=one, body=change).execute()
        return len(found)


@dataclass
class NaiveGraph:
    """One mailbox, polled; the drop folder's id is known."""

    sandbox: Sandbox
    address: str
    folder: str
    http: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.http.trust_env, self.http.verify = False, self.sandbox.ca
        self.http.headers["Authorization"] = f"Bearer {self.sandbox.token('microsoft', self.address)}"

    def call(self, method: str, path: str, **words: Any) -> Any:
        """One request below the mailbox."""
        url = f"{self.sandbox.url('microsoft')}/v1.0/users/{self.address}{path}"
        answer = self.http.request(method, url, timeout=30, **words)
        assert answer.ok, answer.text
        return answer

    def run(self, file: Callable[[EmailMessage], None]) -> int:
        """As `NaiveGmail.run`."""
        found = self.call("GET", f"/mailFolders/{self.folder}/messages?$select=id&$top=100").json()["value"]
        for one in found:
            path = f"/messages/{one['id']}"
            old = self.call("GET", f"{path}?$select=categories").json()["categories"]
            file(parsed(self.call("GET", f"{path}/$value").content))
            self.call("PATCH", path, json={"categories": [*old, DONE]})
            self.call("POST", f"{path}/move", json={"destinationId": "inbox"})
        return len(found)
