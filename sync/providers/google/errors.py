"""What Google's refusals mean to us (providers.md 1.1, 1.4, 1.7).

| answer | error |
|---|---|
| 429; 403 for a rate reason | Busy |
| 408, 5xx, no answer, a 404 that is not Google's | Busy; `unknown` when the call must not be repeated blindly |
| 401 after a refresh, other 403, 400 failedPrecondition, a refused token request | Denied, with what to do |
| 404, 410 | Missing |
| 409, 412 | Conflict |
| other 4xx | Rejected |

Google's own texts may name labels and addresses: only its reason codes reach a `detail`.
"""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.auth.exceptions import RefreshError
from googleapiclient.errors import HttpError

from sync.errors import Busy, Conflict, Denied, Missing, Rejected, RemoteError

VENDOR = "google"
LONGEST_WAIT = 3_600.0  # seconds: a refusal for longer than this is asked again after this
DAILY = frozenset({"dailyLimitExceeded", "quotaExceeded"})
RATE = DAILY | {"rateLimitExceeded", "userRateLimitExceeded", "RESOURCE_EXHAUSTED", "concurrentLimitExceeded"}
ADVICE: Mapping[str, str] = {
    "insufficientPermissions": "authorise the service account's client id for the scopes in the Admin console, "
    "or connect the mailbox again and accept them",
    "insufficientScopes": "connect the mailbox again and accept all scopes",
    "domainPolicy": "allow the app in the Admin console under API controls",
    "accessNotConfigured": "enable the API in the Google Cloud project",
    "failedPrecondition": "the account has no mail service: give it a licence or remove the mailbox",
    "invalid_grant": "the grant was revoked, has expired or names an unknown user: connect the mailbox again",
    "unauthorized_client": "authorise the service account's client id for the scopes in the Admin console",
    "invalid_client": "check the client id and secret of the connection",
    "access_denied": "the administrator does not allow the app: allow it in the Admin console",
    "admin_policy_enforced": "the administrator does not allow the app: allow it in the Admin console",
}
_CODE = re.compile(r"[A-Za-z_]{1,60}")
_UNTIL = re.compile(r"Retry after (\d{4}-\d\d-\d\dT[\d:.]+Z)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP error of Google, read. `wait` is the wait that the service itself told, in seconds."""

    status: int
    reason: str
    wait: float | None

    @property
    def limited(self) -> bool:
        """Whether it is about rate: the call had no effect, and the budget is to shrink."""
        return self.status == 429 or (self.status == 403 and self.reason in RATE)

    @property
    def passing(self) -> bool:
        """Whether the same call may succeed later."""
        return self.limited or self.status == 408 or self.status >= 500 or self.foreign

    @property
    def foreign(self) -> bool:
        """Whether a proxy or a wrong address answered: Google's own 404 names a reason."""
        return self.status in (404, 410) and not self.reason


def read(error: HttpError) -> Refusal:
    """The refusal in a client library's error."""
    reason, text = _reason(error.content)
    status = int(error.resp.status)
    return Refusal(status, reason, _wait(error.resp.get("retry-after", ""), text))


def _reason(content: bytes | str) -> tuple[str, str]:
    """Google's reason code and text; "" where the body is not Google's usual JSON."""
    try:
        body: Any = json.loads(content)
    except ValueError:
        return "", ""
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, str):  # the token endpoint
        return _code(error), ""
    if not isinstance(error, dict):
        return "", ""
    details = error.get("errors") or [{}]
    first = details[0] if isinstance(details, list) and isinstance(details[0], dict) else {}
    return _code(first.get("reason") or error.get("status")), str(error.get("message") or "")


def _code(value: object) -> str:
    """A reason, if it looks like one: anything else could be content."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else ""


def _wait(header: str, text: str) -> float | None:
    """Seconds from a Retry-After header (a number or a date), or from the time that Gmail names in its text."""
    if header.strip().isdigit():
        return min(float(header), LONGEST_WAIT)
    until: datetime | None = None
    try:
        if header:
            until = email.utils.parsedate_to_datetime(header)
        elif found := _UNTIL.search(text):
            until = datetime.fromisoformat(found[1])
    except ValueError:
        return None
    if until is None:
        return None
    aware = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max(aware.timestamp() - time.time(), 0.0), LONGEST_WAIT)


def to_error(refusal: Refusal, operation: str, *, hint: float, repeatable: bool = True) -> RemoteError:
    """Our error for a refusal. `hint` is the wait in seconds where Google names none."""
    status, reason = refusal.status, refusal.reason
    where: dict[str, Any] = {"vendor": VENDOR, "operation": operation, "status": status}
    if refusal.passing:
        wait = refusal.wait if refusal.wait is not None else LONGEST_WAIT if reason in DAILY else hint
        unknown = not repeatable and not refusal.limited
        detail = reason or ("not Google's answer" if refusal.foreign else "temporarily refused")
        return Busy(detail, retry_after=wait, unknown=unknown, **where)
    if status == 401:
        return Denied("the access token is refused even after a refresh: connect the mailbox again", **where)
    if status == 403 or reason == "failedPrecondition":
        advice = ADVICE.get(reason, "check the permissions of the connection")
        return Denied(f"{reason}: {advice}" if reason else advice, **where)
    if status in (404, 410):
        return Missing(reason, **where)
    if status in (409, 412):
        return Conflict(reason, **where)
    return Rejected(reason or "refused", **where)


def from_refresh(error: RefreshError, operation: str, *, hint: float) -> RemoteError:
    """Our error for a token request that failed: Busy when it may pass, else Denied with what to do."""
    if error.retryable:
        return Busy("the token endpoint is busy", retry_after=hint, vendor=VENDOR, operation=operation)
    answer = error.args[1] if len(error.args) > 1 else None
    reason = _code(answer.get("error")) if isinstance(answer, dict) else ""
    advice = ADVICE.get(reason, "check the credentials of the connection")
    detail = f"{reason}: {advice}" if reason else f"no access token: {advice}"
    return Denied(detail, vendor=VENDOR, operation=operation)
