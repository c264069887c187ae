"""The pages and endpoints of Entra: discovery, keys, authorize, token, device code (`providers.md EN-1 EN-4`)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from sandbox.microsoft.directory import TENANT
from sandbox.microsoft.entra.endpoint import CODE_SECONDS, Code
from sandbox.microsoft.entra.errors import SIGN_IN, EntraError, missing, sign_in_error
from sandbox.microsoft.entra.scopes import GRAPH, read_scopes
from sandbox.microsoft.http import Answer, Request

if TYPE_CHECKING:
    from sandbox.microsoft.vendor import Microsoft

Json = dict[str, Any]
KIND = "application/json; charset=utf-8"
SHARED = ("common", "organizations")
NO_STORE = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}


def _pairs(text: str) -> dict[str, str]:
    return dict(parse_qsl(text, keep_blank_values=True))


def _basic(header: str) -> dict[str, str]:
    """Client id and secret of HTTP basic authentication, as far as the header has them."""
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        name, _, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except ValueError:
        return {}
    return {"client_id": unquote_plus(name), "client_secret": unquote_plus(secret)}


def _form(redirect: str, answer: dict[str, str]) -> str:
    """A page that posts the answer by itself."""
    inputs = "".join(f'<input type="hidden" name="{escape(k)}" value="{escape(v)}" />' for k, v in answer.items())
    return (
        f'<html><head><title>Working...</title></head><body><form method="POST" name="hiddenform" '
        f'action="{escape(redirect)}">{inputs}<noscript><p>Script is disabled. Click Submit to continue.</p>'
        '<input type="submit" value="Submit" /></noscript></form><script language="javascript">'
        "document.forms[0].submit();</script></body></html>"
    )


class EntraApp:
    """Every path that does not belong to Graph."""

    def __init__(self, microsoft: Microsoft) -> None:
        self._microsoft = microsoft
        self._pages: dict[tuple[str, str], Callable[[Request, str], Json | Answer]] = {
            ("GET", "v2.0/.well-known/openid-configuration"): self._discovery,
            ("GET", ".well-known/openid-configuration"): self._discovery,
            ("GET", "discovery/v2.0/keys"): self._keys,
            ("GET", "discovery/keys"): self._keys,
            ("GET", "oauth2/v2.0/authorize"): self._authorize,
            ("POST", "oauth2/v2.0/token"): self._token,
            ("POST", "oauth2/v2.0/devicecode"): self._devicecode,
        }

    def serve(self, request: Request) -> Answer:
        """Answer a request."""
        tenant, _, rest = request.path.lstrip("/").partition("/")
        call: Json = {"method": f"entra.{rest.rpartition('/')[2] or 'unknown'}", "api": "entra", "units": 0}
        correlation = request.headers.get("client-request-id", "")
        try:
            if (tenant, rest) == ("common", "discovery/instance"):
                return self._reply(self._instance(request), call)
            page = self._pages.get((request.verb, rest))
            if page is None:
                return Answer(404, b"", KIND, call={**call, "method": "entra.unknown"})
            self._check_tenant(tenant)
            with self._microsoft.lock:
                answer = page(request, tenant)
            if isinstance(answer, Answer):
                answer.call = call
                return answer
            return self._reply(answer, call)
        except EntraError as error:
            body = error.body(self._microsoft.frame.clock.now(), correlation)
            return Answer(error.status, json.dumps(body).encode(), KIND, dict(NO_STORE), call)

    @staticmethod
    def _reply(content: Json, call: Json) -> Answer:
        return Answer(200, json.dumps(content).encode(), KIND, dict(NO_STORE), call)

    def _check_tenant(self, tenant: str) -> None:
        known = (TENANT, *SHARED, *(d.lower() for d in self._microsoft.directory.domains))
        if tenant.lower() not in known:
            raise EntraError(
                400,
                "invalid_tenant",
                90002,
                f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into "
                "the correct cloud. Check with your subscription administrator, this may happen if there are no active "
                "subscriptions for the tenant.",
            )

    # ---- documents -------------------------------------------------------------------------------

    def _instance(self, request: Request) -> Json:
        """Instance discovery: this host only."""
        query = _pairs(request.query)
        asked = urlsplit(query.get("authorization_endpoint", ""))
        ours = urlsplit(self._microsoft.frame.url("microsoft"))
        if (asked.scheme, asked.netloc) != (ours.scheme, ours.netloc):
            raise EntraError(400, "invalid_instance", 50049, "Unknown or invalid instance.")
        tenant = asked.path.lstrip("/").partition("/")[0] or "common"
        return {
            "tenant_discovery_endpoint": f"{ours.scheme}://{ours.netloc}/{tenant}/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": ours.netloc, "preferred_cache": ours.netloc, "aliases": [ours.netloc]}],
        }

    def _discovery(self, request: Request, tenant: str) -> Json:
        url = self._microsoft.frame.url("microsoft")
        base = f"{url}/{tenant if tenant in SHARED else TENANT}"
        issuer = "{tenantid}" if tenant in SHARED else TENANT
        return {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": [
                "client_secret_post",
                "private_key_jwt",
                "client_secret_basic",
            ],
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": f"{url}/{issuer}/v2.0",
            "request_uri_parameter_supported": False,
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "http_logout_supported": True,
            "frontchannel_logout_supported": True,
            "claims_supported": "sub iss aud exp iat nonce preferred_username name tid ver email".split(),
            "tenant_region_scope": "EU",
            "cloud_instance_name": "microsoftonline.com",
            "msgraph_host": urlsplit(GRAPH).netloc,
        }

    def _keys(self, request: Request, tenant: str) -> Json:
        return self._microsoft.oauth.keys.published(f"{self._microsoft.frame.url('microsoft')}/{TENANT}/v2.0")

    # ---- endpoints ---------------------------------------------------------------------------------

    def _token(self, request: Request, tenant: str) -> Json:
        if not request.headers["content-type"].startswith("application/x-www-form-urlencoded"):
            raise missing("grant_type")
        form = _pairs(request.body.decode("utf-8", "replace")) | _basic(request.headers.get("authorization", ""))
        shown = tenant if tenant in SHARED else TENANT
        endpoint = f"{self._microsoft.frame.url('microsoft')}/{shown}/oauth2/v2.0/token"
        return self._microsoft.endpoint.exchange(form, endpoint)

    def _devicecode(self, request: Request, tenant: str) -> Json:
        form = _pairs(request.body.decode("utf-8", "replace"))
        return self._microsoft.endpoint.begin_device(
            form, self._microsoft.frame.url("microsoft") + "/common/devicelogin"
        )

    def _authorize(self, request: Request, tenant: str) -> Answer:
        """Send the browser back after sign-in and consent; `login_hint` says who signs in at once."""
        query = _pairs(request.query)
        app = self._microsoft.clients.known(query)
        redirect = query.get("redirect_uri", "")
        parts = urlsplit(redirect)
        if not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1"))):
            raise EntraError(400, "invalid_request", 50011, f"The redirect URI '{redirect}' specified in the request "
                             "does not match the redirect URIs configured for the application.")  # fmt: skip
        if query.get("response_type") != "code":
            raise EntraError(400, "unsupported_response_type", 700051, "The sandbox answers response_type 'code' only.")
        state = {"state": query["state"]} if "state" in query else {}
        try:
            answer = {"code": self._consent(app, redirect, query), **state, "session_state": self._microsoft.token(20)}
        except EntraError as error:
            body = error.body(self._microsoft.frame.clock.now())
            answer = {"error": body["error"], "error_description": body["error_description"], **state}
        if query.get("response_mode") == "form_post":
            return Answer(200, _form(redirect, answer).encode(), "text/html; charset=utf-8", dict(NO_STORE))
        joint = "#" if query.get("response_mode") == "fragment" else "&" if "?" in redirect else "?"
        return Answer(302, b"", KIND, {"Location": redirect + joint + urlencode(answer), **NO_STORE})

    def _consent(self, app: str, redirect: str, query: dict[str, str]) -> str:
        account = self._microsoft.directory.find(query.get("login_hint", ""))
        if account is None:
            raise EntraError(400, "login_required", 50058, "The sandbox signs in the user that login_hint names.")
        if account.fault in SIGN_IN and account.fault != 65001:
            raise sign_in_error(account.fault)
        asked = read_scopes(query.get("scope", ""))
        new = asked.names - self._microsoft.oauth.consented(account) if asked.resource == GRAPH else frozenset()
        if new and query.get("prompt") == "none":
            raise EntraError(400, "consent_required", 65001, SIGN_IN[65001][2])
        account.consented |= new
        account.fault = 0 if account.fault == 65001 else account.fault
        method = query.get("code_challenge_method", "plain")
        if query.get("code_challenge") and method not in ("plain", "S256"):
            raise EntraError(400, "invalid_request", 501491, "Invalid size or method of Code_Challenge parameter.")
        return self._microsoft.endpoint.issue_code(
            Code(
                app,
                account.id,
                asked,
                redirect,
                query.get("code_challenge", ""),
                method,
                query.get("nonce", ""),
                self._microsoft.oauth.now + CODE_SECONDS,
            )
        )
