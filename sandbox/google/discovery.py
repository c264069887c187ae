"""Requests judged by Google's own discovery documents (`providers.md SIM-4`).

The documents come with google-api-python-client; only its files are read, none of its code runs.
What they say about paths, parameters, types, enums and members is enforced here for every API
alike; the operations see typed parameters and a checked body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sandbox.google.errors import bad_request

Json = dict[str, Any]
RANGES = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
BASE64 = re.compile(r"[A-Za-z0-9+/_\-\s]*={0,2}\s*\Z")


@cache
def document(name: str) -> Json:
    """A discovery document by name, for example "gmail.v1"."""
    spec = find_spec("googleapiclient")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("google-api-python-client is not installed")
    path = Path(spec.origin).parent / "discovery_cache" / "documents" / f"{name}.json"
    found: Json = json.loads(path.read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one API."""

    api: str
    id: str
    verb: str
    template: str
    method: Json

    @property
    def path(self) -> re.Pattern[str]:
        """Matches the path, with its parameters as groups."""
        return _pattern(self.template)

    @property
    def takes_body(self) -> bool:
        """Whether a request schema is declared."""
        return "request" in self.method

    @property
    def scopes(self) -> frozenset[str]:
        """Any one of these suffices."""
        return frozenset(self.method.get("scopes", ()))


def _operations(name: str) -> Iterator[Operation]:
    doc = document(name)

    def walk(node: Json) -> Iterator[Json]:
        yield from node.get("methods", {}).values()
        for child in node.get("resources", {}).values():
            yield from walk(child)

    for method in walk(doc):
        template = "/" + doc["servicePath"] + (method.get("flatPath") or method["path"])
        yield Operation(name, method["id"], method["httpMethod"], template, method)


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\\?\+?(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template)))


class Router:
    """Finds the operation of a path among several APIs."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._by_shape: dict[tuple[str, int], list[Operation]] = {}
        for name in names:
            for operation in _operations(name):
                shape = (operation.verb, operation.template.count("/"))
                self._by_shape.setdefault(shape, []).append(operation)
        for operations in self._by_shape.values():  # fixed words win over variables
            operations.sort(key=lambda o: o.template.count("{"))

    def find(self, verb: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """Operation and path parameters, or None."""
        for operation in self._by_shape.get((verb, path.count("/")), ()):
            match = operation.path.fullmatch(path)
            if match:
                return operation, {name: unquote(value) for name, value in match.groupdict().items()}
        return None


def read_query(operation: Operation, query: dict[str, list[str]]) -> Json:
    """Typed query parameters with the document's defaults; a GoogleError for what the service refuses."""
    declared: Json = operation.method.get("parameters", {})
    common: Json = document(operation.api)["parameters"]
    out: Json = {}
    for name, values in query.items():
        node = declared.get(name)
        if node is None or node["location"] != "query":
            if common.get(name) is None and common.get(name.removeprefix("$")) is None:
                raise bad_request(
                    f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. '
                    f"Field '{name}' could not be found in request message."
                )
            node = common.get(name) or common[name.removeprefix("$")]
        typed = [_parameter(name, node, value) for value in values]
        if len(typed) > 1 and not node.get("repeated"):
            raise bad_request(f"Invalid value at '{_snake(name)}', Multiple values for a field that takes one.", name)
        out[name] = typed if node.get("repeated") else typed[0]
    for name, node in declared.items():
        if node["location"] == "query" and name not in out and "default" in node:
            out[name] = _parameter(name, node, node["default"])
    return out


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def _parameter(name: str, node: Json, value: str) -> Any:
    kind, where = node["type"], _snake(name)
    if "enum" in node and value not in node["enum"]:
        raise bad_request(f"Invalid value at '{where}' (TYPE_ENUM), \"{value}\"", where)
    if kind == "integer":
        if not re.fullmatch(r"-?\d{1,20}", value) or not _in_range(int(value), node.get("format", "int32")):
            raise bad_request(
                f"Invalid value at '{where}' (TYPE_{node.get('format', 'int32').upper()}), \"{value}\"", where
            )
        return int(value)
    if kind == "boolean":
        if value.lower() not in ("true", "false"):
            raise bad_request(f"Invalid value at '{where}' (TYPE_BOOL), \"{value}\"", where)
        return value.lower() == "true"
    if node.get("format") in RANGES and (
        not re.fullmatch(r"-?\d{1,20}", value) or not _in_range(int(value), node["format"])
    ):
        raise bad_request(f"Invalid value at '{where}' (TYPE_{node['format'].upper()}), \"{value}\"", where)
    return value


def _in_range(number: int, form: str) -> bool:
    low, high = RANGES.get(form, RANGES["int64"])
    return low <= number <= high


def read_body(operation: Operation, data: bytes) -> Json:
    """The checked JSON body; {} when there is none. GoogleError for what the service refuses."""
    if not data.strip():
        return {}
    try:
        body = json.loads(data)
    except (ValueError, UnicodeDecodeError):
        raise bad_request("Invalid JSON payload received. Unexpected token.") from None
    if not isinstance(body, dict):
        raise bad_request('Invalid JSON payload received. Unknown name "": Root element must be a message.')
    if not operation.takes_body:
        if body:
            name = next(iter(body))
            raise bad_request(f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')
        return {}
    schema = operation.method["request"]["$ref"]
    where = operation.method["request"].get("parameterName") or schema[0].lower() + schema[1:]
    return _object(document(operation.api)["schemas"], schema, body, _snake(where))


def _object(schemas: Json, name: str, value: Json, where: str) -> Json:
    node = schemas[name]
    return _members(schemas, node, value, where)


def _members(schemas: Json, node: Json, value: Json, where: str) -> Json:
    properties = node.get("properties", {})
    out: Json = {}
    for name, item in value.items():
        child = properties.get(name) or node.get("additionalProperties")
        if child is None:
            raise bad_request(
                f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field.", where
            )
        if item is not None:  # JSON null is "not set"
            out[name] = _value(schemas, child, item, f"{where}.{_snake(name)}")
    return out


def _value(schemas: Json, node: Json, value: Any, where: str) -> Any:
    if "$ref" in node:
        node = schemas[node["$ref"]]
    kind = node.get("type", "any")
    if kind == "any":
        return value
    if kind == "array":
        values = value if isinstance(value, list) else [value]
        return [_value(schemas, node["items"], item, f"{where}[{n}]") for n, item in enumerate(values)]
    if kind == "object":
        if not isinstance(value, dict):
            raise _wrong(where, "", value)
        return _members(schemas, node, value, where)
    return _scalar(node, kind, value, where)


def _scalar(node: Json, kind: str, value: Any, where: str) -> Any:
    form = node.get("format", "")
    if form in RANGES:
        text = str(value)
        if isinstance(value, bool) or not re.fullmatch(r"-?\d{1,20}", text) or not _in_range(int(text), form):
            raise _wrong(where, form.upper(), value)
        return text if kind == "string" else int(text)
    if kind == "string":
        if not isinstance(value, str):
            raise _wrong(where, "STRING", value)
        if "enum" in node and value not in node["enum"]:
            raise _wrong(where, "ENUM", value)
        if form == "byte" and not BASE64.match(value):
            raise bad_request(
                f"Invalid value at '{where}' (TYPE_BYTES), Base64 decoding failed for \"{value[:60]}\"", where
            )
        return value
    if kind == "boolean" and not isinstance(value, bool):
        raise _wrong(where, "BOOL", value)
    if kind == "integer" and (isinstance(value, bool) or not isinstance(value, int)):
        raise _wrong(where, "INT32", value)
    if kind == "number" and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise _wrong(where, "DOUBLE", value)
    return value


def _wrong(where: str, kind: str, value: Any) -> Exception:
    return bad_request(
        f"Invalid value at '{where}' ({'TYPE_' + kind if kind else 'message'}), {json.dumps(value)[:80]}", where
    )
