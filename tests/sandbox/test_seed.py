"""The seeded organisation holds what it promises: enough of everything, nothing dangling, every awkward case."""

from __future__ import annotations

import email.policy
import io
import re
import zipfile
import zlib
from collections import Counter
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import yaml

from sandbox.seed import MAIL, ORGANISATION, generate

CLOSED = {"Closed Won", "Closed Lost", "Closed", "Finished"}
FREE_MAIL = {"gmail.com", "outlook.com", "hotmail.com", "yahoo.com", "gmx.de"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(ORGANISATION.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def raw() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(MAIL.glob("*.eml"))}


@pytest.fixture(scope="module")
def parsed(raw: dict[str, bytes]) -> dict[str, EmailMessage]:
    found = {}
    for name, data in raw.items():
        message = email.message_from_bytes(data, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        found[name] = message
    return found


def data_of(part: Any) -> bytes:
    """The decoded bytes of one leaf."""
    data = part.get_payload(decode=True)
    assert isinstance(data, bytes)
    return data


def text(message: EmailMessage) -> str:
    """The decoded text of all text parts."""
    shown = []
    for part in message.walk():
        if part.get_content_maintype() == "text":
            data = data_of(part)
            charset = part.get_content_charset() or "ascii"
            shown.append(data.decode("ascii" if charset.startswith("x-") else charset, "replace"))
    return "\n".join(shown)


def test_counts(document: dict[str, Any]) -> None:
    records = document["salesforce"]["records"]
    assert Counter(user["mail"] for user in document["users"]) == {"google": 3, "microsoft": 3}
    assert len(records["Account"]) == 40
    assert len(records["Contact"]) >= 150
    assert len(records["Lead"]) == 40
    assert len(records["Opportunity"]) == 30
    assert len(records["Case"]) == 30
    assert 300 <= len(document["mail"]) <= 340
    lying = Counter(box for mail in document["mail"] for box in mail["in"])
    assert set(lying) == {user["email"] for user in document["users"]}
    assert min(lying.values()) >= 30


def test_records_that_the_product_names(document: dict[str, Any]) -> None:
    records = document["salesforce"]["records"]
    widgets = next(o for o in records["Opportunity"] if o["Name"] == "3000 Widgets for Acme Corp")
    assert (widgets["AccountId"], widgets["Amount"]) == ("@acme", 120000)
    assert widgets["StageName"] not in CLOSED
    case = next(c for c in records["Case"] if c["CaseNumber"] == "12934")
    assert case["Subject"] == "Widget control not activating automatically on restart"
    assert {o["StageName"] for o in records["Opportunity"]} == {
        "Prospecting",
        "Qualification",
        "Needs Analysis",
        "Value Proposition",
        "Id. Decision Makers",
        "Perception Analysis",
        "Proposal/Price Quote",
        "Negotiation/Review",
        "Closed Won",
        "Closed Lost",
    }
    assert {"Closed", "New", "Working", "Escalated"} == {c["Status"] for c in records["Case"]}


def test_every_user_owns_open_and_closed_items_of_people_who_write(
    document: dict[str, Any], raw: dict[str, bytes]
) -> None:
    records = document["salesforce"]["records"]
    mails = b"\n".join(raw.values()).lower()
    writing = {"@" + c["_key"] for c in records["Contact"] if c.get("Email") and c["Email"].lower().encode() in mails}
    contact_of = {role["OpportunityId"]: role["ContactId"] for role in records["OpportunityContactRole"]}
    fields = {"Opportunity": "StageName", "Case": "Status", "Project__c": "Stage__c"}
    lives, dead = Counter[tuple[str, str]](), Counter[str]()
    for name, status in fields.items():
        for row in records[name]:
            if row[status] in CLOSED:
                dead[row["OwnerId"]] += 1
            else:
                contact = row.get("ContactId") or row.get("Contact__c") or contact_of.get("@" + row["_key"])
                lives[row["OwnerId"], name] += contact in writing
    users = ["@" + user["key"] for user in document["users"]]
    assert all(lives[user, "Opportunity"] >= 2 and lives[user, "Case"] >= 2 for user in users), lives
    assert all(lives[user, "Project__c"] >= 1 and dead[user] >= 1 for user in users), (lives, dead)


def test_every_reference_resolves_and_points_backwards(document: dict[str, Any]) -> None:
    salesforce = document["salesforce"]
    known = {user["key"] for user in document["users"]} | {salesforce["integration_user"]["key"]}
    for name, rows in salesforce["records"].items():
        keys = [row["_key"] for row in rows]
        assert not known & set(keys), name
        assert len(set(keys)) == len(keys), name
        known |= set(keys)
        wanted = {v[1:] for row in rows for v in row.values() if isinstance(v, str) and v.startswith("@")}
        assert wanted <= known, (name, wanted - known)


def test_awkward_records(document: dict[str, Any]) -> None:
    records = document["salesforce"]["records"]
    accounts, contacts, leads = records["Account"], records["Contact"], records["Lead"]
    sites = Counter(
        re.sub(r"^https?://|^www\.|/.*$", "", a["Website"].lower().replace("://www.", "://"))
        for a in accounts
        if "Website" in a
    )
    assert sites["helios.example"] == 3
    assert sites["industripark.example"] == 2
    forms = "\n".join(a.get("Website", "") for a in accounts)
    for form in ("https://www.", "\nwww.", "http://", "HTTP://HELIOS", "WWW.KESTREL", "?lang=en", "/el/", "müller"):
        assert form in forms, form
    silent = {a["_key"] for a in accounts if "Website" not in a}
    assert {"borealis", "vestfjord"} <= silent
    assert any(c.get("AccountId") == "@borealis" and c["Email"].endswith("@borealis-pumps.example") for c in contacts)
    assert Counter(a["Name"] for a in accounts)["Delta Controls"] == 2
    emails = Counter(c["Email"].lower() for c in contacts if "Email" in c)
    assert emails["purchasing@tarnvik.example"] == 2
    assert emails["jon.hale@technoport.example"] == 2
    assert any("Email" not in c and "Email_2__c" in c for c in contacts)
    assert any({"Email", "Email_2__c", "PersonalEmail__c"} <= set(c) for c in contacts)
    assert sum(c.get("Email", "").rpartition("@")[2] in FREE_MAIL for c in contacts) >= 4
    assert any("AccountId" not in c for c in contacts)
    assert {lead["Email"].lower() for lead in leads} & set(emails) == {
        "samuel.okoro@cobaltchem.example",
        "isabel.ferrer@andescobre.example",
    }
    assert [lead["_key"] for lead in leads if lead.get("IsConverted")] == ["l_converted"]
    assert sum(not c["LastName"].isascii() for c in contacts) >= 20


def test_files_and_entries_are_the_same(document: dict[str, Any], raw: dict[str, bytes]) -> None:
    files = [mail["file"] for mail in document["mail"]]
    assert files == sorted(raw)
    named = {f for story in document["stories"].values() for f in story["files"]}
    named |= {f for listed in document["cases"].values() for f in listed}
    assert named <= set(files)


def test_places_fit_the_mailbox(document: dict[str, Any]) -> None:
    kind = {user["email"]: user["mail"] for user in document["users"]}
    system = {"INBOX", "SENT", "UNREAD", "STARRED", "SPAM", "TRASH"}
    folders = {"Inbox", "Sent Items", "Archive"}
    for mail in document["mail"]:
        for box, place in mail["in"].items():
            if kind[box] == "google":
                own = {label["name"] for label in document["google"]["labels"][box]}
                assert set(place) == {"labels"}
                assert set(place["labels"]) <= system | own
            else:
                own = {folder["name"] for folder in document["microsoft"]["folders"][box]}
                names = {category["name"] for category in document["microsoft"]["categories"][box]}
                assert place["folder"] in folders | own
                assert set(place.get("categories", ())) <= names
                assert isinstance(place["unread"], bool)


def test_dates_lie_in_the_sixty_days(parsed: dict[str, EmailMessage]) -> None:
    dated = {name: parsedate_to_datetime(m["Date"]) for name, m in parsed.items() if m["Date"]}
    assert len(dated) == len(parsed) - 1
    assert min(dated.values()) >= datetime(2026, 9, 21, tzinfo=UTC)
    assert max(dated.values()) <= datetime(2026, 11, 20, 18, tzinfo=UTC)
    assert list(dated.values()) == sorted(dated.values())


def test_replies_name_mails_that_exist(parsed: dict[str, EmailMessage], document: dict[str, Any]) -> None:
    idents = {str(m["Message-ID"]).strip() for m in parsed.values()}
    receipts = set(document["cases"]["read_receipt"])
    answers = {name: m for name, m in parsed.items() if m["In-Reply-To"] and name not in receipts}
    assert len(answers) > 120
    for name, message in answers.items():
        assert str(message["In-Reply-To"]).strip() in idents, name
        assert str(message["References"]).split()[-1] == str(message["In-Reply-To"]).strip()


def test_most_mails_are_well_formed(parsed: dict[str, EmailMessage], document: dict[str, Any]) -> None:
    broken = {f for case in ("missing_boundary", "bad_base64") for f in document["cases"][case]}
    for name, message in parsed.items():
        defects: list[object] = []
        for part in message.walk():
            part.get_payload(decode=True)  # notes what is wrong with the encoding, too
            defects += part.defects
        assert bool(defects) == (name in broken), (name, defects)


def test_addresses_are_reserved_or_free_mail(parsed: dict[str, EmailMessage]) -> None:
    found: Counter[str] = Counter()
    corpus = [ORGANISATION.read_text(encoding="utf-8")]
    for message in parsed.values():
        corpus += [str(value) for value in message.values()]
        corpus.append(text(message))
    for domain in re.findall(r"@([\w-]+(?:\.[\w-]+)+)", "\n".join(corpus)):
        found[domain.lower().rstrip(".").removeprefix("mail.")] += 1
    strangers = {d for d in found if not d.endswith(".example") and d not in FREE_MAIL}
    assert not strangers
    assert len(found) > 80


def test_attachments_are_real_files(parsed: dict[str, EmailMessage]) -> None:
    kinds: Counter[str] = Counter()
    for message in parsed.values():
        for part in message.walk():
            kind = part.get_content_type()
            data = b"" if part.is_multipart() else data_of(part)
            if kind == "application/pdf":
                start = int(data.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
                assert data[start : start + 4] == b"xref"
            elif kind == "image/png":
                body = data[data.index(b"IDAT") + 4 :]
                assert zlib.decompressobj().decompress(body)
            elif kind.endswith("wordprocessingml.document"):
                assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
            kinds[kind] += 1
    assert kinds["application/pdf"] > 15
    assert kinds["image/png"] > 15
    assert kinds["multipart/alternative"] > 100
    assert kinds["text/calendar"] == 5


def test_generation_is_reproducible(tmp_path: Any, raw: dict[str, bytes]) -> None:
    generate.write(tmp_path)
    assert {p.name: p.read_bytes() for p in (tmp_path / "mail").glob("*.eml")} == raw
    assert (tmp_path / "organisation.yaml").read_bytes() == ORGANISATION.read_bytes()


def test_size(raw: dict[str, bytes]) -> None:
    assert sum(map(len, raw.values())) + ORGANISATION.stat().st_size < 6_000_000
