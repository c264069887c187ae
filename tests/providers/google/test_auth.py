"""Credentials of a Google connection, against the sandbox's token endpoint."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import jwt
import pytest

from sync.errors import Busy, Denied
from sync.model import Message
from sync.providers.google.auth import MAIL_SCOPES, TOKEN_URL, Grants, Secrets
from sync.providers.google.mail import Gmail
from tests.contracts.mail_world import CountingMeter, mail
from tests.sandboxed import Sandbox

_numbers = count(1)


@pytest.fixture
def sandbox(bare_sandbox: Sandbox) -> Sandbox:
    return bare_sandbox


@pytest.fixture
def user(sandbox: Sandbox) -> str:
    address = f"auth-{next(_numbers)}@mailspan.example"
    sandbox.seed({"users": [{"email": address, "name": "Alex Auth", "mail": "google"}]}, add=True)
    return address


@pytest.fixture
def secrets(sandbox: Sandbox, user: str) -> Secrets:
    google = sandbox.ready["google"]
    key_file = json.loads(Path(google["service_account"]).read_text(encoding="utf-8"))
    return Secrets(key_file, token_url=google["token_url"], ca_file=sandbox.ca, timeout=10.0)


@pytest.fixture
def client_secrets(sandbox: Sandbox, user: str) -> Secrets:
    google = sandbox.ready["google"]
    return Secrets(
        None, google["client_id"], google["client_secret"], token_url=google["token_url"], ca_file=sandbox.ca
    )


def look(sandbox: Sandbox, http: Any) -> str:
    return Gmail("", http, CountingMeter(), api_url=sandbox.url("google")).changes(None).cursor


def google_calls(sandbox: Sandbox) -> int:
    return int(sandbox.meter().get("google", {}).get("requests", 0))


def test_a_service_account_acts_for_a_user(sandbox: Sandbox, secrets: Secrets, user: str) -> None:
    assert look(sandbox, Grants(secrets).http(user)).isdigit()


def test_a_users_own_grant(sandbox: Sandbox, client_secrets: Secrets, user: str) -> None:
    token = sandbox.ready["google"]["refresh_tokens"][user]
    assert look(sandbox, Grants(client_secrets).http(user, refresh_token=token)).isdigit()


def test_a_token_is_asked_for_once(sandbox: Sandbox, secrets: Secrets, user: str) -> None:
    grants = Grants(secrets)
    before = google_calls(sandbox)
    for _ in range(3):
        look(sandbox, grants.http(user))
    assert google_calls(sandbox) - before == 1 + 3
    assert grants.credentials(user) is grants.credentials(user)
    assert grants.credentials(user) is not grants.credentials(user, scopes=MAIL_SCOPES[:1])


def test_the_audience_of_an_assertion_stays_googles_own(secrets: Secrets, user: str) -> None:
    credentials = Grants(secrets).credentials(user)
    assertion = jwt.decode(credentials.inner._make_authorization_grant_assertion(), options={"verify_signature": False})
    assert assertion["aud"] == TOKEN_URL != secrets.token_url
    assert assertion["sub"] == user
    assert sorted(assertion["scope"].split()) == sorted(MAIL_SCOPES)


def test_each_thread_has_its_own_connections(secrets: Secrets, user: str) -> None:
    factory = Grants(secrets).http(user)
    found: list[Any] = [factory().http, factory().http]
    thread = threading.Thread(target=lambda: found.append(factory().http))
    thread.start()
    thread.join(10)
    assert found[0] is found[1]
    assert found[2] is not found[0]


def test_an_expired_token_is_refreshed_once(sandbox: Sandbox, secrets: Secrets, user: str) -> None:
    http = Grants(secrets).http(user)
    look(sandbox, http)
    sandbox.act("google", "expire_tokens", user=user)
    before = google_calls(sandbox)
    look(sandbox, http)
    assert google_calls(sandbox) - before == 3  # refused, refreshed, answered


def test_a_token_that_is_always_refused_is_denied_after_one_refresh(
    sandbox: Sandbox, secrets: Secrets, user: str
) -> None:
    http = Grants(secrets).http(user)
    look(sandbox, http)
    sandbox.fault("status", vendor="google", path="^/gmail", user=user, status=401, count=None)
    before = google_calls(sandbox)
    with pytest.raises(Denied) as caught:
        look(sandbox, http)
    assert "connect the mailbox again" in caught.value.detail
    assert google_calls(sandbox) - before == 3


def test_a_batch_gets_its_token_over_our_own_connection(sandbox: Sandbox, secrets: Secrets, user: str) -> None:
    """The client library would refresh over one that does not know the CA file."""
    keys = [sandbox.act("google", "deliver", user=user, raw=mail().decode())["id"] for _ in range(3)]
    provider = Gmail("", Grants(secrets).http(user), CountingMeter(), api_url=sandbox.url("google"))
    assert all(isinstance(answer, Message) for answer in provider.read(keys).values())
    sandbox.act("google", "expire_tokens", user=user)
    assert all(isinstance(answer, Message) for answer in provider.read(keys).values())
    sandbox.act("google", "revoke", user=user)
    sandbox.act("google", "expire_tokens", user=user)
    with pytest.raises(Denied):
        provider.read(keys)


@pytest.mark.parametrize("own", [False, True], ids=["delegated", "own grant"])
def test_a_revoked_grant_is_denied(
    sandbox: Sandbox, secrets: Secrets, client_secrets: Secrets, user: str, own: bool
) -> None:
    token = sandbox.ready["google"]["refresh_tokens"][user]
    sandbox.act("google", "revoke", user=user)
    http = Grants(client_secrets).http(user, refresh_token=token) if own else Grants(secrets).http(user)
    with pytest.raises(Denied) as caught:
        look(sandbox, http)
    assert "connect the mailbox" in caught.value.detail or "Admin console" in caught.value.detail
    assert user not in caught.value.detail


def test_an_unknown_user_is_denied(sandbox: Sandbox, secrets: Secrets) -> None:
    with pytest.raises(Denied):
        look(sandbox, Grants(secrets).http("nobody@mailspan.example"))


def test_scopes_that_were_not_authorised_are_denied(sandbox: Sandbox, secrets: Secrets, user: str) -> None:
    sandbox.settings(google_delegated_scopes=["https://www.googleapis.com/auth/calendar"])
    with pytest.raises(Denied) as caught:
        look(sandbox, Grants(secrets).http(user))
    assert "Admin console" in caught.value.detail


def test_an_account_without_mail_is_denied(sandbox: Sandbox, secrets: Secrets, user: str) -> None:
    sandbox.act("google", "suspend", user=user)
    with pytest.raises(Denied) as caught:
        look(sandbox, Grants(secrets).http(user))
    assert "licence" in caught.value.detail


def test_a_busy_token_endpoint_is_busy(sandbox: Sandbox, secrets: Secrets, user: str) -> None:
    sandbox.fault("status", vendor="google", path="^/token", status=503, count=None)
    before = google_calls(sandbox)
    with pytest.raises(Busy) as caught:
        look(sandbox, Grants(secrets).http(user))
    assert caught.value.retry_after > 0
    assert google_calls(sandbox) - before == 1  # the library alone would sleep and try three times


def test_a_server_of_another_authority_is_not_trusted(sandbox: Sandbox, secrets: Secrets, user: str) -> None:
    with pytest.raises(Busy):
        look(sandbox, Grants(replace(secrets, ca_file=None)).http(user))


def test_a_connection_without_credentials_is_denied() -> None:
    with pytest.raises(Denied):
        Grants(Secrets()).http("alex@mailspan.example")


@pytest.mark.parametrize("key_file", [{}, {"client_email": "x", "token_uri": "x", "private_key": "nonsense"}])
def test_a_broken_key_file_is_denied(key_file: dict[str, str]) -> None:
    with pytest.raises(Denied) as caught:
        Grants(Secrets(key_file)).http("alex@mailspan.example")
    assert "key file" in caught.value.detail


def test_secrets_do_not_show(secrets: Secrets) -> None:
    shown = repr(replace(secrets, client_secret="hush-hush"))
    assert "hush-hush" not in shown
    assert "PRIVATE" not in shown
