"""What an administrator adds to an org: custom objects and fields, validation rules."""

from __future__ import annotations

from typing import Any

from sandbox.salesforce.org import ADMINISTRATOR, Context, Org
from sandbox.salesforce.schema import Field, SObject, field_label, rebuilt, sobject, with_targets
from sandbox.salesforce.validation import ValidationRule, compiled

Json = dict[str, Any]
OPTIONS = (("unique", "Q"), ("external_id", "X"))
LENGTHS = {"string": 255, "email": 80, "phone": 40, "url": 255, "picklist": 255, "textarea": 32768, "reference": 18,
           "multipicklist": 4099, "currency": 18, "double": 18, "percent": 18, "int": 9}  # fmt: skip
MARKS = {"textarea": "CUN", "multipicklist": "CUFN", "datetime": "CUFSN", "currency": "CUFSN", "double": "CUFSN",
         "percent": "CUFSN", "boolean": "CUFGSD"}  # fmt: skip
TYPES = frozenset({*LENGTHS, *MARKS, "date"})
SYSTEM_FIELDS = ("Id", "IsDeleted", "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById",
                 "SystemModstamp")  # fmt: skip
PREFIXES = tuple(f"a{a}{b}" for a in "0123456789" for b in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
ACTIVITY = (("Task", "WhatId"), ("Event", "WhatId"), ("EmailMessage", "RelatedToId"), ("TaskRelation", "RelationId"),
            ("ActivityHistory", "WhatId"), ("OpenActivity", "WhatId"))  # fmt: skip
FILES = (("ContentDocumentLink", "LinkedEntityId"), ("ContentVersion", "FirstPublishLocationId"))
NUMBER = "{00000}"


def customise(org: Org, part: Json) -> None:
    """Add `custom_objects`, `custom_fields` and `validation_rules` as in the organisation file, in the place of others
    of their name; ValueError says what is wrong.
    """
    made: dict[str, SObject] = {}
    known = org.full_schema.objects
    for given in part.get("custom_objects") or []:
        made[given["name"]] = _object(org, given, {o.prefix for o in (*known.values(), *made.values())})
        for name, field in (*FILES, *(ACTIVITY if given.get("activities", True) else ())):
            made[name] = widened(made.get(name) or known[name], field, given["name"])
    for name, fields in (part.get("custom_fields") or {}).items():
        old = made.get(name) or known.get(name)
        if old is None:
            raise ValueError(f"salesforce: custom_fields of {name}, which is no object")
        new = {f["name"]: custom_field(f, old.plural) for f in fields}
        made[name] = rebuilt(old, [*(f for f in old.fields.values() if f.name not in new), *new.values()])
    if made:
        org.full_schema.replace(*made.values())
        org.switch()
    for rule in part.get("validation_rules") or []:
        validation_rule(org, rule)


def validation_rule(org: Org, given: Json) -> None:
    """Add a rule {object, condition, message, field}; ApiError for a condition that is none."""
    rule = ValidationRule(given["object"], given["condition"], given["message"], given.get("field", ""))
    if rule.sobject not in org.full_schema.objects:
        raise ValueError(f"salesforce: validation rule of {rule.sobject}, which is no object")
    users = org.store.table("User")
    nobody: Json = {"Id": "", "Name": ADMINISTRATOR}
    compiled(Context(org, next(iter(users.values()), nobody)), rule)
    org.validation_rules.append(rule)


def _object(org: Org, given: Json, taken: set[str]) -> SObject:
    name, label = given["name"], str(given.get("label") or field_label(given["name"]))
    if not name.endswith("__c"):
        raise ValueError(f"salesforce: the custom object {name} must end with __c")
    old = org.full_schema.objects.get(name)
    prefix = given.get("prefix") or (old.prefix if old else next(p for p in PREFIXES if p not in taken))
    base = org.full_schema.objects
    fields = [base["Account"].fields[f] for f in SYSTEM_FIELDS]
    number = given.get("auto_number")
    plural = str(given.get("plural") or f"{label}s")
    fields += [
        base["Case"].fields["OwnerId"], base["Opportunity"].fields["CurrencyIsoCode"],
        Field("Name", "string", "FGSIDA" if number else "CUFGSNID", 80,
              label=str(given.get("name_label") or f"{label} {'Number' if number else 'Name'}"),
              format=(number if isinstance(number, str) else NUMBER) if number else ""),
        *([base["Account"].fields["LastActivityDate"]] if given.get("activities", True) else []),
        *(custom_field(f, plural) for f in given.get("fields") or []),
    ]  # fmt: skip
    return sobject(name, prefix, fields, label=label, plural=plural)


def widened(o: SObject, field: str, target: str) -> SObject:
    """The object with one more target of a reference."""
    old = o.fields[field]
    if target in old.targets:
        return o
    return rebuilt(o, [with_targets(f, [target]) if f is old else f for f in o.fields.values()])


def custom_field(given: Json, plural: str) -> Field:
    """A field from its lines in the organisation file; `plural` names the object's rows to a parent.

    Members: name, type, label, length, scale, values, default, to, relationship, required, unique,
    external_id, restricted (of a picklist, true unless said).
    """
    name, kind, default = given["name"], given.get("type", "string"), given.get("default")
    if kind not in TYPES:
        raise ValueError(f"salesforce: {name} has the unknown type {kind}")
    marks = MARKS.get(kind, "CUFGSN") + "".join(mark for option, mark in OPTIONS if given.get(option))
    if kind in ("picklist", "multipicklist") and given.get("restricted", True):
        marks += "R"
    if default is not None and "D" not in marks:
        marks += "D"
    if given.get("required") and kind != "boolean":
        marks = marks.replace("N", "") + "!"
    stem = name.removesuffix("__c")
    return Field(
        name, kind, marks, int(given.get("length", LENGTHS.get(kind, 0))),
        int(given.get("scale", 2 if kind in ("currency", "percent") else 0)), tuple(given.get("to") or ()),
        f"{stem}__r" if kind == "reference" else "",
        given.get("relationship", f"{plural.replace(' ', '_')}__r") if kind == "reference" else "",
        tuple(given.get("values") or ()), bool(default) if kind == "boolean" else default,
        given.get("label") or field_label(name),
    )  # fmt: skip
