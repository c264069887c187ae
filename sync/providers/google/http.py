"""One Google call: paid for, sent once, and refused in our words."""

from __future__ import annotations

import http.client
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import httplib2
from google.auth.exceptions import GoogleAuthError, RefreshError
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import BatchError, HttpError

from sync.errors import Busy, RemoteError
from sync.ports import Meter
from sync.providers.google import errors
from sync.providers.google.connection import Http
from sync.providers.google.quota import UNITS

ROOT_URL = "https://gmail.googleapis.com"
FIRST_WAIT, LONGEST_HINT = 2.0, 64.0  # seconds, of the truncated exponential back-off
ANSWERLESS = frozenset({"messages.batchModify", "labels.delete"})
# What the transports below raise when there was no answer, or half of one.
TROUBLE = (
    OSError,
    http.client.HTTPException,
    httplib2.HttpLib2Error,
    GoogleAuthError,
    BatchError,
    ValueError,
    KeyError,
)


@lru_cache(maxsize=16)
def service(root_url: str = ROOT_URL, name: str = "gmail", version: str = "v1") -> Any:
    """The request builder of an API below `root_url`, from the library's bundled description: batch and uploads move
    too (providers.md 7.3). It is safe to share, since each request is sent with an http object of its own thread."""
    path = resources.files("googleapiclient") / "discovery_cache" / "documents" / f"{name}.{version}.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    root = root_url.rstrip("/") + "/"
    document.update(rootUrl=root, baseUrl=root + document["servicePath"])
    document.pop("mtlsRootUrl", None)
    return build_from_document(document, http=Http())


@dataclass(frozen=True, slots=True)
class Builders:
    """What makes the requests of each kind of thing. The library makes one anew, with all its methods, whenever it is
    asked for; that took longer than all else in a call."""

    users: Any
    messages: Any
    threads: Any
    labels: Any
    history: Any


@lru_cache(maxsize=16)
def builders(client: Any) -> Builders:
    """Those of a client that `service` made: as safe to share."""
    users = client.users()
    return Builders(users, users.messages(), users.threads(), users.labels(), users.history())


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was built, and its name in the quota table. `repeatable`: twice is the same as once."""

    method: str
    request: Any
    repeatable: bool = True


class Api:
    """Sends the calls of one mailbox. It never sleeps and never repeats: waits go to the caller as `Busy`."""

    def __init__(self, client: Any, http_factory: Callable[[], Any], meter: Meter) -> None:
        self.client = client
        self.build = builders(client)
        self.meter = meter
        self._http = http_factory
        self._strikes = 0

    def call(self, call: Call) -> dict[str, Any]:
        """The answer of one call. Raises the errors of `sync.errors`."""
        return self.read(call.method, self.send(call.method, UNITS[call.method], call.repeatable, call.request.execute))

    def read(self, method: str, answer: Any) -> dict[str, Any]:
        """An answer that is Google's. Raises `Busy` for one that is not: the client library lets any text through."""
        if isinstance(answer, dict) and "error" not in answer:  # a gateway may say 200 to a failure
            return answer
        if not answer and method in ANSWERLESS:
            return {}
        raise Busy("not Google's answer", retry_after=self._hint(), vendor=errors.VENDOR, operation=method)

    def send(self, method: str, units: float, repeatable: bool, execute: Callable[..., Any]) -> Any:
        """Pay `units`, run `execute(http=...)` once, and raise what went wrong as ours."""
        self.meter.spend(method, units)
        try:
            answer = execute(http=self._http())
        except RefreshError as error:
            raise errors.from_refresh(error, method, hint=self._hint()) from None  # its text may name people
        except TROUBLE as error:
            detail = f"no answer: {type(error).__name__}"
            raise Busy(
                detail, retry_after=self._hint(), unknown=not repeatable, vendor=errors.VENDOR, operation=method
            ) from error
        except HttpError as error:
            raise self.refused(errors.read(error), method, repeatable) from None  # as may this one's
        self._strikes = 0
        return answer

    def refused(self, refusal: errors.Refusal, method: str, repeatable: bool = True) -> RemoteError:
        """Our error for a refusal; tells the meter when it is about rate."""
        hint = self._hint() if refusal.passing else 0.0
        error = errors.to_error(refusal, method, hint=hint, repeatable=repeatable)
        if refusal.limited and isinstance(error, Busy):
            self.meter.throttled(method, error.retry_after)
        return error

    def _hint(self) -> float:
        """Seconds to wait where the service names none: doubled with each failure in a row, with jitter."""
        wait: float = min(FIRST_WAIT * 2**self._strikes, LONGEST_HINT)
        self._strikes = min(self._strikes + 1, 16)
        return wait * random.uniform(0.75, 1.0)
