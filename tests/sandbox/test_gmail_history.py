"""History (providers.md GM-1 to GM-5), watch (GM-17) and the user's side of it (SIM-7)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.gmail_client import ANNA, Gmail, eml, refusal

WEEK = 7 * 86400
TOPIC = "projects/sandbox-project/topics/mail"


def history(gmail: Gmail, start: str) -> Any:
    return gmail.users.history().list(userId="me", startHistoryId=start)


def test_an_old_cursor_is_gone_with_googles_words(gmail: Gmail) -> None:
    start = gmail.now()
    gmail.sandbox.advance(WEEK - 60)
    assert gmail.since(start) == []
    gmail.sandbox.advance(WEEK + 60)
    status, body = gmail.raw("GET", f"/gmail/v1/users/me/history?startHistoryId={start}")
    assert status == 404
    assert body["error"] == {
        "code": 404,
        "message": "Requested entity was not found.",
        "errors": [{"message": "Requested entity was not found.", "domain": "global", "reason": "notFound"}],
        "status": "NOT_FOUND",
    }


def test_expiry_on_demand_and_cursors_never_given_out(gmail: Gmail) -> None:
    start = gmail.now()
    gmail.sandbox.act("google", "expire_history", user=ANNA)
    for cursor in (start, "1", str(int(gmail.now()) + 10_000)):
        assert refusal(history(gmail, cursor)) == (404, "notFound")
    assert gmail.since(gmail.now()) == []


def test_without_a_cursor_it_is_invalid(gmail: Gmail) -> None:
    gmail.sandbox.settings(record=False)
    assert refusal(gmail.users.history().list(userId="me")) == (400, "invalidArgument")
    assert gmail.raw("GET", "/gmail/v1/users/me/history?startHistoryId=abc")[0] == 400


def test_a_mail_that_arrives_labelled_is_only_added(gmail: Gmail) -> None:
    gmail.sandbox.act("google", "create_filter", user=ANNA, criteria={"from": "kim@acme.example"}, label="Deals")
    start = gmail.now()
    message = gmail.deliver(eml())
    [record] = gmail.since(start)
    deals = next(x["id"] for x in gmail.labels.list(userId="me").execute()["labels"] if x["name"] == "Deals")
    assert set(record) == {"id", "messages", "messagesAdded"}
    assert deals in record["messagesAdded"][0]["message"]["labelIds"]
    assert gmail.worn(message["id"]) == {"INBOX", "UNREAD", "CATEGORY_PERSONAL", deals}


def test_dropping_a_thread_labels_every_message_with_a_record_each(gmail: Gmail) -> None:
    ids = [gmail.deliver(eml(ident=str(n), refs="1" if n > 1 else ""))["id"] for n in range(1, 4)]
    start = gmail.now()
    told = gmail.sandbox.act("google", "drop_thread", user=ANNA, thread=ids[0], label="Travel", move=True)
    assert [m["id"] for m in told["messages"]] == ids
    added = [r["labelsAdded"][0]["message"]["id"] for r in gmail.since(start, historyTypes=["labelAdded"])]
    assert added == ids
    assert not any("INBOX" in gmail.worn(ident) for ident in ids)


def test_records_ascend_with_gaps_and_repeat_their_message(gmail: Gmail) -> None:
    start = gmail.now()
    for number in range(12):
        gmail.deliver(eml(f"Subject {number}", ident=str(number)))
    records = gmail.since(start)
    ids = [int(r["id"]) for r in records]
    assert ids == sorted(set(ids))
    assert ids[-1] - ids[0] > len(ids)
    assert all(isinstance(r["id"], str) for r in records)
    assert [r["messages"][0]["id"] for r in records] == [r["messagesAdded"][0]["message"]["id"] for r in records]


def test_types_label_and_pages_select(gmail: Gmail) -> None:
    start = gmail.now()
    first, second = gmail.deliver(eml())["id"], gmail.deliver(eml("Other", ident="2"))["id"]
    gmail.messages.modify(userId="me", id=first, body={"addLabelIds": ["STARRED"]}).execute()
    gmail.messages.modify(userId="me", id=first, body={"removeLabelIds": ["UNREAD"]}).execute()
    gmail.messages.delete(userId="me", id=second).execute()
    kinds = {kind: gmail.since(start, historyTypes=[kind]) for kind in
             ("messageAdded", "labelAdded", "labelRemoved", "messageDeleted")}  # fmt: skip
    assert {kind: len(found) for kind, found in kinds.items()} == {
        "messageAdded": 2, "labelAdded": 1, "labelRemoved": 1, "messageDeleted": 1}  # fmt: skip
    assert [r["labelsAdded"][0]["labelIds"] for r in gmail.since(start, labelId="STARRED") if "labelsAdded" in r]
    assert len(gmail.since(start, labelId="STARRED")) < len(gmail.since(start))
    page = gmail.users.history().list(userId="me", startHistoryId=start, maxResults=2).execute()
    ids = [r["id"] for r in page["history"]]
    while "nextPageToken" in page:
        page = gmail.users.history().list(
            userId="me", startHistoryId=start, maxResults=2, pageToken=page["nextPageToken"]
        ).execute()  # fmt: skip
        ids += [r["id"] for r in page["history"]]
    assert ids == [r["id"] for r in gmail.since(start)]
    assert page["historyId"] == gmail.now()


def test_at_most_a_hundred_records_unless_asked_and_never_over_500(gmail: Gmail) -> None:
    start, message = gmail.now(), gmail.deliver(eml())["id"]
    for number in range(260):
        gmail.sandbox.act("google", "star", user=ANNA, message=message, value=number % 2 == 0)
        gmail.sandbox.act("google", "read", user=ANNA, message=message, value=number % 2 == 0)
    assert len(gmail.since(start)) == 100
    assert len(gmail.since(start, maxResults=10_000)) == 500


def test_a_vanished_message_is_named_and_not_found(gmail: Gmail) -> None:
    start, message = gmail.now(), gmail.deliver(eml())["id"]
    gmail.sandbox.act("google", "delete_message", user=ANNA, message=message)
    assert message in [r["messages"][0]["id"] for r in gmail.since(start)]
    assert refusal(gmail.messages.get(userId="me", id=message)) == (404, "notFound")


def test_a_message_may_be_invisible_for_seconds_after_arrival(gmail: Gmail) -> None:
    gmail.sandbox.settings(gmail_arrival_delay=5.0)
    message = gmail.deliver(eml())["id"]
    assert refusal(gmail.messages.get(userId="me", id=message)) == (404, "notFound")
    gmail.sandbox.advance(5)
    assert gmail.get(message)["id"] == message


def test_a_watch_lasts_a_week_and_takes_no_second_topic(gmail: Gmail) -> None:
    first = gmail.users.watch(userId="me", body={"topicName": TOPIC}).execute()
    gmail.sandbox.advance(86400)
    renewed = gmail.users.watch(userId="me", body={"topicName": TOPIC}).execute()
    assert int(renewed["expiration"]) - int(first["expiration"]) >= 86_400_000
    other = gmail.users.watch(userId="me", body={"topicName": TOPIC + "2"})
    assert refusal(other) == (400, "failedPrecondition")
    gmail.users.stop(userId="me").execute()
    assert other.execute()["historyId"]
    assert refusal(gmail.users.watch(userId="me", body={"topicName": "mail"})) == (400, "invalidArgument")


def test_pushes_are_at_most_one_a_second_and_own_changes_push_too(gmail: Gmail) -> None:
    gmail.users.watch(userId="me", body={"topicName": TOPIC}).execute()
    message = gmail.deliver(eml())["id"]
    gmail.messages.modify(userId="me", id=message, body={"addLabelIds": ["STARRED"]}).execute()
    assert len(gmail.sandbox.state("google")["notifications"]) == 1
    gmail.sandbox.advance(1)
    gmail.messages.modify(userId="me", id=message, body={"removeLabelIds": ["STARRED"]}).execute()
    assert [n["emailAddress"] for n in gmail.sandbox.state("google")["notifications"]] == [ANNA, ANNA]
    gmail.sandbox.advance(WEEK)
    gmail.messages.modify(userId="me", id=message, body={"addLabelIds": ["STARRED"]}).execute()
    assert len(gmail.sandbox.state("google")["notifications"]) == 2


@pytest.mark.parametrize(("action", "worn"), [("archive", {"UNREAD"}), ("read", {"INBOX"}),
                                              ("star", {"INBOX", "UNREAD", "STARRED"})])  # fmt: skip
def test_what_a_person_does_leaves_records(gmail: Gmail, action: str, worn: set[str]) -> None:
    message = gmail.deliver(eml(), labels=["INBOX", "UNREAD"])["id"]
    start = gmail.now()
    gmail.sandbox.act("google", action, user=ANNA, message_id="<1@acme.example>")
    assert gmail.worn(message) == worn
    assert len(gmail.since(start)) == 1


def test_labels_change_under_a_persons_hand(gmail: Gmail) -> None:
    for name in ("CRM", "CRM/Deals"):
        gmail.label(name)
    message = gmail.deliver(eml(), labels=["CRM/Deals"])["id"]
    act = gmail.sandbox.act
    act("google", "rename_label", user=ANNA, label="CRM", name="Sales")
    assert {"Sales", "Sales/Deals"} <= {x["name"] for x in gmail.labels.list(userId="me").execute()["labels"]}
    act("google", "remove_label", user=ANNA, message=message, label="Sales/Deals")
    assert gmail.worn(message) == set()
    act("google", "delete_label", user=ANNA, label="Sales")
    assert [x["name"] for x in gmail.labels.list(userId="me").execute()["labels"] if x["type"] == "user"] == ["Travel"]
