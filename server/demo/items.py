"""What the CRM and the mailbox must show of module items, and steps that change them there or take all back."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Any

from server.demo.flows import ENDS, MASTER, Running, Step, World, Wrong, at_once, nothing
from server.demo.vendors import MailRecord, MailUser
from sync.leash import leashed

UNDONE = "Undone"
UPDATED = "Summary updated"
GONE = "Leaf and summary gone"


@dataclass(frozen=True, slots=True)
class Module:
    """A kind of item: its names in Salesforce and in the mailbox, and the fields that matter here."""

    name: str
    label: str
    plural: str
    title: str = "Name"
    account: str = "AccountId"

    @property
    def place(self) -> str:
        """Where its summaries lie."""
        return f"{MASTER}/{self.plural}"

    @property
    def drop(self) -> str:
        return f"{MASTER}/- Create New {self.label}"

    def leaf(self, item: dict[str, Any]) -> str:
        """The name of an item's leaf without its number (product.md 7)."""
        title = str(item[self.title])
        if self.name == "Case":
            return f"[{item['CaseNumber']}] {title}"
        return f"{title} ({worth(item)})" if worth(item) else title


OPPORTUNITY = Module("Opportunity", "Opportunity", "Opportunities")
CASE = Module("Case", "Case", "Cases", "Subject")
PROJECT = Module("Project__c", "Project", "Projects", account="Account__c")


def worth(item: dict[str, Any]) -> str:
    return f"${item['Amount']:,.0f}" if item.get("Amount") else ""


def user_of(world: World, run: Running) -> MailUser:
    return world.mail[run.flow.user]


def wait(until: Any) -> Step:
    return Step(nothing, until)


# --- items in the CRM -----------------------------------------------------------------------------------------------


def known(module: Module, title: str, name: str = "item") -> Step:
    """An item that is in the CRM from the beginning."""

    def do(world: World, run: Running) -> None:
        run.story.setdefault("subject", title)
        found = world.crm.items(module.name, module.title, title)
        if len(found) != 1:
            raise Wrong(f"{len(found)} items called {title}")
        run.items[name] = {**found[0], "module": module, "title": title}

    return Step(do, at_once)


def made(module: Module) -> Any:
    """Until there is one new item: the user's, with the contact's account."""

    def until(world: World, run: Running) -> str:
        found = world.crm.items(module.name, module.title, run.flow.subject)
        if len(found) != 1:
            return f"{len(found)} items of {module.label} were made"
        item, address = found[0], parseaddr(run.flow.sender)[1]
        if item["OwnerId"] != world.crm.users([run.flow.user]).get(run.flow.user):
            raise Wrong("the new item is not the user's")
        person = next(iter(world.crm.people([address])), None)
        if person is None or item[module.account] is None or item[module.account] != person["AccountId"]:
            raise Wrong("the new item has not the account of the contact")
        run.items["item"] = {**item, "module": module, "title": run.flow.subject}
        run.notes["person"] = person
        return ""

    return until


def filed(name: str = "item", mail: int = -1) -> Any:
    """Until the CRM has one record of the mail, with that item and a contact."""

    def until(world: World, run: Running) -> str:
        records: list[MailRecord] = world.crm.mails([run.story["message_ids"][mail]])
        if len(records) != 1:
            return f"{len(records)} e-mail records instead of one"
        if records[0].item != run.items[name]["Id"]:
            return f"the e-mail is related to {records[0].item or 'no item'}, not to {run.items[name]['title']}"
        if not any(one.startswith("003") for one in records[0].related):
            return "no contact is related"
        return ""

    return until


def edit(**fields: Any) -> Step:
    """A colleague changes the item in Salesforce."""

    def do(world: World, run: Running) -> None:
        item = run.items["item"]
        world.control.act("salesforce", "edit", object=item["module"].name, id=item["Id"], fields=fields)
        item |= fields

    return Step(do, at_once)


# --- what the mailbox shows of items --------------------------------------------------------------------------------


def leaf(name: str = "item") -> Any:
    """Until the item's leaf is there under its name; a renamed one keeps its number."""

    def until(world: World, run: Running) -> str:
        item = run.items[name]
        place, wanted = f"{item['module'].place}/Assign To", item["module"].leaf(item)
        there = user_of(world, run).below(place)
        found = [one for one in there if re.fullmatch(r"\[\d+\] " + re.escape(wanted), one)]
        if len(found) != 1:
            return f"{len(found)} leaves [n] {wanted} below {place}"
        number = found[0].split("]")[0]
        if item.setdefault("number", number) != number:
            raise Wrong(f"the leaf got the number {number}] instead of {item['number']}]")
        item["leaf"] = f"{place}/{found[0]}"
        return ""

    return until


def summary(tells: bool = False) -> Any:
    """Until the item has one summary, read, with its amount; one that `tells` of the first mail."""

    def until(world: World, run: Running) -> str:
        item = run.items["item"]
        place = item["module"].place
        found = user_of(world, run).notes(place, item["title"])
        if len(found) != 1:
            return f"{len(found)} summaries in {place}"
        if found[0].unread:
            return "the summary looks unread"
        if worth(item) not in found[0].subject:
            return f"the summary says {found[0].subject}"
        if tells and run.story["subject"] not in found[0].text:
            return "the summary does not tell of the mail"
        return ""

    return until


def updated() -> Step:
    """The summary, and the leaf with its number, say what the item is now."""

    def until(world: World, run: Running) -> str:
        missing = str(summary()(world, run) or leaf()(world, run))
        run.state = run.state if missing else UPDATED
        return missing

    return wait(until)


def gone() -> Step:
    """The item's leaf and summary are no more."""

    def until(world: World, run: Running) -> str:
        missing = _shown(world, run)
        run.state = run.state if missing else GONE
        return missing

    return wait(until)


def _shown(world: World, run: Running) -> str:
    item, user = run.items["item"], user_of(world, run)
    place = item["module"].place
    if user.has(item["leaf"]):
        return "the leaf is still there"
    return "the summary is still there" if user.notes(place, item["title"]) else ""


# --- undo -----------------------------------------------------------------------------------------------------------


def undo() -> Step:
    """The administrator has the first mail undone by `mailspan undo`."""

    def do(world: World, run: Running) -> None:
        command = leashed([sys.executable, "-m", "server.cli", "undo", run.story["message_ids"][0], "--json"])
        run.notes["undo"] = subprocess.Popen(command, env=dict(world.environ), stdout=subprocess.PIPE, text=True)

    def until(world: World, run: Running) -> str:
        process: subprocess.Popen[str] = run.notes["undo"]
        if process.poll() is None:
            return "mailspan undo has not ended"
        answered = json.loads(process.communicate()[0])
        if answered["ended"] != "undone" or answered["left"]:
            raise Wrong(f"mailspan undo: {answered['ended']}, left: {', '.join(answered['left']) or 'nothing'}")
        return ""

    return Step(do, until)


def taken_back() -> Step:
    """What was written and created is gone, the marks are off, and the mailbox shows nothing of the item."""

    def until(world: World, run: Running) -> str:
        item, person = run.items["item"], run.notes["person"]
        records = {item["module"].name: item["Id"], "Contact": person["Id"], "Account": person["AccountId"]}
        left = [kind for kind, one in records.items() if world.crm.there(kind, [one])]
        if left or world.crm.mails(run.story["message_ids"]):
            raise Wrong(f"still in the CRM: {', '.join(left) or 'the e-mail'}")
        user, mail = run.mails[0]
        if marks := user.marks(mail) & ENDS:
            return f"still marked {', '.join(marks)}"
        if missing := _shown(world, run):
            return missing
        item["gone"] = True
        run.marks, run.state = {}, UNDONE
        return ""

    return wait(until)
