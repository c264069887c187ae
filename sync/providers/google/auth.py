"""Credentials of a Google connection: a service account with domain-wide delegation, or one grant per user.

The assertion's `aud` stays Google's own token address whatever `token_url` says (providers.md 7.3). Mail needs the two
scopes of `MAIL_SCOPES` and no more (providers.md 1.7).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import google.auth.credentials
import google_auth_httplib2
from google.auth.exceptions import RefreshError
from google.oauth2 import service_account
from google.oauth2.credentials import Credentials

from sync.errors import Denied
from sync.providers.google.connection import Http
from sync.providers.google.errors import VENDOR

TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address, not a secret
MAIL_SCOPES = (
    "https://www.googleapis.com/auth/gmail.modify",
    "https://www.googleapis.com/auth/gmail.labels",
)
TIMEOUT = 20.0  # seconds, of connect and of each read


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a connection was given: `service_account` is the key file's JSON; else client id and secret. `ca_file` is
    the bundle to trust instead of the built-in one."""

    service_account: Mapping[str, Any] | None = field(default=None, repr=False)
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    token_url: str = TOKEN_URL
    ca_file: str | None = None
    timeout: float = TIMEOUT


class _TokenRequest(google_auth_httplib2.Request):  # type: ignore[misc]
    """Sends token requests. The library would wait and repeat those that the endpoint is too busy for: not here."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        response = super().__call__(*args, **kwargs)
        if response.status == 429 or response.status >= 500:
            raise RefreshError("the token endpoint is busy", retryable=True)  # type: ignore[no-untyped-call]
        return response


class _Held(google.auth.credentials.Credentials):
    """Credentials that are refreshed over our own connection whoever asks: the client library's batches would open one
    that knows neither our CA file nor our timeout."""

    def __init__(self, inner: Any, transport: Callable[[], Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.inner = inner
        self._transport = transport

    def refresh(self, request: Any) -> None:
        self.inner.refresh(self._transport())
        self.token, self.expiry = self.inner.token, self.inner.expiry


class Grants:
    """Access tokens and connections of one Google connection, for one process. Safe for threads.

    A token is asked for once per (user, scopes) and kept until it ends. Each thread has one httplib2 connection pool,
    shared by all mailboxes: httplib2 is not safe for threads (providers.md 7.3), and TLS handshakes are dear.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._known: dict[tuple[str, str, tuple[str, ...]], Any] = {}
        self._lock = threading.Lock()
        self._local = threading.local()
        self._account: Any = None

    def http(
        self, address: str, *, refresh_token: str = "", scopes: Sequence[str] = MAIL_SCOPES
    ) -> Callable[[], google_auth_httplib2.AuthorizedHttp]:
        """A factory of authorised http objects of this user, each for the thread that calls it. A 401 is answered by
        one refresh. Raises `Denied` when the connection holds no way to act for the user."""
        credentials = self.credentials(address, refresh_token=refresh_token, scopes=scopes)
        return lambda: google_auth_httplib2.AuthorizedHttp(credentials, http=self._plain(), max_refresh_attempts=1)

    def credentials(self, address: str, *, refresh_token: str = "", scopes: Sequence[str] = MAIL_SCOPES) -> Any:
        """The cached credentials of a user: those of the user's own grant when there is one, else delegated ones."""
        key = (address, refresh_token, tuple(sorted(scopes)))
        with self._lock:
            if key not in self._known:
                self._known[key] = _Held(self._make(*key), lambda: _TokenRequest(self._plain()))
            return self._known[key]

    def _make(self, address: str, refresh_token: str, scopes: tuple[str, ...]) -> Any:
        secrets = self._secrets
        if refresh_token:
            return Credentials(  # type: ignore[no-untyped-call]
                token=None,
                refresh_token=refresh_token,
                token_uri=secrets.token_url,
                client_id=secrets.client_id,
                client_secret=secrets.client_secret,
                scopes=list(scopes),
            )
        if self._account is None:
            self._account = self._service_account()
        return self._account.with_scopes(list(scopes)).with_subject(address)

    def _service_account(self) -> Any:
        """The connection's own credentials, read once: checking a private key takes 50 ms."""
        secrets = self._secrets
        if secrets.service_account is None:
            raise Denied("neither a service account nor a grant of the user: connect the mailbox", vendor=VENDOR)
        try:
            return service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
                {**secrets.service_account, "token_uri": secrets.token_url}
            )
        except ValueError as error:
            detail = "the service account's key file is not usable: download a new one"
            raise Denied(detail, vendor=VENDOR) from error

    def _plain(self) -> Http:
        if not hasattr(self._local, "http"):
            self._local.http = Http(timeout=self._secrets.timeout, ca_certs=self._secrets.ca_file)
        plain: Http = self._local.http
        return plain
