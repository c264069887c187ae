"""Accounts, contacts, leads, users: names, direct relations, duplicates, conversion."""

from __future__ import annotations

from typing import Any

from sandbox.salesforce import changes
from sandbox.salesforce.changes import Change, Rules
from sandbox.salesforce.errors import ApiError, field_error
from sandbox.salesforce.org import Context, DuplicateRule
from sandbox.salesforce.reading import attributes
from sandbox.salesforce.store import Row


def name_person(change: Change) -> None:
    """Name is first and last name."""
    row = change.row
    row["Name"] = " ".join(part for part in (row.get("FirstName"), row.get("LastName")) if part) or None


def check_duplicates(change: Change) -> None:
    """DUPLICATES_DETECTED when a rule finds a match that the request does not insist on (providers.md SF-11)."""
    ctx, row = change.ctx, change.row
    for rule in ctx.org.duplicate_rules:
        values = [row.get(name) for name in rule.fields]
        if rule.sobject != change.sobject.name or None in values or not change.changed(*rule.fields):
            continue
        found = [r for r in ctx.org.live(rule.sobject, rule.fields[0], values[:1])
                 if r["Id"] != row.get("Id") and all(_same(r, row, name) for name in rule.fields)]  # fmt: skip
        if found and not (rule.action == "allow" and ctx.save_duplicates):
            raise ApiError("DUPLICATES_DETECTED", "Use one of these records?", [],
                           duplicateResult=duplicate_result(ctx, rule, found))  # fmt: skip


def _same(a: Row, b: Row, name: str) -> bool:
    return str(a.get(name)).lower() == str(b.get(name)).lower()


def duplicate_result(ctx: Context, rule: DuplicateRule, found: list[Row]) -> dict[str, Any]:
    """What the error tells about the matches."""
    name = rule.sobject
    records = [{"additionalInformation": [], "fieldDiffs": [], "matchConfidence": 100.0,
                "record": {"attributes": attributes(ctx, name, name, row["Id"]), "Id": row["Id"]}}
               for row in found]  # fmt: skip
    return {
        "allowSave": rule.action == "allow", "duplicateRule": f"{name}_{'_'.join(rule.fields)}",
        "duplicateRuleEntityType": name, "errorMessage": "Use one of these records?",
        "matchResults": [{"entityType": name, "errors": [], "matchEngine": "ExactMatchEngine", "matchRecords": records,
                          "rule": f"{name}_{'_'.join(rule.fields)}_match", "size": len(records), "success": True}],
    }  # fmt: skip


def before_contact(change: Change) -> None:
    """Names, then duplicates."""
    name_person(change)
    if change.row.get("ReportsToId") and change.row["ReportsToId"] == change.row.get("Id"):
        raise field_error("Reports To ID: a contact cannot report to itself", "ReportsToId")
    check_duplicates(change)


def after_contact(change: Change) -> None:
    """The account of a contact is its direct relation."""
    if not change.changed("AccountId"):
        return
    org, row = change.ctx.org, change.row
    relation = org.full_schema.objects["AccountContactRelation"]
    for old in list(org.live("AccountContactRelation", "ContactId", [row["Id"]])):
        if old.get("IsDirect"):
            changes.remove(change.ctx, relation, old, row["Id"])
    if row.get("AccountId"):
        changes.insert(change.ctx, relation, {"AccountId": row["AccountId"], "ContactId": row["Id"], "IsDirect": True,
                                              "IsActive": True})  # fmt: skip


def before_lead(change: Change) -> None:
    """A converted lead is closed for good."""
    if change.old is not None and change.old.get("IsConverted"):
        raise ApiError("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", [])
    name_person(change)
    check_duplicates(change)


def convert_lead(ctx: Context, lead: Row, *, account_id: str | None = None, contact_id: str | None = None,
                 opportunity: str | None = None) -> dict[str, str | None]:  # fmt: skip
    """What the Convert button does: account and contact (new unless given), maybe an opportunity."""
    objects = ctx.org.full_schema.objects
    if lead.get("IsConverted"):
        raise ValueError("the lead is converted already")
    with ctx.org.store.transaction():
        account = account_id or changes.create(ctx, objects["Account"], _given(lead, {
            "Name": "Company", "Website": "Website", "Phone": "Phone", "Industry": "Industry"}))  # fmt: skip
        contact = contact_id or changes.create(ctx, objects["Contact"], _given(lead, {
            "FirstName": "FirstName", "LastName": "LastName", "Email": "Email", "Phone": "Phone",
            "Title": "Title", "LeadSource": "LeadSource"}) | {"AccountId": account})  # fmt: skip
        deal = opportunity and changes.create(ctx, objects["Opportunity"], {
            "Name": opportunity, "AccountId": account, "StageName": "Qualification",
            "CloseDate": ctx.org.frame.clock.now().date().isoformat()})  # fmt: skip
        row = {**lead, "IsConverted": True, "Status": "Closed - Converted", "ConvertedAccountId": account,
               "ConvertedContactId": contact, "ConvertedOpportunityId": deal or None,
               "ConvertedDate": ctx.org.stamp()[:10]}  # fmt: skip
        changes.touch(ctx, objects["Lead"], row)
        ctx.org.store.put("Lead", row)
        for name in ("Task", "Event", "EmailMessageRelation"):
            follow(ctx, name, lead["Id"], contact)
    return {"account": account, "contact": contact, "opportunity": deal or None}


def _given(lead: Row, names: dict[str, str]) -> dict[str, Any]:
    return {new: lead[old] for new, old in names.items() if lead.get(old) is not None}


def follow(ctx: Context, name: str, old_id: str, new_id: str) -> None:
    """Rows that refer to one person refer to another from now on (conversion, merge)."""
    sobject = ctx.org.full_schema.objects[name]
    for field in sobject.fields.values():
        if field.type != "reference" or ctx.org.object_of(new_id) not in field.targets:
            continue
        for row in list(ctx.org.live(name, field.name, [old_id])):
            changed = {**row, field.name: new_id}
            changes.touch(ctx, sobject, changed)
            ctx.org.store.put(name, changed)


def merge(ctx: Context, name: str, master: Row, losers: list[Row]) -> None:
    """Merge records: what refers to the losers refers to the master; the losers are deleted."""
    objects = ctx.org.full_schema.objects
    with ctx.org.store.transaction():
        for loser in losers:
            for other in objects:
                follow(ctx, other, loser["Id"], master["Id"])
            row = {**loser, "MasterRecordId": master["Id"]}
            ctx.org.store.put(name, row)
            changes.remove(ctx, objects[name], row, loser["Id"])
        changed = dict(master)
        changes.touch(ctx, objects[name], changed)
        ctx.org.store.put(name, changed)


ACTIVITY_WHO = (("TaskRelation", "RelationId"), ("EventRelation", "RelationId"),
                ("OpportunityContactRole", "ContactId"), ("CaseContactRole", "ContactId"),
                ("AccountContactRelation", "ContactId"), ("CampaignMember", "ContactId"),
                ("CampaignMember", "LeadId"))  # fmt: skip
WHO_LINKS = (("Task", "WhoId"), ("Event", "WhoId"))
EMAIL_LINK = ("EmailMessage", "RelatedToId")
RECIPIENT = ("EmailMessageRelation", "RelationId")


def _guard(ctx: Context, row: Row, what: str, names: list[str]) -> None:
    if names and ctx.org.frame.settings["salesforce_guard_deletes"]:
        raise ApiError("DELETE_FAILED", f"Your attempt to delete {row.get('Name')} could not be completed because it "
                       f"is associated with the following {what}.: {', '.join(names)}\n", [])  # fmt: skip


def delete_contact(ctx: Context, row: Row) -> None:
    """A contact with cases stays."""
    _guard(ctx, row, "cases", [str(c["CaseNumber"]) for c in ctx.org.live("Case", "ContactId", [row["Id"]])])


def delete_account(ctx: Context, row: Row) -> None:
    """An account with cases or won opportunities stays, and with others' opportunities unless an administrator asks."""
    org = ctx.org
    _guard(ctx, row, "cases", [str(c["CaseNumber"]) for c in org.live("Case", "AccountId", [row["Id"]])])
    deals = list(org.live("Opportunity", "AccountId", [row["Id"]]))
    _guard(ctx, row, "closed won opportunities", [str(d["Name"]) for d in deals if d.get("IsWon")])
    if ctx.user_id not in org.administrators:
        others = [str(d["Name"]) for d in deals if d.get("OwnerId") != ctx.user_id]
        _guard(ctx, row, "opportunities owned by other users", others)


changes.RULES |= {
    "Account": Rules(before=check_duplicates, cascade=(("Contact", "AccountId"), ("Opportunity", "AccountId"),
                     ("AccountContactRelation", "AccountId"), ("AccountTeamMember", "AccountId"),
                     *changes.ABOUT),
                     unlink=(EMAIL_LINK, ("Case", "AccountId"), ("Account", "ParentId")),
                     before_delete=delete_account),
    "Contact": Rules(before=before_contact, after=after_contact, cascade=ACTIVITY_WHO,
                     unlink=(*WHO_LINKS, RECIPIENT, ("Contact", "ReportsToId"), ("Case", "ContactId")),
                     before_delete=delete_contact),
    "Lead": Rules(before=before_lead, cascade=ACTIVITY_WHO, unlink=(*WHO_LINKS, RECIPIENT)),
    "User": Rules(before=name_person),
}  # fmt: skip
