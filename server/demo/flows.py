"""What the demo does as a user, and how each flow should end; the end is read from the mailbox and the CRM."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from server.demo.vendors import Control, GmailUser, MailRecord, MailUser, SalesforceUser

DONE = "Processing Complete!"
MISSING = "Missing Required Matches"
FAILED = "Tracking Failed"
DROP = "Salesforce/- Create New Email"
PATIENCE = 60.0
LOOK = 0.1


@dataclass(frozen=True, slots=True)
class World:
    """Everybody's mailbox, the CRM, and the stories the seeded mails tell."""

    mail: Mapping[str, MailUser]
    crm: SalesforceUser
    control: Control
    stories: Mapping[str, Any]

    def story(self, name: str) -> Mapping[str, Any]:
        return dict(self.stories[name])

    def gmail(self, address: str) -> GmailUser:
        user = self.mail[address]
        assert isinstance(user, GmailUser)
        return user


@dataclass(slots=True)
class Running:
    """A flow under way: which mails (user, the mail's id there) must reach their end."""

    flow: Flow
    story: Mapping[str, Any]
    mails: list[tuple[MailUser, str]]
    started: float
    ms: int | None = None
    marks: dict[str, set[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Flow:
    """`check` looks at the CRM and returns what is wrong, or nothing; `home` is where the mail must lie in the end;
    with `creates` the accounts of its people are new records too."""

    name: str
    title: str
    story: str
    expected: str
    act: Callable[[World, Flow], Running]
    check: Callable[[World, Mapping[str, Any], list[MailRecord]], str]
    provider: str = "gmail"
    trigger: str = "label"
    home: str = ""
    creates: bool = False


def drop(world: World, flow: Flow) -> Running:
    """Drag the mail on the drop label, in every mailbox it lies in."""
    story = world.story(flow.story)
    mails = [(world.mail[address], _find(world.mail[address], story)) for address in story["mailboxes"]]
    started = time.monotonic()
    for user, mail in mails:
        user.drop(mail, DROP)
    return Running(flow, story, mails, started)


def _find(user: MailUser, story: Mapping[str, Any]) -> str:
    message_id, subject = story["message_ids"][0], story["subject"]
    mail = user.find(message_id) if message_id else None
    if mail is None and isinstance(user, GmailUser):
        found = user.call("GET", "/messages", q=f'subject:"{subject}"').get("messages", [])
        mail = str(found[0]["id"]) if found else None
    if mail is None:
        raise RuntimeError(f"{user.address} has no mail {subject!r}")
    return mail


def _drop_conversation(world: World, flow: Flow) -> Running:
    story = world.story(flow.story)
    user = world.gmail(story["mailbox"])
    thread = user.thread_of(_find(user, story))
    mails: list[tuple[MailUser, str]] = [(user, mail) for mail in user.mails_of(thread)]
    started = time.monotonic()
    user.drop_thread(thread, user.labels()[DROP])
    return Running(flow, story, mails, started)


def _arrive(world: World, flow: Flow) -> Running:
    """A filter rule puts the label on before anybody sees the mail."""
    story = world.story(flow.story)
    user = world.gmail(story["mailbox"])
    user.label_arriving(story["subject"], user.labels()[DROP])
    started = time.monotonic()
    world.control.deliver(user.address, story["file"])
    deadline = time.monotonic() + PATIENCE
    while (mail := user.find(story["message_ids"][0])) is None and time.monotonic() < deadline:
        time.sleep(LOOK)
    if mail is None:
        raise RuntimeError("the mail did not arrive")
    return Running(flow, story, [(user, mail)], started)


# --- what the CRM must show -----------------------------------------------------------------------------------------


def one_each(world: World, story: Mapping[str, Any], records: list[MailRecord]) -> str:
    wanted = len(set(story["message_ids"]))
    if len(records) != wanted:
        return f"{len(records)} e-mail records instead of {wanted}"
    bare = [r.id for r in records if not any(i.startswith(("003", "00Q")) for i in r.related)]
    return f"no contact is related to {', '.join(bare)}" if bare else ""


def _created(world: World, story: Mapping[str, Any], records: list[MailRecord]) -> str:
    related = {i for r in records for i in r.related if i.startswith("003")}
    if not related:
        return "no contact was created"
    if len(world.crm.accounts_of(related)) != len(related):
        return "the new contact has no account"
    return one_each(world, story, records)


def both_users(world: World, story: Mapping[str, Any], records: list[MailRecord]) -> str:
    users = world.crm.users(story["mailboxes"])
    related = {i for r in records for i in r.related}
    absent = [address for address, identifier in users.items() if identifier not in related]
    if len(users) != len(story["mailboxes"]) or absent:
        return f"not related: {', '.join(absent) or 'unknown users'}"
    return one_each(world, story, records)


def _nothing(world: World, story: Mapping[str, Any], records: list[MailRecord]) -> str:
    return f"{len(records)} e-mail records instead of none" if records else ""


FLOWS = (
    Flow("one_mail", "One mail from a known contact", "one_mail", DONE, drop, one_each, home="INBOX"),
    Flow("conversation", "A conversation of four", "conversation_of_four", DONE, _drop_conversation, one_each),
    Flow(
        "unmatched_sender",
        "Unknown sender: contact and account created",
        "unmatched_sender",
        DONE,
        drop,
        _created,
        creates=True,
    ),
    Flow("internal_only", "Internal mail only", "internal_only", MISSING, drop, _nothing),
    Flow("two_mailboxes", "One mail, two colleagues", "two_mailboxes", DONE, drop, both_users),
    Flow("arrives_labelled", "Arrives already labelled", "arrives_labelled", DONE, _arrive, one_each),
    Flow("parked", "A mail that cannot be filed", "unparseable", FAILED, drop, _nothing),
)


# --- running them ---------------------------------------------------------------------------------------------------


def wait(running: list[Running], progress: Callable[[Running], None]) -> None:
    """Until every mail of every flow carries an end marker and lies on no drop label, or patience ends."""
    deadline = time.monotonic() + PATIENCE
    open_flows = list(running)
    users = {user.address: user for run in running for user, _ in run.mails}
    seen = dict.fromkeys(users, "")
    while open_flows and time.monotonic() < deadline:
        stirred = {address for address, user in users.items() if _stirred(user, seen)}
        for run in list(open_flows):
            if not stirred & {user.address for user, _ in run.mails}:
                continue
            run.marks = {f"{user.address}:{mail}": user.marks(mail) for user, mail in run.mails}
            if all(_ended(marks) for marks in run.marks.values()):
                run.ms = int((time.monotonic() - run.started) * 1000)
                open_flows.remove(run)
                progress(run)
        time.sleep(LOOK)


def _stirred(user: MailUser, seen: dict[str, str]) -> bool:
    """Whether the mailbox changed since the last look; a look costs two units, reading the mails twenty each."""
    if not seen[user.address]:
        seen[user.address] = user.now()
        return True
    changed, seen[user.address] = user.changed(seen[user.address])
    return changed


def _ended(marks: set[str]) -> bool:
    return DROP not in marks and bool(marks & {DONE, MISSING, FAILED})


def report(world: World, run: Running) -> dict[str, Any]:
    """One row: how it ended, in the product's words, read back from mailbox and CRM."""
    states = {_state(marks) for marks in run.marks.values()}
    state = states.pop() if len(states) == 1 else "mixed: " + ", ".join(sorted(states))
    identifiers = [m for m in run.story["message_ids"] if m]
    records = world.crm.mails(identifiers) if identifiers else []
    wrong = run.flow.check(world, run.story, records)
    if run.flow.home and not all(run.flow.home in marks for marks in run.marks.values()):
        wrong = wrong or f"the mail is not back in {run.flow.home}"
    if run.ms is None:
        wrong = wrong or "not finished in time"
    related = {i for r in records for i in r.related}
    if run.flow.creates:
        related |= set(world.crm.accounts_of(related).values())
    reasons = sorted(
        {
            m.split("/", 1)[1]
            for marks in run.marks.values()
            for m in marks
            if m.startswith((FAILED + "/", MISSING + "/"))
        }
    )
    return {
        "flow": run.flow.name,
        "title": run.flow.title,
        "provider": run.flow.provider,
        "mail": run.story["subject"],
        "trigger": run.flow.trigger,
        "expected": run.flow.expected,
        "state": state,
        "ok": state == run.flow.expected and not wrong,
        "problem": wrong,
        "reason": "; ".join(reasons),
        "people": list(world.crm.names(related).values()),
        "crm": sorted({r.id for r in records} | related),
        "ms": run.ms,
    }


def _state(marks: set[str]) -> str:
    found = sorted(marks & {DONE, MISSING, FAILED})
    if DROP in marks:
        return "still on the drop label"
    return ", ".join(found) if found else "no end state"
