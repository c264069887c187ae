"""Mails that are dropped to be archived: each way of asking for it, in Gmail and in Outlook, and how each may end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from server.demo import flows
from server.demo.flows import DONE, DROP, ENDS, FAILED, MISSING, Flow, Running, Step, World
from server.demo.outlook import INBOX, SENT, OutlookUser
from server.demo.vendors import GmailUser, MailRecord, MailUser

CATEGORY = "Track in CRM"


def ended(world: World, run: Running) -> str:
    """Until every mail carries an end marker and lies on no drop label."""
    run.marks = {f"{user.address}:{mail}": user.marks(mail) for user, mail in run.mails}
    if any(DROP in marks or not marks & ENDS for marks in run.marks.values()):
        return flows.state(run.marks)
    run.state = flows.state(run.marks)
    return ""


# --- what people do in Gmail ----------------------------------------------------------------------------------------


def drop(world: World, run: Running) -> None:
    """Drag the mail on the drop label, in every mailbox it lies in."""
    run.story = dict(world.story(run.flow.story))
    run.mails = [(world.mail[address], _find(world.mail[address], run.story)) for address in run.story["mailboxes"]]
    run.started = time.monotonic()
    for user, mail in run.mails:
        user.drop(mail, DROP)


def _find(user: MailUser, story: Mapping[str, Any]) -> str:
    message_id, subject = story["message_ids"][0], story["subject"]
    mail = user.find(message_id) if message_id else None
    if mail is None and isinstance(user, GmailUser):
        found = user.call("GET", "/messages", q=f'subject:"{subject}"').get("messages", [])
        mail = str(found[0]["id"]) if found else None
    if mail is None:
        raise RuntimeError(f"{user.address} has no mail {subject!r}")
    return mail


def _drop_conversation(world: World, run: Running) -> None:
    run.story = dict(world.story(run.flow.story))
    user = world.gmail(run.story["mailbox"])
    thread = user.thread_of(_find(user, run.story))
    run.mails = [(user, mail) for mail in user.mails_of(thread)]
    run.started = time.monotonic()
    user.drop_thread(thread, user.labels()[DROP])


def _arrive(world: World, run: Running) -> None:
    """A filter rule puts the label on before anybody sees the mail."""
    run.story = dict(world.story(run.flow.story))
    user = world.gmail(run.story["mailbox"])
    user.label_arriving(run.story["subject"], user.labels()[DROP])
    run.started = time.monotonic()
    world.control.deliver(user.address, run.story["file"])


def _arrived(world: World, run: Running) -> str:
    user = world.gmail(run.story["mailbox"])
    mail = user.find(run.story["message_ids"][0])
    if mail is None:
        return "the mail did not arrive"
    run.mails = [(user, mail)]
    return ""


# --- what people do in Outlook --------------------------------------------------------------------------------------


def _pick(world: World, user: OutlookUser, folder: str, number: int) -> Mapping[str, Any]:
    """The `number`-th mail of a folder whose sender (or receiver) is a contact in the CRM."""
    found = 0
    for row in user.mails(folder):
        people = [row["from"]] if folder == INBOX else row["toRecipients"]
        addresses = [one["emailAddress"]["address"] for one in people if one]
        if not addresses or row["internetMessageId"] in _told(world) or not world.crm.people(addresses):
            continue
        if found == number:
            return row
        found += 1
    raise RuntimeError(f"{user.address} has too few mails of contacts in {folder}")


def _told(world: World) -> set[str]:
    return {message_id for story in world.stories.values() for message_id in story["message_ids"]}


def _in_outlook(number: int, folder: str, do: Callable[[OutlookUser, str], None]) -> tuple[Step, ...]:
    """The `number`-th user of Outlook does this with a mail of that folder."""

    def act(world: World, run: Running) -> None:
        user = [user for user in world.mail.values() if isinstance(user, OutlookUser)][number]
        row = _pick(world, user, folder, 0)
        run.story = {"subject": row["subject"], "message_ids": [row["internetMessageId"]], "mailboxes": [user.address]}
        run.mails = [(user, str(row["id"]))]
        run.started = time.monotonic()
        do(user, str(row["id"]))

    return (Step(act, ended),)


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


DROPPED = (Step(drop, ended),)
UNKNOWN = "Unknown sender: contact and account created"
GMAIL, OUTLOOK = "Gmail", "Outlook"

FLOWS = (
    Flow("one_mail", "One mail from a known contact", GMAIL, DONE, DROPPED, one_each, home="INBOX", story="one_mail"),
    Flow(
        "conversation",
        "A conversation of four",
        GMAIL,
        DONE,
        (Step(_drop_conversation, ended),),
        one_each,
        story="conversation_of_four",
    ),
    Flow("unmatched_sender", UNKNOWN, GMAIL, DONE, DROPPED, _created, creates=True, story="unmatched_sender"),
    Flow("internal_only", "Internal mail only", GMAIL, MISSING, DROPPED, _nothing, story="internal_only"),
    Flow("two_mailboxes", "One mail, two colleagues", GMAIL, DONE, DROPPED, both_users, story="two_mailboxes"),
    Flow(
        "arrives_labelled",
        "Arrives already labelled",
        GMAIL,
        DONE,
        (Step(_arrive, _arrived), Step(flows.nothing, ended)),
        one_each,
        story="arrives_labelled",
    ),
    Flow("parked", "A mail that cannot be filed", GMAIL, FAILED, DROPPED, _nothing, story="unparseable"),
    Flow(
        "outlook_move",
        "Outlook: moved to the folder",
        OUTLOOK,
        DONE,
        _in_outlook(0, INBOX, lambda user, mail: user.drop(mail, DROP)),
        one_each,
        "outlook",
        "folder",
        INBOX,
    ),
    Flow(
        "outlook_copy",
        "Outlook: a copy in the folder",
        OUTLOOK,
        DONE,
        _in_outlook(1, INBOX, lambda user, mail: user.drop_copy(mail, DROP)),
        one_each,
        "outlook",
        "folder",
        INBOX,
    ),
    Flow(
        "outlook_category",
        "Outlook: a category is set",
        OUTLOOK,
        DONE,
        _in_outlook(2, INBOX, lambda user, mail: user.categorise(mail, CATEGORY)),
        one_each,
        "outlook",
        "category",
        INBOX,
    ),
    Flow(
        "outlook_sent",
        "Outlook: a sent mail",
        OUTLOOK,
        DONE,
        _in_outlook(0, SENT, lambda user, mail: user.drop(mail, DROP)),
        one_each,
        "outlook",
        "folder",
        SENT,
    ),
    Flow(
        "two_systems",
        "One mail in Gmail and in Outlook",
        OUTLOOK,
        DONE,
        DROPPED,
        both_users,
        "gmail, outlook",
        "label, folder",
        story="mixed_mailboxes",
    ),
)
