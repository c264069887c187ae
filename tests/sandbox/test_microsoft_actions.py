"""What users do in Outlook, through the control API (`providers.md SIM-7`)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.graph_client import Graph, eml
from tests.sandboxed import Refused


def only(graph: Graph, folder: str) -> dict[str, Any]:
    """The one message of a folder."""
    (found,) = graph.all(f"/mailFolders/{folder}/messages")
    return dict(found)


def test_a_message_is_dragged_and_copied(graph: Graph) -> None:
    told = graph.deliver()
    moved = graph.act("drop", message_id="<1@acme.example>", to="Travel/2026")
    assert (moved["folder"], moved["id"] != told["id"]) == ("Travel/2026", True)
    copied = graph.act("drop", message=moved["id"], to="Archive", copy=True)
    assert copied["immutableId"] != moved["immutableId"]
    assert only(graph, "archive")["internetMessageId"] == "<1@acme.example>"
    assert (
        graph.act("drop", message_id="1@acme.example", folder="Archive", to="inbox")["id"] == only(graph, "inbox")["id"]
    )


def test_categories_as_the_menu_sets_them(graph: Graph) -> None:
    ident = graph.deliver(categories=["Customer"])["immutableId"]
    assert graph.act("set_categories", message=ident, add=["Track in CRM"])["categories"] == [
        "Customer",
        "Track in CRM",
    ]
    assert graph.act("set_categories", message=ident, remove=["CUSTOMER"])["categories"] == ["Track in CRM"]
    assert graph.act("set_categories", message=ident, categories=[])["categories"] == []


def test_mail_arrives_in_every_way(graph: Graph) -> None:
    graph.deliver()
    assert only(graph, "inbox")["isRead"] is False
    graph.deliver(eml(ident="2"), sent=True)
    assert only(graph, "sentitems")["isRead"] is True
    graph.deliver(eml(ident="3"), folder="Junk Email", read=True, date="2026-01-02T03:04:05+00:00")
    junk = only(graph, "junkemail")
    assert (junk["isRead"], junk["receivedDateTime"]) == (True, "2026-01-02T03:04:05Z")


def test_marks(graph: Graph) -> None:
    ident = graph.deliver()["id"]
    before = only(graph, "inbox")["changeKey"]
    graph.act("mark_read", message=ident)
    graph.act("flag", message=ident)
    found = only(graph, "inbox")
    assert (found["isRead"], found["flag"]["flagStatus"], found["changeKey"] != before) == (True, "flagged", True)
    graph.act("mark_read", message=ident, value=False)
    graph.act("flag", message=ident, value="complete")
    found = only(graph, "inbox")
    assert (found["isRead"], found["flag"]["flagStatus"]) == (False, "complete")


def test_a_subject_is_edited(graph: Graph) -> None:
    told = graph.deliver()
    changed = graph.act("change_subject", message=told["id"], subject="[1] Widgets for Acme")
    assert changed["conversationId"] != told["conversationId"]
    assert only(graph, "inbox")["subject"] == "[1] Widgets for Acme"
    assert b"Subject: [1] Widgets for Acme" in graph.get(f"/messages/{told['id']}/$value")


def test_messages_and_folders_are_deleted(graph: Graph) -> None:
    ident = graph.deliver()["immutableId"]
    assert graph.act("delete_message", message=ident)["folder"] == "Deleted Items"
    graph.act("delete_message", message=ident, forever=True)
    assert graph.call("GET", f"/messages/{ident}").status == 404
    assert graph.act("delete_folder", folder="Travel/2026")["path"] == "Deleted Items/2026"
    graph.act("create_folder", parent="Travel", name="2026")
    assert graph.act("delete_folder", folder="Travel/2026")["path"] == "Deleted Items/20261"
    gone = graph.act("delete_folder", folder="Travel", forever=True)["deleted"]
    assert graph.call("GET", f"/mailFolders/{gone}").status == 404


def test_folders_are_made_renamed_and_moved(graph: Graph) -> None:
    made = graph.act("create_folder", path="CRM/AssignTo/Accounts")
    graph.act("rename_folder", folder="CRM/AssignTo", name="Assign To")
    moved = graph.act("move_folder", folder=made["id"], to="inbox")
    assert (moved["id"], moved["path"]) == (made["id"], "Inbox/Accounts")
    assert graph.act("move_folder", folder="Inbox/Accounts", to="msgfolderroot")["path"] == "Accounts"
    slashed = graph.act("create_folder", name="A/B")
    assert graph.act("rename_folder", folder="A/B", name="C")["id"] == slashed["id"]


def test_the_list_of_categories(graph: Graph) -> None:
    graph.act("create_category", name="Own", color="preset3")
    graph.act("delete_category", name="key customer")
    assert [(c["displayName"], c["color"]) for c in graph.all("/outlook/masterCategories")] == [("Own", "preset3")]


@pytest.mark.parametrize(("action", "body", "status"), [
    ("nothing", {}, 404), ("drop", {"message": "x", "to": "Travel"}, 404), ("drop", {"to": "Travel"}, 400),
    ("create_folder", {"name": "travel"}, 400), ("flag", {"message_id": "1@acme.example", "value": "x"}, 400),
    ("rename_folder", {"folder": "Inbox", "name": "x"}, 400), ("rename_folder", {"folder": "Nix", "name": "x"}, 404),
    ("sign_in_fault", {"code": 1}, 400), ("lifecycle", {"event": "x"}, 400), ("delete_category", {"name": "x"}, 404),
])  # fmt: skip
def test_actions_that_make_no_sense(graph: Graph, action: str, body: dict[str, Any], status: int) -> None:
    graph.deliver()
    with pytest.raises(Refused) as refusal:
        graph.act(action, **body)
    assert refusal.value.status == status


def test_the_dump_tells_everything(graph: Graph) -> None:
    graph.deliver(categories=["A"])
    box = graph.sandbox.state("microsoft")["mailboxes"][graph.user]
    (message,) = box["messages"]
    assert (message["folder"], message["categories"], message["messageId"]) == ("Inbox", ["A"], "<1@acme.example>")
    assert "Travel/2026" in box["folders"].values()
    assert box["categories"] == {"Key customer": "preset0"}
