"""Signing in: what is asked, what is kept, what is refused."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from requests.adapters import HTTPAdapter

from sync.errors import Busy, Denied
from sync.providers.salesforce.auth import JwtBearer, Login, Ready, RefreshToken, Token, http_session
from tests.providers.salesforce.scripted import URL, Grant, Said, session

LOGIN = "https://login.salesforce.com"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


def granted(**more: str) -> Said:
    return Said(body={"access_token": "secret", "instance_url": URL, **more})


def bearer(**changes: object) -> JwtBearer:
    values = {"login_url": LOGIN, "consumer_key": "key", "private_key": PEM, "username": "anna@northpeak.example"}
    return JwtBearer(**{**values, **changes})  # type: ignore[arg-type]


def test_the_assertion_says_who_acts_and_not_for_long() -> None:
    http, script = session(granted())
    token = bearer(clock=lambda: 1_000_000.0).fetch(http)
    assert token == Token("secret", URL)
    assert script.asked[0].url == f"{LOGIN}/services/oauth2/token"
    form = parse_qs(str(script.asked[0].body))
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    claims = jwt.decode(
        form["assertion"][0], KEY.public_key(), algorithms=["RS256"], audience=LOGIN, options={"verify_exp": False}
    )
    assert (claims["iss"], claims["sub"]) == ("key", "anna@northpeak.example")
    assert 0 < claims["exp"] - 1_000_000 <= 180


def test_the_audience_can_be_another() -> None:
    http, script = session(granted())
    bearer(audience="https://test.salesforce.com").fetch(http)
    assertion = parse_qs(str(script.asked[0].body))["assertion"][0]
    claims = jwt.decode(assertion, options={"verify_signature": False})
    assert claims["aud"] == "https://test.salesforce.com"


def test_a_key_that_is_none_is_denied_without_a_call() -> None:
    http, script = session()
    with pytest.raises(Denied):
        bearer(private_key="not a key").fetch(http)
    assert not script.asked


@pytest.mark.parametrize(
    "answer",
    [
        Said(400, {"error": "invalid_grant", "error_description": "user hasn't approved this consumer"}),
        Said(400, {"error": "invalid_client_id"}),
        Said(401, "no JSON at all"),
    ],
)
def test_a_refused_grant_is_denied(answer: Said) -> None:
    http, _ = session(answer)
    with pytest.raises(Denied):
        bearer().fetch(http)


@pytest.mark.parametrize(
    "answer",
    [
        Said(503, "down"),
        Said(429, {}, {"Retry-After": "7"}),
        Said(400, {"error": "invalid_grant", "error_description": "login rate exceeded"}),
        Said(200, {"unexpected": True}),
        requests.ConnectionError("reset"),
    ],
)
def test_a_service_without_answer_is_busy(answer: Said | Exception) -> None:
    http, _ = session(answer)
    with pytest.raises(Busy):
        bearer().fetch(http)


@pytest.mark.parametrize(
    "url",
    ["http://acme.my.salesforce.com", "https://evil.example", "https://salesforce.com.evil.example", "not a url", ""],
)
def test_a_token_never_goes_to_a_foreign_host(url: str) -> None:
    http, _ = session(Said(body={"access_token": "secret", "instance_url": url or "https://"}))
    with pytest.raises(Denied):
        bearer().fetch(http)


def test_the_login_host_itself_may_be_the_instance() -> None:
    http, _ = session(Said(body={"access_token": "secret", "instance_url": "https://localhost:8443/"}))
    assert bearer(login_url="https://localhost:9443").fetch(http).instance_url == "https://localhost:8443"


def test_a_refresh_token_is_exchanged_and_its_successor_kept() -> None:
    kept: list[str] = []
    http, script = session(granted(refresh_token="next"))
    RefreshToken(LOGIN, "key", "old", "secret", rotated=kept.append).fetch(http)
    form = parse_qs(str(script.asked[0].body))
    assert form == {
        "grant_type": ["refresh_token"],
        "client_id": ["key"],
        "client_secret": ["secret"],
        "refresh_token": ["old"],
    }
    assert kept == ["next"]


def test_one_token_serves_all_of_a_user() -> None:
    http, _ = session()
    grant = Grant()
    assert Login(grant, http).token() == Login(grant, http).token()
    assert grant.fetched == 1


def test_a_refused_token_is_renewed_once_for_everybody() -> None:
    http, _ = session()
    grant = Grant()
    old = Login(grant, http).token()
    threads = [threading.Thread(target=lambda: Login(grant, http).renew(old)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert grant.fetched == 2


def test_a_ready_token_cannot_be_renewed() -> None:
    http, _ = session()
    login = Login(Ready("given", URL), http)
    with pytest.raises(Denied):
        login.renew(login.token())


def test_secrets_do_not_show() -> None:
    assert PEM not in repr(bearer())
    assert "secret" not in repr(Token("secret", URL))
    assert "old" not in repr(RefreshToken(LOGIN, "key", "old"))


def test_the_session_has_timeouts_and_no_ear_for_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[tuple[float, float]] = []

    def send(self: HTTPAdapter, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        waited.append(kwargs["timeout"])
        raise requests.ConnectTimeout

    monkeypatch.setattr(HTTPAdapter, "send", send)
    http = http_session("/some/ca.pem", connect=1.0, read=2.0)
    for body in (b"", b"x" * 5_000_000):
        with pytest.raises(requests.ConnectTimeout):
            http.post(URL, data=body)
    assert waited == [(1.0, 2.0), (1.0, 12.0)]
    assert http.verify == "/some/ca.pem"
    assert http.trust_env is False
