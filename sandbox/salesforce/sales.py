"""Opportunities, cases, contact roles: the values that follow from a stage or status."""

from __future__ import annotations

from sandbox.salesforce import changes
from sandbox.salesforce.changes import Change, Rules
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.org import Context
from sandbox.salesforce.people import EMAIL_LINK, check_duplicates
from sandbox.salesforce.store import Row

# Stage -> (probability, forecast category, its name, closed, won)
STAGES: dict[str, tuple[int, str, str, bool, bool]] = {
    "Prospecting": (10, "Pipeline", "Pipeline", False, False),
    "Qualification": (10, "Pipeline", "Pipeline", False, False),
    "Needs Analysis": (20, "Pipeline", "Pipeline", False, False),
    "Value Proposition": (50, "Pipeline", "Pipeline", False, False),
    "Id. Decision Makers": (60, "Pipeline", "Pipeline", False, False),
    "Perception Analysis": (70, "Pipeline", "Pipeline", False, False),
    "Proposal/Price Quote": (75, "Pipeline", "Pipeline", False, False),
    "Negotiation/Review": (90, "Pipeline", "Pipeline", False, False),
    "Closed Won": (100, "Closed", "Closed", True, True),
    "Closed Lost": (0, "Omitted", "Omitted", True, False),
}
# Object of status values -> (label, closed or converted, default)
STATUSES: dict[str, tuple[tuple[str, bool, bool], ...]] = {
    "TaskStatus": (("Not Started", False, True), ("In Progress", False, False), ("Completed", True, False),
                   ("Waiting on someone else", False, False), ("Deferred", False, False)),
    "CaseStatus": (("New", False, True), ("Working", False, False), ("Escalated", False, False),
                   ("Closed", True, False)),
    "LeadStatus": (("Open - Not Contacted", False, True), ("Working - Contacted", False, False),
                   ("Closed - Converted", True, False), ("Closed - Not Converted", False, False)),
}  # fmt: skip


def closed(kind: str, status: str | None) -> bool:
    """Whether a status of TaskStatus, CaseStatus or LeadStatus means closed (converted)."""
    return any(label == status and flag for label, flag, _ in STATUSES[kind])


def before_opportunity(change: Change) -> None:
    """Stage -> probability, forecast category, closed, won."""
    row = change.row
    probability, category, category_name, is_closed, is_won = STAGES.get(
        row["StageName"], (row.get("Probability") or 0, "Pipeline", "Pipeline", False, False))  # fmt: skip
    if change.changed("StageName"):
        if "Probability" not in change.given:
            row["Probability"] = probability
        row["LastStageChangeDate"] = change.ctx.org.stamp()
    row |= {"IsClosed": is_closed, "IsWon": is_won, "ForecastCategory": category,
            "ForecastCategoryName": category_name}  # fmt: skip
    amount, close = row.get("Amount"), str(row["CloseDate"])
    row["ExpectedRevenue"] = None if amount is None else round(amount * (row.get("Probability") or 0) / 100, 2)
    row["FiscalYear"], row["FiscalQuarter"] = int(close[:4]), (int(close[5:7]) + 2) // 3
    row["Fiscal"] = f"{row['FiscalYear']} {row['FiscalQuarter']}"
    check_duplicates(change)


def after_opportunity(change: Change) -> None:
    """ContactId of a new opportunity makes the primary contact role (object reference, Opportunity.ContactId)."""
    row, org = change.row, change.ctx.org
    if change.old is None and row.get("ContactId"):
        role = {"OpportunityId": row["Id"], "ContactId": row["ContactId"], "IsPrimary": True}
        changes.insert(change.ctx, org.full_schema.objects["OpportunityContactRole"], role, frozenset(role))


def after_opportunity_role(change: Change) -> None:
    """The primary contact shows as ContactId of the opportunity, which is not changed by that."""
    row = change.row
    if row.get("IsPrimary"):
        _primary(change.ctx, row, row["ContactId"])
    elif change.old is not None and change.old.get("IsPrimary"):
        _primary(change.ctx, row, None)


def delete_opportunity_role(ctx: Context, row: Row) -> None:
    """Without its primary role an opportunity has no contact."""
    if row.get("IsPrimary"):
        _primary(ctx, row, None)


def _primary(ctx: Context, role: Row, contact_id: str | None) -> None:
    opportunity = ctx.org.store.get("Opportunity", role["OpportunityId"])
    if opportunity is not None:
        ctx.org.store.put("Opportunity", {**opportunity, "ContactId": contact_id})


def before_quote(change: Change) -> None:
    """Account, number and total follow."""
    row, org = change.row, change.ctx.org
    found = org.find(row["OpportunityId"])
    row["AccountId"] = found[1].get("AccountId") if found else None
    row["QuoteNumber"] = row.get("QuoteNumber") or org.number("Quote", "{00000000}")
    row["Subtotal"], row["LineItemCount"] = row.get("Subtotal") or 0.0, row.get("LineItemCount") or 0
    row["GrandTotal"] = row["Subtotal"] + (row.get("Tax") or 0) + (row.get("ShippingHandling") or 0)


def before_team_member(change: Change) -> None:
    """A member of an opportunity's team may read it; Salesforce alone decides on more."""
    row, ctx = change.row, change.ctx
    row["OpportunityAccessLevel"] = row.get("OpportunityAccessLevel") or "Read"
    user = ctx.org.find(row["UserId"])
    row["Name"] = user[1].get("Name") if user else None


def before_case(change: Change) -> None:
    """Status -> closed; the contact's addresses."""
    row, org = change.row, change.ctx.org
    is_closed = closed("CaseStatus", row.get("Status"))
    if is_closed and not row.get("IsClosed"):
        row["ClosedDate"] = org.stamp()
    elif not is_closed:
        row["ClosedDate"] = None
    if change.old is None:
        row["IsClosedOnCreate"] = is_closed
    row["IsClosed"] = is_closed
    found = org.find(row.get("ContactId"))
    contact = found[1] if found else {}
    row |= {"ContactEmail": contact.get("Email"), "ContactPhone": contact.get("Phone"),
            "ContactMobile": contact.get("MobilePhone"), "ContactFax": contact.get("Fax")}  # fmt: skip
    if row.get("AccountId") is None and change.changed("ContactId"):
        row["AccountId"] = contact.get("AccountId")
    check_duplicates(change)


def before_opportunity_role(change: Change) -> None:
    """One primary contact for an opportunity."""
    row, org = change.row, change.ctx.org
    if not row.get("IsPrimary") or not change.changed("IsPrimary"):
        return
    for other in list(org.live("OpportunityContactRole", "OpportunityId", [row["OpportunityId"]])):
        if other.get("IsPrimary") and other["Id"] != row.get("Id"):
            changed = {**other, "IsPrimary": False}
            changes.touch(change.ctx, change.sobject, changed)
            org.store.put("OpportunityContactRole", changed)


def before_account_relation(change: Change) -> None:
    """A contact is related to an account once."""
    row, org = change.row, change.ctx.org
    if change.old is None:
        row["IsActive"] = row.get("IsActive", False) or "IsActive" not in change.given
        for other in org.live("AccountContactRelation", "ContactId", [row["ContactId"]]):
            if other["AccountId"] == row["AccountId"]:
                raise ApiError("DUPLICATE_VALUE", "There's already a relationship between this contact and account.",
                               [])  # fmt: skip


ROW_LINKS = (("OpportunityContactRole", "OpportunityId"), ("Quote", "OpportunityId"),
             ("OpportunityTeamMember", "OpportunityId"))  # fmt: skip
changes.RULES |= {
    "Opportunity": Rules(before=before_opportunity, after=after_opportunity, cascade=(*ROW_LINKS, *changes.ABOUT),
                         unlink=(EMAIL_LINK,)),
    "Case": Rules(before=before_case, cascade=(("CaseContactRole", "CasesId"), ("EmailMessage", "ParentId"),
                                              *changes.ABOUT),
                  unlink=(EMAIL_LINK, ("Case", "ParentId"))),
    "OpportunityContactRole": Rules(before=before_opportunity_role, after=after_opportunity_role,
                                    before_delete=delete_opportunity_role),
    "OpportunityTeamMember": Rules(before=before_team_member),
    "Quote": Rules(before=before_quote),
    "AccountContactRelation": Rules(before=before_account_relation),
}  # fmt: skip
