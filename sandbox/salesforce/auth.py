"""OAuth as Salesforce does it (`providers.md` 5.5, SF-23); the page of the web flow stands in `app`.

JWT bearer (no refresh token), web-server flow with PKCE, refresh, revoke. User name and password
are refused, like SOAP login.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.salesforce.org import Org
from sandbox.salesforce.store import Row

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
MAX_ASSERTION_SECONDS = 180
SKEW_SECONDS = 5  # our clock and the client's are the same machine's
SESSION_SECONDS = 7200.0
CODE_SECONDS = 900.0
PUBLIC_HOSTS = ("https://login.salesforce.com", "https://test.salesforce.com")
KEY_SIZE = 2048
CALLBACKS = ("http://localhost:1717/OauthRedirect", "http://localhost:8080/oauth/salesforce/callback")


class OAuthError(Exception):
    """An answer of the token endpoint: error and error_description."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.status = status
        self.body = {"error": error, "error_description": description}


@dataclass(slots=True)
class Session:
    """An access token; `until` moves with every use, None never ends."""

    user_id: str
    until: float | None


@dataclass(slots=True)
class _Code:
    user_id: str
    redirect_uri: str
    challenge: str
    until: float


@dataclass(slots=True)
class App:
    """The one External Client App of the org."""

    consumer_key: str
    consumer_secret: str
    private_key: Path
    public_key: rsa.RSAPublicKey
    callbacks: list[str] = field(default_factory=lambda: list(CALLBACKS))


class Auth:
    """Sessions of an org."""

    def __init__(self, org: Org, folder: Path) -> None:
        self._org = org
        self.app = _make_app(folder)
        self.clear()

    def clear(self) -> None:
        """End every session and authorisation."""
        self._sessions: dict[str, Session] = {}
        self._refresh: dict[str, str] = {}  # refresh token -> user id
        self._codes: dict[str, _Code] = {}
        self.not_authorised: set[str] = set()  # user names without the pre-authorised permission set

    # -- sessions --------------------------------------------------------------------------------

    def issue(self, user_id: str, seconds: float | None = SESSION_SECONDS, token: str | None = None) -> str:
        """A new access token; `token` brings a former one back."""
        random = base64.b32encode(secrets.token_bytes(40)).decode().rstrip("=")
        token = token or f"{self._org.org_id[:15]}!AQ{random}"
        until = None if seconds is None else self._org.frame.clock.time() + seconds
        self._sessions[token] = Session(user_id, until)
        return token

    def user_of(self, header: str | None) -> Row | None:
        """The active user behind an Authorization header; renews the session."""
        scheme, _, token = (header or "").partition(" ")
        session = self._sessions.get(token.strip()) if scheme.lower() in ("bearer", "oauth") else None
        now = self._org.frame.clock.time()
        if session is None or (session.until is not None and session.until <= now):
            return None
        if session.until is not None:
            session.until = now + SESSION_SECONDS
        user = self._org.store.get("User", session.user_id)
        return user if user and user.get("IsActive") else None

    def peek(self, header: str | None) -> Row | None:
        """Like `user_of`, without renewing."""
        session = self._sessions.get((header or "").partition(" ")[2].strip())
        return self._org.store.get("User", session.user_id) if session else None

    def end(self, user_id: str) -> int:
        """End a user's sessions that can end; how many."""
        before = len(self._sessions)
        self._sessions = {t: s for t, s in self._sessions.items() if s.user_id != user_id or s.until is None}
        return before - len(self._sessions)

    # -- token endpoint --------------------------------------------------------------------------

    def token(self, form: dict[str, str]) -> dict[str, Any]:
        """Answer of /services/oauth2/token; OAuthError for a refusal."""
        grants = {JWT_BEARER: self._jwt_bearer, "authorization_code": self._code, "refresh_token": self._refreshed}
        grant = form.get("grant_type", "")
        if grant == "password":
            raise OAuthError("invalid_grant", "authentication failure")  # blocked by default, providers.md 5.5
        if grant not in grants:
            raise OAuthError("unsupported_grant_type", "grant type not supported")
        return grants[grant](form)

    def _answer(self, user_id: str, scope: str, refresh_token: str | None = None) -> dict[str, Any]:
        url = self._org.frame.url("salesforce")
        identity = f"{url}/id/{self._org.org_id}/{user_id}"
        out = {"access_token": self.issue(user_id), "scope": scope, "instance_url": url, "id": identity,
               "token_type": "Bearer"}  # fmt: skip
        if refresh_token is not None:
            out["refresh_token"] = refresh_token
        return out

    def _jwt_bearer(self, form: dict[str, str]) -> dict[str, Any]:
        claims = self._claims(form.get("assertion", ""))
        if claims.get("iss") != self.app.consumer_key:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        audiences = claims["aud"] if isinstance(claims.get("aud"), list) else [claims.get("aud")]
        if not any(str(a).rstrip("/") in (*PUBLIC_HOSTS, self._org.frame.url("salesforce")) for a in audiences):
            raise OAuthError("invalid_grant", "audience is invalid")
        now, expiry = self._org.frame.clock.time(), claims.get("exp")
        if not isinstance(expiry, (int, float)) or expiry <= now - SKEW_SECONDS:
            raise OAuthError("invalid_grant", "expired authorization code")
        if expiry > now + MAX_ASSERTION_SECONDS + SKEW_SECONDS:
            raise OAuthError("invalid_grant", "assertion expiration is too far in the future")
        return self._answer(self._user(str(claims.get("sub", ""))), "api")

    def _claims(self, assertion: str) -> dict[str, Any]:
        try:
            return dict(jwt.decode(assertion, self.app.public_key, algorithms=["RS256"],
                                   options={"verify_exp": False, "verify_aud": False, "verify_nbf": False,
                                            "verify_iat": False}))  # fmt: skip
        except jwt.PyJWTError:
            raise OAuthError("invalid_grant", "invalid assertion") from None

    def _user(self, username: str) -> str:
        rows = list(self._org.live("User", "Username", [username]))
        if not rows or not rows[0].get("IsActive"):
            raise OAuthError("invalid_grant", "user hasn't approved this consumer")
        if username.lower() in self.not_authorised:
            raise OAuthError("invalid_app_access", "user is not admin approved to access this app")
        return str(rows[0]["Id"])

    # -- web-server flow -------------------------------------------------------------------------

    def check_authorize(self, args: dict[str, str]) -> None:
        """Refuse a request that must not lead back to its redirect URI."""
        if args.get("client_id") != self.app.consumer_key:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        if args.get("redirect_uri") not in self.app.callbacks:
            raise OAuthError("redirect_uri_mismatch", "redirect_uri must match configuration")
        if args.get("response_type") != "code":
            raise OAuthError("unsupported_response_type", "response type not supported")
        if args.get("code_challenge") and args.get("code_challenge_method", "S256") != "S256":
            raise OAuthError("invalid_request", "code challenge method must be S256")

    def grant(self, args: dict[str, str], username: str) -> str:
        """The user consents: an authorisation code."""
        code = "aPrx" + secrets.token_urlsafe(40)
        self._codes[code] = _Code(self._user(username), args["redirect_uri"], args.get("code_challenge", ""),
                                  self._org.frame.clock.time() + CODE_SECONDS)  # fmt: skip
        return code

    def _code(self, form: dict[str, str]) -> dict[str, Any]:
        self._client(form)
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or code.until <= self._org.frame.clock.time():
            raise OAuthError("invalid_grant", "expired authorization code" if code else "invalid authorization code")
        if form.get("redirect_uri") != code.redirect_uri:
            raise OAuthError("redirect_uri_mismatch", "redirect_uri must match configuration")
        given = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if code.challenge and base64.urlsafe_b64encode(given).decode().rstrip("=") != code.challenge:
            raise OAuthError("invalid_grant", "invalid code verifier")
        refresh = "5Aep861" + secrets.token_urlsafe(60)
        self._refresh[refresh] = code.user_id
        return self._answer(code.user_id, "refresh_token api", refresh)

    def _client(self, form: dict[str, str]) -> None:
        if form.get("client_id") != self.app.consumer_key:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        secret = form.get("client_secret", "")
        if not secret and not self._org.frame.settings["salesforce_require_secret"]:
            return
        if not secrets.compare_digest(secret, self.app.consumer_secret):
            raise OAuthError("invalid_client", "invalid client credentials")

    def _refreshed(self, form: dict[str, str]) -> dict[str, Any]:
        self._client(form)
        old = form.get("refresh_token", "")
        user_id = self._refresh.get(old)
        if user_id is None:
            raise OAuthError("invalid_grant", "expired access/refresh token")
        if not self._org.frame.settings["salesforce_rotate_refresh"]:
            return self._answer(user_id, "refresh_token api")
        del self._refresh[old]
        new = "5Aep861" + secrets.token_urlsafe(60)
        self._refresh[new] = user_id
        return self._answer(user_id, "refresh_token api", new)

    def revoke(self, token: str) -> None:
        """Forget an access or refresh token; a refresh token ends its user's timed sessions too."""
        user_id = self._refresh.pop(token, None)
        if user_id is None and self._sessions.pop(token, None) is None:
            raise OAuthError("unsupported_token_type", "this token is not supported")
        if user_id is not None:
            self.end(user_id)


def _make_app(folder: Path) -> App:
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_SIZE)
    path = folder / "salesforce-key.pem"
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption()))  # fmt: skip
    consumer_key = "3MVG9" + base64.b64encode(secrets.token_bytes(45), b"xy").decode()
    return App(consumer_key, secrets.token_hex(32).upper(), path, key.public_key())
