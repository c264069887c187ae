"""Tasks and events: who and what, junction lists, times (`providers.md` 5.3, SF-18 to SF-20)."""

from __future__ import annotations

from datetime import timedelta

from sandbox.salesforce import changes
from sandbox.salesforce.changes import Change, Rules
from sandbox.salesforce.errors import ApiError, field_error, not_simulated
from sandbox.salesforce.org import Context
from sandbox.salesforce.reading import INVITEE_STATUS, whos
from sandbox.salesforce.sales import closed
from sandbox.salesforce.store import Row
from sandbox.salesforce.values import moment, stamp

MAX_WHOS = 50
MAX_DAYS = 14
REMINDER = frozenset({"IsReminderSet", "ReminderDateTime"})


# ---- who and what ------------------------------------------------------------------------------


def _take_whos(change: Change, field: str) -> None:
    """WhoId and the junction list agree: the first of the list is WhoId (SF-18)."""
    row, org = change.row, change.ctx.org
    if field in change.links and org.shared_activities:
        ids = change.links[field]
        if "WhoId" in change.given and row.get("WhoId") and row["WhoId"] not in ids:
            ids.insert(0, row["WhoId"])
        row["WhoId"] = row["WhoId"] if "WhoId" in change.given and row.get("WhoId") else (ids[0] if ids else None)
        change.links[field] = ids = sorted(ids, key=lambda i: i != row["WhoId"])
    elif change.changed("WhoId") and org.shared_activities:
        before = whos(org, change.sobject.name, row["Id"]) if change.old else []
        old = (change.old or {}).get("WhoId")
        left = [i for i in before if i not in (old, row.get("WhoId"))]
        row["WhoId"] = row.get("WhoId") or (left[0] if left else None)
        change.links[field] = ids = [i for i in dict.fromkeys([row["WhoId"], *left]) if i]
    else:
        ids = [row["WhoId"]] if row.get("WhoId") else []
        if change.old is not None and org.shared_activities:
            ids = whos(org, change.sobject.name, row["Id"])
    _check_whos(change, field, ids)


def _check_whos(change: Change, field: str, ids: list[str]) -> None:
    leads = [i for i in ids if change.ctx.org.object_of(i) == "Lead"]
    if len(ids) > MAX_WHOS:
        raise field_error(f"{field}: an activity can have at most {MAX_WHOS} contacts", field)
    if leads and len(ids) > 1:
        raise field_error(f"{field}: an activity can be related to several contacts or to one lead", field)
    if leads and change.row.get("WhatId"):
        raise field_error("WhatId: an activity of a lead cannot be related to another object", "WhatId")


def _write_relations(change: Change, field: str) -> None:
    """TaskRelation or EventRelation rows for WhatId and for the list."""
    ctx, row, kind = change.ctx, change.row, change.sobject.name
    if kind == "Task" and not ctx.org.shared_activities:
        return
    name = f"{kind}Relation"
    relation = ctx.org.full_schema.objects[name]
    mine = list(ctx.org.live(name, f"{kind}Id", [row["Id"]]))
    if change.changed("WhatId"):
        for old in (r for r in mine if r.get("IsWhat")):
            changes.remove(ctx, relation, old, old["Id"])
        if row.get("WhatId"):
            _relate(ctx, kind, row, row["WhatId"], what=True)
    wanted = change.links.get(field)
    if wanted is None:
        return
    kept = [r for r in mine if not r.get("IsWhat") and (kind == "Task" or r.get("IsParent"))]
    for old in kept:
        if old["RelationId"] not in wanted:
            changes.remove(ctx, relation, old, old["Id"])
    for record_id in wanted:
        if record_id not in {r["RelationId"] for r in kept}:
            _relate(ctx, kind, row, record_id)
    _count(ctx, kind, row["Id"])


def _relate(ctx: Context, kind: str, row: Row, record_id: str, what: bool = False) -> None:
    relation = ctx.org.full_schema.objects[f"{kind}Relation"]
    new: Row = {f"{kind}Id": row["Id"], "RelationId": record_id, "IsWhat": what, "AccountId": row.get("AccountId")}
    if kind == "Event":
        new |= {"IsParent": True, "IsInvitee": False}
    changes.insert(ctx, relation, new | {"_own": True})


def _count(ctx: Context, kind: str, record_id: str) -> None:
    row = ctx.org.store.get(kind, record_id) or {}
    count = len(whos(ctx.org, kind, record_id))
    ctx.org.store.put(kind, {**row, "WhoCount": count, "WhatCount": int(bool(row.get("WhatId")))})


def _account(change: Change) -> None:
    """AccountId of an activity follows from WhatId, then WhoId."""
    for name in ("WhatId", "WhoId"):
        found = change.ctx.org.find(change.row.get(name))
        if found and (found[0] == "Account" or found[1].get("AccountId")):
            change.row["AccountId"] = found[1]["Id"] if found[0] == "Account" else found[1]["AccountId"]
            return
    change.row["AccountId"] = None


# ---- tasks -------------------------------------------------------------------------------------


def before_task(change: Change) -> None:
    """IsClosed follows Status (SF-19)."""
    row = change.row
    if row.get("IsRecurrence"):
        raise not_simulated("recurring tasks")
    if change.old is None and row.get("TaskSubtype") == "Cadence":
        raise ApiError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                       "Task Subtype: bad value for restricted picklist field: Cadence", ["TaskSubtype"])  # fmt: skip
    is_closed = closed("TaskStatus", row["Status"])
    if is_closed != bool((change.old or {}).get("IsClosed")):
        row["CompletedDateTime"] = change.ctx.org.stamp() if is_closed else None
    row["IsClosed"], row["IsHighPriority"] = is_closed, row.get("Priority") == "High"
    _take_whos(change, "TaskWhoIds")
    _account(change)


def after_task(change: Change) -> None:
    """Relations follow the lists."""
    _write_relations(change, "TaskWhoIds")


def before_task_relation(change: Change) -> None:
    """A relation of its own is checked like an entry of TaskWhoIds."""
    org, row = change.ctx.org, change.row
    if row.pop("_own", False):
        return
    for other in org.live("TaskRelation", "TaskId", [row["TaskId"]]):
        if other["RelationId"] == row["RelationId"]:
            raise ApiError("DUPLICATE_VALUE", "duplicate value found: <unknown> duplicates value on record with id: "
                           f"{other['Id'][:15]}", [])  # fmt: skip
    task = (org.find(row["TaskId"]) or ("", {}))[1]
    row["IsWhat"] = org.object_of(row["RelationId"]) not in ("Contact", "Lead")
    _check_whos(Change(change.ctx, change.sobject, None, task, frozenset()), "RelationId",
                whos(org, "Task", row["TaskId"]) + ([] if row["IsWhat"] else [row["RelationId"]]))  # fmt: skip


def after_task_relation(change: Change) -> None:
    """The first relation becomes WhoId."""
    org, row = change.ctx.org, change.row
    task = org.store.get("Task", row["TaskId"])
    if task is not None and not row.get("IsWhat"):
        if not task.get("WhoId"):
            org.store.put("Task", {**task, "WhoId": row["RelationId"]})
        _count(change.ctx, "Task", row["TaskId"])


# ---- events ------------------------------------------------------------------------------------


def before_event(change: Change) -> None:
    """Times, privacy, child copies (SF-19, SF-20)."""
    row, old = change.row, change.old
    if row.get("IsRecurrence") or row.get("Recurrence2PatternText"):
        raise not_simulated("event series")
    if old is not None and old.get("IsChild") and change.given - REMINDER:
        raise ApiError("INSUFFICIENT_ACCESS_OR_READONLY", "only the reminder of an invitee's event can be changed", [])
    _times(change)
    if row.get("IsPrivate") and (row.get("WhoId") or row.get("WhatId")):
        raise field_error("IsPrivate: a private event cannot be related to other records", "IsPrivate")
    _take_whos(change, "EventWhoIds")
    _account(change)


def _times(change: Change) -> None:
    row = change.row
    if row.get("IsAllDayEvent"):
        _all_day(change)
        return
    start = row.get("StartDateTime") if change.changed("StartDateTime") or change.old else row.get("ActivityDateTime")
    start = start or row.get("ActivityDateTime")
    if start is None:
        raise ApiError("REQUIRED_FIELD_MISSING", "Required fields are missing: [StartDateTime]", ["StartDateTime"])
    if "ActivityDateTime" in change.given and row.get("ActivityDateTime") not in (None, start):
        raise field_error("ActivityDateTime must match StartDateTime", "ActivityDateTime")
    minutes = row.get("DurationInMinutes")
    if "EndDateTime" in change.given and row.get("EndDateTime"):
        length = moment(row["EndDateTime"]) - moment(start)
        if "DurationInMinutes" in change.given and minutes is not None and length != timedelta(minutes=minutes):
            raise field_error("EndDateTime and DurationInMinutes do not agree", "EndDateTime")
    elif minutes is not None:
        length = timedelta(minutes=minutes)
    else:
        raise ApiError("REQUIRED_FIELD_MISSING", "Required fields are missing: [EndDateTime]", ["EndDateTime"])
    _set_times(change, start, length)


def _all_day(change: Change) -> None:
    row = change.row
    start = row.get("StartDateTime") or row.get("ActivityDate") or row.get("ActivityDateTime")
    if start is None:
        raise ApiError("REQUIRED_FIELD_MISSING", "Required fields are missing: [ActivityDate]", ["ActivityDate"])
    first = moment(f"{start[:10]}T00:00:00Z")
    end = row.get("EndDateTime") if "EndDateTime" in change.given else None
    if end is not None and not end.endswith("T00:00:00.000+0000"):
        raise field_error("An all-day event starts and ends at midnight UTC", "EndDateTime")
    if end is not None:
        length = moment(end) - first
    else:
        kept = (row.get("DurationInMinutes") or 1440) - 1440 if change.old or row.get("DurationInMinutes") else 0
        length = timedelta(minutes=kept)
    _set_times(change, stamp(first), length)
    row["DurationInMinutes"] = int(length.total_seconds() // 60) + 1440  # the last day counts whole


def _set_times(change: Change, start: str, length: timedelta) -> None:
    if length < timedelta(0):
        raise field_error("Event duration cannot be negative", "DurationInMinutes")
    if length > timedelta(days=MAX_DAYS):
        raise field_error(f"The duration of an event cannot be more than {MAX_DAYS} days", "DurationInMinutes")
    end = moment(start) + length
    change.row |= {"StartDateTime": start, "ActivityDateTime": start, "ActivityDate": start[:10],
                   "EndDateTime": stamp(end), "EndDate": stamp(end)[:10],
                   "DurationInMinutes": int(length.total_seconds() // 60)}  # fmt: skip


def after_event(change: Change) -> None:
    """Relations, and a child copy for every invited user."""
    ctx, row = change.ctx, change.row
    if row.get("IsChild"):
        return
    _write_relations(change, "EventWhoIds")
    for field, status in INVITEE_STATUS.items():
        if field in change.links:
            _invite(ctx, row, change.links[field], status)
    for child in [r for r in ctx.org.store.table("Event").values() if r.get("_master") == row["Id"]]:
        if not child["IsDeleted"] and change.old is not None:
            kept = {k: child.get(k) for k in ("Id", "OwnerId", "CreatedDate", "CreatedById", "_master", *REMINDER)}
            ctx.org.store.put("Event", {**row, **kept, "IsChild": True})


def _invite(ctx: Context, row: Row, ids: list[str], status: str) -> None:
    relation = ctx.org.full_schema.objects["EventRelation"]
    for old in list(ctx.org.live("EventRelation", "EventId", [row["Id"]])):
        if old.get("IsInvitee") and (old.get("Status") == status or old["RelationId"] in ids):
            changes.remove(ctx, relation, old, old["Id"])
    for record_id in ids:
        changes.insert(ctx, relation, {"EventId": row["Id"], "RelationId": record_id, "IsInvitee": True,
                                       "IsParent": False, "IsWhat": False, "Status": status, "_own": True})  # fmt: skip


def before_event_relation(change: Change) -> None:
    """Relations made by this module need no check; a client may not relate an object twice."""
    row, org = change.row, change.ctx.org
    if row.pop("_own", False) or change.old is not None:
        return
    row["IsWhat"] = org.object_of(row["RelationId"]) not in ("Contact", "Lead", "User")
    for other in org.live("EventRelation", "EventId", [row["EventId"]]):
        if other["RelationId"] == row["RelationId"] and bool(other.get("IsInvitee")) == bool(row.get("IsInvitee")):
            raise ApiError("DUPLICATE_VALUE", "duplicate value found: <unknown> duplicates value on record with id: "
                           f"{other['Id'][:15]}", [])  # fmt: skip


def after_event_relation(change: Change) -> None:
    """An invited user gets a child copy of the event; the master becomes a group event."""
    ctx, relation = change.ctx, change.row
    master = ctx.org.store.get("Event", relation["EventId"])
    if master is None or not relation.get("IsInvitee") or change.old is not None:
        return
    ctx.org.store.put("Event", {**master, "IsGroupEvent": True, "GroupEventType": "1"})
    if ctx.org.object_of(relation["RelationId"]) != "User":
        return
    event = ctx.org.full_schema.objects["Event"]
    copy = {k: v for k, v in master.items() if k not in ("Id", "WhoCount", "WhatCount")}
    copy |= {"Id": ctx.org.ids.make(event.prefix), "OwnerId": relation["RelationId"], "IsChild": True,
             "IsGroupEvent": True, "GroupEventType": "1", "IsReminderSet": False, "_master": master["Id"]}  # fmt: skip
    changes.touch(ctx, event, copy)
    ctx.org.store.put("Event", copy)


def delete_event(ctx: Context, row: Row) -> None:
    """Child copies go with their master."""
    event = ctx.org.full_schema.objects["Event"]
    for child in [r for r in ctx.org.store.table("Event").values() if r.get("_master") == row["Id"]]:
        if not child["IsDeleted"]:
            changes.remove(ctx, event, child, row["Id"])


changes.RULES |= {
    "Task": Rules(before=before_task, after=after_task, cascade=(("TaskRelation", "TaskId"),)),
    "Event": Rules(before=before_event, after=after_event, before_delete=delete_event,
                   cascade=(("EventRelation", "EventId"),)),
    "TaskRelation": Rules(before=before_task_relation, after=after_task_relation),
    "EventRelation": Rules(before=before_event_relation, after=after_event_relation),
}  # fmt: skip
