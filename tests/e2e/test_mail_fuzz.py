"""Mutated mails, dropped in Gmail and in Outlook: each ends filed, missing or parked with a reason, and is marked.

`MAILSPAN_FUZZ_SEED` tells an earlier run again (tests/core/test_fuzz.py).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.core.mutations import mutated
from tests.core.test_fuzz import SEED, bases
from tests.e2e.inprocess import declared, judge, parts, settled
from tests.e2e.installation import DONE
from tests.sandboxed import Sandbox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

USERS = {"gmail": "anna@northpeak.example", "outlook": "erik@northpeak.example"}
MAILS, BATCH = 36, 18
LARGEST = 20_000  # bytes before the mutation: many mails rather than large ones


@pytest.mark.parametrize("system", USERS)
def test_every_mutated_mail_ends_in_a_stated_way(sandbox: Sandbox, tmp_path: Path, system: str) -> None:
    print(f"MAILSPAN_FUZZ_SEED={SEED}")  # shown with a failure
    rng = Random(f"{SEED}:{system}")
    names = rng.sample([name for name, raw in bases().items() if len(raw) <= LARGEST], MAILS)
    ends: Counter[str] = Counter()
    with declared(sandbox, tmp_path, [USERS[system]]) as office:
        desk = office.desk(USERS[system])
        for batch in parts(names, BATCH):
            ends.update(settled(office, desk, [desk.deliver(mutated(rng, bases()[name])) for name in batch]))
        judge(office)
    print(*sorted(ends.items()), sep="\n")
    assert ends.total() == MAILS
    assert ends[DONE] > MAILS / 4
