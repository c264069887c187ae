"""Salesforce for the contract suite: an organisation of its own in the sandbox, looked at through the REST API."""

from __future__ import annotations

import json
import re
import ssl
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from sync.model import RecordRef
from sync.ports import CrmProvider, Meter
from sync.providers.salesforce import auth
from sync.providers.salesforce.auth import JwtBearer, Login, http_session
from sync.providers.salesforce.crm import Salesforce
from sync.providers.salesforce.describe import Descriptions
from tests.contracts.crm_world import Activity, CountingMeter, FaultKind
from tests.sandboxed import Sandbox

DATA = "/services/data/v67.0"
CALLS = f"^{DATA}"  # the token endpoint is never struck
ANNA, BEN, ADMIN = "anna@northpeak.example", "ben@northpeak.example", "sync@northpeak.example"
ORGANISATION: dict[str, Any] = {
    "users": [
        {"key": "anna", "name": "Anna Lindqvist", "email": ANNA, "salesforce": ANNA},
        {"key": "ben", "name": "Ben Carter", "email": BEN, "salesforce": BEN},
    ],
    "salesforce": {
        "integration_user": {"key": "sync", "name": "Mailspan Sync", "email": ADMIN, "salesforce": ADMIN},
        "custom_objects": [
            {
                "name": "Project__c",
                "label": "Project",
                "plural": "Projects",
                "prefix": "a0P",
                "fields": [
                    {"name": "Budget__c", "type": "currency", "label": "Budget"},
                    {"name": "Phase_Status__c", "type": "picklist", "values": ["Idea", "Running", "Finished"]},
                    {"name": "Due__c", "type": "date", "label": "Due Date"},
                    {"name": "Account__c", "type": "reference", "to": ["Account"], "label": "Account"},
                ],
            },
            {"name": "Rate__c", "label": "Rate", "activities": False},
        ],
    },
}
KINDS = {
    "001": "account",
    "003": "contact",
    "005": "user",
    "006": "opportunity",
    "00Q": "lead",
    "500": "case",
    "a0P": "project__c",
}
OBJECTS = {
    "account": "Account",
    "contact": "Contact",
    "user": "User",
    "opportunity": "Opportunity",
    "lead": "Lead",
    "email": "EmailMessage",
    "task": "Task",
    "case": "Case",
    "project__c": "Project__c",
}
_SHARED = {"account": "AccountId", "contact": "ContactId", "owner": "OwnerId"}
ITEM_FIELDS: dict[str, dict[str, str]] = {
    "opportunity": {
        "title": "Name",
        "amount": "Amount",
        "status": "StageName",
        "due": "CloseDate",
        "next_step": "NextStep",
        **_SHARED,
    },
    "case": {"title": "Subject", "status": "Status", "escalated": "IsEscalated", **_SHARED},
    "project__c": {
        "title": "Name",
        "amount": "Budget__c",
        "status": "Phase_Status__c",
        "due": "Due__c",
        **_SHARED,
        "account": "Account__c",
    },
}
CLOSED = {"opportunity": "Closed Won", "case": "Closed", "project__c": "Finished"}
# what is compared of each object, but for what the service notes by itself and the ids of what it makes anew
SNAPSHOT: dict[str, frozenset[str]] = {
    **{
        name: frozenset[str]()
        for name in ("Account", "Contact", "Lead", "Opportunity", "Case", "Project__c", "OpportunityContactRole")
    },
    "EmailMessage": frozenset({"ActivityId"}),
    "EmailMessageRelation": frozenset(),
    "Task": frozenset({"Id", "CreatedDate"}),
    "TaskRelation": frozenset({"Id", "TaskId", "CreatedDate"}),
    "ContentDocument": frozenset(),
}
STAMPS = frozenset(
    {"attributes", "CompletedDateTime", "SystemModstamp", "LastModifiedDate", "LastModifiedById", "LastActivityDate",
     "LastViewedDate", "LastReferencedDate"}
)  # fmt: skip
EMAIL_FIELDS = {"account": "Email__c", "contact": "OtherEmail__c"}
NAMES = {"account": "Name", "contact": "LastName", "lead": "LastName"}
ROLES = {"FromAddress": "from", "ToAddress": "to", "CcAddress": "cc", "BccAddress": "bcc", "OtherAddress": "other"}
FIELDS = {
    "FirstName": "first_name",
    "LastName": "last_name",
    "Email": "email",
    "Company": "company",
    "Name": "name",
    "Website": "website",
    "OwnerId": "owner",
    "AccountId": "account",
}


class SalesforceWorld:
    """See `CrmWorld`."""

    name = "salesforce"

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._tls = ssl.create_default_context(cafile=sandbox.ca)
        self._numbers = count(1)
        self._ahead = 0.0
        auth.forget()
        sandbox.seed(ORGANISATION)
        users = {row["Username"]: row["Id"] for row in self._query("SELECT Id, Username FROM User")}
        self.anna = RecordRef("user", users[ANNA])
        self.ben = RecordRef("user", users[BEN])

    def crm(self, meter: Meter | None = None, *, extra_email_fields: Sequence[str] = ("auto",)) -> CrmProvider:
        given = self._sandbox.ready["salesforce"]
        key = Path(given["private_key"]).read_text()
        grant = JwtBearer(given["login_url"], given["consumer_key"], key, ANNA, clock=self._time)
        http = http_session(self._sandbox.ca)
        return Salesforce(
            Login(grant, http),
            http,
            meter or CountingMeter(),
            extra_email_fields=extra_email_fields,
            descriptions=Descriptions(self._time),
        )

    def _time(self) -> float:
        return time.time() + self._ahead

    # --- what is there

    def user(self, last_name: str, email: str, *, active: bool = True) -> RecordRef:
        key = f"user{next(self._numbers)}"
        name = f"{key}@northpeak.example"
        person = {"key": key, "name": f"New {last_name}", "email": email, "salesforce": name, "active": active}
        self._sandbox.seed({"users": [person]}, add=True)
        (row,) = self._query(f"SELECT Id FROM User WHERE Username = '{name}'")
        return RecordRef("user", row["Id"])

    def account(self, name: str, *, website: str = "", email: str = "") -> RecordRef:
        return self._create("account", Name=name, Website=website, Email__c=email)

    def contact(
        self, last_name: str, email: str = "", *, account: RecordRef | None = None, other_email: str = ""
    ) -> RecordRef:
        parent = account.id if account else ""
        return self._create("contact", LastName=last_name, Email=email, AccountId=parent, OtherEmail__c=other_email)

    def lead(self, last_name: str, email: str, *, converted: bool = False) -> RecordRef:
        record = self._create("lead", LastName=last_name, Email=email, Company="Acme Corp")
        if converted:
            made = self._act("convert_lead", id=record.id)
            self._act("delete", object="Contact", id=made["contact"])
        return record

    def opportunity(self, name: str) -> RecordRef:
        return self._create("opportunity", Name=name, StageName="Prospecting", CloseDate="2027-01-31")

    def item(self, kind: str, title: str, *, owner: RecordRef | None = None, **values: Any) -> RecordRef:
        given: dict[str, Any] = {"title": title, "owner": owner or self.anna}
        given |= {"status": "Prospecting", "due": "2027-01-31"} if kind == "opportunity" else {}
        given |= values
        made = self._act("create", object=OBJECTS[kind], fields=_item_fields(kind, given))
        return RecordRef(kind, made["id"])

    def edit(self, record: RecordRef, *, by: RecordRef | None = None, **values: Any) -> None:
        if values.pop("closed", False):
            values["status"] = CLOSED[record.kind]
        who = {"user": BEN if by == self.ben else ANNA} if by else {}
        self._act("edit", object=OBJECTS[record.kind], id=record.id, fields=_item_fields(record.kind, values), **who)

    def private(self) -> None:
        self._act("org", sharing="private")

    def share(self, record: RecordRef, user: RecordRef) -> None:
        self._act("share", id=record.id, user=ANNA if user == self.anna else BEN, access="Read")

    def team(self, record: RecordRef, user: RecordRef) -> None:
        self._act("org", team_selling=True)
        self._act("create", object="OpportunityTeamMember", fields={"OpportunityId": record.id, "UserId": user.id})

    def rule(self, kind: str, message: str) -> None:
        rule = {"object": OBJECTS[kind], "condition": "OwnerId != null", "message": message}
        self._act("customise", validation_rules=[rule])

    def foreign_mail(self, message_id: str, subject: str) -> RecordRef:
        fields = {"MessageIdentifier": message_id, "Subject": subject, "Status": "3", "Incoming": True}
        return RecordRef("email", self._act("create", object="EmailMessage", fields=fields)["id"])

    def log(self, subject: str, about: RecordRef) -> RecordRef:
        link = {"WhoId" if about.kind in ("contact", "lead") else "WhatId": about.id}
        made = self._act("create", object="Task", fields={"Subject": subject, **link}, user=BEN)
        return RecordRef("task", made["id"])

    def snapshot(self) -> Any:
        out: dict[str, list[str]] = {}
        for name, without in SNAPSHOT.items():
            rows = self._query(f"SELECT FIELDS(ALL) FROM {name} LIMIT 200", optional=True)
            plain = [{key: row[key] for key in sorted(row.keys() - without - STAMPS)} for row in rows]
            out[name] = sorted(json.dumps(row) for row in plain)
        return out

    def delete(self, record: RecordRef) -> None:
        self._act("delete", object=OBJECTS[record.kind], id=record.id)

    def task(self, subject: str, text: str) -> RecordRef:
        return self._create("task", Subject=subject, Description=text, TaskSubtype="Email")

    def _create(self, kind: str, **fields: str) -> RecordRef:
        given = {name: value for name, value in fields.items() if value}
        return RecordRef(kind, self._act("create", object=OBJECTS[kind], fields=given)["id"])

    # --- how the organisation is

    def switch(self, *, email_record: bool | None = None, shared_activities: bool | None = None) -> None:
        given = {"enhanced_email": email_record, "shared_activities": shared_activities}
        self._act("org", **{name: value for name, value in given.items() if value is not None})

    def email_field(self, kind: str) -> str:
        name = EMAIL_FIELDS[kind]
        self._custom_field(kind, {"name": name, "type": "email"})
        return name

    def duplicate_rule(self, kind: str) -> None:
        self._act("duplicate_rules", rules=[{"object": OBJECTS[kind], "fields": [NAMES[kind]], "action": "allow"}])

    def demand(self, kind: str) -> None:
        self._custom_field(kind, {"name": "Region__c", "type": "string", "required": True})

    def _custom_field(self, kind: str, field: Mapping[str, Any]) -> None:
        self._sandbox.seed({"users": [], "salesforce": {"custom_fields": {OBJECTS[kind]: [field]}}}, add=True)

    def lock(self, record: RecordRef, *, writes: int = 1) -> None:
        self._act("lock", target=record.id, count=writes)

    def fault(self, kind: FaultKind, *, retry_after: float | None = None, skip: int = 0) -> None:
        if kind in ("throttled", "down"):
            status = 429 if kind == "throttled" else 503
            self._sandbox.fault(
                "status", vendor="salesforce", path=CALLS, status=status, retry_after=retry_after, skip=skip
            )
        elif kind in ("reset", "lost"):
            self._sandbox.fault(kind, vendor="salesforce", path=CALLS, skip=skip)
        elif kind == "limit":
            self._act("limit_reached")
        else:
            if kind == "revoked":
                self._act("authorise", user=ANNA, on=False)
            self._act("end_sessions", user=ANNA)

    def advance(self, seconds: float) -> None:
        self._sandbox.advance(seconds)
        self._ahead += seconds

    def requests(self) -> int:
        return int(self._sandbox.meter().get("salesforce", {"units": 0})["units"])

    # --- what one sees

    def activities(self) -> Sequence[Activity]:
        mails = self._query("SELECT FIELDS(ALL) FROM EmailMessage ORDER BY CreatedDate, Id LIMIT 200", optional=True)
        automatic = {row["ActivityId"] for row in mails}
        tasks = self._query(
            "SELECT Id, Subject, Description, IsClosed, OwnerId, WhoId, WhatId FROM Task ORDER BY CreatedDate, Id"
        )
        ours = [row for row in tasks if row["Id"] not in automatic and "Message-ID: <" in (row["Description"] or "")]
        return [*map(self._mail, mails), *map(self._task, ours)]

    def count(self, kind: str) -> int:
        return len(self._query(f"SELECT Id FROM {OBJECTS[kind]}"))

    def fields(self, record: RecordRef) -> Mapping[str, str]:
        row = self._get(f"sobjects/{OBJECTS[record.kind]}/{record.id}")
        return {ours: row[theirs] for theirs, ours in FIELDS.items() if row.get(theirs)}

    def _mail(self, row: Mapping[str, Any]) -> Activity:
        relations = self._query(
            "SELECT RelationId, RelationType, RelationAddress FROM EmailMessageRelation "
            f"WHERE EmailMessageId = '{row['Id']}'"
        )
        known = {relation["RelationAddress"] for relation in relations}
        addresses = {
            role: frozenset(a for a in re.split(r"; ?", row[name] or "") if a and a not in known)
            for name, role in ROLES.items()
            if name in row
        }
        return Activity(
            RecordRef("email", row["Id"]),
            row["Subject"] or "",
            frozenset((ROLES[r["RelationType"]], _ref(r["RelationId"])) for r in relations if r["RelationId"]),
            addresses,
            frozenset({_ref(row["RelatedToId"])} if row["RelatedToId"] else ()),
            row["TextBody"] or "",
            row["HtmlBody"] or "",
            row["Incoming"],
            message_id=row["MessageIdentifier"],
            files=self._files(row["Id"]),
        )

    def _task(self, row: Mapping[str, Any]) -> Activity:
        shared = self._query(
            f"SELECT RelationId FROM TaskRelation WHERE TaskId = '{row['Id']}' AND IsWhat = false", optional=True
        )
        people = {relation["RelationId"] for relation in shared} | {row["WhoId"]}
        found = re.search(r"^Message-ID: (.*)$", row["Description"], re.MULTILINE)
        return Activity(
            RecordRef("task", row["Id"]),
            row["Subject"],
            frozenset(("who", _ref(person)) for person in people if person),
            items=frozenset({_ref(row["WhatId"])} if row["WhatId"] else ()),
            text=row["Description"],
            closed=row["IsClosed"],
            owner=_ref(row["OwnerId"]),
            message_id=found[1] if found else "",
            files=self._files(row["Id"]),
        )

    def _files(self, record: str) -> Mapping[str, bytes]:
        links = self._query(f"SELECT ContentDocumentId FROM ContentDocumentLink WHERE LinkedEntityId = '{record}'")
        out = {}
        for link in links:
            document = link["ContentDocumentId"]
            found = f"SELECT Id, PathOnClient FROM ContentVersion WHERE ContentDocumentId = '{document}'"
            (version,) = self._query(found)
            out[version["PathOnClient"]] = self._blob(f"sobjects/ContentVersion/{version['Id']}/VersionData")
        return out

    # --- the REST API, as another client of the administrator's uses it; not metered

    def _act(self, action: str, **body: Any) -> dict[str, Any]:
        return self._sandbox.act("salesforce", action, **body)

    def _blob(self, path: str) -> bytes:
        token = self._sandbox.token("salesforce", ADMIN)
        headers = {"Authorization": f"Bearer {token}", "X-Sandbox-Onlooker": "1"}
        url = path if path.startswith("/") else f"{DATA}/{path}"
        request = urllib.request.Request(self._sandbox.url("salesforce") + url, headers=headers)
        with urllib.request.urlopen(request, timeout=30, context=self._tls) as answer:
            content: bytes = answer.read()
        return content

    def _get(self, path: str) -> Any:
        return json.loads(self._blob(path))

    def _query(self, soql: str, *, optional: bool = False) -> list[dict[str, Any]]:
        """All rows; `optional`: none where the organisation does not have the object."""
        try:
            page = self._get(f"query?q={urllib.parse.quote(soql)}")
        except urllib.error.HTTPError as error:
            with error:
                if optional and b"INVALID_TYPE" in error.read():
                    return []
            raise
        rows = list(page["records"])
        while not page["done"]:
            page = self._get(page["nextRecordsUrl"])
            rows += page["records"]
        return rows


def _item_fields(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    names = ITEM_FIELDS[kind]
    return {names[name]: value.id if isinstance(value, RecordRef) else value for name, value in values.items()}


def _ref(record_id: str) -> RecordRef:
    return RecordRef(KINDS[record_id[:3]], record_id)
