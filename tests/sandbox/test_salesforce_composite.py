"""Several writes in one call, limits and sizes (`providers.md` SF-6 to SF-8, SF-12, SF-21, SF-22)."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.sandbox.salesforce_client import Org

Part = dict[str, Any]
HALTED = "The transaction was rolled back since another operation in the same transaction failed."


def post(org: Org, reference: str, sobject: str, **body: Any) -> Part:
    return {"method": "POST", "url": f"{org.base}/sobjects/{sobject}", "referenceId": reference, "body": body}


def get(org: Org, reference: str, path: str) -> Part:
    return {"method": "GET", "url": f"{org.base}/{path}", "referenceId": reference}


def composite(org: Org, parts: list[Part], all_or_none: bool = False) -> list[Part]:
    status, answer = org.call("POST", "composite", {"allOrNone": all_or_none, "compositeRequest": parts})
    assert status == 200, answer
    return list(answer["compositeResponse"])


def codes(answers: list[Part]) -> list[Any]:
    return [a["body"][0]["errorCode"] if a["httpStatusCode"] >= 400 else a["httpStatusCode"] for a in answers]


def test_references_between_parts(org: Org) -> None:
    answers = composite(org, [
        post(org, "account", "Account", Name="New"),
        post(org, "contact", "Contact", LastName="Person", AccountId="@{account.id}"),
        get(org, "read", "query?q=SELECT+Id,Name+FROM+Account+WHERE+Id='@{account.id}'"),
        get(org, "row", "sobjects/Contact/@{contact.id}?fields=AccountId"),
        {"method": "PATCH", "url": f"{org.base}/sobjects/Contact/@{{contact.id}}", "referenceId": "change",
         "body": {"Title": "@{read.records[0].Name}"}},
    ])  # fmt: skip
    assert codes(answers) == [201, 201, 200, 200, 204]
    assert answers[0]["httpHeaders"]["Location"] == f"{org.base}/sobjects/Account/{answers[0]['body']['id']}"
    assert answers[3]["body"]["AccountId"] == answers[0]["body"]["id"]
    assert org.one("SELECT Title FROM Contact WHERE LastName = 'Person'")["Title"] == "New"


def test_without_all_or_none_the_rest_stays(org: Org) -> None:
    org.nonsense()
    answers = composite(org, [post(org, "a", "Account", Name="A"), post(org, "b", "Account"),
                              post(org, "c", "Contact", LastName="c", AccountId="@{b.id}")])  # fmt: skip
    assert codes(answers) == [201, "REQUIRED_FIELD_MISSING", "PROCESSING_HALTED"]
    assert "Invalid reference specified. No value for b.id found in b" in answers[2]["body"][0]["message"]
    assert len(org.rows("SELECT Id FROM Account WHERE Name = 'A'")) == 1


def test_all_or_none_rolls_everything_back(org: Org) -> None:
    org.nonsense()
    before = org.vendor.state()
    answers = composite(org, [post(org, "a", "Account", Name="A"),
                              post(org, "b", "Contact", LastName="B", AccountId="@{a.id}"),
                              post(org, "c", "Account"), post(org, "d", "Account", Name="D")], True)  # fmt: skip
    assert codes(answers) == ["PROCESSING_HALTED", "PROCESSING_HALTED", "REQUIRED_FIELD_MISSING", "PROCESSING_HALTED"]
    assert answers[0]["body"][0]["message"] == HALTED
    assert org.vendor.state() == before
    assert org.rows("SELECT Id FROM AccountContactRelation WHERE Contact.LastName = 'B'") == []


def test_composite_limits(org: Org) -> None:
    org.nonsense()
    many = [get(org, f"r{n}", "limits") for n in range(26)]
    assert org.refused("POST", "composite", {"compositeRequest": many})["errorCode"] == "LIMIT_EXCEEDED"
    queries = [get(org, f"q{n}", "query?q=SELECT+Id+FROM+User") for n in range(6)]
    assert org.refused("POST", "composite", {"compositeRequest": queries})["errorCode"] == "LIMIT_EXCEEDED"
    assert codes(composite(org, queries[:5])) == [200] * 5
    twice = [get(org, "same", "limits")] * 2
    assert org.refused("POST", "composite", {"compositeRequest": twice})["errorCode"] == "INVALID_INPUT"


def graphs(org: Org, *lists: list[Part]) -> list[dict[str, Any]]:
    body = {"graphs": [{"graphId": f"g{n}", "compositeRequest": parts} for n, parts in enumerate(lists)]}
    status, answer = org.call("POST", "composite/graph", body)
    assert status == 200, answer
    return list(answer["graphs"])


def outcome(graph: dict[str, Any]) -> list[Any]:
    return codes(graph["graphResponse"]["compositeResponse"])


def test_graphs_are_independent_and_each_all_or_none(org: Org) -> None:
    org.nonsense()
    good = [post(org, "a", "Account", Name="Good"), post(org, "c", "Contact", LastName="G", AccountId="@{a.id}")]
    bad = [post(org, "a", "Account", Name="Bad"), post(org, "c", "Contact", AccountId="@{a.id}")]
    first, second, third = graphs(org, good, bad, good)
    assert (first["isSuccessful"], second["isSuccessful"], third["isSuccessful"]) == (True, False, True)
    assert outcome(first) == [201, 201]
    assert outcome(second) == ["PROCESSING_HALTED", "REQUIRED_FIELD_MISSING"]
    assert len(org.rows("SELECT Id FROM Account WHERE Name = 'Good'")) == 2
    assert org.rows("SELECT Id FROM Account WHERE Name = 'Bad'") == []


def test_a_locked_row_fails_its_graph_only(org: Org) -> None:
    org.act("lock", target=org.ids["acme"])
    parts = [post(org, "t", "Task", Subject="x", WhatId=org.ids["acme"])]
    first, second = graphs(org, parts, [post(org, "t", "Task", Subject="y", WhatId=org.ids["deal"])])
    assert (outcome(first), outcome(second)) == (["UNABLE_TO_LOCK_ROW"], [201])


def test_graphs_halt_after_fourteen_failures(org: Org) -> None:
    org.nonsense()
    answers = graphs(org, *[[post(org, "a", "Account")] for _ in range(14)], [post(org, "a", "Account", Name="Late")])
    assert [outcome(g)[0] for g in answers] == ["REQUIRED_FIELD_MISSING"] * 14 + ["PROCESSING_HALTED"]
    assert org.rows("SELECT Id FROM Account WHERE Name = 'Late'") == []


def test_graph_limits(org: Org) -> None:
    org.nonsense()

    def refused(*lists: list[Part]) -> str:
        body = {"graphs": [{"graphId": f"g{n}", "compositeRequest": parts} for n, parts in enumerate(lists)]}
        return str(org.refused("POST", "composite/graph", body)["errorCode"])

    one = [post(org, "a", "Account", Name="x")]
    assert refused(*[one] * 76) == "LIMIT_EXCEEDED"
    assert refused([post(org, f"a{n}", "Account", Name="x") for n in range(501)]) == "LIMIT_EXCEEDED"
    chain = [post(org, "a0", "Account", Name="x")]
    chain += [post(org, f"a{n}", "Account", Name="x", ParentId=f"@{{a{n - 1}.id}}") for n in range(1, 16)]
    assert refused(chain) == "LIMIT_EXCEEDED"
    assert outcome(graphs(org, chain[:15])[0]) == [201] * 15
    kinds = ("Account", "Contact", "Lead", "Opportunity", "Case", "Task", "Event", "Campaign", "Contract", "Product2",
             "Asset", "Solution", "EmailMessage", "ContentVersion", "Quote", "Note")  # fmt: skip
    assert refused([post(org, f"k{n}", kind) for n, kind in enumerate(kinds)]) == "LIMIT_EXCEEDED"
    assert refused([get(org, "q", "query?q=SELECT+Id+FROM+User")]) == "INVALID_INPUT"
    assert refused([get(org, "d", "sobjects/Contact/describe")]) == "INVALID_INPUT"


def test_collections_tell_each_result(org: Org) -> None:
    org.nonsense()
    records = [{"attributes": {"type": "Contact"}, "LastName": "A", "Ext__c": "1"},
               {"attributes": {"type": "Contact"}},
               {"attributes": {"type": "Account"}, "Name": "B"}]  # fmt: skip
    status, results = org.call("POST", "composite/sobjects", {"records": records})
    assert (status, [r["success"] for r in results]) == (200, [True, False, True])
    assert results[1]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    assert results[1]["errors"][0]["fields"] == ["LastName"]
    _, results = org.call("POST", "composite/sobjects", {"allOrNone": True, "records": [
        {"attributes": {"type": "Account"}, "Name": "Undone"}, {"attributes": {"type": "Account"}}]})  # fmt: skip
    assert results[0]["errors"][0]["statusCode"] == "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert org.rows("SELECT Id FROM Account WHERE Name = 'Undone'") == []
    many = {"records": [records[2]] * 201}
    assert org.refused("POST", "composite/sobjects", many)["errorCode"] == "EXCEEDED_ID_LIMIT"


def test_collections_upsert_read_and_delete(org: Org) -> None:
    records = [{"attributes": {"type": "Contact"}, "LastName": "A", "Ext__c": "1"}]
    made = org.call("PATCH", "composite/sobjects/Contact/Ext__c", {"records": records})[1][0]
    assert made["created"] is True
    assert org.call("PATCH", "composite/sobjects/Contact/Ext__c", {"records": records})[1][0]["created"] is False
    asked = {"ids": f"{made['id']},{org.ids['jane']},003gK0000000000AAA", "fields": "LastName"}
    rows = org.call("GET", "composite/sobjects/Contact", params=asked)[1]
    assert [r and r["LastName"] for r in rows] == ["A", "Doe", None]
    gone = org.call("DELETE", "composite/sobjects", params={"ids": f"{made['id']},{org.ids['deal']}"})[1]
    assert [r["success"] for r in gone] == [True, True]
    assert org.rows("SELECT Id FROM Opportunity") == []


def test_batch_requests_are_independent_and_cost_one_call_each(org: Org) -> None:
    org.nonsense()
    body = {"batchRequests": [{"method": "GET", "url": "v67.0/limits"}, {"method": "GET", "url": "v67.0/nope"},
                              {"method": "PATCH", "url": f"v67.0/sobjects/Contact/{org.ids['jane']}",
                               "richInput": {"Title": "x"}}]}  # fmt: skip
    used = org.call("GET", "limits")[1]["DailyApiRequests"]["Remaining"]
    answer = org.call("POST", "composite/batch", body)[1]
    assert (answer["hasErrors"], [r["statusCode"] for r in answer["results"]]) == (True, [200, 404, 204])
    assert used - org.call("GET", "limits")[1]["DailyApiRequests"]["Remaining"] == 4
    halted = org.call("POST", "composite/batch", {**body, "haltOnError": True})[1]
    assert [r["statusCode"] for r in halted["results"]] == [200, 404, 412]


def test_every_answer_tells_the_usage_and_a_graph_is_one_call(org: Org) -> None:
    def usage() -> str:
        assert org.last is not None
        return org.last.headers["Sforce-Limit-Info"]

    org.call("GET", "limits")
    assert usage() == "api-usage=1/120000"
    graphs(org, [post(org, "a", "Account", Name="x"), post(org, "b", "Account", Name="y")])
    assert usage() == "api-usage=2/120000"
    org.call("GET", "sobjects/Contact/003gK0000000000AAA")
    assert usage() == "api-usage=3/120000"
    org.frame.clock.advance(86401)
    org.call("GET", "limits")
    assert usage() == "api-usage=1/120000"
    methods = org.frame.meter.read()["salesforce"]["methods"]
    assert methods["composite.graph"]["calls"] == 1


@pytest.mark.parametrize("how", ["switch", "count"])
def test_the_daily_limit(org: Org, how: str) -> None:
    if how == "switch":
        org.act("limit_reached", on=True)
    else:
        org.frame.settings["salesforce_daily_calls"] = 1
        org.call("GET", "limits")
    error = org.refused("GET", "limits", status=403)
    assert error == {"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}


def test_too_long_requests(org: Org) -> None:
    org.nonsense()
    ids = ",".join(f"'{org.ids['jane']}'" for _ in range(800))
    long = f"SELECT Id FROM Contact WHERE Id IN ({ids})"
    assert org.call("GET", "query", params={"q": long})[0] == 414
    assert org.call("GET", "limits", headers={"X-Long": "x" * 16_300})[0] == 431
    path = f"query?q={long.replace(' ', '+')}"
    assert codes(composite(org, [get(org, "q", path)])) == [200]


def test_a_composite_of_25_is_quick(org: Org) -> None:
    parts = [post(org, f"c{n}", "Contact", LastName=f"N{n}", AccountId=org.ids["acme"]) for n in range(25)]
    composite(org, parts)
    times = []
    for _ in range(5):
        start = time.thread_time(), time.perf_counter()
        composite(org, parts)
        times.append(time.perf_counter() - start[1])
    assert min(times) < 0.1  # 10 ms on an idle machine; this one may be busy
