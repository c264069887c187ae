"""Calls to the client's web hooks: the validation handshake and one POST (`providers.md 2.6 SU-1 SU-5`)."""

from __future__ import annotations

import http.client
import secrets
import ssl
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from sandbox.microsoft.errors import bad_request

if TYPE_CHECKING:
    from sandbox.microsoft.vendor import Microsoft

LOOPBACK = ("localhost", "127.0.0.1", "::1")
VALIDATION_SECONDS = 10.0


def allowed_url(url: object) -> bool:
    """https, or http to this machine."""
    parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK))


def post(microsoft: Microsoft, url: str, body: bytes, kind: str, seconds: float) -> tuple[int, str, bytes, float]:
    """Status, content type, body and time taken of one POST; OSError or HTTPException when there is no answer."""
    parts = urlsplit(url)
    host, begun = parts.hostname or "", time.monotonic()
    line: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        context.load_verify_locations(str(microsoft.frame.ca))
        if host in LOOPBACK:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        line = http.client.HTTPSConnection(host, parts.port, timeout=seconds, context=context)
    else:
        line = http.client.HTTPConnection(host, parts.port, timeout=seconds)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        line.request("POST", target, body, {"Content-Type": kind})
        answer = line.getresponse()
        return answer.status, answer.getheader("Content-Type", ""), answer.read(100_000), time.monotonic() - begun
    finally:
        line.close()


def validate(microsoft: Microsoft, urls: list[str]) -> None:
    """Each URL must answer a token with 200, text/plain and the token itself within ten seconds, else 400."""
    limit = float(microsoft.frame.settings["graph_validation_seconds"])
    for url in urls:
        token = (
            f"Validation: Testing client application reachability for subscription Request-Id: {secrets.token_hex(8)}"
        )
        joint = "&" if urlsplit(url).query else "?"
        try:
            full = f"{url}{joint}validationToken={quote(token, safe='')}"
            status, kind, body, _ = post(microsoft, full, b"", "text/plain; charset=utf-8", limit)
        except TimeoutError:
            raise bad_request("Subscription validation request timed out.", "InvalidRequest") from None
        except (OSError, http.client.HTTPException):
            raise _failed() from None
        text = body.decode("utf-8", "replace").replace("&#58;", ":").replace("&#x3a;", ":")
        if status != 200 or not kind.lower().startswith("text/plain") or text != token:
            raise _failed()


def _failed() -> Exception:
    return bad_request(
        "Subscription validation request failed. Notification endpoint must respond with 200 OK to validation request.",
        "ValidationError",
    )
