"""What is no mail ends in a stated way, on the sandbox."""

from __future__ import annotations

from urllib.parse import quote

from sync.errors import Rejected
from sync.model import LabelMap, Message
from tests.contracts.mail_world import mail
from tests.contracts.outlook_world import OutlookMailbox, OutlookWorld
from tests.providers.microsoft.scene import filed, folder, settle


def test_a_draft_is_rejected_and_goes_back_to_the_drafts(box: OutlookMailbox, made: LabelMap, drop: str) -> None:
    key = box.act("deliver", raw=mail().decode(), folder="drafts")["immutableId"]
    state = {m["immutableId"]: m for m in box.world.sandbox.state("microsoft")["mailboxes"][box.address]["messages"]}
    assert state[key]["isDraft"]
    box.drop(key, drop)
    error = box.provider().read([key])[key]
    assert isinstance(error, Rejected)
    assert error.reason == "not_mail"
    failed = made.ids["marker.error"]
    settle(box, filed(key, drop, failed))
    assert folder(box, key) == "drafts"


def test_a_meeting_request_is_told_as_one(box: OutlookMailbox, drop: str) -> None:
    raw = (
        b"From: Kim <kim@widgets.example>\r\nTo: alex@mailspan.example\r\nSubject: Widgets review\r\n"
        b"Message-ID: <meeting@widgets.example>\r\nDate: Mon, 02 Mar 2026 09:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/alternative; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nReview\r\n'
        b"--b\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n"
        b"BEGIN:VEVENT\r\nUID:1@widgets.example\r\nDTSTART:20260303T100000Z\r\nDTEND:20260303T110000Z\r\n"
        b"SUMMARY:Widgets review\r\nORGANIZER:mailto:kim@widgets.example\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n--b--\r\n"
    )
    key = box.drop(box.deliver(raw), drop)
    read = box.provider().read([key])[key]
    assert isinstance(read, Message)
    assert read.mime.kind == "calendar"


def test_what_exchange_cannot_convert_is_no_mail(world: OutlookWorld, box: OutlookMailbox, drop: str) -> None:
    key, other = box.drop(box.deliver(mail()), drop), box.drop(box.deliver(mail()), drop)
    provider = box.provider()
    provider.dropped([drop])
    body = {"error": {"code": "ErrorMimeContentConversionFailed", "message": "text of a person"}}
    world.sandbox.fault("status", vendor="microsoft", path=rf"{quote(key, safe='')}/\$value", status=400, body=body)
    answers = provider.read([key, other])
    error = answers[key]
    assert isinstance(error, Rejected)
    assert (error.reason, "person" in str(error)) == ("not_mail", False)
    assert isinstance(answers[other], Message)
