"""Labels: the resource, its rules (`providers.md 1.3 GM-6 GM-7 GM-8`) and the operations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sandbox.google.call import Call, operation
from sandbox.google.discovery import document
from sandbox.google.errors import GoogleError, invalid, not_found

if TYPE_CHECKING:
    from sandbox.google.gmail.mailbox import Mailbox

Json = dict[str, Any]
CATEGORIES = tuple(f"CATEGORY_{name}" for name in ("PERSONAL", "SOCIAL", "PROMOTIONS", "UPDATES", "FORUMS"))
SYSTEM = ("CHAT", "SENT", "INBOX", "IMPORTANT", "TRASH", "DRAFT", "SPAM", *CATEGORIES, "STARRED", "UNREAD")
HIDDEN = frozenset({"CHAT", "IMPORTANT", "TRASH", "SPAM", *CATEGORIES})
FIXED = frozenset({"SENT", "DRAFT", "CHAT"})  # nobody may set or take these off
RESERVED = frozenset(
    {
        "inbox",
        "sent",
        "sent mail",
        "sent messages",
        "draft",
        "drafts",
        "trash",
        "bin",
        "spam",
        "junk",
        "unread",
        "read",
        "starred",
        "important",
        "chat",
        "chats",
        "all mail",
        "all",
        "muted",
        "snoozed",
        "scheduled",
        "voicemail",
        "outbox",
        "deleted",
        "archive",
        "*",
    }
)
NAME_LIMIT = 225
CHANGE_LIMIT = 100  # labels in one direction of one modify


@dataclass(slots=True)
class Label:
    """One label. `kind` is "system" or "user"."""

    id: str
    name: str
    kind: str
    messages_shown: str = "show"
    list_shown: str = "labelShow"
    color: Json | None = None

    def resource(self) -> Json:
        """As labels.list shows it, without counts."""
        out: Json = {"id": self.id, "name": self.name}
        if self.kind == "user" or self.id in HIDDEN:
            hidden = self.id in HIDDEN
            out["messageListVisibility"] = "hide" if hidden else self.messages_shown
            out["labelListVisibility"] = "labelHide" if hidden else self.list_shown
        out["type"] = self.kind
        if self.color:
            out["color"] = dict(self.color)
        return out


@cache
def palette() -> frozenset[str]:
    """The colours that Gmail allows, read from the discovery document."""
    text = document("gmail.v1")["schemas"]["LabelColor"]["properties"]["backgroundColor"]["description"]
    return frozenset(re.findall(r"#[0-9a-f]{6}\b", text.split("allowed:")[1]))


def clean_name(name: str) -> str:
    """Blanks normalised; GoogleError for a name that Gmail refuses."""
    plain = re.sub(r"\s+", " ", name).strip()
    plain = "/".join(step.strip() for step in plain.split("/"))
    top = plain.split("/")[0].lower()
    if not plain or len(plain) > NAME_LIMIT or any(not step for step in plain.split("/")):
        raise invalid("Invalid label name")
    if (
        plain.lower() in RESERVED
        or plain.upper() in SYSTEM
        or plain.startswith("^")
        or top in ("inbox", "sent", "drafts")
    ):
        raise invalid("Invalid label name")
    return plain


def _check_color(color: Json) -> Json:
    if set(color) != {"backgroundColor", "textColor"}:
        raise invalid("Both backgroundColor and textColor are required to set the color of a label.")
    for value in color.values():
        if value.lower() not in palette():
            raise invalid(f"Label color {value} is not on the allowed color palette")
    return {name: value.lower() for name, value in color.items()}


def _check_free(box: Mailbox, name: str, own: str = "") -> None:
    if any(label.name.lower() == name.lower() and label.id != own for label in box.labels.values()):
        raise GoogleError(409, "Label name exists or conflicts")


def create_label(box: Mailbox, body: Json, limit: int = 10_000) -> Label:
    """A new user label; GoogleError when Gmail refuses it."""
    name = clean_name(body.get("name", ""))
    _check_free(box, name)
    if sum(label.kind == "user" for label in box.labels.values()) >= limit:
        raise invalid("Too many labels")
    color = _check_color(body["color"]) if body.get("color") else None
    label = Label(
        box.next_label_id(),
        name,
        "user",
        body.get("messageListVisibility", "show"),
        body.get("labelListVisibility", "labelShow"),
        color,
    )
    box.add_label(label)
    return label


def change_label(box: Mailbox, label: Label, body: Json) -> None:
    """Patch a label; renaming a parent leaves its children alone."""
    if label.kind == "system":
        raise invalid("Invalid update request: system labels cannot be changed")
    if body.get("id", label.id) != label.id:
        raise invalid("Invalid label id")
    name = clean_name(body["name"]) if "name" in body else label.name
    _check_free(box, name, label.id)
    color = _check_color(body["color"]) if body.get("color") else label.color
    label.name, label.color = name, color
    label.messages_shown = body.get("messageListVisibility", label.messages_shown)
    label.list_shown = body.get("labelListVisibility", label.list_shown)
    box.history.next()


def check_change(box: Mailbox, body: Json) -> tuple[list[str], list[str]]:
    """Labels to add and to remove of a modify request; GoogleError for what Gmail refuses."""
    add, remove = body.get("addLabelIds", []), body.get("removeLabelIds", [])
    if not add and not remove:
        raise invalid("No label add or removes specified")
    if len(add) > CHANGE_LIMIT or len(remove) > CHANGE_LIMIT:
        raise invalid(f"Too many labels: at most {CHANGE_LIMIT} may be added or removed")
    for name in (*add, *remove):
        check_known(box, name)
        if name in FIXED:
            raise invalid(f"Invalid label: {name}")
    if set(add) & set(remove):
        raise invalid("Cannot both add and remove the same label")
    return add, remove


def check_known(box: Mailbox, name: str) -> None:
    """GoogleError unless the mailbox has a label of this id."""
    if name not in box.labels:
        raise invalid("labelId not found" if name.startswith("Label_") else f"Invalid label: {name}")


def _find(call: Call) -> Label:
    label = call.account.mailbox.labels.get(call.params["id"])
    if label is None:
        raise not_found()
    return label


@operation("gmail.users.labels.list")
def list_labels(call: Call) -> Json:
    """All labels, no paging, no counts."""
    return {"labels": [label.resource() for label in call.account.mailbox.labels.values()]}


@operation("gmail.users.labels.get")
def get_label(call: Call) -> Json:
    """One label with its counts."""
    label, box = _find(call), call.account.mailbox
    worn = box.with_label(label.id)
    unread = [stored for stored in worn if "UNREAD" in stored.labels]
    return label.resource() | {
        "messagesTotal": len(worn),
        "messagesUnread": len(unread),
        "threadsTotal": len({s.thread_id for s in worn}),
        "threadsUnread": len({s.thread_id for s in unread}),
    }


@operation("gmail.users.labels.create")
def create(call: Call) -> Json:
    """A new label; the answer has no `type`."""
    label = create_label(call.account.mailbox, call.body, call.google.frame.settings["gmail_label_limit"])
    return {name: value for name, value in label.resource().items() if name != "type"}


@operation("gmail.users.labels.patch")
def patch(call: Call) -> Json:
    """Change what the body names."""
    label = _find(call)
    change_label(call.account.mailbox, label, call.body)
    return label.resource()


@operation("gmail.users.labels.update")
def update(call: Call) -> Json:
    """Replace: the name is required, what is missing falls back to its default."""
    label = _find(call)
    if not call.body.get("name"):
        raise invalid("Invalid label name")
    change_label(
        call.account.mailbox, label, {"messageListVisibility": "show", "labelListVisibility": "labelShow", **call.body}
    )
    if "color" not in call.body:
        label.color = None
    return label.resource()


@operation("gmail.users.labels.delete")
def delete(call: Call) -> None:
    """The label goes, its messages stay."""
    label = _find(call)
    if label.kind == "system":
        raise invalid("Invalid delete request")
    call.account.mailbox.drop_label(label)
