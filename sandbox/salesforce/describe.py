"""Describe answers, shaped like the real ones, from the tables (`providers.md SF-5`)."""

from __future__ import annotations

from typing import Any

from sandbox.salesforce.changes import RULES, Rules
from sandbox.salesforce.org import Context
from sandbox.salesforce.schema import NUMBERS, Field, SObject

SOAP_TYPES = {"id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "int": "xsd:int", "long": "xsd:long",
              "double": "xsd:double", "currency": "xsd:double", "percent": "xsd:double", "date": "xsd:date",
              "datetime": "xsd:dateTime", "base64": "xsd:base64Binary", "address": "urn:address",
              "junctionidlist": "tns:ID"}  # fmt: skip
EXTRA_TYPES = {"junctionidlist": "junctionIdList"}
MASTER = "012000000000000AAA"  # the record type that every object has
MERGEABLE = frozenset({"Account", "Contact", "Lead"})
ADDRESS_PARTS = frozenset({"City", "Country", "GeocodeAccuracy", "Latitude", "Longitude", "PostalCode", "State",
                           "Street"})  # fmt: skip
FEEDS = frozenset({"Account", "Contact", "Lead", "Opportunity", "Case", "Task", "Event"})


def everything(ctx: Context) -> dict[str, Any]:
    """GET sobjects."""
    objects = [summary(ctx, o) for o in ctx.org.schema.objects.values()]
    return {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects}


def summary(ctx: Context, o: SObject) -> dict[str, Any]:
    """The object's part of the global describe."""
    may = {"create": "C" in o.operations, "update": "U" in o.operations, "delete": "D" in o.operations}
    base = f"/services/data/v{ctx.version}/sobjects/{o.name}"
    return {
        "activateable": False, "associateEntityType": None, "associateParentEntity": None, "createable": may["create"],
        "custom": o.custom, "customSetting": False, "deepCloneable": False, "deletable": may["delete"],
        "deprecatedAndHidden": False, "feedEnabled": o.name in FEEDS, "hasSubtypes": False, "isInterface": False,
        "isSubtype": False, "keyPrefix": o.prefix if o.prefix in ctx.org.schema.by_prefix else None, "label": o.label,
        "labelPlural": o.plural, "layoutable": may["create"], "mergeable": o.name in MERGEABLE,
        "mruEnabled": bool(o.name_field), "name": o.name, "queryable": "Q" in o.operations,
        "replicateable": True, "retrieveable": True, "searchable": bool(o.name_field), "triggerable": may["create"],
        "undeletable": may["delete"] and "IsDeleted" in o.fields, "updateable": may["update"],
        "urls": {"sobject": base, "describe": f"{base}/describe", "rowTemplate": f"{base}/{{ID}}"},
    }  # fmt: skip


def one(ctx: Context, o: SObject) -> dict[str, Any]:
    """GET sobjects/X/describe."""
    return {
        **summary(ctx, o), "actionOverrides": [], "childRelationships": children(ctx, o), "compactLayoutable": True,
        "defaultImplementation": None, "extendedBy": None, "extendsInterfaces": None,
        "fields": [describe_field(f, o) for f in o.fields.values()], "implementedBy": None,
        "implementsInterfaces": None, "listviewable": None, "lookupLayoutable": None, "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": [{
            "active": True, "available": True, "defaultRecordTypeMapping": True, "developerName": "Master",
            "master": True, "name": "Master", "recordTypeId": MASTER, "urls": {}}],
        "searchLayoutable": True, "sobjectDescribeOption": "FULL", "supportedScopes": scopes(o),
    }  # fmt: skip


def scopes(o: SObject) -> list[dict[str, str]]:
    """What USING SCOPE may name."""
    out = [{"label": f"All {o.plural.lower()}", "name": "everything"}]
    return [*out, {"label": f"My {o.plural.lower()}", "name": "mine"}] if "OwnerId" in o.fields else out


def children(ctx: Context, o: SObject) -> list[dict[str, Any]]:
    """References to the object, with the relationship's name where it has one."""
    cascades = RULES.get(o.name, Rules()).cascade
    return [{
        "cascadeDelete": (name, f.name) in cascades, "childSObject": name, "deprecatedAndHidden": False,
        "field": f.name, "junctionIdListNames": [], "junctionReferenceTo": [],
        "relationshipName": f.child_relationship or None,
        "restrictedDelete": False} for name, f in ctx.org.schema.referring[o.name]]  # fmt: skip


def describe_field(f: Field, o: SObject) -> dict[str, Any]:
    """One field."""
    number, text = f.type in NUMBERS, f.type not in NUMBERS and f.type not in ("boolean", "date", "datetime", "address")
    whole = f.type in ("int", "long")
    unique, external = f.may("Q"), f.may("X")
    return {
        "aggregatable": f.may("F"), "aiPredictionField": False, "autoNumber": f.may("A"),
        "byteLength": f.length * 3 if text and f.type not in ("id", "reference") else f.length if text else 0,
        "calculated": False, "calculatedFormula": None, "cascadeDelete": False, "caseSensitive": False,
        "compoundFieldName": compound(f, o), "controllerName": None, "createable": f.may("C"), "custom": f.custom,
        "defaultValue": f.default if f.type == "boolean" else None, "defaultValueFormula": formula(f),
        "defaultedOnCreate": f.may("D"),
        "dependentPicklist": False, "deprecatedAndHidden": False, "digits": f.length if whole else 0,
        "displayLocationInDecimal": False, "encrypted": False, "externalId": external,
        "extraTypeInfo": "plaintextarea" if f.type == "textarea" else None, "filterable": f.may("F"),
        "filteredLookupInfo": None, "formulaTreatNullNumberAsZero": False, "groupable": f.may("G"),
        "highScaleNumber": False, "htmlFormatted": False, "idLookup": f.may("I") or external or f.type == "id",
        "inlineHelpText": None, "label": f.label, "length": f.length if text else 0, "mask": None, "maskType": None,
        "name": f.name, "nameField": f.name == o.name_field, "namePointing": f.polymorphic, "nillable": f.may("N"),
        "permissionable": f.may("N") and f.may("C"), "picklistValues": values(f),
        "polymorphicForeignKey": f.polymorphic, "precision": f.length if number and not whole else 0,
        "queryByDistance": False, "referenceTargetField": None,
        "referenceTo": list(f.targets), "relationshipName": f.relationship or None, "relationshipOrder": None,
        "restrictedDelete": False, "restrictedPicklist": f.may("R"), "scale": f.scale, "searchPrefilterable": False,
        "soapType": SOAP_TYPES.get(f.type, "xsd:string"), "sortable": f.may("S"),
        "type": EXTRA_TYPES.get(f.type, f.type), "unique": unique, "updateable": f.may("U"),
        "writeRequiresMasterRead": False,
    }  # fmt: skip


def formula(f: Field) -> str | None:
    """The default of a custom field that is neither a box nor a picklist, as a formula."""
    if not f.custom or f.default is None or f.type in ("boolean", "picklist", "multipicklist"):
        return None
    return str(f.default) if f.type in NUMBERS else f'"{f.default}"'


def compound(f: Field, o: SObject) -> str | None:
    """The compound field that this one is a part of."""
    if f.name in ("FirstName", "LastName", "Salutation") and o.name in ("Contact", "Lead", "User"):
        return "Name"
    for name in o.fields:
        if name.endswith("Address") and o.fields[name].type == "address" \
                and f.name.startswith(prefix := name.removesuffix("Address")) and f.name != name \
                and f.name[len(prefix):] in ADDRESS_PARTS:  # fmt: skip
            return name
    return None


def values(f: Field) -> list[dict[str, Any]]:
    """The picklist."""
    return [{"active": True, "defaultValue": v == f.default, "label": v, "validFor": None, "value": v}
            for v in f.values]  # fmt: skip
