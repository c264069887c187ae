"""Calls to one Salesforce instance: metered, timed, signed in again once, every failure named after the reaction."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import requests
from simple_salesforce.api import Salesforce as RestClient
from simple_salesforce.exceptions import SalesforceError
from urllib3.exceptions import MaxRetryError, NewConnectionError

from sync.errors import Busy, Conflict, Denied, Rejected, RemoteError
from sync.ports import Meter
from sync.providers.salesforce.auth import VENDOR, Login, Token
from sync.providers.salesforce.gate import asking

API_VERSION = "67.0"
Verb = Literal["GET", "POST", "PATCH"]

# Salesforce's code -> seconds to wait (providers.md 5.1)
BUSY: Mapping[str, float] = {
    "UNABLE_TO_LOCK_ROW": 3.0,
    "SERVER_UNAVAILABLE": 30.0,
    "REQUEST_RUNNING_TOO_LONG": 30.0,
    "QUERY_TIMEOUT": 30.0,
    "UNKNOWN_EXCEPTION": 60.0,
    "REQUEST_LIMIT_EXCEEDED": 900.0,
}
CONCURRENT_WAIT = 10.0  # REQUEST_LIMIT_EXCEEDED is also the code for too many long calls at once
# refused for everybody in the organisation, or for this user whatever the item
DENIED = frozenset({"INVALID_SESSION_ID", "API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED", "STORAGE_LIMIT_EXCEEDED"})
# a record of the plan was deleted or merged since it was read: read again and plan again
STALE = frozenset({"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "NOT_FOUND", "MALFORMED_ID"})
# refused for what the item is -> the reason that people read (core.reasons); others read "rejected"
REASON: Mapping[str, str] = {
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": "validation_rule",
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": "validation_rule",  # a trigger or flow of the administrator
    "CANNOT_EXECUTE_FLOW_TRIGGER": "validation_rule",
    "REQUIRED_FIELD_MISSING": "required_field",
    "DUPLICATES_DETECTED": "duplicate",
    "DUPLICATE_VALUE": "duplicate",
    "INSUFFICIENT_ACCESS": "not_permitted",
    "INSUFFICIENT_ACCESS_OR_READONLY": "not_permitted",
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": "not_permitted",
    "CANNOT_CREATE_CHILD_DUE_TO_PARENT_PERMISSIONS": "not_permitted",
    "INVALID_TYPE": "not_permitted",  # an object that this user does not see does not exist for him
    "INVALID_EMAIL_ADDRESS": "address_unfit",
    "HTTP_413": "too_large",
}
# the administrator's own words: safe to show; other messages may quote the value that was refused
ADMIN_TEXT = frozenset({"FIELD_CUSTOM_VALIDATION_EXCEPTION"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One error of an answer. `matches` are the ids of the records that a duplicate rule found."""

    code: str
    message: str = ""
    fields: tuple[str, ...] = ()
    matches: tuple[str, ...] = ()


def faults(body: Any) -> tuple[Fault, ...]:
    """The errors of an answer's body; empty when it has none."""
    items = body if isinstance(body, list) else [body]
    return tuple(
        Fault(
            str(item.get("errorCode") or item.get("statusCode")),
            str(item.get("message") or ""),
            tuple(str(name) for name in item.get("fields") or ()),
            _matches(item),
        )
        for item in items
        if isinstance(item, dict) and isinstance(item.get("errorCode") or item.get("statusCode"), str)
    )


def _matches(item: Mapping[str, Any]) -> tuple[str, ...]:
    result = item.get("duplicateResult") or item.get("duplicateResut") or {}  # the service has long had the typo
    ids = [
        str(match["record"]["Id"])
        for found in result.get("matchResults") or ()
        for match in found.get("matchRecords") or ()
        if (match.get("record") or {}).get("Id")
    ]
    return tuple(dict.fromkeys(ids))


def error_for(fault: Fault, operation: str, status: int | None = None) -> RemoteError:
    """The error of one item of an answer."""
    fields = f" [{', '.join(fault.fields)}]" if fault.fields else ""
    detail = f"{fault.code}{fields}"
    if fault.code in BUSY:
        wait = BUSY[fault.code]
        if fault.code == "REQUEST_LIMIT_EXCEEDED" and "concurrent" in fault.message.lower():
            wait = CONCURRENT_WAIT
        return Busy(detail, retry_after=wait, vendor=VENDOR, operation=operation, status=status)
    if fault.code in DENIED:
        return Denied(detail, vendor=VENDOR, operation=operation, status=status)
    if fault.code in STALE:
        return Conflict(detail, vendor=VENDOR, operation=operation, status=status)
    if fault.code in ADMIN_TEXT:
        detail = f"{detail}: {fault.message}"
    reason = REASON.get(fault.code, "rejected")
    return Rejected(detail, reason=reason, vendor=VENDOR, operation=operation, status=status)


class Client:
    """One instance, acting as one user. Each call costs one of the organisation's daily calls."""

    def __init__(self, login: Login, http: requests.Session, meter: Meter, *, version: str = API_VERSION) -> None:
        self.key = (*login.key, version)
        self.root = f"/services/data/v{version}"
        self.version = version
        self._login = login
        self._http = http
        self._meter = meter

    def instance_url(self) -> str:
        """Where people and programs find the records."""
        return self._login.token().instance_url

    def call(
        self,
        operation: str,
        path: str,
        body: Any = None,
        *,
        verb: Verb = "POST",
        write: bool = False,
        headers: Mapping[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> Any:
        """The parsed answer of `path`, below the version's root. Signs in again once when the session is refused.
        `before` is asked until the last byte has left; what it raises breaks the request off.

        Raises `Busy` (`unknown` for a `write` whose answer was lost), `Denied`, or `Rejected` when the call as such is
        wrong. Nothing is repeated but a call that was refused at the door.
        """
        token = self._login.token()
        for attempt in (1, 2):
            self._meter.spend(operation, 1)
            with asking(before):
                answer, parsed = self._send(token, operation, path, body, verb, write, headers)
            self._report(answer)
            if answer.status_code != 401:
                break
            if attempt == 2:
                raise Denied("refused after a new sign-in", vendor=VENDOR, operation=operation, status=401)
            token = self._login.renew(token)
        if answer.status_code >= 300:
            raise self._failure(answer, parsed, operation, write)
        if not isinstance(parsed, dict):
            raise Busy("not Salesforce's answer", unknown=write, vendor=VENDOR, operation=operation)
        return parsed

    def _send(
        self, token: Token, operation: str, path: str, body: Any, verb: Verb, write: bool, headers: Any
    ) -> tuple[requests.Response, Any]:
        rest = RestClient(
            session_id=token.value,
            instance_url=token.instance_url,
            session=self._http,
            version=self.version,
            object_pairs_hook=dict,
        )
        seen: list[requests.Response] = []  # the library's errors lack the headers
        options: dict[str, Any] = {
            "hooks": {"response": lambda answer, **_: seen.append(answer)},
            "headers": {"X-PrettyPrint": "0", **(headers or {})},
            "allow_redirects": False,
        }
        if body is not None:
            options["json"] = body
        lost = Busy("no answer", unknown=write, vendor=VENDOR, operation=operation)
        try:
            parsed = rest.restful(path, method=verb, **options)
        except SalesforceError as error:
            parsed = error.content
        except requests.exceptions.ConnectTimeout as error:
            raise Busy("no connection", vendor=VENDOR, operation=operation) from error
        except (requests.RequestException, ValueError, TypeError) as error:  # TypeError: the library on a bare null
            # a refused connection never reached the service; anything later may have taken effect
            if _never_connected(error):
                raise Busy("no connection", vendor=VENDOR, operation=operation) from error
            raise lost from error
        if not seen:
            raise lost
        return seen[-1], parsed

    def _report(self, answer: requests.Response) -> None:
        usage = re.search(r"api-usage=(\d+)/(\d+)", answer.headers.get("Sforce-Limit-Info", ""))
        if usage:
            self._meter.report(int(usage[1]), int(usage[2]))

    def _failure(self, answer: requests.Response, parsed: Any, operation: str, write: bool) -> RemoteError:
        status = answer.status_code
        fault = next(iter(faults(parsed)), Fault(f"HTTP_{status}"))
        wait = answer.headers.get("Retry-After", "")
        error = error_for(fault, operation, status)
        if isinstance(error, Busy) or status == 429 or status >= 500:
            seconds = float(wait) if wait.isdigit() else getattr(error, "retry_after", 30.0)
            if status in (429, 503) or fault.code == "REQUEST_LIMIT_EXCEEDED":
                self._meter.throttled(operation, seconds)
            unknown = write and status >= 500 and status != 503  # 503: not taken at all
            detail = error.detail
            return Busy(detail, retry_after=seconds, unknown=unknown, vendor=VENDOR, operation=operation, status=status)
        if status == 403:
            return Denied(error.detail, vendor=VENDOR, operation=operation, status=status)
        return error


def _never_connected(error: BaseException) -> bool:
    cause: Any = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)
