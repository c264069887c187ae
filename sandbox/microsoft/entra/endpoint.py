"""The token endpoint: every grant type (`providers.md EN-2 EN-3 EN-5 EN-7`)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.microsoft.directory import CLIENT_ID, TENANT, Account
from sandbox.microsoft.entra.errors import EntraError, missing, sign_in_error
from sandbox.microsoft.entra.keys import b64
from sandbox.microsoft.entra.scopes import API, APPLICATION, GRAPH, OPENID, Asked, read_scopes

if TYPE_CHECKING:
    from sandbox.microsoft.vendor import Microsoft

Json = dict[str, Any]
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
CODE_SECONDS = 600
DEVICE_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code."""

    app: str
    user: str
    asked: Asked
    redirect: str
    challenge: str  # of PKCE, "" without
    method: str
    nonce: str
    expires: float


@dataclass(slots=True)
class Device:
    """A device code, and who has signed in with its user code."""

    app: str
    asked: Asked
    user_code: str
    expires: float
    user: str = ""


def read_claims(text: str) -> tuple[bool, float]:
    """Of the `claims` parameter: whether the client takes challenges (CP1), and the nbf it names (0: none)."""
    if not text:
        return False, 0.0
    try:
        claims = json.loads(text)["access_token"]
        values = (claims.get("xms_cc") or {}).get("values", [])
        return "cp1" in [str(v).lower() for v in values], float((claims.get("nbf") or {}).get("value", 0))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise EntraError(
            400, "invalid_request", 90007, "The request is invalid: the 'claims' parameter is no JSON."
        ) from None


class Endpoint:
    """POST /{tenant}/oauth2/v2.0/token. The vendor's lock is held."""

    def __init__(self, microsoft: Microsoft) -> None:
        self._microsoft = microsoft
        self._kinds: dict[str, Callable[[dict[str, str], str], Json]] = {
            "client_credentials": self._application,
            "authorization_code": self._code,
            "refresh_token": self._refresh,
            JWT_BEARER: self._on_behalf_of,
            DEVICE_CODE: self._device,
        }
        self.clear()

    def clear(self) -> None:
        """Forget codes."""
        self._codes: dict[str, Code] = {}
        self._devices: dict[str, Device] = {}

    def exchange(self, form: dict[str, str], url: str) -> Json:
        """The answer's JSON; EntraError for a refusal."""
        kind = form.get("grant_type", "")
        if not kind:
            raise missing("grant_type")
        if kind not in self._kinds:
            raise EntraError(
                400, "unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{kind}'."
            )
        return self._kinds[kind](form, self._microsoft.clients.authenticate(form, url))

    # ---- the app itself -----------------------------------------------------------------------

    def _application(self, form: dict[str, str], app: str) -> Json:
        scope = form.get("scope", "")
        if app != CLIENT_ID:
            raise EntraError(401, "invalid_client", 7000218, "A public client has no grant of its own.")
        if not scope:
            raise missing("scope")
        asked = None if OPENID & set(scope.split()) else read_scopes(scope) if scope.endswith("/.default") else None
        if asked is None or len(scope.split()) != 1 or asked.resource not in (GRAPH, API):
            raise EntraError(
                400,
                "invalid_scope",
                1002012,
                f"The provided value for scope {scope} is not valid. Client credential flows must have a scope value "
                "with /.default suffixed to the resource identifier (application ID URI).",
            )
        aware, answered = read_claims(form.get("claims", ""))
        roles = frozenset(self._microsoft.frame.settings["entra_app_roles"]) & APPLICATION
        token, life = self._microsoft.oauth.app_token(roles, aware=aware, answered=answered)
        out: Json = {"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token}
        return out | ({"refresh_in": life // 2} if life > 7200 else {})

    # ---- a user -----------------------------------------------------------------------------------

    def _tokens(
        self, form: dict[str, str], app: str, account: Account, asked: Asked, signed_in: float, nonce: str = ""
    ) -> Json:
        """Access token, and what OpenID's scopes ask for beside it."""
        oauth = self._microsoft.oauth
        aware, answered = read_claims(form.get("claims", ""))
        resource = asked.resource or GRAPH
        scopes = asked.names if not asked.default else frozenset()
        if resource == GRAPH:
            allowed = oauth.consented(account)
            scopes = allowed if asked.default else scopes or frozenset({"User.Read"})
            if not scopes or not scopes <= allowed:
                raise sign_in_error(65001)
        elif asked.default:
            scopes = frozenset({"access_as_user"})
        token, life = oauth.user_token(account, resource, scopes, aware=aware, answered=answered, app=app)
        prefix = "" if resource == GRAPH else f"{resource}/"
        told = [*(prefix + name for name in sorted(scopes)), *sorted(asked.openid - {"offline_access"})]
        out: Json = {
            "token_type": "Bearer",
            "scope": " ".join(told),
            "expires_in": life,
            "ext_expires_in": life,
            "access_token": token,
        }
        if life > 7200:
            out["refresh_in"] = life // 2
        if "offline_access" in asked.openid:
            out["refresh_token"] = oauth.refresh_token(app, account, scopes, resource, asked.openid, signed_in)
        if "openid" in asked.openid:
            out["id_token"] = oauth.id_token(account, app, nonce)
        if form.get("client_info") == "1":
            out["client_info"] = b64(json.dumps({"uid": account.id, "utid": TENANT}).encode())
        return out

    def _account(self, user: str) -> Account:
        account = self._microsoft.directory.find(user)
        if account is None:
            raise sign_in_error(50034)
        if account.fault:
            raise sign_in_error(account.fault)
        return account

    def _refresh(self, form: dict[str, str], app: str) -> Json:
        if "refresh_token" not in form:
            raise missing("refresh_token")
        found, account = self._microsoft.oauth.refresh(form["refresh_token"], app)
        asked = read_scopes(form.get("scope", ""))
        if not asked.resource:
            asked = Asked(found.resource, found.scopes, False, asked.openid | found.openid)
        asked = Asked(asked.resource, asked.names, asked.default, asked.openid | {"offline_access"})
        return self._tokens(form, app, account, asked, found.signed_in)

    def _on_behalf_of(self, form: dict[str, str], app: str) -> Json:
        if form.get("requested_token_use") != "on_behalf_of":
            raise missing("requested_token_use")
        grant = self._microsoft.oauth.api_grant(form.get("assertion", ""))
        if grant is None:
            number = 50013 if self._microsoft.oauth.grant(form.get("assertion", "")) is None else 500131
            text = (
                "Assertion failed signature validation, or is not within its valid time range."
                if number == 50013
                else "Assertion audience does not match the Client app presenting the assertion."
            )
            raise EntraError(400, "invalid_grant", number, text)
        account = self._account(grant.user)
        if grant.issued < account.tokens_after:
            raise sign_in_error(50173)
        return self._tokens(form, app, account, read_scopes(form.get("scope", "")), grant.issued)

    # ---- codes -----------------------------------------------------------------------------------

    def issue_code(self, code: Code) -> str:
        """A code to redeem within ten minutes."""
        text = "1.AXkA" + self._microsoft.token(80)
        self._codes[text] = code
        return text

    def _code(self, form: dict[str, str], app: str) -> Json:
        if "code" not in form:
            raise missing("code")
        code = self._codes.pop(form["code"], None)
        if code is None or code.app != app:
            raise EntraError(
                400,
                "invalid_grant",
                54005,
                "OAuth2 Authorization code was already redeemed, please retry "
                "with a new valid code or use an existing refresh token.",
            )
        if code.expires <= self._microsoft.oauth.now:
            raise EntraError(
                400,
                "invalid_grant",
                70008,
                "The provided authorization code or refresh token has expired "
                "due to inactivity. Send a new interactive authorization request.",
            )
        if form.get("redirect_uri") != code.redirect:
            raise EntraError(
                400,
                "invalid_client",
                500112,
                f"The reply address '{form.get('redirect_uri', '')}' does "
                f"not match the reply address '{code.redirect}' provided when requesting Authorization "
                "code.",
            )
        if code.challenge:
            self._prove(code, form.get("code_verifier", ""))
        account = self._account(code.user)
        asked = read_scopes(form.get("scope", ""))
        asked = (
            asked
            if asked.resource
            else Asked(code.asked.resource, code.asked.names, code.asked.default, code.asked.openid)
        )
        asked = Asked(asked.resource, asked.names, asked.default, asked.openid | code.asked.openid)
        return self._tokens(form, app, account, asked, self._microsoft.oauth.now, code.nonce)

    @staticmethod
    def _prove(code: Code, verifier: str) -> None:
        if not verifier:
            raise EntraError(
                400,
                "invalid_grant",
                501481,
                "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
            )
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if (digest if code.method == "S256" else verifier) != code.challenge:
            raise EntraError(
                400,
                "invalid_grant",
                501481,
                "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
            )

    # ---- devices -----------------------------------------------------------------------------------

    def begin_device(self, form: dict[str, str], verification: str) -> Json:
        """Answer of POST /devicecode."""
        app = self._microsoft.clients.known(form)
        asked = read_scopes(form.get("scope", ""))
        code, user_code = self._microsoft.token(60), self._microsoft.token(9).upper()
        self._devices[code] = Device(app, asked, user_code, self._microsoft.oauth.now + DEVICE_SECONDS)
        return {
            "user_code": user_code,
            "device_code": code,
            "verification_uri": verification,
            "expires_in": DEVICE_SECONDS,
            "interval": 5,
            "message": f"To sign in, use a web browser to open the page {verification} and enter the code {user_code} "
            "to authenticate.",
        }

    def sign_in_device(self, user_code: str, account: Account) -> None:
        """The user has entered the code; LookupError for an unknown one."""
        device = next((d for d in self._devices.values() if d.user_code == user_code), None)
        if device is None:
            raise LookupError(f"no user code {user_code}")
        device.user = account.id

    def _device(self, form: dict[str, str], app: str) -> Json:
        device = self._devices.get(form.get("device_code", ""))
        if device is None or device.app != app:
            raise EntraError(400, "invalid_grant", 70000, "The provided device code is not valid.")
        if device.expires <= self._microsoft.oauth.now:
            raise EntraError(400, "expired_token", 70019, "Verification code expired.")
        if not device.user:
            raise EntraError(
                400,
                "authorization_pending",
                70016,
                "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
            )
        del self._devices[form["device_code"]]
        return self._tokens(form, app, self._account(device.user), device.asked, self._microsoft.oauth.now)
