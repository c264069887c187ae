"""The REST resources of one version: a request in, a reply out; HTTP itself is `app`'s part.

Composite resources call back into `Api.handle`, so that a sub-request is judged like a request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

from sandbox.salesforce import changes, describe, reading
from sandbox.salesforce.errors import ApiError, not_found, not_simulated
from sandbox.salesforce.ids import SHAPE, long_id
from sandbox.salesforce.org import Context, Org
from sandbox.salesforce.paging import Pages
from sandbox.salesforce.schema import Field, SObject
from sandbox.salesforce.store import Row
from sandbox.salesforce.values import moment

RESOURCES = ("composite", "describe", "limits", "query", "queryAll", "sobjects")
NOT_SIMULATED = frozenset({
    "actions", "analytics", "apexrest", "appMenu", "async-queries", "chatter", "connect", "dedupe", "event", "folders",
    "graphql", "jobs", "jsonxform", "knowledgeManagement", "licensing", "localizedvalue", "metadata", "nouns",
    "parameterizedSearch", "payments", "process", "quickActions", "recent", "search", "support", "tabs", "theme",
    "tooling", "ui-api", "wave",
})  # fmt: skip


@dataclass(slots=True)
class Request:
    """One call below /services/data/vNN.N/."""

    verb: str
    parts: list[str]
    args: dict[str, str] = field(default_factory=dict)
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)  # lower-case names


@dataclass(slots=True)
class Reply:
    """Status, JSON body (bytes: sent as they are, None: no body), headers."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def method_not_allowed(verb: str, allowed: str) -> ApiError:
    """405."""
    return ApiError("METHOD_NOT_ALLOWED", f"HTTP Method '{verb}' not allowed. Allowed are {allowed}", status=405)


def json_object(request: Request) -> dict[str, Any]:
    """The body as an object; ApiError otherwise."""
    if not isinstance(request.body, dict):
        raise ApiError("JSON_PARSER_ERROR", "The HTTP entity body is required, but this request has no entity body."
                       if request.body is None else "Unexpected character at [line:1, column:1]")  # fmt: skip
    return request.body


class Api:
    """All resources of an org."""

    def __init__(self, org: Org) -> None:
        self.org = org
        self.pages = Pages(org)
        self._routes: dict[str, Callable[[Context, Request], Reply]] = {
            "sobjects": self._sobjects, "query": self._query, "queryAll": self._query, "limits": self._limits,
        }  # fmt: skip

    def route(self, name: str, handler: Callable[[Context, Request], Reply]) -> None:
        """Add a resource."""
        self._routes[name] = handler

    def handle(self, ctx: Context, request: Request) -> Reply:
        """Answer a request; hold the org's lock. ApiError for a refusal."""
        if not request.parts:
            base = f"/services/data/v{ctx.version}"
            return Reply(body={name: f"{base}/{name}" for name in RESOURCES if name != "describe"})
        handler = self._routes.get(request.parts[0])
        if handler is not None:
            return handler(ctx, request)
        if request.parts[0] in NOT_SIMULATED:
            raise not_simulated(f"/{request.parts[0]}")
        raise not_found()

    # -- limits and queries ----------------------------------------------------------------------

    def _limits(self, ctx: Context, request: Request) -> Reply:
        limit, used = self.org.daily_calls(), self.org.used_calls()
        return Reply(body={
            "DailyApiRequests": {"Max": limit, "Remaining": max(0, limit - used)},
            "DailyBulkApiBatches": {"Max": 15000, "Remaining": 15000},
            "DataStorageMB": {"Max": 10240, "Remaining": 10000}, "FileStorageMB": {"Max": 10240, "Remaining": 10000},
            "SingleEmail": {"Max": 5000, "Remaining": 5000}, "MassEmail": {"Max": 5000, "Remaining": 5000},
        })  # fmt: skip

    def _query(self, ctx: Context, request: Request) -> Reply:
        if request.verb != "GET":
            raise method_not_allowed(request.verb, "GET, HEAD")
        kind = request.parts[0]
        if len(request.parts) == 2:
            return Reply(body=self.pages.more(ctx, kind, request.parts[1]))
        if len(request.parts) > 2:
            raise not_found()
        if "explain" in request.args:
            raise not_simulated("query plans")
        if "q" not in request.args:
            raise ApiError("MALFORMED_QUERY", "A query string has to be specified")
        options = request.headers.get("sforce-query-options", "")
        return Reply(body=self.pages.first(ctx, kind, request.args["q"], options))

    # -- sObjects --------------------------------------------------------------------------------

    def _sobjects(self, ctx: Context, request: Request) -> Reply:
        parts = request.parts[1:]
        if not parts:
            return self._unless_same(ctx, request, lambda: describe.everything(ctx))
        sobject = self.org.schema.find(parts[0])
        if sobject is None:
            raise not_found()
        if len(parts) == 1:
            return self._object(ctx, request, sobject)
        if parts[1] == "describe" and len(parts) == 2:
            return self._unless_same(ctx, request, lambda: describe.one(ctx, sobject))
        if parts[1] in ("updated", "deleted", "listviews", "quickActions", "describe"):
            raise not_simulated(f"sobjects/X/{'/'.join(parts[1:])}")
        if len(parts) == 2:
            return self._row(ctx, request, sobject, parts[1])
        if SHAPE.fullmatch(parts[1]) and long_id(parts[1]):
            return self._follow(ctx, request, sobject, parts[1:])
        if len(parts) == 3:
            return self._by_key(ctx, request, sobject, parts[1], unquote(parts[2]))
        raise not_found()

    def _unless_same(self, ctx: Context, request: Request, make: Callable[[], Any]) -> Reply:
        if request.verb != "GET":
            raise method_not_allowed(request.verb, "GET, HEAD")
        changed = self.org.schema_changed
        headers = {"Last-Modified": format_datetime(changed, usegmt=True)}
        since = header_moment(request, "if-modified-since")
        if since is not None and changed <= since:
            return Reply(304, None, headers)
        return Reply(200, make(), headers)

    def _object(self, ctx: Context, request: Request, sobject: SObject) -> Reply:
        if request.verb == "GET":
            return Reply(body={"objectDescribe": describe.summary(ctx, sobject), "recentItems": []})
        if request.verb != "POST":
            raise method_not_allowed(request.verb, "HEAD,GET,POST")
        return created(ctx, sobject, changes.create(ctx, sobject, json_object(request)))

    def _row(self, ctx: Context, request: Request, sobject: SObject, record_id: str) -> Reply:
        if request.verb == "GET":
            row = changes.readable(ctx, sobject, record_id)
            fields = asked_fields(ctx, sobject, request.args.get("fields"))
            return self._conditional(request, row) or Reply(body=reading.record(ctx, sobject, row, fields))
        if request.verb == "PATCH":
            self._conditional(request, changes.existing(ctx, sobject, record_id))
            changes.update(ctx, sobject, record_id, json_object(request))
        elif request.verb == "DELETE":
            changes.delete(ctx, sobject, record_id)
        else:
            raise method_not_allowed(request.verb, "HEAD,GET,PATCH,DELETE")
        return Reply(204)

    @staticmethod
    def _conditional(request: Request, row: Row) -> Reply | None:
        """304 or 412 by If-Modified-Since, If-Unmodified-Since (providers.md 5.1)."""
        at = moment(row.get("LastModifiedDate") or row["SystemModstamp"]).replace(microsecond=0)
        since, until = header_moment(request, "if-modified-since"), header_moment(request, "if-unmodified-since")
        if until is not None and at > until:
            raise ApiError("PRECONDITION_FAILED", "The precondition given in one or more of the request-header fields "
                           "evaluated to false when it was tested on the server.", status=412)  # fmt: skip
        if since is not None and request.verb == "GET" and at <= since:
            return Reply(304)
        return None

    def _follow(self, ctx: Context, request: Request, sobject: SObject, parts: list[str]) -> Reply:
        """sobjects/X/id/VersionData, sobjects/X/id/Account."""
        row = changes.readable(ctx, sobject, parts[0])
        field_ = sobject.find(parts[1])
        if request.verb != "GET" or len(parts) != 2:
            raise not_simulated("changes through relationships")
        if field_ is not None and field_.type == "base64":
            return Reply(200, row.get(field_.name) or b"", {"Content-Type": "application/octetstream"})
        step = sobject.parents.get(parts[1].lower())
        if step is None:
            if parts[1].lower() in self.org.schema.children[sobject.name]:
                raise not_simulated("reading child relationships by path")
            raise not_found()
        found = self.org.visible(ctx, row.get(step.name))
        if found is None:
            raise not_found(f"The requested resource does not exist: {parts[1]}")
        parent = self.org.schema.objects[found[0]]
        return Reply(body=reading.record(ctx, parent, found[1], asked_fields(ctx, parent, request.args.get("fields"))))

    def _by_key(self, ctx: Context, request: Request, sobject: SObject, key: str, value: str) -> Reply:
        """sobjects/X/External_Id__c/value: read, upsert, delete."""
        rows = self.rows_by_key(ctx, sobject, key, value)
        if request.verb in ("PATCH", "POST"):
            return self.upsert(ctx, sobject, key, value, json_object(request), rows)
        if len(rows) > 1:
            return several(ctx, sobject, rows)
        if not rows:
            raise not_found()
        return self._row(ctx, request, sobject, rows[0]["Id"])

    def rows_by_key(self, ctx: Context, sobject: SObject, key: str, value: Any) -> list[Row]:
        """The rows that an external id names; NOT_FOUND if the field is none."""
        found = sobject.find(key)
        if found is None or not (found.may("X") or found.may("I") or found.name == "Id"):
            raise not_found(f"Provided external ID field does not exist or is not accessible: {key}")
        wanted = long_id(str(value)) if found.name == "Id" else value
        rows = [r for r in self.org.live(sobject.name, found.name, [wanted]) if self.org.appeared(r)]
        return [r for r in rows if self.org.readable(ctx, sobject.name, r)]

    def upsert(self, ctx: Context, sobject: SObject, key: str, value: Any, data: dict[str, Any],
               rows: list[Row]) -> Reply:  # fmt: skip
        """201 created, 200 updated, 300 several (providers.md SF-10)."""
        name = sobject.fields[sobject.find(key).name].name  # type: ignore[union-attr]
        if any(given.lower() == name.lower() for given in data):
            raise ApiError("INVALID_FIELD", f"The {name} field should not be specified in the sobject data.")
        if len(rows) > 1:
            return several(ctx, sobject, rows)
        if rows:
            changes.update(ctx, sobject, rows[0]["Id"], data)
            return Reply(200, {"id": rows[0]["Id"], "success": True, "errors": [], "created": False})
        if name == "Id":
            raise not_found()
        reply = created(ctx, sobject, changes.create(ctx, sobject, {**data, name: value}))
        reply.body["created"] = True
        return reply


def created(ctx: Context, sobject: SObject, record_id: str) -> Reply:
    """201 with the new record's place."""
    return Reply(201, {"id": record_id, "success": True, "errors": []},
                 {"Location": f"/services/data/v{ctx.version}/sobjects/{sobject.name}/{record_id}"})  # fmt: skip


def several(ctx: Context, sobject: SObject, rows: list[Row]) -> Reply:
    """300: the external id is not unique; where the records are."""
    return Reply(300, [f"/services/data/v{ctx.version}/sobjects/{sobject.name}/{row['Id']}" for row in rows])


def asked_fields(ctx: Context, sobject: SObject, names: str | None) -> list[Field] | None:
    """`fields=` as fields; None for all."""
    if names is None:
        return None
    out = []
    for name in names.split(","):
        found = sobject.find(name.strip())
        if found is None:
            raise ApiError("INVALID_FIELD", f"\n{name.strip()}\n^\nERROR at Row:1:Column:1\nNo such column "
                           f"'{name.strip()}' on entity '{sobject.name}'. If you are attempting to use a custom field, "
                           "be sure to append the '__c' after the custom field name. Please reference your WSDL or the "
                           "describe call for the appropriate names.")  # fmt: skip
        out.append(found)
    return out


def header_moment(request: Request, name: str) -> datetime | None:
    """A date header; None without one or with nonsense in it."""
    text = request.headers.get(name)
    try:
        return parsedate_to_datetime(text).astimezone(UTC) if text else None
    except (TypeError, ValueError):
        return None
