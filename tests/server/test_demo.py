"""How the demo judges what it sees, without running it: a wrong end is never called a right one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from server.cli import main
from server.demo import drops, flows, stage
from server.demo.flows import DONE, DROP, FAILED, MISSING, Flow, Running, Step, World, Wrong
from server.demo.programme import FLOWS
from server.demo.vendors import GmailUser, MailRecord, quote

ANNA, BEN = "anna@northpeak.example", "ben@northpeak.example"
ANNA_ID, BEN_ID, CONTACT, ACCOUNT = "005A", "005B", "003C", "001D"
MAIL = MailRecord("02s1", frozenset({CONTACT, ANNA_ID, BEN_ID}))


class Crm:
    """A CRM that holds these e-mail records."""

    def __init__(self, *records: MailRecord, account: str | None = ACCOUNT) -> None:
        self.records, self.account = list(records), account

    def mails(self, message_ids: Iterable[str]) -> list[MailRecord]:
        return self.records if list(message_ids) else []

    def users(self, addresses: Iterable[str]) -> dict[str, str]:
        known = {ANNA: ANNA_ID, BEN: BEN_ID}
        return {address: known[address] for address in addresses}

    def accounts_of(self, ids: Iterable[str]) -> dict[str, str]:
        return {one: self.account for one in ids if one == CONTACT and self.account}

    def names(self, ids: Iterable[str]) -> dict[str, str]:
        return {one: f"name of {one}" for one in ids}


def flow(name: str) -> Flow:
    return next(found for found in FLOWS if found.name == name)


def judged(name: str, marks: Iterable[str], *records: MailRecord, ms: int | None = 5, **crm: Any) -> Mapping[str, Any]:
    """The row of a flow whose mail carries these labels and has these records."""
    story = {"subject": "s", "message_ids": ["<1@a.example>"], "mailboxes": [ANNA, BEN]}
    run = Running(flow(name), story=story, ms=ms, marks={"anna:1": set(marks)})
    world = World({}, Crm(*records, **crm), None, {})  # type: ignore[arg-type]
    return flows.report(world, run)


@pytest.mark.parametrize(
    ("name", "marks", "records"),
    [
        ("one_mail", {DONE, "INBOX"}, [MAIL]),
        ("unmatched_sender", {DONE}, [MAIL]),
        ("two_mailboxes", {DONE}, [MAIL]),
        ("internal_only", {MISSING, f"{MISSING}/Internal only"}, []),
        ("parked", {FAILED, f"{FAILED}/No usable address"}, []),
    ],
)
def test_a_right_end_is_right(name: str, marks: set[str], records: list[MailRecord]) -> None:
    row = judged(name, marks, *records)
    assert (row["ok"], row["problem"], row["state"]) == (True, "", flow(name).expected)
    accounts = {ACCOUNT} if name == "unmatched_sender" else set()
    assert row["crm"] == sorted({one for record in records for one in (record.id, *record.related)} | accounts)


@pytest.mark.parametrize(
    ("name", "marks", "records", "problem"),
    [
        ("one_mail", {DONE}, [], "0 e-mail records instead of 1"),
        ("one_mail", {DONE}, [MAIL, MailRecord("02s2", MAIL.related)], "2 e-mail records instead of 1"),
        ("one_mail", {DONE}, [MailRecord("02s1", frozenset({ANNA_ID}))], "no contact is related to 02s1"),
        ("unmatched_sender", {DONE}, [MailRecord("02s1", frozenset({ANNA_ID}))], "no contact was created"),
        ("two_mailboxes", {DONE}, [MailRecord("02s1", frozenset({CONTACT, ANNA_ID}))], f"not related: {BEN}"),
        ("internal_only", {MISSING}, [MAIL], "1 e-mail records instead of none"),
        ("one_mail", {FAILED, "INBOX"}, [MAIL], ""),
        ("one_mail", {DONE, FAILED, "INBOX"}, [MAIL], ""),
        ("one_mail", {DONE, DROP, "INBOX"}, [MAIL], ""),
        ("one_mail", {"INBOX"}, [MAIL], ""),
        ("one_mail", {DONE}, [MAIL], "the mail is not back in INBOX"),
    ],
)
def test_a_wrong_end_is_wrong(name: str, marks: set[str], records: list[MailRecord], problem: str) -> None:
    row = judged(name, marks, *records)
    assert row["problem"] == problem
    assert row["ok"] is False


def test_a_contact_without_account_is_wrong() -> None:
    assert judged("unmatched_sender", {DONE}, MAIL, account=None)["problem"] == "the new contact has no account"


def test_what_never_ended_is_wrong() -> None:
    row = judged("one_mail", {DONE, "INBOX"}, MAIL, ms=None)
    assert (row["ok"], row["problem"]) == (False, "not finished in time")


def test_mails_that_end_differently_are_mixed() -> None:
    story = {"subject": "s", "message_ids": []}
    run = Running(flow("one_mail"), story=story, ms=5, marks={"1": {DONE}, "2": {FAILED}})
    row = flows.report(World({}, Crm(), None, {}), run)  # type: ignore[arg-type]
    assert (row["ok"], row["state"]) == (False, f"mixed: {DONE}, {FAILED}")


def test_waiting_ends_with_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mailbox in which nothing ever happens."""
    monkeypatch.setattr(flows, "PATIENCE", 0.3)
    monkeypatch.setattr(flows, "LOOK_ANYWAY", 0.1)
    monkeypatch.setattr(GmailUser, "now", lambda self: "1")
    monkeypatch.setattr(GmailUser, "changed", lambda self, since: (False, since))
    monkeypatch.setattr(GmailUser, "marks", lambda self, mail: {"INBOX", DROP})
    user = GmailUser(ANNA, "https://localhost:1", "token", "ca")
    run = Running(Flow("f", "F", "Gmail", DONE, (Step(flows.nothing, drops.ended),)), mails=[(user, "m1")])
    ended: list[Running] = []
    flows.play(World({}, Crm(), None, {}), [run], ended.append)  # type: ignore[arg-type]
    assert ended == [run]
    assert (run.ms, run.problem) == (None, "not finished in time: still on the drop label")
    assert run.marks == {f"{ANNA}:m1": {"INBOX", DROP}}


def test_a_flow_that_goes_wrong_ends_and_the_others_go_on() -> None:
    """Each by its own steps: one breaks when it acts, one when it looks, one needs three looks and two steps."""
    looks: list[str] = []
    acted: list[str] = []

    def breaks(world: World, run: Running) -> None:
        raise RuntimeError("GET /labels: 500")

    def wrong(world: World, run: Running) -> str:
        raise Wrong("it was filed twice")

    def third_time(world: World, run: Running) -> str:
        looks.append(run.flow.name)
        return "" if len(looks) > 2 else "not yet"

    def act(world: World, run: Running) -> None:
        acted.append(run.flow.name)

    def played(name: str, *steps: Step) -> Running:
        return Running(Flow(name, name, "Gmail", DONE, steps))

    good = played("good", Step(flows.nothing, third_time), Step(act, flows.at_once))
    bad = played("bad", Step(breaks, flows.at_once), Step(act, flows.at_once))
    worse = played("worse", Step(flows.nothing, wrong), Step(act, flows.at_once))
    ended: list[Running] = []
    flows.play(World({}, Crm(), None, {}), [good, bad, worse], ended.append)  # type: ignore[arg-type]
    assert (bad.problem, worse.problem, good.problem) == ("GET /labels: 500", "it was filed twice", "")
    assert (acted, looks, ended) == (["good"], ["good"] * 3, [bad, worse, good])
    assert good.ms is not None
    assert len(good.steps) == 2
    assert bad.ms is worse.ms is None


def test_the_installation_of_the_demo_is_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MAILSPAN_DATABASE_URL", "postgresql://precious/production")
    environ = stage._environ(tmp_path)
    assert environ["MAILSPAN_DATA_DIR"] == str(tmp_path)
    assert "MAILSPAN_DATABASE_URL" not in environ
    assert "PATH" in environ


def test_a_program_that_ends_at_once_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox cannot start: no traceback, but its own words and a failure."""
    monkeypatch.setattr(stage, "SANDBOX", ["-c", "import sys; sys.exit('no port is free')"])
    result = CliRunner().invoke(main, ["demo", "--once", "--json"])
    assert result.exit_code == 1
    assert "the sandbox did not start: no port is free" in result.stderr


def test_a_literal_cannot_be_left() -> None:
    assert quote("O'Neil\\") == "'O\\'Neil\\\\'"


def test_the_api_refusing_is_told_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = requests.Response()
    answer.status_code, answer._content = 403, b'{"error": "quota"}'
    monkeypatch.setattr(requests.Session, "request", lambda *args, **kwargs: answer)
    with pytest.raises(RuntimeError, match=r'GET /labels: 403 \{"error": "quota"\}'):
        GmailUser(ANNA, "https://localhost:1", "token", "ca").labels()
