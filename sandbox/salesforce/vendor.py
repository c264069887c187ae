"""The simulator as the frame sees it: app, seed, tokens, and what users and administrators do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.salesforce import activities, changes, emails, files, people, reading, sales  # noqa: F401  (their rules)
from sandbox.salesforce.app import App
from sandbox.salesforce.auth import Auth
from sandbox.salesforce.composite import Composite
from sandbox.salesforce.customise import customise
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.generate import generate
from sandbox.salesforce.org import Context, DuplicateRule, Org, RowLock
from sandbox.salesforce.rest import Api
from sandbox.salesforce.schema import SObject
from sandbox.salesforce.seed import Seeder
from sandbox.salesforce.sharing import LEVELS
from sandbox.salesforce.soql import parse
from sandbox.salesforce.store import Row

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

    from sandbox.frame.frame import Frame

Json = dict[str, Any]
CODES = {401: ("INVALID_SESSION_ID", "Session expired or invalid"),
         403: ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
         429: ("REQUEST_LIMIT_EXCEEDED", "Too many requests."),
         500: ("UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId if you contact support"),
         503: ("SERVER_UNAVAILABLE", "Too many requests waiting for connections")}  # fmt: skip
SETTINGS = (
    ("salesforce_daily_calls", 0, "daily API calls of the org; 0: what the edition and its licences give"),
    ("salesforce_email_status", True, "an EmailMessage without a case takes the status 3 only"),
    ("salesforce_guard_deletes", True, "accounts and contacts with cases, accounts with won opportunities stay"),
    ("salesforce_replace_task", True, "an update of an EmailMessage replaces its automatic Task"),
    ("salesforce_too_large", 20_000, "so many events or tasks make a query without a bound OPERATION_TOO_LARGE"),
    ("salesforce_rotate_refresh", False, "a refresh token is good for one use"),
    ("salesforce_require_secret", True, "web-server flow and refresh need the consumer secret"),
)


class Salesforce:
    """See `sandbox.frame.vendor.Vendor`."""

    name = "salesforce"

    def __init__(self, frame: Frame) -> None:
        for name, default, text in SETTINGS:
            frame.settings.define(name, default, text)
        self._frame = frame
        self._org = Org(frame)
        self._auth = Auth(self._org, frame.folder)
        self._api = Api(self._org)
        Composite(self._api)
        self.app: WSGIApplication = App(self._org, self._api, self._auth)
        self._seeder = Seeder(self._org)
        threading.Thread(target=parse, args=("SELECT Id FROM User",), daemon=True).start()  # builds the parser
        self._tokens: dict[str, str] = {}
        self._former: dict[str, str] = {}  # a reset does not take the ready tokens away
        self._actions: dict[str, Callable[[Json], Json]] = {
            "create": self._create, "edit": self._edit, "delete": self._delete, "undelete": self._undelete,
            "purge": self._purge, "records": self._records, "convert_lead": self._convert, "merge": self._merge,
            "lock": self._lock, "late": self._late, "limit_reached": self._limit, "org": self._switch,
            "authorise": self._authorise, "end_sessions": self._end_sessions, "duplicate_rules": self._rules,
            "customise": self._customise, "drop_rules": self._drop_rules, "share": self._share,
            "generate": self._generate,
        }  # fmt: skip

    def reset(self) -> None:
        """An empty org; sessions end, and the ready token of a user name comes back with its user."""
        with self._org.store.lock:
            self._org.clear()
            self._auth.clear()
            self._api.pages.clear()
            self._seeder = Seeder(self._org)
            self._former |= self._tokens
            self._tokens = {}

    def seed(self, org: Json, mail: Path | None) -> None:
        """Add an organisation's users and `salesforce` part."""
        with self._org.store.lock:
            self._seeder.seed(org)

    def tokens(self) -> dict[str, str]:
        """User name -> a token that never expires."""
        with self._org.store.lock:
            for user in self._org.store.table("User").values():
                if user.get("IsActive") and user["Username"] not in self._tokens:
                    former = self._former.get(user["Username"])
                    self._tokens[user["Username"]] = self._auth.issue(user["Id"], None, former)
            return dict(self._tokens)

    def keys(self) -> dict[str, str]:
        """Key in the organisation file -> record id."""
        return self._seeder.keys

    def info(self) -> Json:
        """What a client needs to sign in by itself."""
        app, url = self._auth.app, self._frame.url("salesforce")
        return {"login_url": url, "consumer_key": app.consumer_key, "consumer_secret": app.consumer_secret,
                "private_key": str(app.private_key), "callbacks": list(app.callbacks), "organisation": self._org.org_id,
                "version": "67.0"}  # fmt: skip

    def caller(self, environ: WSGIEnvironment) -> str | None:
        """The user name of a request's token."""
        user = self._auth.peek(environ.get("HTTP_AUTHORIZATION"))
        return str(user["Username"]) if user else None

    @staticmethod
    def fault_body(status: int) -> Any:
        """Salesforce's usual error for a status."""
        code, text = CODES.get(status, ("UNKNOWN_EXCEPTION", f"status {status}"))
        return [{"message": text, "errorCode": code}]

    def state(self) -> Json:
        """How many live rows each object has."""
        with self._org.store.lock:
            tables = {name: self._org.store.table(name) for name in self._org.full_schema.objects}
            return {name: sum(not r.get("IsDeleted") for r in rows.values()) for name, rows in tables.items() if rows}

    # -- acting as a user --------------------------------------------------------------------------

    def act(self, action: str, body: Json) -> Json:
        """One of the actions; LookupError for an unknown action, object or record, ValueError for a refusal."""
        if action not in self._actions:
            raise LookupError(f"no action {action!r}; there are {', '.join(sorted(self._actions))}")
        with self._org.store.lock:
            try:
                return self._actions[action](self._known(body))
            except ApiError as error:
                if error.status == 404:
                    raise LookupError(str(error)) from None
                raise ValueError(str(error)) from None
            except KeyError as error:
                raise ValueError(f"{error.args[0]} is required") from None

    def _known(self, value: Any) -> Any:
        """The value with record ids in the place of "@key" of the organisation file."""
        if isinstance(value, dict):
            return {name: self._known(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._known(inner) for inner in value]
        return self._seeder.keys.get(value[1:], value) if isinstance(value, str) and value.startswith("@") else value

    def _ctx(self, body: Json) -> Context:
        users = self._org.store.table("User")
        name = body.get("user")
        found = next(iter(self._org.live("User", "Username", [name])), None) if name \
            else users.get(next(iter(self._org.administrators), ""))  # fmt: skip
        if found is None:
            raise LookupError(f"no user {name!r}")
        return Context(self._org, found, save_duplicates=True)

    def _object(self, body: Json) -> SObject:
        found = self._org.schema.find(body["object"])
        if found is None:
            raise LookupError(f"no object {body['object']!r}")
        return found

    def _row(self, body: Json, name: str = "id") -> Row:
        found = self._org.find(body[name])
        if found is None:
            raise LookupError(f"no record {body[name]!r}")
        return found[1]

    def _create(self, body: Json) -> Json:
        return {"id": changes.create(self._ctx(body), self._object(body), body["fields"])}

    def _edit(self, body: Json) -> Json:
        changes.update(self._ctx(body), self._object(body), body["id"], body["fields"])
        return {"id": body["id"]}

    def _delete(self, body: Json) -> Json:
        changes.delete(self._ctx(body), self._object(body), body["id"])
        return {"id": body["id"]}

    def _undelete(self, body: Json) -> Json:
        changes.undelete(self._ctx(body), self._object(body), body["id"])
        return {"id": body["id"]}

    def _purge(self, body: Json) -> Json:
        """A hard delete leaves nothing (providers.md SF-14)."""
        name = self._object(body).name
        if self._org.store.get(name, body["id"]) is None:
            raise LookupError(f"no record {body['id']!r}")
        with self._org.store.transaction():
            self._org.store.drop(name, body["id"])
        return {"id": body["id"]}

    def _records(self, body: Json) -> Json:
        """Rows of an object; `where` compares fields as text does, `deleted` includes the recycle bin."""
        kind, ctx = self._object(body), self._ctx({})
        asked: Json = body.get("where") or {}
        where = {(kind.find(name) or kind.fields["Id"]).name: value for name, value in asked.items()}
        rows = [reading.record(ctx, kind, row) for row in self._org.store.table(kind.name).values()
                if body.get("deleted") or not row.get("IsDeleted")]  # fmt: skip
        return {"records": [r for r in rows if all(str(r[n]).lower() == str(v).lower() for n, v in where.items())]}

    def _convert(self, body: Json) -> Json:
        return people.convert_lead(self._ctx(body), self._row(body), account_id=body.get("account"),
                                   contact_id=body.get("contact"), opportunity=body.get("opportunity"))  # fmt: skip

    def _merge(self, body: Json) -> Json:
        name = self._object(body).name
        people.merge(self._ctx(body), name, self._row(body, "master"), [self._row({"id": i}) for i in body["losers"]])
        return {"id": body["master"]}

    # -- acting as the administrator, and faults of records ------------------------------------------

    def _lock(self, body: Json) -> Json:
        self._org.locks.append(RowLock(body["target"], int(body.get("count", 1))))
        return {"locks": len(self._org.locks)}

    def _late(self, body: Json) -> Json:
        """The next new records of an object appear only after some seconds (providers.md SF-13)."""
        self._org.late.append((self._object(body).name, int(body.get("count", 1)), float(body["seconds"])))
        return {"late": len(self._org.late)}

    def _limit(self, body: Json) -> Json:
        self._org.limit_reached = bool(body.get("on", True))
        return {"limit_reached": self._org.limit_reached}

    def _switch(self, body: Json) -> Json:
        known = {"shared_activities", "enhanced_email", "team_selling", "multi_currency", "sharing"}
        if set(body) - known:
            raise ValueError(f"unknown {', '.join(sorted(set(body) - known))}; known are {', '.join(sorted(known))}")
        switches = {name: bool(value) for name, value in body.items() if name != "sharing"}
        if "sharing" in body:
            switches["private"] = body["sharing"] == "private"
        self._org.switch(**switches)
        return {"shared_activities": self._org.shared_activities, "enhanced_email": self._org.enhanced_email,
                "team_selling": self._org.team_selling, "multi_currency": self._org.multi_currency,
                "sharing": "private" if self._org.private else "public"}  # fmt: skip

    def _customise(self, body: Json) -> Json:
        """Custom objects, fields and validation rules as in the organisation file; describe changes at once."""
        parts = {"custom_objects", "custom_fields", "validation_rules"}
        if not body or set(body) - parts:
            raise ValueError(f"one or more of {', '.join(sorted(parts))} are required, nothing else")
        customise(self._org, body)
        return {"objects": [o.name for o in self._org.schema.objects.values() if o.custom],
                "validation_rules": len(self._org.validation_rules)}  # fmt: skip

    def _drop_rules(self, body: Json) -> Json:
        """Take the validation rules away, those of one object or all."""
        kept = [r for r in self._org.validation_rules if body.get("object") not in (None, r.sobject)]
        self._org.validation_rules = kept
        return {"validation_rules": len(kept)}

    def _share(self, body: Json) -> Json:
        """A manual share: `access` is Read, Edit, All or None (which takes it back)."""
        row, user, access = self._row(body), self._ctx(body).user_id, str(body.get("access", "Read")).lower()
        if access not in (*LEVELS, "none"):
            raise ValueError(f"unknown access {access}")
        self._org.shares.pop((row["Id"], user), None)
        if access != "none":
            self._org.shares[row["Id"], user] = LEVELS[access]
        return {"id": row["Id"]}

    def _generate(self, body: Json) -> Json:
        made = generate(self._org, body)
        return {"count": len(made), "ids": made}

    def _authorise(self, body: Json) -> Json:
        """Give or take the pre-authorised permission set."""
        change = self._auth.not_authorised.discard if body.get("on", True) else self._auth.not_authorised.add
        change(self._ctx(body).user["Username"].lower())
        return {"not_authorised": sorted(self._auth.not_authorised)}

    def _end_sessions(self, body: Json) -> Json:
        return {"ended": self._auth.end(self._ctx(body).user_id)}

    def _rules(self, body: Json) -> Json:
        self._org.duplicate_rules = [DuplicateRule(r["object"], tuple(r["fields"]), r.get("action", "block"))
                                     for r in body["rules"]]  # fmt: skip
        return {"rules": len(self._org.duplicate_rules)}
