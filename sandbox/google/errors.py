"""Errors as Google words them: one exception, one body shape for every API."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    413: "OUT_OF_RANGE",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}
REASON = {
    400: "invalidArgument",
    401: "authError",
    403: "forbidden",
    404: "notFound",
    409: "aborted",
    412: "conditionNotMet",
    429: "rateLimitExceeded",
    500: "backendError",
    501: "notImplemented",
    503: "backendError",
}
USUAL = {
    400: "Request contains an invalid argument.",
    401: "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
    "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
    403: "The caller does not have permission",
    404: "Requested entity was not found.",
    429: "Resource has been exhausted (e.g. check quota).",
    500: "Internal error encountered.",
    503: "The service is currently unavailable.",
}


class GoogleError(Exception):
    """A refusal. `status` is HTTP's; reason, text and canonical status default by it (`providers.md 1.4`)."""

    def __init__(
        self,
        status: int,
        text: str = "",
        *,
        reason: str = "",
        code: str = "",
        details: list[Json] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.status = status
        self.text = text or USUAL.get(status, "Error")
        self.reason = reason or REASON.get(status, "backendError")
        self.code = code or STATUS.get(status, "UNKNOWN")
        self.details = details
        self.headers = headers or {}
        super().__init__(self.text)

    def body(self) -> Json:
        """The JSON that Google sends."""
        entry: Json = {"message": self.text, "domain": "global", "reason": self.reason}
        if self.status == 401:
            entry |= {"message": "Invalid Credentials", "location": "Authorization", "locationType": "header"}
        if self.reason.endswith("LimitExceeded"):
            entry["domain"] = "usageLimits"
        error: Json = {"code": self.status, "message": self.text, "errors": [entry], "status": self.code}
        if self.details:
            error["details"] = self.details
        return {"error": error}


def invalid(text: str) -> GoogleError:
    """400 invalidArgument with this text."""
    return GoogleError(400, text)


def failed_precondition(text: str) -> GoogleError:
    """400 failedPrecondition with this text."""
    return GoogleError(400, text, reason="failedPrecondition", code="FAILED_PRECONDITION")


def not_found() -> GoogleError:
    """404 notFound."""
    return GoogleError(404)


def unimplemented(operation: str) -> GoogleError:
    """501 for what the simulator does not do, with the operation's name."""
    return GoogleError(501, f"The sandbox does not do {operation}.")


def bad_request(text: str, field: str = "") -> GoogleError:
    """400 as the JSON and query parser words it, with the field violation."""
    violation = {"description": text} | ({"field": field} if field else {})
    detail = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}
    return GoogleError(400, text, reason="invalid", details=[detail])


def usual_body(status: int) -> Any:
    """What an injected fault answers when the order names no body; None for a status without a usual one."""
    if status < 400:
        return None
    text = {403: "User Rate Limit Exceeded", 429: "Too many concurrent requests for user."}.get(status, "")
    reason = {403: "userRateLimitExceeded"}.get(status, "")
    return GoogleError(status, text, reason=reason).body()
