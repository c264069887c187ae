"""What an item is: its message class and Graph's type (meeting messages, receipts, bounces)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sandbox.microsoft.mail.mime import Mail

Json = dict[str, Any]
ANSWERS = {
    "ACCEPTED": ("Pos", "accepted"),
    "DECLINED": ("Neg", "declined"),
    "TENTATIVE": ("Tent", "tentativelyAccepted"),
}
ZONES = re.compile(r"TZID=([^;:]+)")
MOMENT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?")


@dataclass(frozen=True, slots=True)
class Kind:
    """Message class, `@odata.type` without its namespace ("" for a plain message), and the type's own members."""

    message_class: str
    odata: str = ""
    members: tuple[tuple[str, Any], ...] = ()


PLAIN = Kind("IPM.Note")


def kind_of(mail: Mail) -> Kind:
    """Of a mail as it arrives."""
    content_type = mail.head.get_content_type()
    if content_type == "multipart/report":
        report = str(mail.head.get_param("report-type") or "").lower()
        if report == "disposition-notification":
            return Kind("REPORT.IPM.Note.IPNRN")
        return Kind("REPORT.IPM.Note.NDR" if report == "delivery-status" else "IPM.Note")
    if content_type == "multipart/signed":
        return Kind("IPM.Note.SMIME.MultipartSigned")
    if content_type in ("application/pkcs7-mime", "application/x-pkcs7-mime"):
        return Kind("IPM.Note.SMIME")
    if content_type.startswith(("text/plain", "text/html")) or b"text/calendar" not in mail.raw.lower():
        return PLAIN
    return _meeting(mail)


def _line(text: str, name: str) -> str:
    found = re.search(rf"(?m)^{name}([;:].*)$", text)
    return found[1].strip() if found else ""


def _moment(line: str) -> Json | None:
    found, zone = MOMENT.search(line), ZONES.search(line)
    if found is None:
        return None
    clock = f"{found[4] or '00'}:{found[5] or '00'}:{found[6] or '00'}.0000000"
    name = "UTC" if found[7] or not zone else zone[1].strip('"')
    return {"dateTime": f"{found[1]}-{found[2]}-{found[3]}T{clock}", "timeZone": name}


def _meeting(mail: Mail) -> Kind:
    text = re.sub(r"\r?\n[ \t]", "", mail.calendar)
    method = _line(text, "METHOD").lstrip(":").upper()
    event = text.partition("BEGIN:VEVENT")[2]
    start, end = _line(event, "DTSTART"), _line(event, "DTEND")
    members: list[tuple[str, Any]] = [
        ("startDateTime", _moment(start)),
        ("endDateTime", _moment(end)),
        ("location", {"displayName": _line(event, "LOCATION").partition(":")[2]}),
        ("isAllDay", bool(start) and "T" not in start.rpartition(":")[2]),
        ("isOutOfDate", False),
        ("isDelegated", False),
        ("type", "seriesMaster" if _line(event, "RRULE") else "singleInstance"),
    ]
    if method == "REQUEST":
        more = [("meetingMessageType", "meetingRequest"), ("meetingRequestType", "newMeetingRequest"),
                ("responseRequested", True), ("allowNewTimeProposals", True)]  # fmt: skip
        return Kind("IPM.Schedule.Meeting.Request", "eventMessageRequest", (*members, *more))
    if method == "CANCEL":
        return Kind(
            "IPM.Schedule.Meeting.Canceled", "eventMessage", (*members, ("meetingMessageType", "meetingCancelled"))
        )
    if method == "REPLY":
        status = re.search(r"PARTSTAT=(ACCEPTED|DECLINED|TENTATIVE)", event, re.IGNORECASE)
        suffix, response = ANSWERS[status[1].upper() if status else "ACCEPTED"]
        told = {"accepted": "meetingAccepted", "declined": "meetingDeclined"}.get(response, "meetingTenativelyAccepted")
        return Kind(f"IPM.Schedule.Meeting.Resp.{suffix}", "eventMessageResponse",
                    (*members, ("meetingMessageType", told), ("responseType", response)))  # fmt: skip
    return PLAIN
