"""Delta queries: per folder for messages, per mailbox for folders (`providers.md 2.5 GR-3 to GR-7`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sandbox.microsoft.errors import GraphError, bad_request
from sandbox.microsoft.graph import paging, reading, shape
from sandbox.microsoft.graph.call import READ_MAIL, Call, Reply, operation
from sandbox.microsoft.graph.query import Query, read
from sandbox.microsoft.graph.query import split_options as split

if TYPE_CHECKING:
    from sandbox.microsoft.graph.items import Folder
    from sandbox.microsoft.graph.mailbox import Mailbox
    from sandbox.microsoft.vendor import Microsoft

Json = dict[str, Any]
USUAL = 10
FILTERED_MOST = 5000
TAKEN = {"$select", "$filter", "$orderby", "$top", "$expand", "changeType"}
KINDS = ("created", "updated", "deleted")
Entry = tuple[str, Any, str]  # created, updated or deleted; item or folder; its id to tell when it is gone


@dataclass(frozen=True, slots=True)
class Round:
    """What a link stands for: since which version changes are told, and what of the round is still to be told."""

    mailbox: str
    path: str
    options: dict[str, str]
    epoch: int
    since: int  # 0 in the first round
    until: int  # the mailbox's version when the round began
    before: int = 0  # since which version the last round told
    rest: tuple[Entry, ...] = ()
    first: bool = False
    empty: bool = False  # the next page is to be an empty one
    immutable: bool = False


class Deltas:
    """Links by their tokens: opaque, random, good only verbatim (`providers.md SIM-6`)."""

    def __init__(self, microsoft: Microsoft) -> None:
        self._microsoft = microsoft
        settings = microsoft.frame.settings
        settings.define("graph_delta_empty_pages", True, "whether a round of several pages has an empty one in it")
        settings.define("graph_delta_replay", False, "whether each round tells the last one's changes again")
        settings.define("graph_delta_error", "SyncStateNotFound", "error of an expired delta link; not that: a 400")
        self.clear()

    def clear(self) -> None:
        """Forget every link."""
        self._rounds: dict[str, Round] = {}

    def link(self, call: Call, kind: str, state: Round) -> str:
        """An absolute link with a new token."""
        token = self._microsoft.token(90)
        self._rounds[token] = state
        return call.link(f"${kind}={token}")

    def find(self, call: Call, box: Mailbox) -> Round | None:
        """The state of the call's token, None for a first request; GraphError for one that is not good (any more)."""
        token = call.options.get("$deltatoken") or call.options.get("$skiptoken")
        if token is None:
            return None
        if len(call.options) > 1:
            raise bad_request("Query options are given with the first request of a delta query only.",
                              "ErrorInvalidUrlQuery")  # fmt: skip
        state = self._rounds.get(token)
        if state is None or (state.mailbox, state.path) != (box.address, _plain(call.request.path)):
            raise bad_request("Badly formed token.", "BadRequest")
        if state.epoch != box.epoch:
            raise self._expired(call, state)
        return state

    def _expired(self, call: Call, state: Round) -> GraphError:
        code = self._microsoft.frame.settings["graph_delta_error"]
        text = "The sync state generation is not found; generation=149;[highest=157][157][155][156]."
        if code != "SyncStateNotFound":
            return GraphError(400, code, "The sync state is invalid: start again without a token.")
        options = "&".join(f"{k}={v}" for k, v in state.options.items())
        return GraphError(410, code, text, headers={"Location": call.link(options).rstrip("?")})


def _plain(path: str) -> str:
    return path.lower().replace("microsoft.graph.delta", "delta").removesuffix("()")


def _start(call: Call, entries: list[Entry]) -> Round:
    return Round(call.box.address, _plain(call.request.path), split(call.request.query), call.box.epoch, 0,
                 call.box.version, rest=tuple(entries), first=True, immutable=call.immutable)  # fmt: skip


def _since(call: Call, state: Round) -> int:
    """Since which version a new round tells changes."""
    return state.before if call.microsoft.frame.settings["graph_delta_replay"] else state.since


def _go_on(call: Call, state: Round, entries: list[Entry]) -> Round:
    """A new round after the one whose deltaLink was followed."""
    return replace(state, until=call.box.version, rest=tuple(entries), first=False, empty=False)


def _page_size(call: Call, query: Query) -> int:
    asked = call.prefer("odata.maxpagesize")
    if asked.isdigit() and int(asked) > 0:
        call.honour(f"odata.maxpagesize={asked}")
        return paging.size(call, min(int(asked), 1000))
    return paging.size(call, query.top, USUAL)


def _answer(call: Call, state: Round, query: Query, kind: str, show: Any) -> Reply:
    """One page. A first round always goes on with nextLink; its last page has nothing but the deltaLink."""
    size = 0 if state.empty else _page_size(call, query)
    page, rest = state.rest[:size], state.rest[size:]
    out = shape.collection(call, kind, [show(entry) for entry in page])
    if rest or (state.first and page):
        empty = not state.empty and bool(rest) and bool(call.microsoft.frame.settings["graph_delta_empty_pages"])
        following = replace(state, rest=rest, empty=empty)
        out["@odata.nextLink"] = call.microsoft.deltas.link(call, "skiptoken", following)
    else:
        following = replace(state, since=state.until, before=state.since or state.until, rest=(), first=False)
        out["@odata.deltaLink"] = call.microsoft.deltas.link(call, "deltatoken", following)
    call.honour("odata.track-changes")
    return Reply(content=out)


# ---- messages of a folder -------------------------------------------------------------------------------


def _judge(query: Query) -> None:
    """$filter by receivedDateTime ge or gt only, $orderby the same descending (`GR-5`)."""
    if query.filter is not None:
        names, operators = set(query.filter.names), {text for _, text in query.filter.tokens}
        if names != {"receivedDateTime"} or query.filter.alternatives or not operators & {"ge", "gt"}:
            raise bad_request("The filter is not supported by change tracking: receivedDateTime ge or gt only.",
                              "ErrorInvalidUrlQueryFilter")  # fmt: skip
    if query.order not in ([], [("receivedDateTime", True)]):
        raise bad_request("The order is not supported by change tracking: receivedDateTime desc only.",
                          "ErrorInvalidUrlQuery")  # fmt: skip


def _everything(folder: Folder, query: Query) -> list[Entry]:
    items = [i for i in folder.items.values() if query.matches is None or query.matches(i)]
    items.sort(key=lambda i: (i.received, i.serial), reverse=True)
    return [("created", item, "") for item in (items[:FILTERED_MOST] if query.matches is not None else items)]


def _changes(folder: Folder, since: int, immutable: bool, query: Query) -> list[Entry]:
    out: list[Entry] = [
        ("created" if item.entered > since else "updated", item, "")
        for item in sorted(folder.items.values(), key=lambda i: i.version)
        if item.version > since and (query.matches is None or query.matches(item))
    ]
    gone: dict[str, Entry] = {}
    for version, item, mutable in folder.gone:
        back = item.serial in folder.items and folder.items[item.serial] is item
        if version > since and not (back and immutable):
            ident = item.immutable if immutable else mutable
            gone[ident] = ("deleted", item, ident)
    return out + list(gone.values())


@operation("messages.delta", "GET /users/*/mailFolders/{folder}/messages/delta", rights=READ_MAIL)
def messages_delta(call: Call) -> Reply:
    """What changed in a folder; an item that moved out is gone like one that was deleted (`GR-6`)."""
    folder, state = call.box.folder(call.ids["folder"]), call.microsoft.deltas.find(call, call.box)
    options = call.options if state is None else state.options
    query = read(options, "message", TAKEN, reading.value)
    _judge(query)
    wanted = options.get("changetype", "")
    if wanted and wanted not in KINDS:
        raise bad_request(f"The changeType '{wanted}' is not valid.", "ErrorInvalidUrlQuery")
    if state is None:
        state = _start(call, _everything(folder, query))
    elif "$deltatoken" in call.options:
        entries = _changes(folder, _since(call, state), call.immutable or state.immutable, query)
        state = _go_on(call, state, [entry for entry in entries if wanted in ("", entry[0])])

    def show(entry: Entry) -> Json:
        kind, item, ident = entry
        if kind == "deleted" or item.folder is not folder or item.immutable not in call.box.items:
            lost = ident or shape.item_id(call, item)
            return {"@odata.type": "#microsoft.graph.message", "id": lost, "@removed": {"reason": "deleted"}}
        return shape.message(call, item, query, context=False)

    return _answer(call, state, query, "messages", show)


# ---- folders ---------------------------------------------------------------------------------------------


@operation("mailFolders.delta", "GET /users/*/mailFolders/delta", rights=READ_MAIL)
def folders_delta(call: Call) -> Reply:
    """All folders of the mailbox, flat; a folder whose counts changed has changed."""
    box, state = call.box, call.microsoft.deltas.find(call, call.box)
    options = call.options if state is None else state.options
    query = read(options, "mailFolder", {"$select", "$top", "$expand"}, shape.folder_value)
    visible = [f for f in box.visible_folders() if not f.hidden]
    if state is None:
        state = _start(call, [("created", f, "") for f in visible])
    elif "$deltatoken" in call.options:
        since = _since(call, state)
        entries: list[Entry] = [("updated", f, "") for f in visible if f.version > since]
        entries += [("deleted", None, ident) for version, ident in box.gone_folders if version > since]
        state = _go_on(call, state, entries)

    def show(entry: Entry) -> Json:
        kind, found, ident = entry
        if kind == "deleted" or found.id not in box.folders:
            return {
                "@odata.type": "#microsoft.graph.mailFolder",
                "id": ident or found.id,
                "@removed": {"reason": "deleted"},
            }
        return shape.folder(call, found, query, context=False)

    return _answer(call, state, query, "mailFolders", show)
