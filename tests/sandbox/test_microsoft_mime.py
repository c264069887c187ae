"""MIME as Exchange gives it back, kinds of items, and mails of any shape (`providers.md GR-18`)."""

from __future__ import annotations

import base64
import email
import os
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.graph_client import Graph, eml
from tests.sandboxed import Sandbox

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "mail"
CLASS = "$expand=singleValueExtendedProperties($filter=id eq 'String 0x001A')"


def rewritten(graph: Graph, raw: bytes) -> tuple[bytes, EmailMessage]:
    """A delivered mail's $value, and it parsed."""
    told = graph.act("deliver", raw_base64=base64.b64encode(raw).decode())
    found = graph.get(f"/messages/{told['id']}/$value")
    parsed = email.message_from_bytes(found, policy=default)
    assert isinstance(parsed, EmailMessage)
    return found, parsed


def with_parts() -> EmailMessage:
    """HTML with a picture in it and a file beside it."""
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = (
        "Grüße aus Ångström",
        "Jörg <joerg@acme.example>",
        "erik@northpeak.example",
    )
    mail["Message-ID"], mail["Date"] = "<42@acme.example>", "Tue, 03 Mar 2026 10:00:00 +0100"
    mail["References"], mail["X-Own"] = "<40@acme.example> <41@acme.example>", "kept"
    mail.set_content("<p>Hallo <b>Erik</b>, siehe Bild <img src='cid:logo'></p>", subtype="html")
    mail.add_related(b"\x89PNG", "image", "png", cid="<logo>")
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="Angebot für Erik.pdf")
    return mail


def test_a_message_is_written_anew(graph: Graph) -> None:
    source = with_parts()
    raw, found = rewritten(graph, source.as_bytes())
    assert raw != source.as_bytes()
    for name in ("Message-ID", "Date", "References", "X-Own", "Subject", "From"):
        assert str(found[name]) == str(source[name]), name
    assert len(found.get_all("Received") or []) == 2
    assert found["X-MS-Has-Attach"] == "yes"
    assert "_000_" in raw.decode()
    plain = found.get_body(("plain",))
    assert plain is not None  # a mail with HTML alone gets a plain part
    assert "Hallo Erik, siehe Bild" in plain.get_content()
    assert [a.get_filename() for a in found.iter_attachments()] == ["Angebot für Erik.pdf"]
    assert all(len(line) <= 1000 for line in raw.split(b"\r\n"))
    assert b"\n" not in raw.replace(b"\r\n", b"")


def test_it_may_be_switched_off(graph: Graph) -> None:
    graph.sandbox.settings(graph_reencode=False)
    source = with_parts().as_bytes().replace(b"\n", b"\r\n")
    assert rewritten(graph, source)[0] == source


def test_a_signed_message_stays_as_it_is(graph: Graph) -> None:
    body = (
        "--b\r\nContent-Type: text/plain\r\n\r\nSigned  text \r\n--b\r\n"
        "Content-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\nMIAG\r\n--b--"
    )
    raw = eml(
        body=body, Content_Type='multipart/signed; micalg=sha-256; protocol="application/pkcs7-signature"; boundary=b'
    )
    assert body.encode() in rewritten(graph, raw.encode())[0]


def test_what_is_missing_is_given_on_arrival(graph: Graph, priya: Graph) -> None:
    raw = b"From: kim@acme.example\r\nSubject: Bare\r\n\r\nHello\r\n"
    _, found = rewritten(graph, raw)
    assert found["Message-ID"]
    assert found["Date"]
    assert priya.get(f"/messages/{priya.deliver(raw.decode())['id']}")["internetMessageId"] == found["Message-ID"]


def ics(method: str, *lines: str) -> str:
    text = [
        "BEGIN:VCALENDAR",
        f"METHOD:{method}",
        "BEGIN:VEVENT",
        "UID:1",
        "DTSTART;TZID=Europe/Berlin:20260310T100000",
        "DTEND:20260310T100000Z",
        "LOCATION:Room 4",
        *lines,
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return "\r\n".join(text)


def report(kind: str) -> str:
    """A receipt or a bounce."""
    inner = {
        "disposition-notification": "message/disposition-notification",
        "delivery-status": "message/delivery-status",
    }
    body = f"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b\r\nContent-Type: {inner[kind]}\r\n\r\nX: y\r\n\r\n--b--"
    return eml(body=body, Content_Type=f"multipart/report; report-type={kind}; boundary=b")


@pytest.mark.parametrize(
    ("raw", "odata", "message_class", "members"),
    [
        (eml(), None, "IPM.Note", {}),
        (
            eml(body=ics("REQUEST"), Content_Type="text/calendar; method=REQUEST"),
            "#microsoft.graph.eventMessageRequest",
            "IPM.Schedule.Meeting.Request",
            {
                "meetingMessageType": "meetingRequest",
                "type": "singleInstance",
                "startDateTime": {"dateTime": "2026-03-10T10:00:00.0000000", "timeZone": "Europe/Berlin"},
            },
        ),
        (
            eml(body=ics("REPLY", "ATTENDEE;PARTSTAT=DECLINED:mailto:x"), Content_Type="text/calendar; method=REPLY"),
            "#microsoft.graph.eventMessageResponse",
            "IPM.Schedule.Meeting.Resp.Neg",
            {"responseType": "declined"},
        ),
        (
            eml(body=ics("CANCEL"), Content_Type="text/calendar; method=CANCEL"),
            "#microsoft.graph.eventMessage",
            "IPM.Schedule.Meeting.Canceled",
            {"meetingMessageType": "meetingCancelled"},
        ),
        (report("disposition-notification"), None, "REPORT.IPM.Note.IPNRN", {}),
        (report("delivery-status"), None, "REPORT.IPM.Note.NDR", {}),
    ],
    ids=["mail", "request", "answer", "cancellation", "receipt", "bounce"],
)
def test_items_that_are_no_mail(
    graph: Graph, raw: str, odata: str | None, message_class: str, members: dict[str, Any]
) -> None:
    path = f"/messages/{graph.deliver(raw)['id']}"
    found = graph.get(path)
    assert found.get("@odata.type") == odata
    assert members.items() <= found.items()
    brief = graph.get(f"{path}?$select=subject&{CLASS}")
    assert brief.get("@odata.type") == odata
    assert brief["singleValueExtendedProperties"][0]["value"] == message_class
    moved = graph.post(f"{path}/move", {"destinationId": "archive"})
    assert moved.get("@odata.type") == odata
    assert b"Subject: Widgets" in graph.get(f"/messages/{moved['id']}/$value")


def test_every_awkward_mail_can_be_shown_and_found(graph: Graph) -> None:
    if not SHARED.is_dir():
        assert os.environ.get("CI") != "true", f"{SHARED} is missing"
        pytest.skip(f"{SHARED} is missing")
    graph.sandbox.settings(graph_quota=0)
    mails = [p.read_bytes() for p in sorted(SHARED.rglob("*")) if p.suffix in (".eml", ".txt", ".msg")]
    assert len(mails) > 50
    for raw in filter(bytes.strip, mails):
        told = graph.act("deliver", raw_base64=base64.b64encode(raw).decode())
        found = graph.get(f"/messages/{told['id']}?$expand=attachments")
        assert isinstance(found["body"]["content"], str)
        value = graph.get(f"/messages/{told['id']}/$value")
        again = email.message_from_bytes(value, policy=default)
        assert str(again["Message-ID"]).strip() or found["internetMessageId"]
        assert graph.get(f"/messages/{told['id']}?$select=internetMessageHeaders")["internetMessageHeaders"]
    graph.all("/messages?$filter=contains(subject,'a')&$select=subject,bodyPreview&$top=1000")


def test_the_seeded_organisation_is_there(sandbox: Sandbox) -> None:
    erik = Graph(sandbox)
    assert erik.get("/mailFolders/inbox")["totalItemCount"] > 30
    customers = erik.all("/mailFolders?$filter=displayName eq 'Customers'")[0]
    found = erik.all(f"/mailFolders/{customers['id']}/messages?$select=categories")
    assert {tuple(m["categories"]) for m in found} == {("Key customer",)}
    for message in erik.all("/messages?$top=100"):
        assert erik.get(f"/messages/{message['id']}/$value")
    erik.close()
