"""A Salesforce simulator on a real TLS port, and a plain client of it. The fixtures are known through conftest."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.frame.frame import Frame

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT.parent / "shared" / "tools"
ANNA, BEN, ADMIN = "anna@northpeak.example", "ben@northpeak.example", "integration@northpeak.example"
ORGANISATION: dict[str, Any] = {
    "users": [
        {"key": "anna", "name": "Anna Lindqvist", "email": ANNA, "salesforce": ANNA},
        {"key": "ben", "name": "Ben Carter", "email": BEN, "salesforce": BEN},
        {"key": "gone", "name": "Gone Person", "salesforce": "gone@northpeak.example", "active": False},
        {"key": "mailonly", "name": "Mail Only", "email": "mail@northpeak.example"},
    ],
    "salesforce": {
        "org": {"name": "Northpeak", "edition": "Enterprise", "licences": 20},
        "integration_user": {"key": "integration", "name": "Mailspan Integration", "salesforce": ADMIN},
        "custom_objects": [
            {"name": "Project__c", "label": "Project", "plural": "Projects", "prefix": "a01", "fields": [
                {"name": "Account__c", "type": "reference", "to": ["Account"]},
                {"name": "Stage__c", "type": "picklist", "values": ["Open", "Done"]}]},
        ],
        "custom_fields": {"Contact": [
            {"name": "Email_2__c", "type": "email"},
            {"name": "Ext__c", "type": "string", "length": 40, "unique": True, "external_id": True},
            {"name": "Loose__c", "type": "string", "external_id": True}]},
        "records": {
            "Account": [{"_key": "acme", "Name": "Acme Corp", "Website": "www.acme.example", "OwnerId": "@anna"},
                        {"_key": "globex", "Name": "Globex", "OwnerId": "@ben"}],
            "Contact": [
                {"_key": "jane", "FirstName": "Jane", "LastName": "Doe", "Email": "Jane.Doe@acme.example",
                 "AccountId": "@acme", "OwnerId": "@anna"},
                {"_key": "max", "FirstName": "Max", "LastName": "Muster", "Email": "max@globex.example",
                 "AccountId": "@globex", "OwnerId": "@ben"}],
            "Lead": [{"_key": "lee", "LastName": "Lee", "Company": "Initech", "Email": "lee@initech.example",
                      "OwnerId": "@anna"}],
            "Opportunity": [{"_key": "deal", "Name": "3000 Widgets", "AccountId": "@acme", "StageName": "Qualification",
                             "CloseDate": "2026-12-31", "Amount": 120000, "OwnerId": "@anna"}],
            "Case": [{"_key": "case", "Subject": "Broken", "ContactId": "@jane", "OwnerId": "@anna"}],
            "Project__c": [{"_key": "project", "Name": "Roll-out", "Account__c": "@acme", "OwnerId": "@anna"}],
        },
    },
}  # fmt: skip


@dataclass
class Org:
    """The simulator with ids of its records by key, and calls as one user at a time."""

    frame: Frame
    http: requests.Session
    ids: dict[str, str]
    user: str = ANNA
    version: str = "67.0"
    headers: dict[str, str] = field(default_factory=dict)
    last: requests.Response | None = None

    @property
    def url(self) -> str:
        return self.frame.url("salesforce")

    @property
    def base(self) -> str:
        return f"/services/data/v{self.version}"

    @property
    def vendor(self) -> Any:
        return self.frame.vendors["salesforce"]

    def call(self, verb: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        """Status and parsed body of a call below the version's path (or of a path from the root)."""
        token = self.vendor.tokens()[self.user]
        headers = {"Authorization": f"Bearer {token}", **self.headers, **more.pop("headers", {})}
        where = path if path.startswith("/services") else f"{self.base}/{path}"
        self.last = self.http.request(verb, self.url + where, json=body, headers=headers, **more)
        try:
            return self.last.status_code, self.last.json()
        except ValueError:
            return self.last.status_code, self.last.content

    def create(self, sobject: str, **fields: Any) -> str:
        """A new record's id; AssertionError with the answer if it is refused."""
        status, answer = self.call("POST", f"sobjects/{sobject}", fields)
        assert status == 201, answer
        return str(answer["id"])

    def refused(self, verb: str, path: str, body: Any = None, status: int = 400, **more: Any) -> dict[str, Any]:
        """The only error of a call that must fail."""
        got, answer = self.call(verb, path, body, **more)
        assert got == status, answer
        assert len(answer) == 1
        return dict(answer[0])

    def query(self, soql: str, resource: str = "query", **more: Any) -> dict[str, Any]:
        """The answer to a query that must succeed."""
        status, answer = self.call("GET", resource, params={"q": soql}, **more)
        assert status == 200, answer
        return dict(answer)

    def rows(self, soql: str, resource: str = "query") -> list[dict[str, Any]]:
        """Its records without their attributes."""
        return [{k: v for k, v in r.items() if k != "attributes"} for r in self.query(soql, resource)["records"]]

    def one(self, soql: str, resource: str = "query") -> dict[str, Any]:
        """Its only record."""
        (row,) = self.rows(soql, resource)
        return row

    def act(self, action: str, **body: Any) -> dict[str, Any]:
        """The control API."""
        return dict(self.vendor.act(action, body))

    def nonsense(self) -> None:
        """From here on the test sends what no client should send: keep it out of the recording."""
        self.frame.settings["record"] = False


@pytest.fixture(scope="session")
def salesforce_frame(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frame]:
    folder = tmp_path_factory.mktemp("salesforce")
    frame = Frame(folder, folder / "traffic.jsonl")
    frame.open({})
    frame.start()
    yield frame
    frame.close()


@pytest.fixture(scope="session")
def salesforce_http(salesforce_frame: Frame) -> Iterator[requests.Session]:
    with requests.Session() as http:
        http.trust_env = False
        http.verify = str(salesforce_frame.ca)
        yield http


def checker() -> Any:
    """The checker of recorded exchanges; None where the shared tools are not there, which CI forbids."""
    if not TOOLS.is_dir():
        assert os.environ.get("CI") != "true", f"{TOOLS} is missing"
        return None
    if str(TOOLS) not in sys.path:
        sys.path.append(str(TOOLS))
    import salesforce_check  # type: ignore[import-not-found]

    return salesforce_check


def apart(exchange: dict[str, Any]) -> list[dict[str, Any]]:
    """The exchange as the checker knows it: graphs, which it does not cover, as composites of at most 25."""
    if not exchange["path"].endswith("/composite/graph") or exchange["status"] != 200:
        return [exchange]
    path = exchange["path"].removesuffix("/graph")
    out = []
    for asked, given in zip(exchange["request"]["graphs"], exchange["response"]["graphs"], strict=True):
        parts, answers = asked["compositeRequest"], given["graphResponse"]["compositeResponse"]
        for at in range(0, len(parts), 25):
            request = {"compositeRequest": parts[at : at + 25]}
            response = {"compositeResponse": answers[at : at + 25]}
            out.append({**exchange, "path": path, "request": request, "response": response})
    return out


@pytest.fixture
def org(salesforce_frame: Frame, salesforce_http: requests.Session) -> Iterator[Org]:
    """A freshly seeded org. What a test sends and gets is judged by Salesforce's own reference afterwards."""
    frame = salesforce_frame
    frame.reset(seed=False)
    vendor = frame.vendors["salesforce"]
    vendor.seed(ORGANISATION, None)
    path = frame.folder / "traffic.jsonl"
    start = path.stat().st_size
    yield Org(frame, salesforce_http, vendor.keys())  # type: ignore[attr-defined]
    judge = checker()
    if judge is None:
        return
    with path.open(encoding="utf-8") as lines:
        lines.seek(start)
        exchanges = [json.loads(line) for line in lines]
    faults = [(e["method"], e["path"], fault) for e in exchanges for part in apart(e) for fault in judge.errors(part)]
    assert not faults
