"""Refusals as Entra words them (`providers.md EN-4`)."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

Json = dict[str, Any]

# What a sign-in, a refresh or an exchange on behalf of a user may end in: AADSTS number -> error, suberror, text
SIGN_IN = {
    50034: ("invalid_grant", "", "The user account does not exist in the tenant directory."),
    50057: ("invalid_grant", "", "The user account is disabled."),
    50076: (
        "invalid_grant",
        "basic_action",
        "Due to a configuration change made by your administrator, or because you moved to a new location, you must "
        "use multi-factor authentication to access '00000003-0000-0000-c000-000000000000'.",
    ),
    50173: (
        "invalid_grant",
        "bad_token",
        "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have "
        "changed or reset their password.",
    ),
    65001: (
        "invalid_grant",
        "consent_required",
        "The user or administrator has not consented to use the application. Send an interactive authorization "
        "request for this user and resource.",
    ),
    700082: (
        "invalid_grant",
        "bad_token",
        "The refresh token has expired due to inactivity. The token was inactive for 90.00:00:00.",
    ),
}


class EntraError(Exception):
    """A refusal of an endpoint of Entra."""

    def __init__(self, status: int, error: str, number: int, text: str, suberror: str = "", claims: str = "") -> None:
        super().__init__(text)
        self.status, self.error, self.number, self.text = status, error, number, text
        self.suberror, self.claims = suberror, claims

    def body(self, now: datetime, correlation: str = "") -> Json:
        """The JSON that Entra sends."""
        trace, stamp = str(uuid.uuid4()), now.strftime("%Y-%m-%d %H:%M:%SZ")
        correlation = correlation or str(uuid.uuid4())
        out: Json = {
            "error": self.error,
            "error_description": f"AADSTS{self.number}: {self.text} Trace ID: {trace} Correlation ID: {correlation} "
            f"Timestamp: {stamp}",
            "error_codes": [self.number],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={self.number}",
        }
        if self.suberror:
            out["suberror"] = self.suberror
        if self.claims:
            out["claims"] = self.claims
        return out


def sign_in_error(number: int) -> EntraError:
    """One of `SIGN_IN`; LookupError for another number."""
    error, suberror, text = SIGN_IN[number]
    claims = '{"access_token":{"capolids":{"essential":true,"values":["mfa"]}}}' if number == 50076 else ""
    return EntraError(400, error, number, text, suberror, claims)


def missing(name: str) -> EntraError:
    """A parameter is not there."""
    return EntraError(
        400, "invalid_request", 900144, f"The request body must contain the following parameter: '{name}'."
    )
