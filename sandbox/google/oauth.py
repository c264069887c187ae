"""Tokens: service-account assertions, refresh tokens, the web-server flow (`providers.md 1.7 GM-19`)."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.google.discovery import document

if TYPE_CHECKING:
    from sandbox.google.vendor import Google

Json = dict[str, Any]
AUDIENCE = "https://oauth2.googleapis.com/token"  # whatever the token_uri is
LIFETIME = 3599
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CLIENT_ID = "104857600000-sandbox.apps.googleusercontent.com"
CLIENT_SECRET = "GOCSPX-sandbox"
ROBOT = "mailspan@sandbox-project.iam.gserviceaccount.com"
ROBOT_ID = "110000000000000000042"
APIS = ("gmail.v1", "people.v1", "calendar.v3", "tasks.v1", "pubsub.v1", "oauth2.v2")
CODE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Grant:
    """What an access token stands for. `user` is "" for the service account itself."""

    user: str
    scopes: frozenset[str]
    expires: float  # sandbox time; infinity for the ready tokens
    source: str  # "ready", "delegation", "refresh", "code" or "robot"


class OAuthError(Exception):
    """A refusal of the token endpoint, in OAuth's form."""

    def __init__(self, status: int, error: str, text: str) -> None:
        super().__init__(text)
        self.status, self.error, self.text = status, error, text


def known_scopes() -> frozenset[str]:
    """Every scope of the APIs that the sandbox knows, and OpenID's."""
    scopes = {"openid", "email", "profile"}
    for api in APIS:
        scopes |= set(document(api)["auth"]["oauth2"]["scopes"])
    return frozenset(scopes)


class Tokens:
    """The authorization server. Not thread-safe by itself: the vendor's lock guards it."""

    def __init__(self, google: Google, folder: Path) -> None:
        self._google = google
        self._scopes = known_scopes()
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.key_file = folder / "google-service-account.json"
        self._folder = folder
        self.clear()

    def clear(self) -> None:
        """Forget every grant; the ready tokens come back with `ready`."""
        self._access: dict[str, Grant] = {}
        self._refresh: dict[str, Grant] = {}
        self._codes: dict[str, tuple[Grant, str, bool]] = {}

    def write_key_file(self, token_url: str) -> None:
        """The service account's key as Google hands it out, with our token URL."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        self.key_file.touch(mode=0o600)
        self.key_file.write_text(
            json.dumps(
                {
                    "type": "service_account",
                    "project_id": "sandbox-project",
                    "private_key_id": "sandbox-key-1",
                    "private_key": pem,
                    "client_email": ROBOT,
                    "client_id": ROBOT_ID,
                    "auth_uri": self._google.frame.url("google") + "/o/oauth2/v2/auth",
                    "token_uri": token_url,
                    "universe_domain": "googleapis.com",
                },
                indent=1,
            )
        )

    # ---- what the apis ask ---------------------------------------------------------------

    def grant(self, token: str) -> Grant | None:
        """The live grant of an access token, or None when unknown or expired."""
        grant = self._access.get(token)
        return grant if grant and grant.expires > self._google.frame.clock.time() else None

    def ready(self, user: str) -> str:
        """A token with full rights that never expires; the same text for a user at each start."""
        token = f"ya29.ready-{user}"
        self._access[token] = Grant(user, self._scopes, float("inf"), "ready")
        return token

    def refresh_token(self, user: str) -> str:
        """A refresh token of the user for our OAuth client, with full rights."""
        token = f"1//ready-{user}"
        self._refresh[token] = Grant(user, self._scopes, float("inf"), "refresh")
        return token

    def revoke(self, user: str, token: str = "") -> None:
        """The user withdraws the application's access (or one token of it dies)."""
        for store in (self._access, self._refresh):
            for text, grant in list(store.items()):
                if token in ("", text) and grant.user == user and grant.source not in ("ready", "robot"):
                    del store[text]

    def expire(self, user: str) -> None:
        """Every access token of the user dies, except the ready one; refreshing goes on."""
        self._access = {t: g for t, g in self._access.items() if g.user != user or g.source == "ready"}

    def withdraw(self, token: str) -> None:
        """POST /revoke: the token and all that hang together with it."""
        grant = self._access.get(token) or self._refresh.get(token)
        if grant is None:
            raise OAuthError(400, "invalid_token", "Token expired or revoked")
        self.revoke(grant.user)

    # ---- the token endpoint -----------------------------------------------------------------

    def exchange(self, form: dict[str, str]) -> Json:
        """Answer of POST /token; OAuthError for a refusal."""
        kind = form.get("grant_type", "")
        if kind == JWT_BEARER:
            return self._assertion(form.get("assertion", ""))
        if kind == "refresh_token":
            self._check_client(form)
            return self._refreshed(form)
        if kind == "authorization_code":
            self._check_client(form)
            return self._code(form)
        raise OAuthError(400, "unsupported_grant_type", f"Invalid grant_type: {kind}")

    def _check_client(self, form: dict[str, str]) -> None:
        if form.get("client_id") != CLIENT_ID:
            raise OAuthError(401, "invalid_client", "The OAuth client was not found.")
        if form.get("client_secret") != CLIENT_SECRET:
            raise OAuthError(401, "invalid_client", "Unauthorized")

    def _refreshed(self, form: dict[str, str]) -> Json:
        grant = self._refresh.get(form.get("refresh_token", ""))
        if grant is None:
            raise OAuthError(400, "invalid_grant", "Token has been expired or revoked.")
        scopes = frozenset(form.get("scope", "").split()) or grant.scopes
        if not scopes <= grant.scopes:
            raise OAuthError(400, "invalid_scope", "Bad Request")
        return self._issue(Grant(grant.user, scopes, 0, "refresh"))

    def _code(self, form: dict[str, str]) -> Json:
        grant, redirect, offline = self._codes.pop(form.get("code", ""), (None, "", False))
        if grant is None or grant.expires < self._google.frame.clock.time():
            raise OAuthError(400, "invalid_grant", "Malformed auth code.")
        if redirect != form.get("redirect_uri"):
            raise OAuthError(400, "redirect_uri_mismatch", "Bad Request")
        out = self._issue(Grant(grant.user, grant.scopes, 0, "code"))
        if offline:
            token = "1//" + self._google.token(48)
            self._refresh[token] = Grant(grant.user, grant.scopes, float("inf"), "refresh")
            out["refresh_token"] = token
        return out

    def _assertion(self, assertion: str) -> Json:
        claims = self._claims(assertion)
        scopes = frozenset(str(claims.get("scope", "")).split())
        if not scopes:
            raise OAuthError(400, "invalid_scope", "Empty or missing scope not allowed.")
        unknown = scopes - self._scopes
        if unknown:
            raise OAuthError(400, "invalid_scope", f"Some requested scopes were invalid. {{invalid={sorted(unknown)}}}")
        subject = claims.get("sub", claims["iss"])
        if subject == claims["iss"]:
            return self._issue(Grant("", scopes, 0, "robot"))
        account = self._google.directory.find(str(subject))
        if account is None or account.email.lower() != str(subject).lower():  # an alias is no user id
            raise OAuthError(400, "invalid_grant", "Invalid email or User ID")
        allowed = self._google.frame.settings["google_delegated_scopes"]
        if not account.delegated or (allowed and not scopes <= set(allowed)):
            raise OAuthError(
                401,
                "unauthorized_client",
                "Client is unauthorized to retrieve access tokens using this "
                "method, or client not authorized for any of the scopes requested.",
            )
        return self._issue(Grant(account.email, scopes, 0, "delegation"))

    def _claims(self, assertion: str) -> Json:
        try:
            claims: Json = jwt.decode(
                assertion,
                self._key.public_key(),
                algorithms=["RS256"],
                options={"verify_exp": False, "verify_iat": False, "verify_aud": False, "verify_nbf": False},
            )
        except jwt.PyJWTError:
            raise OAuthError(400, "invalid_grant", "Invalid JWT Signature.") from None
        if claims.get("iss") != ROBOT:
            raise OAuthError(400, "invalid_grant", "Invalid grant: account not found")
        if claims.get("aud") != AUDIENCE:
            raise OAuthError(400, "invalid_grant", f"Failed audience check. The right audience is {AUDIENCE}")
        # The client's clock is the machine's even when a test has moved the sandbox's.
        clocks = (time.time(), self._google.frame.clock.time())
        try:
            issued, expires = float(claims["iat"]), float(claims["exp"])
        except (KeyError, TypeError, ValueError):
            issued = expires = 0.0
        if expires - issued > 3600 or not any(issued - 300 <= now <= expires for now in clocks):
            raise OAuthError(
                400,
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in "
                "a reasonable timeframe. Check your iat and exp values in the JWT claim.",
            )
        return claims

    def _issue(self, grant: Grant) -> Json:
        token = "ya29." + self._google.token(60)
        self._access[token] = Grant(
            grant.user, grant.scopes, self._google.frame.clock.time() + LIFETIME + 1, grant.source
        )
        return {
            "access_token": token,
            "expires_in": LIFETIME,
            "scope": " ".join(sorted(grant.scopes)),
            "token_type": "Bearer",
        }

    # ---- the consent page ------------------------------------------------------------------

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser goes after consent; `login_hint` says who consents at once."""
        if query.get("client_id") != CLIENT_ID:
            raise OAuthError(401, "invalid_client", "The OAuth client was not found.")
        if query.get("response_type") != "code" or not query.get("redirect_uri"):
            raise OAuthError(400, "invalid_request", "Required parameter is missing: response_type or redirect_uri")
        scopes = frozenset(query.get("scope", "").split())
        if not scopes or not scopes <= self._scopes:
            raise OAuthError(400, "invalid_scope", "Some requested scopes were invalid.")
        account = self._google.directory.find(query.get("login_hint", ""))
        if account is None:
            raise OAuthError(400, "invalid_request", "The sandbox consents for the user that login_hint names.")
        code = "4/" + self._google.token(40)
        grant = Grant(account.email, scopes, self._google.frame.clock.time() + CODE_SECONDS, "code")
        self._codes[code] = (grant, query["redirect_uri"], query.get("access_type") == "offline")
        answer = {"code": code, "scope": " ".join(sorted(scopes))} | (
            {"state": query["state"]} if "state" in query else {}
        )
        joint = "&" if "?" in query["redirect_uri"] else "?"
        return query["redirect_uri"] + joint + urlencode(answer)
