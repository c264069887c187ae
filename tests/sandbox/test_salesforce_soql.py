"""SOQL: what is answered, and what is refused in which words (`providers.md` SF-2, SF-3, SF-15, SF-25)."""

from __future__ import annotations

import pytest
from simple_salesforce import format_soql

from tests.sandbox.salesforce_client import BEN, Org


def names(org: Org, soql: str) -> list[str]:
    return [row["Name"] for row in org.rows(soql)]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("Email = 'JANE.DOE@ACME.EXAMPLE'", ["Jane Doe"]),
        ("Email IN ('max@globex.example', 'JANE.doe@acme.example')", ["Jane Doe", "Max Muster"]),
        ("Email NOT IN ('max@globex.example')", ["Jane Doe", "No Mail"]),
        ("Email != 'max@globex.example'", ["Jane Doe", "No Mail"]),
        ("Email = null", ["No Mail"]),
        ("Email = ''", ["No Mail"]),
        ("Name LIKE 'j%'", ["Jane Doe"]),
        ("Name LIKE '_ane%'", ["Jane Doe"]),
        (r"Name LIKE 'j\%'", []),
        ("Account.Name = 'ACME corp'", ["Jane Doe"]),
        ("Account.Owner.Name LIKE 'Ben%'", ["Max Muster"]),
        ("NOT (Email = null OR Name LIKE 'm%')", ["Jane Doe"]),
        ("(Email = null OR Name LIKE 'm%') AND HasOptedOutOfEmail = false", ["Max Muster", "No Mail"]),
        ("AccountId IN (SELECT Id FROM Account WHERE Name LIKE 'Glob%')", ["Max Muster"]),
        ("AccountId NOT IN (SELECT Id FROM Account WHERE Name LIKE 'Glob%')", ["Jane Doe", "No Mail"]),
        ("CreatedDate = TODAY", ["Jane Doe", "Max Muster", "No Mail"]),
        ("CreatedDate < TODAY", []),
        (
            "CreatedDate = LAST_N_DAYS:3 AND SystemModstamp >= 2026-01-01T00:00:00+01:00 AND Name LIKE '%ax%'",
            ["Max Muster"],
        ),
        ("Birthdate < 1990-01-01", ["No Mail"]),
        ("CALENDAR_YEAR(Birthdate) = 1980", ["No Mail"]),
    ],
)
def test_conditions(org: Org, where: str, expected: list[str]) -> None:
    org.create("Contact", FirstName="No", LastName="Mail", Birthdate="1980-02-29")
    assert names(org, f"SELECT Name FROM Contact WHERE {where} ORDER BY Name") == expected


def test_ids_match_in_both_forms_and_only_with_their_case(org: Org) -> None:
    jane = org.ids["jane"]
    assert names(org, f"SELECT Name FROM Contact WHERE Id = '{jane[:15]}'") == ["Jane Doe"]
    assert names(org, f"SELECT Name FROM Contact WHERE Id = '{jane.lower()}'") == ["Jane Doe"]
    assert names(org, f"SELECT Name FROM Contact WHERE Id = '{jane[:15].swapcase()}'") == []


def test_selection_follows_parents_and_children(org: Org) -> None:
    row = org.query("SELECT Id, Account.Owner.Email, account.name, Owner.Name FROM Contact WHERE LastName = 'Doe'")
    (jane,) = row["records"]
    assert jane["attributes"]["url"] == f"{org.base}/sobjects/Contact/{org.ids['jane']}"
    assert jane["Account"]["Name"] == "Acme Corp"
    assert jane["Account"]["Owner"]["Email"] == "anna@northpeak.example"
    accounts = org.rows("SELECT Name, (SELECT Name, Email FROM Contacts ORDER BY Name LIMIT 1), "
                        "(SELECT Id FROM Cases WHERE Status = 'Closed') FROM Account ORDER BY Name")  # fmt: skip
    assert [a["Contacts"]["records"][0]["Name"] for a in accounts] == ["Jane Doe", "Max Muster"]
    assert accounts[0]["Cases"] is None


def test_polymorphic_parents(org: Org) -> None:
    org.create("Task", Subject="A", WhoId=org.ids["jane"], WhatId=org.ids["deal"])
    org.create("Task", Subject="B", WhoId=org.ids["lee"])
    assert [r["Subject"] for r in org.rows("SELECT Subject FROM Task WHERE Who.Type = 'lead'")] == ["B"]
    found = org.query("SELECT Who.Name, Who.Type, What.Name FROM Task WHERE Subject = 'A'")["records"][0]
    assert (found["Who"]["attributes"]["type"], found["Who"]["Type"], found["What"]["Name"]) == (
        "Name", "Contact", "3000 Widgets")  # fmt: skip
    typed = org.query("SELECT TYPEOF Who WHEN Contact THEN Email WHEN Lead THEN Company ELSE Name END FROM Task "
                      "ORDER BY Subject")["records"]  # fmt: skip
    assert [r["Who"].get("Email") or r["Who"].get("Company") for r in typed] == ["jane.doe@acme.example", "Initech"]


def test_counts_and_groups(org: Org) -> None:
    assert org.query("SELECT COUNT() FROM Contact") == {"totalSize": 2, "done": True, "records": []}
    assert org.one("SELECT COUNT(Id) n, MAX(Amount) FROM Opportunity") == {"n": 1, "expr0": 120000.0}
    grouped = org.rows(
        "SELECT OwnerId, COUNT(Id) n FROM Account GROUP BY OwnerId HAVING COUNT(Id) > 0 ORDER BY COUNT(Id)"
    )
    assert [g["n"] for g in grouped] == [1, 1]


def test_fields_function_needs_a_small_limit(org: Org) -> None:
    assert "Email_2__c" in org.one("SELECT FIELDS(ALL) FROM Contact WHERE LastName = 'Doe' LIMIT 1")
    assert "Email_2__c" not in org.one("SELECT FIELDS(STANDARD) FROM Contact WHERE LastName = 'Doe' LIMIT 1")
    org.nonsense()
    assert (
        org.refused("GET", "query", params={"q": "SELECT FIELDS(ALL) FROM Contact"})["errorCode"] == "MALFORMED_QUERY"
    )


def test_order_puts_nothing_first_unless_told(org: Org) -> None:
    org.create("Contact", LastName="Zero")
    query = "SELECT LastName FROM Contact ORDER BY Email {}, Id"
    assert [r["LastName"] for r in org.rows(query.format("ASC"))] == ["Zero", "Doe", "Muster"]
    assert [r["LastName"] for r in org.rows(query.format("DESC NULLS LAST"))] == ["Muster", "Doe", "Zero"]


def test_scope_mine_follows_the_user(org: Org) -> None:
    assert names(org, "SELECT Name FROM Account USING SCOPE mine") == ["Acme Corp"]
    org.user = BEN
    assert names(org, "SELECT Name FROM Account USING SCOPE mine") == ["Globex"]


@pytest.mark.parametrize(
    ("soql", "code", "text"),
    [
        ("SELECT Id FROM Contact WHERE Email IN ()", "MALFORMED_QUERY", "unexpected token: ')'"),
        ("SELECT Id FROM Contact WHERE", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Contact WHERE Name = 'a' AND Name = 'b' OR Name = 'c'", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id FROM Contact ALL ROWS", "MALFORMED_QUERY", "ALL ROWS not allowed in this context"),
        ("SELECT Id FROM Contact WHERE Name = 'it's'", "MALFORMED_QUERY", "unexpected token"),
        (r"SELECT Id FROM Contact WHERE Name = 'a\q'", "MALFORMED_QUERY", "Illegal string literal"),
        ("SELECT Nope FROM Contact", "INVALID_FIELD", "No such column 'Nope' on entity 'Contact'"),
        ("SELECT Id, Nope.Name FROM Contact", "INVALID_FIELD", "Didn't understand relationship 'Nope' in field path"),
        ("SELECT Id FROM Nope", "INVALID_TYPE", "sObject type 'Nope' is not supported"),
        ("SELECT Id, (SELECT Id FROM Nopes) FROM Account", "INVALID_TYPE", "Didn't understand relationship 'Nopes'"),
        ("SELECT Id FROM Task WHERE Description LIKE 'a%'", "INVALID_FIELD", "'Description' can not be filtered"),
        ("SELECT Id FROM Task ORDER BY Description", "INVALID_FIELD", "'Description' can not be sorted"),
        ("SELECT Id FROM EmailMessage WHERE HtmlBody = 'x'", "INVALID_FIELD", "'HtmlBody' can not be filtered"),
        ("SELECT Id FROM Contact WHERE Id = 'nonsense'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: nonsense"),
        ("SELECT Id FROM Task WHERE CreatedDate > '2026-01-01'", "INVALID_FIELD", "should not be enclosed in quotes"),
        ("SELECT Id FROM Contact WHERE CreatedDate > 2026-01-01", "INVALID_FIELD", "must be of type dateTime"),
        ("SELECT Id FROM Contact WHERE Name = 5", "INVALID_FIELD", "should be enclosed in quotes"),
        ("SELECT Id FROM Contact WHERE Id LIKE '003%'", "INVALID_FIELD", "invalid operator on id field"),
        ("SELECT Id, Id FROM Contact", "INVALID_FIELD", "duplicate field selected: Id"),
        ("SELECT Id FROM Contact OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000"),
        ("SELECT Name, COUNT(Id) FROM Contact", "MALFORMED_QUERY", "Field must be grouped or aggregated: Name"),
        ("SELECT Id FROM ContentDocumentLink", "MALFORMED_QUERY", "Implementation restriction"),
        (
            "SELECT Id FROM Case WHERE Type = 'a' OR AccountId IN (SELECT Id FROM Account)",
            "MALFORMED_QUERY",
            "Semi join",
        ),
    ],
)
def test_refusals(org: Org, soql: str, code: str, text: str) -> None:
    org.nonsense()
    error = org.refused("GET", "query", params={"q": soql})
    assert error["errorCode"] == code
    assert text in error["message"]


def test_an_error_shows_its_place(org: Org) -> None:
    org.nonsense()
    message = org.refused("GET", "query", params={"q": "SELECT Id, Nope FROM Contact"})["message"]
    shown, caret, place, _ = message.strip("\n").split("\n")
    assert shown[caret.index("^") :].startswith("Nope")
    assert place == "ERROR at Row:1:Column:12"


def test_what_simple_salesforce_escapes_is_understood(org: Org) -> None:
    name = 'O\'Neill \\ "50%_off"\nnext'
    org.create("Contact", LastName="X", Title=name)
    assert names(org, format_soql("SELECT Name FROM Contact WHERE Title = {}", name)) == ["X"]
    assert names(org, format_soql("SELECT Name FROM Contact WHERE Title LIKE '%{:like}%'", "50%_")) == ["X"]
    assert names(org, format_soql("SELECT Name FROM Contact WHERE Title LIKE '%{:like}%'", "50_%")) == []


def test_pages(org: Org) -> None:
    body = {"records": [{"attributes": {"type": "Contact"}, "LastName": f"N{n:03}"} for n in range(200)]}
    for _ in range(2):
        assert org.call("POST", "composite/sobjects", body)[0] == 200
    first = org.query(
        "SELECT LastName FROM Contact ORDER BY LastName, Id", headers={"Sforce-Query-Options": "batchSize=50"}
    )
    assert (len(first["records"]), first["totalSize"], first["done"]) == (200, 402, False)
    status, second = org.call("GET", first["nextRecordsUrl"])
    status, third = org.call("GET", second["nextRecordsUrl"])
    assert (status, len(third["records"]), third["done"]) == (200, 2, True)
    assert len({r["attributes"]["url"] for page in (first, second, third) for r in page["records"]}) == 402
    everything = org.query("SELECT Id FROM Contact", "queryAll", headers={"Sforce-Query-Options": "batchSize=200"})
    assert everything["nextRecordsUrl"].startswith(f"{org.base}/queryAll/")
    org.user = BEN
    assert org.refused("GET", first["nextRecordsUrl"])["errorCode"] == "INVALID_QUERY_LOCATOR"
    org.user = "anna@northpeak.example"
    org.frame.clock.advance(2 * 86400 + 1)
    assert org.refused("GET", first["nextRecordsUrl"])["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_a_tiny_page_can_be_forced(org: Org) -> None:
    org.frame.settings["page_size"] = 1
    page = org.query("SELECT Id FROM Contact")
    assert len(page["records"]) == 1
    assert org.call("GET", page["nextRecordsUrl"])[1]["done"] is True


def test_what_is_not_simulated_says_so(org: Org) -> None:
    org.nonsense()
    error = org.refused("GET", "query", status=501, params={"q": "SELECT Id FROM Account FOR UPDATE"})
    assert error["errorCode"] == "NOT_IMPLEMENTED"
    assert "FOR UPDATE" in error["message"]
