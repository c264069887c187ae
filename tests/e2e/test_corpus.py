"""Every awkward mail beside the repository and every seeded one, dropped on a label: filed, or parked with a reason.

Engine and adapters run in this process, batch by batch, against the sandbox; without a queue, to be quick.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
import requests
import sqlalchemy as sa

from sync.core.reasons import REASONS
from sync.engine import wake as engine
from sync.store import tables
from tests.e2e.installation import DONE, DROP, ENDS, FAILED, MISSING, Desk, Installation
from tests.sandboxed import ROOT, Json, Sandbox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

CORPUS = ROOT.parent / "shared" / "mail"
USERS = tuple(f"{name}@northpeak.example" for name in ("anna", "ben", "maria"))
T = TypeVar("T")
BATCH = 50
ASKED = 100  # ids in one question to the CRM


@pytest.fixture
def office(sandbox: Sandbox, tmp_path: Path) -> Iterator[Installation]:
    """Declared, without processes. No Redis answers, so that no budget holds us up; the sandbox's quotas are off."""
    sandbox.settings(gmail_quota=False)
    environ = {"MAILSPAN_REDIS_URL": f"unix://{tmp_path}/nobody.sock"}
    installation = Installation(sandbox, tmp_path, f"sqlite:///{tmp_path / 'mailspan.sqlite3'}", USERS, environ)
    installation.apply()
    wake(installation, *USERS, until=lambda: True)
    yield installation
    installation.close()


def wake(office: Installation, *users: str, until: Callable[[], bool]) -> None:
    """Wake these mailboxes until that is so; the clock moves on where the engine wants to wait a moment."""
    ahead = 0.0
    for _ in range(20):
        for user in users:
            office.app.store.wake(office.mailbox_id(user))
            report = engine.wake(
                office.app.store,
                office.mailbox_id(user),
                office.app.ports,
                worker="corpus",
                clock=lambda ahead=ahead: time.time() + ahead,
                lease_seconds=60,
                guard_seconds=20,
            )
            assert report.ended == "done", report
        if until():
            return
        ahead += 1.1
    raise AssertionError("20 looks did not end every mail")


def corpus() -> list[bytes]:
    """Every mail of the index."""
    index = json.loads((CORPUS / "INDEX.json").read_text(encoding="utf-8"))
    return [(CORPUS / item["path"]).read_bytes() for item in index]


def test_every_seeded_mail_ends_in_a_stated_way(office: Installation) -> None:
    told: Counter[str] = Counter()
    for user in USERS:
        desk = Desk(office.sandbox, user)
        mails = [mail["id"] for mail in desk.mails() if not {"TRASH", "DRAFT"} & set(mail["labels"])]
        for batch in parts(mails, BATCH):
            told += settled(office, desk, batch)
    print(*sorted(told.items()), sep="\n")
    assert told[DONE] > 0.6 * told.total()
    judge(office)
    boxes = office.told("status")["mailboxes"]  # pure JSON, though Redis does not answer
    assert [row["lag"] for row in boxes] == [0, 0, 0]
    assert sum(len(row["parked"]) for row in boxes) == sum(told[end] for end in told if end.startswith(FAILED))


def test_every_mail_of_the_corpus_ends_in_a_stated_way(office: Installation) -> None:
    if not CORPUS.is_dir() and os.environ.get("CI") != "true":
        pytest.skip("the corpus is not here")
    desk = Desk(office.sandbox, USERS[0])
    told: Counter[str] = Counter()
    mails = corpus()
    for batch in parts(mails, BATCH):
        told += settled(office, desk, [desk.deliver(raw) for raw in batch])
    print(*sorted(told.items()), sep="\n")
    assert told.total() == len(mails)
    assert told[DONE] > 0.6 * len(mails)
    judge(office)


def parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """In order, `size` of them at a time."""
    for at in range(0, len(items), size):
        yield items[at : at + size]


def settled(office: Installation, desk: Desk, mails: Sequence[str]) -> Counter[str]:
    """Drop these, let the engine work, and tell how each ended: one end marker each, reasons where it was not filed."""
    for mail in mails:
        desk.drop(mail)
    wake(office, desk.address, until=lambda: desk.ended(*mails))
    told: Counter[str] = Counter()
    for mail, marks in zip(mails, desk.marks(*mails), strict=True):
        (end,) = marks & ENDS
        assert DROP not in marks
        reasons = {mark for mark in marks if mark.startswith((FAILED + "/", MISSING + "/"))}
        assert bool(reasons) == (end != DONE), (mail, marks)
        told[" ".join(sorted(reasons)) or end] += 1
    return told


def judge(office: Installation) -> None:
    """By the store: what is filed has its record in the CRM, what is not has a known reason, nothing is left over."""
    with office.app.store._database.reading() as conn:
        joined = sa.join(tables.sighting, tables.filing, isouter=True)
        columns = (
            tables.sighting.c.state,
            tables.sighting.c.outcome,
            tables.sighting.c.reason,
            tables.filing.c.records,
        )
        rows = conn.execute(sa.select(*columns).select_from(joined)).all()
    assert {row.state for row in rows} == {"settled"}
    assert {row.outcome for row in rows} <= {"done", "missing", "parked"}
    assert all(row.reason in REASONS for row in rows if row.outcome != "done")
    written = {tuple(row.records["activity"]) for row in rows if row.outcome == "done"}
    for kind, sobject in (("email", "EmailMessage"), ("task", "Task")):
        ids = sorted(id_ for found, id_ in written if found == kind)
        there = [row for part in parts(ids, ASKED) for row in found_in_crm(office, sobject, part)]
        assert sorted(there) == ids
    assert {kind for kind, _ in written} <= {"email", "task"}


def found_in_crm(office: Installation, sobject: str, ids: Sequence[str]) -> list[str]:
    sandbox = office.sandbox
    wanted = ", ".join(f"'{one}'" for one in ids)
    answer = requests.get(
        sandbox.url("salesforce") + "/services/data/v67.0/query",
        params={"q": f"SELECT Id FROM {sobject} WHERE Id IN ({wanted})"},
        headers={"Authorization": f"Bearer {sandbox.token('salesforce', office.crm_user)}"},
        verify=sandbox.ca,
        timeout=20,
    )
    body: Json = answer.json()
    return [row["Id"] for row in body["records"]]
