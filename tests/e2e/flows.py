"""Every flow that a worker can die in, as a table: how its mails come to lie where they are filed from, how they end,
and what a run of it must do. A new flow is a new row."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tests.e2e.installation import DONE, DROP, MISSING, Desk, OutlookDesk, letter

TRIGGER = "Track in CRM"
BULK = 11  # mails from which on Gmail's labels are changed in one call
WITH_PARTS = (
    "From: Rosa Diaz <{who}>\r\nTo: {to}\r\nSubject: {title}\r\nMessage-ID: {key}\r\n"
    "Date: Mon, 21 Sep 2026 10:00:00 +0200\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nSee the plan.\r\n"
    '--b\r\nContent-Type: text/csv; name="plan.csv"\r\nContent-Disposition: attachment; filename="plan.csv"\r\n\r\n'
    "part,price\r\n--b--\r\n"
)


@dataclass(frozen=True)
class Mail:
    """A mail of a story: its id in the mailbox, its Message-ID and its subject."""

    id: str
    key: str
    title: str


@dataclass(frozen=True)
class Flow:
    """Mails of its own, told apart by a tag, `arrive`; then the user `put`s each to where it is filed from. Each ends
    with the marks `ends` among others, and the CRM has one `record` of it. `kinds`: what must be among the points, by a
    part of its name, or by the tables of a commit. `tidy(desk)` makes the mailbox again as it was before.
    `new`: it was never synchronised."""

    name: str
    user: str
    arrive: Callable[[Desk, str], list[Mail]]
    put: Callable[[Desk, Mail], None]
    ends: frozenset[str]
    kinds: frozenset[str]
    record: Literal["email", "task"] | None = "email"
    options: Mapping[str, object] = field(default_factory=dict)
    tidy: Callable[[Desk], None] = lambda desk: None
    new: bool = False
    aged: bool = False  # what is done to a mail within seconds of its arrival may count as its sender's doing

    def __str__(self) -> str:
        return self.name


def user(name: str) -> str:
    return f"{name}@northpeak.example"


COLLEAGUE = user("maria")


def arrive(desk: Desk, tag: str, number: int = 1, *, sender: str = "", parts: bool = False, sent: bool = False) -> Mail:
    """A mail from, or when `sent` to, somebody whom the CRM does not know: the same person in every mail of a tag."""
    stranger = sender or f"rosa.diaz@{tag}.example"
    who, to = (desk.address, stranger) if sent else (stranger, desk.address)
    title, key = f"Story {tag} {number}", f"<{tag}.{number}@story.example>"
    raw = WITH_PARTS.format(who=who, to=to, title=title, key=key).encode() if parts else letter(who, to, title, key)
    body = {"raw_base64": base64.b64encode(raw).decode(), "sent": sent}
    vendor = "microsoft" if isinstance(desk, OutlookDesk) else "google"
    told = desk.sandbox.act(vendor, "deliver", user=desk.address, **body)
    return Mail(str(told.get("immutableId") or told["id"]), key, title)


def three_of_two_strangers(desk: Desk, tag: str) -> list[Mail]:
    """Two are filed together, the third finds the person that the first has made."""
    first, second = f"rosa.diaz@{tag}.example", f"juan.diaz@two-{tag}.example"
    return [
        arrive(desk, tag, 1, sender=first),
        arrive(desk, tag, 2, sender=second, parts=True),
        arrive(desk, tag, 3, sender=first),
    ]


def one(desk: Desk, tag: str) -> list[Mail]:
    return [arrive(desk, tag)]


def one_sent(desk: Desk, tag: str) -> list[Mail]:
    return [arrive(desk, tag, sent=True)]


def one_of_a_colleague(desk: Desk, tag: str) -> list[Mail]:
    return [arrive(desk, tag, sender=COLLEAGUE)]


def many_of_a_colleague(desk: Desk, tag: str) -> list[Mail]:
    return [arrive(desk, tag, number, sender=COLLEAGUE) for number in range(BULK)]


def none(_desk: Desk, _tag: str) -> list[Mail]:
    return []


def drop(desk: Desk, mail: Mail) -> None:
    desk.drop(mail.id)


def label(desk: Desk, mail: Mail) -> None:
    desk.sandbox.act("google", "drop_message", user=desk.address, message=mail.id, label=TRIGGER)


def categorise(desk: Desk, mail: Mail) -> None:
    desk.sandbox.act("microsoft", "set_categories", user=desk.address, message=mail.id, add=[TRIGGER])


def copy(desk: Desk, mail: Mail) -> None:
    desk.sandbox.act("microsoft", "drop", user=desk.address, message=mail.id, to=DROP, copy=True)


def without_labels(desk: Desk) -> None:
    """No label that was made after the mailbox."""
    for name in ("Salesforce", TRIGGER, *ENDS):
        if name in desk.box()["labels"].values():
            desk.sandbox.act("google", "delete_label", user=desk.address, label=name)


def without_reason_labels(desk: Desk) -> None:
    for name in [name for name in desk.box()["labels"].values() if name.startswith(f"{MISSING}/")]:
        desk.sandbox.act("google", "delete_label", user=desk.address, label=name)


def without_folders(desk: Desk) -> None:
    for folder in [key for key, path in desk.box()["folders"].items() if path == "Salesforce"]:
        desk.sandbox.act("microsoft", "delete_folder", user=desk.address, folder=folder, forever=True)
    for name in desk.box()["categories"]:
        if name == TRIGGER or name.startswith(ENDS):
            desk.sandbox.act("microsoft", "delete_category", user=desk.address, name=name)


def without_reason_categories(desk: Desk) -> None:
    for name in desk.box()["categories"]:
        if name.startswith(f"{MISSING}:"):
            desk.sandbox.act("microsoft", "delete_category", user=desk.address, name=name)


ENDS = (DONE, MISSING, "Tracking Failed")
INTERNAL = f"{MISSING}/Internal only"
COMMITS = frozenset({"commit mailbox", "commit cursor+sighting", "commit filing+sighting", "commit sighting"})
FILED = COMMITS | {"oauth2/token", "/composite [", "/composite/graph ["}
GMAIL = frozenset({"/history", "/batch [GET", "/batch [POST"})
OUTLOOK = frozenset({"/v1.0/batch ["})

GMAIL_FLOWS = (
    Flow(
        "gmail drop",
        user("anna"),
        three_of_two_strangers,
        drop,
        frozenset({"INBOX", DONE}),
        FILED | GMAIL | {"commit creation"},
    ),
    Flow("gmail trigger label", user("anna"), one, label, frozenset({"INBOX", DONE}), FILED | {"/history"}),
    Flow("gmail sent mail", user("anna"), one_sent, drop, frozenset({"SENT", DONE}), FILED | {"/history"}),
    Flow(
        "gmail task",
        user("ben"),
        one_of_a_colleague,
        drop,
        frozenset({"INBOX", DONE}),
        FILED | {"/history"},
        record="task",
        options={"must_match": False},
    ),
    Flow(
        "gmail many without match",
        user("ben"),
        many_of_a_colleague,
        drop,
        frozenset({"INBOX", MISSING, INTERNAL}),
        COMMITS | {"/history", "/users/me/labels", "/batch [GET", "batchModify"},
        record=None,
        tidy=without_reason_labels,
    ),
    Flow(
        "gmail first sync",
        user("maria"),
        none,
        drop,
        frozenset(),
        frozenset({"POST /gmail/v1/users/me/labels", "commit label"}),
        record=None,
        tidy=without_labels,
        new=True,
    ),
)

OUTLOOK_FLOWS = (
    Flow(
        "outlook drop",
        user("erik"),
        three_of_two_strangers,
        drop,
        frozenset({"Inbox", DONE}),
        FILED | OUTLOOK | {"commit creation"},
    ),
    Flow("outlook copy", user("erik"), one, copy, frozenset({"Inbox", DONE}), FILED | OUTLOOK),
    Flow(
        "outlook trigger category",
        user("erik"),
        one,
        categorise,
        frozenset({"Inbox", DONE}),
        FILED | OUTLOOK,
        aged=True,
    ),
    Flow("outlook sent mail", user("erik"), one_sent, drop, frozenset({"Sent Items", DONE}), FILED | OUTLOOK),
    Flow(
        "outlook task",
        user("priya"),
        one_of_a_colleague,
        drop,
        frozenset({"Inbox", DONE}),
        FILED | OUTLOOK,
        record="task",
        options={"must_match": False},
    ),
    Flow(
        "outlook without match",
        user("priya"),
        one_of_a_colleague,
        drop,
        frozenset({"Inbox", MISSING, INTERNAL}),
        COMMITS | OUTLOOK | {"masterCategories"},
        record=None,
        tidy=without_reason_categories,
    ),
    Flow(
        "outlook first sync",
        user("tom"),
        none,
        drop,
        frozenset(),
        frozenset({"masterCategories", "childFolders", "commit label"}),
        record=None,
        tidy=without_folders,
        new=True,
    ),
)
