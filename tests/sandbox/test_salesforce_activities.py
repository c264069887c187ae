"""Tasks and events (`providers.md` SF-18 to SF-20)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.salesforce_client import Org


def test_the_first_of_the_list_is_who(org: Org) -> None:
    jane, max_ = org.ids["jane"], org.ids["max"]
    task = org.create("Task", Subject="Call", TaskWhoIds=[max_, jane], WhatId=org.ids["deal"])
    row = org.call("GET", f"sobjects/Task/{task}")[1]
    assert (row["WhoId"], row["TaskWhoIds"], row["WhoCount"], row["WhatCount"]) == (max_, [max_, jane], 2, 1)
    relations = org.rows(f"SELECT RelationId, IsWhat FROM TaskRelation WHERE TaskId = '{task}'")
    assert {(r["RelationId"], r["IsWhat"]) for r in relations} == {
        (max_, False),
        (jane, False),
        (org.ids["deal"], True),
    }
    org.call("PATCH", f"sobjects/Task/{task}", {"WhoId": None})
    assert org.one(f"SELECT WhoId FROM Task WHERE Id = '{task}'")["WhoId"] == jane
    org.call("PATCH", f"sobjects/Task/{task}", {"TaskWhoIds": []})
    assert org.one(f"SELECT WhoId, WhoCount FROM Task WHERE Id = '{task}'") == {"WhoId": None, "WhoCount": 0}


def test_a_relation_of_its_own_fills_the_list(org: Org) -> None:
    task = org.create("Task", Subject="Call")
    org.create("TaskRelation", TaskId=task, RelationId=org.ids["jane"])
    assert org.call("GET", f"sobjects/Task/{task}")[1]["TaskWhoIds"] == [org.ids["jane"]]
    twice = {"TaskId": task, "RelationId": org.ids["jane"]}
    assert org.refused("POST", "sobjects/TaskRelation", twice)["errorCode"] == "DUPLICATE_VALUE"


@pytest.mark.parametrize(
    "fields",
    [
        {"TaskWhoIds": ["@jane", "@lee"]},
        {"WhoId": "@lee", "WhatId": "@deal"},
        {"TaskWhoIds": ["@lee"], "WhatId": "@acme"},
    ],
)
def test_a_lead_excludes_others(org: Org, fields: dict[str, Any]) -> None:
    given = {k: [org.ids[i[1:]] for i in v] if isinstance(v, list) else org.ids[v[1:]] for k, v in fields.items()}
    assert org.refused("POST", "sobjects/Task", given)["errorCode"] == "FIELD_INTEGRITY_EXCEPTION"
    assert org.create("Task", WhoId=org.ids["lee"])


def test_fifty_contacts_at_most(org: Org) -> None:
    body = {"records": [{"attributes": {"type": "Contact"}, "LastName": f"N{n}"} for n in range(51)]}
    ids = [r["id"] for r in org.call("POST", "composite/sobjects", body)[1]]
    assert org.refused("POST", "sobjects/Task", {"TaskWhoIds": ids})["errorCode"] == "FIELD_INTEGRITY_EXCEPTION"
    assert org.create("Task", TaskWhoIds=ids[:50])


def test_without_shared_activities_there_is_one_who(org: Org) -> None:
    org.act("org", shared_activities=False)
    task = org.create("Task", Subject="x", WhoId=org.ids["jane"])
    assert "TaskWhoIds" not in org.call("GET", f"sobjects/Task/{task}")[1]
    org.nonsense()
    assert org.refused("POST", "sobjects/Task", {"TaskWhoIds": [org.ids["jane"]]})["errorCode"] == "INVALID_FIELD"
    assert org.refused("GET", "query", params={"q": "SELECT Id FROM TaskRelation"})["errorCode"] == "INVALID_TYPE"


def test_closed_follows_status(org: Org) -> None:
    task = org.create("Task", Subject="x")
    row = org.call("GET", f"sobjects/Task/{task}")[1]
    assert (row["Status"], row["Priority"], row["IsClosed"]) == ("Not Started", "Normal", False)
    org.call("PATCH", f"sobjects/Task/{task}", {"Status": "Completed"})
    row = org.call("GET", f"sobjects/Task/{task}")[1]
    assert row["IsClosed"] is True
    assert row["CompletedDateTime"] is not None
    org.call("PATCH", f"sobjects/Task/{task}", {"Status": "In Progress"})
    row = org.call("GET", f"sobjects/Task/{task}")[1]
    assert (row["IsClosed"], row["CompletedDateTime"]) == (False, None)


def test_old_closed_activities_are_archived(org: Org) -> None:
    org.create("Task", Subject="old", ActivityDate="2020-01-01", Status="Completed")
    org.create("Task", Subject="open", ActivityDate="2020-01-01")
    assert [r["Subject"] for r in org.rows("SELECT Subject FROM Task")] == ["open"]
    assert len(org.rows("SELECT Subject FROM Task", "queryAll")) == 2


def test_wide_queries_are_too_large(org: Org) -> None:
    org.create("Task", Subject="x")
    org.frame.settings["salesforce_too_large"] = 1
    error = org.refused("GET", "query", params={"q": "SELECT Id FROM Task WHERE Subject = 'x'"})
    assert error["errorCode"] == "OPERATION_TOO_LARGE"
    bound = f"SELECT Id FROM Task WHERE Subject = 'x' AND OwnerId = '{org.ids['anna']}'"
    assert len(org.rows(bound)) == 1


def event(org: Org, **fields: Any) -> dict[str, Any]:
    made = org.create("Event", **{"Subject": "Meeting", "StartDateTime": "2026-12-01T10:00:00Z", **fields})
    return dict(org.call("GET", f"sobjects/Event/{made}")[1])


def test_an_event_needs_an_end_or_a_duration(org: Org) -> None:
    row = event(org, EndDateTime="2026-12-01T11:30:00+01:00")
    assert (row["DurationInMinutes"], row["EndDateTime"]) == (30, "2026-12-01T10:30:00.000+0000")
    assert event(org, DurationInMinutes=45)["EndDateTime"] == "2026-12-01T10:45:00.000+0000"
    long = {"StartDateTime": "2026-12-01T10:00:00Z", "DurationInMinutes": 15 * 1440}
    assert org.refused("POST", "sobjects/Event", long)["errorCode"] == "FIELD_INTEGRITY_EXCEPTION"
    torn = {"StartDateTime": "2026-12-01T10:00:00Z", "EndDateTime": "2026-12-01T11:00:00Z", "DurationInMinutes": 5}
    assert org.refused("POST", "sobjects/Event", torn)["errorCode"] == "FIELD_INTEGRITY_EXCEPTION"
    org.nonsense()
    error = org.refused("POST", "sobjects/Event", {"StartDateTime": "2026-12-01T10:00:00Z"})
    assert error["errorCode"] == "REQUIRED_FIELD_MISSING"


def test_all_day_events_stand_at_utc_midnight(org: Org) -> None:
    made = org.create("Event", Subject="Fair", IsAllDayEvent=True, ActivityDate="2026-12-24")
    row = org.call("GET", f"sobjects/Event/{made}")[1]
    assert (row["StartDateTime"], row["DurationInMinutes"]) == ("2026-12-24T00:00:00.000+0000", 1440)


def test_a_private_event_has_no_relations(org: Org) -> None:
    body = {
        "StartDateTime": "2026-12-01T10:00:00Z",
        "DurationInMinutes": 5,
        "IsPrivate": True,
        "WhoId": org.ids["jane"],
    }
    assert org.refused("POST", "sobjects/Event", body)["errorCode"] == "FIELD_INTEGRITY_EXCEPTION"


def test_an_invited_user_gets_a_child_copy(org: Org) -> None:
    row = event(org, DurationInMinutes=30, EventWhoIds=[org.ids["jane"]], UndecidedEventInviteeIds=[org.ids["ben"]])
    assert (row["WhoId"], row["IsGroupEvent"], row["UndecidedEventInviteeIds"]) == (
        org.ids["jane"], True, [org.ids["ben"]])  # fmt: skip
    child = org.one("SELECT Id, OwnerId, Subject FROM Event WHERE IsChild = true")
    assert (child["OwnerId"], child["Subject"]) == (org.ids["ben"], "Meeting")
    org.call("PATCH", f"sobjects/Event/{row['Id']}", {"Subject": "Moved", "StartDateTime": "2026-12-02T10:00:00Z"})
    assert org.one("SELECT Subject, EndDateTime FROM Event WHERE IsChild = true") == {
        "Subject": "Moved", "EndDateTime": "2026-12-02T10:30:00.000+0000"}  # fmt: skip
    path = f"sobjects/Event/{child['Id']}"
    assert org.refused("PATCH", path, {"Subject": "x"})["errorCode"] == "INSUFFICIENT_ACCESS_OR_READONLY"
    assert org.call("PATCH", path, {"IsReminderSet": True, "ReminderDateTime": "2026-12-02T09:00:00Z"})[0] == 204
    org.call("DELETE", f"sobjects/Event/{row['Id']}")
    assert org.rows("SELECT Id FROM Event") == []


def test_series_are_not_simulated(org: Org) -> None:
    body = {"StartDateTime": "2026-12-01T10:00:00Z", "DurationInMinutes": 5,
            "Recurrence2PatternText": "RRULE:FREQ=DAILY;COUNT=3"}  # fmt: skip
    assert org.refused("POST", "sobjects/Event", body, 501)["errorCode"] == "NOT_IMPLEMENTED"
