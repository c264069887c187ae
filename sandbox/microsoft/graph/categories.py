"""outlook/masterCategories (`providers.md 2.3 GR-10`)."""

from __future__ import annotations

from typing import Any

from sandbox.microsoft.errors import bad_request, not_found
from sandbox.microsoft.graph import paging, shape
from sandbox.microsoft.graph.call import ONE, READ_SETTINGS, WRITE_SETTINGS, Call, Reply, operation
from sandbox.microsoft.graph.query import Query, read
from sandbox.microsoft.graph.types import read_body

Json = dict[str, Any]
BASE = "/users/*/outlook/masterCategories"


def _value(entry: Json, name: str) -> Any:
    return entry[name]


def _query(call: Call, allowed: set[str]) -> Query:
    return read(call.options, "outlookCategory", allowed, _value)


def _shown(entry: Json, query: Query) -> Json:
    return {k: v for k, v in entry.items() if k == "id" or query.select is None or k in query.select}


def _entry(call: Call) -> Json:
    found = call.box.categories.get(call.ids["category"])
    if found is None:
        raise not_found()
    return found


@operation("masterCategories.list", f"GET {BASE}", rights=READ_SETTINGS)
def list_categories(call: Call) -> Reply:
    """The whole list."""
    query = _query(call, {"$select", "$top", "$skip", "$count", "$format"})
    page, following = paging.cut(call, query, list(call.box.categories.values()), usual=1000)
    shown = [_shown(entry, query) for entry in page]
    return Reply(content=shape.collection(call, "outlook/masterCategories", shown, following=following))


@operation("masterCategories.get", f"GET {BASE}/{{category}}", rights=READ_SETTINGS)
def get_category(call: Call) -> Reply:
    """One, by id."""
    return Reply(content=_shown(_entry(call), _query(call, ONE)))


@operation("masterCategories.create", f"POST {BASE}", rights=WRITE_SETTINGS)
def create_category(call: Call) -> Reply:
    """A new name with its colour; 409 for a name that is there."""
    body = read_body("outlookCategory", call.json(), "c")
    if not body.get("displayName", "").strip():
        raise bad_request("The category's displayName is missing.", "ErrorInvalidRequest")
    return Reply(201, dict(call.box.add_category(body["displayName"], body.get("color", "none"))))


@operation("masterCategories.update", f"PATCH {BASE}/{{category}}", rights=WRITE_SETTINGS)
def update_category(call: Call) -> Reply:
    """Another colour; a name stays as it was made."""
    raw = call.json()
    entry, body = _entry(call), read_body("outlookCategory", raw, "p")
    if raw.get("displayName", entry["displayName"]) != entry["displayName"]:
        raise bad_request("The displayName of a category cannot be changed.", "ErrorInvalidPropertySet")
    entry.update(body)
    return Reply(content=dict(entry))


@operation("masterCategories.delete", f"DELETE {BASE}/{{category}}", rights=WRITE_SETTINGS)
def delete_category(call: Call) -> Reply:
    """Off the list; the messages that wear it keep it, without a colour."""
    del call.box.categories[_entry(call)["id"]]
    return Reply(204)
