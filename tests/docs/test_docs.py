"""What the pages say is so: every command, reason and right is documented, links lead somewhere, examples are valid."""

from __future__ import annotations

import dataclasses
import inspect
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import click
import pytest
import yaml
from click.testing import CliRunner

from server.cli import main
from server.demo.flows import DONE, DROP, FAILED, MISSING
from server.demo.programme import FLOWS
from sync.core.reasons import REASONS
from sync.declare import load, loads
from sync.declare.vendors import VENDORS
from sync.model import Attachment, NewRecord, NodeRole, Question, RecordRef, Relation, Sent
from sync.policy import OPTIONS, ModuleRule, Policy
from sync.providers.google.auth import MAIL_SCOPES
from sync.providers.microsoft.auth import MAIL_SCOPES as GRAPH_SCOPES
from sync.providers.microsoft.calls import Calls
from sync.providers.microsoft.errors import ADVICE, TOKEN_ADVICE
from sync.providers.microsoft.http import Call
from sync.providers.microsoft.item import ARRIVAL
from sync.providers.microsoft.quota import APP_REQUESTS_PER_MINUTE, BATCH_PARTS, MAILBOX_REQUESTS, MAILBOX_SECONDS
from sync.providers.microsoft.tree import FOLDERS
from sync.providers.salesforce.directory import Plan
from sync.providers.salesforce.graph import Fixes
from sync.providers.salesforce.record import build
from sync.settings import SETTINGS
from sync.store.tables import metadata
from tests.config.declarations import CERTIFICATE, ENVIRONMENT, GOOD, PRIVATE_KEY, SERVICE_ACCOUNT, write
from tests.docs.pages import ADMIN, ARCHITECTURE, PAGES, README, ROOT, anchors, blocks, links, prose, read, rows
from tests.providers.salesforce.scripted import description, mail


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


# --- links and examples ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", [README, ADMIN], ids=name)
def test_the_example_file_is_valid(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = blocks(page, "yaml")[0]
    (tmp_path / "google.json").write_text(SERVICE_ACCOUNT)
    (tmp_path / "microsoft.pem").write_text(CERTIFICATE)
    (tmp_path / "salesforce.key").write_text(PRIVATE_KEY)
    (tmp_path / "mailspan.yaml").write_text(example)
    declared = loads(example, "mailspan.yaml", tmp_path, {})
    assert [box.address for box in declared.mailboxes] == ["ann@acme.example", "bob@acme.example", "cleo@acme.example"]
    assert {connection.vendor for connection in declared.connections} == set(VENDORS)
    monkeypatch.setenv("MAILSPAN_DATA_DIR", str(tmp_path / "data"))
    result = CliRunner().invoke(main, ["apply", "--check", str(tmp_path / "mailspan.yaml")])
    assert result.exit_code == 0, result.output


FRAGMENTS = blocks(ADMIN, "yaml")[1:]


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=range(len(FRAGMENTS)))
def test_the_guides_options_are_valid(fragment: str, tmp_path: Path) -> None:
    """Each replaces the options of a policy and says something that the defaults do not."""
    options = yaml.safe_load(fragment)
    assert list(options) == ["options"]
    declared = yaml.safe_load(GOOD)
    declared["policies"][0] |= options
    path = write(tmp_path, yaml.safe_dump(declared))
    assert load(path, ENVIRONMENT).policies[0].policy != Policy()


def test_the_guide_shows_every_setting_of_a_module_and_the_options_of_items() -> None:
    shown = "\n".join(FRAGMENTS)
    settings = {entry.name for entry in dataclasses.fields(ModuleRule)} - {"summaries"}
    options = {"modules", "assign_to", "summaries", "conversation_follow", "trigger_categories"}
    assert {name for name in settings | options if not re.search(rf"\b{name}:", shown)} == set()


def test_decisions_are_listed_dated_and_short() -> None:
    folder = ROOT / "docs" / "adr"
    index = read(folder / "README.md")
    found = sorted(folder.glob("[0-9]*.md"))
    assert found
    for number, page in enumerate(found, 1):
        text = read(page)
        assert page.name.startswith(f"{number:04}-")
        assert text.startswith(f"# {number}. ")
        assert re.search(r"^20\d\d-\d\d-\d\d, ", text, re.MULTILINE), page.name
        assert f"]({page.name})" in index
        assert len(text.splitlines()) <= 60, f"{page.name}: one page at most"


# --- commands and settings ------------------------------------------------------------------------------------------


def test_the_readme_lists_every_command() -> None:
    listed = [re.match(r"`mailspan (\w+)", row[0]) for row in rows(README, "## Commands")[1:]]
    assert sorted(found[1] for found in listed if found) == sorted(main.commands)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_command_or_option_is_made_up(page: Path) -> None:
    wrong = []
    for line in re.findall(r"`mailspan ([^`]+)`", read(page)):
        word, *arguments = line.split()
        command = main.commands.get(word)
        known = {option for item in command.params for option in item.opts} if command else set()
        if command is None or any(one.startswith("-") and one not in known for one in arguments):
            wrong.append(line)
    assert wrong == []


def test_the_readme_says_which_commands_print_json() -> None:
    sentence = re.search(r"^(.*) print JSON with `--json`", read(README), re.MULTILINE)
    assert sentence
    printing = {key for key, command in main.commands.items() if _has(command, "--json")}
    assert set(re.findall(r"`(\w+)`", sentence[1])) == printing


def _has(command: click.Command, option: str) -> bool:
    return any(option in item.opts for item in command.params)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_variable_or_make_target_is_made_up(page: Path) -> None:
    known = {item.variable for item in SETTINGS.values()} | {"MAILSPAN_"}
    assert set(re.findall(r"\bMAILSPAN_[A-Z_]*", read(page))) - known == set()
    targets = re.findall(r"^([a-z]+):.*## ", read(ROOT / "Makefile"), re.MULTILINE)
    used = re.findall(r"`make (\w+)`", prose(page)) + [
        found for block in blocks(page, "sh") for found in re.findall(r"^make (\w+)", block, re.MULTILINE)
    ]
    assert set(used) - set(targets) == set()


def test_the_readme_names_labels_and_markers_as_they_are() -> None:
    text = read(README)
    master, _, drop = DROP.partition("/")
    for label in (master, drop, DONE, MISSING, FAILED, OPTIONS["trigger_category"].default):
        assert f"`{label}`" in text


# --- reasons --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "heading"),
    [("missing", "Below `Missing Required Matches`:"), ("parked", "Below `Tracking Failed`:")],
)
def test_every_reason_is_documented_below_its_marker(outcome: str, heading: str) -> None:
    text = prose(ADMIN).partition(f"\n{heading}")[2].partition("\n\nBelow")[0].partition("\n## ")[0]
    documented = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]+\. \| [^|]+\. \|$", text, re.MULTILINE))
    assert documented == {code: one.label for code, one in REASONS.items() if one.outcome == outcome}


def test_every_log_event_of_the_guide_exists() -> None:
    text = read(ADMIN).partition("## Watching")[2].partition("\n## ")[0]
    source = "".join(read(path) for path in (ROOT / "sync").rglob("*.py"))
    named = set(re.findall(r"`([a-z]+\.[a-z_]+)`", text))
    assert len(named) >= 8
    assert [event for event in sorted(named) if f'"{event}"' not in source] == []


# --- rights ---------------------------------------------------------------------------------------------------------


def test_the_guide_asks_for_the_scopes_that_are_used_and_no_others() -> None:
    google, graph = blocks(ADMIN, "text")
    assert tuple(google.split()) == MAIL_SCOPES
    assert tuple(graph.split()) == GRAPH_SCOPES


def test_the_permissions_for_graph_cover_what_is_called_and_no_more() -> None:
    """By the rules of Graph: what belongs to messages and folders is Mail, the list of categories MailboxSettings; a
    permission is asked for with ReadWrite only where something is written. The guide says what is deleted."""
    calls = Calls("ann@acme.example")
    made = [_called(calls, name) for name in dir(calls) if not name.startswith("_") and name != "page"]
    assert len(made) >= 20
    used: dict[str, set[str]] = {}
    for call in made:
        kind = re.match(r"/users/[^/]+/(mailFolders|messages|outlook/masterCategories)(?=[/?]|$)", call.path)
        assert kind, call.path
        used.setdefault("MailboxSettings" if "outlook" in kind[1] else "Mail", set()).add(call.verb)
    assert all({"GET"} < verbs <= {"GET", "POST", "PATCH", "DELETE"} for verbs in used.values())
    deleting = {call.method for call in made if call.verb == "DELETE"}
    assert deleting == {"messages.delete", "mailFolders.delete", "masterCategories.delete"}
    asked = {f"{name}.ReadWrite" for name in used}
    assert asked == set(GRAPH_SCOPES)
    assert asked == {row[0].strip("`") for row in rows(ADMIN, "## Microsoft 365")[1:]}
    roles = re.findall(r'-Role "Application ([\w.]+)"', read(ADMIN))
    assert (set(roles), len(roles)) == (asked, len(asked))


def _called(calls: Calls, name: str) -> Call:
    """The request that this method makes of some arguments."""
    method = getattr(calls, name)
    wanted = inspect.signature(method).parameters
    made: Call = method(*(["x"] if each == "categories" else f"a-{each}" for each in wanted))
    return made


def test_the_codes_that_the_guide_explains_are_microsofts() -> None:
    text = read(ADMIN)
    numbers = {int(found) for found in re.findall(r"AADSTS(\d+)", text)}
    assert len(numbers) >= 5
    assert numbers <= TOKEN_ADVICE.keys()
    named = set(re.findall(r"`(Error\w+|MailboxNot\w+)`", text))
    assert len(named) >= 3
    assert named <= ADVICE.keys()


def test_the_figures_for_outlook_are_those_of_the_code() -> None:
    text = " ".join(read(ADMIN).split())
    for figure in (
        f"{MAILBOX_REQUESTS:,} requests in {'ten minutes' if MAILBOX_SECONDS == 600 else MAILBOX_SECONDS}",
        f"{APP_REQUESTS_PER_MINUTE // 6:,} in ten seconds",
        f"up to {BATCH_PARTS} requests into it",
        f"**{ARRIVAL:g} seconds** after it came",
    ):
        assert figure in text


@pytest.fixture(scope="module")
def rights() -> dict[str, tuple[str, str]]:
    return {row[0]: (row[1], row[2]) for row in rows(ADMIN, "### Permission set")[1:]}


PEOPLE = [RecordRef("contact", "003000000000001AAA"), RecordRef("lead", "00Q000000000001AAA")]
RELATIONS = tuple(
    Relation(role, f"{role}{number}@x.example", "Somebody", person)
    for role in ("from", "to", "cc", "bcc", "other")
    for number, person in enumerate([*PEOPLE, None])
)
ACCOUNT = NewRecord("@account", "account", {"name": "Acme", "website": "acme.example"}, "005000000000001AAA")
WHO = {"first_name": "Ann", "last_name": "Hill", "email": "ann@acme.example"}
CREATED = (
    ACCOUNT,
    NewRecord("@contact", "contact", WHO, ACCOUNT.owner, RecordRef("account", "@account")),
    NewRecord("@lead", "lead", {**WHO, "company": "Acme", "website": "acme.example"}, ACCOUNT.owner),
)


@pytest.mark.parametrize("kind", ["email", "task"])
@pytest.mark.parametrize("shared", [True, False])
def test_the_permission_set_covers_what_is_written(rights: dict[str, tuple[str, str]], kind: str, shared: bool) -> None:
    file = Attachment("offer.pdf", "application/pdf", b"%PDF")
    entry = mail(record=kind, relations=RELATIONS, create=CREATED, attachments=(file,))
    nodes = build(entry, description(shared=shared), Fixes()).nodes
    assert {node.sobject for node in nodes} >= {"Contact", "Lead", "Account", "ContentVersion"}
    for node in nodes:
        right, fields = rights[node.sobject]
        assert "create" in right
        assert set(node.body) - set(re.findall(r"\w+", fields)) == set(), node.sobject


def test_the_permission_set_covers_what_is_read(rights: dict[str, tuple[str, str]]) -> None:
    message = "<1@acme.example>"
    sent = Sent(message, "Offer", datetime(2026, 11, 1, tzinfo=UTC))
    asked = Question(
        frozenset({"ann@acme.example"}), frozenset({message}), frozenset({"acme.example"}), frozenset({"acme"}), (sent,)
    )
    plan = Plan(asked, description(), ("none",))
    queries = plan.queries()
    assert {query.about for query in queries} == {"User", "Contact", "Lead", "Account", "EmailMessage", "Task"}
    for query in queries:
        right, fields = rights[query.about]
        assert "read" in right
        text = re.sub(r"\((SELECT .*?)\)|'[^']*'", "", query.text)
        columns = re.findall(r"[\w.]+", text.partition("SELECT ")[2].partition(" FROM ")[0])
        filtered = re.findall(r"([A-Z]\w+) (?:=|!=|IN|LIKE|>=)", text.partition(" WHERE ")[2])
        for column in {*columns, *filtered} - {"Id"}:
            if query.about == "Account" and column == "Email":  # the organisation's own: it says "e-mail fields"
                continue
            about, _, field = column.rpartition(".")
            if about in ("RelatedTo", "What"):  # whatever kind of item it is
                continue
            named = rights[about][1] if about else fields
            assert field in re.findall(r"\w+", named), f"{query.about}.{column}"


# --- the pages about how it works -----------------------------------------------------------------------------------


def test_the_architecture_tells_what_becomes_of_every_role() -> None:
    found = rows(ARCHITECTURE, "## Mail systems")[1:]
    assert [row[0].strip("`") for row in found] == list(get_args(NodeRole))
    assert [row[3] for row in found] == ["folder" if row[0].strip("`") in FOLDERS else "category" for row in found]


def test_the_architecture_names_every_table_and_no_other() -> None:
    first = [row[0] for row in rows(ARCHITECTURE, "## Tables")[1:]]
    assert sorted(re.findall(r"`(\w+)`", " ".join(first))) == sorted(metadata.tables)


def test_the_picture_shows_a_run_in_which_every_flow_ended_well() -> None:
    picture = read(ROOT / "docs" / "demo.svg")
    text = re.sub(r"<[^>]+>", "", picture).replace("&#160;", " ")
    for flow in FLOWS:
        assert f"  {flow.title}: " in text
    assert text.count("✓") == len(FLOWS)
    assert "✗" not in text
    assert re.findall(r"(?:url\(|href=)[\"']?http", picture) == []
