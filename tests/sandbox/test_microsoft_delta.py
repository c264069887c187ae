"""Delta queries: rows GR-3 to GR-7 of `providers.md 11.3`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.graph_client import IMMUTABLE, Graph, eml

INBOX = "/mailFolders/inbox/messages/delta"


def rounds(graph: Graph, path: str, **headers: str) -> tuple[list[Any], str, list[int]]:
    """Everything of one round, its deltaLink, and the sizes of its pages."""
    found, sizes, page = [], [], graph.get(path, **headers)
    while True:
        found += page["value"]
        sizes.append(len(page["value"]))
        assert ("@odata.nextLink" in page) is not ("@odata.deltaLink" in page)
        if "@odata.deltaLink" in page:
            return found, page["@odata.deltaLink"], sizes
        page = graph.get(page["@odata.nextLink"], **headers)


def fill(graph: Graph, many: int) -> list[Any]:
    return [
        graph.deliver(eml(f"Mail {n}", ident=str(n)), date=f"2026-03-{n + 1:02d}T08:00:00+00:00") for n in range(many)
    ]


def test_gr_3_both_spellings_and_no_delta_of_the_mailbox(graph: Graph) -> None:
    fill(graph, 2)
    for path in (INBOX, f"{INBOX}()", "/mailFolders('inbox')/messages/microsoft.graph.delta()"):
        found, link, _ = rounds(graph, path)
        assert len(found) == 2
        assert rounds(graph, link)[0] == []
    assert graph.call("GET", "/messages/delta").status == 400
    assert graph.call("GET", "/messages/delta()").status == 400


def test_gr_4_pages_may_be_empty_and_the_delta_link_comes_last(graph: Graph) -> None:
    fill(graph, 7)
    found, _, sizes = rounds(graph, f"{INBOX}?$select=subject&$top=3")
    assert [m["subject"] for m in found] == [f"Mail {n}" for n in range(6, -1, -1)]
    assert sizes == [3, 0, 3, 0, 1, 0]
    reply = graph.call("GET", f"{INBOX}?$select=subject", Prefer="odata.maxpagesize=2")
    assert len(reply.values) == 2
    assert "odata.maxpagesize=2" in reply.headers["Preference-Applied"]
    graph.sandbox.settings(graph_delta_empty_pages=False, page_size=1)
    assert rounds(graph, INBOX)[2] == [1] * 7 + [0]


def test_gr_4_a_link_can_be_followed_again_and_changes_repeat_on_order(graph: Graph) -> None:
    fill(graph, 5)
    first = graph.get(f"{INBOX}?$select=id&$top=2")
    again = [graph.get(first["@odata.nextLink"])["value"] for _ in range(2)]
    assert again[0] == again[1]
    link = rounds(graph, f"{INBOX}?$select=id")[1]
    told = graph.deliver(eml("New", ident="new"))
    assert [len(rounds(graph, link)[0]) for _ in range(2)] == [1, 1]
    after = rounds(graph, link)[1]
    assert rounds(graph, after)[0] == []
    graph.sandbox.settings(graph_delta_replay=True)
    assert [m["id"] for m in rounds(graph, after)[0]] == [told["id"]]


def test_a_round_tells_what_was_made_and_what_changed(graph: Graph) -> None:
    told = fill(graph, 2)
    _, link, _ = rounds(graph, f"{INBOX}?$select=categories")
    graph.patch(f"/messages/{told[0]['id']}", {"categories": ["A"]})
    new = graph.deliver(eml("New", ident="new"))
    found = {m["id"]: m["categories"] for m in rounds(graph, link)[0]}
    assert found == {told[0]["id"]: ["A"], new["id"]: []}
    for kind, wanted in (("created", {new["id"]}), ("updated", {told[1]["id"]}), ("deleted", {told[0]["id"]})):
        _, link, _ = rounds(graph, f"{INBOX}?$select=id&changeType={kind}")
        if kind == "created":
            new = graph.deliver(eml("Newer", ident="newer"))
            wanted = {new["id"]}
        graph.patch(f"/messages/{told[1]['id']}", {"isRead": True})
        if kind == "deleted":
            graph.call("DELETE", f"/messages/{told[0]['id']}")
        assert {m["id"] for m in rounds(graph, link)[0]} == wanted, kind


@pytest.mark.parametrize(("query", "code"), [
    ("$filter=isRead eq true", "ErrorInvalidUrlQueryFilter"),
    ("$filter=receivedDateTime lt 2026-03-01T00:00:00Z", "ErrorInvalidUrlQueryFilter"),
    ("$filter=receivedDateTime ge 2026-03-01 or receivedDateTime ge 2025-03-01", "ErrorInvalidUrlQueryFilter"),
    ("$orderby=subject", "ErrorInvalidUrlQuery"), ("$orderby=receivedDateTime", "ErrorInvalidUrlQuery"),
    ("$search=x", "ErrorInvalidUrlQuery"), ("$skip=1", "ErrorInvalidUrlQuery"),
    ("changeType=x", "ErrorInvalidUrlQuery"),
    ("$deltatoken=latest", "BadRequest"), ("$skiptoken=x", "BadRequest"),
])  # fmt: skip
def test_gr_5_what_a_delta_query_does_not_take(graph: Graph, query: str, code: str) -> None:
    graph.nonsense()
    assert graph.call("GET", f"{INBOX}?{query}").code == code


def test_gr_5_the_filter_bounds_the_first_round(graph: Graph) -> None:
    fill(graph, 5)
    path = f"{INBOX}?$filter=receivedDateTime ge 2026-03-04T00:00:00Z&$orderby=receivedDateTime desc"
    found, link, _ = rounds(graph, path)
    assert [m["subject"] for m in found] == ["Mail 4", "Mail 3"]
    assert "body" in found[0]
    graph.deliver(eml("Old", ident="old"), date="2026-01-01T00:00:00+00:00")
    assert rounds(graph, link)[0] == []
    graph.nonsense()
    assert graph.call("GET", f"{link}&$select=id").status == 400


@pytest.mark.parametrize("how", ["delete", "move", "purge"])
@pytest.mark.parametrize("headers", [{}, IMMUTABLE], ids=["mutable", "immutable"])
def test_gr_6_what_left_the_folder_is_removed(graph: Graph, how: str, headers: dict[str, str]) -> None:
    told = graph.deliver()
    ident = told["immutableId" if headers else "id"]
    _, link, _ = rounds(graph, f"{INBOX}?$select=id", **headers)
    if how == "move":
        graph.post(f"/messages/{ident}/move", {"destinationId": "archive"}, **headers)
    elif how == "delete":
        graph.call("DELETE", f"/messages/{ident}")
    else:
        graph.post(f"/messages/{ident}/permanentDelete")
    found, link, _ = rounds(graph, link, **headers)
    assert found == [{"@odata.type": "#microsoft.graph.message", "id": ident, "@removed": {"reason": "deleted"}}]
    assert rounds(graph, link, **headers)[0] == []


def test_gr_6_there_and_back_again(graph: Graph) -> None:
    ident = graph.deliver()["immutableId"]
    _, link, _ = rounds(graph, f"{INBOX}?$select=id", **IMMUTABLE)
    for target in ("archive", "inbox"):
        graph.post(f"/messages/{ident}/move", {"destinationId": target}, **IMMUTABLE)
    found = rounds(graph, link, **IMMUTABLE)[0]
    assert [m["id"] for m in found] == [ident]
    assert "@removed" not in found[0]


def test_gr_7_links_expire_at_any_time(graph: Graph) -> None:
    fill(graph, 3)
    following = graph.get(f"{INBOX}?$select=id&$top=1")["@odata.nextLink"]
    _, link, _ = rounds(graph, f"{INBOX}?$select=id&$top=1")
    graph.act("expire_delta")
    for old in (following, link):
        gone = graph.call("GET", old)
        assert (gone.status, gone.code) == (410, "SyncStateNotFound")
        assert len(rounds(graph, gone.headers["Location"])[0]) == 3
    graph.sandbox.settings(graph_delta_error="resyncRequired")
    assert (graph.call("GET", link).status, graph.call("GET", link).code) == (400, "resyncRequired")


def test_sim_6_a_link_is_good_for_its_mailbox_and_folder_only(graph: Graph, priya: Graph) -> None:
    token = rounds(graph, f"{INBOX}?$select=id")[1].partition("?")[2]
    graph.nonsense()
    assert priya.call("GET", f"{INBOX}?{token}").status == 400
    assert graph.call("GET", f"/mailFolders/archive/messages/delta?{token}").status == 400


def test_folders_have_a_delta_of_the_whole_mailbox(graph: Graph) -> None:
    found, link, _ = rounds(graph, "/mailFolders/delta")
    by_name = {f["displayName"]: f["id"] for f in found}
    assert {"Inbox", "Travel", "2026"} <= set(by_name)
    made = graph.post("/mailFolders/inbox/childFolders", {"displayName": "Deals"})
    graph.act("delete_folder", folder="Travel/2026", forever=True)
    told = graph.deliver()
    changed, link, _ = rounds(graph, link)
    removed = [f["id"] for f in changed if "@removed" in f]
    assert removed == [by_name["2026"]]
    assert {f["displayName"] for f in changed if "@removed" not in f} == {"Inbox", "Travel", "Deals"}
    graph.act("drop", message=told["id"], to="Inbox/Deals")
    counts = {f["id"]: f["totalItemCount"] for f in rounds(graph, link.replace("/delta?", "/delta()?"))[0]}
    assert counts[made["id"]] == 1
