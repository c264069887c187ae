"""Labels (providers.md GM-6 to GM-9)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.gmail_client import ANNA, Gmail, eml, refusal

PALE = {"backgroundColor": "#16a766", "textColor": "#ffffff"}


def test_slash_nests_by_name_only_and_renaming_a_parent_leaves_children(gmail: Gmail) -> None:
    parent, child = gmail.label("Salesforce"), gmail.label("Salesforce/Deals")
    gmail.labels.patch(userId="me", id=parent, body={"name": "CRM"}).execute()
    assert gmail.labels.get(userId="me", id=child).execute()["name"] == "Salesforce/Deals"


@pytest.mark.parametrize("name", ["Travel", "travel", "  TRAVEL "])
def test_a_name_is_unique_whatever_its_case(gmail: Gmail, name: str) -> None:
    assert refusal(gmail.labels.create(userId="me", body={"name": name})) == (409, "aborted")


@pytest.mark.parametrize("name", ["", "Inbox", "SENT", "Drafts", "a//b", "/a", "x" * 226])
def test_reserved_and_broken_names_are_refused(gmail: Gmail, name: str) -> None:
    assert refusal(gmail.labels.create(userId="me", body={"name": name})) == (400, "invalidArgument")


def test_blanks_of_a_name_are_normalised(gmail: Gmail) -> None:
    made = gmail.labels.create(userId="me", body={"name": "  Big   deals "}).execute()
    assert made["name"] == "Big deals"


@pytest.mark.parametrize("color", [{"backgroundColor": "#123456", "textColor": "#ffffff"}, {"textColor": "#ffffff"}])
def test_only_colours_of_the_palette_and_both_of_them(gmail: Gmail, color: dict[str, str]) -> None:
    assert refusal(gmail.labels.create(userId="me", body={"name": "x", "color": color})) == (400, "invalidArgument")
    assert gmail.labels.create(userId="me", body={"name": "x", "color": PALE}).execute()["color"] == PALE


def test_a_mailbox_has_a_limit_of_labels(gmail: Gmail) -> None:
    gmail.sandbox.settings(gmail_label_limit=2)
    gmail.label("second")
    assert refusal(gmail.labels.create(userId="me", body={"name": "third"}))[0] == 400


def test_list_has_no_counts_and_get_has(gmail: Gmail) -> None:
    travel = next(x for x in gmail.labels.list(userId="me").execute()["labels"] if x["name"] == "Travel")
    gmail.deliver(eml(), labels=["Travel", "UNREAD"])
    assert "messagesTotal" not in travel
    counted = gmail.labels.get(userId="me", id=travel["id"]).execute()
    assert [counted[x] for x in ("messagesTotal", "messagesUnread", "threadsTotal")] == [1, 1, 1]


def test_update_replaces_and_patch_keeps(gmail: Gmail) -> None:
    ident = gmail.labels.create(userId="me", body={"name": "x", "color": PALE}).execute()["id"]
    patched = gmail.labels.patch(userId="me", id=ident, body={"labelListVisibility": "labelHide"}).execute()
    assert (patched["color"], patched["labelListVisibility"]) == (PALE, "labelHide")
    body = {"id": ident, "name": "y", "labelListVisibility": "labelShow", "messageListVisibility": "show"}
    updated = gmail.labels.update(userId="me", id=ident, body=body).execute()
    assert "color" not in updated
    assert (updated["name"], updated["labelListVisibility"]) == ("y", "labelShow")


def test_delete_removes_the_label_and_keeps_its_messages(gmail: Gmail) -> None:
    ident = gmail.label("gone")
    message = gmail.deliver(eml(), labels=["INBOX", "gone"])["id"]
    gmail.labels.delete(userId="me", id=ident).execute()
    assert gmail.worn(message) == {"INBOX"}
    assert refusal(gmail.labels.get(userId="me", id=ident)) == (404, "notFound")
    assert gmail.label("gone") != ident


def test_system_labels_cannot_be_changed(gmail: Gmail) -> None:
    assert refusal(gmail.labels.delete(userId="me", id="INBOX"))[0] == 400
    assert refusal(gmail.labels.patch(userId="me", id="INBOX", body={"name": "x"}))[0] == 400


@pytest.mark.parametrize("label", ["SENT", "DRAFT"])
@pytest.mark.parametrize("side", ["addLabelIds", "removeLabelIds"])
def test_sent_and_draft_are_not_for_modify(gmail: Gmail, label: str, side: str) -> None:
    message = gmail.deliver(eml(), sent=True)["id"]
    assert refusal(gmail.messages.modify(userId="me", id=message, body={side: [label]})) == (400, "invalidArgument")


def test_other_system_labels_are(gmail: Gmail) -> None:
    message = gmail.deliver(eml())["id"]
    body = {"addLabelIds": ["STARRED", "CATEGORY_UPDATES"], "removeLabelIds": ["INBOX", "UNREAD", "CATEGORY_PERSONAL"]}
    gmail.messages.modify(userId="me", id=message, body=body).execute()
    assert gmail.worn(message) == {"STARRED", "CATEGORY_UPDATES"}
    gmail.messages.trash(userId="me", id=message).execute()
    assert "TRASH" in gmail.worn(message)
    gmail.messages.untrash(userId="me", id=message).execute()
    assert "TRASH" not in gmail.worn(message)


def test_modify_is_idempotent_and_records_nothing_when_nothing_changes(gmail: Gmail) -> None:
    label, message = gmail.label("x"), gmail.deliver(eml())["id"]
    body = {"addLabelIds": [label], "removeLabelIds": ["INBOX"]}
    start = gmail.now()
    first = gmail.messages.modify(userId="me", id=message, body=body).execute()
    assert len(gmail.since(start)) == 2
    middle = gmail.now()
    assert gmail.messages.modify(userId="me", id=message, body=body).execute() == first
    assert gmail.since(middle) == []


@pytest.mark.parametrize(
    "body",
    [{}, {"addLabelIds": ["Label_99"]}, {"addLabelIds": ["UNREAD"], "removeLabelIds": ["UNREAD"]},
     {"addLabelIds": ["nonsense"]}, {"addLabelIds": [f"Label_{n}" for n in range(101)]}],
)  # fmt: skip
def test_senseless_changes_are_refused(gmail: Gmail, body: dict[str, list[str]]) -> None:
    message = gmail.deliver(eml())["id"]
    assert refusal(gmail.messages.modify(userId="me", id=message, body=body)) == (400, "invalidArgument")


def test_batch_modify_passes_over_unknown_ids_and_takes_a_thousand(gmail: Gmail) -> None:
    message = gmail.deliver(eml())["id"]
    body = {"ids": [message, "123abc"], "addLabelIds": ["STARRED"]}
    assert not gmail.messages.batchModify(userId="me", body=body).execute()
    assert "STARRED" in gmail.worn(message)
    body["ids"] = [f"{n:x}" for n in range(1001)]
    assert refusal(gmail.messages.batchModify(userId="me", body=body)) == (400, "invalidArgument")


def batched(gmail: Gmail, requests: list[Any]) -> list[Any]:
    """What each part answers: the resource, or the status and reason of its refusal."""
    found: dict[str, Any] = {}

    def note(ident: str, answer: Any, error: Any) -> None:
        found[ident] = (error.status_code, error.error_details[0]["reason"]) if error else answer

    call = gmail.service.new_batch_http_request(callback=note)
    for number, request in enumerate(requests):
        call.add(request, request_id=str(number))
    call.execute()
    return [found[str(number)] for number in range(len(requests))]


def test_hundreds_of_labels_are_made_renamed_and_deleted_in_batches(gmail: Gmail) -> None:
    wanted = [f"Opportunities/Assign To/[{n}] Widgets ($1,{n:03d})" for n in range(300)]
    ids = []
    for at in range(0, 300, 50):
        made = batched(gmail, [gmail.labels.create(userId="me", body={"name": n}) for n in wanted[at : at + 50]])
        assert [label["name"] for label in made] == wanted[at : at + 50]
        ids += [label["id"] for label in made]
    assert gmail.sandbox.meter()["google"]["methods"]["gmail.users.labels.create"] == {"calls": 300, "units": 1500}
    renamed = [gmail.labels.patch(userId="me", id=i, body={"name": f"{i} renamed"}) for i in ids[:50]]
    assert [label["id"] for label in batched(gmail, renamed)] == ids[:50]
    batched(gmail, [gmail.labels.delete(userId="me", id=ident) for ident in ids[:100]])
    assert {x["id"] for x in gmail.labels.list(userId="me").execute()["labels"]} & set(ids) == set(ids[100:])


def test_parts_of_a_batch_over_the_quota_are_refused_one_by_one(gmail: Gmail) -> None:
    gmail.sandbox.settings(gmail_quota_user=100)
    found = batched(gmail, [gmail.labels.create(userId="me", body={"name": f"L{n}"}) for n in range(30)])
    assert sum("id" in one for one in found) == 20
    assert [one for one in found if "id" not in one] == [(403, "userRateLimitExceeded")] * 10
    gmail.sandbox.advance(60)
    assert gmail.label("L29")


@pytest.mark.parametrize("told", [True, False])
def test_a_deleted_label_leaves_its_messages_and_records_as_the_setting_says(gmail: Gmail, told: bool) -> None:
    gmail.sandbox.settings(gmail_label_delete_history=told)
    ident = gmail.label("gone")
    messages = [gmail.deliver(eml(str(n), ident=str(n)), labels=["INBOX", "UNREAD", "gone"])["id"] for n in range(3)]
    start = gmail.now()
    gmail.labels.delete(userId="me", id=ident).execute()
    assert [gmail.worn(m) for m in messages] == [{"INBOX", "UNREAD"}] * 3
    records = gmail.since(start)
    assert [r["labelsRemoved"][0]["message"]["id"] for r in records] == (messages if told else [])
    assert all(r["labelsRemoved"][0]["labelIds"] == [ident] for r in records)
    assert gmail.now() != start


def test_a_copy_in_a_second_label_and_a_move_from_one_to_another(gmail: Gmail) -> None:
    first, second = gmail.label("First"), gmail.label("Second")
    ident = gmail.deliver(eml())["id"]
    act = gmail.sandbox.act
    act("google", "drop_message", user=ANNA, message=ident, label="First")
    assert {first, "INBOX"} <= gmail.worn(ident)
    act("google", "drop_message", user=ANNA, message=ident, label="Second")
    assert {first, second, "INBOX"} <= gmail.worn(ident)
    start = gmail.now()
    act("google", "remove_label", user=ANNA, message=ident, label="Second")
    act("google", "drop_message", user=ANNA, message=ident, label="Second", **{"from": "First"})
    assert {first, second} & gmail.worn(ident) == {second}
    assert [next(k for k in r if k.startswith("labels")) for r in gmail.since(start)] == [
        "labelsRemoved", "labelsAdded", "labelsRemoved"]  # fmt: skip


@pytest.mark.parametrize("where", ["trash", "spam"])
def test_trash_and_spam_by_hand_leave_the_inbox(gmail: Gmail, where: str) -> None:
    ident = gmail.deliver(eml(), labels=["INBOX", "Travel"])["id"]
    gmail.sandbox.act("google", where, user=ANNA, message=ident)
    assert {where.upper()} <= gmail.worn(ident)
    assert "INBOX" not in gmail.worn(ident)
    assert gmail.find(labelIds=[next(x for x in gmail.worn(ident) if x.startswith("Label"))]) == []
