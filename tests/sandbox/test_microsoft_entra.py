"""Entra by msal itself: one test for each row EN of `providers.md 11.6`."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import msal
import pytest
import requests
from jwt.algorithms import RSAAlgorithm

from tests.sandbox.graph_client import DEFAULT, ERIK, PRIYA, Graph, app_only, confidential
from tests.sandboxed import Sandbox

Json = dict[str, Any]
REDIRECT = "https://mailspan.example/callback"
MAIL = ["https://graph.microsoft.com/Mail.ReadWrite"]
DAY = 86_400


def ready(sandbox: Sandbox) -> Json:
    return dict(sandbox.ready["microsoft"])


def form(graph: Graph, **data: str) -> requests.Response:
    """A POST to the token endpoint by hand."""
    url = ready(graph.sandbox)["authority"] + "/oauth2/v2.0/token"
    return graph.http.post(url, data=data, timeout=10)


def secret(graph: Graph, **data: str) -> requests.Response:
    known = ready(graph.sandbox)
    return form(graph, client_id=known["client_id"], client_secret=known["client_secret"], **data)


def signed_in(
    graph: Graph, app: msal.ConfidentialClientApplication, user: str = ERIK, scopes: list[str] = MAIL
) -> Json:
    """The web flow with PKCE as a browser and msal do it."""
    flow = app.initiate_auth_code_flow(scopes, redirect_uri=REDIRECT, login_hint=user, response_mode="form_post")
    page = graph.http.get(flow["auth_uri"], allow_redirects=False, timeout=10).text
    assert f'action="{REDIRECT}"' in page
    back = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
    return dict(app.acquire_token_by_auth_code_flow(flow, back))


def public_key(graph: Graph, token: str) -> Any:
    """The published key that signed a token."""
    document = graph.http.get(ready(graph.sandbox)["authority"] + "/v2.0/.well-known/openid-configuration", timeout=10)
    keys = graph.http.get(document.json()["jwks_uri"], timeout=10).json()["keys"]
    kid = jwt.get_unverified_header(token)["kid"]
    return next((RSAAlgorithm.from_jwk(json.dumps(k)) for k in keys if k["kid"] == kid), None)


def test_en_1_discovery_is_https_and_keys_rotate(graph: Graph) -> None:
    url = ready(graph.sandbox)["authority"]
    document = graph.http.get(url + "/v2.0/.well-known/openid-configuration", timeout=10).json()
    for name in ("issuer", "token_endpoint", "authorization_endpoint", "jwks_uri", "device_authorization_endpoint"):
        assert document[name].startswith("https://"), name
    first = app_only(graph.sandbox).token
    jwt.decode(first, public_key(graph, first), ["RS256"], audience="https://graph.microsoft.com")
    graph.sandbox.act("microsoft", "rotate_keys")
    second = app_only(graph.sandbox).token
    assert public_key(graph, first) is not None
    assert jwt.get_unverified_header(first)["kid"] != jwt.get_unverified_header(second)["kid"]
    graph.sandbox.act("microsoft", "rotate_keys", retire=True)
    assert public_key(graph, first) is None


def test_en_1_an_unknown_tenant_is_refused_and_common_answers(graph: Graph) -> None:
    url = graph.sandbox.url("microsoft")
    missing = graph.http.get(f"{url}/nowhere.example/v2.0/.well-known/openid-configuration", timeout=10)
    assert (missing.status_code, missing.json()["error_codes"]) == (400, [90002])
    named = graph.http.get(f"{url}/northpeak.example/v2.0/.well-known/openid-configuration", timeout=10)
    assert ready(graph.sandbox)["tenant"] in named.json()["token_endpoint"]
    ours = {"api-version": "1.1", "authorization_endpoint": f"{url}/common/oauth2/v2.0/authorize"}
    instance = graph.http.get(f"{url}/common/discovery/instance", params=ours, timeout=10).json()
    assert instance["tenant_discovery_endpoint"].startswith(url)
    theirs = ours | {"authorization_endpoint": "https://login.example/common/oauth2/v2.0/authorize"}
    refused = graph.http.get(f"{url}/common/discovery/instance", params=theirs, timeout=10).json()
    assert refused["error"] == "invalid_instance"


def test_en_2_client_credentials_by_secret(graph: Graph) -> None:
    token = confidential(graph.sandbox).acquire_token_for_client(DEFAULT)
    claims = jwt.decode(token["access_token"], options={"verify_signature": False})
    assert claims["idtyp"] == "app"
    assert "Mail.ReadWrite" in claims["roles"]
    assert Graph(graph.sandbox, PRIYA, token["access_token"]).get("/mailFolders/inbox")["displayName"] == "Inbox"


def test_en_2_the_secret_may_come_as_basic_authentication(graph: Graph) -> None:
    known, data = ready(graph.sandbox), {"grant_type": "client_credentials", "scope": DEFAULT[0]}
    url = known["authority"] + "/oauth2/v2.0/token"
    for secret_, status in ((known["client_secret"], 200), ("wrong", 401)):
        assert graph.http.post(url, data=data, auth=(known["client_id"], secret_), timeout=9).status_code == status


@pytest.mark.parametrize("modern", [False, True], ids=["x5t", "x5t#S256"])
def test_en_2_client_credentials_by_certificate(graph: Graph, modern: bool) -> None:
    pem = Path(ready(graph.sandbox)["certificate"]).read_text(encoding="ascii")
    certificate = pem[pem.index("-----BEGIN CERTIFICATE") :]
    named = {"public_certificate": certificate} if modern else {"thumbprint": ready(graph.sandbox)["thumbprint"]}
    credential = {"private_key": pem} | named
    assert "access_token" in confidential(graph.sandbox, credential).acquire_token_for_client(DEFAULT)


def assertion(graph: Graph, **change: Any) -> str:
    """A client assertion with something changed; a member set to None is left out."""
    known, now = ready(graph.sandbox), int(time.time())
    key = Path(known["certificate"]).read_bytes()
    thumb = base64.urlsafe_b64encode(bytes.fromhex(change.pop("thumbprint", known["thumbprint"]))).decode()
    claims = {"aud": known["authority"] + "/oauth2/v2.0/token", "iss": known["client_id"], "sub": known["client_id"],
              "jti": "1", "nbf": now, "exp": now + 600} | change  # fmt: skip
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, key, "RS256", headers={"x5t": thumb})


@pytest.mark.parametrize(("change", "number"), [
    ({}, 0), ({"aud": "https://login.example/token"}, 700023), ({"exp": 1_000_000_000}, 700024), ({"jti": None}, 50027),
    ({"iss": "somebody"}, 700021), ({"thumbprint": "00" * 20}, 700027),
])  # fmt: skip
def test_en_2_an_assertion_is_judged(graph: Graph, change: Json, number: int) -> None:
    answer = form(
        graph, client_id=ready(graph.sandbox)["client_id"], grant_type="client_credentials", scope=DEFAULT[0],
        client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        client_assertion=assertion(graph, **change),
    )  # fmt: skip
    assert answer.json().get("error_codes", [0]) == [number]
    assert answer.status_code == (401 if number else 200)


def test_en_2_authorization_code_with_pkce(graph: Graph) -> None:
    token = signed_in(graph, confidential(graph.sandbox))
    assert token["id_token_claims"]["preferred_username"] == ERIK
    mine = Graph(graph.sandbox, ERIK, token["access_token"])
    assert mine.get("//me/mailFolders/inbox")["displayName"] == "Inbox"
    assert mine.get("//me/mailFolders/inbox")["totalItemCount"] == 0


def test_en_2_a_code_is_good_once_with_its_verifier_only(graph: Graph) -> None:
    known, verifier = ready(graph.sandbox), "v" * 43
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    query = {"client_id": known["client_id"], "response_type": "code", "redirect_uri": REDIRECT, "scope": MAIL[0],
             "login_hint": ERIK, "code_challenge": digest, "code_challenge_method": "S256", "state": "s"}  # fmt: skip

    def code() -> str:
        page = graph.http.get(
            known["authority"] + "/oauth2/v2.0/authorize", params=query, allow_redirects=False, timeout=9
        )
        return parse_qs(urlsplit(page.headers["Location"]).query)["code"][0]

    def redeem(text: str, **more: str) -> Any:
        data = {"grant_type": "authorization_code", "code": text, "redirect_uri": REDIRECT, "scope": MAIL[0]} | more
        return secret(graph, **data).json().get("error_codes")

    assert redeem(code()) == [501481]
    assert redeem(code(), code_verifier="w" * 43) == [501481]
    assert redeem(code(), code_verifier=verifier, redirect_uri="https://mailspan.example/other") == [500112]
    good = code()
    assert redeem(good, code_verifier=verifier) is None
    assert redeem(good, code_verifier=verifier) == [54005]
    old = code()
    graph.sandbox.advance(601)
    assert redeem(old, code_verifier=verifier) == [70008]


def test_en_2_on_behalf_of_the_add_ins_user(graph: Graph) -> None:
    token = graph.act("add_in_token")["access_token"]
    claims = jwt.decode(token, public_key(graph, token), ["RS256"], audience=ready(graph.sandbox)["client_id"])
    assert (claims["scp"], claims["preferred_username"]) == ("access_as_user", ERIK)
    graph.nonsense()
    assert Graph(graph.sandbox, ERIK, token).call("GET", "//me").status == 401  # not meant for Graph
    found = confidential(graph.sandbox).acquire_token_on_behalf_of(token, MAIL)
    assert Graph(graph.sandbox, ERIK, found["access_token"]).get("//me/messages")["value"] == []
    wrong = confidential(graph.sandbox).acquire_token_on_behalf_of(found["access_token"], MAIL)
    assert wrong["error_codes"] == [500131]


def test_en_2_device_code(graph: Graph) -> None:
    known = ready(graph.sandbox)
    http = requests.Session()
    http.trust_env, http.verify = False, graph.sandbox.ca
    app = msal.PublicClientApplication(
        "7b1f9d34-52e6-4c08-9f7a-1d2c3b4a5968", authority=known["authority"], instance_discovery=False, http_client=http
    )
    flow = app.initiate_device_flow(MAIL)
    pending = app.acquire_token_by_device_flow(flow, exit_condition=lambda flow: True)
    assert pending["error"] == "authorization_pending"
    graph.act("device_sign_in", user_code=flow["user_code"])
    assert "access_token" in app.acquire_token_by_device_flow(flow, exit_condition=lambda flow: True)


def test_en_3_refresh_tokens_rotate_and_slide_for_90_days(graph: Graph) -> None:
    token = signed_in(graph, confidential(graph.sandbox))["refresh_token"]
    for _ in range(3):
        graph.sandbox.advance(80 * DAY)
        answer = secret(graph, grant_type="refresh_token", refresh_token=token, scope=MAIL[0]).json()
        assert answer["refresh_token"] != token
        token = answer["refresh_token"]
    graph.sandbox.advance(91 * DAY)
    answer = secret(graph, grant_type="refresh_token", refresh_token=token, scope=MAIL[0])
    assert (answer.status_code, answer.json()["error_codes"]) == (400, [700082])


def test_en_3_an_old_refresh_token_may_be_made_to_die_at_its_use(graph: Graph) -> None:
    token = signed_in(graph, confidential(graph.sandbox))["refresh_token"]
    data = {"grant_type": "refresh_token", "refresh_token": token, "scope": MAIL[0]}
    assert [secret(graph, **data).status_code for _ in range(2)] == [200, 200]
    graph.sandbox.settings(entra_refresh_once=True)
    assert [secret(graph, **data).status_code for _ in range(2)] == [200, 400]


@pytest.mark.parametrize("number", [700082, 50173, 50076, 65001, 50057])
def test_en_4_invalid_grant_has_its_number(graph: Graph, number: int) -> None:
    app = confidential(graph.sandbox)
    signed_in(graph, app)
    token = graph.act("add_in_token")["access_token"]
    graph.act("sign_in_fault", code=number)
    refused = app.acquire_token_silent_with_error(MAIL, app.get_accounts()[0], force_refresh=True)
    behalf = app.acquire_token_on_behalf_of(token, MAIL)
    for found in (refused, behalf):
        assert (found["error"], found["error_codes"]) == ("invalid_grant", [number])
        assert found["error_description"].startswith(f"AADSTS{number}: ")
        assert {"timestamp", "trace_id", "correlation_id"} <= set(found)
    assert ("claims" in behalf) is (number == 50076)
    graph.act("sign_in_fault", code=0)
    assert "access_token" in confidential(graph.sandbox).acquire_token_on_behalf_of(token, MAIL)  # msal caches refusals


@pytest.mark.parametrize(("data", "status", "number"), [
    ({"grant_type": "client_credentials", "scope": "Mail.Read"}, 400, 1002012),
    ({"grant_type": "client_credentials", "scope": "https://graph.example/.default"}, 400, 500011),
    ({"grant_type": "password"}, 400, 70003),
    ({}, 400, 900144),
    ({"grant_type": "refresh_token", "refresh_token": "x"}, 400, 50173),
    ({"grant_type": "refresh_token"}, 400, 900144),
    ({"grant_type": "client_credentials", "scope": DEFAULT[0], "client_secret": "wrong"}, 401, 7000215),
    ({"grant_type": "client_credentials", "scope": DEFAULT[0], "client_id": "other"}, 400, 700016),
])  # fmt: skip
def test_en_4_refusals(graph: Graph, data: dict[str, str], status: int, number: int) -> None:
    known = ready(graph.sandbox)
    answer = form(graph, **({"client_id": known["client_id"], "client_secret": known["client_secret"]} | data))
    assert (answer.status_code, answer.json()["error_codes"]) == (status, [number])


def test_en_4_consent(graph: Graph) -> None:
    token = graph.act("add_in_token")["access_token"]
    graph.sandbox.settings(entra_admin_consent=False)
    app = confidential(graph.sandbox)
    assert app.acquire_token_on_behalf_of(token, MAIL)["error_codes"] == [65001]
    assert "access_token" in signed_in(graph, app)  # the user consents in the browser
    assert "access_token" in confidential(graph.sandbox).acquire_token_on_behalf_of(token, MAIL)


def test_en_5_continuous_access_evaluation(graph: Graph) -> None:
    app = confidential(graph.sandbox, client_capabilities=["CP1"])
    token = signed_in(graph, app)
    assert token["expires_in"] == 28 * 3600
    mine = Graph(graph.sandbox, ERIK, token["access_token"])
    plain = Graph(graph.sandbox, ERIK, signed_in(graph, confidential(graph.sandbox))["access_token"])
    graph.sandbox.advance(2)
    graph.act("challenge")
    assert plain.get("//me/mailFolders")["value"]  # a client that knows no challenges gets none
    graph.nonsense()
    refused = mine.call("GET", "//me/mailFolders")
    header = refused.headers["WWW-Authenticate"]
    assert refused.status == 401
    assert 'error="insufficient_claims"' in header
    claims = base64.b64decode(header.partition('claims="')[2].rstrip('"')).decode()
    account = app.get_accounts()[0]
    again = app.acquire_token_silent_with_error(MAIL, account, force_refresh=True)
    assert (
        Graph(graph.sandbox, ERIK, again["access_token"]).call("GET", "//me/mailFolders").status == 401
    )  # claims must come back
    good = app.acquire_token_silent_with_error(MAIL, account, claims_challenge=claims)
    assert Graph(graph.sandbox, ERIK, good["access_token"]).get("//me/mailFolders")["value"]


def test_en_5_an_app_is_challenged_too(graph: Graph) -> None:
    app = confidential(graph.sandbox, client_capabilities=["CP1"])
    token = app.acquire_token_for_client(DEFAULT)["access_token"]
    graph.sandbox.advance(2)
    graph.sandbox.act("microsoft", "challenge")
    graph.nonsense()
    assert Graph(graph.sandbox, ERIK, token).call("GET", "/mailFolders").status == 401


def test_en_6_a_token_is_bound_to_its_user_and_scopes(graph: Graph) -> None:
    mine = Graph(graph.sandbox, PRIYA, signed_in(graph, confidential(graph.sandbox))["access_token"])
    graph.nonsense()
    assert (mine.call("GET", "/messages").status, mine.call("GET", "/messages").code) == (403, "ErrorAccessDenied")
    mine.user = ERIK
    assert mine.call("GET", "/messages").status == 200
    assert mine.call("GET", "/outlook/masterCategories").code == "ErrorAccessDenied"  # no MailboxSettings
    assert mine.call("POST", "/sendMail", {"message": {}}).code == "ErrorAccessDenied"  # no Mail.Send
    assert mine.call("GET", "//users").code == "Authorization_RequestDenied"


def test_en_6_an_access_policy_restricts_an_app(graph: Graph) -> None:
    app = app_only(graph.sandbox)
    graph.nonsense()
    assert app.call("GET", "//me").code == "BadRequest"
    graph.sandbox.settings(graph_app_mailboxes=[PRIYA])
    assert (app.call("GET", "/messages").status, app.call("GET", "/messages").code) == (403, "ErrorAccessDenied")
    app.user = PRIYA
    assert app.call("GET", "/messages").status == 200
    graph.sandbox.settings(graph_app_mailboxes=None, entra_app_roles=["Mail.Read"])
    fresh = app_only(graph.sandbox)
    assert fresh.call("GET", "/messages").status == 200
    assert fresh.call("POST", "/messages", {"subject": "x"}).code == "ErrorAccessDenied"


def test_en_6_rbac_for_applications_adds_to_what_entra_grants(graph: Graph) -> None:
    graph.sandbox.settings(graph_rbac_mailboxes=[PRIYA])
    graph.nonsense()
    assert app_only(graph.sandbox).call("GET", "/messages").status == 200  # the tenant-wide consent still stands
    graph.sandbox.settings(entra_app_roles=[])
    app = app_only(graph.sandbox)
    assert "roles" not in jwt.decode(app.token, options={"verify_signature": False})
    assert (app.call("GET", "/messages").status, app.call("GET", "/messages").code) == (403, "ErrorAccessDenied")
    app.user = PRIYA
    assert app.call("POST", "/messages", {"subject": "x"}).status == 201
    assert app.call("GET", "").code == "Authorization_RequestDenied"  # not a mailbox's right
    assert app.batch({"id": "1", "method": "GET", "url": f"/users/{ERIK}/messages"})["1"]["status"] == 403


def test_en_6_tokens_expire_and_are_withdrawn(graph: Graph) -> None:
    app, token = app_only(graph.sandbox), signed_in(graph, confidential(graph.sandbox))
    graph.nonsense()
    assert graph.call("GET", "/messages", Authorization="Bearer nonsense").code == "InvalidAuthenticationToken"
    graph.act("revoke")
    assert app.call("GET", "/messages").status == 403
    refused = secret(graph, grant_type="refresh_token", refresh_token=token["refresh_token"]).json()
    assert refused["error_codes"] == [50173]
    assert graph.call("GET", "/messages").status == 200  # the ready token lives on
    graph.act("restore")
    assert app.call("GET", "/messages").status == 200
    graph.sandbox.advance(3600)
    assert app.call("GET", "/messages").code == "InvalidAuthenticationToken"


def test_en_7_fields_of_an_answer(graph: Graph) -> None:
    app = confidential(graph.sandbox)
    token = signed_in(graph, app)
    assert token["expires_in"] == 3599
    assert {"token_type", "scope", "access_token", "refresh_token", "id_token", "client_info"} <= set(token)
    assert app.get_accounts()[0]["home_account_id"].endswith(ready(graph.sandbox)["tenant"])
    own = secret(graph, grant_type="client_credentials", scope=DEFAULT[0]).json()
    assert own.keys() == {"token_type", "expires_in", "ext_expires_in", "access_token"}
