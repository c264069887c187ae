"""mailFolders (`providers.md 2.3 GR-17`)."""

from __future__ import annotations

from typing import Any

from sandbox.microsoft.errors import bad_request
from sandbox.microsoft.graph import extended, paging, shape
from sandbox.microsoft.graph.call import LIST, ONE, READ_MAIL, WRITE_MAIL, Call, Reply, operation
from sandbox.microsoft.graph.items import Folder
from sandbox.microsoft.graph.query import Query, read
from sandbox.microsoft.graph.types import read_body

Json = dict[str, Any]
HIDDEN = "includeHiddenFolders"


def query_of(call: Call, allowed: set[str]) -> Query:
    """Options about folders."""
    return read(call.options, "mailFolder", allowed, shape.folder_value)


@operation("mailFolders.list", "GET /users/*/mailFolders", "GET /users/*/mailFolders/{folder}/childFolders",
           rights=READ_MAIL, options=LIST)  # fmt: skip
def list_folders(call: Call) -> Reply:
    """Direct children; hidden ones on request."""
    query = query_of(call, LIST | {HIDDEN})
    parent = call.box.folder(call.ids["folder"]) if "folder" in call.ids else call.box.root
    hidden = call.options.get(HIDDEN.lower(), "").lower() == "true"
    children = [f for f in parent.children.values() if hidden or not f.hidden]
    found = paging.arrange(query, children, shape.folder_value)
    page, following = paging.cut(call, query, found)
    values = [shape.folder(call, f, query, context=False) for f in page]
    count = len(found) if query.count else None
    return Reply(content=shape.collection(call, "mailFolders", values, following=following, count=count))


@operation("mailFolders.get", "GET /users/*/mailFolders/{folder}", rights=READ_MAIL)
def get_folder(call: Call) -> Reply:
    """One, by id or well-known name."""
    query = query_of(call, ONE | {HIDDEN})
    return Reply(content=shape.folder(call, call.box.folder(call.ids["folder"]), query))


@operation("mailFolders.create", "POST /users/*/mailFolders", "POST /users/*/mailFolders/{folder}/childFolders",
           rights=WRITE_MAIL)  # fmt: skip
def create_folder(call: Call) -> Reply:
    """A new folder below the root or below another."""
    body = read_body("mailFolder", call.json(), "c")
    if "displayName" not in body:
        raise bad_request("The folder's displayName is missing.", "ErrorInvalidRequest")
    properties = extended.read_properties(body.get("singleValueExtendedProperties", []))
    parent = call.box.folder(call.ids["folder"]) if "folder" in call.ids else call.box.root
    found = call.box.create_folder(parent, body["displayName"], hidden=body.get("isHidden", False))
    extended.write(found, properties)
    return Reply(201, shape.folder(call, found))


@operation("mailFolders.update", "PATCH /users/*/mailFolders/{folder}", rights=WRITE_MAIL)
def update_folder(call: Call) -> Reply:
    """Another name; more extended properties."""
    body = read_body("mailFolder", call.json(), "p")
    found = call.box.folder(call.ids["folder"])
    properties = extended.read_properties(body.get("singleValueExtendedProperties", []))
    if "displayName" in body and body["displayName"] != found.name:
        call.box.rename_folder(found, body["displayName"])
    if properties:
        extended.write(found, properties)
        found.version = call.box.tick()
    return Reply(content=shape.folder(call, found))


@operation("mailFolders.permanentDelete", "POST /users/*/mailFolders/{folder}/permanentDelete", rights=WRITE_MAIL)
def purge_folder(call: Call) -> Reply:
    """Gone with all that is in it."""
    call.box.delete_folder(call.box.folder(call.ids["folder"]))
    return Reply(204)


@operation("mailFolders.delete", "DELETE /users/*/mailFolders/{folder}", rights=WRITE_MAIL)
def delete_folder(call: Call) -> Reply:
    """To Deleted Items with all that is in it, as in Outlook (setting `graph_delete_folder_to`); from there, gone."""
    found, target = call.box.folder(call.ids["folder"]), call.microsoft.frame.settings["graph_delete_folder_to"]
    if target:
        call.box.bin_folder(found)
    else:
        call.box.delete_folder(found)
    return Reply(204)


def destination(call: Call) -> Folder:
    """The folder that `destinationId` names; members are spelled in either way."""
    body = call.json()
    members = {k.lower(): v for k, v in body.items()} if isinstance(body, dict) else {}
    unknown = set(members) - {"destinationid"}
    if unknown or not isinstance(members.get("destinationid"), str):
        raise bad_request(
            "The parameter 'DestinationId' is missing, or there are others that the action does not have."
        )
    return call.box.folder(members["destinationid"])


@operation("mailFolders.move", "POST /users/*/mailFolders/{folder}/move", rights=WRITE_MAIL)
def move_folder(call: Call) -> Reply:
    """Below another folder; its id stays (`providers.md 2.2`)."""
    found = call.box.folder(call.ids["folder"])
    call.box.move_folder(found, destination(call))
    return Reply(201, shape.folder(call, found))


@operation("mailFolders.copy", "POST /users/*/mailFolders/{folder}/copy", rights=WRITE_MAIL)
def copy_folder(call: Call) -> Reply:
    """With all that is in it, below another folder."""
    source, target = call.box.folder(call.ids["folder"]), destination(call)
    if target.within(source):
        raise bad_request("The move or copy operation failed.", "ErrorMoveCopyFailed")
    return Reply(201, shape.folder(call, _copied(call, source, target)))


def _copied(call: Call, source: Folder, parent: Folder) -> Folder:
    found = call.box.create_folder(parent, source.name, hidden=source.hidden)
    for item in list(source.items.values()):
        call.box.copy(item, found)
    for child in list(source.children.values()):
        _copied(call, child, found)
    return found
