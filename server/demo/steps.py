"""Steps of flows about mails and conversations: what comes in, what people do with it, and how it must end."""

from __future__ import annotations

from typing import Any

from server.demo.flows import DONE, ENDS, FAILED, FOLLOWED, MASTER, MISSING, Running, Step, World, Wrong
from server.demo.items import Module, filed, leaf, made, user_of, wait

NOT_FOLLOWED = "Not followed"
HOMES = {"google": ("INBOX", "SENT"), "microsoft": ("Inbox", "Sent Items")}  # received, sent
TEXT = "Hello,\n\nas discussed. When can we talk about the details?\n\nKind regards"


def arrives() -> Step:
    """A mail of the flow's sender comes in."""

    def do(world: World, run: Running) -> None:
        run.story |= {"subject": run.flow.subject, "message_ids": []}
        order = {"kind": "new", "from": run.flow.sender, "subject": run.flow.subject, "text": TEXT}
        _act(world, run, "receive", order)

    return Step(do, _come)


def reply(text: str, subject: str = "") -> Step:
    """The other side answers the first mail; with a `subject` of its own, if there is one."""

    def do(world: World, run: Running) -> None:
        order = {"message_id": run.story["message_ids"][0], "text": text, **({"subject": subject} if subject else {})}
        _act(world, run, "receive", order)

    return Step(do, _come)


def answer(text: str) -> Step:
    """The user answers the first mail."""

    def do(world: World, run: Running) -> None:
        _act(world, run, "send", {"message_id": run.story["message_ids"][0], "text": text})
        run.notes["sent"] = len(run.mails)

    return Step(do, _come)


def _act(world: World, run: Running, action: str, order: dict[str, Any]) -> None:
    got = world.control.act(user_of(world, run).vendor, action, user=run.flow.user, **order)
    run.notes["awaited"] = f"<{got['messageId'].strip('<>')}>"


def _come(world: World, run: Running) -> str:
    user, message_id = user_of(world, run), run.notes["awaited"]
    mail = user.find(message_id)
    if mail is None:
        return "the mail did not arrive"
    run.mails.append((user, mail))
    run.story["message_ids"].append(message_id)
    return ""


def create(module: Module) -> tuple[Step, ...]:
    """The first mail is put on a label that creates an item; it ends filed to the new item."""

    def there(world: World, run: Running) -> str:
        return "" if user_of(world, run).has(module.drop) else f"there is no {module.drop}"

    def do(world: World, run: Running) -> None:
        user, mail = run.mails[0]
        user.drop(mail, module.drop)

    return wait(there), Step(do, marked(DONE)), wait(made(module)), wait(filed())


def assign(name: str = "item", mail: int = 0) -> tuple[Step, ...]:
    """A mail is put on the leaf of an item; it ends filed to it."""

    def do(world: World, run: Running) -> None:
        user, one = run.mails[mail]
        user.drop(one, run.items[name]["leaf"])

    return wait(leaf(name)), Step(do, marked(DONE, mail)), wait(filed(name, mail))


def tracked(name: str = "item") -> tuple[Step, ...]:
    """The last mail is filed to the item by itself, and stays where it is."""
    return wait(marked(FOLLOWED)), wait(filed(name))


def marked(state: str, mail: int = -1) -> Any:
    """Until the mail carries the marker and lies at home."""

    def until(world: World, run: Running) -> str:
        user, one = run.mails[mail]
        marks = user.marks(one)
        run.marks = {one: marks}
        sent = run.notes.get("sent") == mail % len(run.mails)
        lying = [mark for mark in marks if mark.startswith(f"{MASTER}/")]
        if lying:
            return f"the mail lies on {', '.join(sorted(lying))}"
        if marks & {MISSING, FAILED}:  # it has ended, and not well
            run.state = ", ".join(sorted(marks & ENDS))
            raise Wrong(f"the mail is not marked {state}")
        if marks & ENDS != {state}:
            return f"the mail is not marked {state}"
        home = HOMES[user.vendor][sent]
        if home not in marks:
            return f"the mail is not in {home}"
        run.state = state
        return ""

    return until


def passed_over(mail: int) -> Step:
    """A mail that Mailspan has seen and left alone: nothing is filed of it, and no marker is on it."""

    def until(world: World, run: Running) -> str:
        user, one = run.mails[mail]
        if (marks := user.marks(one)) & ENDS:
            raise Wrong(f"marked {', '.join(marks & ENDS)}")
        if world.crm.mails([run.story["message_ids"][mail]]):
            raise Wrong("the mail with another subject was filed")
        run.state = NOT_FOLLOWED
        return ""

    return wait(until)
