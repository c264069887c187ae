"""Signing in to Salesforce: JWT bearer, refresh token, or a ready token (providers.md 5.5).

simple-salesforce can only sign in at `https://{domain}.salesforce.com`, so the token request is our own
(providers.md 7.4). Tokens live in the process, one per connection and user, until Salesforce refuses them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit

import jwt
import requests
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from requests.adapters import HTTPAdapter

from sync.errors import Busy, Denied
from sync.providers.salesforce.gate import Pool

VENDOR = "salesforce"
JWT_SECONDS = 120  # Salesforce refuses more than three minutes (providers.md SF-23)
UPLOAD_BYTES_PER_SECOND = 500_000  # that Salesforce digests at least, files being checked on arrival
INSTANCE_HOSTS = (".salesforce.com", ".force.com", ".salesforce.mil", ".sfcrmproducts.cn")
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and the instance that takes it."""

    value: str = field(repr=False)
    instance_url: str


class Grant(Protocol):
    """A way to get a token. `key` names connection and user: grants of the same key share one token."""

    @property
    def key(self) -> Key: ...

    def fetch(self, http: requests.Session) -> Token: ...


class _Timeouts(HTTPAdapter):
    """requests has no default timeout; this adapter has, and waits longer for the answer to a large upload. Its
    connections ask before they send (`gate`)."""

    def __init__(self, connect: float, read: float, pool: int) -> None:
        self._connect, self._read = connect, read
        super().__init__(pool_connections=4, pool_maxsize=pool, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"https": Pool}

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = (self._connect, self._read + len(request.body or b"") / UPLOAD_BYTES_PER_SECOND)
        return super().send(request, *args, **kwargs)


def http_session(
    ca_file: str | None = None, *, connect: float = 5.0, read: float = 20.0, pool: int = 10
) -> requests.Session:
    """A session with timeouts in seconds, no retries, and no ear for the environment: `REQUESTS_CA_BUNDLE` would win
    over `ca_file` (providers.md 7.9)."""
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", _Timeouts(connect, read, pool))
    if ca_file:
        session.verify = ca_file
    return session


@dataclass(frozen=True, slots=True)
class JwtBearer:
    """Server to server: one key signs for every user that the administrator has authorised, and `username` is who acts.

    `login_url` is `https://login.salesforce.com`, `https://test.salesforce.com` or the organisation's own domain;
    `audience` is its host unless given; `private_key` is a PEM text.
    """

    login_url: str
    consumer_key: str
    private_key: str = field(repr=False)
    username: str
    audience: str = ""
    clock: Callable[[], float] = time.time

    @property
    def key(self) -> Key:
        return (self.login_url, self.consumer_key, self.username)

    def fetch(self, http: requests.Session) -> Token:
        claims = {
            "iss": self.consumer_key,
            "sub": self.username,
            "aud": self.audience or _origin(self.login_url),
            "exp": int(self.clock()) + JWT_SECONDS,
        }
        try:
            assertion = jwt.encode(claims, _signer(self.private_key), algorithm="RS256")
        except (ValueError, TypeError, UnsupportedAlgorithm, jwt.PyJWTError) as error:
            raise Denied("the private key cannot sign", vendor=VENDOR, operation="token") from error
        grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        token, _ = _request(http, self.login_url, {"grant_type": grant, "assertion": assertion})
        return token


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """The web-server flow after its consent. Where the organisation rotates refresh tokens, `rotated` gets the new one
    to keep: the old one is void from then on."""

    login_url: str
    consumer_key: str
    refresh_token: str = field(repr=False)
    consumer_secret: str = field(default="", repr=False)
    username: str = ""
    rotated: Callable[[str], None] | None = None

    @property
    def key(self) -> Key:
        return (self.login_url, self.consumer_key, self.username or self.refresh_token)

    def fetch(self, http: requests.Session) -> Token:
        form = {"grant_type": "refresh_token", "client_id": self.consumer_key, "refresh_token": self.refresh_token}
        if self.consumer_secret:
            form["client_secret"] = self.consumer_secret
        token, answer = _request(http, self.login_url, form)
        renewed = answer.get("refresh_token")
        if renewed and renewed != self.refresh_token and self.rotated:
            self.rotated(renewed)
        return token


@dataclass(frozen=True, slots=True)
class Ready:
    """A token that somebody else has got; it cannot be renewed."""

    token: str = field(repr=False)
    instance_url: str

    @property
    def key(self) -> Key:
        return (self.instance_url, "", self.token)

    def fetch(self, http: requests.Session) -> Token:
        return Token(self.token, _instance(self.instance_url, self.instance_url))


_tokens: dict[Key, Token] = {}
_locks: dict[Key, threading.Lock] = {}
_guard = threading.Lock()


def forget() -> None:
    """Sign in anew from now on: credentials were changed."""
    _tokens.clear()


class Login:
    """The current token of one grant. Threads and logins of the same key share it; only one of them fetches."""

    def __init__(self, grant: Grant, http: requests.Session) -> None:
        self.key = grant.key
        self._grant = grant
        self._http = http

    def token(self) -> Token:
        """The token to use now. Raises `Denied` when Salesforce refuses the grant, `Busy` when it does not answer."""
        return _tokens.get(self.key) or self._fetch(None)

    def renew(self, refused: Token) -> Token:
        """Another token than `refused`, which Salesforce did not take."""
        return self._fetch(refused)

    def _fetch(self, refused: Token | None) -> Token:
        with _guard:
            lock = _locks.setdefault(self.key, threading.Lock())
        with lock:
            known = _tokens.get(self.key)
            if known is not None and known != refused:
                return known
            _tokens.pop(self.key, None)
            token = self._grant.fetch(self._http)
            if token == refused:
                raise Denied("the access token is refused", vendor=VENDOR, operation="token", status=401)
            _tokens[self.key] = token
            return token


def _request(http: requests.Session, login_url: str, form: dict[str, str]) -> tuple[Token, dict[str, Any]]:
    url = login_url.rstrip("/") + "/services/oauth2/token"
    try:
        answer = http.post(url, data=form, allow_redirects=False)
    except requests.RequestException as error:
        raise Busy(type(error).__name__, vendor=VENDOR, operation="token") from error
    try:
        body = answer.json()
    except ValueError:
        body = {}
    if answer.status_code == 200 and isinstance(body, dict) and body.get("access_token") and body.get("instance_url"):
        return Token(body["access_token"], _instance(body["instance_url"], login_url)), body
    code = str(body.get("error", "")) if isinstance(body, dict) else ""
    about = str(body.get("error_description", "")) if isinstance(body, dict) else ""
    status = answer.status_code
    if status == 429 or status >= 500 or status < 300 or "rate" in about.lower().split():
        wait = answer.headers.get("Retry-After", "")
        seconds = float(wait) if wait.isdigit() else 30.0
        raise Busy(code or "no token", retry_after=seconds, vendor=VENDOR, operation="token", status=status)
    detail = ": ".join(part for part in (code, about) if part)
    raise Denied(detail or "no token", vendor=VENDOR, operation="token", status=status)


@lru_cache(maxsize=16)
def _signer(private_key: str) -> RSAPrivateKey:
    """Reading a key checks its primes, which takes some 150 ms: once is enough."""
    key = load_pem_private_key(private_key.encode(), None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("not an RSA key")
    return key


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _instance(url: str, login_url: str) -> str:
    """The origin of the instance. A token must never travel to a host that is not Salesforce's, nor without TLS."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    own = (urlsplit(login_url).hostname or "").lower()
    if parts.scheme != "https" or not (host and (host == own or host.endswith(INSTANCE_HOSTS))):
        raise Denied("the instance address is not a Salesforce host over https", vendor=VENDOR, operation="token")
    return _origin(url)
