"""Taking back what was written: look first, then write, so that nothing goes that somebody has touched.

A record that we created goes only when whoever created it is the last who changed it, within seconds of its creation,
and when nothing hangs on it but what this very removal takes away or what came into being with it (the contact role of
a new opportunity). An activity does not change the stamps of what it is about (providers.md 5.2), so our own mail is no
touch; other people's mails, tasks and events hang on the record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sync.errors import Busy, RemoteError
from sync.model import Outcome, RecordRef, Removal
from sync.providers.salesforce import soql
from sync.providers.salesforce.asking import PARTS_PER_CALL, Asker, Query, Row, within_subquery
from sync.providers.salesforce.auth import VENDOR
from sync.providers.salesforce.describe import Description
from sync.providers.salesforce.http import BUSY, DENIED, Fault, error_for, faults
from sync.providers.salesforce.items import moment
from sync.providers.salesforce.modules import Shape
from sync.providers.salesforce.values import object_of

WITHIN = timedelta(seconds=10)  # of its creation: not touched since
MOST_CHILDREN = 18  # sub-queries of one query; the service takes 20
# objects whose rows hang on a record although they are no custom ones
HANGING = (
    "Task", "Event", "EmailMessage", "Contact", "Opportunity", "Case", "Contract", "Order", "Asset", "Quote",
    "OpportunityContactRole", "CaseContactRole", "OpportunityLineItem", "CampaignMember",
    "CaseComment", "Note", "Attachment", "ContentDocumentLink",
)  # fmt: skip
# made anew with every record by the service, or seen through other objects
SHADOWS = ("History", "Feed", "Share", "Event__c")
# rows between two records: what goes with either
BETWEEN: Mapping[str, str] = {
    "OpportunityContactRole": "OpportunityId",
    "CaseContactRole": "CasesId",
    "ContentDocumentLink": "ContentDocumentId",
}
MOVES: Mapping[str, str] = {"email": "RelatedToId", "task": "WhatId"}
RELATIONS: Mapping[str, tuple[str, str]] = {
    "email": ("EmailMessageRelation", "EmailMessageId"),
    "task": ("TaskRelation", "TaskId"),
}
NO_DATE = frozenset({"Task", "Event", "EmailMessage", "ContentDocumentLink"})  # of which the time proves nothing
GONE = frozenset({"ENTITY_IS_DELETED", "NOT_FOUND", "INVALID_CROSS_REFERENCE_KEY"})


@dataclass(frozen=True, slots=True)
class Step:
    """One write. `what` names it in a note when it is refused."""

    request: Mapping[str, Any]
    what: str


@dataclass(slots=True)
class Undo:
    """One removal at a time. `shapes`: the modules of created items."""

    asker: Asker
    root: str
    description: Description
    shapes: Mapping[str, Shape]
    _notes: list[str] = field(default_factory=list)

    def run(self, removal: Removal) -> Outcome:
        """The outcome; an error is one that passes, the same call may be made again."""
        self._notes = []
        rows = self._look(removal)
        files = self._files(rows)
        # relations first: the automatic task of a mail is made anew from them when the mail's item is exchanged
        steps = [*self._unrelate(removal, rows), *self._leave_tasks(removal, rows), *self._restore(removal)]
        steps += [self._delete("ContentDocument", key, f"file {key}") for key in files]
        steps += [self._delete(object_of(one.kind), one.id, _named(one)) for one in removal.delete]
        steps += [
            self._delete(self._object(one), one.id, _named(one)) for one in self._untouched(removal, rows, set(files))
        ]
        error: RemoteError | None = None
        for at in range(0, len(steps), PARTS_PER_CALL):
            some = steps[at : at + PARTS_PER_CALL]
            parts = self.asker.parts([one.request for one in some], operation="undo", write=True)
            for step, part in zip(some, parts, strict=True):
                error = self._settle(step, part) or error
        return Outcome(removal.key, error, {}, tuple(dict.fromkeys(self._notes)))

    # --- looking

    def _look(self, removal: Removal) -> dict[str, list[Row]]:
        """Everything that must be known, by object."""
        queries: list[Query] = []
        people = [one.id for one in removal.created if one.kind in ("contact", "lead")]
        for kind, (name, activity) in RELATIONS.items():
            if kind == "task" and not self.description.shared_activities:
                continue
            where = [soql.within("RelationId", people)]
            where.append(soql.within(activity, [a.id for a, _ in removal.unrelate if a.kind == kind]))
            if condition := soql.either(where):
                queries.append(Query(name, soql.query(("Id", activity, "RelationId"), name, condition)))
        tasks = [a.id for a, _ in removal.unrelate if a.kind == "task"]
        if tasks:
            queries.append(Query("Task", soql.query(("Id", "WhoId", "WhatId"), "Task", soql.within("Id", tasks))))
        mails = [one.id for one in (*removal.delete, *(a for a, _ in removal.restore)) if one.kind == "email"]
        if mails:
            text = soql.query(("Id", "ActivityId"), "EmailMessage", soql.within("Id", mails))
            queries.append(Query("EmailMessage", text))
        if removal.delete:
            places = soql.within("FirstPublishLocationId", [one.id for one in removal.delete])
            queries.append(Query("ContentVersion", soql.query(("ContentDocumentId",), "ContentVersion", places)))
        by_object: dict[str, list[RecordRef]] = {}
        for one in removal.created:
            by_object.setdefault(self._object(one), []).append(one)
        queries += [Query(f"created {name}", self._created(name, some)) for name, some in by_object.items()]
        out: dict[str, list[Row]] = {}
        for query, answer in self.asker.rows(queries, strict=False):
            out.setdefault(query.about, []).extend(answer)
        return out

    def _created(self, name: str, records: Sequence[RecordRef]) -> str:
        columns = ["Id", "CreatedById", "CreatedDate", "LastModifiedById", "LastModifiedDate"]
        for (child, _), relationship in self._hanging(name):
            wanted = ["Id", *(("CreatedDate",) if child not in NO_DATE else ())]
            wanted += [BETWEEN[child]] if child in BETWEEN else []
            columns.append(f"({soql.query(wanted, relationship)})")
        return soql.query(columns, name, soql.within("Id", [one.id for one in records]))

    def _hanging(self, name: str) -> list[tuple[tuple[str, str], str]]:
        """The child relationships whose rows keep a record; custom ones last."""
        shape = next((one for one in self.shapes.values() if one.module.name == name), None)
        sobject = self.description.objects.get(name)
        children = shape.children if shape else sobject.children if sobject else {}
        found = [(place, child) for place, child in children.items() if self._hangs(place[0])]
        found.sort(key=lambda one: (HANGING.index(one[0][0]) if one[0][0] in HANGING else len(HANGING), one[0]))
        return found[:MOST_CHILDREN]

    @staticmethod
    def _hangs(child: str) -> bool:
        return child in HANGING or (child.endswith("__c") and not child.endswith(SHADOWS))

    def _files(self, rows: Mapping[str, Sequence[Row]]) -> list[str]:
        """The documents that were published on the activities and are shared with nothing else."""
        documents = sorted({row["ContentDocumentId"] for row in rows.get("ContentVersion", ())})
        if not documents:
            return []

        def build(some: Sequence[str]) -> str:
            within = soql.within("ContentDocumentId", some)
            return soql.query(("ContentDocumentId", "LinkedEntityId"), "ContentDocumentLink", within)

        queries = [Query("ContentDocumentLink", text) for text in soql.fit(documents, build)]
        links = [row for _, answer in self.asker.rows(queries) for row in answer]
        shared = {
            document
            for document in documents
            if sum(not row["LinkedEntityId"].startswith("005") for row in links if row["ContentDocumentId"] == document)
            > 1
        }
        self._notes += [f"file {document} left: it is shared with other records" for document in sorted(shared)]
        return [document for document in documents if document not in shared]

    # --- deciding

    def _untouched(self, removal: Removal, rows: Mapping[str, Sequence[Row]], files: set[str]) -> list[RecordRef]:
        """Of the created records those that may go, in their order; the others are named in the notes."""
        going = {one.id for one in removal.delete} | files
        moving = {activity.id for activity, _ in removal.restore}
        apart = {(activity.id, person.id) for activity, person in removal.unrelate}
        going |= {row["ActivityId"] for row in rows.get("EmailMessage", ()) if row.get("ActivityId")}
        related: dict[str, set[str]] = {}
        for name, activity in RELATIONS.values():
            for row in rows.get(name, ()):
                if (row[activity], row["RelationId"]) not in apart:
                    related.setdefault(row["RelationId"], set()).add(row[activity])
        known = {row["Id"]: row for key, some in rows.items() if key.startswith("created ") for row in some}
        out = []
        for one in removal.created:
            if one.id not in known:
                continue  # gone already
            row = known[one.id]
            why = _touched(row)
            children = [child for _, child in self._hanging(self._object(one))]
            if not why and self._held(
                row, children, going | moving, set(known) - going, related.get(one.id, set()) - going
            ):
                why = "other records belong to it"
            if why:
                self._notes.append(f"{_named(one)} left: {why}")
            else:
                going.add(one.id)
                out.append(one)
        return out

    def _held(
        self, row: Row, relationships: Iterable[str], going: set[str], ours: set[str], activities: set[str]
    ) -> bool:
        """Whether something hangs on the record. What came with it, but is none of ours that stays, does not."""
        if activities:
            return True
        for relationship in relationships:
            for child in within_subquery(row, relationship):
                child = {name: value for name, value in child.items() if name != "attributes"}
                came_with_it = "CreatedDate" in child and _soon(row, child["CreatedDate"]) and child["Id"] not in ours
                if not came_with_it and not going & set(child.values()):
                    return True
        return False

    # --- writing

    def _object(self, record: RecordRef) -> str:
        shape = self.shapes.get(record.kind)
        return shape.module.name if shape else object_of(record.kind)

    def _restore(self, removal: Removal) -> list[Step]:
        return [
            Step(
                {
                    "method": "PATCH",
                    "url": f"{self.root}/sobjects/{object_of(one.kind)}/{one.id}",
                    "body": {MOVES[one.kind]: former.id if former else None},
                },
                f"relation of {_named(one)}",
            )
            for one, former in removal.restore
            if one.kind in MOVES
        ]

    def _unrelate(self, removal: Removal, rows: Mapping[str, Sequence[Row]]) -> list[Step]:
        return [
            self._delete("EmailMessageRelation", row["Id"], f"relation of {_named(activity)} to {_named(person)}")
            for activity, person in removal.unrelate
            for row in rows.get("EmailMessageRelation", ())
            if row["EmailMessageId"] == activity.id and row["RelationId"] == person.id
        ]

    def _leave_tasks(self, removal: Removal, rows: Mapping[str, Sequence[Row]]) -> list[Step]:
        """A task names its people in one list, the first of them as WhoId."""
        out = []
        for task in rows.get("Task", ()):
            leaving = {person.id for activity, person in removal.unrelate if activity.id == task["Id"]}
            there = [row["RelationId"] for row in rows.get("TaskRelation", ()) if row["TaskId"] == task["Id"]]
            people = list(dict.fromkeys(one for one in (task["WhoId"], *there) if one and one != task["WhatId"]))
            stay = [one for one in people if one not in leaving]
            if len(stay) == len(people):
                continue
            body = {"TaskWhoIds": stay} if stay and self.description.shared_activities else {"WhoId": None}
            url = f"{self.root}/sobjects/Task/{task['Id']}"
            out.append(Step({"method": "PATCH", "url": url, "body": body}, f"relations of task {task['Id']}"))
        return out

    def _delete(self, name: str, key: str, what: str) -> Step:
        return Step({"method": "DELETE", "url": f"{self.root}/sobjects/{name}/{key}"}, what)

    def _settle(self, step: Step, part: Mapping[str, Any]) -> RemoteError | None:
        """An error that passes; a refusal is told."""
        status = int(part["httpStatusCode"])
        if status < 300:
            return None
        fault = next(iter(faults(part.get("body"))), Fault(f"HTTP_{status}"))
        if fault.code in GONE or status == 404:
            return None
        if status >= 500 and fault.code not in BUSY:
            return Busy(fault.code, retry_after=30.0, vendor=VENDOR, operation="undo", status=status)
        if fault.code in BUSY or fault.code in DENIED:
            return error_for(fault, "undo", status)
        self._notes.append(f"{step.what} left: {fault.code}")
        return None


def _touched(row: Row) -> str:
    if row["LastModifiedById"] != row["CreatedById"]:
        return "somebody has changed it since"
    return "" if _soon(row, row["LastModifiedDate"]) else "it has been changed since"


def _soon(row: Row, stamp: str) -> bool:
    return moment(stamp) - moment(row["CreatedDate"]) <= WITHIN


def _named(record: RecordRef) -> str:
    return f"{record.kind} {record.id}"
