"""E-mails, their automatic Task, relations and files (`providers.md` 5.3, SF-16, SF-17)."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from tests.sandbox.salesforce_client import Org

ID = "<1@acme.example>"


def mail(org: Org, **more: Any) -> str:
    body = {"Subject": "Offer", "Status": "3", "Incoming": True, "FromAddress": "jane.doe@acme.example",
            "MessageIdentifier": ID, "MessageDate": "2026-11-20T08:15:00Z", "TextBody": "Hello", **more}  # fmt: skip
    return org.create("EmailMessage", **body)


def task_of(org: Org, email: str) -> dict[str, Any]:
    found = org.one(f"SELECT ActivityId FROM EmailMessage WHERE Id = '{email}'")["ActivityId"]
    assert found is not None
    return dict(org.call("GET", f"sobjects/Task/{found}")[1])


def test_an_email_brings_a_closed_task(org: Org) -> None:
    email = mail(org, RelatedToId=org.ids["deal"], ToIds=[org.ids["jane"], org.ids["max"]])
    task = task_of(org, email)
    assert (task["TaskSubtype"], task["Status"], task["IsClosed"]) == ("Email", "Completed", True)
    assert (task["Subject"], task["ActivityDate"]) == ("Email: Offer", "2026-11-20")
    assert (task["WhatId"], task["WhoId"]) == (org.ids["deal"], org.ids["jane"])
    assert task["TaskWhoIds"] == [org.ids["jane"], org.ids["max"]]
    assert (task["OwnerId"], task["AccountId"]) == (org.ids["anna"], org.ids["acme"])
    assert task["Description"].endswith("Body:\nHello")


def test_found_by_message_id_which_is_not_unique(org: Org) -> None:
    first, second = mail(org), mail(org)
    rows = org.rows(f"SELECT Id FROM EmailMessage WHERE MessageIdentifier IN ('{ID}') ORDER BY Id")
    assert [r["Id"] for r in rows] == sorted([first, second])


def test_people_become_relations(org: Org) -> None:
    email = mail(org, Incoming=False, ToIds=[org.ids["jane"]], CcIds=[org.ids["lee"]], BccIds=[org.ids["ben"]],
                 ToAddress="stranger@nowhere.example", FromId=org.ids["anna"])  # fmt: skip
    rows = org.rows("SELECT RelationType, RelationId, RelationAddress, RelationObjectType FROM EmailMessageRelation "
                    f"WHERE EmailMessageId = '{email}' ORDER BY RelationType")  # fmt: skip
    assert [(r["RelationType"], r["RelationObjectType"]) for r in rows] == [
        ("BccAddress", "User"), ("CcAddress", "Lead"), ("FromAddress", "User"), ("ToAddress", "Contact")]  # fmt: skip
    assert rows[3]["RelationAddress"] == "jane.doe@acme.example"
    row = org.call("GET", f"sobjects/EmailMessage/{email}")[1]
    assert row["ToIds"] == [org.ids["jane"]]
    assert row["ToAddress"] == "jane.doe@acme.example; stranger@nowhere.example"


def test_a_sender_related_afterwards_reaches_the_task(org: Org) -> None:
    email = mail(org, IsClientManaged=True)
    assert task_of(org, email)["WhoId"] is None
    org.create("EmailMessageRelation", EmailMessageId=email, RelationId=org.ids["jane"], RelationType="FromAddress",
               RelationAddress="jane.doe@acme.example")  # fmt: skip
    assert task_of(org, email)["TaskWhoIds"] == [org.ids["jane"]]


def test_a_lead_is_named_only_where_nothing_else_is(org: Org) -> None:
    assert task_of(org, mail(org, ToIds=[org.ids["lee"]]))["WhoId"] == org.ids["lee"]
    assert task_of(org, mail(org, ToIds=[org.ids["lee"]], RelatedToId=org.ids["deal"]))["WhoId"] is None


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"Status": "1"}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"Status": "0", "Incoming": True}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"Status": "3", "ActivityId": "@task"}, "INSUFFICIENT_ACCESS_OR_READONLY"),
        ({"Status": "3", "ParentId": "@case", "RelatedToId": "@deal"}, "FIELD_INTEGRITY_EXCEPTION"),
        ({"Subject": "x"}, "REQUIRED_FIELD_MISSING"),
    ],
)
def test_refused_emails(org: Org, fields: dict[str, Any], code: str) -> None:
    ids = {**org.ids, "task": org.create("Task", Subject="x")}
    org.nonsense()
    given = {k: ids[v[1:]] if isinstance(v, str) and v.startswith("@") else v for k, v in fields.items()}
    assert org.refused("POST", "sobjects/EmailMessage", given)["errorCode"] == code


def test_an_email_on_a_case(org: Org) -> None:
    email = mail(org, ParentId=org.ids["case"], Status="0")
    row = org.call("GET", f"sobjects/EmailMessage/{email}")[1]
    assert (row["RelatedToId"], row["ActivityId"]) == (org.ids["case"], None)
    assert org.call("PATCH", f"sobjects/EmailMessage/{email}", {"Status": "1"})[0] == 204
    assert org.one("SELECT (SELECT Subject FROM EmailMessages) FROM Case")["EmailMessages"]["totalSize"] == 1


def test_a_sent_email_is_immutable(org: Org) -> None:
    email = mail(org)
    error = org.refused("PATCH", f"sobjects/EmailMessage/{email}", {"Subject": "Other"})
    assert error["errorCode"] == "INSUFFICIENT_ACCESS_OR_READONLY"
    assert org.refused("PATCH", f"sobjects/EmailMessage/{email}", {"RelatedToId": org.ids["deal"]})["errorCode"] == (
        "INSUFFICIENT_ACCESS_OR_READONLY")  # fmt: skip


def test_a_client_managed_one_moves_and_gets_another_task(org: Org) -> None:
    email = mail(org, IsClientManaged=True, ToIds=[org.ids["jane"]])
    before = task_of(org, email)
    assert org.call("PATCH", f"sobjects/EmailMessage/{email}", {"RelatedToId": org.ids["deal"]})[0] == 204
    after = task_of(org, email)
    assert after["Id"] != before["Id"]
    assert (after["WhatId"], after["WhoId"]) == (org.ids["deal"], org.ids["jane"])
    assert org.call("GET", f"sobjects/Task/{before['Id']}")[0] == 404
    org.frame.settings["salesforce_replace_task"] = False
    org.call("PATCH", f"sobjects/EmailMessage/{email}", {"RelatedToId": org.ids["acme"]})
    assert task_of(org, email)["Id"] == after["Id"]


def test_html_gives_the_text(org: Org) -> None:
    html = "<html><head><style>p {}</style></head><body><p>Dear J&ouml;rg,</p>see<br>below</body></html>"
    email = org.create("EmailMessage", Status="3", HtmlBody=html)
    assert org.call("GET", f"sobjects/EmailMessage/{email}")[1]["TextBody"] == "Dear Jörg,\nsee\nbelow"


def test_deleting_an_email_takes_task_and_relations(org: Org) -> None:
    email = mail(org, ToIds=[org.ids["jane"]])
    org.call("DELETE", f"sobjects/EmailMessage/{email}")
    assert org.rows("SELECT Id FROM Task WHERE TaskSubtype = 'Email'") == []
    assert org.rows("SELECT Id FROM EmailMessageRelation") == []


def test_files(org: Org) -> None:
    email, data = mail(org, IsClientManaged=True), b"a,b\n1,2\n"
    version = org.create("ContentVersion", Title="Prices", PathOnClient="prices.csv", FirstPublishLocationId=email,
                         VersionData=base64.b64encode(data).decode())  # fmt: skip
    row = org.call("GET", f"sobjects/ContentVersion/{version}")[1]
    assert (row["FileExtension"], row["ContentSize"], row["IsLatest"]) == ("csv", len(data), True)
    assert row["Checksum"] == hashlib.md5(data).hexdigest()
    assert org.call("GET", row["VersionData"])[1] == data
    links = org.rows("SELECT LinkedEntityId, ShareType FROM ContentDocumentLink WHERE ContentDocumentId = "
                     f"'{row['ContentDocumentId']}' ORDER BY ShareType")  # fmt: skip
    assert [(r["LinkedEntityId"], r["ShareType"]) for r in links] == [(org.ids["anna"], "I"), (email, "V")]
    assert org.one(f"SELECT HasAttachment FROM EmailMessage WHERE Id = '{email}'")["HasAttachment"] is True
    other = mail(org, IsClientManaged=True, ContentDocumentIds=[row["ContentDocumentId"]])
    assert org.call("GET", f"sobjects/EmailMessage/{other}")[1]["ContentDocumentIds"] == [row["ContentDocumentId"]]


def test_a_plain_sent_email_takes_no_file(org: Org) -> None:
    body = {"Title": "x", "PathOnClient": "x.txt", "VersionData": "eA==", "FirstPublishLocationId": mail(org)}
    assert org.refused("POST", "sobjects/ContentVersion", body)["errorCode"] == "INSUFFICIENT_ACCESS_OR_READONLY"
    assert org.rows("SELECT Id FROM ContentDocument") == []
