"""New items from mails: defaults of the policy and of the CRM, and what is missing."""

from __future__ import annotations

from datetime import date

import pytest

from sync.core.items import Lacking, new_item
from sync.core.matching import Decision, Matching
from sync.model import Message, NewItem, Parsed, Participant, RecordRef
from sync.modules import FieldSpec, Module
from sync.options import ModuleRule
from sync.policy import Policy

TODAY = date(2026, 11, 22)
ROSA, ACME = RecordRef("contact", "003R"), RecordRef("account", "001A")
FIELDS = (
    FieldSpec("Name", "Name", "text", required=True, length=20),
    FieldSpec("StageName", "Stage", "choice", required=True, choices=("Prospecting", "Closed Won")),
    FieldSpec("CloseDate", "Close Date", "date", required=True),
    FieldSpec("Amount", "Amount", "money"),
    FieldSpec("Urgent", "Urgent", "flag"),
    FieldSpec("AccountId", "Account", "reference", refers=("account",)),
    FieldSpec("ContactId", "Contact", "reference", refers=("contact",)),
    FieldSpec("Score", "Score", "number", writable=False),
)


def module(*more: FieldSpec) -> Module:
    fields = {spec.name: spec for spec in (*FIELDS, *more)}
    return Module(
        "opportunity",
        "Opportunity",
        "Opportunity",
        "Opportunities",
        fields,
        "Name",
        amount="Amount",
        status="StageName",
        due="CloseDate",
        account="AccountId",
        contact="ContactId",
    )


def make(rule: ModuleRule | None = None, found: Module | None = None, subject: str = "Widgets") -> NewItem | Lacking:
    people = (
        Participant("from", "rosa@acme.example", "Rosa Diaz", "Acme"),
        Participant("to", "anna@northpeak.example"),
    )
    message = Message("m", "t", frozenset(), "received", Parsed("<m@x>", subject, None, people, "", "", ()))
    decisions = (Decision("rosa@acme.example", ("from",), "contact", (ROSA,), ROSA),)
    matching = Matching("file", None, decisions, (), (ROSA,), accounts=((ROSA, ACME),))
    return new_item(message, matching, rule or ModuleRule("opportunity"), found or module(), Policy(), "005A", TODAY)


def test_a_plain_rule_is_enough_for_an_opportunity() -> None:
    values = {"Name": "Widgets", "StageName": "Prospecting", "CloseDate": "2026-12-22"}
    assert make() == NewItem("opportunity", values, "005A", ACME, ROSA)


def test_the_policy_says_more() -> None:
    fields = (("stagename", "Closed Won"), ("CloseDate", "{date+7}"), ("Amount", "1200"), ("Urgent", "yes"))
    made = make(ModuleRule("opportunity", title="{company}: {subject} by {sender}", fields=fields))
    assert isinstance(made, NewItem)
    assert {key: value for key, value in made.fields.items() if key != "Name"} == {
        "StageName": "Closed Won",
        "CloseDate": "2026-11-29",
        "Amount": 1200.0,
        "Urgent": True,
    }
    assert str(made.fields["Name"]).startswith("Acme: Widgets by")
    assert len(str(made.fields["Name"])) <= 20


def test_a_mail_without_subject_has_a_title() -> None:
    made = make(subject="  ")
    assert isinstance(made, NewItem)
    assert made.fields["Name"] == "(no subject)"


@pytest.mark.parametrize(
    ("rule", "extra", "expected"),
    [
        (ModuleRule("opportunity"), FieldSpec("Region", "Region", "text", required=True), Lacking(("Region",))),
        (ModuleRule("opportunity", fields=(("Nope", "x"),)), None, Lacking((), ("Nope",))),
        (ModuleRule("opportunity", fields=(("Score", 1),)), None, Lacking((), ("Score",))),
        (ModuleRule("opportunity", fields=(("CloseDate", "soon"),)), None, Lacking((), ("Close Date",))),
        (ModuleRule("opportunity", fields=(("Amount", "much"),)), None, Lacking((), ("Amount",))),
    ],
)
def test_what_cannot_be_made_says_why(rule: ModuleRule, extra: FieldSpec | None, expected: Lacking) -> None:
    found = make(rule, module(*([extra] if extra else [])))
    assert found == expected
    assert (expected.fields or expected.wrong)[0] in expected.detail


def test_a_field_that_the_crm_fills_is_left_to_it() -> None:
    made = make(found=module(FieldSpec("Rating", "Rating", "choice", required=False, default="Cold")))
    assert isinstance(made, NewItem)
    assert "Rating" not in made.fields
