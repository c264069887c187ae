"""users.settings.filters, and what they do to arriving mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.google.call import Call, operation
from sandbox.google.errors import GoogleError, failed_precondition, invalid, not_found, unimplemented
from sandbox.google.gmail.labels import check_known
from sandbox.google.gmail.search import Query

if TYPE_CHECKING:
    from sandbox.google.gmail.mailbox import Mailbox, Stored

Json = dict[str, Any]
LIMIT = 1000
WORDS = {"from": "from:({})", "to": "to:({})", "subject": "subject:({})", "query": "({})", "negatedQuery": "-({})"}


def create_filter(box: Mailbox, body: Json, ident: str) -> Json:
    """Check and keep a filter; GoogleError for what Gmail refuses."""
    criteria, action = body.get("criteria", {}), body.get("action", {})
    if not criteria or not any(value for value in criteria.values()):
        raise invalid("Filter criteria can not be empty")
    if action.get("forward"):
        raise unimplemented("filters that forward")
    added, removed = action.get("addLabelIds", []), action.get("removeLabelIds", [])
    if not added and not removed:
        raise invalid("Filter action can not be empty")
    for name in (*added, *removed):
        check_known(box, name)
    if len([name for name in added if box.labels[name].kind == "user"]) > 1:
        raise invalid("Filters may add at most one user label")
    if any(old["criteria"] == criteria and old["action"] == action for old in box.filters.values()):
        raise failed_precondition("Filter already exists")
    if len(box.filters) >= LIMIT:
        raise GoogleError(400, "Too many filters", reason="failedPrecondition", code="FAILED_PRECONDITION")
    box.filters[ident] = {"id": ident, "criteria": criteria, "action": action}
    return box.filters[ident]


def meets(box: Mailbox, stored: Stored, criteria: Json) -> bool:
    """Whether a message meets all criteria."""
    for name, pattern in WORDS.items():
        if criteria.get(name) and not Query(pattern.format(criteria[name]), box)(stored):
            return False
    if criteria.get("hasAttachment") and not stored.mail.files:
        return False
    if criteria.get("size"):
        larger = len(stored.mail.raw) > criteria["size"]
        return larger is (criteria.get("sizeComparison") != "smaller")
    return True


def apply_filters(box: Mailbox, stored: Stored) -> set[str]:
    """The labels that an arriving message has after all filters; it is not yet in the history."""
    labels = set(stored.labels)
    for rule in box.filters.values():
        if meets(box, stored, rule["criteria"]):
            labels |= set(rule["action"].get("addLabelIds", []))
            labels -= set(rule["action"].get("removeLabelIds", []))
    return labels & set(box.labels)


def _find(call: Call) -> Json:
    found = call.account.mailbox.filters.get(call.params["id"])
    if found is None:
        raise not_found()
    return found


@operation("gmail.users.settings.filters.create")
def create(call: Call) -> Json:
    """A new filter."""
    return create_filter(call.account.mailbox, call.body, "ANe1Bm" + call.google.token(20))


@operation("gmail.users.settings.filters.list")
def list_filters(call: Call) -> Json:
    """All filters."""
    found = list(call.account.mailbox.filters.values())
    return {"filter": found} if found else {}


@operation("gmail.users.settings.filters.get")
def get(call: Call) -> Json:
    """One filter."""
    return _find(call)


@operation("gmail.users.settings.filters.delete")
def delete(call: Call) -> None:
    """Gone; labels that it has set stay."""
    del call.account.mailbox.filters[_find(call)["id"]]
