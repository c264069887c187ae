"""Every exchange of every sandbox that a test run starts is judged by the vendors' specifications.

The sandboxes record into a folder of the run; at its end the checkers beside the repository
(../shared/tools) read the recordings. One violation fails the run. Without the checkers the run
says so; with CI=true that is a failure. Requests that are wrong on purpose stay out of the
recording by ``sandbox.settings(record=False)``.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = "SANDBOX_RECORD_DIR"
TOOLS = Path(__file__).resolve().parents[2].parent / "shared" / "tools"
SHOWN = 40
# The slice of Graph's metadata has no id in entities that a PATCH holds; an extended property is named by nothing else
PATCHED_PROPERTY = re.compile(r"singleValueExtendedProperties/\d+: 'id' does not match")
# What Salesforce has and the tables of the object reference do not list
MANY_NODES = "at most 25 subrequests"  # of a composite call; a graph has up to 500 (providers.md 5.1)
UNLISTED = re.compile(r"object UserRecordAccess is not in specs|Opportunity has no [\w ]+ (Contact|Quotes)\b")
Exchange = dict[str, Any]
Judge = Callable[[Exchange], list[str]]
VERDICT = pytest.StashKey[list[str]]()


def tool(name: str) -> ModuleType:
    """One of the checkers; ModuleNotFoundError when they are not there."""
    if str(TOOLS) not in sys.path:
        sys.path.insert(0, str(TOOLS))
    return importlib.import_module(name)


def judge_of(api: str) -> Judge | None:
    """The checker of an api, None for one that has none (the token endpoints of Google)."""
    if api == "graph":
        return tool("graph_check").errors  # type: ignore[no-any-return]
    if api == "salesforce":
        return tool("salesforce_check").errors  # type: ignore[no-any-return]
    google = tool("google_check")
    return google.errors if api == google.ADDON or google.has_document(api) else None


def violations(exchanges: Iterable[Exchange]) -> Iterator[str]:
    """One line for each fault; equal exchanges are judged once."""
    seen: set[str] = set()
    pairs = ((part, part is not whole) for whole in exchanges for part in taken_apart(whole))
    for exchange, of_graph in pairs:
        judge = judge_of(exchange["api"])
        text = json.dumps(exchange, sort_keys=True)
        if judge is None or text in seen:
            continue
        seen.add(text)
        for fault in judge(exchange):
            if exchange["method"] == "PATCH" and PATCHED_PROPERTY.search(fault):
                continue
            if UNLISTED.search(fault) or (of_graph and MANY_NODES in fault):
                continue
            yield f"{exchange['api']} {exchange['method']} {exchange['path'][:120]} -> {exchange['status']}: {fault}"


def taken_apart(exchange: Exchange) -> Iterator[Exchange]:
    """Each graph of a composite/graph call as a composite call: the checker knows those."""
    graphs, path = exchange["request"], exchange["path"]
    if not path.split("?")[0].endswith("/composite/graph"):
        yield exchange
        return
    answer = exchange["response"] if exchange["status"] == 200 else {}
    answers = {graph["graphId"]: graph["graphResponse"] for graph in answer.get("graphs", ())}
    for graph in graphs["graphs"] if isinstance(graphs, dict) else ():
        if graph["graphId"] in answers:
            request = {"compositeRequest": graph["compositeRequest"], "allOrNone": True}
            path = exchange["path"].replace("/composite/graph", "/composite")
            yield exchange | {"path": path, "request": request, "response": answers[graph["graphId"]]}


def recorded(folder: Path) -> Iterator[Exchange]:
    """All exchanges of a folder; a last line that a killed sandbox left half written is passed over."""
    for path in sorted(folder.glob("*.jsonl")):
        lines = path.read_text(encoding="utf-8").split("\n")
        yield from (json.loads(line) for line in lines[:-1] if line)


def pytest_configure(config: pytest.Config) -> None:
    """Name the folder, once for all processes of the run."""
    if not hasattr(config, "workerinput"):
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="recordings-")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Judge what was recorded; the first process of the run does it for all."""
    if hasattr(session.config, "workerinput") or FOLDER not in os.environ:
        return
    folder = Path(os.environ.pop(FOLDER))
    exchanges = list(recorded(folder))
    shutil.rmtree(folder, ignore_errors=True)
    if not exchanges:
        return
    if not TOOLS.is_dir():
        lines = [f"conformance: not judged, {TOOLS} is missing"]
        failed = os.environ.get("CI") == "true"
    else:
        faults = Counter(violations(exchanges))
        lines = [f"{fault}  ({times} times)" if times > 1 else fault for fault, times in faults.most_common(SHOWN)]
        lines += [f"conformance: {len(exchanges)} exchanges, {len(faults)} different violations"]
        failed = bool(faults)
    session.config.stash[VERDICT] = lines
    if failed and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell the verdict."""
    lines = config.stash.get(VERDICT, [])
    if lines:
        terminalreporter.section("conformance")
        for line in lines:
            terminalreporter.write_line(line)
