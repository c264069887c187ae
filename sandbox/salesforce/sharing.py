"""Who may read, edit, delete a record (`providers.md` 5.2, SF-24).

Owners, manual shares, opportunity and account teams, what a parent gives. No role hierarchy, no sharing rules.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from sandbox.salesforce.store import Row

if TYPE_CHECKING:
    from sandbox.salesforce.org import Context


class Level(IntEnum):
    """MaxAccessLevel of UserRecordAccess, without Transfer."""

    NONE = 0
    READ = 1
    EDIT = 2
    ALL = 4


LEVELS = {"read": Level.READ, "edit": Level.EDIT, "all": Level.ALL}
PUBLIC = frozenset({"Organization", "Group", "Product2", "User"})
ACTIVITY_LINKS = ("WhatId", "WhoId", "RelatedToId", "ParentId")
ACTIVITIES = frozenset({"Task", "Event", "EmailMessage"})
# Objects without an owner whose access is that of their parent
CONTROLLED = {"OpportunityContactRole": "OpportunityId", "OpportunityTeamMember": "OpportunityId",
              "Quote": "OpportunityId", "CaseContactRole": "CasesId", "AccountTeamMember": "AccountId",
              "EmailMessageRelation": "EmailMessageId", "TaskRelation": "TaskId",
              "EventRelation": "EventId"}  # fmt: skip
CHILDREN_OF_ACCOUNT = ("Contact", "Opportunity", "Case")


def level(ctx: Context, name: str, row: Row) -> Level:
    """What the user may do with the row at most."""
    org = ctx.org
    if ctx.user_id in org.administrators:
        return Level.ALL
    owned = "OwnerId" in org.full_schema.objects[name].fields
    if (row.get("OwnerId") if owned else row.get("CreatedById")) == ctx.user_id:
        return Level.ALL
    if row.get("IsPrivate") and name == "Opportunity":
        return Level.NONE
    if not org.private:
        return Level.EDIT if owned and name not in ACTIVITIES else Level.ALL
    if name in PUBLIC or (not owned and name not in ACTIVITIES and name not in CONTROLLED):
        return Level.ALL
    return max(_direct(ctx, name, row), _inherited(ctx, name, row))


def _direct(ctx: Context, name: str, row: Row) -> Level:
    """Manual shares and teams."""
    org, user = ctx.org, ctx.user_id
    found = [org.shares.get((row["Id"], user), Level.NONE)] if "Id" in row else []
    if name == "Opportunity" and org.team_selling:
        found += [LEVELS.get(str(m.get("OpportunityAccessLevel", "Read")).lower(), Level.NONE)
                  for m in org.live("OpportunityTeamMember", "OpportunityId", [row["Id"]])
                  if m["UserId"] == user]  # fmt: skip
    account = row["Id"] if name == "Account" else row.get("AccountId")
    if account and org.team_selling and name in ("Account", *CHILDREN_OF_ACCOUNT):
        found += [LEVELS.get(str(m.get(f"{name}AccessLevel") or "none").lower(), Level.NONE)
                  for m in org.live("AccountTeamMember", "AccountId", [account]) if m["UserId"] == user]  # fmt: skip
    return max(found, default=Level.NONE)


def _inherited(ctx: Context, name: str, row: Row) -> Level:
    """From what an activity is about, from a parent, and the implicit read of an account."""
    if name in ACTIVITIES:
        return max((_of(ctx, row.get(field)) for field in ACTIVITY_LINKS), default=Level.NONE)
    if name in CONTROLLED:
        return _of(ctx, row.get(CONTROLLED[name]))
    if name == "Account":
        for child in CHILDREN_OF_ACCOUNT:
            for other in ctx.org.live(child, "AccountId", [row["Id"]]):
                if other.get("OwnerId") == ctx.user_id or _direct(ctx, child, other) > Level.NONE:
                    return Level.READ
    return Level.NONE


def _of(ctx: Context, record_id: str | None) -> Level:
    found = ctx.org.find(record_id)
    return level(ctx, *found) if found is not None else Level.NONE
