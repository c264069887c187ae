"""The real simple-salesforce against the simulator, and the frame's faults on its port (`providers.md` 7.4)."""

from __future__ import annotations

import pytest
import requests
from simple_salesforce import Salesforce, format_soql
from simple_salesforce.exceptions import SalesforceExpiredSession, SalesforceMalformedRequest

from tests.sandbox.salesforce_client import ANNA, Org


def client(org: Org, session_id: str | None = None) -> Salesforce:
    token = session_id or org.vendor.tokens()[ANNA]
    return Salesforce(session_id=token, instance_url=org.url, session=org.http, version="67.0")


def test_rows_queries_and_describe(org: Org) -> None:
    salesforce = client(org)
    made = salesforce.Contact.create({"LastName": "Person", "Email": "p@acme.example", "AccountId": org.ids["acme"]})
    assert salesforce.Contact.get(made["id"])["Name"] == "Person"
    assert salesforce.Contact.update(made["id"], {"Title": "CEO"}) == 204
    assert salesforce.Contact.upsert("Ext__c/k 1", {"LastName": "Upserted"}) == 201
    found = salesforce.query_all(format_soql("SELECT Name FROM Contact WHERE Email IN {}", ["P@acme.example"]))
    assert [r["Name"] for r in found["records"]] == ["Person"]
    assert salesforce.api_usage["api-usage"].total == 120000
    assert salesforce.Contact.describe()["keyPrefix"] == "003"
    assert salesforce.Contact.delete(made["id"]) == 204
    gone = salesforce.query_all_iter("SELECT Name FROM Contact WHERE IsDeleted = true", include_deleted=True)
    assert [r["Name"] for r in gone] == ["Person"]


def test_pages_of_query_all(org: Org) -> None:
    org.frame.settings["page_size"] = 1
    salesforce = client(org)
    assert len(list(salesforce.query_all_iter("SELECT Id FROM Contact"))) == 2
    salesforce.Case.delete(org.ids["case"])
    salesforce.Contact.delete(org.ids["jane"])
    assert len(list(salesforce.query_all_iter("SELECT Id FROM Contact", include_deleted=True))) == 2


def test_composite_goes_through_restful(org: Org) -> None:
    node = {
        "method": "POST",
        "url": f"{org.base}/sobjects/Task",
        "referenceId": "t",
        "body": {"WhoId": org.ids["jane"]},
    }
    body = {"graphs": [{"graphId": "1", "compositeRequest": [node]}]}
    answer = client(org).restful("composite/graph", method="POST", json=body)
    assert answer["graphs"][0]["isSuccessful"] is True


def test_errors_become_its_exceptions(org: Org) -> None:
    org.nonsense()
    with pytest.raises(SalesforceMalformedRequest, match="REQUIRED_FIELD_MISSING"):
        client(org).Contact.create({"FirstName": "x"})
    with pytest.raises(SalesforceExpiredSession):
        client(org, "nonsense").query("SELECT Id FROM Contact")
    with pytest.raises(SalesforceMalformedRequest, match="MALFORMED_QUERY"):
        client(org).query(format_soql("SELECT Id FROM Contact WHERE Email IN {}", []))


def test_an_effect_may_be_done_and_its_answer_lost(org: Org) -> None:
    org.frame.faults.add({"kind": "lost", "vendor": "salesforce", "method": "POST"})
    with pytest.raises(requests.ConnectionError):
        org.call("POST", "sobjects/Contact", {"LastName": "Once"})
    assert len(org.rows("SELECT Id FROM Contact WHERE LastName = 'Once'")) == 1
    org.frame.faults.add({"kind": "status", "vendor": "salesforce", "status": 503, "user": ANNA, "retry_after": 2})
    assert org.refused("GET", "limits", status=503)["errorCode"] == "SERVER_UNAVAILABLE"
    assert org.last is not None
    assert org.last.headers["Retry-After"] == "2"


def test_the_control_side_refuses_what_it_does_not_know(org: Org) -> None:
    with pytest.raises(LookupError, match="no action 'fly'"):
        org.act("fly")
    with pytest.raises(LookupError):
        org.act("edit", object="Contact", id="003gK0000000000AAA", fields={})
    with pytest.raises(ValueError, match="No such column"):
        org.act("create", object="Contact", fields={"Nope": 1})
    with pytest.raises(ValueError, match="fields is required"):
        org.act("create", object="Contact")
    records = org.act("records", object="Contact", where={"email": "JANE.DOE@acme.example"})["records"]
    assert [r["Id"] for r in records] == [org.ids["jane"]]


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ({"records": {"Nope": [{"Name": "x"}]}}, "Nope, which is no object"),
        ({"records": {"Account": [{"Nope": "x"}]}}, "Account has no field Nope"),
        ({"records": {"Account": [{"Name": "x", "OwnerId": "@nobody"}]}}, "refers to unknown nobody"),
        ({"records": {"Contact": [{"FirstName": "x"}]}}, "REQUIRED_FIELD_MISSING"),
        ({"custom_fields": {"Nope": []}}, "custom_fields of Nope"),
    ],
)
def test_a_wrong_organisation_is_refused_whole(org: Org, part: dict[str, object], text: str) -> None:
    before = org.vendor.state()
    with pytest.raises(ValueError, match=text):
        org.vendor.seed({"users": [{"key": "new", "name": "New User", "salesforce": "new@x.example"}],
                         "salesforce": {"org": {}, **part}}, None)  # fmt: skip
    assert org.vendor.state() == before
