"""Messages: rows GR-1, 2 and 8 to 13 of `providers.md 11.3`."""

from __future__ import annotations

import base64
import email
from datetime import datetime
from typing import Any

import pytest

from tests.sandbox.graph_client import ANNA, ERIK, IMMUTABLE, PRIYA, Graph, eml

CRM = "String {6ed8da90-450b-101b-98da-00aa003f1305} Name CrmLink"
OTHER = "String {6ed8da90-450b-101b-98da-00aa003f1305} Name crmlink"
EXPAND = f"$expand=singleValueExtendedProperties($filter=id eq '{CRM}')"


def arrived(graph: Graph, raw: str = "", **how: Any) -> Any:
    """A delivered message as Graph shows it."""
    return graph.get(f"/messages/{graph.deliver(raw, **how)['id']}")


def test_gr_1_a_move_gives_a_new_id_and_the_old_one_is_gone(graph: Graph) -> None:
    old = arrived(graph)
    new = graph.post(f"/messages/{old['id']}/move", {"destinationId": "archive"})
    assert new["id"] != old["id"]
    assert new["parentFolderId"] == graph.get("/mailFolders/archive")["id"]
    assert graph.call("GET", f"/messages/{old['id']}").code == "ErrorItemNotFound"
    assert graph.get(f"/messages/{new['id']}")["internetMessageId"] == "<1@acme.example>"


def test_gr_1_an_immutable_id_survives_a_move_and_knows_its_case(graph: Graph) -> None:
    told = graph.deliver()
    found = graph.call("GET", f"/messages/{told['immutableId']}", **IMMUTABLE)
    assert found.headers["Preference-Applied"] == 'IdType="ImmutableId"'
    assert found.body["id"] == told["immutableId"] != told["id"]
    new = graph.post(f"/messages/{told['immutableId']}/move", {"DestinationId": "archive"}, **IMMUTABLE)
    assert new["id"] == told["immutableId"]
    assert graph.get(f"/messages/{told['immutableId']}")["id"] not in (told["id"], told["immutableId"])
    assert graph.call("GET", f"/messages/{told['immutableId'].swapcase()}").status == 404


def test_gr_2_a_copy_keeps_message_id_and_conversation(graph: Graph) -> None:
    old = arrived(graph)
    new = graph.post(f"/messages/{old['id']}/copy", {"destinationId": "archive"}, **IMMUTABLE)
    same = ("internetMessageId", "conversationId", "conversationIndex", "subject", "receivedDateTime")
    assert [new[name] for name in same] == [old[name] for name in same]
    assert len(graph.all("/messages?$select=id", **IMMUTABLE)) == 2


def test_gr_8_a_created_message_is_a_draft_unless_its_flags_say_otherwise(graph: Graph) -> None:
    draft = graph.post("/messages", {"subject": "Plain"})
    assert (draft["isDraft"], draft["parentFolderId"]) == (True, graph.get("/mailFolders/drafts")["id"])
    for value, is_draft, is_read in (("1", False, True), ("0", False, False), ("8", True, False), ("9", True, True)):
        properties = [{"id": "Integer 0x0E07", "value": value},
                      {"id": "SystemTime 0x0E06", "value": "2026-03-01T10:00:00Z"},
                      {"id": "SystemTime 0x0039", "value": "2026-03-01T09:59:00Z"}]  # fmt: skip
        body = {"subject": "Summary", "singleValueExtendedProperties": properties, "toRecipients": [
            {"emailAddress": {"address": ERIK}}], "body": {"contentType": "html", "content": "<p>x</p>"}}  # fmt: skip
        made = graph.post("/mailFolders/inbox/messages", body)
        assert (made["isDraft"], made["isRead"]) == (is_draft, is_read)
        assert (made["receivedDateTime"], made["sentDateTime"]) == ("2026-03-01T10:00:00Z", "2026-03-01T09:59:00Z")
    flags = {"singleValueExtendedProperties": [{"id": "Integer 0x0E07", "value": "1"}]}
    assert graph.patch(f"/messages/{draft['id']}", flags)["isDraft"] is True  # too late


def test_gr_8_mime_makes_a_draft(graph: Graph) -> None:
    raw = base64.b64encode(eml("By MIME").encode())
    made = graph.call("POST", "/mailFolders/inbox/messages", raw=raw, Content_Type="text/plain")
    assert (made.status, made.body["isDraft"], made.body["subject"]) == (201, True, "By MIME")
    graph.nonsense()
    refused = graph.call("POST", "/messages", raw=b"no base64!", Content_Type="text/plain")
    assert refused.code == "ErrorMimeContentInvalidBase64String"


@pytest.mark.parametrize("change", [
    {"subject": "Other"}, {"body": {"contentType": "text", "content": "Other"}}, {"internetMessageId": "<2@x.example>"},
    {"replyTo": [{"emailAddress": {"address": PRIYA}}]},
])  # fmt: skip
def test_gr_9_a_sent_message_keeps_its_content(graph: Graph, change: dict[str, Any]) -> None:
    ident = graph.deliver()["id"]
    reply = graph.call("PATCH", f"/messages/{ident}", change)
    assert (reply.status, reply.code) == (400, "ErrorInvalidPropertySet")
    draft = graph.post("/messages", {"subject": "Draft"})["id"]
    name = next(iter(change))
    assert graph.patch(f"/messages/{draft}", change)[name]


@pytest.mark.parametrize(("change", "shown"), [
    ({"categories": ["A"]}, None), ({"isRead": True}, None), ({"importance": "High"}, {"importance": "high"}),
    ({"flag": {"flagStatus": "flagged"}}, None), ({"inferenceClassification": "other"}, None),
])  # fmt: skip
def test_gr_9_marks_may_change(graph: Graph, change: dict[str, Any], shown: dict[str, Any] | None) -> None:
    found = graph.patch(f"/messages/{graph.deliver()['id']}", change)
    assert (shown or change).items() <= found.items()


def test_gr_10_categories_are_replaced_as_a_whole(graph: Graph) -> None:
    ident = graph.deliver(categories=["Key customer"])["id"]
    assert graph.get(f"/messages/{ident}")["categories"] == ["Key customer"]
    assert graph.patch(f"/messages/{ident}", {"categories": ["Unknown to the list"]})["categories"] == [
        "Unknown to the list"]  # fmt: skip
    path = f"/mailFolders/inbox/messages?$filter=categories/any(c:c eq '{'unknown TO the list'}')&$select=id"
    assert [m["id"] for m in graph.all(path)] == [ident]


def test_gr_10_the_master_list(graph: Graph) -> None:
    base = "/outlook/masterCategories"
    made = graph.post(base, {"displayName": "Track in CRM", "color": "preset9"})
    assert {c["displayName"] for c in graph.all(base)} == {"Key customer", "Track in CRM"}
    assert graph.call("POST", base, {"displayName": "TRACK in crm"}).status == 409
    assert graph.patch(f"{base}/{made['id']}", {"color": "none"})["color"] == "none"
    assert graph.call("PATCH", f"{base}/{made['id']}", {"displayName": "Other"}).status == 400
    assert graph.call("DELETE", f"{base}/{made['id']}").status == 204
    graph.nonsense()
    assert graph.call("POST", base, {"displayName": "x", "color": "red"}).status == 400


def test_gr_11_stale_etags(graph: Graph) -> None:
    old = arrived(graph)
    new = graph.patch(f"/messages/{old['id']}", {"isRead": True}, If_Match=old["@odata.etag"])
    assert new["@odata.etag"] != old["@odata.etag"]
    assert new["changeKey"] != old["changeKey"]
    stale = graph.call("PATCH", f"/messages/{old['id']}", {"isRead": False}, If_Match=old["@odata.etag"])
    assert (stale.status, stale.code) == (412, "ErrorIrresolvableConflict")
    graph.patch(f"/messages/{old['id']}", {"isRead": False}, If_Match="*")
    graph.sandbox.settings(graph_if_match=False)
    graph.patch(f"/messages/{old['id']}", {"isRead": True}, If_Match=old["@odata.etag"])


def test_gr_11_a_conflict_without_if_match_can_be_ordered(graph: Graph) -> None:
    ident = graph.deliver()["id"]
    graph.sandbox.fault("status", vendor="microsoft", method="PATCH", status=412)
    assert graph.call("PATCH", f"/messages/{ident}", {"isRead": True}).code == "ErrorIrresolvableConflict"
    graph.patch(f"/messages/{ident}", {"isRead": True})


def test_gr_12_conversations(graph: Graph, priya: Graph) -> None:
    first = arrived(graph)
    reply = arrived(graph, eml("RE: Widgets", ident="2", refs="1"))
    other = arrived(graph, eml("RE: Gadgets", ident="3", refs="2"))
    assert first["conversationId"] == reply["conversationId"] != other["conversationId"]
    sizes = [len(base64.b64decode(m["conversationIndex"])) for m in (first, reply)]
    assert sizes == [22, 27]
    assert reply["conversationIndex"][:29] == first["conversationIndex"][:29]
    assert arrived(priya)["conversationId"] != first["conversationId"]
    moved = graph.post(f"/messages/{first['id']}/move", {"destinationId": "archive"})
    assert moved["conversationId"] == first["conversationId"]
    assert graph.act("change_subject", message=moved["id"], subject="Something else")["conversationId"] != (
        first["conversationId"])  # fmt: skip
    draft = graph.post(f"/messages/{reply['id']}/createReply")
    assert (draft["conversationId"], draft["subject"]) == (first["conversationId"], "RE: Widgets")
    assert len(base64.b64decode(draft["conversationIndex"])) == 32


def test_gr_12_what_makes_a_conversation_is_a_setting(graph: Graph) -> None:
    one = arrived(graph)
    assert arrived(graph, eml(ident="2"))["conversationId"] == one["conversationId"]  # the topic alone
    graph.sandbox.settings(graph_conversations="references")
    assert arrived(graph, eml(ident="3"))["conversationId"] != one["conversationId"]
    assert arrived(graph, eml("Re: Widgets", ident="4", refs="1"))["conversationId"] == one["conversationId"]


def test_gr_13_extended_properties(graph: Graph) -> None:
    made = graph.post("/messages", {"subject": "x", "singleValueExtendedProperties": [{"id": CRM, "value": "003ABC"}]})
    assert "singleValueExtendedProperties" not in made
    assert "singleValueExtendedProperties" not in graph.get(f"/messages/{made['id']}")
    found = graph.get(f"/messages/{made['id']}?$select=id&{EXPAND}")
    assert found["singleValueExtendedProperties"] == [{"id": CRM, "value": "003ABC"}]

    def search(ident: str, value: str) -> int:
        wanted = f"singleValueExtendedProperties/any(ep: ep/id eq '{ident}' and ep/value eq '{value}')"
        return len(graph.all(f"/messages?$select=id&$filter={wanted}"))

    assert (search(CRM, "003ABC"), search(CRM, "003abc"), search(OTHER, "003ABC"), search(CRM, "x")) == (1, 1, 0, 0)
    graph.patch(f"/messages/{made['id']}", {"singleValueExtendedProperties": [{"id": CRM, "value": "new"}]})
    assert search(CRM, "new") == 1


def test_gr_13_what_exchange_computes(graph: Graph) -> None:
    ident = graph.deliver(eml("Re: Widgets"))["id"]
    wanted = ["Integer 0x0E07", "String 0x001A", "String 0x0070"]
    expand = " or ".join(f"id eq '{w}'" for w in wanted)
    found = graph.get(f"/messages/{ident}?$select=id&$expand=singleValueExtendedProperties($filter={expand})")
    values = {p["id"]: p["value"] for p in found["singleValueExtendedProperties"]}
    assert values == {"Integer 0xe07": "0", "String 0x1a": "IPM.Note", "String 0x70": "Widgets"}


def test_what_the_message_says(graph: Graph) -> None:
    raw = eml("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", Cc="Priya <priya@northpeak.example>, x@acme.example", Importance="High",
              Date="Tue, 03 Mar 2026 10:00:00 +0100")  # fmt: skip
    found = arrived(graph, raw, date="2026-03-03T09:00:05+00:00")
    assert (found["subject"], found["importance"], found["isRead"], found["isDraft"]) == ("Grüße", "high", False, False)
    assert (
        found["from"]["emailAddress"]
        == found["sender"]["emailAddress"]
        == {"name": "Kim", "address": "kim@acme.example"}
    )
    assert [r["emailAddress"]["address"] for r in found["ccRecipients"]] == [PRIYA, "x@acme.example"]
    assert (found["sentDateTime"], found["receivedDateTime"]) == ("2026-03-03T09:00:00Z", "2026-03-03T09:00:05Z")
    assert found["body"] == {"contentType": "text", "content": "Hello\r\n"}
    html = graph.call("GET", f"/messages/{found['id']}?$select=body", Prefer='outlook.body-content-type="html"')
    assert html.body["body"]["contentType"] == "html"
    assert html.headers["Preference-Applied"] == 'outlook.body-content-type="html"'


def test_deleted_messages_are_recoverable_and_purged_ones_are_not(graph: Graph) -> None:
    first, second, third = (graph.deliver(eml(ident=str(n))) for n in range(3))
    assert graph.call("DELETE", f"/messages/{first['id']}").status == 204
    assert graph.call("GET", f"/messages/{first['id']}").status == 404
    assert len(graph.all("/messages")) == 2
    assert len(graph.all("/mailFolders/recoverableitemsdeletions/messages")) == 1
    graph.post(f"/messages/{second['id']}/permanentDelete")
    assert graph.call("GET", f"/messages/{second['immutableId']}").status == 404
    graph.sandbox.settings(graph_delete_to="deleteditems")
    graph.call("DELETE", f"/messages/{third['id']}")
    assert len(graph.all("/mailFolders/deleteditems/messages")) == 1


def test_send_mail_arrives_within_the_sandbox(graph: Graph, priya: Graph) -> None:
    to = [{"emailAddress": {"address": a}} for a in (PRIYA, ANNA, "kim@acme.example")]
    body = {"subject": "Offer ü", "toRecipients": to, "body": {"contentType": "html", "content": "<p>Hello</p>"},
            "bccRecipients": [{"emailAddress": {"address": ERIK}}]}  # fmt: skip
    reply = graph.call("POST", "/sendMail", {"message": body, "saveToSentItems": True})
    assert (reply.status, reply.body) == (202, b"")
    sent, arrived_ = graph.all("/mailFolders/sentitems/messages"), priya.all("/mailFolders/inbox/messages")
    assert [(m["subject"], m["isDraft"], m["isRead"]) for m in sent] == [("Offer ü", False, True)]
    assert (arrived_[0]["internetMessageId"], arrived_[0]["isRead"]) == (sent[0]["internetMessageId"], False)
    assert arrived_[0]["bccRecipients"] == []
    assert len(graph.all("/mailFolders/inbox/messages")) == 1
    google = graph.sandbox.state("google")["mailboxes"][ANNA]["messages"]
    assert [m["messageId"] for m in google] == [sent[0]["internetMessageId"]]
    assert [m["to"] for m in graph.sandbox.state("microsoft")["outbox"]] == ["kim@acme.example"]


def test_drafts_leave_by_send_and_answers_quote(graph: Graph, priya: Graph) -> None:
    draft = graph.post(
        "/messages", {"subject": "Hi", "toRecipients": [{"emailAddress": {"address": PRIYA}}]}, **IMMUTABLE
    )
    graph.post(f"/messages/{draft['id']}/send")
    assert graph.get(f"/messages/{draft['id']}", **IMMUTABLE)["isDraft"] is False
    got = priya.all("/messages")[0]
    priya.post(f"/messages/{got['id']}/reply", {"comment": "Thanks"})
    answer = graph.all("/mailFolders/inbox/messages")[0]
    assert (answer["subject"], answer["conversationId"]) == ("RE: Hi", draft["conversationId"])
    priya.post(f"/messages/{got['id']}/forward", {"toRecipients": [{"emailAddress": {"address": ERIK}}]})
    assert {m["subject"] for m in graph.all("/mailFolders/inbox/messages")} == {"RE: Hi", "FW: Hi"}
    graph.nonsense()
    assert graph.call("POST", f"/messages/{draft['id']}/send").status == 400
    assert graph.call("POST", "/sendMail", {"message": {"subject": "x"}}).code == "ErrorInvalidRecipients"


def test_mail_comes_over_from_gmail(graph: Graph) -> None:
    from tests.sandbox.gmail_client import Gmail, b64

    anna = Gmail(graph.sandbox, ANNA)
    raw = eml("From Gmail", To=ERIK, From=ANNA)
    anna.messages.send(userId="me", body={"raw": b64(raw)}).execute()
    anna.close()
    assert [m["subject"] for m in graph.all("/mailFolders/inbox/messages")] == ["From Gmail"]


def test_attachments(graph: Graph) -> None:
    mail = email.message.EmailMessage()
    mail["Subject"], mail["From"], mail["Message-ID"] = "Files", "kim@acme.example", "<9@acme.example>"
    mail.set_content("See files")
    mail.add_attachment(b"%PDF-1", maintype="application", subtype="pdf", filename="Angebot Grün.pdf")
    inner = email.message_from_string(eml("Inner", ident="inner"), policy=email.policy.default)
    mail.add_attachment(inner)
    found = arrived(graph, mail.as_string())
    base = f"/messages/{found['id']}/attachments"
    pdf, nested = graph.all(base)
    assert found["hasAttachments"] is True
    assert (pdf["name"], base64.b64decode(pdf["contentBytes"]), pdf["isInline"]) == (
        "Angebot Grün.pdf",
        b"%PDF-1",
        False,
    )
    assert (nested["@odata.type"], nested["name"]) == ("#microsoft.graph.itemAttachment", "Inner")
    assert graph.get(f"{base}/{pdf['id']}/$value") == b"%PDF-1"
    assert b"<inner@acme.example>" in graph.get(f"{base}/{nested['id']}/$value")
    item = graph.get(f"{base}/{nested['id']}?$expand=microsoft.graph.itemattachment/item")["item"]
    assert (item["subject"], item["internetMessageId"]) == ("Inner", "<inner@acme.example>")
    brief = graph.get(f"/messages/{found['id']}?$expand=attachments($select=name)&$select=id")["attachments"][0]
    assert brief.keys() == {"@odata.type", "@odata.mediaContentType", "id", "name"}
    refused = graph.call(
        "POST", base, {"@odata.type": "#microsoft.graph.fileAttachment", "name": "x", "contentBytes": ""}
    )
    assert refused.status == 400


def test_attachments_of_drafts_change(graph: Graph) -> None:
    file = {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "a.txt",
        "contentBytes": "SGk=",
        "contentType": "text/plain",
    }
    draft = graph.post("/messages", {"subject": "x", "attachments": [file]})
    base = f"/messages/{draft['id']}/attachments"
    made = graph.post(base, file | {"name": "b.txt"})
    assert [a["name"] for a in graph.all(base)] == ["a.txt", "b.txt"]
    assert graph.call("DELETE", f"{base}/{made['id']}").status == 204
    assert [a["name"] for a in graph.all(base)] == ["a.txt"]
    assert b'filename="a.txt"' in graph.get(f"/messages/{draft['id']}/$value")


def test_a_time_is_what_the_clock_of_the_sandbox_says(graph: Graph) -> None:
    graph.sandbox.advance(10 * 86400)
    made = datetime.fromisoformat(arrived(graph)["createdDateTime"])
    assert (made - datetime.now(made.tzinfo)).days >= 9
