"""Each story and each awkward case of the seed shows what its name says."""

from __future__ import annotations

import email.policy
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import pytest
import yaml

from sandbox.seed import MAIL, ORGANISATION

FREE_MAIL = ("@gmail.com", "@outlook.com", "@hotmail.com", "@yahoo.com", "@gmx.de")
DOCUMENT: dict[str, Any] = yaml.safe_load(ORGANISATION.read_text(encoding="utf-8"))
RECORDS = DOCUMENT["salesforce"]["records"]
OWN = tuple("@" + domain for domain in DOCUMENT["domains"])
CONTACTS = {c[f].lower() for c in RECORDS["Contact"] for f in ("Email", "Email_2__c", "PersonalEmail__c") if f in c}
LEADS = {lead["Email"].lower() for lead in RECORDS["Lead"]}
KNOWN_DOMAINS = {address.rpartition("@")[2] for address in CONTACTS}
PLACES = {mail["file"]: mail["in"] for mail in DOCUMENT["mail"]}
GOOGLE = {user["email"] for user in DOCUMENT["users"] if user["mail"] == "google"}


class Mail:
    """One file of the seed, read leniently."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.raw = (MAIL / name).read_bytes()
        message = email.message_from_bytes(self.raw, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.message = message
        self.places = PLACES[name]

    def boxes(self, *names: str) -> list[tuple[str, str]]:
        return [
            (a.display_name, a.addr_spec.lower())
            for n in names
            for v in self.message.get_all(n, [])
            for a in v.addresses
        ]

    @property
    def sender(self) -> str:
        return self.boxes("From")[0][1]

    @property
    def domain(self) -> str:
        return self.sender.rpartition("@")[2]

    @property
    def everybody(self) -> list[str]:
        return [address for _, address in self.boxes("From", "To", "Cc", "Bcc") if address]

    @property
    def header(self) -> bytes:
        return self.raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0]

    def types(self) -> set[str]:
        return {part.get_content_type() for part in self.message.walk()}

    def names(self) -> str:
        return "".join(name for name, _ in self.boxes("From"))


def _internal(mail: Mail) -> bool:
    return all(address.endswith(OWN) for address in mail.everybody)


def _websites(domain: str) -> int:
    return sum(domain in a.get("Website", "").lower() for a in RECORDS["Account"])


CASES: dict[str, Callable[[Mail], bool]] = {
    "alias": lambda m: "anna.lindqvist@northpeak.example" in m.everybody,
    "ambiguous_domain": lambda m: m.sender not in CONTACTS and _websites(m.domain) > 1,
    "apostrophe": lambda m: "'" in m.sender or "'" in m.names(),
    "bad_base64": lambda m: m.raw.endswith(b"@@=!\r\n"),
    "bare_line_feeds": lambda m: b"\r\n" not in m.raw,
    "bcc": lambda m: b"\nBcc: " in m.header or any(box not in m.everybody for box in m.places),
    "big5": lambda m: b"charset=big5" in m.raw and b"=?big5?" in m.header,
    "bounce": lambda m: m.message.get_param("report-type") == "delivery-status",
    "calendar_cancel": lambda m: b"\r\nMETHOD:CANCEL" in m.raw,
    "calendar_invite": lambda m: b"\r\nMETHOD:REQUEST" in m.raw and "text/calendar" in m.types(),
    "calendar_reply": lambda m: b"\r\nMETHOD:REPLY" in m.raw and b"PARTSTAT=ACCEPTED" in m.raw,
    "changed_subject": lambda m: bool(m.message["In-Reply-To"]) and not str(m.message["Subject"]).startswith("Re:"),
    "colleagues_customer_cc": lambda m: (
        all(a.endswith(OWN) for _, a in m.boxes("From", "To")) and all(not a.endswith(OWN) for _, a in m.boxes("Cc"))
    ),
    "comma_name": lambda m: "," in m.names(),
    "contact_without_account": lambda m: any(
        c.get("Email") == m.sender and "AccountId" not in c for c in RECORDS["Contact"]
    ),
    "converted_lead": lambda m: any(x["Email"] == m.sender and x.get("IsConverted") for x in RECORDS["Lead"]),
    "domain_by_account_email": lambda m: (
        m.sender not in CONTACTS
        and _websites(m.domain) == 0
        and any(a.get("Email__c", "").endswith("@" + m.domain) for a in RECORDS["Account"])
    ),
    "domain_by_contacts": lambda m: m.sender not in CONTACTS and _websites(m.domain) == 0 and m.domain in KNOWN_DOMAINS,
    "domain_ends_like_another": lambda m: any(
        m.domain != d and m.domain.endswith(d) and not m.domain.endswith("." + d) for d in KNOWN_DOMAINS
    ),
    "duplicate_message_id": lambda m: m.message["Message-ID"] == "<trucklist@northsea-logistics.example>",
    "emoji": lambda m: "🚰" in m.names() and "🎉" in str(m.message["Subject"]),
    "empty_body": lambda m: not m.raw.split(b"\r\n\r\n", 1)[1],
    "empty_subject": lambda m: m.message["Subject"] == "",
    "format_flowed": lambda m: m.message.get_param("format") == "flowed" and b" \r\n" in m.raw,
    "free_mail_contact": lambda m: m.sender.endswith(FREE_MAIL) and m.sender in CONTACTS,
    "free_mail_unknown": lambda m: any(a.endswith(FREE_MAIL) and a not in CONTACTS for a in m.everybody),
    "group_address": lambda m: any(a in DOCUMENT["groups"] for a in m.everybody) and len(m.places) > 1,
    "group_syntax": lambda m: b"To: Widget pilot: " in m.header,
    "html_only": lambda m: m.types() == {"text/html"},
    "idn_domain": lambda m: m.domain == "xn--mller-kva.example" or "@müller.example".encode() in m.header,
    "internal_forward": lambda m: _internal(m) and bool(m.message["References"]),
    "internal_only": _internal,
    "iso_2022_jp": lambda m: b"=?iso-2022-jp?" in m.header and b"charset=iso-2022-jp" in m.raw and b"\x1b$B" in m.raw,
    "iso_8859_1": lambda m: b"=?iso-8859-1?Q?" in m.header and b"charset=iso-8859-1" in m.raw,
    "known_domain": lambda m: m.sender not in CONTACTS and m.sender not in LEADS and m.domain in KNOWN_DOMAINS,
    "koi8_r": lambda m: b"=?koi8-r?" in m.header and b"charset=koi8-r" in m.raw,
    "large_attachment": lambda m: any(len(p.get_content()) > 2_000_000 for p in m.message.iter_attachments()),
    "lead_and_contact": lambda m: m.sender in CONTACTS and m.sender in LEADS,
    "lead_only": lambda m: m.sender in LEADS and m.sender not in CONTACTS,
    "like_wildcards": lambda m: "_" in m.sender and "%" in m.sender,
    "long_address": lambda m: len(m.sender) > 80,
    "long_body": lambda m: len(m.message.get_content()) > 131_072,
    "long_name": lambda m: len(m.names()) > 80,
    "long_subject": lambda m: len(str(m.message["Subject"])) > 255,
    "mailing_list": lambda m: bool(m.message["List-Id"]),
    "many_recipients": lambda m: len(m.boxes("To", "Cc")) > 60,
    "missing_boundary": lambda m: b"--" + str(m.message.get_boundary()).encode() + b"--" not in m.raw,
    "mixed_recipients": lambda m: len({a.endswith(OWN) or a in CONTACTS for a in m.everybody}) == 2,
    "namesake": lambda m: m.names() == "Anna Lindqvist" and not m.sender.endswith(OWN),
    "nested_quotes": lambda m: b"\n>> " in m.raw or m.raw.count(b"____________") > 1 or b"> From: " in m.raw,
    "no_date": lambda m: "Date" not in m.message,
    "no_from": lambda m: not any("@" in address for _, address in m.boxes("From")),
    "no_message_id": lambda m: "Message-ID" not in m.message,
    "no_subject": lambda m: "Subject" not in m.message,
    "no_text": lambda m: m.types() == {"image/png"},
    "non_latin": lambda m: any(ord(c) > 0x36F for c in str(m.message["Subject"]) + m.names()),
    "not_yet_arrived": lambda m: not m.places,
    "one_person_two_addresses": lambda m: {m.sender, "birgitta.strom@lumenbattery.example"} <= set(m.everybody),
    "organization": lambda m: bool(m.message["Organization"]) and m.sender not in CONTACTS,
    "out_of_office": lambda m: m.message["Auto-Submitted"] == "auto-replied",
    "own_domain_without_user": lambda m: m.sender.endswith(OWN) and m.sender in DOCUMENT["groups"],
    "own_second_domain": lambda m: m.domain == DOCUMENT["domains"][1],
    "plus_address": lambda m: any("+" in a for a in m.everybody),
    "public_suffix_like": lambda m: m.domain.endswith(".co.uk.example"),
    "quoted_local_part": lambda m: b'<"rob tully"@tully-controls.example>' in m.header,
    "read_receipt": lambda m: m.message.get_param("report-type") == "disposition-notification",
    "reply_to": lambda m: m.boxes("Reply-To")[0][1] != m.sender,
    "rfc822_attachment": lambda m: "message/rfc822" in m.types(),
    "rtl": lambda m: any("\u0600" <= c <= "\u06ff" for c in str(m.message["Subject"])),
    "second_address": lambda m: m.sender in CONTACTS and all(c.get("Email") != m.sender for c in RECORDS["Contact"]),
    "sender_header": lambda m: m.boxes("Sender")[0][1] != m.sender,
    "signature_logo": lambda m: b"\r\nContent-ID: <logo@" in m.raw and b"Content-Disposition: inline" in m.raw,
    "smime": lambda m: {"multipart/signed", "application/pkcs7-signature"} <= m.types(),
    "smtputf8": lambda m: "jürgen@müller.example".encode() in m.header,
    "spam": lambda m: any(p.get("labels") == ["SPAM"] for p in m.places.values()),
    "subdomain": lambda m: any(a.endswith(".acme.example") for a in m.everybody),
    "tab_in_subject": lambda m: b"\t" in m.header,
    "tnef": lambda m: any(p.get_content().startswith(b"\x78\x9f\x3e\x22") for p in m.message.iter_attachments()),
    "to_oneself": lambda m: set(m.everybody) == {m.sender} and m.places[m.sender]["labels"][:2] == ["SENT", "INBOX"],
    "trash": lambda m: any(p.get("labels") == ["TRASH"] for p in m.places.values()),
    "two_contacts_same_email": lambda m: sum(c.get("Email") == m.sender for c in RECORDS["Contact"]) == 2,
    "two_from_headers": lambda m: len(m.message.get_all("From", [])) == 2,
    "two_leads_same_email": lambda m: sum(x["Email"] == m.sender for x in RECORDS["Lead"]) == 2,
    "undeclared_8bit": lambda m: b"\xb3" in m.raw and "Content-Type" not in m.message,
    "undisclosed_recipients": lambda m: b"undisclosed-recipients:;" in m.header,
    "unknown_charset": lambda m: b"charset=x-gulf-arabic" in m.raw,
    "unknown_domain": lambda m: m.domain not in KNOWN_DOMAINS and m.sender not in LEADS,
    "uppercase_address": lambda m: b"@ACME.EXAMPLE" in m.header or b"@SILESIA-HYDRAULICS.EXAMPLE" in m.header,
}
LISTED = [(case, name) for case, names in DOCUMENT["cases"].items() for name in names]


def test_each_case_has_a_check_and_each_check_a_case() -> None:
    assert set(CASES) == set(DOCUMENT["cases"])


@pytest.mark.parametrize(("case", "name"), LISTED)
def test_case(case: str, name: str) -> None:
    assert CASES[case](Mail(name))


def story(name: str) -> tuple[dict[str, Any], list[Mail]]:
    found = DOCUMENT["stories"][name]
    return found, [Mail(file) for file in found["files"]]


@pytest.mark.parametrize("name", sorted(DOCUMENT["stories"]))
def test_story_names_its_files_and_mailboxes(name: str) -> None:
    found, mails = story(name)
    assert found["file"] == found["files"][0]
    assert found["mailbox"] == found["mailboxes"][0]
    lying = {box for mail in mails for box in mail.places}
    assert set(found["mailboxes"]) == lying or not lying
    assert [str(m.message["Message-ID"] or "").strip() for m in mails] == found["message_ids"]


def test_one_mail_is_from_a_contact_of_an_account_with_a_domain_of_its_own() -> None:
    found, [mail] = story("one_mail")
    assert mail.sender in CONTACTS
    assert _websites("@" + mail.domain) + _websites("www." + mail.domain) == 1
    assert found["mailbox"] in GOOGLE
    assert "INBOX" in mail.places[found["mailbox"]]["labels"]


def test_conversation_of_four() -> None:
    found, mails = story("conversation_of_four")
    labels = [mail.places[found["mailbox"]]["labels"] for mail in mails]
    assert ["SENT" in row for row in labels] == [False, True, False, True]
    root = mails[0].message["Message-ID"].strip()
    for mail in mails[1:]:
        assert str(mail.message["References"]).split()[0] == root
        assert str(mail.message["Subject"]) == "Re: " + str(mails[0].message["Subject"])
    others = [m for m in PLACES if m not in found["files"] and PLACES[m] and root.encode() in (MAIL / m).read_bytes()]
    assert not others


def test_the_same_mail_in_two_mailboxes() -> None:
    assert set(story("two_mailboxes")[0]["mailboxes"]) == {"anna@northpeak.example", "ben@northpeak.example"}
    assert len(set(story("mixed_mailboxes")[0]["mailboxes"]) & GOOGLE) == 1
    assert len(story("mixed_mailboxes")[0]["mailboxes"]) == 2


def test_mails_that_have_not_arrived() -> None:
    for name in ("arrives_labelled", "follow_up"):
        found, [mail] = story(name)
        assert not mail.places
        assert found["mailbox"] in GOOGLE
    answered = str(story("follow_up")[1][0].message["In-Reply-To"])
    assert answered == DOCUMENT["stories"]["conversation_of_four"]["message_ids"][-1]


def test_unparseable_has_nobody() -> None:
    _, [mail] = story("unparseable")
    assert not mail.everybody
    assert "Message-ID" not in mail.message


def test_story_of_the_unknown() -> None:
    _, [stranger] = story("unmatched_sender")
    assert stranger.domain not in KNOWN_DOMAINS
    assert not stranger.sender.endswith(FREE_MAIL)
    assert CASES["known_domain"](story("known_domain")[1][0])
    assert CASES["ambiguous_domain"](story("ambiguous_domain")[1][0])
    assert story("free_mail_unknown")[1][0].sender.endswith("@gmail.com")
    assert _internal(story("internal_only")[1][0])
    attached = story("with_attachment")[1][0].message.iter_attachments()
    assert [part.get_filename() for part in attached] == ["Nordglas_order_4711.pdf"]
    [logo] = story("signature_logo")[1]
    assert CASES["signature_logo"](logo)
    assert story("lead_only")[1][0].sender in LEADS - CONTACTS
    assert story("lead_and_contact")[1][0].sender in LEADS & CONTACTS
