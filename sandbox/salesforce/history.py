"""Activities as the record they are about shows them: ActivityHistories, OpenActivities, LastActivityDate.

Both lists are made while reading: they are views of Task and Event (object reference of ActivityHistory and
OpenActivity), and an activity never touches LastModifiedDate or SystemModstamp of what it is about.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.org import Context, Org
from sandbox.salesforce.soql import FieldPath, Query
from sandbox.salesforce.store import Row
from sandbox.salesforce.values import stamp

PAST, FUTURE = "ActivityHistory", "OpenActivity"
PEOPLE = ("Contact", "Lead")
MOST = 499
# (field, descending, nulls last) that a user without View All Data must sort by
ORDERS = {
    PAST: (("activitydate", True, True), ("lastmodifieddate", True, False)),
    FUTURE: (("activitydate", False, True), ("lastmodifieddate", True, False)),
}


def activities(org: Org, name: str, record_id: str) -> Iterator[tuple[str, Row]]:
    """(Task or Event, row) about a record; an account has those of its contacts and opportunities too."""
    field = "AccountId" if name == "Account" else "WhoId" if name in PEOPLE else "WhatId"
    for kind in ("Task", "Event"):
        rows = {row["Id"]: row for row in org.live(kind, field, [record_id])}
        if name in PEOPLE:
            for relation in org.live(f"{kind}Relation", "RelationId", [record_id]):
                row = org.store.get(kind, relation[f"{kind}Id"])
                if row is not None and not row.get("IsDeleted") and not relation.get("IsInvitee"):
                    rows[row["Id"]] = row
        yield from ((kind, row) for row in rows.values() if not row.get("IsChild"))


def is_past(kind: str, row: Row, now: str) -> bool:
    """Closed tasks and events that are over."""
    return bool(row.get("IsClosed")) if kind == "Task" else str(row.get("EndDateTime") or "") < now


def last_activity(org: Org, name: str, row: Row) -> str | None:
    """The latest due date of an event or a closed task (object reference, Opportunity.LastActivityDate)."""
    days = [a["ActivityDate"] for kind, a in activities(org, name, row["Id"])
            if a.get("ActivityDate") and (kind == "Event" or a.get("IsClosed"))]  # fmt: skip
    return max(days, default=None)


def listed(ctx: Context, view: str, name: str, record_id: str) -> list[Row]:
    """The rows of one of the two lists that the user may see."""
    org, now = ctx.org, stamp(ctx.org.frame.clock.now())
    return [
        _shown(org, kind, row)
        for kind, row in activities(org, name, record_id)
        if is_past(kind, row, now) is (view == PAST) and org.appeared(row) and org.readable(ctx, kind, row)
    ]


def _shown(org: Org, kind: str, row: Row) -> Row:
    email = next(iter(org.live("EmailMessage", "ActivityId", [row["Id"]])), None) if kind == "Task" else None
    return {**row, "ActivityType": row.get("Type"), "IsTask": kind == "Task",
            "ActivitySubtype": (row.get("TaskSubtype") or "Task") if kind == "Task" else "Event",
            "PrimaryWhoId": row.get("WhoId"), "PrimaryAccountId": row.get("AccountId"),
            "AlternateDetailId": email["Id"] if email else None}  # fmt: skip


def check(ctx: Context, view: str, query: Query, one_parent: bool) -> None:
    """The implementation restriction for whoever has not View All Data (object reference, usage)."""
    if ctx.user_id in ctx.org.administrators:
        return
    orders = tuple((o.what.text.lower() if isinstance(o.what, FieldPath) else "", o.descending, o.nulls_last)
                   for o in query.order)  # fmt: skip
    if one_parent and query.where is None and orders == ORDERS[view] and query.limit and query.limit <= MOST:
        return
    raise ApiError("MALFORMED_QUERY", f"There is an implementation restriction on {query.sobject}. When you query this "
                   "relationship, security evaluation is implemented for users who don't have administrator "
                   "permissions, and you must use a specific sort order, a limit of at most 499, no filter, and a "
                   "filter on the Id of one parent record.")  # fmt: skip
