"""What people write in Gmail and get from others, through the control API (`providers.md SIM-7 GM-10`)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.gmail_client import ANNA, BEN, Gmail, b64, eml, refusal
from tests.sandbox.graph_client import PRIYA, Graph
from tests.sandboxed import Refused

KIM = "kim@acme.example"


def act(gmail: Gmail, action: str, **body: Any) -> Any:
    return gmail.sandbox.act("google", action, user=gmail.user, **body)


def headers(gmail: Gmail, ident: str) -> dict[str, str]:
    return {h["name"]: h["value"] for h in gmail.get(ident, "metadata")["payload"]["headers"]}


def kinds(records: list[Any]) -> list[tuple[str, str]]:
    """(what happened, message) of history records."""
    return [(next(k for k in r if k.startswith(("messages", "labels")) and k != "messages"), r["messages"][0]["id"])
            for r in records]  # fmt: skip


def test_an_answer_from_outside_joins_by_its_headers(gmail: Gmail) -> None:
    first = gmail.deliver(eml("Grüße und Widgets"))
    start = gmail.now()
    answer = act(gmail, "receive", message=first["id"], text="Noted – thanks")
    assert answer["threadId"] == first["threadId"]
    assert set(answer["labelIds"]) == {"INBOX", "UNREAD", "CATEGORY_PERSONAL"}
    found = headers(gmail, answer["id"])
    assert (found["From"], found["Subject"]) == (KIM, "Re: Grüße und Widgets")
    assert (found["In-Reply-To"], found["References"]) == ("<1@acme.example>", "<1@acme.example>")
    assert kinds(gmail.since(start)) == [("messagesAdded", answer["id"])]
    second = act(gmail, "receive", message=answer["id"])
    assert second["threadId"] == first["threadId"]
    assert headers(gmail, second["id"])["References"].split() == ["<1@acme.example>", answer["messageId"]]


def test_another_subject_is_another_thread_and_spam_stays_out(gmail: Gmail) -> None:
    first = gmail.deliver(eml())
    changed = act(gmail, "receive", message_id="1@acme.example", subject="Gadgets instead")
    assert changed["threadId"] != first["threadId"]
    spam = act(gmail, "receive", message=first["id"], spam=True)
    assert set(spam["labelIds"]) == {"SPAM", "UNREAD"}
    assert spam["id"] not in gmail.find()
    assert gmail.find("in:spam") == [spam["id"]]


def test_one_mail_to_several_people_of_both_systems(gmail: Gmail, colleague: Gmail) -> None:
    gmail.sandbox.seed({"users": [{"key": "priya", "name": "Priya", "email": PRIYA, "mail": "microsoft"}]}, add=True)
    first = gmail.deliver(eml())
    answer = act(gmail, "receive", message=first["id"], to=[ANNA, "x@acme.example"], cc=[BEN, PRIYA])
    [theirs] = colleague.find()
    assert headers(colleague, theirs)["Message-ID"] == answer["messageId"]
    priya = Graph(gmail.sandbox, PRIYA)
    (found,) = priya.all("/mailFolders/inbox/messages")
    assert found["internetMessageId"] == answer["messageId"]
    act(gmail, "receive", message=first["id"], to=[PRIYA], spam=True)
    assert len(priya.all("/mailFolders/junkemail/messages")) == 1
    priya.close()


def test_the_user_answers_and_colleagues_get_it(gmail: Gmail, colleague: Gmail) -> None:
    first = gmail.deliver(eml(Cc=BEN))
    sent = act(gmail, "send", message=first["id"], kind="reply_all", text="To both")
    assert (sent["threadId"], sent["labelIds"]) == (first["threadId"], ["SENT"])
    assert headers(gmail, sent["id"])["To"] == f"{KIM}, {BEN}"
    [theirs] = colleague.find()
    assert headers(colleague, theirs)["In-Reply-To"] == "<1@acme.example>"
    assert [m["to"] for m in gmail.sandbox.state("google")["outbox"]] == [KIM]
    forwarded = act(gmail, "send", message=first["id"], kind="forward", to=[BEN], subject="Fwd: for you")
    assert forwarded["threadId"] != first["threadId"]
    plain = act(gmail, "send", message=first["id"], kind="forward", to=[BEN])
    assert (plain["threadId"], headers(gmail, plain["id"])["Subject"]) == (first["threadId"], "Fwd: Widgets")
    new = act(gmail, "send", kind="new", to=[BEN], subject="Lunch")
    assert "In-Reply-To" not in headers(gmail, new["id"])


def test_a_thread_splits_when_it_is_full_and_later_mails_follow_the_new_one(gmail: Gmail) -> None:
    gmail.sandbox.settings(gmail_thread_limit=3)
    last = gmail.deliver(eml())
    threads = [last["threadId"]]
    for _ in range(5):
        last = act(gmail, "receive", message=last["id"], **{"from": KIM})
        threads.append(last["threadId"])
    assert [threads.count(t) for t in dict.fromkeys(threads)] == [3, 3]
    assert "<1@acme.example>" in headers(gmail, last["id"])["References"]


def test_the_hundredth_message_is_the_last_of_its_thread(gmail: Gmail) -> None:
    first = gmail.deliver(eml())
    rest = [gmail.deliver(eml("Re: Widgets", ident=str(n), refs="1"))["threadId"] for n in range(2, 102)]
    assert rest[98] == first["threadId"] != rest[99]
    found = gmail.threads.get(userId="me", id=first["threadId"], format="minimal").execute()
    assert len(found["messages"]) == 100


# ---- drafts -----------------------------------------------------------------------------------------------


def test_a_draft_is_another_message_at_each_save_until_it_is_sent(gmail: Gmail) -> None:
    first = gmail.deliver(eml())
    start = gmail.now()
    saves = [act(gmail, "write_draft", message=first["id"])]
    saves.append(act(gmail, "edit_draft", draft=saves[0]["draft"], text="Dear Kim"))
    assert [s["labelIds"] for s in saves] == [["DRAFT"]] * 2
    assert {s["threadId"] for s in saves} == {first["threadId"]}
    assert saves[0]["draft"] == saves[1]["draft"]
    sent = act(gmail, "send_draft", draft=saves[0]["draft"])
    assert (sent["labelIds"], sent["threadId"]) == (["SENT"], first["threadId"])
    one, two, three = saves[0]["id"], saves[1]["id"], sent["id"]
    assert kinds(gmail.since(start)) == [
        ("messagesAdded", one), ("messagesAdded", two), ("messagesDeleted", one), ("messagesAdded", three),
        ("messagesDeleted", two)]  # fmt: skip
    assert gmail.since(start)[0]["messagesAdded"][0]["message"]["labelIds"] == ["DRAFT"]
    assert refusal(gmail.messages.get(userId="me", id=two)) == (404, "notFound")
    assert gmail.find("in:draft") == []


def test_a_draft_takes_no_label_by_anyones_hand(gmail: Gmail) -> None:
    first, label = gmail.deliver(eml()), gmail.label("Deals")
    draft = act(gmail, "write_draft", message=first["id"])
    body = {"addLabelIds": [label]}
    assert refusal(gmail.messages.modify(userId="me", id=draft["id"], body=body)) == (400, "invalidArgument")
    gmail.threads.modify(userId="me", id=first["threadId"], body=body).execute()
    act(gmail, "drop_thread", thread=first["threadId"], label="Travel")
    gmail.messages.batchModify(userId="me", body=body | {"ids": [draft["id"]]}).execute()
    assert gmail.worn(draft["id"]) == {"DRAFT"}
    assert label in gmail.worn(first["id"])


def test_another_subject_takes_the_draft_out_of_the_thread(gmail: Gmail) -> None:
    first = gmail.deliver(eml())
    draft = act(gmail, "write_draft", message=first["id"])["draft"]
    assert act(gmail, "edit_draft", draft=draft, subject="Gadgets")["threadId"] != first["threadId"]
    assert act(gmail, "send_draft", draft=draft)["threadId"] != first["threadId"]
    other = act(gmail, "write_draft", kind="new", to=[BEN], subject="Lunch")
    again = act(gmail, "edit_draft", draft=other["draft"], subject="Dinner")
    assert (again["threadId"], again["id"] != other["id"]) == (other["threadId"], True)
    assert act(gmail, "discard_draft", draft=other["draft"])["deleted"] == again["id"]
    for action in ("edit_draft", "send_draft", "discard_draft"):
        with pytest.raises(Refused) as refused:
            act(gmail, action, draft=other["draft"])
        assert refused.value.status == 404


# ---- automatic mails --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "subject", "header", "value"), [
    ("auto_reply", "Automatic reply: Widgets", "Auto-Submitted", "auto-replied"),
    ("bounce", "Undeliverable: Widgets", "Content-Type", "report-type=delivery-status"),
    ("read_receipt", "Read: Widgets", "Content-Type", "report-type=disposition-notification"),
    ("meeting_reply", "Declined: Widgets", "Thread-Topic", "Widgets"),
])  # fmt: skip
def test_automatic_mails_about_a_mail_of_the_users(
    gmail: Gmail, kind: str, subject: str, header: str, value: str
) -> None:
    sent = act(gmail, "send", kind="new", to=[KIM], subject="Widgets")
    got = act(gmail, "receive", message=sent["id"], kind=kind, response="declined")
    found = headers(gmail, got["id"])
    assert (found["Subject"], found["In-Reply-To"]) == (subject, sent["messageId"])
    assert value in found[header]
    assert got["threadId"] != sent["threadId"]
    inside = act(gmail, "receive", message=sent["id"], kind=kind, subject="Re: Widgets")
    assert inside["threadId"] == sent["threadId"]


def test_parts_of_automatic_mails(gmail: Gmail) -> None:
    sent = act(gmail, "send", kind="new", to=[KIM], subject="Widgets")
    for kind, wanted in {
        "bounce": ["text/plain", "message/delivery-status", "text/rfc822-headers"],
        "read_receipt": ["text/plain", "message/disposition-notification"],
        "meeting_reply": ["text/plain", "text/calendar"],
    }.items():
        got = act(gmail, "receive", message=sent["id"], kind=kind)
        assert [p["mimeType"] for p in gmail.get(got["id"], "full")["payload"]["parts"]] == wanted, kind


@pytest.mark.parametrize("body", [
    {"kind": "telegram"}, {"to": KIM}, {"kind": "meeting_reply", "response": "perhaps"}, {"message": "x"}, {},
])  # fmt: skip
def test_letters_that_make_no_sense(gmail: Gmail, body: dict[str, Any]) -> None:
    gmail.deliver(eml())
    with pytest.raises(Refused) as refused:
        act(gmail, "receive", **({"message_id": "1@acme.example"} if body and "message" not in body else {}), **body)
    assert refused.value.status == (404 if "message" in body else 400)


# ---- summary e-mails -----------------------------------------------------------------------------------------


def test_a_summary_is_inserted_replaced_and_trashed(gmail: Gmail) -> None:
    label = gmail.label("Opportunities")
    gmail.sandbox.settings(gmail_index_delay=2.0)
    start, made = gmail.now(), []
    for number in (1, 2):
        raw = eml("[1] 3000 Widgets", ident=f"sum.1.{number}", From=ANNA)
        body = {"raw": b64(raw), "labelIds": [label]}
        made.append(gmail.messages.insert(userId="me", body=body, internalDateSource="receivedTime").execute())
        assert gmail.find(f"rfc822msgid:sum.1.{number}@acme.example") == []  # the index lags behind
        assert made[-1]["id"] in gmail.find(labelIds=[label])
    assert made[0]["threadId"] != made[1]["threadId"]
    gmail.messages.trash(userId="me", id=made[0]["id"]).execute()
    assert gmail.find(labelIds=[label]) == [made[1]["id"]]
    assert gmail.worn(made[0]["id"]) == {label, "TRASH"}
    assert kinds(gmail.since(start)) == [("messagesAdded", made[0]["id"]), ("messagesAdded", made[1]["id"]),
                                         ("labelsAdded", made[0]["id"])]  # fmt: skip
    gmail.sandbox.advance(2)
    assert gmail.find("rfc822msgid:sum.1.2@acme.example") == [made[1]["id"]]
    units = gmail.sandbox.meter()["google"]["methods"]
    assert [units[f"gmail.users.messages.{name}"]["units"] for name in ("insert", "trash")] == [50, 20]


def test_what_a_thread_costs(gmail: Gmail) -> None:
    ident = gmail.deliver(eml())["threadId"]
    for form in ("minimal", "metadata", "full"):
        found = gmail.threads.get(userId="me", id=ident, format=form).execute()
        assert ("payload" in found["messages"][0]) is (form != "minimal")
    gmail.threads.list(userId="me", q="subject:widgets").execute()
    units = gmail.sandbox.meter()["google"]["methods"]
    assert (units["gmail.users.threads.get"]["units"], units["gmail.users.threads.list"]["units"]) == (120, 10)
