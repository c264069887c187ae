"""Messages (providers.md GM-10 to GM-14): threading, insert, search, formats, uploads, sending."""

from __future__ import annotations

import base64
import io
import json
from email.message import EmailMessage
from typing import Any

import pytest
from googleapiclient.http import MediaIoBaseUpload

from tests.sandbox.gmail_client import ANNA, BEN, Gmail, b64, eml, refusal


def insert(gmail: Gmail, raw: str, **body: Any) -> dict[str, Any]:
    source = body.pop("internalDateSource", None)
    request = gmail.messages.insert(userId="me", body={"raw": b64(raw), **body}, internalDateSource=source)
    found: dict[str, Any] = request.execute()
    return found


# ---- threads ------------------------------------------------------------------------------------


def test_a_reply_joins_by_reference_and_subject(gmail: Gmail) -> None:
    first = gmail.deliver(eml())
    assert gmail.deliver(eml("RE: Fwd: widgets", ident="2", refs="1"))["threadId"] == first["threadId"]
    assert gmail.deliver(eml("Gadgets", ident="3", refs="1"))["threadId"] != first["threadId"]
    assert gmail.deliver(eml(ident="4"))["threadId"] != first["threadId"]


def test_a_thread_splits_after_a_hundred_messages(gmail: Gmail) -> None:
    threads = [gmail.deliver(eml(ident=str(n), refs="0" if n else ""))["threadId"] for n in range(102)]
    assert len(set(threads[:100])) == 1
    assert threads[99] != threads[100] == threads[101]


def test_threads_are_listed_read_changed_and_deleted_whole(gmail: Gmail) -> None:
    ids = [gmail.deliver(eml(ident=str(n), refs="1" if n > 1 else ""))["id"] for n in (1, 2)]
    other = gmail.deliver(eml("Else", ident="9"))["threadId"]
    listed = gmail.threads.list(userId="me").execute()
    assert [t["id"] for t in listed["threads"]] == [other, ids[0]]
    thread = gmail.threads.get(userId="me", id=ids[0], format="metadata", metadataHeaders=["subject"]).execute()
    assert [m["id"] for m in thread["messages"]] == ids
    assert [h["name"] for h in thread["messages"][0]["payload"]["headers"]] == ["Subject"]
    gmail.threads.modify(userId="me", id=ids[0], body={"addLabelIds": ["STARRED"]}).execute()
    gmail.threads.trash(userId="me", id=ids[0]).execute()
    assert all({"STARRED", "TRASH"} <= gmail.worn(i) for i in ids)
    gmail.threads.untrash(userId="me", id=ids[0]).execute()
    gmail.threads.delete(userId="me", id=ids[0]).execute()
    assert refusal(gmail.threads.get(userId="me", id=ids[0])) == (404, "notFound")


# ---- insert and import ------------------------------------------------------------------------------


def test_the_same_bytes_twice_are_two_messages_and_nothing_is_sent(gmail: Gmail, colleague: Gmail) -> None:
    raw = eml(To=BEN)
    first, second = insert(gmail, raw, labelIds=["UNREAD"]), insert(gmail, raw, labelIds=["UNREAD"])
    assert first["id"] != second["id"]
    assert first["threadId"] != second["threadId"]
    assert gmail.worn(first["id"]) == {"UNREAD"}
    assert colleague.find() == []


def test_insert_joins_only_with_thread_reference_and_subject(gmail: Gmail) -> None:
    thread = gmail.deliver(eml())["threadId"]
    assert insert(gmail, eml(ident="2", refs="1"))["threadId"] != thread
    assert insert(gmail, eml(ident="3", refs="1"), threadId=thread)["threadId"] == thread
    assert insert(gmail, eml(ident="4"), threadId=thread)["threadId"] != thread
    assert insert(gmail, eml("Other", ident="5", refs="1"), threadId=thread)["threadId"] != thread
    request = gmail.messages.insert(userId="me", body={"raw": b64(eml()), "threadId": "1234567890abcdef"})
    assert refusal(request) == (404, "notFound")


def test_the_internal_date_is_arrival_or_the_date_header(gmail: Gmail) -> None:
    raw = eml(Date="Mon, 01 Jun 2026 10:00:00 +0200")
    arrived = insert(gmail, raw)["id"]
    dated = insert(gmail, raw, internalDateSource="dateHeader")["id"]
    assert gmail.get(dated)["internalDate"] == "1780300800000"
    assert int(gmail.get(arrived)["internalDate"]) > 1780300800000


@pytest.mark.parametrize("body", [{}, {"raw": ""}, {"raw": b64(eml()), "labelIds": ["Label_77"]}])
def test_senseless_inserts_are_refused(gmail: Gmail, body: dict[str, Any]) -> None:
    gmail.sandbox.settings(record=False)
    assert refusal(gmail.messages.insert(userId="me", body=body)) == (400, "invalidArgument")


def test_import_threads_like_arriving_mail(gmail: Gmail) -> None:
    thread = gmail.deliver(eml())["threadId"]
    body = {"raw": b64(eml(ident="2", refs="1")), "labelIds": ["INBOX"]}
    found = gmail.messages.import_(userId="me", body=body, neverMarkSpam=True).execute()
    assert found["threadId"] == thread


# ---- uploads ------------------------------------------------------------------------------------------


def upload(raw: bytes, kind: str = "message/rfc822") -> MediaIoBaseUpload:
    return MediaIoBaseUpload(io.BytesIO(raw), kind, resumable=False)


def test_a_multipart_upload_keeps_labels_thread_and_bytes(gmail: Gmail) -> None:
    thread = gmail.deliver(eml())["threadId"]
    raw = eml(ident="2", refs="1").encode() + b"\x00 odd\n--\r\n"  # the client itself takes ASCII only
    request = gmail.messages.insert(
        userId="me", body={"labelIds": ["STARRED"], "threadId": thread}, media_body=upload(raw)
    )
    found = request.execute()
    assert found["threadId"] == thread
    assert gmail.worn(found["id"]) == {"STARRED"}
    assert base64.urlsafe_b64decode(gmail.get(found["id"], "raw")["raw"]) == raw


def test_an_upload_of_any_bytes_stays_as_it_is(gmail: Gmail) -> None:
    raw = b"Subject: x\r\n\r\n\xff\x00--b\r\n"
    body = b'--b1\r\nContent-Type: application/json\r\n\r\n{"labelIds": ["INBOX"]}\r\n'
    body += b"--b1\r\nContent-Type: message/rfc822\r\n\r\n" + raw + b"\r\n--b1--"
    address = gmail.sandbox.url("google") + "/upload/gmail/v1/users/me/messages?uploadType=multipart"
    answer, content = gmail.http.request(address, "POST", body, {"content-type": "multipart/related; boundary=b1"})
    assert answer.status == 200
    found = json.loads(content)
    assert found["labelIds"] == ["INBOX"]
    assert base64.urlsafe_b64decode(gmail.get(found["id"], "raw")["raw"]) == raw


def test_a_media_upload_has_no_metadata_and_only_mail_is_taken(gmail: Gmail) -> None:
    found = gmail.messages.insert(userId="me", media_body=upload(eml().encode())).execute()
    assert "labelIds" not in found
    assert refusal(gmail.messages.insert(userId="me", media_body=upload(b"x", "text/plain")))[0] == 400


# ---- formats ----------------------------------------------------------------------------------------------


def rich() -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Zoë <z@acme.example>", ANNA, "Grüße & mehr"
    mail["Message-ID"] = "<rich@acme.example>"
    mail.set_content("Hello <you> & all\n")
    mail.add_alternative("<p>Hello</p>", subtype="html")
    mail.add_attachment(b"%PDF-1.4 \x00\xff", maintype="application", subtype="pdf", filename="Angebot 1.pdf")
    return mail


def test_raw_is_byte_exact_and_base64url(gmail: Gmail) -> None:
    raw = b"Subject: =?utf-8?q?x?=\nX-Odd: \xe9\xff\n\nbare line feeds\nand \xf0 bytes\r\n"
    ident = gmail.messages.insert(userId="me", body={"raw": b64(raw).rstrip("=")}).execute()["id"]
    found = gmail.get(ident, "raw")
    assert base64.urlsafe_b64decode(found["raw"] + "==") == raw
    assert "payload" not in found
    assert found["sizeEstimate"] == len(raw)


def test_full_has_parts_as_gmail_numbers_them(gmail: Gmail) -> None:
    ident = insert(gmail, rich().as_string())["id"]
    found = gmail.get(ident, "full")
    payload = found["payload"]
    assert (payload["partId"], payload["mimeType"], payload["body"]) == ("", "multipart/mixed", {"size": 0})
    outer = [(p["partId"], p["mimeType"], p["filename"]) for p in payload["parts"]]
    assert outer == [("0", "multipart/alternative", ""), ("1", "application/pdf", "Angebot 1.pdf")]
    plain, html = payload["parts"][0]["parts"]
    assert [plain["partId"], html["partId"]] == ["0.0", "0.1"]
    assert base64.urlsafe_b64decode(plain["body"]["data"]).strip() == b"Hello <you> & all"
    assert {h["name"]: h["value"] for h in payload["headers"]}["Subject"] == "Grüße & mehr"
    assert found["snippet"] == "Hello &lt;you&gt; &amp; all"


def test_attachments_come_by_an_id_that_changes_and_stays_good(gmail: Gmail) -> None:
    ident = insert(gmail, rich().as_string())["id"]
    first, second = (gmail.get(ident, "full")["payload"]["parts"][1]["body"] for _ in range(2))
    assert "data" not in first
    assert first["attachmentId"] != second["attachmentId"]
    for body in (first, second):
        request = gmail.messages.attachments().get(userId="me", messageId=ident, id=body["attachmentId"])
        found = request.execute()
        assert base64.urlsafe_b64decode(found["data"]) == b"%PDF-1.4 \x00\xff"
        assert found["size"] == body["size"] == 11
    wrong = gmail.messages.attachments().get(userId="me", messageId=ident, id="nonsense")
    assert refusal(wrong) == (400, "invalidArgument")


def test_minimal_and_metadata_are_what_they_say(gmail: Gmail) -> None:
    ident = insert(gmail, rich().as_string())["id"]
    assert {"payload", "raw"}.isdisjoint(gmail.get(ident, "minimal"))
    request = gmail.messages.get(userId="me", id=ident, format="metadata", metadataHeaders=["message-id", "FROM"])
    payload = request.execute()["payload"]
    assert {h["name"]: h["value"] for h in payload["headers"]} == {
        "From": "Zoë <z@acme.example>", "Message-ID": "<rich@acme.example>"}  # fmt: skip
    assert "parts" not in payload


# ---- search and lists -----------------------------------------------------------------------------------------


def test_search_finds_a_new_message_only_after_the_index_delay(gmail: Gmail) -> None:
    gmail.sandbox.settings(gmail_index_delay=3.0)
    ident = insert(gmail, eml(), labelIds=["INBOX"])["id"]
    assert gmail.find("rfc822msgid:<1@acme.example>") == []
    assert gmail.find(labelIds=["INBOX"]) == [ident]
    gmail.sandbox.advance(3)
    assert gmail.find("rfc822msgid:1@acme.example") == [ident]


QUERIES = {
    "from:kim@acme.example": "ab",
    "from:Kim": "ab",
    "to:me": "a",
    "subject:widgets": "ac",
    'subject:"big widgets"': "c",
    "is:unread": "a",
    "is:starred OR is:unread": "ac",
    "in:sent": "c",
    "label:travel-plans": "b",
    "label:travel-plans -is:unread from:kim": "b",
    "has:attachment": "",
    "after:2026/06/02": "bc",
    "before:2026/06/02": "a",
    "older_than:1d": "abc",
    "newer_than:1d": "",
    "{subject:gadgets in:sent}": "bc",
    "in:trash": "d",
    "in:anywhere kim": "abd",
    "hello": "abc",
    "-hello": "",
    "rfc822msgid:b@acme.example": "b",
}


@pytest.mark.parametrize(("query", "found"), QUERIES.items())
def test_queries(gmail: Gmail, query: str, found: str) -> None:
    gmail.label("Travel plans")
    mails = {
        "a": (eml(ident="a"), ["INBOX", "UNREAD"], "2026-06-01T10:00:00+00:00"),
        "b": (eml("Gadgets", ident="b", To="x@acme.example"), ["Travel plans"], "2026-06-03T10:00:00+00:00"),
        "c": (eml("Big  widgets", ident="c", From=ANNA, To="y@acme.example"), ["SENT", "STARRED"],
              "2026-06-04T10:00:00+00:00"),
        "d": (eml("Old", ident="d", To="z@acme.example"), ["TRASH"], "2026-06-04T10:00:00+00:00"),
    }  # fmt: skip
    ids = {gmail.deliver(raw, labels=labels, date=date)["id"]: key for key, (raw, labels, date) in mails.items()}
    assert sorted(ids[ident] for ident in gmail.find(query)) == list(found)


def test_lists_are_newest_first_and_leave_trash_and_spam_out(gmail: Gmail) -> None:
    ids = [gmail.deliver(eml(str(n), ident=str(n)), labels=["INBOX"], date=f"2026-06-0{n}T00:00:00+00:00")["id"]
           for n in (3, 1, 2)]  # fmt: skip
    gmail.messages.trash(userId="me", id=ids[0]).execute()
    assert gmail.find() == [ids[2], ids[1]]
    assert gmail.find(includeSpamTrash=True) == [ids[0], ids[2], ids[1]]
    assert gmail.find(labelIds=["TRASH"]) == [ids[0]]
    assert "messages" not in gmail.messages.list(userId="me", q="nowhere").execute()


def test_page_tokens_are_good_verbatim_for_user_and_query_only(gmail: Gmail, colleague: Gmail) -> None:
    ids = [gmail.deliver(eml(str(n), ident=str(n)))["id"] for n in range(5)]
    gmail.sandbox.settings(page_size=2)
    page = gmail.messages.list(userId="me", labelIds=["INBOX"], maxResults=500).execute()
    token, found = page["nextPageToken"], [m["id"] for m in page["messages"]]
    for other in ({"labelIds": ["UNREAD"]}, {"labelIds": ["INBOX"], "q": "x"}):
        assert refusal(gmail.messages.list(userId="me", pageToken=token, **other)) == (400, "invalidArgument")
    assert refusal(gmail.messages.list(userId="me", labelIds=["INBOX"], pageToken=token + "1"))[0] == 400
    assert refusal(colleague.messages.list(userId="me", labelIds=["INBOX"], pageToken=token))[0] == 400
    while token:
        page = gmail.messages.list(userId="me", labelIds=["INBOX"], pageToken=token).execute()
        found += [m["id"] for m in page["messages"]]
        token = page.get("nextPageToken")
    assert found == ids[::-1]


# ---- sending ------------------------------------------------------------------------------------------------


def test_send_reaches_other_mailboxes_without_bcc(gmail: Gmail, colleague: Gmail) -> None:
    raw = eml(From=ANNA, To="x@acme.example", Bcc=BEN)
    sent = gmail.messages.send(userId="me", body={"raw": b64(raw)}).execute()
    assert gmail.worn(sent["id"]) == {"SENT"}
    [arrived] = colleague.find()
    assert arrived != sent["id"]
    assert {"INBOX", "UNREAD"} <= colleague.worn(arrived)
    assert "Bcc" not in {h["name"] for h in colleague.get(arrived, "full")["payload"]["headers"]}
    assert "Bcc" in {h["name"] for h in gmail.get(sent["id"], "full")["payload"]["headers"]}
    assert [m["to"] for m in gmail.sandbox.state("google")["outbox"]] == ["x@acme.example"]


def test_mail_to_oneself_is_one_message_sent_and_in_the_inbox(gmail: Gmail) -> None:
    raw = eml(From=ANNA, To="al@northpeak.example")
    sent = gmail.messages.send(userId="me", body={"raw": b64(raw)}).execute()
    assert gmail.find() == [sent["id"]]
    assert gmail.worn(sent["id"]) == {"SENT", "INBOX", "UNREAD"}


def test_send_completes_the_headers_and_needs_a_recipient(gmail: Gmail) -> None:
    raw = "From: someone@else.example\r\nTo: x@acme.example\r\nSubject: x\r\n\r\nx"
    sent = gmail.messages.send(userId="me", body={"raw": b64(raw)}).execute()
    headers = {h["name"]: h["value"] for h in gmail.get(sent["id"], "full")["payload"]["headers"]}
    assert ANNA in headers["From"]
    assert headers["Message-ID"].startswith("<")
    assert headers["Date"]
    assert refusal(gmail.messages.send(userId="me", body={"raw": b64("Subject: x\r\n\r\nx")}))[0] == 400


def test_a_reply_threads_on_both_sides(gmail: Gmail, colleague: Gmail) -> None:
    first = gmail.messages.send(userId="me", body={"raw": b64(eml(From=ANNA, To=BEN))}).execute()
    [theirs] = colleague.find()
    reply = eml("Re: Widgets", ident="2", refs="1", From=BEN, To=ANNA)
    body = {"raw": b64(reply), "threadId": colleague.get(theirs)["threadId"]}
    answer = colleague.messages.send(userId="me", body=body).execute()
    assert answer["threadId"] == colleague.get(theirs)["threadId"]
    assert len(gmail.threads.get(userId="me", id=first["threadId"]).execute()["messages"]) == 2


# ---- filters ------------------------------------------------------------------------------------------------


def test_filters_are_made_listed_applied_and_deleted(gmail: Gmail) -> None:
    filters, label = gmail.users.settings().filters(), gmail.label("Deals")
    body = {"criteria": {"subject": "widgets", "hasAttachment": False},
            "action": {"addLabelIds": [label], "removeLabelIds": ["INBOX"]}}  # fmt: skip
    made = filters.create(userId="me", body=body).execute()
    assert filters.list(userId="me").execute() == {"filter": [made]}
    assert filters.get(userId="me", id=made["id"]).execute() == made
    assert set(gmail.deliver(eml())["labelIds"]) == {label, "UNREAD", "CATEGORY_PERSONAL"}
    assert label not in gmail.deliver(eml("Gadgets", ident="2"))["labelIds"]
    assert refusal(filters.create(userId="me", body=body)) == (400, "failedPrecondition")
    filters.delete(userId="me", id=made["id"]).execute()
    assert filters.list(userId="me").execute() == {}
    assert refusal(filters.create(userId="me", body={"criteria": {}, "action": {"addLabelIds": [label]}}))[0] == 400
