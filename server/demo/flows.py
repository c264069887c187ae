"""A flow of the demo: what people do, step by step, what must be seen after each step, and how it ends.

All ends are read from the mailbox and the CRM, through the vendors' own APIs. Flows run side by side: while one waits
for Mailspan, another goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from server.demo.vendors import Control, GmailUser, MailRecord, MailUser, SalesforceUser

DONE = "Processing Complete!"
FOLLOWED = "Conversation Tracked"
MISSING = "Missing Required Matches"
FAILED = "Tracking Failed"
ENDS = frozenset({DONE, FOLLOWED, MISSING, FAILED})
MASTER = "Salesforce"
DROP = f"{MASTER}/- Create New Email"
PATIENCE = 60.0  # seconds for one step
LOOK = 0.1
LOOK_ANYWAY = 1.0  # seconds between looks when nothing stirs in the mailbox: the CRM does not tell


class Wrong(RuntimeError):
    """What is seen is wrong and waiting will not help; the text says what it is."""


@dataclass(frozen=True, slots=True)
class World:
    """Everybody's mailbox, the CRM, the stories the seeded mails tell, and how `mailspan` is configured here."""

    mail: Mapping[str, MailUser]
    crm: SalesforceUser
    control: Control
    stories: Mapping[str, Any]
    environ: Mapping[str, str] = field(default_factory=dict)

    def story(self, name: str) -> Mapping[str, Any]:
        return dict(self.stories[name])

    def gmail(self, address: str) -> GmailUser:
        user = self.mail[address]
        assert isinstance(user, GmailUser)
        return user


@dataclass(frozen=True, slots=True)
class Step:
    """`do` something; then wait until `until` finds nothing missing any more. It returns what is, for people, and
    raises `Wrong` where no waiting helps."""

    do: Callable[[World, Running], None]
    until: Callable[[World, Running], str]


def nothing(world: World, run: Running) -> None:
    """For a step that only waits."""


def at_once(world: World, run: Running) -> str:
    """For a step after which nothing needs to be seen."""
    return ""


@dataclass(frozen=True, slots=True)
class Flow:
    """`check` looks at the CRM in the end and returns what is wrong, or nothing; `home` is where the mails must lie
    then. With `creates` the accounts of its people are new records too. `user`, `sender` and `subject` are those of
    the mail that a flow of several steps begins with; `story` names the seeded mail of the others."""

    name: str
    title: str
    section: str
    expected: str
    steps: tuple[Step, ...]
    check: Callable[[World, Mapping[str, Any], list[MailRecord]], str] = lambda world, story, records: ""
    provider: str = "gmail"
    trigger: str = "label"
    home: str = ""
    creates: bool = False
    story: str = ""
    user: str = ""
    sender: str = ""
    subject: str = ""


@dataclass(slots=True)
class Running:
    """A flow under way. `mails` are those it is about (user, the mail's id there) in the order in which they came in,
    `story` their Message-IDs; `items` the CRM's items by the names that the steps give them."""

    flow: Flow
    started: float = 0.0
    mails: list[tuple[MailUser, str]] = field(default_factory=list)
    story: dict[str, Any] = field(default_factory=dict)
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)  # what a step remembers for a later one
    marks: dict[str, set[str]] = field(default_factory=dict)
    at: int = -1
    since: float = 0.0  # of the step
    looked: float = 0.0
    steps: list[int] = field(default_factory=list)  # milliseconds of each
    state: str = ""
    problem: str = ""
    ms: int | None = None


# --- running them ---------------------------------------------------------------------------------------------------


def play(world: World, running: list[Running], ended: Callable[[Running], None]) -> None:
    """Begin all, then take each through its steps, until all have ended or patience has."""
    seen: dict[str, str] = {}
    for run in running:
        run.started = time.monotonic()
        _safely(run, lambda run=run: _next(world, run))  # type: ignore[misc]
        if run.problem:
            ended(run)
    under_way = [run for run in running if not run.problem]
    while under_way:
        stirred = {user.address for user in _users(under_way) if _stirred(user, seen)}
        for run in list(under_way):
            if not stirred & {user.address for user, _ in run.mails} and time.monotonic() - run.looked < LOOK_ANYWAY:
                continue
            if _safely(run, lambda run=run: _advance(world, run)):  # type: ignore[misc]
                under_way.remove(run)
                ended(run)
        time.sleep(LOOK)


def _users(running: list[Running]) -> list[MailUser]:
    return list({user.address: user for run in running for user, _ in run.mails}.values())


def _stirred(user: MailUser, seen: dict[str, str]) -> bool:
    """Whether the mailbox changed since the last look; a look costs two units, reading the mails twenty each."""
    if user.address not in seen:
        seen[user.address] = user.now()
        return True
    changed, seen[user.address] = user.changed(seen[user.address])
    return changed


def _safely(run: Running, go: Callable[[], bool]) -> bool:
    """One flow that goes wrong ends, and none of the others."""
    try:
        return go()
    except RuntimeError as error:
        run.problem = str(error)
        return True


def _advance(world: World, run: Running) -> bool:
    """Look, and go as far as can be gone now; whether the flow has ended."""
    run.looked = time.monotonic()
    missing = run.flow.steps[run.at].until(world, run)
    if missing and time.monotonic() - run.since > PATIENCE:
        raise Wrong(f"not finished in time: {missing}")
    return False if missing else _next(world, run)


def _next(world: World, run: Running) -> bool:
    now = time.monotonic()
    if run.at >= 0:
        run.steps.append(int((now - run.since) * 1000))
    run.at += 1
    if run.at == len(run.flow.steps):
        run.ms = int((now - run.started) * 1000)
        return True
    run.since = now
    run.looked = 0.0
    run.flow.steps[run.at].do(world, run)
    return False


# --- how it ended ---------------------------------------------------------------------------------------------------


def state(marks: Mapping[str, set[str]]) -> str:
    """The end state of mails in the product's words; "mixed" when they differ."""
    states = {_state(one) for one in marks.values()}
    return states.pop() if len(states) == 1 else "mixed: " + ", ".join(sorted(states))


def _state(marks: set[str]) -> str:
    found = sorted(marks & ENDS)
    if DROP in marks:
        return "still on the drop label"
    return ", ".join(found) if found else "no end state"


def report(world: World, run: Running) -> dict[str, Any]:
    """One row: how it ended, in the product's words, read back from mailbox and CRM."""
    found = run.state or (state(run.marks) if run.marks else "no end state")
    identifiers = [m for m in run.story.get("message_ids", ()) if m]
    records = world.crm.mails(identifiers) if identifiers else []
    wrong = run.problem or run.flow.check(world, run.story, records)
    if run.flow.home and not all(run.flow.home in marks for marks in run.marks.values()):
        wrong = wrong or f"the mail is not back in {run.flow.home}"
    if run.ms is None:
        wrong = wrong or "not finished in time"
    related = {i for r in records for i in r.related}
    if run.flow.creates:
        related |= set(world.crm.accounts_of(related).values())
    items = [item for item in run.items.values() if not item.get("gone")]
    return {
        "flow": run.flow.name,
        "section": run.flow.section,
        "title": run.flow.title,
        "provider": run.flow.provider,
        "mail": run.story.get("subject") or run.flow.subject,
        "trigger": run.flow.trigger,
        "expected": run.flow.expected,
        "state": found,
        "ok": found == run.flow.expected and not wrong,
        "problem": wrong,
        "reason": "; ".join(_reasons(run)),
        "people": list(world.crm.names(related).values()),
        "items": [item["title"] for item in items],
        "crm": sorted({r.id for r in records} | related | {item["Id"] for item in items}),
        "ms": run.ms,
        "steps": run.steps,
    }


def _reasons(run: Running) -> list[str]:
    marks = {mark for marks in run.marks.values() for mark in marks}
    return sorted(mark.split("/", 1)[1] for mark in marks if mark.startswith((f"{FAILED}/", f"{MISSING}/")))
