"""Rules about the project itself that no tool keeps: the lock file, the rooms, what tracked files may say."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VENDOR = re.compile(r"\b(google|gmail|microsoft|outlook|salesforce|dynamics)\b(?!\.)", re.IGNORECASE)
CLOCK = re.compile(r"\b(datetime\.now|utcnow|date\.today|uuid4|uuid1)\b")


def tracked(*patterns: str) -> list[Path]:
    """The files of the project, also those not yet committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        pytest.skip("this is no git checkout")
    return [ROOT / line for line in result.stdout.splitlines() if (ROOT / line).is_file()]


def hits(pattern: re.Pattern[str], *patterns: str) -> Iterator[str]:
    for path in tracked(*patterns):
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if pattern.search(line):
                yield f"{path.relative_to(ROOT)}:{number}: {line.strip()}"


def test_the_lock_names_versions_and_hashes_and_no_address() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    entries = [entry for entry in re.split(r"\n(?=[a-z])", text) if not entry.startswith("#")]
    assert len(entries) > 50
    assert [
        entry for entry in entries if not re.match(r"[a-z0-9-]+==\S+.*\\\n    --hash=sha256:[0-9a-f]{64}", entry)
    ] == []


def test_the_lock_has_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    names = {re.split(r"[\[<>=;! ]", line)[0].lower() for line in wanted}
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert names - locked == set()


def test_no_vendor_is_named_where_the_rules_are_made() -> None:
    assert list(hits(VENDOR, "sync/core/*.py", "sync/engine/*.py")) == []


def test_the_core_has_no_clock_and_no_dice() -> None:
    assert list(hits(CLOCK, "sync/core/*.py", "sync/model.py", "sync/policy.py")) == []


def test_tracked_files_name_no_path_of_a_machine() -> None:
    path = re.compile(r"(^|[^\w./:~-])/(root|work|home/\w+|Users/\w+)/")
    assert list(hits(path, ".", ":!*.lock", ":!*.eml", ":!tests/test_project.py")) == []


def test_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert targets
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [target for target in targets[1].split() if f"make {target} " not in shown] == []
