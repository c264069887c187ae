"""A Salesforce that says what a test tells it to, at the level of HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import requests
from requests.adapters import BaseAdapter

from sync.model import Entry, Relation
from sync.providers.salesforce.auth import Login, Token
from sync.providers.salesforce.describe import OBJECTS, Description, Descriptions, Field, Sobject
from sync.providers.salesforce.http import Client
from tests.contracts.crm_world import CountingMeter

URL = "https://acme.my.salesforce.com"


@dataclass
class Said:
    """An answer."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


Say = Said | BaseException | Callable[[requests.PreparedRequest], Said]


class Script(BaseAdapter):
    """Answers requests one after the other; `asked` keeps them."""

    def __init__(self, answers: Sequence[Say]) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked: list[requests.PreparedRequest] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        self.asked.append(request)
        say = self.answers.pop(0)
        if isinstance(say, BaseException):
            raise say
        said = say(request) if callable(say) else say
        response = requests.Response()
        response.status_code = said.status
        response._content = said.body.encode() if isinstance(said.body, str) else json.dumps(said.body).encode()
        response.headers.update({"Content-Type": "application/json", **said.headers})
        response.url = str(request.url)
        response.request = request
        return response

    def close(self) -> None:
        """Nothing is open."""

    def bodies(self) -> list[Any]:
        return [json.loads(request.body) if request.body else None for request in self.asked]


class Grant:
    """Hands out numbered tokens."""

    def __init__(self, name: str = "grant") -> None:
        self.key = (name, str(id(self)), "anna")
        self.fetched = 0

    def fetch(self, http: requests.Session) -> Token:
        self.fetched += 1
        return Token(f"token-{self.fetched}", URL)


def session(*answers: Say) -> tuple[requests.Session, Script]:
    script = Script(answers)
    http = requests.Session()
    http.mount("https://", script)
    return http, script


def client(*answers: Say) -> tuple[Client, Script, CountingMeter]:
    http, script = session(*answers)
    meter = CountingMeter()
    return Client(Login(Grant(), http), http, meter), script, meter


def queries(script: Script, at: int) -> list[str]:
    """The SOQL of a composite call."""
    parts = script.bodies()[at]["compositeRequest"]
    return [unquote(part["url"].partition("?q=")[2]) for part in parts]


def rows(*answers: Sequence[dict[str, Any]]) -> Said:
    """A composite answer: the rows of each query."""
    parts = [
        {"referenceId": f"q{n}", "httpStatusCode": 200, "body": {"totalSize": len(some), "done": True, "records": some}}
        for n, some in enumerate(answers)
    ]
    return Said(body={"compositeResponse": parts})


def refused(code: str, message: str = "", status: int = 400, **more: Any) -> Said:
    return Said(status, [{"errorCode": code, "message": message, **more}])


_FIELDS: dict[str, dict[str, Field]] = {
    "EmailMessage": {
        "MessageIdentifier": Field("MessageIdentifier", length=765),
        "Subject": Field("Subject", length=3000),
        "HtmlBody": Field("HtmlBody", length=131072),
        "TextBody": Field("TextBody", length=131072),
        "RelatedToId": Field("RelatedToId", "reference", 18),
        **{
            name: Field(name, updateable=False)
            for name in ("Status", "Incoming", "IsClientManaged", "MessageDate", "FromName", "ParentId")
        },
        "FromAddress": Field("FromAddress", "email", 1000),
        **{name: Field(name, "junctionIdList", 0) for name in ("ToIds", "CcIds", "BccIds")},
        **{name: Field(name, length=4000) for name in ("ToAddress", "CcAddress", "BccAddress")},
    },
    "Task": {
        "Subject": Field("Subject", length=255),
        "Description": Field("Description", length=32000, filterable=False),
        **{name: Field(name) for name in ("Status", "ActivityDate", "TaskSubtype", "OwnerId", "WhatId", "WhoId")},
        "TaskWhoIds": Field("TaskWhoIds", "junctionIdList", 0),
    },
}


def description(*, email: bool = True, shared: bool = True) -> Description:
    """An ordinary organisation."""
    people = {
        name: Field(name, "email" if name == "Email" else "string", 80)
        for name in ("FirstName", "LastName", "Email", "Company", "AccountId", "OwnerId", "Name", "Website")
    }
    objects = {name: Sobject(name, True, _FIELDS.get(name, people)) for name in OBJECTS}
    for name in ("EmailMessageRelation", "ContentVersion", *(() if email else ("EmailMessage",))):
        del objects[name]
    if not shared:
        fields = {name: spec for name, spec in objects["Task"].fields.items() if name != "TaskWhoIds"}
        objects["Task"] = Sobject("Task", True, fields)
    return Description(objects)


class Known(Descriptions):
    """The description is known already."""

    def __init__(self, known: Description | None = None) -> None:
        super().__init__()
        self.known = known or description()
        self.refreshed = 0

    def of(self, client: Client, *, fresh: bool = False) -> Description:
        self.refreshed += fresh
        return self.known


def mail(**changes: Any) -> Entry:
    """A received mail of nobody whom the CRM knows."""
    from datetime import UTC, datetime

    values: dict[str, Any] = {
        "key": "k1",
        "message_id": "<m1@acme.example>",
        "record": "email",
        "completed": True,
        "owner": "005000000000001AAA",
        "subject": "Offer",
        "date": datetime(2026, 11, 3, 10, 30, tzinfo=UTC),
        "incoming": True,
        "text": "text",
        "html": "<p>text</p>",
        "relations": (Relation("from", "laura@acme.example", "Laura", None),),
    }
    return Entry(**{**values, **changes})
