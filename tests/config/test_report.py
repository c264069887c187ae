"""Status and explanation: what the store knows, completed by what the mailbox and the CRM say at the moment."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.fernet import Fernet

from sync import doctor, report
from sync.core.labels import Remembered
from sync.errors import Busy, Missing, Rejected
from sync.model import Item, Message, Parsed, Participant, RecordRef
from sync.modules import FieldSpec, Module
from sync.policy import ModuleRule, Policy
from sync.settings import ConfigError
from sync.store.items import CAPPED
from sync.store.reading import UNUSABLE
from sync.store.rows import Explanation, Filing, Listed, NewSighting, Sighting
from sync.store.store import Store

NOW = 1_800_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path}/store.sqlite3", [Fernet.generate_key().decode()])
    store.migrate()
    store.put_connection("mail", "google", {}, {})
    store.put_connection("crm", "salesforce", {}, {})
    store.put_policy("sales", {}, "crm", "mail")
    store.put_mailbox("ann@acme.example", "sales")
    yield store
    store.close()


def looked(store: Store, at: float) -> None:
    """A finished look that made the tree."""
    lease = store.lease(1, "test", 10, at)
    assert lease
    with store.under(lease, at, 10) as tx:
        tx.set_labels({"drop.archive": Remembered("L1", "x"), "marker.done": Remembered("L2", "y")})
    store.synced(lease, at)
    store.release(lease, at, next_due=at + 30)


class Mail:
    """A mailbox that says when the oldest mail of a label came."""

    def __init__(self, arrived: Mapping[str, float] | Exception) -> None:
        self.arrived = arrived
        self.asked: list[Sequence[str]] = []

    def lag(self, labels: Sequence[str]) -> Mapping[str, float]:
        self.asked.append(labels)
        if isinstance(self.arrived, Exception):
            raise self.arrived
        return self.arrived


def row(store: Store, mail: Mail | None) -> dict[str, Any]:
    ports: Any = (lambda _: SimpleNamespace(mail=mail)) if mail else None
    (found,) = report.status(store, ports, NOW)["mailboxes"]
    return dict(found)


@pytest.mark.parametrize(
    ("arrived", "lag"),
    [
        ({}, 0.0),
        ({"L1": NOW - 5}, 5.0),  # it came after the last look
        ({"L1": NOW - 9999}, 60.0),  # an old mail: it was dropped after the last look, which saw nothing
    ],
)
def test_what_no_worker_has_seen_counts(store: Store, arrived: dict[str, float], lag: float) -> None:
    looked(store, NOW - 60)
    mail = Mail(arrived)
    found = row(store, mail)
    assert (found["lag"], found["not_asked"], found["state"]) == (lag, None, "active")
    assert mail.asked == [["L1"]]


@pytest.mark.parametrize("error", [Busy("no answer", vendor="mail"), ConfigError(["MAILSPAN_REDIS_URL: not set"])])
def test_a_mailbox_that_cannot_be_asked_says_why(
    store: Store, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    looked(store, NOW - 60)
    found = row(store, Mail(error))
    assert (found["lag"], found["not_asked"]) == (0.0, str(error))
    report.show_status({"mailboxes": [found], "feeds": []})
    assert f"ann@acme.example could not be asked: {error}" in capsys.readouterr().out


def test_offline_and_disabled_mailboxes_are_not_asked(store: Store) -> None:
    looked(store, NOW - 60)
    assert row(store, None)["not_asked"] == "offline"
    store.disable_mailbox(1, "left")
    mail = Mail({"L1": NOW - 5})
    assert row(store, mail)["not_asked"] == "disabled"
    assert mail.asked == []


def explanation(store: Store) -> Explanation:
    address = {"address": store.hash("kim@client.example"), "roles": ["from"], "rule": "contact", "why": "by Email"}
    stored = {
        "version": 1,
        "verdict": "file",
        "addresses": [{**address, "candidates": ["contact:003A", "contact:003B"], "chosen": "contact:003A"}],
        "create": [],
        "notes": ["1 inline image was left out"],
    }
    filing = Filing(
        id=7, connection_id=2, message_key="k", target="archive", state="done", reason=None, trigger="label",
        claimed_by=None, claim_until=0, sent_at=NOW, records={"activity": ("email", "02sA")}, users=(), trace=stored,
        created_at=NOW, done_at=NOW,
    )  # fmt: skip
    copy = Sighting(
        id=3, mailbox_id=1, remote_id="m1", thread="t", target="archive", labels=frozenset({"L1"}), archived=False,
        trigger="label", filing_id=7, state="settled", outcome="done", reason=None, attempts=1, not_before=0,
        created_at=NOW, settled_at=NOW, calls={"salesforce": {"calls": 2, "units": 2.0}},
    )  # fmt: skip
    return Explanation(filing, (copy,))


class Live:
    """A mailbox that still has the mail, or not, and a CRM that knows one of the contacts."""

    def __init__(self, *, there: bool) -> None:
        self.there = there

    def read(self, ids: Sequence[str]) -> Mapping[str, Any]:
        people = (Participant("from", "kim@client.example"),)
        mime = Parsed("<1@x.example>", "", datetime.now(UTC), people, "", "", ())
        message = Message("m1", "t", frozenset(), "received", mime)
        return {one: message if self.there else Missing("gone") for one in ids}

    def names(self, records: Sequence[RecordRef]) -> Mapping[RecordRef, Item]:
        kim = RecordRef("contact", "003A")
        return {kim: Item(kim, "Kim Lee", link="https://crm.example/003A")} if kim in records else {}


def test_names_and_addresses_are_read_now(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        store, "explain", lambda key: [explanation(store)] if key == store.hash("<1@x.example>") else []
    )
    live: Any = Live(there=True)
    found = report.explain(store, lambda _: SimpleNamespace(mail=live, crm=live), "1@x.example")  # type: ignore[arg-type,return-value]
    (filing,) = found["filings"]
    (address,) = filing["addresses"]
    assert address["address"] == "kim@client.example"
    assert address["chosen"] == {
        "kind": "contact", "id": "003A", "title": "Kim Lee", "link": "https://crm.example/003A"
    }  # fmt: skip
    assert address["candidates"][1] == {"kind": "contact", "id": "003B", "title": None, "link": None}
    assert filing["copies"][0]["mailbox"] == "ann@acme.example"
    assert filing["not_read"] == []
    report.show_explanation(found)
    shown = capsys.readouterr().out
    for words in (
        "kim@client.example [from]",
        "Kim Lee (003A)",
        "wrote activity: email 02sA",
        "salesforce 2",
        "inline",
    ):
        assert words in shown


def test_a_copy_is_explained_by_its_number(store: Store) -> None:
    lease = store.lease(1, "test", 10, NOW)
    assert lease
    with store.under(lease, NOW, 10) as tx:
        tx.see([NewSighting("m1", "t", "archive", frozenset({"L1"}), False, "label")], NOW)
        (seen,) = tx.claim(NOW, 1)
        tx.bind(2, [(seen.id, store.hash("<1@x.example>"), "archive", "label")], NOW)
    live: Any = Live(there=True)
    found = report.explain(store, lambda _: SimpleNamespace(mail=live, crm=live), str(seen.id))  # type: ignore[arg-type,return-value]
    assert [copy["id"] for copy in found["filings"][0]["copies"]] == [seen.id]
    assert report.explain(store, lambda _: SimpleNamespace(), "999")["filings"] == []  # type: ignore[arg-type,return-value]


def test_what_cannot_be_read_now_is_said_and_ids_remain(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "explain", lambda _: [explanation(store)])
    live: Any = Live(there=False)
    found = report.explain(store, lambda _: SimpleNamespace(mail=live, crm=live), "<1@x.example>")  # type: ignore[arg-type,return-value]
    (filing,) = found["filings"]
    assert filing["not_read"] == ["gone"]
    assert filing["addresses"][0]["address"] is None
    assert filing["addresses"][0]["chosen"]["title"] == "Kim Lee"


def test_items_feeds_and_modules_that_cannot_be_used_are_shown(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    store.put_policy("sales", {"modules": ["opportunity", "Projekt__c"]}, "crm", "mail")
    assert report.status(store, None, NOW)["feeds"] == [{"connection": "crm", "age": None}]
    crm = store.connection("crm")
    lease = store.lease(1, "test", 10, NOW)
    assert crm
    assert lease
    with store.under(lease, NOW, 10) as tx:
        listed = [Listed("006A", "1", NOW), Listed("006B", "1", NOW), Listed("006C", "1", NOW)]
        tx.see_items("opportunity", listed, whole=True)
        first, second, _ = tx.due_items(NOW, 3)
        tx.keep_items([replace(first, leaf_id="L5", note_id="m5", due=False), replace(second, note_id="m6", due=False)])
        tx.set_cursor(CAPPED, "opportunity")
        tx.set_cursor(UNUSABLE, '{"Projekt__c": "there is no such object"}')
        tx.see([NewSighting("m1", "t1", "archive", frozenset({"L1"}), False, "label")], NOW)
        (seen,) = tx.claim(NOW, 1)
        filing = tx.bind(crm.id, [(seen.id, store.hash("<1@x.example>"), "archive", "label")], NOW)[seen.id]
        tx.follow("t1", "archive", "s", filing.id, NOW, NOW, scanned=True)
    store.fan_out(crm.id, [], {}, "next")
    found = report.status(store, None, time.time() + 90)
    (row,) = found["mailboxes"]
    assert row["modules"] == [{"kind": "opportunity", "leaves": 1, "summaries": 2, "due": 1, "capped": True}]
    assert row["unusable"] == [{"module": "Projekt__c", "error": "there is no such object"}]
    assert row["follows"] == 1
    assert 80 < found["feeds"][0]["age"] < 120
    report.show_status(found)
    shown = capsys.readouterr().out
    for words in (
        "1 drop labels, 2 summaries, 1 due; there are more",
        "Projekt__c: there is no such object",
        "crm was",
    ):
        assert words in shown


def test_the_doctor_tries_every_module() -> None:
    field = FieldSpec("Name", "Name", "text")
    case = Module("case", "Case", "Case", "Cases", {"Name": field}, "Name")
    found = {"case": case, "Quote": replace(case, plural="Quotes", creatable=False), "Nope": Rejected("no such object")}
    rules = tuple(ModuleRule(name) for name in found)
    ports: Any = SimpleNamespace(policy=Policy(modules=rules), crm=SimpleNamespace(modules=lambda _: found))
    told = list(doctor._modules("ann@acme.example", ports))
    assert [(one.ok, one.detail) for one in told] == [
        (True, "Cases"),
        (False, "Quotes cannot be created by this user"),
        (False, "no such object"),
    ]
    assert all(one.advice for one in told if not one.ok)

    def busy(_: object) -> None:
        raise Busy("no answer", vendor="crm")

    ports.crm.modules = busy
    (refused,) = doctor._modules("ann@acme.example", ports)
    assert not refused.ok
    ports.policy = Policy()
    assert list(doctor._modules("ann@acme.example", ports)) == []
