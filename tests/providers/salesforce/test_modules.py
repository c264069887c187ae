"""Modules from descriptions."""

from __future__ import annotations

from typing import Any

import pytest

from sync.errors import Busy, Rejected
from sync.providers.salesforce.modules import Shape, Shapes, shape
from tests.providers.salesforce.scripted import Said, client


def field(name: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    plain = {
        "name": name,
        "label": name.removesuffix("__c").replace("_", " "),
        "type": kind,
        "length": 80 if kind == "string" else 0,
        "createable": True,
        "nillable": True,
        "defaultedOnCreate": False,
        "autoNumber": False,
        "nameField": name == "Name",
        "picklistValues": [],
        "referenceTo": [],
    }
    return {**plain, **more}


def choices(*values: str, default: str = "", inactive: str = "") -> list[dict[str, Any]]:
    return [
        {"value": one, "label": one.upper(), "active": one != inactive, "defaultValue": one == default}
        for one in values
    ]


def described(name: str, *fields: dict[str, Any], activities: bool = True) -> dict[str, Any]:
    child = {"childSObject": "Task", "field": "WhatId", "relationshipName": "Tasks"}
    return {
        "name": name,
        "label": name.removesuffix("__c"),
        "labelPlural": f"{name.removesuffix('__c')}s",
        "createable": True,
        "queryable": True,
        "keyPrefix": "a00",
        "childRelationships": [child] if activities else [],
        "fields": [field("Id", "id", createable=False), *fields],
    }


def test_a_numbered_kind_takes_its_title_from_the_first_text() -> None:
    number = field("Name", createable=False, autoNumber=True)
    text, amount = field("Topic__c"), field("Budget__c", "currency")
    module = shape(described("Ticket__c", number, amount, text)).module
    assert (module.title, module.number, module.amount) == ("Topic__c", "Name", "Budget__c")
    assert shape(described("Ticket__c", number, amount)).module.title == "Name"


def test_what_is_filled_by_the_crm_is_not_required() -> None:
    made = shape(
        described(
            "Ticket__c",
            field("Name", nillable=False),
            field("Region__c", nillable=False),
            field("Number__c", nillable=False, autoNumber=True),
            field("Level__c", "picklist", nillable=False, picklistValues=choices("a", "b", default="b")),
            field("Known__c", nillable=False, defaultValueFormula='"x"'),
            field("Done__c", "boolean", nillable=False),
            field("Owner__c", nillable=False, defaultedOnCreate=True),
        )
    )
    assert {one.name for one in made.module.fields.values() if one.required} == {"Name", "Region__c"}
    assert made.module.fields["Level__c"].default == "b"


def test_choices_are_the_active_ones_and_open_states_come_first() -> None:
    status = field("Status", "picklist", picklistValues=choices("Done", "New", "Old", "Gone", inactive="Old"))
    made = shape(described("Case", field("Subject"), status), frozenset({"Done", "Gone"}))
    assert made.module.fields["Status"].choices == ("New", "Done", "Gone")
    assert made.labels["Status"]["New"] == "NEW"


@pytest.mark.parametrize(
    ("name", "due"),
    [("Due__c", True), ("End_Date__c", True), ("CloseDate", True), ("Calendar__c", False), ("Start__c", False)],
)
def test_a_date_is_due_by_its_name(name: str, due: bool) -> None:
    assert shape(described("Ticket__c", field("Name"), field(name, "date"))).module.due == (name if due else "")


def answer(*bodies: Any) -> Said:
    parts = [
        {"referenceId": f"q{n}", "httpStatusCode": 200 if isinstance(body, dict) else body, "body": body}
        for n, body in enumerate(bodies)
    ]
    return Said(body={"compositeResponse": parts})


def test_a_kind_without_activities_is_no_module() -> None:
    calls, _, _ = client(answer(described("Rate__c", field("Name"), activities=False)))
    found = Shapes().of(calls, ["Rate__c"])["Rate__c"]
    assert isinstance(found, Rejected)
    assert "activities" in found.detail


def test_what_is_refused_is_asked_again_and_what_is_known_is_not() -> None:
    ticket = answer(described("Ticket__c", field("Name")))
    calls, script, _ = client(answer(404), Said(body={"sobjects": []}), ticket)
    shapes = Shapes()
    assert isinstance(shapes.of(calls, ["Ticket__c"])["Ticket__c"], Rejected)
    assert isinstance(shapes.of(calls, ["ticket__c"])["ticket__c"], Shape)
    assert isinstance(shapes.of(calls, ["TICKET__C"])["TICKET__C"], Shape)
    assert len(script.asked) == 3


def test_a_busy_service_says_nothing_about_modules() -> None:
    calls, _, _ = client(answer(503))
    with pytest.raises(Busy):
        Shapes().of(calls, ["Ticket__c"])
