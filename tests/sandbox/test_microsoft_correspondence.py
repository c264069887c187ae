"""What people write in Outlook and get from others, and summary e-mails (`providers.md SIM-7 GR-8 GR-12`)."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.sandbox.gmail_client import Gmail
from tests.sandbox.graph_client import ANNA, ERIK, IMMUTABLE, PRIYA, Graph, eml
from tests.sandboxed import Refused

KIM = "kim@acme.example"
STAMP = "String {6ed8da90-450b-101b-98da-00aa003f1305} Name CrmLink"


def inside(graph: Graph, folder: str) -> list[Any]:
    """Messages of a folder, newest first."""
    return graph.all(f"/mailFolders/{folder}/messages")


def rounds(graph: Graph, link: str = "", folder: str = "inbox") -> tuple[list[Any], str]:
    """A whole delta round and the link for the next one."""
    found, page = [], graph.get(link or f"/mailFolders/{folder}/messages/delta?$select=subject", **IMMUTABLE)
    while True:
        found += page["value"]
        if "@odata.deltaLink" in page:
            return found, str(page["@odata.deltaLink"])
        page = graph.get(page["@odata.nextLink"], **IMMUTABLE)


def test_an_answer_from_outside_is_in_the_conversation(graph: Graph) -> None:
    first = graph.deliver(eml("Grüße und Widgets"))
    _, link = rounds(graph)
    answer = graph.act("receive", message=first["id"])
    assert answer["conversationId"] == first["conversationId"]
    (found,) = rounds(graph, link)[0]
    assert (found["id"], found["subject"]) == (answer["immutableId"], "Re: Grüße und Widgets")
    shown = graph.get(f"/messages/{answer['id']}?$select=from,isRead,internetMessageHeaders")
    names = {h["name"]: h["value"] for h in shown["internetMessageHeaders"]}
    assert (shown["from"]["emailAddress"]["address"], shown["isRead"]) == (KIM, False)
    assert (names["In-Reply-To"], names["References"]) == ("<1@acme.example>", "<1@acme.example>")
    changed = graph.act("receive", message=first["id"], subject="Gadgets instead")
    assert changed["conversationId"] != first["conversationId"]
    wanted = f"$filter=conversationId eq '{first['conversationId']}'"
    assert len(graph.all(f"/messages?{wanted}")) == 2
    graph.nonsense()
    refused = graph.call("GET", f"/messages?{wanted}&$orderby=receivedDateTime")
    assert (refused.status, refused.code) == (400, "InefficientFilter")


def test_spam_lands_in_junk_and_one_mail_reaches_both_systems(graph: Graph, priya: Graph) -> None:
    first = graph.deliver(eml(Cc=PRIYA))
    spam = graph.act("receive", message=first["id"], spam=True)
    assert spam["folder"] == "Junk Email"
    answer = graph.act("receive", message=first["id"], to=[ERIK, ANNA], cc=[PRIYA])
    assert [m["internetMessageId"] for m in inside(priya, "inbox")] == [answer["messageId"]]
    assert inside(priya, "inbox")[0]["conversationId"] != answer["conversationId"]
    google = graph.sandbox.state("google")["mailboxes"][ANNA]["messages"]
    assert [m["messageId"] for m in google] == [answer["messageId"]]


def test_the_user_answers_and_the_answered_mail_notes_it(graph: Graph, priya: Graph) -> None:
    first = graph.deliver(eml(Cc=f"{PRIYA}, {ANNA}"))
    before = graph.get(f"/messages/{first['id']}")["changeKey"]
    _, link = rounds(graph, folder="sentitems")
    sent = graph.act("send", message=first["id"], kind="reply_all")
    assert (sent["folder"], sent["conversationId"]) == ("Sent Items", first["conversationId"])
    assert [m["id"] for m in rounds(graph, link)[0]] == [sent["immutableId"]]
    found = graph.get(f"/messages/{first['id']}?$expand=singleValueExtendedProperties($filter=id eq 'Integer 0x1081')")
    assert found["changeKey"] != before
    assert found["singleValueExtendedProperties"] == [{"id": "Integer 0x1081", "value": "103"}]
    (theirs,) = inside(priya, "inbox")
    assert (theirs["internetMessageId"], theirs["subject"]) == (sent["messageId"], "RE: Widgets")
    anna = Gmail(graph.sandbox, ANNA)
    assert len(anna.find()) == 1
    anna.close()
    assert [m["to"] for m in graph.sandbox.state("microsoft")["outbox"]] == [KIM]
    changed = graph.act("send", message=first["id"], kind="forward", to=[PRIYA], subject="FW: for you")
    assert changed["conversationId"] != first["conversationId"]
    plain = graph.act("send", message=first["id"], kind="forward", to=[PRIYA])
    assert plain["conversationId"] == first["conversationId"]
    graph.act("send", kind="new", to=[PRIYA], subject="Lunch")
    assert inside(priya, "inbox")[0]["subject"] == "Lunch"


def test_a_draft_is_written_edited_and_sent_in_its_conversation(graph: Graph, priya: Graph) -> None:
    first = graph.deliver(eml(From=f"Priya <{PRIYA}>"))
    draft = graph.act("write_draft", message=first["id"], text="Dear Priya")
    shown = graph.get(f"/messages/{draft['draft']}", **IMMUTABLE)
    assert (shown["isDraft"], shown["conversationId"]) == (True, first["conversationId"])
    assert (shown["subject"], shown["parentFolderId"]) == ("RE: Widgets", graph.get("/mailFolders/drafts")["id"])
    saved = graph.act("edit_draft", draft=draft["draft"], text="Dear Priya, thanks")
    assert saved["immutableId"] == draft["draft"]
    assert graph.get(f"/messages/{draft['draft']}")["changeKey"] != shown["changeKey"]
    sent = graph.act("send_draft", draft=draft["draft"])
    assert (sent["folder"], sent["immutableId"], sent["conversationId"]) == (
        "Sent Items", draft["draft"], first["conversationId"])  # fmt: skip
    assert inside(graph, "drafts") == []
    (theirs,) = inside(priya, "inbox")
    assert (theirs["internetMessageId"], theirs["bodyPreview"]) == (draft["messageId"], "Dear Priya, thanks")
    with pytest.raises(Refused) as refused:
        graph.act("edit_draft", draft=draft["draft"], text="too late")
    assert refused.value.status == 404


def test_another_subject_takes_a_draft_out_of_its_conversation(graph: Graph) -> None:
    first = graph.deliver()
    draft = graph.act("write_draft", message=first["id"])["draft"]
    assert graph.act("edit_draft", draft=draft, subject="Gadgets")["conversationId"] != first["conversationId"]
    assert graph.act("discard_draft", draft=draft)["folder"] == "Deleted Items"


@pytest.mark.parametrize(("kind", "subject", "message_class"), [
    ("auto_reply", "Automatic reply: Widgets", "IPM.Note"), ("bounce", "Undeliverable: Widgets", "REPORT.IPM.Note.NDR"),
    ("read_receipt", "Read: Widgets", "REPORT.IPM.Note.IPNRN"),
    ("meeting_reply", "Accepted: Widgets", "IPM.Schedule.Meeting.Resp.Pos"),
])  # fmt: skip
def test_automatic_mails_stay_in_the_conversation_by_their_topic(
    graph: Graph, kind: str, subject: str, message_class: str
) -> None:
    sent = graph.act("send", kind="new", to=[KIM], subject="Widgets")
    got = graph.act("receive", message=sent["id"], kind=kind)
    assert got["conversationId"] == sent["conversationId"]
    assert graph.get(f"/messages/{got['id']}")["subject"] == subject
    dump = graph.sandbox.state("microsoft")["mailboxes"][ERIK]["messages"]
    assert [m["messageClass"] for m in dump if m["immutableId"] == got["immutableId"]] == [message_class]


def test_own_automatic_mails_leave_no_copy_but_an_accepted_meeting_does(graph: Graph, priya: Graph) -> None:
    first = graph.deliver(eml(From=PRIYA))
    for kind in ("auto_reply", "read_receipt"):
        assert "id" not in graph.act("send", message=first["id"], kind=kind)
    assert inside(graph, "sentitems") == []
    assert graph.act("send", message=first["id"], kind="meeting_reply")["folder"] == "Sent Items"
    assert len(inside(priya, "inbox")) == 3


# ---- summary e-mails ------------------------------------------------------------------------------------


def summary(subject: str, revision: str) -> dict[str, Any]:
    properties = [("Integer 0x0E07", "1"), ("SystemTime 0x0E06", "2026-03-01T10:00:00Z"),
                  ("SystemTime 0x0039", "2026-03-01T10:00:00Z"), (STAMP, revision)]  # fmt: skip
    me = {"emailAddress": {"name": "Erik", "address": ERIK}}
    return {
        "subject": subject,
        "body": {"contentType": "html", "content": "<p>x</p>"},
        "from": me,
        "sender": me,
        "toRecipients": [me],
        "singleValueExtendedProperties": [{"id": k, "value": v} for k, v in properties],
    }


def test_a_summary_is_replaced_by_a_batch_that_depends_on_the_new_one(graph: Graph) -> None:
    folder = graph.post("/mailFolders", {"displayName": "Opportunities"})["id"]
    path = f"/mailFolders/{folder}/messages"
    old = graph.post(path, summary("[1] Widgets ($100)", "1.1"), **IMMUTABLE)
    assert (old["isDraft"], old["isRead"], old["receivedDateTime"]) == (False, True, "2026-03-01T10:00:00Z")
    refused = graph.call("PATCH", f"/messages/{old['id']}", {"subject": "[1] Widgets ($200)"})
    assert (refused.status, refused.code) == (400, "ErrorInvalidPropertySet")
    kind = {"Content-Type": "application/json"} | IMMUTABLE
    create = {"id": "1", "method": "POST", "url": f"/users/{ERIK}{path}", "headers": kind}
    delete = {"id": "2", "method": "DELETE", "url": f"/users/{ERIK}/messages/{old['id']}", "dependsOn": ["1"]}
    graph.nonsense()
    wrong = graph.batch(create | {"body": {"subject": 5}}, delete)
    assert {n: a["status"] for n, a in wrong.items()} == {"1": 400, "2": 424}
    graph.sandbox.settings(record=True)
    right = graph.batch(create | {"body": summary("[1] Widgets ($200)", "1.2")}, delete)
    assert {n: a["status"] for n, a in right.items()} == {"1": 201, "2": 204}
    find = f"{path}?$filter=singleValueExtendedProperties/any(ep: ep/id eq '{STAMP}' and ep/value eq '1.2')"
    expand = f"$expand=singleValueExtendedProperties($filter=id eq '{STAMP}')"
    (found,) = graph.all(f"{find}&{expand}")
    assert found["subject"] == "[1] Widgets ($200)"
    assert found["singleValueExtendedProperties"] == [{"id": STAMP, "value": "1.2"}]
    (gone,) = inside(graph, "recoverableitemsdeletions")
    assert gone["subject"] == "[1] Widgets ($100)"


def test_awkward_names_pass_through_letters(graph: Graph) -> None:
    raw = base64.b64encode(b"From: \xff <a@acme.example>\r\nSubject: =?bad?q?x?= \xfc\r\nMessage-ID: <w" + b"x" * 90
                           + b"@acme.example>\r\n\r\n\xff\xfe").decode()  # fmt: skip
    first = graph.act("deliver", raw_base64=raw)
    answer = graph.act("receive", message=first["id"])
    (found,) = graph.all(f"/messages?$filter=internetMessageId eq '{answer['messageId']}'")
    shown = graph.get(f"/messages/{found['id']}?$select=internetMessageHeaders")["internetMessageHeaders"]
    assert f"<w{'x' * 90}@acme.example>" in {h["value"] for h in shown if h["name"] == "References"}
    assert answer["conversationId"] == first["conversationId"]
