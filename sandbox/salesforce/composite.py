"""composite, composite/graph, composite/batch and composite/sobjects (`providers.md` 5.1, SF-6 to SF-8)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sandbox.salesforce.collection import Collections
from sandbox.salesforce.errors import ApiError, not_found, not_simulated
from sandbox.salesforce.org import Context
from sandbox.salesforce.rest import Api, Reply, Request, json_object, method_not_allowed

REFERENCE = re.compile(r"@\{([A-Za-z0-9_]+)((?:\.\w+|\[\d+\])*)\}")
STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
VERSIONED = re.compile(r"/?(?:services/data/)?v(\d+\.\d)(/.*)?")
ROLLED_BACK = "The transaction was rolled back since another operation in the same transaction failed."
MAX_PARTS, MAX_HEAVY = 25, 5
MAX_NODES, MAX_GRAPHS, MAX_DEPTH, MAX_KINDS, MAX_FAILED = 500, 75, 15, 15, 14
HEAVY = (["query"], ["queryAll"], ["composite"])
Part = dict[str, Any]


class _RollBack(Exception):
    """Undoes a transaction without being an error for the caller."""


@contextmanager
def _undoable(ctx: Context) -> Iterator[None]:
    try:
        with ctx.org.store.transaction():
            yield
    except _RollBack:
        return


def too_many(message: str) -> ApiError:
    """A request over one of the limits."""
    return ApiError("LIMIT_EXCEEDED", message)


class Composite:
    """The composite resources over an `Api`."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._collections = Collections(api)
        api.route("composite", self.handle)

    def handle(self, ctx: Context, request: Request) -> Reply:
        """Answer below composite/."""
        kind = request.parts[1] if len(request.parts) > 1 else ""
        if kind == "sobjects":
            return self._collections.handle(ctx, request)
        if kind == "tree":
            raise not_simulated("composite/tree")
        handlers: dict[str, Callable[[Context, Request], Reply]] = {"": self._composite, "graph": self._graphs,
                                                                    "batch": self._batch}  # fmt: skip
        if kind not in handlers or len(request.parts) > 2:
            raise not_found()
        if request.verb == "GET" and not kind:
            base = f"/services/data/v{ctx.version}/composite"
            return Reply(body={name: f"{base}/{name}" for name in ("tree", "batch", "sobjects", "graph")})
        if request.verb != "POST":
            raise method_not_allowed(request.verb, "POST")
        return handlers[kind](ctx, request)

    # -- composite -------------------------------------------------------------------------------

    def _composite(self, ctx: Context, request: Request) -> Reply:
        body = json_object(request)
        parts = _parts(body, "compositeRequest")
        if len(parts) > MAX_PARTS:
            raise too_many(f"Limit of {MAX_PARTS} subrequests exceeded: {len(parts)}")
        heavy = sum(_target(part["url"])[0][:1] in HEAVY for part in parts)
        if heavy > MAX_HEAVY:
            raise too_many(f"Limit of {MAX_HEAVY} query and sObject collection subrequests exceeded: {heavy}")
        answers: list[Part] = []
        with _undoable(ctx):
            answers = self._run(ctx, parts, request.headers, bool(body.get("allOrNone")))
            if body.get("allOrNone") and any(a["httpStatusCode"] >= 400 for a in answers):
                raise _RollBack
        return Reply(body={"compositeResponse": answers})

    def _run(self, ctx: Context, parts: list[Part], headers: dict[str, str], all_or_none: bool) -> list[Part]:
        """All sub-requests in order; with all_or_none the first failure halts the others."""
        results: dict[str, Any] = {}
        answers: list[Part] = []
        for at, part in enumerate(parts):
            reply = self._one(ctx, part, headers, results)
            answers.append(_answer(part, reply))
            if reply.status < 400:
                results[part["referenceId"]] = reply.body
            elif all_or_none:
                done = [_halted(p) for p in parts[:at]]
                return [*done, answers[-1], *(_halted(p) for p in parts[at + 1 :])]
        return answers

    def _one(self, ctx: Context, part: Part, headers: dict[str, str], results: dict[str, Any]) -> Reply:
        try:
            url = substitute(part["url"], results)
            request = sub_request(ctx, part["method"], url, substitute(part.get("body"), results),
                                  {**inherited(headers), **_lower(part.get("httpHeaders"))})  # fmt: skip
            if request.parts[:1] == ["composite"] and request.parts[1:2] != ["sobjects"]:
                raise ApiError("INVALID_INPUT", "Composite requests cannot contain other composite requests")
            return self._api.handle(for_headers(ctx, request.headers), request)
        except ApiError as error:
            return Reply(error.status, error.body())

    # -- graphs ----------------------------------------------------------------------------------

    def _graphs(self, ctx: Context, request: Request) -> Reply:
        graphs = json_object(request).get("graphs")
        if not isinstance(graphs, list) or not all(isinstance(g, dict) for g in graphs):
            raise ApiError("JSON_PARSER_ERROR", "graphs: a list of graphs is required")
        if len(graphs) > MAX_GRAPHS:
            raise too_many(f"Limit of {MAX_GRAPHS} graphs exceeded: {len(graphs)}")
        lists = [_parts(graph, "compositeRequest") for graph in graphs]
        if sum(map(len, lists)) > MAX_NODES:
            raise too_many(f"Limit of {MAX_NODES} nodes exceeded: {sum(map(len, lists))}")
        for graph in graphs:
            if not isinstance(graph.get("graphId"), str) or not graph["graphId"]:
                raise ApiError("REQUIRED_FIELD_MISSING", "graphId is required")
        if len({g["graphId"] for g in graphs}) < len(graphs):
            raise ApiError("INVALID_INPUT", "graphId must be unique in a request")
        for parts in lists:
            _check_graph(parts)
        answers, failed = [], 0
        for graph, parts in zip(graphs, lists, strict=True):
            answer = self._graph(ctx, parts, request.headers, failed >= MAX_FAILED)
            failed += not answer["isSuccessful"]
            answers.append({"graphId": graph["graphId"], **answer})
        return Reply(body={"graphs": answers})

    def _graph(self, ctx: Context, parts: list[Part], headers: dict[str, str], halted: bool) -> dict[str, Any]:
        answers = [_halted(part) for part in parts]
        if not halted:
            with _undoable(ctx):
                answers = self._run(ctx, parts, headers, all_or_none=True)
                if any(a["httpStatusCode"] >= 400 for a in answers):
                    raise _RollBack
        ok = not halted and all(a["httpStatusCode"] < 400 for a in answers)
        return {"graphResponse": {"compositeResponse": answers}, "isSuccessful": ok}

    # -- batch -----------------------------------------------------------------------------------

    def _batch(self, ctx: Context, request: Request) -> Reply:
        body = json_object(request)
        parts = body.get("batchRequests")
        if not isinstance(parts, list) or not parts or not all(isinstance(p, dict) for p in parts):
            raise ApiError("JSON_PARSER_ERROR", "batchRequests: a list of requests is required")
        if len(parts) > MAX_PARTS:
            raise too_many(f"Limit of {MAX_PARTS} subrequests exceeded: {len(parts)}")
        results: list[dict[str, Any]] = []
        for part in parts:
            if body.get("haltOnError") and any(r["statusCode"] >= 400 for r in results):
                halted = ApiError("BATCH_PROCESSING_HALTED", "Batch processing was halted by request after an error")
                results.append({"statusCode": 412, "result": halted.body()})
                continue
            try:
                sub = sub_request(ctx, part.get("method", ""), str(part.get("url", "")), part.get("richInput"),
                                  inherited(request.headers))  # fmt: skip
                reply = self._api.handle(ctx, sub)
            except ApiError as error:
                reply = Reply(error.status, error.body())
            results.append({"statusCode": reply.status, "result": reply.body})
        return Reply(body={"hasErrors": any(r["statusCode"] >= 400 for r in results), "results": results})


# ---- parts -----------------------------------------------------------------------------------------


def _parts(body: dict[str, Any], member: str) -> list[Part]:
    parts = body.get(member)
    if not isinstance(parts, list) or not parts or not all(isinstance(p, dict) for p in parts):
        raise ApiError("JSON_PARSER_ERROR", f"{member}: a list of requests is required")
    for part in parts:
        for name in ("method", "url", "referenceId"):
            if not isinstance(part.get(name), str) or not part[name]:
                raise ApiError("REQUIRED_FIELD_MISSING", f"{name} is required in every subrequest")
        if not re.fullmatch(r"[A-Za-z]\w*|\d\w*", part["referenceId"], re.A):
            raise ApiError("INVALID_INPUT", f"Invalid reference specified: {part['referenceId']}")
    if len({p["referenceId"] for p in parts}) < len(parts):
        raise ApiError("INVALID_INPUT", "Duplicate ReferenceId provided in the request")
    return parts


def _check_graph(parts: list[Part]) -> None:
    """Only row URLs, not too deep, not too many kinds of nodes."""
    depth: dict[str, int] = {}
    kinds = set()
    for part in parts:
        path = _target(part["url"])[0]
        row = path[:1] == ["sobjects"] and len(path) in (2, 3, 4)
        verbs = {2: ("POST",), 3: ("GET", "PATCH", "DELETE"), 4: ("GET", "PATCH", "POST", "DELETE")}.get(len(path), ())
        if not row or part["method"].upper() not in verbs or (len(path) == 3 and path[2] in ("describe", "updated")):
            raise ApiError("INVALID_INPUT", f"The request {part['method']} {part['url']} is not supported in a graph")
        kinds.add((part["method"].upper(), path[1]))
        used = set(re.findall(r"@\{(\w+)", f"{part['url']} {part.get('body')}"))
        depth[part["referenceId"]] = 1 + max((depth.get(name, 0) for name in used), default=0)
    if len(kinds) > MAX_KINDS:
        raise too_many(f"Limit of {MAX_KINDS} different nodes exceeded: {len(kinds)}")
    if max(depth.values()) > MAX_DEPTH:
        raise too_many(f"Limit of depth {MAX_DEPTH} exceeded: {max(depth.values())}")


def _target(url: str) -> tuple[list[str], dict[str, str], str]:
    """(path below the version, query, version) of a sub-request's URL."""
    split = urlsplit(url)
    found = VERSIONED.fullmatch(split.path)
    if found is None:
        return [], {}, ""
    path = [unquote(p) for p in (found[2] or "").split("/") if p]
    return path, dict(parse_qsl(split.query, keep_blank_values=True)), found[1]


def sub_request(ctx: Context, verb: str, url: str, body: Any, headers: dict[str, str]) -> Request:
    """A sub-request as a request; NOT_FOUND for a URL outside of this API."""
    path, query, version = _target(url)
    if not version:
        raise not_found(f"The requested resource does not exist: {url}")
    return Request(str(verb).upper(), path, query, body, headers)


def inherited(headers: dict[str, str]) -> dict[str, str]:
    """Headers of the whole that hold for its parts."""
    return {name: value for name, value in headers.items() if name.startswith("sforce-")}


def for_headers(ctx: Context, headers: dict[str, str]) -> Context:
    """The context with what the headers wish."""
    wish = headers.get("sforce-duplicate-rule-header", "").replace(" ", "").lower()
    return replace(ctx, save_duplicates="allowsave=true" in wish)


def _lower(headers: Any) -> dict[str, str]:
    return {str(k).lower(): str(v) for k, v in headers.items()} if isinstance(headers, dict) else {}


def _answer(part: Part, reply: Reply) -> Part:
    location = {"Location": reply.headers["Location"]} if "Location" in reply.headers else {}
    return {"body": reply.body, "httpHeaders": location, "httpStatusCode": reply.status,
            "referenceId": part["referenceId"]}  # fmt: skip


def _halted(part: Part) -> Part:
    error = ApiError("PROCESSING_HALTED", ROLLED_BACK)
    return _answer(part, Reply(400, error.body()))


def substitute(value: Any, results: dict[str, Any]) -> Any:
    """Put earlier answers in the place of @{ref.path}; ApiError if there is none."""
    if isinstance(value, dict):
        return {key: substitute(inner, results) for key, inner in value.items()}
    if isinstance(value, list):
        return [substitute(inner, results) for inner in value]
    if not isinstance(value, str) or "@{" not in value:
        return value
    whole = REFERENCE.fullmatch(value)
    if whole:
        return _look(whole, results)
    return REFERENCE.sub(lambda found: str(_look(found, results)), value)


def _look(found: re.Match[str], results: dict[str, Any]) -> Any:
    here = results.get(found[1])
    for name, number in STEP.findall(found[2]):
        try:
            here = here[int(number)] if number else here[name]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            here = None
    if here is None:
        raise ApiError("PROCESSING_HALTED", f"Invalid reference specified. No value for {found[0][2:-1]} found in "
                       f"{found[1]}. Invalid reference found.")  # fmt: skip
    return here
