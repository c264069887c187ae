"""Sign-in (`providers.md` 5.5, SF-23)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.sandbox.salesforce_client import ANNA, ORGANISATION, Org

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
Claims = dict[str, Any]


def token(org: Org, **form: str) -> tuple[int, dict[str, Any]]:
    answer = org.http.post(f"{org.url}/services/oauth2/token", data=form)
    return answer.status_code, answer.json()


def bearer(
    org: Org, change: Callable[[Claims], None] = lambda claims: None, key: Any = None
) -> tuple[int, dict[str, Any]]:
    info = org.vendor.info()
    claims: Claims = {"iss": info["consumer_key"], "sub": ANNA, "aud": "https://login.salesforce.com",
                      "exp": org.frame.clock.time() + 120}  # fmt: skip
    change(claims)
    signed = jwt.encode(claims, key or Path(info["private_key"]).read_text(), algorithm="RS256")
    return token(org, grant_type=JWT_BEARER, assertion=signed)


def who(org: Org, access_token: str) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {access_token}"}
    answer = org.http.get(f"{org.url}/services/data/v67.0/limits", headers=headers)
    return answer.status_code, answer.json()


def test_jwt_bearer(org: Org) -> None:
    status, answer = bearer(org)
    assert status == 200
    assert "refresh_token" not in answer
    assert (answer["token_type"], answer["instance_url"]) == ("Bearer", org.url)
    assert who(org, answer["access_token"])[0] == 200
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    info = org.http.get(f"{org.url}/services/oauth2/userinfo", headers=headers).json()
    assert (info["preferred_username"], info["user_id"]) == (ANNA, org.ids["anna"])
    assert bearer(org, lambda c: c.update(aud=org.url))[0] == 200


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"iss": "somebody"}, "invalid_client_id", "client identifier invalid"),
        ({"sub": "nobody@northpeak.example"}, "invalid_grant", "user hasn't approved this consumer"),
        ({"sub": "gone@northpeak.example"}, "invalid_grant", "user hasn't approved this consumer"),
        ({"aud": "https://elsewhere.example"}, "invalid_grant", "audience is invalid"),
        ({"exp": 1}, "invalid_grant", "expired authorization code"),
        ({"exp": 4102444800}, "invalid_grant", "assertion expiration is too far in the future"),
    ],
)
def test_refused_assertions(org: Org, change: Claims, error: str, text: str) -> None:
    status, answer = bearer(org, lambda c: c.update(change))
    assert (status, answer) == (400, {"error": error, "error_description": text})


def test_another_key_and_a_user_without_the_permission_set_are_refused(org: Org) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert bearer(org, key=stranger)[1]["error_description"] == "invalid assertion"
    org.act("authorise", user=ANNA, on=False)
    assert bearer(org)[1]["error"] == "invalid_app_access"
    org.act("authorise", user=ANNA)
    assert bearer(org)[0] == 200


def test_sessions_end(org: Org) -> None:
    access = bearer(org)[1]["access_token"]
    org.frame.clock.advance(7000)
    assert who(org, access)[0] == 200  # use renews it
    org.frame.clock.advance(7201)
    assert who(org, access) == (401, [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}])
    access = bearer(org)[1]["access_token"]
    org.act("end_sessions", user=ANNA)
    assert who(org, access)[0] == 401
    assert who(org, "nonsense")[0] == 401


def test_ready_tokens_outlive_a_reset(org: Org) -> None:
    ready = org.vendor.tokens()[ANNA]
    org.vendor.reset()
    assert who(org, ready)[0] == 401
    org.vendor.seed(ORGANISATION, None)
    assert org.vendor.tokens()[ANNA] == ready
    assert who(org, ready)[0] == 200


def test_user_name_and_password_are_refused(org: Org) -> None:
    info = org.vendor.info()
    status, answer = token(org, grant_type="password", client_id=info["consumer_key"], username=ANNA, password="x",
                           client_secret=info["consumer_secret"])  # fmt: skip
    assert (status, answer["error"]) == (400, "invalid_grant")
    assert token(org, grant_type="magic")[1]["error"] == "unsupported_grant_type"


def test_soap_login_is_refused(org: Org) -> None:
    answer = org.http.post(f"{org.url}/services/Soap/u/67.0", data="<x/>", headers={"Content-Type": "text/xml"})
    assert answer.status_code == 500
    assert "<sf:exceptionCode>INVALID_OPERATION</sf:exceptionCode>" in answer.text


def consent(org: Org, verifier: str, **more: str) -> dict[str, str]:
    info = org.vendor.info()
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    args = {"response_type": "code", "client_id": info["consumer_key"], "redirect_uri": info["callbacks"][0],
            "state": "s 1", "code_challenge": challenge, "code_challenge_method": "S256"}  # fmt: skip
    page = org.http.get(f"{org.url}/services/oauth2/authorize", params=args)
    assert f'value="{ANNA}"' in page.text
    answer = org.http.post(f"{org.url}/services/oauth2/authorize", data={**args, "username": ANNA, **more},
                           allow_redirects=False)  # fmt: skip
    assert answer.status_code == 302, answer.text
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


def exchange(org: Org, back: dict[str, str], **more: str) -> tuple[int, dict[str, Any]]:
    info = org.vendor.info()
    form = {"grant_type": "authorization_code", "code": back["code"], "client_id": info["consumer_key"],
            "client_secret": info["consumer_secret"], "redirect_uri": info["callbacks"][0], **more}  # fmt: skip
    return token(org, **form)


def test_web_server_flow_refresh_and_revoke(org: Org) -> None:
    verifier = "v" * 64
    back = consent(org, verifier)
    assert back["state"] == "s 1"
    status, answer = exchange(org, back, code_verifier=verifier)
    assert status == 200
    assert who(org, answer["access_token"])[0] == 200
    assert exchange(org, back, code_verifier=verifier)[1]["error"] == "invalid_grant"  # a code is good once
    info = org.vendor.info()
    refresh = {"grant_type": "refresh_token", "refresh_token": answer["refresh_token"],
               "client_id": info["consumer_key"], "client_secret": info["consumer_secret"]}  # fmt: skip
    status, renewed = token(org, **refresh)
    assert (status, "refresh_token" in renewed) == (200, False)
    org.frame.settings["salesforce_rotate_refresh"] = True
    status, rotated = token(org, **refresh)
    assert rotated["refresh_token"] != answer["refresh_token"]
    assert token(org, **refresh)[1]["error_description"] == "expired access/refresh token"
    revoked = org.http.post(f"{org.url}/services/oauth2/revoke", data={"token": rotated["refresh_token"]})
    assert revoked.status_code == 200
    assert who(org, renewed["access_token"])[0] == 401


def test_the_web_flow_checks_what_it_gets(org: Org) -> None:
    assert (
        exchange(org, consent(org, "v" * 64), code_verifier="w" * 64)[1]["error_description"] == "invalid code verifier"
    )
    late = consent(org, "v" * 64)
    org.frame.clock.advance(901)
    assert exchange(org, late, code_verifier="v" * 64)[1]["error_description"] == "expired authorization code"
    assert (
        exchange(org, consent(org, "v" * 64), code_verifier="v" * 64, client_secret="x")[1]["error"] == "invalid_client"
    )
    args = {
        "response_type": "code",
        "client_id": org.vendor.info()["consumer_key"],
        "redirect_uri": "https://evil.example",
    }
    answer = org.http.get(f"{org.url}/services/oauth2/authorize", params=args, allow_redirects=False)
    assert (answer.status_code, answer.json()["error"]) == (400, "redirect_uri_mismatch")


def test_versions_need_no_token(org: Org) -> None:
    versions = org.http.get(f"{org.url}/services/data").json()
    assert versions[0] == {"label": "Winter '24", "url": "/services/data/v59.0", "version": "59.0"}
    assert versions[-1]["label"] == "Winter '27"
    assert json.dumps(versions)
