"""The objects of the org: one table per sObject beside this file, plus what an org adds.

First line of a table: name, key prefix, name field, operations (C create, U update, D delete,
Q query) | label | plural. Then a line per field: name, type and size, marks, extras.

Marks: C createable, U updateable, F filterable, G groupable, S sortable, N nillable, D defaulted
on create, I usable for look-up (upsert), R restricted picklist, A autonumber, ! required on
create, X external id, Q unique. Extras: ``>Targets Relationship <ChildRelationship`` of a
reference, ``=a|*b`` the values of a picklist (* marks the default).

Names, flags, lengths and targets are Salesforce's published facts; picklist values are those of a
new org. Fields of features that this org does not have are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

LINE = re.compile(r"(\w+)\s+([a-z0-9]+)(?:\((\d+)(?:,(\d+))?\))?\s+([A-Z!]+)\s*(.*)")
TEXT = frozenset({"string", "textarea", "email", "phone", "url", "picklist", "combobox", "multipicklist"})
MADE = frozenset({"OwnerId", "CurrencyIsoCode"})  # defaults that depend on the user
NUMBERS = frozenset({"int", "long", "double", "currency", "percent"})
WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One field; `marks` as in the tables."""

    name: str
    type: str
    marks: str
    length: int = 0  # characters; digits before the point for numbers
    scale: int = 0
    targets: tuple[str, ...] = ()
    relationship: str = ""
    child_relationship: str = ""
    values: tuple[str, ...] = ()
    default: Any = None
    label: str = ""
    format: str = ""  # of an autonumber: "PRJ-{00000}"

    def may(self, mark: str) -> bool:
        """Whether the field has this mark."""
        return mark in self.marks

    @property
    def polymorphic(self) -> bool:
        """Whether a path through it leads to Salesforce's Name object."""
        return len(self.targets) > 1

    @property
    def custom(self) -> bool:
        """Whether the org made it."""
        return self.name.endswith("__c")


@dataclass(frozen=True, slots=True, eq=False)
class SObject:
    """One object and its fields."""

    name: str
    prefix: str
    name_field: str
    operations: str
    label: str
    plural: str
    fields: Mapping[str, Field]  # by name
    by_lower: Mapping[str, Field] = field(default_factory=dict)
    parents: Mapping[str, Field] = field(default_factory=dict)  # by lower-case relationship name
    required: tuple[Field, ...] = ()
    unique: tuple[Field, ...] = ()
    numbered: tuple[Field, ...] = ()
    defaulted: tuple[Field, ...] = ()  # a value is made for them when none is given
    links: tuple[Field, ...] = ()  # references to other objects than users

    def find(self, name: str) -> Field | None:
        """The field of this name in any case."""
        return self.by_lower.get(name.lower())

    @property
    def custom(self) -> bool:
        """Whether the org made it."""
        return self.name.endswith("__c")


@dataclass(frozen=True, slots=True)
class Child:
    """A child relationship as a parent sees it."""

    name: str
    sobject: str
    field: str


def sobject(name: str, prefix: str, fields: Iterable[Field], *, name_field: str = "Name", operations: str = "CUDQ",
            label: str = "", plural: str = "") -> SObject:  # fmt: skip
    """An object with its look-up tables made."""
    ordered = {f.name: f for f in fields}
    every = tuple(ordered.values())
    return SObject(
        name, prefix, name_field, operations, label or name, plural or f"{name}s", ordered,
        {f.name.lower(): f for f in every}, {f.relationship.lower(): f for f in every if f.relationship},
        tuple(f for f in every if f.may("!")), tuple(f for f in every if f.may("Q")),
        tuple(f for f in every if f.may("A")),
        tuple(f for f in every if f.default is not None or (f.may("D") and f.name in MADE)),
        tuple(f for f in every if f.type == "reference" and "User" not in f.targets),
    )  # fmt: skip


def _extras(text: str) -> dict[str, Any]:
    if text.startswith("="):
        values = text[1:].split("|")
        default = next((v[1:] for v in values if v.startswith("*")), None)
        return {"values": tuple(v.removeprefix("*") for v in values), "default": default}
    if text.startswith(">"):
        targets, relationship, *child = text[1:].split()
        return {"targets": tuple(targets.split(",")), "relationship": "" if relationship == "-" else relationship,
                "child_relationship": child[0].removeprefix("<") if child else ""}  # fmt: skip
    return {}


def field_label(name: str) -> str:
    """ "MailingCity" -> "Mailing City", "AccountId" -> "Account ID"."""
    return " ".join(WORDS.split(name.removesuffix("__c").replace("_", " "))).replace(" Id", " ID")


def read_field(line: str) -> Field:
    """A field from its line; ValueError if the line is none."""
    found = LINE.fullmatch(line)
    if found is None:
        raise ValueError(f"not a field: {line!r}")
    name, kind, length, scale, marks, rest = found.groups()
    extras = _extras(rest.strip())
    if kind == "boolean":
        extras["default"] = False
    return Field(name, kind, marks, int(length or 0), int(scale or 0), label=field_label(name), **extras)


@cache
def standard() -> Mapping[str, SObject]:
    """The standard objects by name; `Name` is the face of a polymorphic parent, not a table."""
    out = {}
    for path in sorted(Path(__file__).parent.glob("*.txt")):
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        names, label, plural = (part.strip() for part in head.split("|"))
        name, prefix, name_field, operations = names.split()
        out[name] = sobject(name, prefix, map(read_field, lines), name_field="" if name_field == "-" else name_field,
                            operations=operations, label=label, plural=plural)  # fmt: skip
    return out


class Schema:
    """The objects of one org: standard ones, the org's own, less what its switches turn off."""

    def __init__(self, objects: Mapping[str, SObject] | None = None) -> None:
        given = dict(standard() if objects is None else objects)
        self.names_object = given.pop("Name")
        self.objects: dict[str, SObject] = given
        self._index()

    def _index(self) -> None:
        self.by_lower = {name.lower(): o for name, o in self.objects.items()}
        prefixes: dict[str, list[str]] = {}
        for o in self.objects.values():
            prefixes.setdefault(o.prefix, []).append(o.name)
        self.by_prefix = {prefix: names[0] for prefix, names in prefixes.items() if len(names) == 1}
        self.children: dict[str, dict[str, Child]] = {name: {} for name in self.objects}
        self.referring: dict[str, list[tuple[str, Field]]] = {name: [] for name in self.objects}
        for o, f in self.references():
            for target in f.targets:
                if target not in self.objects:
                    continue
                self.referring[target].append((o.name, f))
                if f.child_relationship:
                    child = Child(f.child_relationship, o.name, f.name)
                    self.children[target].setdefault(child.name.lower(), child)

    def references(self) -> Iterator[tuple[SObject, Field]]:
        """Every reference field with its object."""
        for o in self.objects.values():
            for f in o.fields.values():
                if f.type == "reference":
                    yield o, f

    def find(self, name: str) -> SObject | None:
        """The object of this name in any case."""
        return self.by_lower.get(name.lower())

    def replace(self, *objects: SObject) -> None:
        """Add objects or put others in the place of those with the same name."""
        self.objects.update({o.name: o for o in objects})
        self._index()

    def without(self, objects: Iterable[str], fields: Iterable[tuple[str, str]]) -> Schema:
        """A schema that lacks these objects and (object, field) pairs."""
        gone, cut = set(objects), set(fields)
        kept = {"Name": self.names_object}
        for o in self.objects.values():
            if o.name in gone:
                continue
            left = [f for f in o.fields.values() if (o.name, f.name) not in cut]
            kept[o.name] = o if len(left) == len(o.fields) else rebuilt(o, left)
        return Schema(kept)


def rebuilt(o: SObject, fields: Iterable[Field]) -> SObject:
    """The same object with other fields."""
    return sobject(o.name, o.prefix, fields, name_field=o.name_field, operations=o.operations, label=o.label,
                   plural=o.plural)  # fmt: skip


def with_targets(f: Field, more: Iterable[str]) -> Field:
    """The reference field with more targets."""
    return replace(f, targets=(*f.targets, *more))
