"""Fills an org from the organisation file: users, switches, custom objects and fields, records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.salesforce import changes
from sandbox.salesforce.customise import customise
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.generate import generate
from sandbox.salesforce.org import ADMINISTRATOR, Context, DuplicateRule, Org
from sandbox.salesforce.sales import STAGES, STATUSES
from sandbox.salesforce.store import Row
from sandbox.salesforce.values import convert

Json = dict[str, Any]
PROFILES = (ADMINISTRATOR, "Standard User", "Minimum Access - Salesforce")


class Seeder:
    """Adds organisations to an org; the keys of one organisation are known to the next."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self.keys: dict[str, str] = {}

    def seed(self, organisation: Json) -> None:
        """Add users and the `salesforce` part; ValueError says what is wrong with them."""
        part: Json = organisation.get("salesforce") or {}
        try:
            with self._org.store.transaction():
                self._switches(part.get("org") or {})
                self._basics()
                self._users(organisation.get("users") or [], part.get("integration_user"))
                self.custom(part)
                self._records(part.get("records") or {})
                for order in part.get("generate") or []:
                    fields = {name: self._resolved(value) for name, value in (order.get("fields") or {}).items()}
                    generate(self._org, {**order, "fields": fields})
                self._org.duplicate_rules += [
                    DuplicateRule(r["object"], tuple(r["fields"]), r.get("action", "block"))
                    for r in part.get("duplicate_rules") or []]  # fmt: skip
        except ApiError as error:
            raise ValueError(f"salesforce: {error}") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"salesforce: {type(error).__name__} {error}") from error

    # -- org and users ---------------------------------------------------------------------------

    def _switches(self, given: Json) -> None:
        org = self._org
        if given.get("person_accounts"):
            raise ValueError("salesforce: person accounts are not simulated")
        org.name, org.edition = given.get("name", org.name), given.get("edition", org.edition)
        org.licences = int(given.get("licences", org.licences))
        org.currencies = dict(given.get("currencies", org.currencies))
        org.switch(team_selling=bool(given.get("team_selling", org.team_selling)),
                   multi_currency=bool(given.get("multi_currency", org.multi_currency)),
                   shared_activities=bool(given.get("shared_activities", org.shared_activities)),
                   enhanced_email=bool(given.get("enhanced_email", org.enhanced_email)),
                   private=given.get("sharing", "private" if org.private else "public") == "private")  # fmt: skip

    def _basics(self) -> None:
        org = self._org
        if org.store.table("Profile"):
            return
        for name in PROFILES:
            self._raw("Profile", {"Name": name, "UserType": "Standard"})
        for kind, values in STATUSES.items():
            flag = "IsConverted" if kind == "LeadStatus" else "IsClosed"
            for number, (label, on, default) in enumerate(values, 1):
                self._raw(kind, {"MasterLabel": label, "ApiName": label, flag: on, "IsDefault": default,
                                 "SortOrder": number})  # fmt: skip
        for number, (label, (probability, category, name, is_closed, won)) in enumerate(STAGES.items(), 1):
            self._raw("OpportunityStage", {
                "MasterLabel": label, "ApiName": label, "DefaultProbability": float(probability), "IsActive": True,
                "ForecastCategory": category, "ForecastCategoryName": name, "IsClosed": is_closed, "IsWon": won,
                "SortOrder": number})  # fmt: skip
        access = "None" if org.private else "Edit"
        defaults = {f"Default{name}Access": access for name in ("Account", "Contact", "Case", "Lead", "Opportunity")}
        self._raw("Organization", {"Id": org.org_id, "Name": org.name, "OrganizationType": f"{org.edition} Edition",
                                   "LanguageLocaleKey": "en_US", "DefaultLocaleSidKey": "en_US", "IsSandbox": False,
                                   "TimeZoneSidKey": "GMT", "InstanceName": "SBX1", **defaults})  # fmt: skip

    def _raw(self, name: str, values: Row) -> str:
        """A row that no client could make."""
        kind, now = self._org.full_schema.objects[name], self._org.stamp()
        row = {"Id": self._org.ids.make(kind.prefix), "CreatedDate": now, "LastModifiedDate": now,
               "SystemModstamp": now, **values}  # fmt: skip
        if "IsDeleted" in kind.fields:
            row["IsDeleted"] = False
        self._org.store.put(name, row)
        return str(row["Id"])

    def _users(self, users: list[Json], integration: Json | None) -> None:
        if integration:
            self._user({"profile": ADMINISTRATOR, **integration})
        for user in users:
            if user.get("salesforce"):
                self._user(user)
        if not self._org.administrators and self._org.store.table("User"):
            self._org.administrators.add(next(iter(self._org.store.table("User"))))

    def _user(self, user: Json) -> None:
        first, _, last = user["name"].rpartition(" ")
        profile = user.get("profile", "Standard User")
        rows = list(self._org.live("Profile", "Name", [profile]))
        if not rows:
            raise ValueError(f"salesforce: user {user['key']} has no profile {profile!r}")
        user_id = self._raw("User", {
            "Username": user["salesforce"], "Email": str(user.get("email", user["salesforce"])).lower(),
            "FirstName": first, "LastName": last, "Name": user["name"],
            "Alias": user["key"][:8], "IsActive": user.get("active", True),
            "ProfileId": rows[0]["Id"], "UserType": "Standard", "TimeZoneSidKey": user.get("time_zone", "GMT"),
            "LocaleSidKey": "en_US", "LanguageLocaleKey": "en_US", "EmailEncodingKey": "UTF-8",
            "Title": user.get("title"), "CommunityNickname": user["key"], "CompanyName": self._org.name})  # fmt: skip
        self.keys[user["key"]] = user_id
        if profile == ADMINISTRATOR:
            self._org.administrators.add(user_id)

    # -- custom objects and fields ---------------------------------------------------------------

    def custom(self, part: Json) -> None:
        """Add `custom_objects`, `custom_fields` and `validation_rules`; objects and fields of a name are replaced."""
        customise(self._org, part)

    # -- records ---------------------------------------------------------------------------------

    def _records(self, records: dict[str, list[Json]]) -> None:
        waiting = [(name, dict(record)) for name, rows in records.items() for record in rows or []]
        while waiting:
            later = [(name, record) for name, record in waiting if not self._try(name, record)]
            if len(later) == len(waiting):
                name, record = later[0]
                missing = [v for v in _keys_in(record) if v not in self.keys]
                raise ValueError(f"salesforce: {name} {record.get('_key', '')} refers to unknown {', '.join(missing)}")
            waiting = later

    def _try(self, name: str, record: Json) -> bool:
        if any(key not in self.keys for key in _keys_in(record)):
            return False
        kind = self._org.full_schema.objects.get(name)
        if kind is None:
            raise ValueError(f"salesforce: records of {name}, which is no object")
        row: Row = {}
        links: dict[str, list[str]] = {}
        for key, value in record.items():
            if key.startswith("_"):
                continue
            field = kind.find(key)
            if field is None:
                raise ValueError(f"salesforce: {name} has no field {key}")
            converted = convert(field, self._resolved(value), self._org.full_schema)
            if field.type == "junctionidlist":
                links[field.name] = converted or []
            else:
                row[field.name] = converted
        record_id = changes.insert(self._acting(row), kind, row, frozenset(row), links)
        if "_key" in record:
            self.keys[record["_key"]] = record_id
        return True

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._resolved(v) for v in value]
        if isinstance(value, str) and value.startswith("@"):
            return self.keys[value[1:]]
        return value.isoformat() if hasattr(value, "isoformat") else value

    def _acting(self, row: Row) -> Context:
        """The owner made the record."""
        users = self._org.store.table("User")
        user = users.get(row.get("OwnerId") or "") or users.get(next(iter(self._org.administrators), ""))
        if user is None:
            raise ValueError("salesforce: records need a user who owns them")
        return Context(self._org, user, save_duplicates=True)


def _keys_in(record: Json) -> Iterator[str]:
    for value in record.values():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str) and one.startswith("@"):
                yield one[1:]
