"""Items: custom objects by describe, opportunities, cases, quotes, validation rules, deletions (`providers.md` 5)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.salesforce_client import ADMIN, ANNA, BEN, Org

TICKET: dict[str, Any] = {
    "name": "Ticket__c", "label": "Ticket", "plural": "Tickets", "auto_number": "T-{0000}", "fields": [
        {"name": "Status__c", "type": "picklist", "values": ["Open", "Closed"], "default": "Open", "required": True},
        {"name": "Place__c", "type": "string", "length": 40, "required": True},
        {"name": "Colour__c", "type": "string", "length": 10, "required": True, "default": "red"},
        {"name": "Budget__c", "type": "currency"},
        {"name": "Due__c", "type": "date"},
        {"name": "Account__c", "type": "reference", "to": ["Account"]},
        {"name": "Contact__c", "type": "reference", "to": ["Contact"], "label": "Main Contact"},
    ]}  # fmt: skip


@pytest.fixture
def tickets(org: Org) -> Org:
    org.act("customise", custom_objects=[TICKET])
    return org


def fields_of(org: Org, name: str) -> dict[str, dict[str, Any]]:
    status, body = org.call("GET", f"sobjects/{name}/describe")
    assert status == 200
    return {f["name"]: f for f in body["fields"]}


# ---- custom objects ----------------------------------------------------------------------------


def test_a_custom_object_is_in_both_describes(tickets: Org) -> None:
    everything = {o["name"]: o for o in tickets.call("GET", "sobjects")[1]["sobjects"]}
    ticket = everything["Ticket__c"]
    assert (ticket["label"], ticket["labelPlural"], ticket["custom"]) == ("Ticket", "Tickets", True)
    assert ticket["createable"]
    assert ticket["queryable"]
    assert ticket["deletable"]
    assert ticket["updateable"]
    assert ticket["keyPrefix"] not in (None, everything["Project__c"]["keyPrefix"])
    fields = fields_of(tickets, "Ticket__c")
    name, place, colour = fields["Name"], fields["Place__c"], fields["Colour__c"]
    assert (name["autoNumber"], name["createable"], name["nameField"]) == (True, False, True)
    assert (place["nillable"], place["defaultedOnCreate"], place["length"]) == (False, False, 40)
    assert (colour["nillable"], colour["defaultedOnCreate"], colour["defaultValueFormula"]) == (False, True, '"red"')
    status = fields["Status__c"]
    assert [(v["value"], v["defaultValue"]) for v in status["picklistValues"]] == [("Open", True), ("Closed", False)]
    assert status["restrictedPicklist"]
    assert status["soapType"] == "xsd:string"
    account = fields["Account__c"]
    assert (account["referenceTo"], account["relationshipName"]) == (["Account"], "Account__r")
    assert (fields["Budget__c"]["type"], fields["Budget__c"]["soapType"]) == ("currency", "xsd:double")
    assert fields["Contact__c"]["label"] == "Main Contact"
    assert fields["OwnerId"]["referenceTo"] == ["Group", "User"]
    assert not fields["LastActivityDate"]["createable"]


def test_a_new_object_changes_describe_at_once(org: Org) -> None:
    org.frame.clock.advance(60)
    _, _ = org.call("GET", "sobjects")
    assert org.last is not None
    since = {"If-Modified-Since": org.last.headers["Last-Modified"]}
    assert org.call("GET", "sobjects", headers=since)[0] == 304
    org.frame.clock.advance(60)
    org.act("customise", custom_objects=[TICKET])
    assert org.call("GET", "sobjects", headers=since)[0] == 200


def test_rows_of_a_custom_object(tickets: Org) -> None:
    error = tickets.refused("POST", "sobjects/Ticket__c", {"Account__c": tickets.ids["acme"]})
    assert (error["errorCode"], error["fields"]) == ("REQUIRED_FIELD_MISSING", ["Place__c"])
    bad = tickets.refused("POST", "sobjects/Ticket__c", {"Place__c": "x", "Status__c": "Nope"})
    assert bad["errorCode"] == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
    wrong = tickets.refused("POST", "sobjects/Ticket__c", {"Place__c": "x", "Account__c": tickets.ids["jane"]})
    assert wrong["errorCode"] == "FIELD_INTEGRITY_EXCEPTION"
    first = tickets.create("Ticket__c", Place__c="Hall", Account__c=tickets.ids["acme"], Contact__c=tickets.ids["jane"],
                           Budget__c=10.5, Due__c="2026-12-01")  # fmt: skip
    tickets.create("Ticket__c", Place__c="Yard")
    row = tickets.one("SELECT Name, Status__c, Colour__c, OwnerId, Owner.Name, Account__r.Name, "
                      f"Contact__r.Account.Name FROM Ticket__c WHERE Id = '{first}'")  # fmt: skip
    assert (row["Name"], row["Status__c"], row["Colour__c"]) == ("T-0001", "Open", "red")
    assert (row["OwnerId"], row["Owner"]["Name"]) == (tickets.ids["anna"], "Anna Lindqvist")
    assert (row["Account__r"]["Name"], row["Contact__r"]["Account"]["Name"]) == ("Acme Corp", "Acme Corp")
    child = tickets.one(f"SELECT (SELECT Name FROM Tickets__r) FROM Account WHERE Id = '{tickets.ids['acme']}'")
    assert child["Tickets__r"]["totalSize"] == 1
    assert tickets.call("PATCH", f"sobjects/Ticket__c/{first}", {"Status__c": "Closed"})[0] == 204
    emptied = tickets.refused("PATCH", f"sobjects/Ticket__c/{first}", {"Place__c": None})
    assert emptied["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert tickets.call("GET", f"sobjects/Ticket__c/{first}")[1]["Status__c"] == "Closed"
    assert tickets.call("DELETE", f"sobjects/Ticket__c/{first}")[0] == 204
    assert tickets.refused("DELETE", f"sobjects/Ticket__c/{first}", status=404)["errorCode"] == "ENTITY_IS_DELETED"


def test_a_name_that_is_left_out_is_the_id(org: Org) -> None:
    project = org.create("Project__c", Stage__c="Open")
    assert org.one(f"SELECT Name FROM Project__c WHERE Id = '{project}'")["Name"] == project


def test_a_graph_makes_item_mail_and_people(tickets: Org) -> None:
    base, jane = f"{tickets.base}/sobjects", tickets.ids["jane"]
    nodes = [
        {"method": "POST", "url": f"{base}/Ticket__c", "referenceId": "item", "body": {"Place__c": "Hall"}},
        {"method": "POST", "url": f"{base}/EmailMessage", "referenceId": "mail",
         "body": {"Subject": "Hi", "Status": "3", "IsClientManaged": True, "RelatedToId": "@{item.id}",
                  "ToIds": [jane]}},
    ]  # fmt: skip
    status, body = tickets.call("POST", "composite/graph", {"graphs": [{"graphId": "1", "compositeRequest": nodes}]})
    assert status == 200
    assert body["graphs"][0]["isSuccessful"], body
    item = tickets.one("SELECT Id FROM Ticket__c")["Id"]
    task = tickets.one("SELECT WhatId, What.Type, WhoId FROM Task WHERE TaskSubtype = 'Email'")
    assert (task["WhatId"], task["What"]["Type"], task["WhoId"]) == (item, "Ticket__c", jane)
    records = [{"attributes": {"type": "Ticket__c"}, "Place__c": "A"}, {"attributes": {"type": "Ticket__c"}}]
    _, results = tickets.call("POST", "composite/sobjects", {"allOrNone": False, "records": records})
    assert [r["success"] for r in results] == [True, False]


def test_without_activities_nothing_relates_to_it(org: Org) -> None:
    org.act("customise", custom_objects=[{"name": "Quiet__c", "activities": False}])
    quiet = org.create("Quiet__c", Name="Q")
    for kind, body in (("Task", {"WhatId": quiet}), ("EmailMessage", {"Status": "3", "RelatedToId": quiet})):
        assert org.refused("POST", f"sobjects/{kind}", body)["errorCode"] == "FIELD_INTEGRITY_EXCEPTION"
    assert "LastActivityDate" not in fields_of(org, "Quiet__c")


def test_a_nonsense_object_is_refused(org: Org) -> None:
    orders: list[dict[str, Any]] = [
        {"custom_objects": [{"name": "Ticket"}]}, {"custom_fields": {"Nope": []}}, {"objects": []}, {},
        {"custom_objects": [{"name": "T__c", "fields": [{"name": "A__c", "type": "nope"}]}]}]  # fmt: skip
    for wrong in orders:
        with pytest.raises(ValueError):
            org.act("customise", **wrong)


# ---- standard objects --------------------------------------------------------------------------


def test_what_an_opportunity_needs_and_derives(org: Org) -> None:
    made = org.create("Opportunity", Name="Deal", StageName="Negotiation/Review", CloseDate="2026-12-31", Amount=1000,
                      AccountId=org.ids["acme"], ContactId=org.ids["jane"])  # fmt: skip
    row = org.one(f"SELECT ExpectedRevenue, IsClosed, ContactId FROM Opportunity WHERE Id = '{made}'")
    assert (row["ExpectedRevenue"], row["IsClosed"], row["ContactId"]) == (900.0, False, org.ids["jane"])
    role = org.one(f"SELECT Id, IsPrimary, ContactId FROM OpportunityContactRole WHERE OpportunityId = '{made}'")
    assert (role["IsPrimary"], role["ContactId"]) == (True, org.ids["jane"])
    org.create("OpportunityContactRole", OpportunityId=made, ContactId=org.ids["max"], IsPrimary=True)
    assert org.one(f"SELECT ContactId FROM Opportunity WHERE Id = '{made}'")["ContactId"] == org.ids["max"]
    org.call("PATCH", f"sobjects/Opportunity/{made}", {"StageName": "Closed Lost"})
    row = org.one(f"SELECT IsClosed, IsWon, Probability FROM Opportunity WHERE Id = '{made}'")
    assert row == {"IsClosed": True, "IsWon": False, "Probability": 0.0}
    org.nonsense()
    error = org.refused("POST", "sobjects/Opportunity", {"Amount": 5})
    assert set(error["fields"]) == {"Name", "StageName", "CloseDate"}
    error = org.refused("PATCH", f"sobjects/Opportunity/{made}", {"ContactId": org.ids["max"]})
    assert error["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"


def test_a_case_has_a_number_an_owner_and_a_state(org: Org) -> None:
    org.user = ADMIN
    queue = org.create("Group", Name="Support", Type="Queue")
    other = org.create("Group", Name="People", Type="Regular")
    case = org.create("Case", Subject="Broken", ContactId=org.ids["jane"], Origin="Email", OwnerId=queue)
    row = org.one(f"SELECT CaseNumber, AccountId, IsClosed, Owner.Type FROM Case WHERE Id = '{case}'")
    assert (row["AccountId"], row["IsClosed"], row["Owner"]["Type"]) == (org.ids["acme"], False, "Queue")
    assert row["CaseNumber"].isdigit()
    assert org.refused("PATCH", f"sobjects/Case/{case}", {"OwnerId": other})["errorCode"] == "FIELD_INTEGRITY_EXCEPTION"
    error = org.refused("PATCH", f"sobjects/Case/{case}", {"OwnerId": org.ids["gone"]})
    assert error["errorCode"] == "INACTIVE_OWNER_OR_USER"
    org.call("PATCH", f"sobjects/Case/{case}", {"Status": "Closed"})
    assert org.one(f"SELECT IsClosed FROM Case WHERE Id = '{case}' AND ClosedDate != null")["IsClosed"] is True
    org.nonsense()
    error = org.refused("PATCH", f"sobjects/Case/{case}", {"CaseNumber": "7"})
    assert error["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"


def test_a_quote_belongs_to_an_opportunity(org: Org) -> None:
    quote = org.create("Quote", Name="Q", OpportunityId=org.ids["deal"], Tax=19)
    row = org.one(f"SELECT QuoteNumber, AccountId, GrandTotal, Status FROM Quote WHERE Id = '{quote}'")
    assert row == {"QuoteNumber": "00000001", "AccountId": org.ids["acme"], "GrandTotal": 19.0, "Status": "Draft"}
    org.nonsense()
    assert org.refused("POST", "sobjects/Quote", {"Name": "Q"})["fields"] == ["OpportunityId"]


def test_validation_rules_speak_the_administrators_words(org: Org) -> None:
    rules = [
        {"object": "Opportunity", "condition": "Amount > 1000000", "message": "Ask Erik first.", "field": "Amount"},
        {"object": "Case", "condition": "Origin = null AND Priority = 'High'", "message": "Origin, please."},
    ]
    org.act("customise", validation_rules=rules)
    error = org.refused("PATCH", f"sobjects/Opportunity/{org.ids['deal']}", {"Amount": 2_000_000})
    assert error == {"message": "Ask Erik first.", "errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION",
                     "fields": ["Amount"]}  # fmt: skip
    error = org.refused("POST", "sobjects/Case", {"Subject": "x", "Priority": "High"})
    assert (error["message"], error["fields"]) == ("Origin, please.", [])
    org.create("Case", Subject="x", Priority="High", Origin="Email")
    with pytest.raises(ValueError):
        org.act("customise", validation_rules=[{"object": "Case", "condition": "Nope = 1", "message": "x"}])
    org.act("drop_rules", object="Case")
    org.create("Case", Subject="x", Priority="High")
    assert org.act("drop_rules") == {"validation_rules": 0}


# ---- mails about items, deletions --------------------------------------------------------------


@pytest.mark.parametrize("target", ["deal", "acme", "project", "case"])
def test_a_mail_moves_between_items(org: Org, target: str) -> None:
    mail = org.create("EmailMessage", Status="3", Subject="Hi", IsClientManaged=True, RelatedToId=org.ids["deal"],
                      MessageIdentifier="<1@northpeak.example>", ToIds=[org.ids["jane"]])  # fmt: skip
    before = org.one(f"SELECT ActivityId FROM EmailMessage WHERE Id = '{mail}'")["ActivityId"]
    other = org.create("Opportunity", Name="Other", StageName="Qualification", CloseDate="2026-12-31")
    assert org.call("PATCH", f"sobjects/EmailMessage/{mail}", {"RelatedToId": other})[0] == 204
    assert org.call("PATCH", f"sobjects/EmailMessage/{mail}", {"RelatedToId": org.ids[target]})[0] == 204
    row = org.one(f"SELECT ActivityId, RelatedToId FROM EmailMessage WHERE Id = '{mail}'")
    assert row["RelatedToId"] == org.ids[target]
    assert row["ActivityId"] != before
    task = org.one(f"SELECT WhatId, WhoId FROM Task WHERE Id = '{row['ActivityId']}'")
    assert task == {"WhatId": org.ids[target], "WhoId": org.ids["jane"]}
    org.call("DELETE", f"sobjects/EmailMessage/{mail}")
    assert org.rows("SELECT Id FROM Task WHERE TaskSubtype = 'Email'") == []


def test_a_mail_that_is_not_client_managed_stays(org: Org) -> None:
    mail = org.create("EmailMessage", Status="3", Subject="Hi", RelatedToId=org.ids["deal"])
    error = org.refused("PATCH", f"sobjects/EmailMessage/{mail}", {"RelatedToId": org.ids["acme"]})
    assert error["errorCode"] == "INSUFFICIENT_ACCESS_OR_READONLY"
    error = org.refused("POST", "sobjects/EmailMessage",
                        {"Status": "3", "ParentId": org.ids["case"], "RelatedToId": org.ids["deal"]})  # fmt: skip
    assert error["errorCode"] == "FIELD_INTEGRITY_EXCEPTION"


def test_a_task_moves_but_not_with_a_lead(org: Org) -> None:
    task = org.create("Task", Subject="x", WhatId=org.ids["deal"], WhoId=org.ids["jane"])
    assert org.call("PATCH", f"sobjects/Task/{task}", {"WhatId": org.ids["case"]})[0] == 204
    error = org.refused("POST", "sobjects/Task", {"WhatId": org.ids["deal"], "WhoId": org.ids["lee"]})
    assert error["errorCode"] == "FIELD_INTEGRITY_EXCEPTION"


def test_what_a_deletion_takes_along(org: Org) -> None:
    task = org.create("Task", Subject="x", WhatId=org.ids["deal"])
    mail = org.create("EmailMessage", Status="3", RelatedToId=org.ids["project"], IsClientManaged=True)
    org.call("DELETE", f"sobjects/Opportunity/{org.ids['deal']}")
    assert org.one(f"SELECT IsDeleted FROM Task WHERE Id = '{task}'", "queryAll")["IsDeleted"] is True
    org.call("DELETE", f"sobjects/Project__c/{org.ids['project']}")
    assert org.one(f"SELECT RelatedToId FROM EmailMessage WHERE Id = '{mail}'")["RelatedToId"] is None
    ticket = {"name": "Ticket__c", "fields": [{"name": "Account__c", "type": "reference", "to": ["Account"]}]}
    org.act("customise", custom_objects=[ticket])
    made = org.create("Ticket__c", Account__c=org.create("Account", Name="Brief"))
    account = org.one("SELECT Account__c FROM Ticket__c")["Account__c"]
    assert org.call("DELETE", f"sobjects/Account/{account}")[0] == 204
    assert org.one(f"SELECT Account__c FROM Ticket__c WHERE Id = '{made}'")["Account__c"] is None


def test_deletions_that_salesforce_refuses(org: Org) -> None:
    for name, key in (("Contact", "jane"), ("Account", "acme")):
        error = org.refused("DELETE", f"sobjects/{name}/{org.ids[key]}")
        assert error["errorCode"] == "DELETE_FAILED"
        assert "associated with the following cases" in error["message"]
    org.call("DELETE", f"sobjects/Case/{org.ids['case']}")
    org.call("PATCH", f"sobjects/Opportunity/{org.ids['deal']}", {"StageName": "Closed Won"})
    assert "won" in org.refused("DELETE", f"sobjects/Account/{org.ids['acme']}")["message"]
    org.call("PATCH", f"sobjects/Opportunity/{org.ids['deal']}", {"StageName": "Qualification"})
    org.act("edit", object="Opportunity", id="@deal", fields={"OwnerId": "@ben"})
    assert "other users" in org.refused("DELETE", f"sobjects/Account/{org.ids['acme']}")["message"]
    org.user = BEN  # who may change Anna's account in a public org, not delete it
    assert org.call("PATCH", f"sobjects/Account/{org.ids['acme']}", {"Site": "x"})[0] == 204
    error = org.refused("DELETE", f"sobjects/Account/{org.ids['acme']}")
    assert error["errorCode"] == "INSUFFICIENT_ACCESS_OR_READONLY"
    org.user = ADMIN
    assert org.call("DELETE", f"sobjects/Account/{org.ids['acme']}")[0] == 204
    org.user = ANNA
    assert org.rows("SELECT Id FROM Opportunity") == []
