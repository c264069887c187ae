"""Partial answers: the ``fields`` parameter that every Google API knows."""

from __future__ import annotations

from typing import Any

from sandbox.google.errors import bad_request

Mask = dict[str, "Mask"]  # an empty mask means everything below


def parse(text: str) -> Mask:
    """The mask of "a,b(c,d/e)"; GoogleError when it cannot be read."""
    mask, rest = _list(text)
    if rest:
        raise _wrong(text)
    return mask


def _wrong(text: str) -> Exception:
    return bad_request(f"Request contains an invalid argument. Invalid field selection {text}", "fields")


def _list(text: str) -> tuple[Mask, str]:
    mask: Mask = {}
    while True:
        rest = _item(mask, text)
        if not rest.startswith(","):
            return mask, rest
        text = rest[1:]


def _item(mask: Mask, text: str) -> str:
    end = next((i for i, char in enumerate(text) if char in ",()/"), len(text))
    name, rest = text[:end].strip(), text[end:]
    if not name:
        raise _wrong(text)
    below = mask.setdefault(name, {})
    if rest.startswith("/"):
        return _item(below, rest[1:])
    if rest.startswith("("):
        inner, rest = _list(rest[1:])
        if not rest.startswith(")"):
            raise _wrong(text)
        below.update(inner)
        return rest[1:]
    return rest


def check(mask: Mask, schemas: dict[str, Any], node: dict[str, Any]) -> None:
    """GoogleError for a name that the answer's schema does not have."""
    if "$ref" in node:
        node = schemas[node["$ref"]]
    if "items" in node:
        return check(mask, schemas, node["items"])
    properties, any_name = node.get("properties", {}), node.get("additionalProperties")
    for name, below in mask.items():
        if name == "*":
            continue
        child = properties.get(name) or any_name
        if child is None:
            raise _wrong(name)
        if below:
            check(below, schemas, child)
    return None


def apply(mask: Mask, value: Any) -> Any:
    """The part of the answer that the mask selects."""
    if not mask:
        return value
    if isinstance(value, list):
        return [apply(mask, item) for item in value]
    if isinstance(value, dict):
        return {n: apply(mask.get(n, mask.get("*", {})), v) for n, v in value.items() if n in mask or "*" in mask}
    return value
