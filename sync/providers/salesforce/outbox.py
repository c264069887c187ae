"""Writing graphs: calls that fit, and what to do with each refusal.

| refusal of a node | reaction |
|---|---|
| field not writable or unknown | leave the field out, note it, send again |
| value too long | cut, note it, send again |
| a duplicate rule found the record | use that record, build the graph anew, send again |
| relation to a mail that is there already not permitted | leave it out, note it, send again |
| an activity that is there already may not be related to the item | a task beside it, note it, send again |
| row locked, service busy | the entry's `Busy`; others are not affected |
| anything else | the entry's error |

Graphs that Salesforce halted because too many others failed (14 in a call) are sent again as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sync.errors import Busy, Conflict, Rejected, RemoteError
from sync.model import Entry, Outcome, RecordRef
from sync.providers.salesforce.auth import VENDOR
from sync.providers.salesforce.graph import ESSENTIAL, Fixes, Graph, Node, content_version, packs
from sync.providers.salesforce.http import Client, Fault, error_for, faults
from sync.providers.salesforce.values import kind_of, object_of

MAX_GRAPHS = 75
MAX_BYTES = 48_000_000  # the service takes 50 MB
MAX_TRIES = 4  # of one entry, each after a lesson
HALTED = "PROCESSING_HALTED"
WRITE_HEADERS = {
    # a person or company that a rule recognises is used, not doubled: no rule may be passed over (providers.md 5.4)
    "Sforce-Duplicate-Rule-Header": "allowSave=false; includeRecordDetails=false; runAsCurrentUser=true",
    "Sforce-Auto-Assign": "FALSE",
}
# what a duplicate rule finds -> for which new records it can stand
STANDS_FOR: Mapping[str, tuple[str, ...]] = {
    "account": ("account",),
    "contact": ("contact", "lead"),
    "lead": ("contact", "lead"),
}
_FIELD_CODES = frozenset({"INVALID_FIELD_FOR_INSERT_UPDATE", "INVALID_FIELD", "INVALID_FIELD_WITH_TYPE"})
_NO_COLUMN = re.compile(r"No such column '(\w+)'")
_MAX_LENGTH = re.compile(r"max length=(\d+)")


@dataclass(slots=True)
class _Job:
    entry: Entry
    fixes: Fixes
    tries: int = 0
    graph: Graph | None = None


class Outbox:
    """Writes entries for one client; `build` makes the graph of an entry. `refused` are the fields that the user turned
    out not to be allowed to write; what is learnt is added."""

    def __init__(
        self,
        client: Client,
        build: Callable[[Entry, Fixes], Graph],
        refused: set[tuple[str, str]] | None = None,
        before: Callable[[], None] | None = None,
    ) -> None:
        self._client = client
        self._build = build
        self._refused = refused if refused is not None else set()
        self._before = before
        self._done: dict[str, Outcome] = {}

    def send(self, entries: Sequence[Entry]) -> list[Outcome]:
        """One outcome per entry, in order. Raises what the first call raises; the error of a later call becomes the
        outcome of the entries that had none yet, so that nothing that is known gets lost."""
        self._done = {}
        jobs = {entry.key: _Job(entry, Fixes(dropped=self._refused)) for entry in entries}
        while open_jobs := [job for key, job in jobs.items() if key not in self._done]:
            try:
                self._round(open_jobs)
            except RemoteError as error:
                if not any(outcome.ok for outcome in self._done.values()):
                    raise
                for key in jobs:
                    self._done.setdefault(key, Outcome(key, error))
        return [self._done[entry.key] for entry in entries]

    def _round(self, jobs: Sequence[_Job]) -> None:
        to_send: list[Graph] = []
        owners: dict[str, _Job] = {}
        for job in jobs:
            job.graph = self._build(job.entry, job.fixes)
            owners[job.entry.key] = job
            if job.graph.nodes:
                to_send.append(job.graph)
            else:
                self._done[job.entry.key] = Outcome(job.entry.key, None, job.graph.records, job.graph.notes)
        for pack in packs(to_send, graphs_max=MAX_GRAPHS, bytes_max=MAX_BYTES):
            self._apart(pack, owners)

    def _apart(self, pack: Sequence[Graph], owners: Mapping[str, _Job]) -> None:
        """A call that is refused as such is halved until it is clear whose fault it is."""
        try:
            self._call(pack, owners)
        except (Rejected, Conflict) as error:
            if len(pack) == 1:
                self._done[pack[0].entry.key] = Outcome(pack[0].entry.key, error, {}, pack[0].notes)
                return
            middle = len(pack) // 2
            self._apart(pack[:middle], owners)
            self._apart(pack[middle:], owners)

    def _call(self, pack: Sequence[Graph], owners: Mapping[str, _Job]) -> None:
        body = {
            "graphs": [
                {"graphId": f"g{number}", "compositeRequest": [node.request(self._client.root) for node in graph.nodes]}
                for number, graph in enumerate(pack)
            ]
        }
        answer = self._write("graph", "composite/graph", body)
        found = {item["graphId"]: item for item in answer.get("graphs", ())}
        progress = False
        for number, graph in enumerate(pack):
            item = found.get(f"g{number}")
            if item is None:
                raise Busy("an incomplete answer", unknown=True, vendor=VENDOR, operation="graph")
            progress |= self._settle(graph, item, owners[graph.entry.key])
        if not progress:
            raise Busy("every graph was halted", retry_after=30.0, vendor=VENDOR, operation="graph")

    def _settle(self, graph: Graph, item: Mapping[str, Any], job: _Job) -> bool:
        """Take note of one graph's answer; false when it was halted because of others."""
        key = graph.entry.key
        parts = {part["referenceId"]: part for part in item["graphResponse"]["compositeResponse"]}
        if item["isSuccessful"]:
            self._done[key] = self._success(graph, parts)
            return True
        refused = [
            (node, fault)
            for node in graph.nodes
            for fault in faults((parts.get(node.id) or {}).get("body"))
            if fault.code != HALTED
        ]
        if not refused:
            return False
        job.tries += 1
        for node, fault in refused:
            if job.tries >= MAX_TRIES or not learn(job.entry, node, fault, job.fixes):
                fault = replace(fault, fields=tuple(node.labels.get(name, name) for name in fault.fields))
                self._done[key] = Outcome(key, error_for(fault, f"create {node.sobject}"), {}, graph.notes)
                break
        return True

    def _success(self, graph: Graph, parts: Mapping[str, Any]) -> Outcome:
        records = dict(graph.records)
        for node in graph.nodes:
            if node.ref:
                records[node.ref] = RecordRef(node.kind, parts[node.id]["body"]["id"])
        records = {ref: records.get(one.id, one) for ref, one in records.items()}
        notes = list(graph.notes)
        for number, item in enumerate(graph.late, 1):
            body = content_version(item, records["activity"].id)
            try:
                self._write("file", "sobjects/ContentVersion", body)
            except RemoteError as error:  # the mail is filed; its outcome must not be lost for a file
                notes.append(f"a large attachment ({number}) left out: {error.detail}")
        return Outcome(graph.entry.key, None, records, tuple(notes))

    def _write(self, operation: str, path: str, body: Mapping[str, Any]) -> Any:
        return self._client.call(operation, path, body, write=True, headers=WRITE_HEADERS, before=self._before)


def learn(entry: Entry, node: Node, fault: Fault, fixes: Fixes) -> bool:
    """Change `fixes` so that the refusal cannot come again; false when nothing helps."""
    if fault.code in _FIELD_CODES:
        return _drop(node, fault.fields or tuple(_NO_COLUMN.findall(fault.message)), fixes.dropped)
    if fault.code == "INVALID_EMAIL_ADDRESS" and node.sobject in ("EmailMessage", "EmailMessageRelation"):
        return _drop(node, fault.fields or ("FromAddress", "RelationAddress"), fixes.blank)
    if fault.code == "STRING_TOO_LONG":
        return _shorten(node, fault, fixes)
    if fault.code == "DUPLICATES_DETECTED" and node.ref.startswith("@"):
        return _adopt(node, fault, fixes)
    refused = fault.code.startswith(("INSUFFICIENT_ACCESS", "CANNOT_UPDATE"))
    if node.id == "target" and refused and not fixes.fixed:
        fixes.fixed = True
        fixes.notes.append("the mail's record may not be changed: a task beside it is related to the item")
        return True
    late = entry.existing is not None and node.sobject in ("EmailMessageRelation", object_of("email"))
    if late and refused and node.id not in fixes.skipped:
        fixes.skipped.add(node.id)
        fixes.notes.append("not related: the user may not change a mail that is filed already")
        return True
    return False


def _drop(node: Node, names: Sequence[str], places: set[tuple[str, str]]) -> bool:
    found = {(node.sobject, name) for name in names if name in node.body}
    if not found or found & ESSENTIAL:
        return False
    places |= found
    return True


def _adopt(node: Node, fault: Fault, fixes: Fixes) -> bool:
    """A rule may compare contacts with leads, but an account must stay an account."""
    fitting = [one for one in fault.matches if kind_of(one) in STANDS_FOR.get(node.kind, ())]
    if not fitting:
        return False
    fixes.adopted[node.ref] = RecordRef(kind_of(fitting[0]), fitting[0])
    others = f", one of {len(fitting)}" if len(fitting) > 1 else ""
    fixes.notes.append(f"{node.sobject} not created: a duplicate rule found {fitting[0]}{others}")
    return True


def _shorten(node: Node, fault: Fault, fixes: Fixes) -> bool:
    """The message quotes the value, so only its length is read."""
    length = _MAX_LENGTH.search(fault.message)
    places = [(node.sobject, name) for name in fault.fields if name in node.body]
    if not length or not places or any(fixes.lengths.get(place) == int(length[1]) for place in places):
        return False
    fixes.lengths.update(dict.fromkeys(places, int(length[1])))
    return True
