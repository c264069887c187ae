"""Refusals in Salesforce's form; codes and texts of `providers.md` 5.1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class ApiError(Exception):
    """One refusal: HTTP status, code, text, the fields it is about (None: the answer has no such member)."""

    def __init__(self, code: str, message: str, fields: Iterable[str] | None = None, status: int = 400,
                 **more: Any) -> None:  # fmt: skip
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message = status, code, message
        self.fields = None if fields is None else list(fields)
        self.more = more

    def body(self) -> list[dict[str, Any]]:
        """The answer's body."""
        out: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            out["fields"] = self.fields
        return [{**out, **self.more}]

    def result(self) -> dict[str, Any]:
        """The same as an error inside the answer of a collection."""
        return {"statusCode": self.code, "message": self.message, "fields": self.fields or [], **self.more}


def not_found(message: str = "The requested resource does not exist") -> ApiError:
    """404: no such path, object or record."""
    return ApiError("NOT_FOUND", message, status=404)


def not_simulated(what: str) -> ApiError:
    """501: Salesforce can do it, this sandbox cannot."""
    return ApiError("NOT_IMPLEMENTED", f"the sandbox does not simulate {what}", status=501)


def no_access() -> ApiError:
    """The user may see the record but not do this to it."""
    return ApiError("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", [])


def wrong_id(label: str, value: str, field: str, code: str = "FIELD_INTEGRITY_EXCEPTION") -> ApiError:
    """A reference to an object of another kind, or no id at all."""
    return ApiError(code, f"{label}: id value of incorrect type: {value}", [field])


def field_error(message: str, *fields: str) -> ApiError:
    """A rule over fields is broken."""
    return ApiError("FIELD_INTEGRITY_EXCEPTION", message, fields)
