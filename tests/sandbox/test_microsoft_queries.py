"""Lists of messages, what may be asked, and what is refused: SIM-4 and GR-18 of `providers.md 11`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.graph_client import Graph, eml


def test_lists_are_selected_filtered_sorted_and_paged(graph: Graph) -> None:
    for number in range(25):
        graph.deliver(eml(f"Mail {number:02d}", ident=str(number)), date=f"2026-03-{number + 1:02d}T08:00:00+00:00",
                      read=number % 5 == 0)  # fmt: skip
    path = "/mailFolders/inbox/messages?$select=subject"
    newest = graph.get(path)
    assert [m["subject"] for m in newest["value"]] == [f"Mail {n:02d}" for n in range(24, 14, -1)]
    assert newest["value"][0].keys() == {"@odata.etag", "id", "subject"}
    assert len(graph.all(path)) == len(graph.all(f"{path}&$top=7")) == 25
    assert graph.get(f"{path}&$top=3&$count=true")["@odata.count"] == 25
    assert graph.get(f"{path}&$orderby=subject&$top=1&$skip=2")["value"][0]["subject"] == "Mail 02"
    read = "$filter=isRead eq true and receivedDateTime lt 2026-03-10T00:00:00Z"
    assert [m["subject"] for m in graph.all(f"{path}&{read}")] == ["Mail 05", "Mail 00"]
    text = "$filter=startswith(subject,'mail 1') and not(contains(subject,'5'))"
    assert len(graph.all(f"{path}&{text}")) == 9
    sender = "$filter=from/emailAddress/address eq 'KIM@acme.example'"
    assert len(graph.all(f"{path}&{sender}")) == 25
    assert len(graph.all("/messages?$filter=internetMessageId eq '<7@acme.example>'")) == 1
    assert graph.get("/mailFolders/inbox/messages/$count?$filter=isRead eq false") == b"20"
    graph.sandbox.settings(page_size=2)
    assert len(graph.all(path)) == 25


@pytest.mark.parametrize(("path", "code"), [
    ("?$filter=conversationId eq 'x'&$orderby=receivedDateTime", "InefficientFilter"),
    ("?$filter=isRead eq true or isDraft eq true&$orderby=isRead", "ErrorInvalidUrlQuery"),
    ("?$select=labels", "RequestBroker--ParseUri"),
    ("?$filter=labels eq 'x'", "RequestBroker--ParseUri"),
    ("?$filter=subject like 'x'", "BadRequest"),
    ("?$filter=subject eq 'x", "BadRequest"),
    ("?$filter=receivedDateTime ge 'x'", "BadRequest"),
    ("?$filter=body eq 'x'", "ErrorInvalidUrlQueryFilter"),
    ("?$filter=toRecipients/any(r:r/emailAddress/address eq 'x')", "ErrorInvalidUrlQueryFilter"),
    ("?$top=1001", "BadRequest"), ("?$top=x", "BadRequest"), ("?$skip=-1", "BadRequest"),
    ("?$orderby=body", "ErrorInvalidUrlQuery"), ("?$expand=folders", "RequestBroker--ParseUri"),
    ("?$expand=singleValueExtendedProperties", "ErrorInvalidUrlQuery"),
    ("?$expand=singleValueExtendedProperties($filter=id eq 'Nonsense 1')", "ErrorInvalidExtendedPropertyId"),
    ("?$nothing=1", "ErrorInvalidUrlQuery"), ("?nothing=1", "ErrorInvalidUrlQuery"), ("?$top=1&$top=2", "BadRequest"),
    ("?$search=x", "NotImplemented"), ("/nix", "ErrorItemNotFound"), ("/nix/nix", "BadRequest"),
])  # fmt: skip
def test_gr_18_what_graph_does_not_take(graph: Graph, path: str, code: str) -> None:
    graph.nonsense()
    reply = graph.call("GET", f"/messages{path}")
    assert reply.code == code
    assert {"date", "request-id", "client-request-id"} == set(reply.body["error"]["innerError"])
    assert reply.headers["request-id"] == reply.body["error"]["innerError"]["request-id"]


def test_gr_18_filter_first_by_what_is_sorted(graph: Graph) -> None:
    for number in range(3):
        graph.deliver(eml(f"Mail {number}", ident=str(number)), date=f"2026-03-0{number + 1}T08:00:00+00:00")
    wanted = "$filter=receivedDateTime ge 2026-03-02T00:00:00Z and isRead eq false&$orderby=receivedDateTime"
    assert [m["subject"] for m in graph.all(f"/messages?{wanted}")] == ["Mail 1", "Mail 2"]
    graph.nonsense()
    swapped = "$filter=isRead eq false and receivedDateTime ge 2026-03-02T00:00:00Z&$orderby=receivedDateTime"
    assert graph.call("GET", f"/messages?{swapped}").code == "InefficientFilter"


@pytest.mark.parametrize("body", [
    {"title": "x"}, {"subject": 5}, {"categories": "A"}, {"toRecipients": [{"address": "x"}]}, {"isRead": "true"},
    {"body": {"contentType": "rtf", "content": "x"}}, {"importance": "highest"}, {"flag": {"flagStatus": "x"}},
    {"flag": {"status": "flagged"}}, {"attachments": [{"name": "x"}]},
    {"singleValueExtendedProperties": [{"id": "Integer 0x0E07", "value": "x"}]},
    {"singleValueExtendedProperties": [{"id": "nonsense", "value": "x"}]},
    {"internetMessageHeaders": [{"name": "Subject", "value": "x"}]},
])  # fmt: skip
def test_sim_4_a_wrong_body_makes_nothing(graph: Graph, body: dict[str, Any]) -> None:
    graph.nonsense()
    assert graph.call("POST", "/messages", body).status == 400
    assert graph.all("/messages") == []


def test_sim_4_unknown_paths_methods_and_bodies(graph: Graph) -> None:
    graph.nonsense()
    assert graph.call("GET", "/nothing").status == 400
    assert graph.call("PUT", "/messages", {}).status == 405
    assert graph.call("GET", "//users/nobody@northpeak.example/messages").code == "ErrorInvalidUser"
    assert graph.call("GET", "//users/ej@northpeak.example").code == "Request_ResourceNotFound"  # an alias is no name
    assert graph.call("POST", "/messages", raw=b"{", Content_Type="application/json").status == 400
    assert graph.call("POST", "/messages", raw=b"<x/>", Content_Type="application/xml").status == 400
    for path in ("/events", "/mailFolders/inbox/messageRules", "/messages/x/extensions", "//groups"):
        assert graph.call("GET", path).status == 501, path
    assert graph.call("GET", "https://localhost/beta/me".replace("https://localhost", graph.root[:-5])).status == 400
