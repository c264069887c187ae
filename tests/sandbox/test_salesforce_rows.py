"""Rows: what is required, refused, unique, deleted, shared (`providers.md` SF-1 to SF-5, SF-9 to SF-14, SF-24)."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.salesforce.ids import checksum, long_id
from tests.sandbox.salesforce_client import ADMIN, ANNA, BEN, Org


@pytest.mark.parametrize(
    ("sobject", "fields", "code", "about", "text"),
    [
        ("Contact", {}, "REQUIRED_FIELD_MISSING", ["LastName"], "Required fields are missing: [LastName]"),
        ("Lead", {"LastName": "x"}, "REQUIRED_FIELD_MISSING", ["Company"], "[Company]"),
        ("Opportunity", {"Name": "x"}, "REQUIRED_FIELD_MISSING", ["CloseDate", "StageName"], "[CloseDate, StageName]"),
        (
            "Contact",
            {"LastName": "x", "Nope": 1},
            "INVALID_FIELD",
            None,
            "No such column 'Nope' on sobject of type Contact",
        ),
        (
            "Task",
            {"IsClosed": True},
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            ["IsClosed"],
            "Unable to create/update fields: IsClosed.",
        ),
        ("Contact", {"LastName": "x" * 81}, "STRING_TOO_LONG", ["LastName"], "(max length=80)"),
        (
            "Contact",
            {"LastName": "x", "Email": "nobody"},
            "INVALID_EMAIL_ADDRESS",
            ["Email"],
            "invalid email address: nobody",
        ),
        (
            "Contact",
            {"LastName": "x", "Birthdate": "soon"},
            "JSON_PARSER_ERROR",
            None,
            "Cannot deserialize instance of date",
        ),
        ("Contact", {"LastName": 5}, "JSON_PARSER_ERROR", None, "Cannot deserialize instance of string"),
        ("EmailMessage", {"Status": "9"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", ["Status"], "bad value"),
        (
            "Contact",
            {"LastName": "x", "AccountId": "@jane"},
            "FIELD_INTEGRITY_EXCEPTION",
            ["AccountId"],
            "id value of incorrect type",
        ),
        (
            "Contact",
            {"LastName": "x", "AccountId": "what"},
            "MALFORMED_ID",
            ["AccountId"],
            "id value of incorrect type: what",
        ),
        ("Contact", {"LastName": "x", "Id": "003"}, "INVALID_FIELD", None, "The Id field should not be specified"),
        ("OpportunityContactRole", {"OpportunityId": "@deal"}, "REQUIRED_FIELD_MISSING", ["ContactId"], "[ContactId]"),
    ],
)
def test_refused_values(
    org: Org, sobject: str, fields: dict[str, Any], code: str, about: list[str] | None, text: str
) -> None:
    org.nonsense()
    given = {k: org.ids[v[1:]] if str(v).startswith("@") else v for k, v in fields.items()}
    error = org.refused("POST", f"sobjects/{sobject}", given)
    assert (error["errorCode"], error.get("fields")) == (code, about)
    assert text in error["message"]
    assert org.query(f"SELECT COUNT() FROM {sobject}")["totalSize"] == org.vendor.state().get(sobject, 0)


def test_create_only_fields_are_refused_on_update(org: Org) -> None:
    task = org.create("Task", Subject="x", TaskSubtype="Call")
    org.nonsense()
    error = org.refused("PATCH", f"sobjects/Task/{task}", {"TaskSubtype": "Email"})
    assert (error["errorCode"], error["fields"]) == ("INVALID_FIELD_FOR_INSERT_UPDATE", ["TaskSubtype"])


def test_ids() -> None:
    assert checksum("001A0000006Vm9r") == "IAC"
    assert long_id("001A0000006Vm9r") == long_id("001a0000006vm9riac") == "001A0000006Vm9rIAC"
    assert long_id("001A0000006Vm9rIAD") is None
    assert long_id("nonsense") is None


def test_prefixes_and_both_forms_of_ids(org: Org) -> None:
    contact = org.create("Contact", LastName="x", AccountId=org.ids["acme"][:15])
    assert contact.startswith("003")
    status, row = org.call("GET", f"sobjects/Contact/{contact[:15]}")
    assert (status, row["Id"], row["AccountId"]) == (200, contact, org.ids["acme"])
    assert org.create("Project__c", Name="x").startswith("a01")


def test_values_are_stored_as_salesforce_does(org: Org) -> None:
    contact = org.create("Contact", FirstName=" Zoë ", LastName="Åström", Email="ZOE@Acme.Example", Title="",
                         MailingCity="Umeå", EmailBouncedDate="2026-03-01T10:00:00+02:00")  # fmt: skip
    row = org.call("GET", f"sobjects/Contact/{contact}")[1]
    assert (row["Name"], row["Email"], row["Title"]) == ("Zoë Åström", "zoe@acme.example", None)
    assert row["MailingAddress"]["city"] == "Umeå"
    assert row["EmailBouncedDate"] == "2026-03-01T08:00:00.000+0000"
    assert (row["OwnerId"], row["CreatedById"]) == (org.ids["anna"], org.ids["anna"])
    part = org.call("GET", f"sobjects/Contact/{contact}", params={"fields": "Name,AccountId"})[1]
    assert set(part) == {"attributes", "Name", "AccountId"}


def test_describe_has_the_flags_and_follows_the_switches(org: Org) -> None:
    status, task = org.call("GET", "sobjects/Task/describe")
    fields = {f["name"]: f for f in task["fields"]}
    assert (status, task["keyPrefix"], task["createable"]) == (200, "00T", True)
    assert fields["WhoId"]["referenceTo"] == ["Contact", "Lead"]
    assert fields["WhoId"]["polymorphicForeignKey"] is True
    assert "Project__c" in fields["WhatId"]["referenceTo"]
    assert [v["value"] for v in fields["Status"]["picklistValues"] if v["defaultValue"]] == ["Not Started"]
    assert (fields["TaskSubtype"]["createable"], fields["TaskSubtype"]["updateable"]) == (True, False)
    assert fields["Description"]["filterable"] is False
    assert {c["relationshipName"] for c in task["childRelationships"]} >= {"TaskRelations"}
    contact = {f["name"]: f for f in org.call("GET", "sobjects/Contact/describe")[1]["fields"]}
    assert (contact["Email_2__c"]["type"], contact["Email_2__c"]["custom"]) == ("email", True)
    assert contact["Ext__c"]["externalId"] is True
    assert contact["Ext__c"]["unique"] is True
    org.act("org", shared_activities=False, enhanced_email=False)
    names = [o["name"] for o in org.call("GET", "sobjects")[1]["sobjects"]]
    assert "Task" in names
    assert not {"TaskRelation", "EmailMessage"} & set(names)
    assert "TaskWhoIds" not in {f["name"] for f in org.call("GET", "sobjects/Task/describe")[1]["fields"]}
    org.nonsense()
    assert org.refused("POST", "sobjects/EmailMessage", {"Status": "3"}, 404)["errorCode"] == "NOT_FOUND"


def test_unchanged_descriptions_are_not_sent_again(org: Org) -> None:
    org.call("GET", "sobjects/Contact/describe")
    assert org.last is not None
    since = {"If-Modified-Since": org.last.headers["Last-Modified"]}
    assert org.call("GET", "sobjects/Contact/describe", headers=since) == (304, b"")
    org.frame.clock.advance(60)
    org.act("org", shared_activities=False)
    assert org.call("GET", "sobjects/Contact/describe", headers=since)[0] == 200


def test_rows_are_sent_and_changed_on_condition(org: Org) -> None:
    path = f"sobjects/Contact/{org.ids['jane']}"
    past, future = "Thu, 01 Jan 2026 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
    assert org.call("GET", path, headers={"If-Modified-Since": future})[0] == 304
    assert org.call("PATCH", path, {"Title": "x"}, headers={"If-Unmodified-Since": past})[0] == 412
    assert org.call("PATCH", path, {"Title": "x"}, headers={"If-Unmodified-Since": future})[0] == 204


def test_a_unique_value_is_taken_once_and_the_error_names_the_record(org: Org) -> None:
    first = org.create("Contact", LastName="a", Ext__c="K-1")
    error = org.refused("POST", "sobjects/Contact", {"LastName": "b", "Ext__c": "k-1"})
    assert error == {"errorCode": "DUPLICATE_VALUE", "fields": [], "message":
                     f"duplicate value found: Ext__c duplicates value on record with id: {first[:15]}"}  # fmt: skip


def test_upsert(org: Org) -> None:
    status, made = org.call("PATCH", "sobjects/Contact/Ext__c/A%2F1", {"LastName": "a"})
    assert (status, made["created"]) == (201, True)
    status, again = org.call("PATCH", "sobjects/Contact/Ext__c/A%2F1", {"LastName": "b"})
    assert (status, again["created"], again["id"]) == (200, False, made["id"])
    for _ in range(2):
        org.create("Contact", LastName="c", Loose__c="same")
    status, several = org.call("PATCH", "sobjects/Contact/Loose__c/same", {"LastName": "d"})
    assert status == 300
    assert len(several) == 2
    assert several[0].startswith(f"{org.base}/sobjects/Contact/003")
    parent = org.create("Contact", LastName="e", ReportsTo={"Ext__c": "A/1"})
    assert org.call("GET", f"sobjects/Contact/{parent}")[1]["ReportsToId"] == made["id"]
    org.nonsense()
    error = org.refused("PATCH", "sobjects/Contact/Title/x", {"LastName": "a"}, 404)
    assert error["message"] == "Provided external ID field does not exist or is not accessible: Title"
    assert org.refused("PATCH", "sobjects/Contact/Ext__c/B", {"Ext__c": "B"})["errorCode"] == "INVALID_FIELD"


@pytest.mark.parametrize(("action", "insisted"), [("allow", 201), ("block", 400)])
def test_duplicate_rules(org: Org, action: str, insisted: int) -> None:
    org.act("duplicate_rules", rules=[{"object": "Contact", "fields": ["Email"], "action": action}])
    twin = {"LastName": "Doe", "Email": "JANE.DOE@acme.example"}
    error = org.refused("POST", "sobjects/Contact", twin)
    assert error["errorCode"] == "DUPLICATES_DETECTED"
    result = error["duplicateResult"]
    assert result["allowSave"] is (action == "allow")
    assert [m["record"]["Id"] for m in result["matchResults"][0]["matchRecords"]] == [org.ids["jane"]]
    header = {"Sforce-Duplicate-Rule-Header": "allowSave=true; includeRecordDetails=false; runAsCurrentUser=true"}
    assert org.call("POST", "sobjects/Contact", twin, headers=header)[0] == insisted
    assert org.call("POST", "sobjects/Contact", {"LastName": "Other", "Email": "new@acme.example"})[0] == 201


def test_locked_rows(org: Org) -> None:
    org.act("lock", target=org.ids["jane"], count=2)
    error = org.refused("PATCH", f"sobjects/Contact/{org.ids['jane']}", {"Title": "x"})
    assert error["errorCode"] == "UNABLE_TO_LOCK_ROW"
    assert error["message"] == f"unable to obtain exclusive access to this record or 1 records: {org.ids['jane']}"
    assert org.call("PATCH", f"sobjects/Contact/{org.ids['max']}", {"Title": "x"})[0] == 204
    records = [{"attributes": {"type": "Contact"}, "id": org.ids[k], "Title": "y"} for k in ("jane", "max")]
    results = org.call("PATCH", "composite/sobjects", {"records": records})[1]
    assert [r["success"] for r in results] == [False, True]
    assert results[0]["errors"][0]["statusCode"] == "UNABLE_TO_LOCK_ROW"
    assert org.call("PATCH", f"sobjects/Contact/{org.ids['jane']}", {"Title": "x"})[0] == 204


def test_modstamp_moves_with_every_change_and_rows_may_appear_late(org: Org) -> None:
    before = org.one(f"SELECT SystemModstamp FROM Contact WHERE Id = '{org.ids['jane']}'")["SystemModstamp"]
    org.frame.clock.advance(10)
    org.act("edit", user=BEN, object="Contact", id=org.ids["jane"], fields={"Title": "x"})
    row = org.one(f"SELECT SystemModstamp, LastModifiedById FROM Contact WHERE Id = '{org.ids['jane']}'")
    assert row["SystemModstamp"] > before
    assert row["LastModifiedById"] == org.ids["ben"]
    org.act("late", object="Contact", count=1, seconds=240)
    late = org.act("create", object="Contact", fields={"LastName": "Late"})["id"]
    assert org.rows(f"SELECT Id FROM Contact WHERE Id = '{late}'") == []
    assert org.call("GET", f"sobjects/Contact/{late}")[0] == 404
    org.frame.clock.advance(241)
    org.create("Contact", LastName="Later")
    found = org.rows("SELECT LastName FROM Contact ORDER BY SystemModstamp DESC, CreatedDate DESC LIMIT 2")
    assert [r["LastName"] for r in found] == ["Later", "Late"]


def test_deleted_rows(org: Org) -> None:
    jane = org.ids["jane"]
    org.call("DELETE", f"sobjects/Case/{org.ids['case']}")
    assert org.call("DELETE", f"sobjects/Contact/{jane}") == (204, b"")
    assert org.rows(f"SELECT Id FROM Contact WHERE Id = '{jane}'") == []
    assert org.one(f"SELECT IsDeleted FROM Contact WHERE Id = '{jane}'", "queryAll")["IsDeleted"] is True
    assert org.refused("PATCH", f"sobjects/Contact/{jane}", {"Title": "x"}, 404)["errorCode"] == "ENTITY_IS_DELETED"
    assert org.refused("DELETE", f"sobjects/Contact/{jane}", status=404)["errorCode"] == "ENTITY_IS_DELETED"
    assert org.call("GET", f"sobjects/Contact/{jane}")[0] == 404
    org.act("undelete", object="Contact", id=jane)
    assert org.call("GET", f"sobjects/Contact/{jane}")[0] == 200
    org.call("DELETE", f"sobjects/Contact/{jane}")
    org.frame.clock.advance(15 * 86400 + 1)
    assert org.rows(f"SELECT Id FROM Contact WHERE Id = '{jane}'", "queryAll") == []
    org.act("purge", object="Contact", id=org.ids["max"])
    assert org.rows("SELECT Id FROM Contact", "queryAll") == []


def test_an_account_takes_its_contacts_with_it_and_brings_them_back(org: Org) -> None:
    org.call("DELETE", f"sobjects/Case/{org.ids['case']}")
    org.call("DELETE", f"sobjects/Account/{org.ids['acme']}")
    assert org.rows("SELECT Name FROM Contact") == [{"Name": "Max Muster"}]
    org.act("undelete", object="Account", id=org.ids["acme"])
    assert len(org.rows("SELECT Name FROM Contact")) == 2


def test_sharing_and_authors_follow_the_user(org: Org) -> None:
    org.act("org", sharing="private")
    org.user = BEN
    assert [r["Name"] for r in org.rows("SELECT Name FROM Account")] == ["Globex"]
    assert org.call("GET", f"sobjects/Account/{org.ids['acme']}")[0] == 404
    assert org.call("PATCH", f"sobjects/Account/{org.ids['acme']}", {"Site": "x"})[0] == 403
    mine = org.create("Account", Name="Mine")
    org.user = ADMIN
    assert len(org.rows("SELECT Name FROM Account")) == 3
    assert org.call("GET", f"sobjects/Account/{mine}")[1]["CreatedById"] == org.ids["ben"]
    org.user = ANNA
    assert [r["Name"] for r in org.rows("SELECT Name FROM Account")] == ["Acme Corp"]


def test_a_converted_lead_is_closed_for_good(org: Org) -> None:
    made = org.act("convert_lead", id=org.ids["lee"], opportunity="Deal")
    row = org.one("SELECT IsConverted, ConvertedContactId, ConvertedAccountId FROM Lead")
    assert (row["IsConverted"], row["ConvertedContactId"]) == (True, made["contact"])
    contact = org.call("GET", f"sobjects/Contact/{made['contact']}")[1]
    assert (contact["Email"], contact["AccountId"]) == ("lee@initech.example", made["account"])
    error = org.refused("PATCH", f"sobjects/Lead/{org.ids['lee']}", {"Title": "x"})
    assert error["errorCode"] == "CANNOT_UPDATE_CONVERTED_LEAD"


def test_a_merge_moves_what_refers_to_the_loser(org: Org) -> None:
    task = org.create("Task", Subject="x", WhoId=org.ids["max"])
    org.act("merge", object="Contact", master=org.ids["jane"], losers=[org.ids["max"]])
    assert org.one(f"SELECT WhoId FROM Task WHERE Id = '{task}'")["WhoId"] == org.ids["jane"]
    gone = org.one(f"SELECT IsDeleted, MasterRecordId FROM Contact WHERE Id = '{org.ids['max']}'", "queryAll")
    assert gone == {"IsDeleted": True, "MasterRecordId": org.ids["jane"]}


def test_stages_and_statuses_decide(org: Org) -> None:
    org.call("PATCH", f"sobjects/Opportunity/{org.ids['deal']}", {"StageName": "Closed Won"})
    deal = org.one("SELECT IsClosed, IsWon, Probability, ExpectedRevenue FROM Opportunity")
    assert deal == {"IsClosed": True, "IsWon": True, "Probability": 100.0, "ExpectedRevenue": 120000.0}
    case = org.one("SELECT CaseNumber, ContactEmail, AccountId, IsClosed FROM Case")
    assert (case["ContactEmail"], case["AccountId"], case["IsClosed"]) == (
        "jane.doe@acme.example",
        org.ids["acme"],
        False,
    )
    assert org.rows("SELECT ApiName FROM TaskStatus WHERE IsClosed = true") == [{"ApiName": "Completed"}]


def test_paths_that_do_not_exist(org: Org) -> None:
    org.nonsense()
    for path in ("sobjects/Nope", "nope", f"sobjects/Contact/{org.ids['acme']}", "sobjects/Contact/nonsense"):
        assert org.refused("GET", path, status=404)["errorCode"] == "NOT_FOUND"
    assert org.refused("PUT", "sobjects/Contact", {}, 405)["errorCode"] == "METHOD_NOT_ALLOWED"
    assert org.refused("GET", "sobjects/Contact/updated", status=501)["errorCode"] == "NOT_IMPLEMENTED"
    assert org.refused("GET", "/services/data/v30.0/limits", status=410)["errorCode"] == "GONE"
    assert org.refused("GET", "/services/data/v58.0/limits", status=501)["errorCode"] == "NOT_IMPLEMENTED"
    assert org.refused("GET", "/services/data/v99.0/limits", status=404)["errorCode"] == "NOT_FOUND"
    for version in ("59.0", "68.0"):
        assert org.call("GET", f"/services/data/v{version}/limits")[0] == 200
