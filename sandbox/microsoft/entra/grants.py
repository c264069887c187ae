"""What tokens stand for, and the issuing of them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.microsoft.directory import APP_OBJECT, CLIENT_ID, TENANT, Account
from sandbox.microsoft.entra.errors import sign_in_error
from sandbox.microsoft.entra.keys import SigningKeys
from sandbox.microsoft.entra.scopes import API, API_SCOPE, APPLICATION, DELEGATED, GRAPH

if TYPE_CHECKING:
    from sandbox.microsoft.vendor import Microsoft

Json = dict[str, Any]
LIFETIME = 3599
CAE_LIFETIME = 100_800  # 28 hours (`providers.md 2.10`)
REFRESH_DAYS = 90.0


@dataclass(frozen=True, slots=True)
class Grant:
    """What an access token stands for. `user` (object id) is "" for an app-only token.

    `rights` are scopes of a user's token, roles of an app-only one.
    """

    app: str
    user: str
    resource: str
    rights: frozenset[str]
    issued: float
    expires: float  # sandbox time; infinity for the ready tokens
    aware: bool = False  # the client understands claims challenges (xms_cc=cp1)
    answered: float = 0.0  # the nbf that the client's claims have named
    ready: bool = False


@dataclass(frozen=True, slots=True)
class Refresh:
    """What a refresh token stands for."""

    app: str
    user: str
    scopes: frozenset[str]  # Graph's or the app's own
    resource: str
    openid: frozenset[str]
    signed_in: float
    expires: float


class Tokens:
    """Every token that was issued. Not thread-safe by itself: the vendor's lock guards it."""

    def __init__(self, microsoft: Microsoft) -> None:
        self._microsoft = microsoft
        self.keys = SigningKeys()
        self._ready: dict[str, str] = {}
        self.clear()

    def clear(self) -> None:
        """Forget every grant; ready tokens come back with `ready`."""
        self._access: dict[str, Grant] = {}
        self._refresh: dict[str, Refresh] = {}

    @property
    def now(self) -> float:
        """Sandbox time."""
        return self._microsoft.frame.clock.time()

    def grant(self, token: str) -> Grant | None:
        """The grant of an access token; None when it is unknown. It may have expired."""
        return self._access.get(token)

    # ---- access tokens -------------------------------------------------------------------------

    def ready(self, account: Account) -> str:
        """A token with full rights that never expires; the same for a user until the process ends."""
        token = self._ready.get(account.id)
        if token is None:
            claims = self._claims(account, GRAPH, DELEGATED, self.now, 315_360_000)
            token = self._ready[account.id] = self.keys.sign({**claims, "app_displayname": "Sandbox"})
        self._access[token] = Grant(
            "ready", account.id, GRAPH, DELEGATED | APPLICATION, self.now, float("inf"), ready=True
        )
        return token

    def user_token(
        self, account: Account, resource: str, scopes: frozenset[str], *, aware: bool, answered: float, app: str
    ) -> tuple[str, int]:
        """A token for a user, and its lifetime in seconds."""
        life = CAE_LIFETIME if aware and resource == GRAPH else LIFETIME
        claims = self._claims(account, resource, scopes, self.now, life)
        claims |= {"appid" if resource == GRAPH else "azp": app} | ({"xms_cc": ["CP1"]} if aware else {})
        token = self.keys.sign(claims)
        self._access[token] = Grant(
            app, account.id, resource, scopes, self.now, self.now + life, aware=aware, answered=answered
        )
        return token, life

    def app_token(self, roles: frozenset[str], *, aware: bool, answered: float) -> tuple[str, int]:
        """A token for the app itself, and its lifetime in seconds."""
        life, now = CAE_LIFETIME if aware else LIFETIME, self.now
        claims: Json = self._frame(GRAPH, now, life) | {
            "appid": CLIENT_ID,
            "app_displayname": "Mailspan",
            "idtyp": "app",
            "oid": APP_OBJECT,
            "sub": APP_OBJECT,
        }
        claims |= ({"roles": sorted(roles)} if roles else {}) | ({"xms_cc": ["CP1"]} if aware else {})
        token = self.keys.sign(claims)
        self._access[token] = Grant(CLIENT_ID, "", GRAPH, roles, now, now + life, aware=aware, answered=answered)
        return token, life

    def _frame(self, resource: str, now: float, life: float) -> Json:
        url = self._microsoft.frame.url("microsoft")
        issuer = f"https://sts.windows.net/{TENANT}/" if resource == GRAPH else f"{url}/{TENANT}/v2.0"
        return {
            "aud": GRAPH if resource == GRAPH else CLIENT_ID,
            "iss": issuer,
            "iat": int(now),
            "nbf": int(now),
            "exp": int(now + life),
            "tid": TENANT,
            "uti": uuid.uuid4().hex[:22],
            "ver": "1.0" if resource == GRAPH else "2.0",
        }

    def _claims(self, account: Account, resource: str, scopes: frozenset[str], now: float, life: float) -> Json:
        name = {"upn": account.email, "unique_name": account.email} if resource == GRAPH else {}
        return {
            **self._frame(resource, now, life),
            "name": account.name,
            "oid": account.id,
            "sub": self.subject(account),
            "preferred_username": account.email,
            "scp": " ".join(sorted(scopes)),
            **name,
        }

    @staticmethod
    def subject(account: Account) -> str:
        """Pairwise for the app."""
        return uuid.uuid5(uuid.UUID(account.id), CLIENT_ID).hex

    def id_token(self, account: Account, audience: str, nonce: str = "") -> str:
        """Who signed in."""
        claims = self._frame("", self.now, LIFETIME) | {
            "aud": audience,
            "name": account.name,
            "oid": account.id,
            "sub": self.subject(account),
            "preferred_username": account.email,
            "email": account.email,
        }
        return self.keys.sign(claims | ({"nonce": nonce} if nonce else {}))

    # ---- refresh tokens ------------------------------------------------------------------------

    def refresh_token(self, app: str, account: Account, asked: frozenset[str], resource: str, openid: frozenset[str],
                      signed_in: float) -> str:  # fmt: skip
        """A new one, good for 90 days from now."""
        token = "1.AXkA" + self._microsoft.token(120)
        self._refresh[token] = Refresh(
            app, account.id, asked, resource, openid, signed_in, self.now + REFRESH_DAYS * 86400
        )
        return token

    def refresh(self, token: str, app: str) -> tuple[Refresh, Account]:
        """What a refresh token stands for; EntraError when it is not good (any more)."""
        found = self._refresh.get(token)
        account = self._microsoft.directory.find(found.user) if found else None
        if found is None or account is None or found.app != app:
            raise sign_in_error(50173)
        if found.expires <= self.now:
            raise sign_in_error(700082)
        if found.signed_in < account.tokens_after:
            raise sign_in_error(50173)
        if account.fault:
            raise sign_in_error(account.fault)
        if self._microsoft.frame.settings["entra_refresh_once"]:
            del self._refresh[token]
        return found, account

    def consented(self, account: Account) -> frozenset[str]:
        """Graph's delegated scopes that the app may use for the user."""
        settings = self._microsoft.frame.settings
        return frozenset(account.consented) | (
            frozenset(settings["entra_consented_scopes"]) & DELEGATED
            if settings["entra_admin_consent"]
            else frozenset()
        )

    def api_grant(self, token: str) -> Grant | None:
        """The live grant of a token for our own API, as an exchange on behalf of its user needs it."""
        found = self._access.get(token)
        good = found and found.resource == API and API_SCOPE in found.rights and found.expires > self.now
        return found if good else None

    def expire(self, user: str) -> None:
        """Every access token of a user ("" is the app) dies, except the ready one; refreshing goes on."""
        self._access = {t: g for t, g in self._access.items() if g.user != user or g.ready}
