"""Every mail of the public corpus beside the project is read, and filed or refused with a reason."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.core.filing import Skip, plan
from sync.core.markup import to_text
from sync.core.matching import match
from sync.core.mime import parse
from sync.core.reasons import REASONS
from sync.core.replies import newest_part
from sync.core.trace import trace
from sync.model import Abilities, Directory, Message
from sync.policy import Policy
from tests.core.build import ME

ROOT = Path(__file__).parents[3] / "shared" / "mail"

if not ROOT.is_dir() and os.environ.get("CI") != "true":
    pytest.skip("the corpus is not here", allow_module_level=True)


def corpus() -> Iterator[tuple[str, list[str], bytes]]:
    for item in json.loads((ROOT / "INDEX.json").read_text(encoding="utf-8")):
        yield item["path"], item["flags"], (ROOT / item["path"]).read_bytes()


def test_every_mail_is_filed_or_refused_with_a_reason() -> None:
    outcomes: dict[str, int] = {}
    for path, _, raw in corpus():
        message = Message("1", "1", frozenset(), "received", parse(raw))
        matching = match(message, Directory(), Policy(), ME)
        entry = plan(message, matching, Policy(), Abilities(True, True), "005ME", "1")
        code = entry.reason if isinstance(entry, Skip) else "filed"
        assert code == "filed" or code in REASONS, path
        json.dumps(trace(matching, entry, lambda text: "h"))
        outcomes[code] = outcomes.get(code, 0) + 1
    assert outcomes.keys() == {"filed", "no_address", "not_mail", "report_no_match"}
    assert outcomes["filed"] > 150


def test_usual_headers_are_found() -> None:
    for path, flags, raw in corpus():
        parsed = parse(raw)
        if not {"no-from", "no-usual-headers", "dsn"} & set(flags):
            named = [one.role for one in parsed.participants]
            assert "from" in named or any("address" in defect for defect in parsed.defects), path
        if "no-message-id" not in flags:
            assert not parsed.message_id.endswith("@mailspan.invalid>"), path
        if "dsn" in flags:
            assert parsed.kind in ("bounce", "receipt"), path


@pytest.mark.parametrize("stem", [f"{number:03}" for number in range(10)])
def test_another_parser_sees_the_same(stem: str) -> None:
    """The expected parse of another implementation: people, text and number of leaves."""
    parsed = parse((ROOT / "stalwart-rfc" / f"{stem}.eml").read_bytes())
    expected = json.loads((ROOT / "stalwart-rfc" / f"{stem}.json").read_text(encoding="utf-8"))
    headers = {header["name"]: header["value"] for header in expected["parts"][0]["headers"]}
    if isinstance(headers.get("subject"), dict):
        assert parsed.subject == " ".join(headers["subject"]["Text"].split())
    for role in ("from", "to"):
        if isinstance(headers.get(role), dict) and "Address" in headers[role]:
            (kind, value), *_ = headers[role]["Address"].items()
            wanted = [one["address"].lower() for one in value if one.get("address")] if kind == "List" else []
            found = [one.email for one in parsed.participants if one.role == role]
            assert [email for email in wanted if "." in email.partition("@")[2]] == found
    first = next((expected["parts"][number]["body"] for number in expected["text_body"]), {})
    if "Text" in first:
        assert "".join(first["Text"].split()) in "".join(parsed.text.split())


REPLIES = sorted(ROOT.glob("talon-replies/standard_replies__*.eml")) if ROOT.is_dir() else []


@pytest.mark.parametrize("path", REPLIES, ids=lambda path: path.stem)
def test_the_newest_part_of_common_clients(path: Path) -> None:
    parsed = parse(path.read_bytes())
    expected = path.with_name(f"{path.stem}_reply_text")
    wanted = expected.read_text(encoding="utf-8") if expected.exists() else "Hello"
    if parsed.text.strip():
        assert newest_part(parsed.text).split() == wanted.split()
    if parsed.html.strip():
        without_links = re.sub(r"\(http[^)]*\)", "", wanted).split()
        other = "Allo! Follow up MIME!".split()  # one file's HTML says something else than its text
        assert newest_part(to_text(parsed.html)).split() in (without_links, other)
    assert parsed.text.strip() or parsed.html.strip()


def test_a_mail_cut_anywhere_is_read() -> None:
    for path, _, raw in corpus():
        for at in range(0, len(raw), max(len(raw) // 5, 1)):
            for piece in (raw[:at], raw[at:], raw[:at] + b"\xff\x00" + raw[at:]):
                assert parse(piece).message_id, path
