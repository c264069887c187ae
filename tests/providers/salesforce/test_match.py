"""Questions as SOQL: few calls, no wrong syntax, complete answers."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.errors import Busy, Rejected
from sync.model import Question, RecordRef, Sent
from sync.providers.salesforce import soql
from sync.providers.salesforce.auth import Login
from sync.providers.salesforce.crm import Salesforce
from sync.providers.salesforce.describe import Description, Field, Sobject
from sync.providers.salesforce.directory import Plan, email_fields
from sync.providers.salesforce.domains import host
from tests.contracts.crm_world import CountingMeter
from tests.providers.salesforce.scripted import (
    URL,
    Grant,
    Known,
    Said,
    Say,
    Script,
    description,
    queries,
    rows,
    session,
)

ROOT = "/services/data/v67.0"
WHEN = datetime(2026, 11, 3, 10, 30, tzinfo=UTC)
FULL = Question(
    frozenset({"laura@acme.example", "daniel@acme.example"}),
    frozenset({"<m1@acme.example>"}),
    frozenset({"acme.example"}),
    frozenset({"acme corp"}),
)


def salesforce(*answers: Say, known: Known | None = None) -> tuple[Salesforce, Script]:
    http, script = session(*answers)
    return Salesforce(Login(Grant(), http), http, CountingMeter(), descriptions=known or Known()), script


def texts(question: Question, known: Description | None = None) -> list[str]:
    return [query.text for query in Plan(question, known or description()).queries()]


# --- text


@given(st.text())
def test_a_quoted_text_ends_where_it_shall(value: str) -> None:
    inner = soql.text(value)[1:-1]
    assert not re.search(r"(?<!\\)(\\\\)*'", inner)
    assert not inner.endswith("\\") or inner.endswith("\\\\")


def test_no_values_no_condition() -> None:
    assert soql.within("Email", []) == ""
    assert soql.either(["", ""]) == ""


def test_wildcards_are_escaped() -> None:
    assert soql.like("Website", "%", "a_b%c'd", "%") == "Website LIKE '%a\\_b\\%c\\'d%'"


@given(st.lists(st.text(min_size=1, max_size=50), max_size=200))
def test_queries_fit_and_lose_nothing(values: list[str]) -> None:
    found = soql.fit(values, lambda some: " ".join(map(soql.text, some)), limit=500)
    assert " ".join(found) == " ".join(map(soql.text, values))
    assert all(
        len(quote(text)) <= 500 or text == soql.text(v) for text in found for v in values if text in soql.text(v)
    )


@pytest.mark.parametrize(
    ("website", "expected"),
    [
        ("acme.example", "acme.example"),
        ("  HTTPS://User@WWW.Acme.example:8080/x?y#z ", "www.acme.example"),
        ("//acme.example", "acme.example"),
        ("www.müller.example", "www.xn--mller-kva.example"),
        ("none yet", ""),
        ("n/a", ""),
        ("", ""),
        ("http://[::1", ""),
        ("mailto:x@acme.example", "acme.example"),
    ],
)
def test_the_host_of_what_people_write(website: str, expected: str) -> None:
    assert host(website) == expected


# --- queries


def test_a_normal_question_is_five_queries() -> None:
    found = texts(FULL)
    assert len(found) == 5
    user, contact, lead, account, email = found
    for text, name in zip(found, ("User", "Contact", "Lead", "Account", "EmailMessage"), strict=True):
        assert f" FROM {name} WHERE " in text
    assert user.endswith("AND IsActive = true ORDER BY CreatedDate, Id")
    assert lead.endswith("AND IsConverted = false ORDER BY CreatedDate, Id")
    assert "Email IN ('daniel@acme.example','laura@acme.example') OR (AccountId != null AND (Email LIKE" in contact
    assert "Name IN ('acme corp') OR " in account
    assert "Website LIKE '%acme.example%'" in account
    assert "MessageIdentifier IN ('<m1@acme.example>')" in email


@given(
    st.frozensets(st.sampled_from(["a@x.example", "b@y.example"])),
    st.frozensets(st.sampled_from(["<1@x>", "<2@x>"])),
    st.frozensets(st.sampled_from(["x.example", "y.example"])),
    st.frozensets(st.sampled_from(["x", "", "y" * 300])),
    st.booleans(),
    st.booleans(),
)
def test_no_question_makes_an_empty_list(
    addresses: Any, ids: Any, domains: Any, companies: Any, sent: bool, email: bool
) -> None:
    question = Question(addresses, ids, domains, companies, (Sent("<3@x>", "Offer", WHEN),) if sent else ())
    for text in texts(question, description(email=email)):
        assert "IN ()" not in text
        assert "()" not in text.replace("(SELECT", "")
        assert "WHERE  " not in text
        assert "WHERE ORDER" not in text
        assert not (not email and "FROM EmailMessage " in text)


def test_a_crowded_question_is_split_below_the_limit() -> None:
    crowd = Question(frozenset(f"person-{n}@a-rather-long-domain-name.example" for n in range(3000)))
    found = texts(crowd)
    assert all(len(quote(text)) <= soql.MAX_URI for text in found)
    assert sum(text.count("person-") for text in found) == 12000  # users by two fields


def test_an_object_that_the_user_does_not_see_is_not_asked() -> None:
    known = description()
    without = Description({name: item for name, item in known.objects.items() if name not in ("Lead", "Account")})
    assert not [text for text in texts(FULL, without) if "FROM Lead" in text or "FROM Account" in text]


def test_a_task_is_looked_for_by_subject_and_time() -> None:
    (text,) = [t for t in texts(Question(sent=(Sent("<m@x>", " It's\n 5% ", WHEN),))) if "FROM Task " in t]
    assert "Subject IN ('It\\'s 5%') AND CreatedDate >= 2026-11-03T10:20:00Z AND TaskSubtype = 'Email'" in text


def test_who_shares_a_task_is_asked_only_for_tasks_that_are_ours() -> None:
    question = Question(sent=(Sent("<m@x>", "Offer", WHEN),))
    tasks: list[dict[str, Any]] = [
        {"Id": "00T1", "Description": "Message-ID: <m@x>\n...", "CreatedDate": "1", "WhoId": "0031", "OwnerId": "0051"},
        {"Id": "00T2", "Description": "Message-ID: <other@x>\n...", "CreatedDate": "1"},
        {"Id": "00T3", "Description": None, "CreatedDate": "1"},
    ]
    shared = [{"TaskId": "00T1", "RelationId": "0031"}, {"TaskId": "00T1", "RelationId": "0032"}]
    crm, script = salesforce(rows([], tasks), Said(body=rows(shared).body))
    (filed,) = crm.match(question).filed.values()
    assert filed.record == RecordRef("task", "00T1")
    assert {person.id for person in filed.people} == {"0031", "0032", "0051"}
    assert "FROM TaskRelation WHERE TaskId IN ('00T1') " in queries(script, 1)[0]
    crm, script = salesforce(rows([], tasks), known=Known(description(shared=False)))
    assert crm.match(question).filed
    assert len(script.asked) == 1


def test_email_fields_by_description_and_by_name() -> None:
    fields = {
        name: Field(name, kind, filterable=filterable)
        for name, kind, filterable in [
            ("Phone", "phone", True),
            ("Email_2__c", "string", True),
            ("Other_Email__c", "string", True),
            ("WorkEmail__c", "string", True),
            ("Secret__c", "email", False),
            ("Private__c", "email", True),
            ("PersonEmail", "email", True),
            ("Home__pc", "email", True),
            ("Email", "email", True),
            ("Nickname__c", "string", True),
        ]
    }
    known = Description({"Contact": Sobject("Contact", True, fields)})
    found = ("Email", "Email_2__c", "Other_Email__c", "Private__c", "WorkEmail__c")
    assert email_fields(known, "Contact", ["auto"]) == found
    assert email_fields(known, "Contact", []) == ("Email",)
    assert email_fields(known, "Contact", ["private__c", "NICKNAME__C", "Secret__c", "Missing__c"]) == (
        "Email",
        "Private__c",
        "Nickname__c",
    )
    assert email_fields(known, "Lead", ["auto"]) == ()


# --- calls


def test_pages_are_read_to_the_end() -> None:
    page = {"totalSize": 2, "done": False, "nextRecordsUrl": f"{ROOT}/query/01g-1", "records": []}
    first = Said(
        body={"compositeResponse": [{"referenceId": f"q{n}", "httpStatusCode": 200, "body": page} for n in range(3)]}
    )
    row = {"Id": "003000000000001AAA", "Name": "Laura", "Email": "laura@acme.example", "CreatedDate": "2026"}
    last = Said(body={"totalSize": 2, "done": True, "records": [row]})
    crm, script = salesforce(first, last, last, last)
    found = crm.match(Question(frozenset({"laura@acme.example"}))).people["laura@acme.example"]
    assert {person.record.id for person in found} == {row["Id"]}
    assert script.asked[1].url == f"{URL}{ROOT}/query/01g-1"


def test_a_crowd_of_contacts_is_asked_by_account() -> None:
    crowd = Said(
        body={
            "compositeResponse": [
                {
                    "referenceId": f"q{n}",
                    "httpStatusCode": 200,
                    "body": {"totalSize": 90_000 if n == 1 else 0, "done": n != 1, "records": []},
                }
                for n in range(5)
            ]
        }
    )
    account = {"Id": "001000000000001AAA", "Name": "Acme", "CreatedDate": "2026"}
    crm, script = salesforce(crowd, rows([]), rows([account]))
    found = crm.match(FULL)
    assert [one.record for one in found.by_domain["acme.example"]] == [RecordRef("account", account["Id"])]
    assert found.by_domain["acme.example"][0].found_by == "email"
    assert found.people == {"laura@acme.example": (), "daniel@acme.example": ()}
    assert "LIKE" not in queries(script, 1)[0]
    assert "WHERE Id IN (SELECT AccountId FROM Contact WHERE (AccountId != null" in queries(script, 2)[0]


def each(status: int, body: Any) -> Said:
    """The same answer to three queries."""
    return Said(
        body={"compositeResponse": [{"referenceId": f"q{n}", "httpStatusCode": status, "body": body} for n in range(3)]}
    )


def test_an_outdated_description_is_asked_again_once() -> None:
    known = Known()
    wrong = each(400, [{"errorCode": "INVALID_FIELD", "message": "No such column 'Old__c'"}])
    crm, script = salesforce(wrong, rows([], [], []), known=known)
    assert crm.match(Question(frozenset({"a@x.example"}))).people == {"a@x.example": ()}
    assert known.refreshed == 1
    crm, script = salesforce(wrong, wrong, known=known)
    with pytest.raises(Rejected):
        crm.match(Question(frozenset({"a@x.example"})))
    assert len(script.asked) == 2


@pytest.mark.parametrize("answer", [each(503, None), Said(body={}), Said(body={"compositeResponse": []})])
def test_an_answer_that_is_none_is_busy(answer: Said) -> None:
    crm, _ = salesforce(answer)
    with pytest.raises(Busy):
        crm.match(Question(frozenset({"a@x.example"})))


def test_users_are_found_by_the_name_that_signs_in_and_people_tell_their_owner() -> None:
    question = Question(frozenset({"anna@northpeak.example.sandbox", "kim@widgets.example"}))
    rows = {
        "User": [{"Id": "005A", "Name": "Anna", "Email": "a@x.example", "Username": "Anna@northpeak.example.sandbox"}],
        "Contact": [{"Id": "003K", "Name": "Kim", "Email": "kim@widgets.example", "OwnerId": "005A"}],
    }
    people = Plan(question, description()).answer(rows).people
    assert [p.record.id for p in people["anna@northpeak.example.sandbox"]] == ["005A"]
    assert [p.owner for p in people["kim@widgets.example"]] == ["005A"]
    users = next(query.text for query in Plan(question, description()).queries() if query.about == "User")
    assert "Username IN" in users
