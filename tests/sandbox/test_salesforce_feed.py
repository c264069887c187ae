"""What an org-wide feed, a summary, another user see: stamps, lists, shares, currencies (`providers.md` 5.2)."""

from __future__ import annotations

import time
from typing import Any

import pytest

from sandbox.seed import scale
from tests.sandbox.salesforce_client import ADMIN, ANNA, BEN, Org

FEED = ("SELECT Id, SystemModstamp, LastModifiedDate, LastModifiedById FROM {} WHERE SystemModstamp >= {} "
        "ORDER BY SystemModstamp, Id LIMIT 200")  # fmt: skip


def now(org: Org) -> str:
    return f"{org.frame.clock.now():%Y-%m-%dT%H:%M:%SZ}"


# ---- the feed ----------------------------------------------------------------------------------


def test_five_queries_for_the_whole_org_are_one_call(org: Org) -> None:
    org.user = ADMIN
    org.frame.clock.advance(3600)
    since = now(org)
    org.act("edit", user=BEN, object="Opportunity", id="@deal", fields={"Amount": 90_000})
    org.act("edit", user=ANNA, object="Case", id="@case", fields={"Status": "Closed"})
    used = org.vendor._org.used_calls()
    parts = [{"method": "GET", "referenceId": f"q{n}", "url": f"{org.base}/query?q={FEED.format(name, since)}"}
             for n, name in enumerate(("Opportunity", "Case", "Project__c", "Account", "Contact"))]  # fmt: skip
    _, body = org.call("POST", "composite", {"compositeRequest": parts})
    found = [[r["Id"] for r in part["body"]["records"]] for part in body["compositeResponse"]]
    assert found == [[org.ids["deal"]], [org.ids["case"]], [], [], []]
    assert body["compositeResponse"][0]["body"]["records"][0]["LastModifiedById"] == org.ids["ben"]
    assert org.vendor._org.used_calls() == used + 1
    org.act("delete", object="Opportunity", id="@deal")
    gone = org.one(f"SELECT Id FROM Opportunity WHERE IsDeleted = true AND SystemModstamp >= {since}", "queryAll")
    assert gone["Id"] == org.ids["deal"]


def test_a_late_row_has_an_old_stamp(org: Org) -> None:
    org.user = ADMIN
    org.frame.clock.advance(3600)
    since = now(org)
    org.act("late", object="Opportunity", seconds=240)
    fields = {"Name": "Late", "StageName": "Qualification", "CloseDate": "2026-12-31"}
    made = org.act("create", user=ANNA, object="Opportunity", fields=fields)["id"]
    assert org.rows(FEED.format("Opportunity", since)) == []
    org.frame.clock.advance(241)
    (row,) = org.rows(FEED.format("Opportunity", since))
    assert row["Id"] == made
    assert row["SystemModstamp"][:19] < now(org)[:19]


def test_an_activity_shows_in_last_activity_date_alone(org: Org) -> None:
    stamps = "SELECT LastActivityDate, LastModifiedDate, SystemModstamp FROM {} WHERE Id = '{}'"
    keys = (("Opportunity", "deal"), ("Account", "acme"), ("Contact", "jane"), ("Project__c", "project"))
    before = {key: org.one(stamps.format(name, org.ids[key])) for name, key in keys}
    assert {row["LastActivityDate"] for row in before.values()} == {None}
    org.frame.clock.advance(3600)
    org.create("Task", Subject="Open", WhatId=org.ids["deal"], ActivityDate="2026-12-24")
    org.create("Task", Subject="Done", WhatId=org.ids["deal"], WhoId=org.ids["jane"], ActivityDate="2026-11-02",
               Status="Completed")  # fmt: skip
    org.create("Task", Subject="Done", WhatId=org.ids["project"], ActivityDate="2026-11-03", Status="Completed")
    for name, key in keys:
        after = org.one(stamps.format(name, org.ids[key]))
        assert after.pop("LastActivityDate") == ("2026-11-03" if key == "project" else "2026-11-02")
        assert after == {k: v for k, v in before[key].items() if k != "LastActivityDate"}
    filtered = f"SELECT Id FROM Opportunity WHERE LastActivityDate = 2026-11-02 AND Id = '{org.ids['deal']}'"
    assert len(org.rows(filtered)) == 1


# ---- lists of activities -----------------------------------------------------------------------


def history(what: str, relation: str = "ActivityHistories", tail: str = "") -> str:
    tail = tail or "ORDER BY ActivityDate DESC NULLS LAST, LastModifiedDate DESC LIMIT 5"
    return (f"SELECT Name, (SELECT Subject, ActivityDate, ActivityType, IsTask, Who.Name, AlternateDetailId "
            f"FROM {relation} {tail}) FROM Opportunity WHERE Id = '{what}'")  # fmt: skip


def test_the_last_activities_of_an_item(org: Org) -> None:
    deal = org.ids["deal"]
    mail = org.create("EmailMessage", Subject="Offer", Status="3", IsClientManaged=True, RelatedToId=deal,
                      ToIds=[org.ids["jane"]], MessageDate="2026-11-01T10:00:00Z")  # fmt: skip
    org.create("Task", Subject="Old", WhatId=deal, Status="Completed", ActivityDate="2026-10-01")
    org.create("Task", Subject="Open", WhatId=deal, ActivityDate="2027-12-01")
    org.create("Event", Subject="Past", WhatId=deal, StartDateTime="2026-10-15T09:00:00Z", DurationInMinutes=60)
    org.create("Event", Subject="Ahead", WhatId=deal, StartDateTime="2027-10-15T09:00:00Z", DurationInMinutes=60)
    row = org.one(history(deal))
    records = row["ActivityHistories"]["records"]
    assert [r["Subject"] for r in records] == ["Email: Offer", "Past", "Old"]
    assert (records[0]["AlternateDetailId"], records[0]["Who"]["Name"], records[0]["ActivityType"]) == (
        mail, "Jane Doe", "Email")  # fmt: skip
    assert [r["IsTask"] for r in records] == [True, False, True]
    order = "ORDER BY ActivityDate ASC NULLS LAST, LastModifiedDate DESC LIMIT 9"
    ahead = org.one(history(deal, "OpenActivities", order))
    assert [r["Subject"] for r in ahead["OpenActivities"]["records"]] == ["Ahead", "Open"]
    account = history(org.ids["acme"]).replace("FROM Opportunity", "FROM Account")
    assert org.one(account)["ActivityHistories"]["totalSize"] == 3
    emails = org.one(f"SELECT (SELECT Subject, FromAddress FROM Emails) FROM Opportunity WHERE Id = '{deal}'")
    assert [r["Subject"] for r in emails["Emails"]["records"]] == ["Offer"]


def test_only_administrators_list_activities_freely(org: Org) -> None:
    free = history(org.ids["deal"], tail="WHERE IsTask = true LIMIT 5")
    many = history(org.ids["deal"]).partition(" WHERE Id")[0]
    org.user = ADMIN
    assert org.one(free)["ActivityHistories"] is None
    assert org.one(many)["Name"] == "3000 Widgets"
    org.user = ANNA
    for text in (free, many):
        error = org.refused("GET", "query", params={"q": text})
        assert "implementation restriction on ActivityHistories" in error["message"]
    assert org.refused("GET", "query", params={"q": "SELECT Id FROM OpenActivity"})["errorCode"] == "INVALID_TYPE"


# ---- what a user may see -----------------------------------------------------------------------


def access(org: Org, user: str, *records: str) -> list[dict[str, Any]]:
    listed = ", ".join(f"'{r}'" for r in records)
    return org.rows("SELECT RecordId, HasReadAccess, HasEditAccess, MaxAccessLevel FROM UserRecordAccess "
                    f"WHERE UserId = '{org.ids[user]}' AND RecordId IN ({listed})")  # fmt: skip


def test_user_record_access(org: Org) -> None:
    org.nonsense()  # the reference has no such object
    org.act("org", sharing="private")
    org.user = ADMIN
    deal, globex = org.ids["deal"], org.ids["globex"]
    assert [(r["HasReadAccess"], r["MaxAccessLevel"]) for r in access(org, "ben", deal, globex)] == [
        (False, "None"), (True, "All")]  # fmt: skip
    org.act("share", id="@deal", user=BEN, access="Read")
    assert access(org, "ben", deal) == [
        {"RecordId": deal, "HasReadAccess": True, "HasEditAccess": False, "MaxAccessLevel": "Read"}]  # fmt: skip
    assert all(r["HasEditAccess"] for r in access(org, "integration", deal, globex, org.ids["case"]))
    for where in ("", f"WHERE UserId = '{org.ids['ben']}'", f"WHERE RecordId = '{deal}'"):
        error = org.refused("GET", "query", params={"q": f"SELECT RecordId FROM UserRecordAccess {where}"})
        assert error["errorCode"] == "MALFORMED_QUERY"


def test_shares_open_a_private_record(org: Org) -> None:
    org.act("org", sharing="private")
    org.user = BEN
    assert org.rows("SELECT Id FROM Opportunity") == []
    org.act("share", id="@deal", user=BEN, access="Read")
    row = org.one("SELECT Name, Account.Name FROM Opportunity")
    assert row["Account"]["Name"] == "Acme Corp"  # the implicit read of its account
    assert org.rows("SELECT Id FROM Opportunity USING SCOPE mine") == []
    error = org.refused("PATCH", f"sobjects/Opportunity/{org.ids['deal']}", {"Amount": 1})
    assert error["errorCode"] == "INSUFFICIENT_ACCESS_OR_READONLY"
    org.act("share", id="@deal", user=BEN, access="Edit")
    assert org.call("PATCH", f"sobjects/Opportunity/{org.ids['deal']}", {"Amount": 1})[0] == 204
    assert org.call("DELETE", f"sobjects/Opportunity/{org.ids['deal']}")[0] == 400
    org.act("share", id="@deal", user=BEN, access="None")
    assert org.rows("SELECT Id FROM Opportunity") == []
    org.user = ADMIN
    assert len(org.rows("SELECT Id FROM Opportunity")) == 1
    org.user = ANNA
    assert len(org.rows("SELECT Id FROM Opportunity USING SCOPE mine")) == 1


def test_a_hidden_parent_reads_as_none(org: Org) -> None:
    org.act("org", sharing="private")
    org.act("create", user=BEN, object="Project__c", fields={"Name": "Mine"})
    org.act("edit", object="Project__c", id="@project", fields={"OwnerId": "@ben"})
    org.user = BEN
    row = org.one(f"SELECT Account__c, Account__r.Name FROM Project__c WHERE Id = '{org.ids['project']}'")
    assert row == {"Account__c": org.ids["acme"], "Account__r": None}


def test_teams_are_an_option_of_the_org(org: Org) -> None:
    org.act("org", sharing="private")
    org.user = BEN
    assert org.call("GET", "sobjects/OpportunityTeamMember/describe")[0] == 404
    org.act("org", team_selling=True)
    org.user = ANNA
    member = org.create("OpportunityTeamMember", OpportunityId=org.ids["deal"], UserId=org.ids["ben"],
                        TeamMemberRole="Sales Rep")  # fmt: skip
    org.user = BEN
    assert len(org.rows("SELECT Id FROM Opportunity")) == 1
    org.user = ANNA
    org.call("DELETE", f"sobjects/OpportunityTeamMember/{member}")
    org.create("AccountTeamMember", AccountId=org.ids["acme"], UserId=org.ids["ben"], AccountAccessLevel="Read",
               OpportunityAccessLevel="Edit", CaseAccessLevel="None", ContactAccessLevel="Read")  # fmt: skip
    org.user = BEN
    assert org.call("PATCH", f"sobjects/Opportunity/{org.ids['deal']}", {"NextStep": "x"})[0] == 204
    assert org.rows("SELECT Id FROM Case") == []
    assert {r["Name"] for r in org.rows("SELECT Name FROM Contact")} == {"Jane Doe", "Max Muster"}


def test_a_private_opportunity_is_its_owners(org: Org) -> None:
    org.call("PATCH", f"sobjects/Opportunity/{org.ids['deal']}", {"IsPrivate": True})
    org.user = BEN
    assert org.rows("SELECT Id FROM Opportunity") == []


# ---- currencies, acting, scale -----------------------------------------------------------------


def test_currencies_are_an_option_of_the_org(org: Org) -> None:
    convert = f"SELECT convertCurrency(Amount), toLabel(StageName) FROM Opportunity WHERE Id = '{org.ids['deal']}'"
    assert org.refused("GET", "query", params={"q": convert})["errorCode"] == "INVALID_FIELD"
    code = "SELECT CurrencyIsoCode, Amount FROM Opportunity"
    assert org.call("GET", "query", params={"q": code})[0] == 400
    org.act("org", multi_currency=True)
    org.create("Opportunity", Name="Euro", StageName="Qualification", CloseDate="2026-12-31", Amount=90,
               CurrencyIsoCode="EUR")  # fmt: skip
    assert org.one(f"{code} WHERE Name = 'Euro'") == {"CurrencyIsoCode": "EUR", "Amount": 90.0}
    row = org.one("SELECT convertCurrency(Amount), toLabel(StageName) FROM Opportunity WHERE Name = 'Euro'")
    assert row == {"Amount": 100.0, "StageName": "Qualification"}


def test_a_user_acts_on_items(org: Org) -> None:
    made = org.act("create", user=BEN, object="Project__c", fields={"Name": "New", "Account__c": "@acme"})["id"]
    assert org.call("GET", f"sobjects/Project__c/{made}")[1]["OwnerId"] == org.ids["ben"]
    org.act("edit", user=ANNA, object="Opportunity", id="@deal", fields={"StageName": "Closed Won", "OwnerId": "@ben"})
    row = org.one("SELECT IsWon, OwnerId, LastModifiedById FROM Opportunity")
    assert row == {"IsWon": True, "OwnerId": org.ids["ben"], "LastModifiedById": org.ids["anna"]}
    with pytest.raises(LookupError):
        org.act("share", id="@nobody", user=BEN)


def test_many_items_in_seconds(org: Org) -> None:
    users = [{"key": f"u{n}", "name": f"User {n}", "salesforce": f"u{n}@northpeak.example"} for n in range(50)]
    started = time.process_time()
    generate = [{"object": "Opportunity", "count": 500, "owners": [u["salesforce"] for u in users],
                 "fields": {"AccountId": ["@acme", "@globex"], "Amount": 1200}},
                {"object": "Case", "count": 2, "fields": {"Subject": "Case {n} of {owner}"}}]  # fmt: skip
    org.vendor.seed({"users": users, "salesforce": {"generate": generate}}, None)
    assert time.process_time() - started < 5
    org.user = "u7@northpeak.example"
    mine = org.query("SELECT Id, Name, Account.Name FROM Opportunity USING SCOPE mine WHERE IsClosed = false")
    assert mine["totalSize"] == 500
    assert mine["records"][1]["Name"] == "User 7, opportunity 2"
    assert {r["Account"]["Name"] for r in mine["records"]} == {"Acme Corp", "Globex"}
    assert org.rows("SELECT Subject FROM Case USING SCOPE mine ORDER BY Subject")[0] == {"Subject": "Case 1 of User 7"}
    fields = {"Name": "P {n}", "Account__c": "@acme"}
    more = org.act("generate", object="Project__c", count=3, owners=[BEN], fields=fields)
    assert more["count"] == len(more["ids"]) == 3
    with pytest.raises(ValueError):
        org.act("generate", object="Project__c", count=1, fields={"Nope": 1})


def test_the_big_organisation(org: Org) -> None:
    org.frame.reset(seed=False)
    org.vendor.seed(scale.organisation(3, opportunities=40, cases=5, projects=2), None)
    org.user = "u002@northpeak.example"
    counts = {name: len(org.rows(f"SELECT Id FROM {name} USING SCOPE mine"))
              for name in ("Opportunity", "Case", "Project__c")}  # fmt: skip
    assert counts == {"Opportunity": 40, "Case": 5, "Project__c": 2}
    row = org.rows("SELECT Account.Name, Contact.Email FROM Case ORDER BY CaseNumber LIMIT 1")[0]
    assert (row["Account"]["Name"], row["Contact"]["Email"]) == ("Account 01", "c01@a01.example")
