"""A day of an installation, with its commands: declared, dropped by the hundred, told, explained, tried again.

One installation on SQLite for the whole file, on a debug log: at the end neither database nor logs hold any content.
"""

from __future__ import annotations

import email
import email.policy
import email.utils
import itertools
import json
import re
from collections.abc import Iterator

import pytest

from tests.databases import KEY, assert_no_content
from tests.e2e.installation import DONE, DROP, ENDS, FAILED, GRAPH, Desk, Installation, letter, records, until
from tests.sandboxed import ROOT, Json, Sandbox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

USERS = tuple(f"{name}@northpeak.example" for name in ("anna", "ben", "maria"))
ANNA = USERS[0]
SEEDED = ROOT / "sandbox" / "seed" / "mail"
EACH = 50  # mails that each of the three drops at once
KNOWN = "laura.keller@example.com"
REFUSAL = [{"errorCode": "FIELD_INTEGRITY_EXCEPTION", "message": "no e-mails today"}]


@pytest.fixture(scope="module")
def world() -> Iterator[Sandbox]:
    with Sandbox.start() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def office(world: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """`mailspan up`, at work: every mailbox has its labels."""
    folder = tmp_path_factory.mktemp("office")
    environ = {"MAILSPAN_TICK_SECONDS": "0.5", "MAILSPAN_LOG_LEVEL": "debug"}
    installation = Installation(world, folder, f"sqlite:///{folder / 'mailspan.sqlite3'}", USERS, environ)
    assert [change["change"] for change in installation.apply()["changes"]] == ["created"] * 6
    assert installation.apply() == {"changes": []}
    installation.start("up", "up", "-n", "2")
    for user in USERS:
        until(Desk(world, user).has_tree, 60, f"a drop label for {user}")
    yield installation
    installation.close()


def health(office: Installation, *arguments: str) -> dict[str, Json]:
    """Status by address."""
    return {row["address"]: row for row in office.told("status", *arguments)["mailboxes"]}


def test_a_burst_in_three_mailboxes_is_filed_once_within_the_quotas(office: Installation) -> None:
    world = office.sandbox
    dropped: dict[str, list[Json]] = {}
    for user in USERS:
        mails = [mail for mail in Desk(world, user).mails() if not {"SPAM", "TRASH", "DRAFT"} & set(mail["labels"])]
        dropped[user] = mails[:EACH]
    world.meter(reset=True)
    for user, mails in dropped.items():
        for mail in mails:
            Desk(world, user).drop(mail["id"])
    for user, mails in dropped.items():
        until(lambda u=user, m=mails: Desk(world, u).ended(*(x["id"] for x in m)), 100, f"{user} settled")  # type: ignore[misc]

    gmail = world.meter()["google"]
    assert not {"429", "403"} & gmail.get("statuses", {}).keys(), gmail
    done = {
        mail["messageId"]
        for user, mails in dropped.items()
        for mail, marks in zip(mails, Desk(world, user).marks(*(mail["id"] for mail in mails)), strict=True)
        if DONE in marks and mail["messageId"]
    }
    assert len(done) > 0.6 * len({mail["messageId"] for mails in dropped.values() for mail in mails})
    for part in itertools.batched(sorted(done), 40) if hasattr(itertools, "batched") else _parts(sorted(done), 40):
        assert len(records(world, office.crm_user, *part)) == len(part), "each is filed once, also from two mailboxes"
    told = health(office)
    assert [told[user]["lag"] for user in USERS] == [0, 0, 0]


def _parts(items: list[str], size: int) -> Iterator[list[str]]:
    yield from (items[at : at + size] for at in range(0, len(items), size))


def test_explain_tells_the_whole_decision(office: Installation) -> None:
    """Of a mail whose sender nobody knows yet."""
    desk, message_id = Desk(office.sandbox, ANNA), "<explained@newcomer.example>"
    mail = desk.deliver(letter("nora.falk@newcomer.example", ANNA, "Quotation for two pumps", message_id))
    desk.drop(mail)
    until(lambda: desk.ended(mail), 30, "settled")
    (filing,) = office.told("explain", message_id)["filings"]
    assert (filing["state"], filing["reason"]) == ("done", None)
    people = {row["address"]: row for row in filing["addresses"]}
    assert {"nora.falk@newcomer.example", ANNA} <= people.keys()
    newcomer = people["nora.falk@newcomer.example"]
    assert newcomer["rule"]
    assert newcomer["candidates"] == []
    assert newcomer["account"]
    found = records(office.sandbox, office.crm_user, message_id)
    assert [row["id"] for row in filing["records"].values() if row["id"].startswith("02s")] == found
    assert {row["kind"] for row in filing["records"].values()} >= {"contact", "account"}
    (copy,) = filing["copies"]
    assert (copy["mailbox"], copy["outcome"]) == (ANNA, "done")
    assert copy["calls"]["salesforce"]["calls"] >= 1
    assert copy["calls"]["google"]["units"] >= 25, "reading a mail costs 20, settling it 5"
    assert any("nora.falk@newcomer.example" in line for line in filing["lines"])
    words = office.command("explain", message_id).stdout  # as a process of its own, for people
    assert "nora.falk@newcomer.example" in words
    assert found[0] in words


def test_the_lag_grows_while_the_crm_is_down_and_ends_with_it(office: Installation) -> None:
    world, desk = office.sandbox, Desk(office.sandbox, ANNA)
    world.fault("status", vendor="salesforce", path="/services/data/", status=503, retry_after=1, count=None)
    try:
        mail = desk.deliver(letter(KNOWN, ANNA, "While it is down", "<down@partner.example>"))
        desk.drop(mail)
        until(lambda: any(fault["hits"] for fault in world.faults()), 30, "a call that is refused")
        first = until(lambda: health(office, "--offline")[ANNA]["lag"], 20, "a lag")
        second = until(lambda: max(0, health(office, "--offline")[ANNA]["lag"] - first), 20, "a lag that grows")
        assert 0 < second < 60
        assert DROP in desk.marks(mail)[0]
    finally:
        world.clear_faults()
    until(lambda: desk.ended(mail), 60, "settled")
    until(lambda: health(office)[ANNA]["lag"] == 0, 20, "no lag")
    assert len(records(world, office.crm_user, "<down@partner.example>")) == 1


def test_a_parked_mail_is_listed_and_tried_again(office: Installation) -> None:
    world, desk = office.sandbox, Desk(office.sandbox, ANNA)
    message_id = "<refused@partner.example>"
    world.fault("status", vendor="salesforce", path=GRAPH, status=400, body=REFUSAL, count=None)
    try:
        mail = desk.deliver(letter(KNOWN, ANNA, "Refused", message_id))
        desk.drop(mail)
        until(lambda: desk.ended(mail), 40, "settled")
    finally:
        world.clear_faults()
    (marks,) = desk.marks(mail)
    assert marks & ENDS == {FAILED}
    assert any(mark.startswith(FAILED + "/") for mark in marks), "the reason is a label"
    (parked,) = [row for row in health(office, "--offline")[ANNA]["parked"] if row["message"] == mail]
    assert parked["text"]
    assert office.told("retry", str(parked["id"])) == {"retried": 1}
    until(lambda: DONE in desk.marks(mail)[0], 30, "filed after all")
    (marks,) = desk.marks(mail)
    assert marks & ENDS == {DONE}
    assert not any(mark.startswith(FAILED + "/") for mark in marks)
    assert len(records(world, office.crm_user, message_id)) == 1
    assert mail not in [row["message"] for row in health(office, "--offline")[ANNA]["parked"]]


def test_neither_database_nor_logs_hold_content(office: Installation) -> None:
    status, _, left = office.end("up")
    assert (status, left) == (0, [])
    texts = content()
    assert len(texts) > 400
    ready = office.sandbox.ready
    tokens = [*ready["google"]["tokens"].values(), *ready["salesforce"]["tokens"].values(), KEY]
    assert_no_content(office.database_url, [*texts[:: len(texts) // 250], *tokens])
    logs = [path for path in office.folder.rglob("*.log") if path.is_file()]
    assert any("worker" in path.read_text(errors="replace") for path in logs)
    for path in logs:
        words = path.read_text(encoding="utf-8", errors="replace").lower()
        plain = words + json.dumps(words, ensure_ascii=False)
        found = [text for text in [*texts, *tokens] if text.lower() in plain]
        assert not found, f"{path.name}: {found[:5]}"


def content() -> list[str]:
    """Subjects, addresses, names, lines of bodies and tell-tale words of the seeded mails."""
    found: set[str] = set()
    for path in sorted(SEEDED.glob("*.eml")):
        mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        found |= _headers(mail)
        body = mail.get_body(("plain",)) if isinstance(mail, email.message.EmailMessage) else None
        try:
            lines = body.get_content().splitlines() if body else []
        except (LookupError, ValueError):  # an awkward mail: its other parts will do
            lines = []
        found |= {line.strip() for line in lines if len(line.strip()) > 25}
        found |= {word.lower() for line in lines for word in re.findall(r"[A-Za-z]{12,}", line)}
    return sorted(found - OUR_WORDS)


OUR_WORDS = {"organisation", "installation", "documentation", "configuration"}  # the product's own log may say these


def _headers(mail: email.message.Message) -> set[str]:
    found = set()
    for header in ("From", "To", "Cc", "Reply-To"):
        for name, address in email.utils.getaddresses(map(str, mail.get_all(header, []))):
            found |= {text for text in (name, address) if (len(text) > 6 and " " in text) or "@" in text}
    found |= {text for text in (str(mail.get("Subject", "")), str(mail.get("Message-ID", ""))) if len(text) > 9}
    return found
