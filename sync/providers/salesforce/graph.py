"""A graph of Salesforce records for one entry: what every kind of entry needs (providers.md 5.1, 5.3).

A graph is all-or-none, so an entry is. `record.py` says which records an e-mail is; this module knows how a record
becomes a node: references, field lengths, fields that the user may not write, and what refusals have taught.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sync.model import Attachment, Entry, NewRecord, RecordRef
from sync.providers.salesforce.describe import Description
from sync.providers.salesforce.modules import Shape
from sync.providers.salesforce.values import clean, cut, object_of, one_line, size

MAX_NODES = 500
FILE_BYTES = 37_000_000  # of one file as base64 in JSON (providers.md 5.3)
GRAPH_FILE_BYTES = 37_000_000  # of all files of one graph; further ones go in calls of their own

# without these a record would be worthless, or would be written twice: a refusal is the entry's refusal
ESSENTIAL = frozenset(
    {
        ("EmailMessage", "MessageIdentifier"),
        ("EmailMessage", "Status"),
        ("EmailMessageRelation", "EmailMessageId"),
        ("EmailMessageRelation", "RelationId"),
        ("EmailMessageRelation", "RelationType"),
        ("Task", "Subject"),
        ("Task", "Description"),
        ("Contact", "LastName"),
        ("Contact", "Email"),
        ("Lead", "LastName"),
        ("Lead", "Email"),
        ("Lead", "Company"),
        ("Account", "Name"),
        ("ContentVersion", "VersionData"),
        ("ContentVersion", "PathOnClient"),
        ("ContentVersion", "FirstPublishLocationId"),
    }
)
NOT_PROVIDED = "[not provided]"  # Salesforce's own word for a company that nobody named


@dataclass(frozen=True, slots=True)
class Node:
    """One record of a graph. `ref` is its name in `Outcome.records`, "" when it has none; `record` the id of a record
    that is changed instead of created."""

    id: str
    sobject: str
    body: Mapping[str, Any]
    ref: str = ""
    kind: str = ""
    record: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)  # of fields, for people who read a refusal

    def request(self, root: str) -> dict[str, Any]:
        """The node as a sub-request."""
        place = f"{root}/sobjects/{self.sobject}"
        return {
            "method": "PATCH" if self.record else "POST",
            "url": f"{place}/{self.record}" if self.record else place,
            "referenceId": self.id,
            "body": dict(self.body),
        }


@dataclass(slots=True)
class Fixes:
    """What Salesforce's refusals have taught about one entry; the graph is built again with it. `dropped` may be
    shared: what one entry may not write, the others may not either."""

    adopted: dict[str, RecordRef] = field(default_factory=dict)  # "@" reference -> the record a duplicate rule found
    dropped: set[tuple[str, str]] = field(default_factory=set)  # (object, field) that may not be written
    blank: set[tuple[str, str]] = field(default_factory=set)  # (object, field) whose value is refused
    lengths: dict[tuple[str, str], int] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)  # ids of nodes
    fixed: bool = False  # the activity that is there may not be related to the target
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Graph:
    """`records` are those known before the call; `late` the files that need calls of their own, on `activity`."""

    entry: Entry
    nodes: tuple[Node, ...]
    records: Mapping[str, RecordRef]
    notes: tuple[str, ...]
    late: tuple[Attachment, ...] = ()

    @property
    def weight(self) -> int:
        """Bytes of the request, about: other scripts travel as \\u escapes."""
        texts = [value for node in self.nodes for value in node.body.values() if isinstance(value, str)]
        return sum(len(text) if text.isascii() else 6 * len(text) for text in texts) + 400 * len(self.nodes)


class Draft:
    """Collects the nodes of one entry."""

    def __init__(
        self, entry: Entry, description: Description, fixes: Fixes, shapes: Mapping[str, Shape] | None = None
    ) -> None:
        self.entry = entry
        self.description = description
        self.nodes: list[Node] = []
        self.records: dict[str, RecordRef] = dict(fixes.adopted)
        self.notes: list[str] = list(fixes.notes)
        self.late: list[Attachment] = []
        self._fixes = fixes
        self._shapes = shapes or {}
        self._names = {new.ref: f"r{number}" for number, new in enumerate(entry.create, 1)}
        if entry.item is not None:
            self._names[entry.item.ref] = "item"

    @property
    def fixed(self) -> bool:
        """The activity that is there may not be related to the target."""
        return self._fixes.fixed

    def add(self, node: str, sobject: str, values: Mapping[str, Any], *, ref: str = "", kind: str = "") -> bool:
        """Create a record; false when it was refused before and is left out."""
        if node in self._fixes.skipped:
            return False
        self.nodes.append(Node(node, sobject, self._body(sobject, values, "createable"), ref, kind))
        return True

    def item(self) -> None:
        """The new module item; its people are there already, or come before it."""
        item = self.entry.item
        if item is None:
            return
        shape = self._shapes[item.kind]
        module = shape.module
        values: dict[str, Any] = {**item.fields, "OwnerId": item.owner if "OwnerId" in module.fields else ""}
        for name, record in ((module.account, item.account), (module.contact, item.contact)):
            if record is not None and name and self.resolve(record).kind == record.kind:
                values.setdefault(name, self.link(record))
        body = self._body(module.name, values, "createable")
        labels = {name: spec.label for name, spec in module.fields.items()}
        self.nodes.append(Node("item", module.name, body, item.ref, module.kind, labels=labels))

    def change(self, node: str, record: RecordRef, values: Mapping[str, Any]) -> None:
        """Change a record."""
        sobject = object_of(record.kind)
        body = self._body(sobject, values, "updateable")
        if node not in self._fixes.skipped and body:
            self.nodes.append(Node(node, sobject, body, record=record.id))

    def resolve(self, record: RecordRef) -> RecordRef:
        """The record itself, where a duplicate rule found that the new one exists."""
        return self._fixes.adopted.get(record.id, record)

    def link(self, record: RecordRef) -> str:
        """What a reference field holds: an id, or the place of a record of the same graph."""
        found = self.resolve(record)
        return f"@{{{self._names[found.id]}.id}}" if found.id.startswith("@") else found.id

    def people(self) -> None:
        """The new accounts, contacts and leads; an account only if one of them still needs it."""
        new = [one for one in self.entry.create if one.ref not in self._fixes.adopted]
        item = self.entry.item
        needed = {one.account.id for one in (*new, item) if one is not None and one.account}
        for one in sorted(new, key=lambda item: item.kind != "account"):
            if one.kind == "account" and self._fixes.adopted and one.ref not in needed:
                continue
            self.add(self._names[one.ref], object_of(one.kind), self._new(one), ref=one.ref, kind=one.kind)

    def files(self, parent: str) -> None:
        """The attachments as files of the record `parent`."""
        room = GRAPH_FILE_BYTES
        for number, item in enumerate(self.entry.attachments, 1):
            if not item.content:
                self.notes.append(f"attachment {number} left out: it is empty")
            elif len(item.content) > FILE_BYTES:
                self.notes.append(f"attachment {number} left out: larger than {FILE_BYTES // 1_000_000} MB")
            elif len(item.content) > room:
                self.late.append(item)
                self.notes.append(f"attachment {number} in a call of its own: the files are large together")
            else:
                room -= len(item.content)
                self.add(f"file{number}", "ContentVersion", content_version(item, parent))

    def graph(self) -> Graph:
        return Graph(self.entry, tuple(self.nodes), self.records, tuple(dict.fromkeys(self.notes)), tuple(self.late))

    def _new(self, new: NewRecord) -> dict[str, Any]:
        fields = new.fields
        if new.kind == "account":
            out = {"Name": fields.get("name", ""), "Website": fields.get("website", "")}
        else:
            email = fields.get("email", "")
            last = fields.get("last_name") or fields.get("name") or email.partition("@")[0]
            out = {"FirstName": fields.get("first_name", ""), "LastName": last, "Email": email}
            if new.kind == "lead":
                out["Company"] = fields.get("company") or NOT_PROVIDED
                out["Website"] = fields.get("website", "")
            elif new.account is not None:
                out["AccountId"] = self.link(new.account)
        return {name: one_line(value) for name, value in {**out, "OwnerId": new.owner}.items()}

    def _body(
        self, sobject: str, values: Mapping[str, Any], flag: Literal["createable", "updateable"]
    ) -> dict[str, Any]:
        """The values that are there, that the user may write, cut to length."""
        known = self.description.objects.get(sobject)
        out: dict[str, Any] = {}
        for name, value in values.items():
            place = (sobject, name)
            if value in ("", None, []):
                continue
            if place in self._fixes.dropped or place in self._fixes.blank:
                self.notes.append(f"{sobject}.{name} left out: the CRM refused it")
                continue
            spec = known.fields.get(name) if known else None
            if known and place not in ESSENTIAL and (spec is None or not getattr(spec, flag)):
                self.notes.append(f"{sobject}.{name} left out: the user may not write it")
                continue
            length = self._fixes.lengths.get(place) or (spec.length if spec else 0)
            if isinstance(value, str) and not value.startswith("@{") and name != "VersionData":
                value = clean(value)
                if 0 < length < size(value):
                    if spec and spec.type in ("email", "url") and place not in ESSENTIAL:
                        self.notes.append(f"{sobject}.{name} left out: longer than {length} characters")
                        continue
                    self.notes.append(f"{sobject}.{name} cut to {length} characters")
                    value = cut(value, length)
            out[name] = value
        return out


def content_version(item: Attachment, parent: str) -> dict[str, Any]:
    """A file on the record `parent`."""
    name = one_line(item.name).replace("/", "_").replace("\\", "_") or "attachment"
    stem, _, extension = name.rpartition(".")
    short = f"{cut(stem, 200)}.{cut(extension, 20)}" if stem else cut(name, 220)
    return {
        "Title": cut(stem or name, 255),
        "PathOnClient": short,
        "VersionData": base64.b64encode(item.content).decode("ascii"),
        "FirstPublishLocationId": parent,
    }


def packs(graphs: Sequence[Graph], *, graphs_max: int, bytes_max: int) -> list[list[Graph]]:
    """The graphs in calls that Salesforce takes: 500 nodes, `graphs_max` graphs, `bytes_max` bytes; in order."""
    out: list[list[Graph]] = []
    nodes = weight = 0
    for graph in graphs:
        fits = out and len(out[-1]) < graphs_max and nodes + len(graph.nodes) <= MAX_NODES
        if not fits or weight + graph.weight > bytes_max:
            out.append([])
            nodes = weight = 0
        out[-1].append(graph)
        nodes += len(graph.nodes)
        weight += graph.weight
    return out
