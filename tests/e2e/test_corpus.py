"""Every awkward mail beside the repository and every seeded one, dropped in Gmail and in Outlook: filed, or parked with
a reason, and in both the same.

Engine and adapters run in this process, batch by batch, against the sandbox; without a queue, to be quick. The two mail
systems get a world each: in one world the second would only find what the first has filed.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.inprocess import declared, judge, parts, settled
from tests.e2e.installation import DONE, FAILED, Installation
from tests.sandboxed import ROOT, Sandbox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

CORPUS = ROOT.parent / "shared" / "mail"
USERS = {
    "gmail": tuple(f"{name}@northpeak.example" for name in ("anna", "ben", "maria")),
    "outlook": tuple(f"{name}@northpeak.example" for name in ("erik", "priya", "tom")),
}
BATCH = 50
NO_MAIL, NOBODY = f"{FAILED}/Not an e-mail", f"{FAILED}/No usable address"
# Exchange gives what came without any header a Message-ID and a date: to us a mail, but of nobody to nobody.
HEADERLESS = ({NO_MAIL}, {NOBODY})
# Gmail gives back the bytes that came, from which we read more people than a strict reader: two addresses without a
# comma between them, a line in the head that is no header, blanks before colons. Exchange writes down what it
# understood, which is nobody; then nothing is left to read.
ILL_FORMED = {
    "ruby-mail/plain_emails__raw_email_multiple_from.eml",
    "ruby-mail/plain_emails__raw_email_incorrect_header.eml",
    "ruby-mail/rfc2822__example13.eml",
}
Told = dict[str, Counter[str]]  # mail -> how it ended, once for every mailbox in which it lay


@pytest.fixture(scope="module")
def told() -> dict[str, Told]:
    """What each test of a mail system saw, for the comparison after them."""
    return {}


@pytest.fixture(params=USERS)
def system(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def office(sandbox: Sandbox, tmp_path: Path, system: str) -> Iterator[Installation]:
    with declared(sandbox, tmp_path, USERS[system]) as installation:
        yield installation


def corpus() -> dict[str, bytes]:
    """Every mail of the index."""
    index = json.loads((CORPUS / "INDEX.json").read_text(encoding="utf-8"))
    return {item["path"]: (CORPUS / item["path"]).read_bytes() for item in index}


def test_every_seeded_mail_ends_in_a_stated_way(office: Installation, system: str, told: dict[str, Told]) -> None:
    ends: Told = {}
    for user in office.mailboxes:
        desk = office.desk(user)
        mails = [mail for mail in desk.mails() if not {"TRASH", "DRAFT"} & set(mail["labels"])]
        for batch in parts(mails, BATCH):
            for mail, end in zip(batch, settled(office, desk, [mail["id"] for mail in batch]), strict=True):
                ends.setdefault(mail["messageId"] or mail["id"], Counter())[end] += 1
    told[f"seeded {system}"] = ends
    sums = tally(ends)
    assert sums[DONE] > 0.6 * sums.total()
    judge(office)
    boxes = office.told("status")["mailboxes"]  # pure JSON, though Redis does not answer
    assert [row["lag"] for row in boxes] == [0, 0, 0]
    assert sum(len(row["parked"]) for row in boxes) == sum(sums[end] for end in sums if end.startswith(FAILED))


def test_every_mail_of_the_corpus_ends_in_a_stated_way(
    office: Installation, system: str, told: dict[str, Told]
) -> None:
    if not CORPUS.is_dir() and os.environ.get("CI") != "true":
        pytest.skip("the corpus is not here")
    desk = office.desk(office.mailboxes[0])
    mails, ends = corpus(), {}
    for batch in parts(list(mails), BATCH):
        found = settled(office, desk, [desk.deliver(mails[path]) for path in batch])
        ends |= {path: Counter([end]) for path, end in zip(batch, found, strict=True)}
    told[f"corpus {system}"] = ends
    sums = tally(ends)
    assert sums.total() == len(mails)
    assert sums[DONE] > 0.6 * len(mails)
    judge(office)


def tally(ends: Mapping[str, Counter[str]]) -> Counter[str]:
    """Printed for whoever looks."""
    sums: Counter[str] = sum(ends.values(), Counter())
    print(*sorted(sums.items()), sep="\n")
    return sums


@pytest.mark.parametrize("of", ["seeded", "corpus"])
def test_graph_changes_no_outcome_without_a_reason(told: dict[str, Told], of: str) -> None:
    if not all(f"{of} {system}" in told for system in USERS):
        pytest.skip("the tests of both mail systems have not run before this one")
    gmail, outlook = (told[f"{of} {system}"] for system in USERS)
    both = {mail: (set(gmail[mail]), set(outlook[mail])) for mail in gmail.keys() & outlook.keys()}
    assert len(both) >= 60
    differ = {mail: pair for mail, pair in both.items() if pair[0] != pair[1] and pair != HEADERLESS}
    assert differ == {mail: ({DONE}, {NOBODY}) for mail in ILL_FORMED if of == "corpus"}
