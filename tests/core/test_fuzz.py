"""Thousands of mutated mails: each is read, matched and planned, or refused with a reason; within bounds of time and
memory, and what would go to the CRM is within its limits.

`MAILSPAN_FUZZ_SEED` tells an earlier run again, `MAILSPAN_FUZZ_COUNT` makes it a long one. A failure names the seed,
the number and the mail from which it was made; `mail(seed, number)` makes the same bytes again.
"""

from __future__ import annotations

import json
import os
import re
import resource
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sync.core import filing
from sync.core.filing import Skip, plan
from sync.core.matching import match, question
from sync.core.mime import parse
from sync.core.reasons import REASONS
from sync.core.trace import trace
from sync.model import Abilities, Account, Directory, Entry, Message, Person, Question, RecordRef
from sync.policy import Policy
from sync.providers.salesforce.graph import MAX_NODES, Fixes
from sync.providers.salesforce.record import build
from tests.core.build import ME
from tests.core.mutations import MUTATIONS, mutated
from tests.providers.salesforce.scripted import description

ROOT = Path(__file__).parents[2]
SEEDED = ROOT / "sandbox" / "seed" / "mail"
CORPUS = ROOT.parent / "shared" / "mail"
COUNT = int(os.environ.get("MAILSPAN_FUZZ_COUNT", "2000"))
SEED = int(os.environ.get("MAILSPAN_FUZZ_SEED") or secrets.randbelow(1_000_000))
BASE_BYTES = 200_000  # of the mails that are mutated: larger ones only take time
SECONDS, SECONDS_PER_MIB = 1.5, 4.0  # of this process, for one mail
MEMORY = 192 << 20  # bytes by which one mail may raise the peak
# What the CRM takes (providers.md 5.3), in UTF-16 units; written down here again, to be a witness
LIMITS = {
    ("EmailMessage", "Subject"): 3000,
    ("EmailMessage", "HtmlBody"): 131_072,
    ("EmailMessage", "TextBody"): 131_072,
    ("EmailMessage", "MessageIdentifier"): 765,
    ("EmailMessage", "ToAddress"): 4000,
    ("EmailMessage", "CcAddress"): 4000,
    ("EmailMessage", "BccAddress"): 4000,
    ("EmailMessage", "FromAddress"): 1000,
    ("Task", "Subject"): 255,
    ("Task", "Description"): 32_000,
    ("Contact", "LastName"): 80,
    ("Contact", "Email"): 80,
    ("Lead", "LastName"): 80,
    ("Lead", "Email"): 80,
    ("ContentVersion", "Title"): 255,
    ("ContentVersion", "PathOnClient"): 500,
}
REFUSED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
POLICIES = (
    Policy(),
    Policy(crm_email_record="email_message", body="newest_part"),
    Policy(crm_email_record="task", attachments=False),
    Policy(must_match=True, create_missing=False),
    Policy(match_leads=True, create_as_lead=True, attachment_max_mb=1),
)


@cache
def bases() -> Mapping[str, bytes]:
    """The mails that are mutated, by name: the sandbox's own, and the public corpus where it is."""
    paths = sorted(SEEDED.glob("*.eml"))
    if CORPUS.is_dir():
        index = json.loads((CORPUS / "INDEX.json").read_text(encoding="utf-8"))
        paths += sorted(CORPUS / item["path"] for item in index)
    found = {str(path.relative_to(ROOT.parent)): path.read_bytes() for path in paths}
    return {name: raw for name, raw in found.items() if len(raw) <= BASE_BYTES}


def mail(seed: int, number: int) -> tuple[str, bytes]:
    """The number-th mail of a run, and of which it was made."""
    rng = Random(f"{seed}:{number}")
    name = rng.choice(list(bases()))
    return name, mutated(rng, bases()[name])


def directory(asked: Question, rng: Random) -> Directory:
    """A CRM that knows some of whom it is asked for."""
    kinds = (("contact", "003"), ("lead", "00Q"), ("user", "005"))
    people: dict[str, tuple[Person, ...]] = {}
    for number, email in enumerate(sorted(asked.addresses)):
        some = rng.choices(kinds, k=rng.choice((0, 0, 1, 2)))
        people[email] = tuple(
            Person(RecordRef(kind, f"{prefix}{number:012}AAA"), email, email) for kind, prefix in dict(some).items()
        )
    company = (Account(RecordRef("account", "001000000000001AAA"), "Some"),)
    domains = {domain: company if rng.random() < 0.3 else () for domain in sorted(asked.domains)}
    return Directory(people, domains, dict.fromkeys(asked.companies, ()), {})


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def judge(raw: bytes, rng: Random) -> str:
    """Through the core as the engine does it; how it ended."""
    policy = rng.choice(POLICIES)
    arrived = rng.choice((None, datetime(2026, 11, 3, 10, tzinfo=UTC)))
    message = Message("1", "1", frozenset(), rng.choice(("received", "sent")), parse(raw), arrived, len(raw))
    found = match(message, directory(question([message], policy, ME), rng), policy, ME)
    made = plan(message, found, policy, Abilities(rng.random() < 0.9, True), "005000000000001AAA", "1")
    told = json.dumps(trace(found, made, lambda text: "h"))
    assert not [one.email for one in message.mime.participants if f'"{one.email}' in told], "an address in the trace"
    if isinstance(made, Skip):
        assert made.reason in REASONS
        return made.reason
    fits(filing.with_owner(made, ME.address), rng)
    return "filed"


def fits(entry: Entry, rng: Random) -> None:
    """What would be sent to the CRM, and what we keep of the mail."""
    assert entry.message_id.startswith("<")
    assert entry.message_id.endswith(">")
    assert units(entry.message_id) <= 255
    assert units(entry.subject) <= (255 if entry.record == "task" else 3000)
    assert units(entry.text) <= (32_000 if entry.record == "task" else 131_072)
    assert len(entry.attachments) <= filing.MAX_FILES
    assert len(entry.relations) <= 501
    assert len(json.dumps(entry.notes)) < 4000
    org = description(email=rng.random() < 0.9, shared=rng.random() < 0.5)
    nodes = build(entry, org, Fixes()).nodes
    assert 0 < len(nodes) <= MAX_NODES
    for node in nodes:
        for name, value in node.body.items():
            for text in texts(value):
                assert not REFUSED.search(text), (node.sobject, name, "a character that is refused")
                assert units(text) <= LIMITS.get((node.sobject, name), sys.maxsize), (node.sobject, name, "too long")
    json.dumps([node.request("/root") for node in nodes]).encode()


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Sequence):
        yield from (one for one in value if isinstance(one, str))


def peak() -> int:
    """Bytes that this process ever took."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def test_every_mutated_mail_ends_in_a_stated_way() -> None:
    ends: Counter[str] = Counter()
    slowest = 0.0
    for number in range(COUNT):
        name, raw = mail(SEED, number)
        where = f"MAILSPAN_FUZZ_SEED={SEED}, mail {number}, made of {name}, {len(raw)} bytes"
        began, before = time.process_time(), peak()
        try:
            ends[judge(raw, Random(f"{SEED}:{number}:crm"))] += 1
        except Exception as error:
            raise AssertionError(where) from error
        took = time.process_time() - began
        slowest = max(slowest, took)
        assert took < SECONDS + SECONDS_PER_MIB * len(raw) / 2**20, f"{where}: {took:.1f} s"
        assert peak() - before < MEMORY, f"{where}: {(peak() - before) >> 20} MiB"
    print(f"seed {SEED}: {COUNT} mails, slowest {slowest:.2f} s", *sorted(ends.items()), sep="\n")
    assert ends["filed"] > COUNT / 3
    assert {"no_address", "not_mail"} <= ends.keys() or COUNT < 1000


@pytest.mark.parametrize("name", MUTATIONS)
def test_every_kind_of_damage_changes_some_mail(name: str) -> None:
    rng = Random(1)
    assert any(MUTATIONS[name](rng, raw) != raw for raw in list(bases().values())[:40])


def test_the_same_seed_makes_the_same_mails() -> None:
    assert [mail(7, number) for number in range(20)] == [mail(7, number) for number in range(20)]
    assert mail(7, 1) != mail(8, 1)


def test_the_public_corpus_is_among_them() -> None:
    if not CORPUS.is_dir() and os.environ.get("CI") != "true":
        pytest.skip("the corpus is not here")
    assert sum("shared/mail" in name for name in bases()) > 150
