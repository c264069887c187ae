"""What Graph's and Entra's refusals mean to us (providers.md 2.1, 2.3, 2.5, 7.7).

| answer | error |
|---|---|
| 429 | Busy, and the budget shrinks |
| 408, 5xx, no answer, a 404 that is not Graph's | Busy; `unknown` when the call must not be repeated blindly |
| 401 after a refresh, 403, a mailbox that is none, a refused token request | Denied, with what to do |
| 410, a sync state that is gone | CursorExpired |
| 404, an id that is none | Missing |
| 409, 412 | Conflict |
| other 4xx | Rejected |

The texts of Microsoft may name people and folders: only the codes reach a `detail`.
"""

from __future__ import annotations

import base64
import email.utils
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from sync.errors import Busy, Conflict, CursorExpired, Denied, Missing, Rejected, RemoteError

VENDOR = "microsoft"
LONGEST_WAIT = 3_600.0  # seconds: a refusal for longer than this is asked again after this
RECONNECT = "connect the mailbox again"
ADVICE: Mapping[str, str] = {
    "ErrorAccessDenied": "allow the app to reach this mailbox (RBAC for Applications: role assignments for "
    "Mail.ReadWrite and MailboxSettings.ReadWrite whose scope contains it)",
    "ErrorQuotaExceeded": "the mailbox is full: make room in it",
    "MailboxNotEnabledForRESTAPI": "the account has no mailbox in Exchange Online: give it a licence or remove it",
    "ErrorInvalidUser": "no user of the tenant has this address: correct or remove the mailbox",
    "ErrorNonExistentMailbox": "no mailbox of the tenant has this address: correct or remove the mailbox",
    "ResourceNotFound": "no mailbox of the tenant has this address: correct or remove the mailbox",
    "Request_ResourceNotFound": "no user of the tenant has this address: correct or remove the mailbox",
}
NO_MAILBOX = frozenset(ADVICE) - {"ErrorAccessDenied", "ErrorQuotaExceeded"}
NO_ITEM = frozenset({"ErrorItemNotFound", "ErrorInvalidIdMalformed"})
SYNC_STATE = frozenset({"syncstatenotfound", "syncstateinvalid", "resyncrequired", "errorinvalidsyncstatedata"})
TOKEN_ADVICE: Mapping[int, str] = {  # AADSTS numbers
    50034: "the user does not exist in the tenant: correct or remove the mailbox",
    50057: "the account is disabled: enable it or remove the mailbox",
    50076: f"more proof of identity is asked for: {RECONNECT}",
    50079: f"more proof of identity is asked for: {RECONNECT}",
    50173: f"the grant was revoked, for example by a new password: {RECONNECT}",
    65001: "consent is missing: let an administrator consent to the app registration's permissions",
    90002: "the tenant is unknown: check the connection's tenant",
    700016: "the app registration is unknown in this tenant: check tenant and client_id",
    700027: "the certificate is not registered with the app: upload it to the app registration",
    700082: f"the grant has ended after 90 days without use: {RECONNECT}",
    7000215: "the client secret is wrong: check it",
    7000222: "the client secret has ended: make a new one",
}
GRANT = frozenset({"invalid_grant", "interaction_required"})
_CLAIMS = re.compile(r'claims="([^"]+)"')
_CODE = re.compile(r"[A-Za-z][A-Za-z_.-]{1,80}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP error of Graph, read. `wait` is the wait that the service itself told, in seconds."""

    status: int
    code: str
    wait: float | None

    @property
    def limited(self) -> bool:
        """Whether it is about rate: the call had no effect, and the budget is to shrink."""
        return self.status == 429

    @property
    def passing(self) -> bool:
        """Whether the same call may succeed later."""
        return self.limited or self.status in (408, 425) or self.status >= 500 or self.foreign

    @property
    def foreign(self) -> bool:
        """Whether a proxy or a wrong address answered: Graph's own 404 names a code."""
        return self.status in (404, 410) and not self.code


def read(status: int, headers: Mapping[str, str], body: Any) -> Refusal:
    """The refusal in an answer of this status; `body` is its JSON, if it is some."""
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    waits = [value for name, value in headers.items() if name.lower() == "retry-after"]
    return Refusal(status, code if isinstance(code, str) and _CODE.fullmatch(code) else "", _wait(waits))


def parsed(content: bytes) -> Any:
    """The JSON of an answer; None where it is none."""
    try:
        return json.loads(content)
    except ValueError:
        return None


def _wait(headers: list[str]) -> float | None:
    """Seconds from a Retry-After header: a number or a date."""
    if not headers:
        return None
    text = str(headers[0]).strip()
    try:
        return min(max(float(text), 0.0), LONGEST_WAIT)
    except ValueError:
        try:
            until = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return None
    aware = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max(aware.timestamp() - time.time(), 0.0), LONGEST_WAIT)


def challenge(headers: Mapping[str, str]) -> str:
    """The claims that a refused token lacks, as the answer's header has them; "" when it asks for none."""
    found = (_CLAIMS.search(value) for name, value in headers.items() if name.lower() == "www-authenticate")
    return next((match[1] for match in found if match), "")


def plain_claims(claims: str) -> str:
    """The JSON of claims, which headers hold in base64; "" for what is neither."""
    for text in (claims, _decoded(claims)):
        if isinstance(parsed(text.encode()), dict):
            return text
    return ""


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:  # also of letters that are none of base64, and of bytes that are no text
        return ""


def to_error(refusal: Refusal, operation: str, *, hint: float, repeatable: bool = True) -> RemoteError:
    """Our error for a refusal. `hint` is the wait in seconds where Graph names none."""
    status, code = refusal.status, refusal.code
    where: dict[str, Any] = {"vendor": VENDOR, "operation": operation, "status": status}
    if refusal.passing:
        wait = refusal.wait if refusal.wait is not None else hint
        detail = code or ("not Graph's answer" if refusal.foreign else "temporarily refused")
        return Busy(detail, retry_after=wait, unknown=not repeatable and not refusal.limited, **where)
    if code.lower() in SYNC_STATE or status == 410:
        return CursorExpired(code, **where)
    if status == 401:
        return Denied(f"the access token is refused even after a new one: {RECONNECT}", **where)
    if status == 403 or code in NO_MAILBOX:
        advice = ADVICE.get(code, "check the permissions of the app registration")
        return Denied(f"{code}: {advice}" if code else advice, **where)
    if status == 404 or code in NO_ITEM:
        return Missing(code, **where)
    if status in (409, 412):
        return Conflict(code, **where)
    return Rejected(code or "refused", **where)


def from_token(answer: Mapping[str, Any]) -> RemoteError:
    """Our error for a token request that was refused: Busy when it may pass, else Denied with what to do."""
    error = answer.get("error")
    code = error if isinstance(error, str) and _CODE.fullmatch(error) else ""
    if code in ("temporarily_unavailable", "server_error", "request_throttled"):
        return Busy("the token endpoint is busy", retry_after=30.0, vendor=VENDOR, operation="token")
    numbers = [number for number in answer.get("error_codes") or () if isinstance(number, int)]
    known = next((TOKEN_ADVICE[number] for number in numbers if number in TOKEN_ADVICE), "")
    usual = RECONNECT if code in GRANT else "check the credentials of the connection"
    named = " ".join([code, *(f"AADSTS{number}" for number in numbers)]).strip() or "no access token"
    return Denied(f"{named}: {known or usual}", vendor=VENDOR, operation="token")
