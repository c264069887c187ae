"""Signing in to Microsoft as msal does it, against the sandbox's Entra (providers.md 2.10, 7.7)."""

from __future__ import annotations

import json
import multiprocessing
import ssl
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from sync.errors import Busy, Denied
from sync.providers.microsoft.auth import Grants, Secrets
from sync.providers.microsoft.mail import Outlook
from tests.contracts.mail_world import CountingMeter
from tests.contracts.outlook_world import OutlookMailbox, OutlookWorld


def look(grants: Grants, box: OutlookMailbox, **how: Any) -> str:
    return Outlook(box.address, grants.client(box.address, **how), CountingMeter()).changes(None).cursor


def refresh_token(world: OutlookWorld, box: OutlookMailbox) -> str:
    """Of a user who has signed in on another device."""
    found = world.sandbox.ready["microsoft"]

    def post(endpoint: str, **form: str) -> dict[str, Any]:
        data = urllib.parse.urlencode({"client_id": found["client_id"], **form}).encode()
        url = f"{found['authority']}/oauth2/v2.0/{endpoint}"
        with urllib.request.urlopen(url, data, timeout=10, context=world.tls) as answer:
            return dict(json.load(answer))

    device = post("devicecode", scope="offline_access Mail.ReadWrite MailboxSettings.ReadWrite")
    box.act("device_sign_in", user_code=device["user_code"])
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    secret = found["client_secret"]
    return str(
        post("token", grant_type=grant, device_code=device["device_code"], client_secret=secret)["refresh_token"]
    )


def test_a_secret(world: OutlookWorld, box: OutlookMailbox) -> None:
    assert look(Grants(world.secrets()), box)


def test_a_certificate(world: OutlookWorld, box: OutlookMailbox) -> None:
    pem = Path(world.sandbox.ready["microsoft"]["certificate"]).read_text(encoding="utf-8")
    assert look(Grants(world.secrets(certificate=pem)), box)


def test_a_certificate_without_its_key_is_denied(world: OutlookWorld, box: OutlookMailbox) -> None:
    pem = Path(world.sandbox.ready["microsoft"]["certificate"]).read_text(encoding="utf-8")
    alone = pem[pem.index("-----BEGIN CERTIFICATE") :].split("-----BEGIN PRIVATE")[0].split("-----BEGIN RSA")[0]
    with pytest.raises(Denied, match="private key"):
        look(Grants(world.secrets(certificate=alone)), box)


def test_a_users_own_grant(world: OutlookWorld, box: OutlookMailbox) -> None:
    assert look(Grants(world.secrets()), box, refresh_token=refresh_token(world, box))


def test_a_new_refresh_token_is_handed_out_and_used(world: OutlookWorld, box: OutlookMailbox) -> None:
    """With tokens that are good for one use the second request would fail with the first one."""
    first = refresh_token(world, box)
    world.sandbox.settings(entra_refresh_once=True)
    renewed: list[str] = []
    client = Grants(world.secrets()).client(box.address, refresh_token=first, renewed=renewed.append)
    client.token()
    client.forget()
    client.token()
    assert len(set(renewed) | {first}) == 3


def test_a_token_is_asked_for_once_for_all_mailboxes(world: OutlookWorld, box: OutlookMailbox) -> None:
    other, grants = world.mailbox(), Grants(world.secrets())
    before = world.requests()
    for each in (box, other, box):
        look(grants, each)
    assert world.requests() - before == 2 + 3  # endpoints and token; a look is one call


def test_an_expired_token_is_renewed_once(world: OutlookWorld, box: OutlookMailbox) -> None:
    client = Grants(world.secrets()).client(box.address)
    meter = CountingMeter()
    provider = Outlook(box.address, client, meter)
    provider.changes(None)
    world.sandbox.act("microsoft", "expire_tokens")
    before = world.requests()
    provider.lag(["category:Track in CRM"])
    assert world.requests() - before == 3  # refused, renewed, answered
    assert meter.spent[-2:] == [meter.spent[-1]] * 2  # both are paid


def test_a_token_that_is_always_refused_is_denied(world: OutlookWorld, box: OutlookMailbox) -> None:
    provider = box.provider()
    world.sandbox.fault("status", vendor="microsoft", path="^/v1.0", status=401, count=None)
    with pytest.raises(Denied, match="even after a new one"):
        provider.changes(None)


@pytest.mark.parametrize("own", [True, False], ids=["app", "user"])
def test_a_challenge_is_answered_once(world: OutlookWorld, box: OutlookMailbox, own: bool) -> None:
    how = {} if own else {"refresh_token": refresh_token(world, box)}
    client = Grants(world.secrets()).client(box.address, **how)
    provider = Outlook(box.address, client, CountingMeter())
    provider.changes(None)
    world.sandbox.advance(5)
    world.sandbox.act("microsoft", "challenge", **({} if own else {"user": box.address}))
    assert provider.changes(None).cursor


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ({"client_secret": "wrong"}, "AADSTS7000215: the client secret is wrong"),
        ({"tenant": "f0000000-0000-4000-8000-000000000000"}, "tenant"),
        ({"client_id": "f0000000-0000-4000-8000-000000000000"}, "AADSTS700016: the app registration is unknown"),
    ],
)
def test_wrong_credentials_say_what_to_do(
    world: OutlookWorld, box: OutlookMailbox, wrong: dict[str, str], advice: str
) -> None:
    secrets = world.secrets()
    given = {name: getattr(secrets, name) for name in Secrets.__dataclass_fields__}
    with pytest.raises(Denied, match=advice):
        look(Grants(Secrets(**given | wrong)), box)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (50076, "more proof"),
        (50173, "revoked"),
        (65001, "administrator consent"),
        (700082, "90 days"),
        (50057, "disabled"),
    ],
)
def test_a_grant_that_ended_says_what_to_do(world: OutlookWorld, box: OutlookMailbox, code: int, advice: str) -> None:
    grants, token = Grants(world.secrets()), refresh_token(world, box)
    box.act("sign_in_fault", code=code)
    with pytest.raises(Denied, match=f"AADSTS{code}: .*{advice}"):
        look(grants, box, refresh_token=token)


def test_without_any_credentials(world: OutlookWorld, box: OutlookMailbox) -> None:
    with pytest.raises(Denied, match="connect the mailbox"):
        Grants(world.secrets(client_secret="")).client(box.address)


def test_a_busy_token_endpoint_is_busy(world: OutlookWorld, box: OutlookMailbox) -> None:
    world.sandbox.fault("status", vendor="microsoft", path="/oauth2/v2.0/token", status=503, count=None)
    with pytest.raises(Busy):
        look(Grants(world.secrets()), box)


def test_an_unreachable_token_endpoint_is_busy(world: OutlookWorld, box: OutlookMailbox) -> None:
    world.sandbox.fault("reset", vendor="microsoft", path="openid-configuration", count=None)
    with pytest.raises(Busy):
        look(Grants(world.secrets()), box)


def test_another_authority_is_not_trusted(world: OutlookWorld, box: OutlookMailbox) -> None:
    """Without the sandbox's own CA file its certificate is a stranger's."""
    secrets = world.secrets()
    given = {name: getattr(secrets, name) for name in Secrets.__dataclass_fields__}
    with pytest.raises(Busy):
        look(Grants(Secrets(**given | {"ca_file": ssl.get_default_verify_paths().cafile})), box)


def test_a_mailbox_out_of_the_apps_reach(world: OutlookWorld, box: OutlookMailbox) -> None:
    world.sandbox.settings(graph_app_mailboxes=["somebody.else@mailspan.example"])
    with pytest.raises(Denied, match="ErrorAccessDenied: allow the app to reach this mailbox"):
        look(Grants(world.secrets()), box)


def test_a_mailbox_without_a_licence(world: OutlookWorld, box: OutlookMailbox) -> None:
    box.act("suspend")
    with pytest.raises(Denied, match=r"MailboxNotEnabledForRESTAPI: .*licence"):
        look(Grants(world.secrets()), box)


def test_secrets_are_not_shown(world: OutlookWorld) -> None:
    assert world.sandbox.ready["microsoft"]["client_secret"] not in repr(world.secrets())


def _look_in_a_child(secrets: Secrets, address: str, answer: Any) -> None:
    provider = Outlook(address, Grants(secrets).client(address), CountingMeter())
    answer.put(bool(provider.changes(None).cursor))


def test_a_child_process_has_a_loop_of_its_own(world: OutlookWorld, box: OutlookMailbox) -> None:
    """The parent's loop thread does not survive the fork (providers.md 7.2)."""
    look(Grants(world.secrets()), box)
    context = multiprocessing.get_context("fork")
    answer = context.Queue()
    child = context.Process(target=_look_in_a_child, args=(world.secrets(), box.address, answer))
    child.start()
    assert answer.get(timeout=30)
    child.join(10)
    assert child.exitcode == 0
