"""What an organisation says about itself."""

from __future__ import annotations

from typing import Any

import pytest

from sync.errors import Busy
from sync.providers.salesforce.describe import OBJECTS, Descriptions, fetch
from tests.providers.salesforce.scripted import Said, client


def field(name: str, kind: str = "string", **flags: Any) -> dict[str, Any]:
    plain = {"name": name, "type": kind, "length": 80, "createable": True, "updateable": True, "filterable": True}
    return {**plain, "nillable": True, "defaultedOnCreate": False, **flags}


def answer(statuses: list[tuple[str, bool, bool]] | None = None, **objects: Any) -> Said:
    """`objects` are lists of fields, or a status."""
    parts = []
    for name in OBJECTS:
        given = objects.get(name, [])
        ok = isinstance(given, list)
        body = {"name": name, "createable": True, "fields": given} if ok else [{"errorCode": "NOT_FOUND"}]
        parts.append({"referenceId": name, "httpStatusCode": 200 if ok else given, "body": body})
    records = [{"ApiName": n, "IsClosed": closed, "IsDefault": default} for n, closed, default in statuses or []]
    body = {"records": records, "done": True, "totalSize": len(records)}
    parts.append({"referenceId": "TaskStatus", "httpStatusCode": 200, "body": body})
    return Said(body={"compositeResponse": parts})


def test_one_call_tells_everything() -> None:
    salesforce, script, meter = client(answer(Task=[field("TaskWhoIds")], Contact=[field("Email", "email")]))
    found = fetch(salesforce)
    assert len(script.asked) == 1
    assert meter.spent == [("describe", 1)]
    assert found.email_record
    assert found.shared_activities
    assert found.abilities().email_fields["contact"] == ("Email",)


@pytest.mark.parametrize("status", [403, 404])
def test_an_object_that_is_not_seen_is_left_out(status: int) -> None:
    salesforce, _, _ = client(answer(EmailMessage=status, EmailMessageRelation=status))
    found = fetch(salesforce)
    assert not found.email_record
    assert "EmailMessage" not in found.objects


@pytest.mark.parametrize("said", [answer(Task=503), Said(body={}), Said(body=None)])
def test_an_answer_that_is_none_is_busy(said: Said) -> None:
    salesforce, _, _ = client(said)
    with pytest.raises(Busy):
        fetch(salesforce)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], ("Not Started", "Completed")),
        ([("Open", False, True), ("Done", True, False)], ("Open", "Done")),
        ([("Later", False, False), ("New", False, True), ("Void", True, False), ("Completed", True, False)],
         ("New", "Completed")),
        ([("Erledigt", True, False), ("Archiviert", True, True)], ("Not Started", "Archiviert")),
    ],
)  # fmt: skip
def test_the_organisations_own_words_for_done(statuses: list[Any], expected: tuple[str, str]) -> None:
    salesforce, _, _ = client(answer(statuses))
    found = fetch(salesforce)
    assert (found.open_status, found.closed_status) == expected


def test_required_custom_fields_are_known() -> None:
    fields = [field("Region__c", nillable=False), field("Tier__c", nillable=False, defaultedOnCreate=True)]
    salesforce, _, _ = client(answer(Contact=[*fields, field("LastName", nillable=False)]))
    assert fetch(salesforce).objects["Contact"].required_custom == ("Region__c",)


def test_a_description_is_kept_for_twelve_hours_per_user() -> None:
    now = [0.0]
    known = Descriptions(lambda: now[0])
    salesforce, script, _ = client(answer(), answer(), answer())
    first = known.of(salesforce)
    now[0] = 12 * 3600 - 1.0
    assert known.of(salesforce) is first
    now[0] += 2
    assert known.of(salesforce) is not first
    other, _, _ = client(answer())
    assert known.of(other) is not known.of(salesforce)
    known.of(salesforce, fresh=True)
    assert len(script.asked) == 3
