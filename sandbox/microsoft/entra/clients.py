"""How a client proves that it is one: secret, certificate, or nothing for a public client (`providers.md EN-2`)."""

from __future__ import annotations

import hmac
import threading
import time
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives import hashes

from sandbox.microsoft.directory import ADD_IN_CLIENT, CLIENT_ID, CLIENT_SECRET
from sandbox.microsoft.entra.errors import EntraError, missing
from sandbox.microsoft.entra.keys import KeyPair, b64

if TYPE_CHECKING:
    from sandbox.microsoft.vendor import Microsoft

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SKEW = 300  # seconds that clocks may differ
LONGEST = 86_400  # seconds that an assertion may be good for
PUBLIC = (ADD_IN_CLIENT,)


def _refuse(number: int, text: str) -> EntraError:
    return EntraError(401, "invalid_client", number, text)


class Clients:
    """The app registration's credentials."""

    def __init__(self, microsoft: Microsoft) -> None:
        self._microsoft = microsoft
        self._pair: KeyPair | None = None
        self._lock = threading.Lock()

    def certificate(self) -> KeyPair:
        """The one that is registered; made when first asked for."""
        with self._lock:
            if self._pair is None:
                self._pair = KeyPair.make("Mailspan sandbox client")
            return self._pair

    def known(self, form: dict[str, str]) -> str:
        """The client id, checked to be registered in the tenant."""
        ident = form.get("client_id") or ""
        if not ident:
            raise missing("client_id")
        if ident not in (CLIENT_ID, *PUBLIC):
            raise EntraError(
                400,
                "unauthorized_client",
                700016,
                f"Application with identifier '{ident}' was not found in the directory 'Northpeak'. This can happen if "
                "the application has not been installed by the administrator of the tenant or consented to by any user "
                "in the tenant. You may have sent your authentication request to the wrong tenant.",
            )
        return ident

    def authenticate(self, form: dict[str, str], endpoint: str) -> str:
        """The client id of a request whose credentials are right."""
        ident = self.known(form)
        if ident in PUBLIC:
            if "client_secret" in form:
                raise _refuse(
                    700025,
                    f"Client is public so neither 'client_assertion' nor 'client_secret' should be "
                    f"presented. App: {ident}",
                )
            return ident
        if "client_assertion" in form:
            if form.get("client_assertion_type") != ASSERTION:
                raise missing("client_assertion_type")
            self._check(form["client_assertion"], endpoint)
        elif "client_secret" not in form:
            raise _refuse(
                7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
            )
        elif not hmac.compare_digest(form["client_secret"].encode(), CLIENT_SECRET.encode()):
            raise _refuse(
                7000215,
                "Invalid client secret provided. Ensure the secret being sent in the request is the "
                f"client secret value, not the client secret ID, for a secret added to app '{ident}'.",
            )
        return ident

    def _check(self, assertion: str, endpoint: str) -> None:
        """An assertion signed by the registered certificate (x5t or x5t#S256), for this endpoint, not too old."""
        pair = self.certificate()
        try:
            head: dict[str, Any] = jwt.get_unverified_header(assertion)
        except jwt.PyJWTError:
            raise _refuse(50027, "JWT token is invalid or malformed.") from None
        good = (
            str(head["x5t"]).rstrip("=") == b64(pair.thumbprint())
            if "x5t" in head
            else str(head.get("x5t#S256")).rstrip("=") == b64(pair.thumbprint(hashes.SHA256()))
        )
        if not good:
            raise _refuse(
                700027,
                "The certificate with identifier used to sign the client assertion is not registered "
                "on application. [Reason - The key was not found.]",
            )
        try:
            claims: dict[str, Any] = jwt.decode(
                assertion,
                pair.private.public_key(),
                algorithms=["RS256", "PS256"],
                options={"verify_exp": False, "verify_aud": False, "verify_iat": False, "verify_nbf": False},
            )
        except jwt.PyJWTError:
            raise _refuse(700027, "Client assertion failed signature validation.") from None
        self._judge(claims, endpoint)

    @staticmethod
    def _judge(claims: dict[str, Any], endpoint: str) -> None:
        now = time.time()  # the client's clock is the real one, whatever the sandbox's says
        if claims.get("iss") != CLIENT_ID or claims.get("sub") != CLIENT_ID:
            raise _refuse(700021, "Client assertion application identifier doesn't match 'client_id' parameter.")
        base = endpoint.removesuffix("/oauth2/v2.0/token")
        if claims.get("aud") not in (endpoint, f"{base}/v2.0", base, f"{base}/"):
            raise _refuse(700023, "Client assertion audience claim does not match Realm issuer.")
        if "jti" not in claims:
            raise _refuse(50027, "JWT token is invalid or malformed: the claim jti is missing.")
        begin, end = claims.get("nbf", claims.get("iat", now)), claims.get("exp", 0)
        if not begin - SKEW <= now < end + SKEW or end - now > LONGEST:
            raise _refuse(700024, "Client assertion is not within its valid time range.")
