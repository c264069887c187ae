"""Mails that programs write: invitations and answers to them, bounces, absence notes, receipts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from sandbox.seed import files, mime
from sandbox.seed.letters import Mail
from sandbox.seed.odd import ANNA, BEN, ERIK, MARIA, TOM, bare
from sandbox.seed.odd_shapes import heads
from sandbox.seed.people import Person, contacts


def _invitation(
    when: str,
    method: str,
    author: Person,
    to: Sequence[Person],
    subject: str,
    start: str,
    status: str,
    uid: str,
    organizer: Person,
    story: str = "",
    ident: str | None = None,
    extra: Sequence[tuple[str, str]] = (),
) -> Mail:
    begin = mime.at(start)
    people = [(p.email, status) for p in ((author,) if method == "REPLY" else to)]
    event = files.calendar(
        method, uid, subject.partition(": ")[2] or subject, begin, begin + timedelta(hours=1), organizer.email, people
    )
    invite = mime.Part(
        (
            ("Content-Type", f'text/calendar; charset=utf-8; method={method}; name="invite.ics"'),
            ("Content-Transfer-Encoding", "7bit"),
        ),
        event.replace("\n", "\r\n").encode(),
    )
    body = mime.multipart(
        "alternative", (mime.text(f"{subject}\n{begin:%d %B %Y %H:%M}\n"), invite), uid + method + author.key
    )
    cases = (
        ("calendar_invite",)
        if method == "REQUEST"
        else ("calendar_reply",)
        if method == "REPLY"
        else ("calendar_cancel",)
    )
    return bare(
        when,
        author.email,
        [p.email for p in to],
        [*heads(author, to, subject), *extra],
        body,
        subject=subject,
        story=story,
        cases=cases,
        ident=ident,
    )


def meetings() -> Iterator[Mail]:
    """An invitation from a customer, one from a user, the answers, a cancellation."""
    malik, keller = contacts()["kestrel_imran_malik"], contacts()["acme_laura_keller"]
    yield _invitation(
        "2026-11-13 11:00",
        "REQUEST",
        malik,
        [BEN, TOM],
        "Test rig walk-through",
        "2026-12-02 10:00",
        "NEEDS-ACTION",
        "rig-2026-12-02@kestrel.example",
        malik,
        story="calendar_invite",
    )
    yield _invitation(
        "2026-11-13 11:40",
        "REPLY",
        BEN,
        [malik],
        "Accepted: Test rig walk-through",
        "2026-12-02 10:00",
        "ACCEPTED",
        "rig-2026-12-02@kestrel.example",
        malik,
    )
    yield _invitation(
        "2026-11-12 09:00",
        "REQUEST",
        ANNA,
        [keller, ERIK],
        "Widget order review",
        "2026-11-26 10:00",
        "NEEDS-ACTION",
        "review-1126@northpeak.example",
        ANNA,
    )
    yield _invitation(
        "2026-11-12 10:22",
        "REPLY",
        keller,
        [ANNA],
        "Accepted: Widget order review",
        "2026-11-26 10:00",
        "ACCEPTED",
        "review-1126@northpeak.example",
        ANNA,
        story="calendar_acceptance",
    )
    rask = contacts()["medianord_cecilia_rask"]
    yield _invitation(
        "2026-10-16 15:00",
        "CANCEL",
        rask,
        [MARIA],
        "Cancelled: Stand planning",
        "2026-10-20 09:00",
        "NEEDS-ACTION",
        "stand-1020@medianord-event.example",
        rask,
    )


def _report(kind: str, text: str, fields: str, original: str, seed: str) -> mime.Part:
    """A multipart/report (RFC 6522): prose, machine-readable fields, the headers of the original."""
    machine = mime.Part((("Content-Type", f"message/{kind}"),), fields.replace("\n", "\r\n").encode())
    headers = mime.Part((("Content-Type", "text/rfc822-headers"),), original.replace("\n", "\r\n").encode())
    return mime.multipart("report", (mime.text(text), machine, headers), seed, f";\r\n report-type={kind}")


def reports() -> Iterator[Mail]:
    """A bounce, a read receipt, absence notes."""
    gone = "derek.tull@brightwater.example"
    yield bare(
        "2026-11-09 08:31",
        "mailer-daemon@mail.brightwater.example",
        [BEN.email],
        [
            ("From", "Mail Delivery System <MAILER-DAEMON@mail.brightwater.example>"),
            ("To", BEN.email),
            ("Subject", "Undelivered Mail Returned to Sender"),
            ("Auto-Submitted", "auto-replied"),
        ],
        _report(
            "delivery-status",
            f"Your message could not be delivered to {gone}: user unknown.\n",
            f"Reporting-MTA: dns; mail.brightwater.example\n\nFinal-Recipient: rfc822; {gone}\nAction: failed\n"
            "Status: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 user unknown\n",
            f"From: {BEN.email}\nTo: {gone}\nSubject: Meter data\nMessage-ID: <lost-1@mail.northpeak.example>\n",
            "bounce",
        ),
        subject="Undelivered Mail Returned to Sender",
        story="bounce",
        cases=("bounce",),
    )
    holt = contacts()["technoport_mira_holt"]
    yield bare(
        "2026-11-05 12:12",
        holt.email,
        [MARIA.email],
        [
            *heads(holt, [MARIA], "Read: Loan unit for your lab"),
            ("In-Reply-To", "<loan-1@mail.northpeak.example>"),
            ("References", "<loan-1@mail.northpeak.example>"),
        ],
        _report(
            "disposition-notification",
            "Your message was read on 5 November 2026 12:11.\n",
            f"Final-Recipient: rfc822;{holt.email}\nOriginal-Message-ID: <loan-1@mail.northpeak.example>\n"
            "Disposition: manual-action/MDN-sent-manually; displayed\n",
            f"From: {MARIA.email}\nTo: {holt.email}\nSubject: Loan unit for your lab\n",
            "read",
        ),
        subject="Read: Loan unit for your lab",
        story="read_receipt",
        cases=("read_receipt",),
    )
    for when, key, user, subject, text in (
        (
            "2026-10-12 08:02",
            "lumen_amanda_sjoberg",
            ANNA,
            "Automatic reply: Frame agreement",
            "I am on parental leave until 1 March. Please write to yasmin.farah@lumenbattery.example.\n",
        ),
        (
            "2026-10-26 07:31",
            "ostsee_claudia_meier",
            TOM,
            "Abwesenheitsnotiz: Rechnung",
            "Ich bin bis 2. November nicht im Haus.\n",
        ),
    ):
        author = contacts()[key]
        yield bare(
            when,
            author.email,
            [user.email],
            [
                *heads(author, [user], subject),
                ("Auto-Submitted", "auto-replied"),
                ("X-Auto-Response-Suppress", "All"),
                ("Precedence", "bulk"),
            ],
            mime.text(text),
            subject=subject,
            cases=("out_of_office",),
            story="out_of_office" if user is ANNA else "",
        )


def traffic() -> Iterator[Mail]:
    """All of the above."""
    yield from meetings()
    yield from reports()
