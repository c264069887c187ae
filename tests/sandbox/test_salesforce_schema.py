"""Every flag, type, length and target of our tables against Salesforce's own reference (`../shared/specs`)."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from sandbox.salesforce.schema import Field, Schema, standard

SPECS = Path(__file__).resolve().parents[3] / "shared" / "specs" / "salesforce"
WORDS = {"create": "C", "update": "U", "filter": "F", "group": "G", "sort": "S", "nillable": "N", "idlookup": "I",
         "restricted picklist": "R"}  # fmt: skip
SYSTEM = {"Id": "FGS", "IsDeleted": "FGS", "CreatedDate": "FS", "CreatedById": "FGS", "LastModifiedDate": "FS",
          "LastModifiedById": "FGS", "SystemModstamp": "FS"}  # fmt: skip
# objects without WSDL, and teams, which the org of the WSDL had not turned on
WITHOUT_WSDL = {"Quotes", "AccountContactRelations", "TaskRelations", "AccountTeamMembers", "OpportunityTeamMembers"}
OURS = "D!XQA"  # marks that the reference's properties do not settle


def reference(name: str) -> dict[str, Any]:
    if not SPECS.is_dir():
        assert os.environ.get("CI") != "true", f"{SPECS} is missing"
        pytest.skip(f"{SPECS} is not there")
    return dict(json.loads((SPECS / f"{name}.json").read_text(encoding="utf-8")))


def properties(text: str) -> set[str]:
    return {word.strip().lower() for word in re.split("[,;]", text) if word.strip()}


def faults(field: Field, spec: dict[str, Any], details: dict[str, Any]) -> list[str]:
    said = properties(spec.get("properties") or "")
    expected = {mark for word, mark in WORDS.items() if word in said}
    out = []
    if {m for m in field.marks if m not in OURS} != expected:
        out.append(f"marks {field.marks}, the reference says {sorted(said)}")
    if ("D" in field.marks) != any(word.startswith("defaulted on create") for word in said):
        out.append(f"default {field.marks}, the reference says {sorted(said)}")
    if ("A" in field.marks) != ("autonumber" in said):
        out.append("autonumber")
    if field.type != spec["type"].lower():
        out.append(f"type {field.type}, not {spec['type']}")
    length = details.get("length") or details.get("precision") or details.get("digits")
    if length and field.type not in ("junctionidlist", "address", "base64") and field.length != int(length):
        out.append(f"length {field.length}, not {length}")
    said_targets = {t.strip() for t in (spec.get("refers_to") or "").split(",") if t.strip()}
    if said_targets and not set(field.targets) <= said_targets:
        out.append(f"targets {sorted(set(field.targets) - said_targets)}")
    relationship = spec.get("relationship_name") or ""
    if relationship.isalnum() and field.type == "reference" and field.relationship != relationship:
        out.append(f"relationship {field.relationship}, not {relationship}")
    return out


@pytest.mark.parametrize("name", sorted(standard()))
def test_table(name: str) -> None:
    spec = reference(name)
    details = spec.get("field_reference") or {}
    wrong = []
    for field in standard()[name].fields.values():
        if field.name in spec["fields"]:
            found = faults(field, spec["fields"][field.name], details.get(field.name, {}))
        else:  # the reference lists system fields without properties
            marks = {m for m in field.marks if m not in OURS}
            found = (
                [] if marks == set(SYSTEM.get(field.name, "?")) else [f"{field.marks} for a field without reference"]
            )
        wrong += [f"{field.name}: {fault}" for fault in found]
    assert not wrong


@pytest.mark.parametrize("name", sorted(standard()))
def test_child_relationships(name: str) -> None:
    spec = reference(name)
    segment = spec.get("wsdl_segment") or ""
    named = set(re.findall(r'<element name="(\w+)"[^>]*?type="tns:QueryResult"', segment))
    ours = {child.name for child in Schema().children.get(name, {}).values()}
    assert not segment or ours <= named | WITHOUT_WSDL


def test_the_object_of_every_prefix_is_known() -> None:
    schema = Schema()
    shared = {o.prefix for o in schema.objects.values()} - set(schema.by_prefix)
    assert shared == {"01J", "-"}  # all picklist masters; activity lists, which have no ids of their own
    assert {"001": "Account", "003": "Contact", "00Q": "Lead", "006": "Opportunity", "500": "Case", "00T": "Task",
            "00U": "Event", "02s": "EmailMessage", "068": "ContentVersion", "005": "User"}.items() <= (
        schema.by_prefix.items())  # fmt: skip
