"""composite/sobjects: up to 200 records at once (`providers.md SF-8`)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

from sandbox.salesforce import changes, reading
from sandbox.salesforce.errors import ApiError, not_found
from sandbox.salesforce.ids import long_id
from sandbox.salesforce.org import Context
from sandbox.salesforce.rest import Api, Reply, Request, asked_fields, json_object, method_not_allowed
from sandbox.salesforce.schema import SObject

MAX_RECORDS, MAX_CHUNKS = 200, 10
MAX_READ = 2000
ROLLED_BACK = ApiError("ALL_OR_NONE_OPERATION_ROLLED_BACK", "Record rolled back because not all records were valid and "
                       "the request was using AllOrNone header")  # fmt: skip
Write = Callable[[], dict[str, Any]]


class _RollBack(Exception):
    """Undoes a transaction without being an error for the caller."""


class Collections:
    """The handlers."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def handle(self, ctx: Context, request: Request) -> Reply:
        """Answer below composite/sobjects."""
        more = request.parts[2:]
        if not more and request.verb in ("POST", "PATCH"):
            return self._write(ctx, request, self._create if request.verb == "POST" else self._update)
        if not more and request.verb == "DELETE":
            return self._delete(ctx, request)
        if len(more) == 1 and request.verb in ("GET", "POST"):
            return self._read(ctx, request, self._object(ctx, more[0]))
        if len(more) == 2 and request.verb == "PATCH":
            sobject = self._object(ctx, more[0])
            self._api.rows_by_key(ctx, sobject, more[1], "")  # refuses what is no external id
            return self._write(ctx, request, lambda c, o, data: self._upsert(c, o, more[1], data))
        if len(more) > 2:
            raise not_found()
        raise method_not_allowed(request.verb, "GET,POST,PATCH,DELETE")

    @staticmethod
    def _object(ctx: Context, name: str) -> SObject:
        found = ctx.org.schema.find(name)
        if found is None:
            raise not_found()
        return found

    # -- writes ----------------------------------------------------------------------------------

    def _write(self, ctx: Context, request: Request,
               write: Callable[[Context, SObject, dict[str, Any]], dict[str, Any]]) -> Reply:  # fmt: skip
        body = json_object(request)
        records = body.get("records")
        if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
            raise ApiError("JSON_PARSER_ERROR", "records: a list of sObjects is required")
        if len(records) > MAX_RECORDS:
            raise ApiError("EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {MAX_RECORDS} records "
                           "in this call")  # fmt: skip
        kinds = [str((r.get("attributes") or {}).get("type")) for r in records]
        if len([1 for _ in groupby(kinds)]) > MAX_CHUNKS:
            raise ApiError("LIMIT_EXCEEDED", "Cannot have more than 10 chunks in a single operation. Please rearrange "
                           "the data to reduce chunking.")  # fmt: skip
        objects = [ctx.org.schema.find(kind) for kind in kinds]
        for kind, sobject in zip(kinds, objects, strict=True):
            if sobject is None:
                raise ApiError("INVALID_TYPE", f"sObject type '{kind}' is not supported." if kind != "None" else
                               "The sObject type attribute is required.")  # fmt: skip
        writes = [_write(write, ctx, sobject, record) for sobject, record in zip(objects, records, strict=True)]
        return Reply(body=run(ctx, writes, bool(body.get("allOrNone"))))

    @staticmethod
    def _create(ctx: Context, sobject: SObject, data: dict[str, Any]) -> dict[str, Any]:
        return success(changes.create(ctx, sobject, data))

    @staticmethod
    def _update(ctx: Context, sobject: SObject, data: dict[str, Any]) -> dict[str, Any]:
        record_id = next((v for k, v in data.items() if k.lower() == "id"), None)
        if not isinstance(record_id, str):
            raise ApiError("MISSING_ARGUMENT", "Id not specified in an update call")
        fields = {k: v for k, v in data.items() if k.lower() != "id"}
        changes.update(ctx, sobject, record_id, fields)
        return success(long_id(record_id) or record_id)

    def _upsert(self, ctx: Context, sobject: SObject, key: str, data: dict[str, Any]) -> dict[str, Any]:
        value = next((v for k, v in data.items() if k.lower() == key.lower()), None)
        if value in (None, ""):
            raise ApiError("MISSING_ARGUMENT", f"{key} not specified")
        fields = {k: v for k, v in data.items() if k.lower() != key.lower()}
        rows = self._api.rows_by_key(ctx, sobject, key, value)
        reply = self._api.upsert(ctx, sobject, key, value, fields, rows)
        if reply.status == 300:
            raise ApiError("DUPLICATE_EXTERNAL_ID", f"{key}: more than one record found for external id field: "
                           f"[{', '.join(r['Id'] for r in rows)}]")  # fmt: skip
        return {"id": reply.body["id"], "success": True, "errors": [], "created": reply.body["created"]}

    def _delete(self, ctx: Context, request: Request) -> Reply:
        ids = [i for i in request.args.get("ids", "").split(",") if i]
        if not ids:
            raise ApiError("MISSING_ARGUMENT", "ids is required")
        if len(ids) > MAX_RECORDS:
            raise ApiError("EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {MAX_RECORDS} records")

        def deleted(record_id: str) -> dict[str, Any]:
            name = ctx.org.object_of(record_id)
            sobject = ctx.org.schema.objects.get(name or "")
            if sobject is None:
                raise ApiError("MALFORMED_ID", f"malformed id {record_id}")
            changes.delete(ctx, sobject, record_id)
            return success(long_id(record_id) or record_id)

        writes = [_delete(deleted, record_id) for record_id in ids]
        return Reply(body=run(ctx, writes, request.args.get("allOrNone", "false").lower() == "true"))

    # -- reads -----------------------------------------------------------------------------------

    @staticmethod
    def _read(ctx: Context, request: Request, sobject: SObject) -> Reply:
        body = json_object(request) if request.verb == "POST" else {}
        ids = body.get("ids") or [i for i in request.args.get("ids", "").split(",") if i]
        names = body.get("fields") or [n for n in request.args.get("fields", "").split(",") if n]
        if not ids or not names:
            raise ApiError("MISSING_ARGUMENT", "ids and fields are required")
        if len(ids) > MAX_READ:
            raise ApiError("EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {MAX_READ} records")
        fields = asked_fields(ctx, sobject, ",".join(names))
        out: list[Any] = []
        for record_id in ids:
            try:
                out.append(reading.record(ctx, sobject, changes.readable(ctx, sobject, record_id), fields))
            except ApiError:
                out.append(None)
        return Reply(body=out)


def _write(write: Callable[..., dict[str, Any]], ctx: Context, sobject: SObject | None,
           record: dict[str, Any]) -> Write:  # fmt: skip
    return lambda: write(ctx, sobject, record)


def _delete(deleted: Callable[[str], dict[str, Any]], record_id: str) -> Write:
    return lambda: deleted(record_id)


def success(record_id: str) -> dict[str, Any]:
    """The result of a record that was saved."""
    return {"id": record_id, "success": True, "errors": []}


def run(ctx: Context, writes: list[Write], all_or_none: bool) -> list[dict[str, Any]]:
    """Do the writes one by one; with all_or_none undo them all when one fails."""
    results: list[dict[str, Any]] = []
    try:
        with ctx.org.store.transaction():
            for write in writes:
                try:
                    with ctx.org.store.transaction():
                        results.append(write())
                except ApiError as error:
                    results.append({"success": False, "errors": [error.result()]})
            if all_or_none and any(not r["success"] for r in results):
                raise _RollBack
    except _RollBack:
        undone = {"success": False, "errors": [ROLLED_BACK.result()]}
        results = [undone if r["success"] else r for r in results]
    return results
