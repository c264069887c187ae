"""Folders, translation of ids, users: rows GR-17 and GR-18 of `providers.md 11.3`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.graph_client import ERIK, IMMUTABLE, Graph, eml

STAMP = "String {6ed8da90-450b-101b-98da-00aa003f1305} Name CrmFolder"
CHILDREN = "/mailFolders/inbox/childFolders"


def names(found: list[Any]) -> set[str]:
    return {folder["displayName"] for folder in found}


def test_gr_17_folders_are_listed_below_their_parents(graph: Graph) -> None:
    top = graph.all("/mailFolders")
    assert {"Inbox", "Sent Items", "Drafts", "Deleted Items", "Archive", "Travel"} <= names(top)
    travel = next(f for f in top if f["displayName"] == "Travel")
    assert travel["childFolderCount"] == 1
    assert names(graph.all(f"/mailFolders/{travel['id']}/childFolders")) == {"2026"}
    expanded = graph.get(f"/mailFolders/{travel['id']}?$expand=childFolders($select=displayName)")
    assert names(expanded["childFolders"]) == {"2026"}
    assert travel["parentFolderId"] == graph.get("/mailFolders/msgfolderroot")["id"]


@pytest.mark.parametrize("name", ["inbox", "SentItems", "drafts", "deleteditems", "archive", "junkemail"])
def test_gr_17_well_known_names(graph: Graph, name: str) -> None:
    found = graph.get(f"/mailFolders/{name}")
    assert graph.get(f"/mailFolders('{found['id']}')")["displayName"] == found["displayName"]


def test_gr_17_a_sibling_of_the_same_name_is_refused(graph: Graph) -> None:
    made = graph.post(CHILDREN, {"displayName": "Deals"})
    again = graph.call("POST", CHILDREN, {"displayName": "DEALS"})
    assert (again.status, again.code) == (409, "ErrorFolderExists")
    other = graph.post("/mailFolders", {"displayName": "Deals"})
    graph.post(f"/mailFolders/{other['id']}/childFolders", {"displayName": "Deals"})
    assert graph.call("PATCH", f"/mailFolders/{other['id']}", {"displayName": "Travel"}).code == "ErrorFolderExists"
    assert graph.call("POST", f"/mailFolders/{made['id']}/move", {"destinationId": "msgfolderroot"}).status == 409
    graph.nonsense()
    for wrong in ({"displayName": " "}, {"displayName": "x" * 256}, {}, {"name": "x"}, {"displayName": 5}):
        assert graph.call("POST", CHILDREN, wrong).status == 400, wrong


def test_gr_17_counts_are_right_at_once(graph: Graph) -> None:
    made = graph.post(CHILDREN, {"displayName": "- Create New Email"})
    told = [graph.deliver(eml(ident=str(n))) for n in range(3)]
    for number, one in enumerate(told):
        graph.post(f"/messages/{one['id']}/move", {"destinationId": made["id"]})
        assert graph.get(f"/mailFolders/{made['id']}")["totalItemCount"] == number + 1
    graph.patch(f"/messages/{told[0]['immutableId']}", {"isRead": True})
    found = graph.all(f"{CHILDREN}?$filter=totalItemCount gt 0&$select=totalItemCount,unreadItemCount")
    assert [(f["totalItemCount"], f["unreadItemCount"]) for f in found] == [(3, 2)]
    assert graph.get("/mailFolders/inbox")["totalItemCount"] == 0


def test_gr_17_hidden_folders_come_on_request(graph: Graph) -> None:
    graph.post(CHILDREN, {"displayName": "Secret", "isHidden": True})
    assert graph.all(CHILDREN) == []
    assert names(graph.all(f"{CHILDREN}?includeHiddenFolders=true")) == {"Secret"}
    assert graph.get("/mailFolders/inbox")["childFolderCount"] == 0


def test_folders_are_renamed_moved_and_deleted_by_their_constant_id(graph: Graph) -> None:
    made = graph.post(CHILDREN, {"displayName": "Deals"})
    path = f"/mailFolders/{made['id']}"
    inner = graph.post(f"{path}/childFolders", {"displayName": "Won"})
    told = graph.act("drop", message=graph.deliver()["id"], to="Inbox/Deals/Won")
    assert graph.patch(path, {"displayName": "Chances"})["displayName"] == "Chances"
    moved = graph.post(f"{path}/move", {"destinationId": "msgfolderroot"}, **IMMUTABLE)
    assert (moved["id"], moved["parentFolderId"]) == (made["id"], graph.get("/mailFolders/msgfolderroot")["id"])
    graph.sandbox.settings(record=False)  # the slice does not go so deep
    assert graph.get(f"{path}/childFolders/{inner['id']}/messages")["value"][0]["id"] == told["id"]
    graph.sandbox.settings(record=True)
    copied = graph.post(f"{path}/copy", {"destinationId": "archive"})
    assert graph.get(f"/mailFolders/{copied['id']}")["childFolderCount"] == 1
    assert graph.call("DELETE", path).status == 204  # into Deleted Items, with its items; from there it is gone
    assert graph.get(path)["parentFolderId"] == graph.get("/mailFolders/deleteditems")["id"]
    assert graph.get(f"/messages/{told['immutableId']}")["parentFolderId"] == inner["id"]
    assert graph.call("DELETE", path).status == 204
    for gone in (path, f"/mailFolders/{inner['id']}", f"/messages/{told['id']}"):
        assert graph.call("GET", gone).status == 404
    graph.nonsense()
    assert graph.call("DELETE", "/mailFolders/inbox").status == 403
    assert graph.call("PATCH", "/mailFolders/inbox", {"displayName": "In"}).status == 400
    archive = {"destinationId": copied["id"]}
    assert graph.call("POST", f"/mailFolders/{copied['id']}/move", archive).status == 400


def test_a_folder_can_be_stamped_and_found_by_its_stamp(graph: Graph) -> None:
    stamp = {"singleValueExtendedProperties": [{"id": STAMP, "value": "root"}]}
    made = graph.post(CHILDREN, {"displayName": "Deals"} | stamp)
    plain = graph.post(CHILDREN, {"displayName": "Other"})
    find = f"{CHILDREN}?$filter=singleValueExtendedProperties/any(e: e/id eq '{STAMP}' and e/value eq 'root')"
    assert [f["id"] for f in graph.all(find)] == [made["id"]]
    graph.patch(f"/mailFolders/{plain['id']}", stamp)
    expand = f"{CHILDREN}?$expand=singleValueExtendedProperties($filter=id eq '{STAMP}')"
    assert [f["singleValueExtendedProperties"][0]["value"] for f in graph.all(expand)] == ["root", "root"]


def test_gr_18_ids_are_translated(graph: Graph) -> None:
    told = graph.deliver()
    ews = told["id"].replace("-", "/").replace("_", "+")
    body = {"inputIds": [ews, "nonsense"], "sourceIdType": "ewsId", "targetIdType": "restImmutableEntryId"}
    good, bad = graph.post("/translateExchangeIds", body)["value"]
    assert good == {"sourceId": ews, "targetId": told["immutableId"]}
    assert bad["errorDetails"]["code"] == "ErrorItemNotFound"
    back = {"inputIds": [told["immutableId"]], "sourceIdType": "restImmutableEntryId", "targetIdType": "ewsId"}
    assert graph.post("/translateExchangeIds", back)["value"][0]["targetId"] == ews
    graph.nonsense()
    assert graph.call("POST", "/translateExchangeIds", body | {"inputIds": ["x"] * 1001}).status == 400
    assert graph.call("POST", "/translateExchangeIds", body | {"targetIdType": "x"}).status == 400


def test_users(graph: Graph) -> None:
    found = graph.get(f"//users/{ERIK}")
    assert (found["displayName"], found["mail"]) == ("Erik Johansson", ERIK)
    assert graph.get(f"//users/{found['id']}?$select=proxyAddresses")["proxyAddresses"] == [
        f"SMTP:{ERIK}", "smtp:ej@northpeak.example"]  # fmt: skip
    assert [u["mail"] for u in graph.all(f"//users?$filter=mail eq '{ERIK}'")] == [ERIK]
    assert len(graph.all("//users?$top=1")) == 2
    assert graph.get("//me")["id"] == found["id"]
    assert graph.get("/mailboxSettings")["timeZone"] == "UTC"
    assert (
        graph.patch("/mailboxSettings", {"timeZone": "W. Europe Standard Time"})["timeZone"]
        == "W. Europe Standard Time"
    )


def test_a_mailbox_without_licence(graph: Graph) -> None:
    graph.act("suspend")
    assert graph.call("GET", "/mailFolders").code == "MailboxNotEnabledForRESTAPI"
    graph.act("suspend", value=False)
    assert graph.all("/mailFolders")


def test_sim_9_pages_can_be_tiny(graph: Graph) -> None:
    whole = names(graph.all("/mailFolders"))
    graph.act("create_category", name="Second")
    graph.sandbox.settings(page_size=1)
    assert names(graph.all("/mailFolders")) == whole
    assert names(graph.all("/outlook/masterCategories")) == {"Key customer", "Second"}


def test_a_deleted_folder_takes_a_free_name_and_may_be_gone_at_once(graph: Graph) -> None:
    for number in range(2):
        made = graph.post(CHILDREN, {"displayName": "Deals"})
        assert graph.call("DELETE", f"/mailFolders/{made['id']}").status == 204
        assert graph.get(f"/mailFolders/{made['id']}")["displayName"] == ("Deals1" if number else "Deals")
    for how in ("permanentDelete", "setting"):
        made = graph.post(CHILDREN, {"displayName": "Deals"})
        if how == "setting":
            graph.sandbox.settings(graph_delete_folder_to="")
            graph.call("DELETE", f"/mailFolders/{made['id']}")
        else:
            graph.post(f"/mailFolders/{made['id']}/permanentDelete")
        assert graph.call("GET", f"/mailFolders/{made['id']}").status == 404


def test_hundreds_of_child_folders_by_batches_pages_and_delta(graph: Graph) -> None:
    parent = graph.post("/mailFolders", {"displayName": "Assign To"})["id"]
    link = graph.get("/mailFolders/delta")
    while "@odata.nextLink" in link:
        link = graph.get(link["@odata.nextLink"])
    kind, path = {"Content-Type": "application/json"}, f"/users/{ERIK}/mailFolders/{parent}/childFolders"
    wanted = {f"[{n}] Item {n}" for n in range(300)}
    ordered = sorted(wanted)
    for at in range(0, 300, 20):
        parts: list[Any] = []
        for name in ordered[at : at + 20]:
            waits = {"dependsOn": [parts[-1]["id"]]} if parts else {}
            parts.append({"id": name, "method": "POST", "url": path, "headers": kind, "body": {"displayName": name}})
            parts[-1] |= waits
        assert {part["status"] for part in graph.batch(*parts).values()} == {201}
    below = f"/mailFolders/{parent}/childFolders?$select=displayName"
    assert len(graph.get(below)["value"]) == 10  # the usual page
    assert names(graph.all(f"{below}&$top=250")) == names(graph.all(below)) == wanted
    assert graph.get(f"/mailFolders/{parent}")["childFolderCount"] == 300
    told, page = set(), graph.get(link["@odata.deltaLink"])
    while True:
        told |= names(page["value"])
        if "@odata.deltaLink" in page:
            break
        page = graph.get(page["@odata.nextLink"])
    assert wanted <= told
