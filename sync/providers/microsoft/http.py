"""One Graph call: paid for, sent once, and refused in our words. One HTTP call per mailbox at a time
(providers.md 2.1)."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
from kiota_abstractions.base_request_builder import BaseRequestBuilder
from kiota_abstractions.method import Method
from kiota_abstractions.request_information import RequestInformation

from sync.errors import Busy, RemoteError
from sync.ports import Meter
from sync.providers.microsoft import errors

FIRST_WAIT, LONGEST_HINT = 2.0, 64.0  # seconds, of the truncated exponential back-off
IMMUTABLE = 'IdType="ImmutableId"'  # on every call: ids survive moves (providers.md 2.2)
# What the transports raise when there was no answer, or half of one.
TROUBLE = (OSError, httpx.HTTPError, httpx.StreamError, httpx.InvalidURL)


class Sends(Protocol):
    """`connection.Sender`."""

    base_url: str

    def send(self, verb: str, url: str, headers: Mapping[str, str], content: bytes | None) -> httpx.Response: ...


class Client(Protocol):
    """`auth.Client`: one user's way to Graph."""

    @property
    def sender(self) -> Sends: ...

    def forget(self, claims: str = "") -> None:
        """The token was refused: the next request needs a new one, which meets the claims of a challenge."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is ready, and its name for the meter. `path` begins behind the version. `repeatable`: twice is the
    same as once. `raw`: the answer is bytes."""

    method: str
    verb: str
    path: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    raw: bool = False


def call(
    method: str,
    verb: str,
    builder: BaseRequestBuilder,
    body: Mapping[str, Any] | None = None,
    *,
    prefer: str = "",
    etag: str = "",
    repeatable: bool = True,
    raw: bool = False,
    **query: Any,
) -> Call:
    """The call of one of the library's URL builders; `query` names options without their $."""
    request = RequestInformation(Method[verb], builder.url_template, dict(builder.path_parameters))
    request.query_parameters = {f"%24{name}": value for name, value in query.items() if value is not None}
    headers = {"Prefer": f"{IMMUTABLE}, {prefer}" if prefer else IMMUTABLE}
    headers |= {"If-Match": etag} if etag else {}
    return Call(method, verb, request.url, body, headers, repeatable, raw)


class Api:
    """Sends the calls of one mailbox. It never sleeps and never repeats, but for one new token: waits go to the caller
    as `Busy`."""

    def __init__(self, client: Client, meter: Meter) -> None:
        self.meter = meter
        self._client = client
        self._lock = threading.Lock()
        self._strikes = 0

    def call(self, call: Call) -> Any:
        """The answer of one call: its JSON, or bytes for a `raw` one. Raises the errors of `sync.errors`."""
        response = self.send(call.method, call, 1)
        if call.raw:
            return response.content
        return self.json(call.method, response)

    def json(self, method: str, response: httpx.Response) -> dict[str, Any]:
        """An answer that is Graph's. Raises `Busy` for one that is not."""
        if not response.content:
            return {}
        body = errors.parsed(response.content)
        if isinstance(body, dict):
            return body
        raise Busy("not Graph's answer", retry_after=self.hint(), vendor=errors.VENDOR, operation=method)

    def send(self, method: str, call: Call, units: int) -> httpx.Response:
        """Pay `units`, send once (with a new token when the old one is refused), and raise what went wrong as ours."""
        with self._lock:
            response = self._once(method, call, units)
            if response.status_code == 401:
                self._client.forget()
                response = self._once(method, call, units)
        if response.status_code >= 400 or 300 <= response.status_code < 400:
            refusal = errors.read(response.status_code, response.headers, errors.parsed(response.content))
            raise self.refused(refusal, method, call.repeatable)
        self._strikes = 0
        return response

    def _once(self, method: str, call: Call, units: int) -> httpx.Response:
        self.meter.spend(method, units)
        headers = {"Accept": "*/*" if call.raw else "application/json", **call.headers}
        content = None
        if call.body is not None:
            content, headers["Content-Type"] = json.dumps(call.body).encode(), "application/json"
        sender = self._client.sender
        try:
            return sender.send(call.verb, sender.base_url + call.path, headers, content)
        except TROUBLE as error:
            detail = f"no answer: {type(error).__name__}"
            raise Busy(
                detail, retry_after=self.hint(), unknown=not call.repeatable, vendor=errors.VENDOR, operation=method
            ) from error

    def renew(self, claims: str) -> None:
        """Parts of a batch refused the token that the whole was let in with."""
        self._client.forget(claims)

    def refused(self, refusal: errors.Refusal, method: str, repeatable: bool = True) -> RemoteError:
        """Our error for a refusal; tells the meter when it is about rate."""
        hint = self.hint() if refusal.passing else 0.0
        error = errors.to_error(refusal, method, hint=hint, repeatable=repeatable)
        if refusal.limited and isinstance(error, Busy):
            self.meter.throttled(method, error.retry_after)
        return error

    def follow(self, link: object) -> str:
        """The path of a link that Graph told. Raises `Busy` for one that leads elsewhere: it would get our token."""
        base = self._client.sender.base_url
        if isinstance(link, str) and link.startswith(f"{base}/"):
            return link[len(base) :]
        raise Busy("a link of the answer is not Graph's", retry_after=self.hint(), vendor=errors.VENDOR)

    def hint(self) -> float:
        """Seconds to wait where the service names none: doubled with each failure in a row, with jitter."""
        wait: float = min(FIRST_WAIT * 2**self._strikes, LONGEST_HINT)
        self._strikes = min(self._strikes + 1, 16)
        return wait * random.uniform(0.75, 1.0)


ClientFactory = Callable[[], Client]
