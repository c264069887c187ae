"""Credentials of a Microsoft connection: an app registration that acts by itself, or one grant per user.

By itself (client credentials) the app reaches the mailboxes that the administrator's RBAC for Applications allows
(providers.md 2.10). msal does the protocol (providers.md 7.7): one network call to find the endpoints, kept for the
life of the process, and one for each token.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import msal
import requests
from msal.exceptions import MsalServiceError
from requests.adapters import HTTPAdapter

from sync.errors import Busy, Denied
from sync.providers.microsoft import errors
from sync.providers.microsoft.connection import CONNECT_SECONDS, Connection, Sender
from sync.providers.microsoft.errors import VENDOR, from_token

AUTHORITY_URL = "https://login.microsoftonline.com"
GRAPH_URL = "https://graph.microsoft.com"
MAIL_SCOPES = ("Mail.ReadWrite", "MailboxSettings.ReadWrite")  # of a user's own grant
CAPABILITIES = ["CP1"]  # claims challenges, for which tokens live a day (providers.md 2.10)
TIMEOUT = 20.0  # seconds, of connect and of each read
# What msal raises when there was no answer, one of 5xx, or one that is no JSON.
TROUBLE = (requests.RequestException, MsalServiceError, ValueError, RuntimeError)
EARLY = 300.0  # seconds before its end a token is no longer used
_PUBLIC_LOGINS = ("login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn")
_CLOUDS = ("graph.microsoft.com", "graph.microsoft.us", "dod-graph.microsoft.us", "microsoftgraph.chinacloudapi.cn")
_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a connection was given: a secret, or `certificate`: private key and certificate in PEM form, one text.
    `ca_file` is the bundle to trust instead of the built-in one."""

    tenant: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    authority_url: str = AUTHORITY_URL
    graph_url: str = GRAPH_URL
    ca_file: str | None = None
    timeout: float = TIMEOUT


@dataclass(frozen=True, slots=True)
class _Grant:
    """A user's access token until `ends` (epoch seconds), and the newest refresh token."""

    token: str
    ends: float
    refresh_token: str


class Grants:
    """Access tokens and connections of one Microsoft connection, for one process. Safe for threads."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        graph = secrets.graph_url.rstrip("/")
        # What tokens are for does not change with an address of our own, such as a test server's or a proxy's.
        self._resource = f"https://{host}" if (host := urlsplit(graph).hostname) in _CLOUDS else GRAPH_URL
        self._connection = Connection(f"{graph}/v1.0", ca_file=secrets.ca_file, timeout=secrets.timeout)
        self._lock = threading.Lock()
        self._found: dict[str, Any] = {}  # msal's cache of endpoints
        self._app: Any = None
        self._users: dict[tuple[str, str], _Grant] = {}

    def client(self, address: str, *, refresh_token: str = "", renewed: Callable[[str], None] | None = None) -> Client:
        """What sends the requests for this user's mailbox. `renewed` is told each new refresh token, to store it: one
        that is not renewed ends after 90 days. Raises `Denied` when the connection holds no way to act."""
        if not refresh_token and not (self._secrets.client_secret or self._secrets.certificate):
            raise Denied("neither a secret, a certificate nor a grant of the user: connect the mailbox", vendor=VENDOR)
        return Client(self, address, refresh_token, renewed)

    def token(self, address: str, refresh_token: str, claims: str, renewed: Callable[[str], None] | None) -> str:
        """A valid access token; `claims` is a challenge that it must meet. Raises `Denied` or `Busy`."""
        with self._lock:
            try:
                if not refresh_token:
                    return self._own(claims)
                return self._of_user(address, refresh_token, claims, renewed)
            except TROUBLE as error:
                detail = f"no answer from the token endpoint: {type(error).__name__}"
                raise Busy(detail, retry_after=5.0, vendor=VENDOR, operation="token") from None

    def forget(self, address: str, refresh_token: str) -> None:
        """The token was refused: the next is a new one."""
        key = (address, refresh_token)
        with self._lock:
            if key in self._users:
                self._users[key] = replace(self._users[key], ends=0.0)
            elif not refresh_token and self._app is not None:
                self._app.remove_tokens_for_client()

    def sender(self, client: Client) -> Sender:
        return self._connection.sender(client.token)

    def _own(self, claims: str) -> str:
        scopes = [f"{self._resource}/.default"]
        answer = self._msal().acquire_token_for_client(scopes, claims_challenge=claims or None)
        return str(_sure(answer)["access_token"])

    def _of_user(self, address: str, refresh_token: str, claims: str, renewed: Callable[[str], None] | None) -> str:
        key = (address, refresh_token)
        known = self._users.get(key)
        if known and not claims and known.ends - EARLY > time.time():
            return known.token
        scopes = [f"{self._resource}/{scope}" for scope in MAIL_SCOPES]
        latest = known.refresh_token if known else refresh_token
        asked = {
            "claims": _capable(claims)
        }  # msal says what we are capable of in all other grants, but not in this one
        answer = _sure(self._msal().acquire_token_by_refresh_token(latest, scopes, data=asked))
        newest = str(answer.get("refresh_token") or latest)
        grant = _Grant(str(answer["access_token"]), time.time() + float(answer.get("expires_in", 0)), newest)
        self._users[key] = grant
        if renewed is not None and newest != latest:
            renewed(newest)
        return grant.token

    def _msal(self) -> Any:
        """The client, made at first use: that asks the authority for its endpoints."""
        if self._app is None:
            secrets = self._secrets
            host = urlsplit(secrets.authority_url).hostname or ""
            try:
                self._app = msal.ConfidentialClientApplication(
                    secrets.client_id,
                    client_credential=_credential(secrets),
                    authority=f"{secrets.authority_url.rstrip('/')}/{secrets.tenant}",
                    instance_discovery=None if host in _PUBLIC_LOGINS else False,
                    client_capabilities=CAPABILITIES,
                    http_cache=self._found,
                    http_client=_session(secrets),
                )
            except ValueError as error:
                detail = "the tenant is unknown, or the certificate is not usable: check both of the connection"
                raise Denied(detail, vendor=VENDOR, operation="token") from error
        return self._app


class Client:
    """One user's way to Graph: tokens and requests. Safe for threads."""

    def __init__(self, grants: Grants, address: str, refresh_token: str, renewed: Callable[[str], None] | None) -> None:
        self._grants, self._address = grants, address
        self._refresh_token, self._renewed = refresh_token, renewed
        self._claims = ""
        self.sender = grants.sender(self)

    def token(self, claims: str = "") -> str:
        """A valid access token; `claims` as of a challenge. Raises `Denied` or `Busy`."""
        wanted = errors.plain_claims(claims) or self._claims
        token = self._grants.token(self._address, self._refresh_token, wanted, self._renewed)
        self._claims = ""
        return token

    def forget(self, claims: str = "") -> None:
        """The token was refused: the next one is new and meets these claims."""
        self._claims = errors.plain_claims(claims)
        self._grants.forget(self._address, self._refresh_token)


def _capable(claims: str) -> str:
    """The claims to ask for: that we understand challenges, and what a challenge asked for."""
    wanted: dict[str, Any] = json.loads(claims) if claims else {}
    token = {"xms_cc": {"values": CAPABILITIES}, **(wanted.get("access_token") or {})}
    return json.dumps({**wanted, "access_token": token})


class _Timeouts(HTTPAdapter):
    """Gives every request the timeout that msal leaves out."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        super().__init__(max_retries=0)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = kwargs.get("timeout") or (CONNECT_SECONDS, self._seconds)
        return super().send(request, *args, **kwargs)


def _session(secrets: Secrets) -> requests.Session:
    """No ear for the environment: `REQUESTS_CA_BUNDLE` would win over `ca_file` (providers.md 7.9)."""
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", _Timeouts(secrets.timeout))
    session.verify = secrets.ca_file or True
    return session


def _credential(secrets: Secrets) -> Any:
    """What msal wants: the secret's text, or the key and the certificate, whose thumbprint it finds itself."""
    if not secrets.certificate:
        return secrets.client_secret or None
    found = [(match[1], match[0]) for match in _PEM.finditer(secrets.certificate)]
    keys = [block for kind, block in found if kind.endswith("PRIVATE KEY") and "ENCRYPTED" not in kind]
    certificates = [block for kind, block in found if kind == "CERTIFICATE"]
    if not keys or not certificates:
        detail = "the certificate needs its private key, without a password, in the same text"
        raise Denied(detail, vendor=VENDOR, operation="token")
    return {"private_key": keys[0], "public_certificate": certificates[0]}


def _sure(answer: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if not answer or "access_token" not in answer:
        raise from_token(answer or {})
    return answer
