"""Matching: a `Question` as SOQL, five queries in one composite call, and its answer (providers.md 5.4).

One query per object asks for everything that is wanted of it: contacts by address and, as evidence for accounts, by the
domain of their address; accounts by name, web site and e-mail field. So a normal mail costs one call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from sync.core.names import company_key
from sync.model import Account, Directory, Filed, Person, Question, RecordRef, Sent
from sync.providers.salesforce import soql
from sync.providers.salesforce.asking import Query, Row
from sync.providers.salesforce.describe import KINDS, Description
from sync.providers.salesforce.domains import below, email_domain, host, spellings
from sync.providers.salesforce.values import identifier, kind_of, message_id_of, subject

Rows = Mapping[str, Sequence[Row]]
MARGIN = timedelta(minutes=10)  # between our clock and Salesforce's
LONGEST_NAME = 255
PEOPLE = ("User", "Contact", "Lead")
ABOUT = {"EmailMessage": ("RelatedToId", "RelatedTo.Type"), "Task": ("WhatId", "What.Type")}  # the item
_FILTER = {"User": "IsActive = true", "Lead": "IsConverted = false"}
_COLUMNS = {"Contact": ("AccountId", "Account.Name", "Account.CreatedDate", "OwnerId"), "Lead": ("OwnerId",)}


@dataclass(frozen=True, slots=True)
class Key:
    """One thing to look for."""

    by: Literal["address", "domain", "company", "website"]
    value: str


class Plan:
    """The queries of a question in one organisation. `extra` are further e-mail fields; "auto" stands for those that
    the description shows."""

    def __init__(self, question: Question, description: Description, extra: Sequence[str] = ("auto",)) -> None:
        self.question = question
        self._description = description
        self._fields = {name: email_fields(description, name, extra) for name in KINDS}

    def queries(self) -> list[Query]:
        """What to ask; each fits, together they answer everything."""
        return [*self._people(), *self._accounts(), *self._mails(), *self._tasks()]

    def people_by_address(self) -> list[Query]:
        """Contacts without the evidence for accounts, for when that is too much."""
        addresses = [Key("address", value) for value in sorted(self.question.addresses)]
        return self._person("Contact", addresses)

    def accounts_of_contacts(self) -> list[tuple[str, Query]]:
        """The accounts that have contacts with addresses of a domain, one query for each domain."""
        out = []
        for domain in sorted(self.question.domains):
            contacts = soql.inner("AccountId", "Contact", self._condition("Contact", Key("domain", domain)))
            query = soql.select(("Id", "Name", "CreatedDate"), "Account", f"Id IN {contacts}")
            out.append((domain, Query("Account", query)))
        return out

    def people_of_tasks(self, rows: Rows) -> list[Query]:
        """Who else shares the tasks that were found; asked apart, as the tasks cannot be named in a sub-query."""
        if not self._description.shared_activities:
            return []
        ids = [row["Id"] for row, _ in self._found_tasks(rows)]

        def build(some: Sequence[str]) -> str:
            return soql.select(("TaskId", "RelationId"), "TaskRelation", soql.within("TaskId", some))

        return [Query("TaskRelation", text) for text in soql.fit(ids, build)]

    # --- asking

    def _people(self) -> list[Query]:
        addresses = [Key("address", value) for value in sorted(self.question.addresses)]
        domains = [Key("domain", value) for value in sorted(self.question.domains)]
        out: list[Query] = []
        for name in PEOPLE:
            out += self._person(name, addresses + domains if name == "Contact" else addresses)
        return out

    def _person(self, name: str, keys: Sequence[Key]) -> list[Query]:
        fields = self._fields[name]
        if not fields:
            return []
        columns = ("Id", "Name", "CreatedDate", *fields, *_COLUMNS.get(name, ()))
        return self._queries(name, columns, keys)

    def _accounts(self) -> list[Query]:
        if "Account" not in self._description.objects:
            return []
        names = [Key("company", name) for name in sorted(self.question.companies) if 0 < len(name) <= LONGEST_NAME]
        keys = names + [Key("website", domain) for domain in sorted(self.question.domains)]
        columns = ("Id", "Name", "CreatedDate", "Website", *self._fields["Account"])
        return self._queries("Account", columns, keys)

    def _queries(self, name: str, columns: Sequence[str], keys: Sequence[Key]) -> list[Query]:
        def build(some: Sequence[Key]) -> str:
            addresses = [key.value for key in some if key.by == "address"]
            exact = [soql.within(field, addresses) for field in self._fields[name]]
            exact.append(soql.within("Name", [key.value for key in some if key.by == "company"]))
            loose = [self._condition(name, key) for key in some if key.by in ("domain", "website")]
            where = [soql.either([*exact, *loose]), _FILTER.get(name, "")]
            condition = " AND ".join(part for part in where if part)
            return soql.select(columns, name, condition)

        return [Query(name, text) for text in soql.fit(keys, build)]

    def _condition(self, name: str, key: Key) -> str:
        """A pre-selection by domain: LIKE finds too much, the answer compares exactly."""
        if key.by == "domain":
            found = [soql.like("Email", "%", domain) for domain in spellings(key.value)]
            return f"(AccountId != null AND {soql.either(found)})"
        site = [soql.like("Website", "%", domain, "%") for domain in spellings(key.value)]
        mail = [soql.like(field, "%", domain) for field in self._fields[name] for domain in spellings(key.value)]
        return soql.either([*site, *mail])

    def _mails(self) -> list[Query]:
        if "EmailMessage" not in self._description.objects:
            return []
        ids = sorted(self.question.message_ids | {sent.message_id for sent in self.question.sent})
        relations = "(SELECT RelationId FROM EmailMessageRelations)"

        def build(some: Sequence[str]) -> str:
            condition = soql.within("MessageIdentifier", [identifier(value) for value in some])
            columns = ("Id", "MessageIdentifier", "ActivityId", *ABOUT["EmailMessage"], "CreatedDate", relations)
            return soql.select(columns, "EmailMessage", condition)

        return [Query("EmailMessage", text) for text in soql.fit(ids, build)]

    def _tasks(self) -> list[Query]:
        """A task has no Message-ID to ask for: subject and time pre-select, the text decides (Description cannot be
        filtered, providers.md 5.3)."""
        sent = sorted(self.question.sent, key=lambda one: one.message_id)
        columns = ("Id", "Subject", "Description", "CreatedDate", "OwnerId", "WhoId", *ABOUT["Task"])

        def build(some: Sequence[Sent]) -> str:
            since = soql.moment(min(one.since for one in some) - MARGIN)
            names = soql.within("Subject", sorted({subject(one.subject) for one in some}))
            return soql.select(columns, "Task", f"{names} AND CreatedDate >= {since} AND TaskSubtype = 'Email'")

        return [Query("Task", text) for text in soql.fit(sent, build)]

    # --- answering

    def answer(
        self,
        rows: Rows,
        by_contacts: Mapping[str, Sequence[Row]] | None = None,
        items: Mapping[RecordRef, bool] | None = None,
    ) -> Directory:
        """The directory that the rows make, oldest record first everywhere; users before contacts before leads.
        `by_contacts` are accounts by domain that were asked apart, as `items` were."""
        filed = self._answer_filed(rows)
        return Directory(
            people=self._answer_people(rows),
            by_domain=self._answer_domains(rows, by_contacts or {}),
            by_company=self._answer_companies(rows.get("Account", ())),
            filed=filed,
            beside=self._answer_beside(rows, filed),
            items=items or {},
        )

    def _answer_people(self, rows: Rows) -> dict[str, tuple[Person, ...]]:
        found: dict[str, dict[str, Person]] = {address: {} for address in self.question.addresses}
        for name in PEOPLE:
            for row in _ordered(rows.get(name, ())):
                for field in self._fields[name]:
                    address = (row.get(field) or "").strip().lower()
                    if address in found:
                        found[address].setdefault(row["Id"], _person(name, row, address, field))
        return {address: tuple(people.values()) for address, people in found.items()}

    def _answer_companies(self, accounts: Sequence[Row]) -> dict[str, tuple[Account, ...]]:
        found: dict[str, dict[str, Account]] = {name: {} for name in self.question.companies}
        for row in _ordered(accounts):
            name = company_key(row.get("Name") or "")
            if name in found:
                found[name].setdefault(row["Id"], Account(RecordRef("account", row["Id"]), row["Name"], "name"))
        return {name: tuple(records.values()) for name, records in found.items()}

    def _answer_domains(self, rows: Rows, by_contacts: Mapping[str, Sequence[Row]]) -> dict[str, tuple[Account, ...]]:
        out = {}
        for domain in self.question.domains:
            website = [row for row in rows.get("Account", ()) if below(host(row.get("Website") or ""), domain)]
            email = [row for row in rows.get("Account", ()) if self._mails_from(row, self._fields["Account"], domain)]
            email += [
                {"Id": row["AccountId"], **row["Account"]}
                for row in rows.get("Contact", ())
                if row.get("AccountId") and row.get("Account") and self._mails_from(row, ("Email",), domain)
            ]
            email += by_contacts.get(domain, ())
            sites = {row["Id"] for row in website}
            unique = {row["Id"]: row for row in _ordered([*website, *email])}
            out[domain] = tuple(
                Account(RecordRef("account", key), row.get("Name") or "", "website" if key in sites else "email")
                for key, row in unique.items()
            )
        return out

    @staticmethod
    def _mails_from(row: Row, fields: Iterable[str], domain: str) -> bool:
        return any(below(email_domain(row.get(field) or ""), domain) for field in fields)

    def _answer_filed(self, rows: Rows) -> dict[str, Filed]:
        wanted = self._identifiers()
        out: dict[str, Filed] = {}
        for row in _ordered(rows.get("EmailMessage", ())):
            key = wanted.get(row.get("MessageIdentifier") or "")
            if key is not None and key not in out:
                people = [
                    child.get("RelationId") for child in (row.get("EmailMessageRelations") or {}).get("records") or ()
                ]
                activity = RecordRef("task", row["ActivityId"]) if row.get("ActivityId") else None
                item = _item(row, "RelatedTo")
                out[key] = Filed(RecordRef("email", row["Id"]), _people(people, item), activity, item)
        mails = frozenset(out)
        for row, key in self._found_tasks(rows):
            if key in mails:
                continue
            one = self._filed_task(row, rows)
            known = out.get(key)  # one mail may have several tasks: the oldest is the activity
            out[key] = replace(known, people=known.people | one.people) if known else one
        return out

    def _answer_beside(self, rows: Rows, filed: Mapping[str, Filed]) -> dict[tuple[str, RecordRef], Filed]:
        """Further tasks of mails, by what they are about. A mail's automatic task is none of them, nor is the one that
        is its main record."""
        out: dict[tuple[str, RecordRef], Filed] = {}
        automatic = {row.get("ActivityId") for row in rows.get("EmailMessage", ())}
        for row, key in self._found_tasks(rows):
            one = self._filed_task(row, rows)
            main = filed.get(key)
            if row["Id"] in automatic or one.item is None or (main is not None and main.record == one.record):
                continue
            for sent in self.question.sent:
                wanted = sent.beside if sent.message_id == key else None
                if wanted is not None and _about(one.item, wanted):
                    out.setdefault((key, wanted), one)
        return out

    def _filed_task(self, row: Row, rows: Rows) -> Filed:
        shared = [one["RelationId"] for one in rows.get("TaskRelation", ()) if one["TaskId"] == row["Id"]]
        item = _item(row, "What")
        return Filed(
            RecordRef("task", row["Id"]), _people([*shared, row.get("WhoId"), row.get("OwnerId")], item), item=item
        )

    def _found_tasks(self, rows: Rows) -> list[tuple[Row, str]]:
        """The tasks that are ours, and the Message-ID of each; oldest first."""
        sent = {one.message_id for one in self.question.sent}
        wanted = {held: key for held, key in self._identifiers().items() if key in sent}
        found = [
            (row, wanted.get(message_id_of(row.get("Description") or ""))) for row in _ordered(rows.get("Task", ()))
        ]
        return [(row, key) for row, key in found if key is not None]

    def _identifiers(self) -> dict[str, str]:
        """How the CRM holds the Message-IDs that are asked for."""
        asked = self.question.message_ids | {one.message_id for one in self.question.sent}
        return {identifier(key): key for key in asked}


def email_fields(description: Description, name: str, extra: Sequence[str]) -> tuple[str, ...]:
    """The fields of an object that are asked for an address; the standard one always."""
    found = description.objects.get(name)
    if found is None:
        return ()
    if name == "User":  # a mailbox's user may be declared by the name that signs in
        return ("Email", "Username")
    known = found.email_fields
    wanted = {field.lower() for field in extra}
    return tuple(field for field in known if "auto" in wanted or field == "Email" or field.lower() in wanted) + tuple(
        sorted(
            item.name
            for item in found.fields.values()
            if item.name.lower() in wanted and item.name not in known and item.filterable
        )
    )


def _ordered(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.get("CreatedDate") or "", row["Id"]))


def _person(name: str, row: Row, address: str, field: str) -> Person:
    account = RecordRef("account", row["AccountId"]) if row.get("AccountId") else None
    return Person(
        RecordRef(KINDS[name], row["Id"]), row.get("Name") or "", address, account, field, row.get("OwnerId") or ""
    )


def _item(row: Row, relationship: str) -> RecordRef | None:
    """The item that an activity is about, by what the CRM calls its kind; users may not see it, then by its id."""
    key = row.get(f"{relationship}Id")
    if not key:
        return None
    kind = (row.get(relationship) or {}).get("Type")
    return RecordRef(str(kind).lower() if kind else kind_of(key), key)


def _about(item: RecordRef, wanted: RecordRef) -> bool:
    return item.id[:15] == wanted.id[:15] if wanted.id else item.kind == wanted.kind


def _people(ids: Iterable[str | None], item: RecordRef | None) -> frozenset[RecordRef]:
    """Everybody related, and the item."""
    known = {item.id: item} if item else {}
    return _refs(one for one in ids if one not in known) | frozenset(known.values())


def _refs(ids: Iterable[str | None]) -> frozenset[RecordRef]:
    return frozenset(RecordRef(kind_of(one), one) for one in ids if one)
