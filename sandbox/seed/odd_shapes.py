"""Mails whose structure is out of the ordinary, broken, or missing."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sandbox.seed import FOLDER, files, mime
from sandbox.seed.letters import Mail
from sandbox.seed.odd import ANNA, BEN, ERIK, MARIA, PRIYA, TOM, bare
from sandbox.seed.people import Person, contacts

Header = tuple[str, str]


def heads(author: Person, to: Sequence[Person], subject: str) -> list[Header]:
    """From, To and Subject in plain form."""
    return [
        ("From", mime.mailbox(*author.box)),
        ("To", mime.addresses(p.box for p in to)),
        ("Subject", mime.encoded(subject)),
    ]


def missing() -> Iterator[Mail]:
    """Mails without a sender, Message-ID, Date, recipient or subject."""
    yield bare(
        "2026-11-16 03:12",
        "",
        [ANNA.email],
        [("Subject", "scan 0007"), ("X-Scanner", "MFP-2 third floor")],
        mime.text("Scanned document attached.\n"),
        ident="",
        subject="scan 0007",
        story="unparseable",
        cases=("no_from", "no_message_id"),
    )
    lowe = contacts()["kestrel_hannah_lowe"]
    yield bare(
        "2026-11-11 07:45",
        lowe.email,
        [BEN.email],
        heads(lowe, [BEN], "Remittance advice 88120"),
        mime.text(
            "Dear supplier,\n\ntoday we have transferred GBP 12,480.00 for INV-264410.\n\nAccounts Payable\nKestrel\n"
        ),
        ident="",
        subject="Remittance advice 88120",
        story="no_message_id",
        cases=("no_message_id",),
    )
    iqbal = contacts()["cobalt_mohammed_iqbal"]
    yield bare(
        "2026-10-19 05:50",
        iqbal.email,
        [TOM.email, BEN.email],
        heads(iqbal, [TOM, BEN], "Alarm relay 12"),
        mime.text("Relay 12 reports a fault again. Sent by the control system in my name.\n"),
        dated=False,
        subject="Alarm relay 12",
        story="no_date",
        cases=("no_date",),
    )
    holm = contacts()["acme_ingrid_holm"]
    yield bare(
        "2026-10-21 14:21",
        holm.email,
        [ANNA.email, MARIA.email],
        [("From", mime.mailbox(*holm.box)), ("Cc", "undisclosed-recipients:;"), ("Subject", "Plant closed")],
        mime.text("The plant in Malmö is closed on 2 November.\n"),
        subject="Plant closed",
        story="bcc_received",
        cases=("undisclosed_recipients", "bcc"),
    )
    yield bare(
        "2026-10-22 10:02",
        holm.email,
        [ANNA.email, MARIA.email],
        [
            ("From", mime.mailbox(*holm.box)),
            (
                "To",
                'Widget pilot: Anna Lindqvist <anna@northpeak.example>,\r\n "Santos, '
                'Maria" <maria@northpeak.example>, marcus.webb@acme.example;',
            ),
            ("Subject", "Pilot: next steps"),
        ],
        mime.text("Next steps: second shift from Monday, report on Friday.\n"),
        subject="Pilot: next steps",
        story="group_syntax",
        cases=("group_syntax",),
    )
    webb = contacts()["acme_marcus_webb"]
    yield bare(
        "2026-10-23 12:59",
        webb.email,
        [MARIA.email],
        [("From", mime.mailbox(*webb.box)), ("To", mime.mailbox(*MARIA.box))],
        mime.text("No subject line at all, my phone eats it.\n"),
        cases=("no_subject",),
    )
    yield bare(
        "2026-10-24 09:14",
        webb.email,
        [MARIA.email],
        heads(webb, [MARIA], "Empty"),
        mime.text(""),
        subject="Empty",
        cases=("empty_body",),
    )
    yield bare(
        "2026-11-10 23:58",
        "",
        [BEN.email],
        [("From", "MAILER ERROR"), ("To", "<>"), ("Subject", "undefined")],
        mime.text("null\n"),
        ident="",
        subject="undefined",
        story="from_without_address",
        cases=("no_from", "no_message_id"),
    )


def blind_copies() -> Iterator[Mail]:
    """One mail in two shapes: the sender's copy names the Bcc, the recipients' copies do not."""
    moss = contacts()["brightwater_catherine_moss"]
    part = mime.text("Catherine,\n\nhere are the terms we talked about. I look forward to your answer.\n\nBen\n")
    shown, ident = heads(BEN, [moss], "Framework terms"), "<CA+blindcopy26@mail.northpeak.example>"
    hidden = ("Bcc", mime.mailbox(*ERIK.box) + ", anna@northpeak.example")
    sent = bare(
        "2026-10-30 10:30",
        BEN.email,
        [],
        [*shown, hidden],
        part,
        ident=ident,
        subject="Framework terms",
        story="bcc_sent",
        cases=("bcc",),
    )
    got = bare(
        "2026-10-30 10:30",
        BEN.email,
        [ERIK.email, ANNA.email],
        shown,
        part,
        ident=ident,
        subject="Framework terms",
        cases=("bcc",),
    )
    yield sent
    yield replace(got, boxes={box: place for box, place in got.boxes.items() if box != BEN.email})


def parts() -> Iterator[Mail]:
    """Unusual but valid MIME."""
    reid = contacts()["cobalt_stuart_reid"]
    fielding = contacts()["brightwater_zoe_fielding"]
    inner = mime.render(
        [
            *heads(fielding, [reid], "Meter hall readings"),
            ("Date", "Mon, 12 Oct 2026 09:00:00 +0100"),
            ("Message-ID", "<inner-1@brightwater.example>"),
        ],
        mime.text("Hall 3 reads 4 % high.\n"),
    )
    message = mime.Part(
        (("Content-Type", "message/rfc822"), ("Content-Disposition", 'attachment; filename="mail.eml"')), inner
    )
    yield bare(
        "2026-10-12 14:40",
        reid.email,
        [BEN.email],
        heads(reid, [BEN], "Fwd: Meter hall readings"),
        mime.multipart("mixed", (mime.text("See the attached mail of our water supplier.\n"), message), "fwd"),
        subject="Fwd: Meter hall readings",
        story="forwarded_message",
        cases=("rfc822_attachment",),
    )
    ahearn = contacts()["pacme_conor_daly"]
    yield bare(
        "2026-10-13 15:15",
        ahearn.email,
        [BEN.email, MARIA.email],
        heads(ahearn, [BEN, MARIA], "Photo only"),
        mime.file("IMG_0042.png", "image/png", files.photo(9)),
        subject="Photo only",
        cases=("no_text",),
    )
    web = contacts()["omalley_eoin_kelly"]
    page = "<html><body><p>The <b>milk pump</b> stops at 4&nbsp;bar.</p><script>x=1</script></body></html>"
    yield bare(
        "2026-10-14 11:05",
        web.email,
        [BEN.email],
        heads(web, [BEN], "Milk pump"),
        mime.text(page, "html"),
        subject="Milk pump",
        story="html_only",
        cases=("html_only",),
    )
    flowed = (
        "This paragraph is soft-wrapped at about seventy columns, as RFC 3676 \nasks, and has to come out as one "
        "line.\n\n> Quoted text that \n> flows as well.\n"
    )
    lind = contacts()["technoport_stefan_lind"]
    yield bare(
        "2026-10-15 09:31",
        lind.email,
        [MARIA.email],
        heads(lind, [MARIA], "Flowed"),
        mime.text(flowed, flowed=True),
        subject="Flowed",
        cases=("format_flowed",),
    )
    wallin = contacts()["helios_energy_mats_wallin"]
    readings = b"".join(
        b"2026-10-%02d %02d:%02d;%05d;OK\r\n" % (n // 1440 + 1, n // 60 % 24, n % 60, n * 37 % 5000)
        for n in range(5700)
    )
    log = (readings * 15)[: 2 * 1024 * 1024]
    yield bare(
        "2026-10-16 13:13",
        wallin.email,
        [ANNA.email],
        heads(wallin, [ANNA], "Boiler log, one month"),
        mime.multipart(
            "mixed",
            (mime.text("The log of last month, sorry for the size.\n"), mime.file("boiler_log.csv", "text/csv", log)),
            "log",
        ),
        subject="Boiler log, one month",
        story="large_attachment",
        cases=("large_attachment",),
    )
    long_text = "\n".join(f"{n:05d}  pressure 4.{n % 10} bar  temperature {60 + n % 9} °C" for n in range(3600))
    yield bare(
        "2026-10-20 04:44",
        wallin.email,
        [ANNA.email],
        heads(wallin, [ANNA], "Boiler log as text"),
        mime.text(long_text),
        subject="Boiler log as text",
        story="long_body",
        cases=("long_body",),
    )


def protected() -> Iterator[Mail]:
    """Signed mail and Outlook's own container."""
    adeyemi = contacts()["kestrel_victor_adeyemi"]
    signed = mime.multipart(
        "signed",
        (smime_content(), _signature()),
        "smime",
        ';\r\n protocol="application/pkcs7-signature"; micalg=sha-256',
    )
    yield bare(
        "2026-10-27 09:45",
        adeyemi.email,
        [MARIA.email, BEN.email],
        heads(adeyemi, [MARIA, BEN], "Signed: certificate list"),
        signed,
        subject="Signed: certificate list",
        story="smime_signed",
        cases=("smime",),
    )
    soto = contacts()["andes_andres_soto"]
    container = files.tnef("Liner photos", "liner.txt", b"Liner worn after 900 hours.\r\n")
    yield bare(
        "2026-10-28 18:30",
        soto.email,
        [ERIK.email, ANNA.email],
        heads(soto, [ERIK, ANNA], "Liner photos"),
        mime.multipart(
            "mixed",
            (mime.text("Photos attached.\n"), mime.file("winmail.dat", "application/ms-tnef", container)),
            "tnef",
        ),
        subject="Liner photos",
        story="tnef",
        cases=("tnef",),
    )


def smime_content() -> mime.Part:
    """The entity that the signature in `tables/signature.p7s.txt` was made over."""
    return mime.text("The list of certificates is complete.\n\nVictor Adeyemi\nQuality Manager\nKestrel Aerospace\n")


def _signature() -> mime.Part:
    data = base64.b64decode((FOLDER / "tables" / "signature.p7s.txt").read_text(encoding="ascii"))
    return mime.file("smime.p7s", "application/pkcs7-signature", data)


def _verbatim(mail: Mail, old: bytes, new: bytes) -> Mail:
    """The mail with some of its bytes replaced, for what a writer of valid mail cannot express."""
    if old not in mail.raw:
        raise ValueError(f"{mail.subject}: nothing to replace")
    return replace(mail, raw=mail.raw.replace(old, new))


def broken() -> Iterator[Mail]:
    """What mail programs should not send, and do."""
    nair, tripp = contacts()["gulf_rajesh_nair"], contacts()["brightwater_alan_tripp"]
    yield bare(
        "2026-10-14 05:55",
        nair.email,
        [ERIK.email, MARIA.email],
        heads(nair, [ERIK, MARIA], "Cut off"),
        mime.multipart(
            "mixed",
            (
                mime.text("The connection broke while sending, is the picture there?\n"),
                mime.file("display.png", "image/png", files.photo(4)),
            ),
            "cut",
            closed=False,
        ),
        subject="Cut off",
        story="missing_boundary",
        cases=("missing_boundary",),
    )
    odd = bare(
        "2026-10-15 06:05",
        nair.email,
        [ERIK.email, MARIA.email],
        heads(nair, [ERIK, MARIA], "Charset"),
        mime.text("Display unreadable above 60 degrees.\n"),
        subject="Charset",
        cases=("unknown_charset",),
    )
    yield _verbatim(odd, b"charset=utf-8", b"charset=x-gulf-arabic")
    raw = bare(
        "2026-10-16 07:17",
        tripp.email,
        [BEN.email, TOM.email],
        heads(tripp, [BEN, TOM], "Undeclared"),
        mime.text("@"),
        subject="Undeclared",
        cases=("undeclared_8bit",),
    )
    body = b"\r\nFlow is 5 m\xb3/h at 20 \xb0C \x96 is that right?\r\n"
    yield replace(raw, raw=raw.raw.split(b"MIME-Version")[0] + body)
    encoding = bare(
        "2026-10-19 08:18",
        tripp.email,
        [BEN.email],
        heads(tripp, [BEN], "Bad base64"),
        mime.file("flow.txt", "text/plain", b"flow reading " * 9),
        subject="Bad base64",
        cases=("bad_base64",),
    )
    yield replace(encoding, raw=encoding.raw.rstrip()[:-5] + b"@@=!\r\n")
    yield bare(
        "2026-10-28 11:11",
        "jürgen@müller.example",
        [PRIYA.email, ANNA.email],
        [
            ("From", "Jürgen Müller <jürgen@müller.example>"),
            ("To", "Priya Raman <priya@northpeak.example>"),
            ("Cc", "anna@northpeak.example"),
            ("Subject", "Grüße aus Esslingen"),
        ],
        mime.text("Unsere neue Adresse hat jetzt Umlaute.\n\nJürgen Müller\n"),
        subject="Grüße aus Esslingen",
        ident="<smtputf8-1@xn--mller-kva.example>",
        story="smtputf8",
        cases=("smtputf8", "idn_domain"),
    )
    yield bare(
        "2026-10-29 06:29",
        tripp.email,
        [BEN.email],
        [*heads(tripp, [BEN], "Two senders"), ("From", "Telemetry <telemetry@brightwater.example>")],
        mime.text("Our gateway adds a second From line.\n"),
        subject="Two senders",
        cases=("two_from_headers",),
    )
    rows = bare(
        "2026-10-29 16:16",
        PRIYA.email,
        [ERIK.email],
        heads(PRIYA, [ERIK], "Bare line feeds"),
        mime.text("This mail has Unix line ends.\nAll of it.\n"),
        subject="Bare line feeds",
        cases=("bare_line_feeds", "internal_only"),
    )
    yield replace(rows, raw=rows.raw.replace(b"\r\n", b"\n"))


def shapes() -> Iterator[Mail]:
    """All of the above."""
    for group in (missing, blind_copies, parts, protected, broken):
        yield from group()
