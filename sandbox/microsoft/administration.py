"""What an administrator does to the tenant, and what happens to tokens and notifications (`providers.md SIM-7`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.microsoft.acting import ACTIONS, Later, action
from sandbox.microsoft.directory import ADD_IN_CLIENT
from sandbox.microsoft.entra.errors import SIGN_IN
from sandbox.microsoft.entra.scopes import API, API_SCOPE

if TYPE_CHECKING:
    from sandbox.microsoft.vendor import Microsoft

Json = dict[str, Any]

# ---- sign-in and rights ----------------------------------------------------------------------------------


@action
def revoke(microsoft: Microsoft, body: Json) -> Json:
    """The administrator withdraws the app's access to the user's mailbox; ready tokens live on.

    Refresh tokens end in AADSTS50173, exchanges on behalf of the user in 65001, app-only calls in 403; tokens that know
    challenges are challenged.
    """
    account, now = microsoft.directory.get(body["user"]), microsoft.frame.clock.time()
    account.tokens_after = account.challenged_at = now
    account.consented.clear()
    account.fault = account.fault or 65001
    account.app_allowed = False
    return {"revoked": account.email}


@action
def restore(microsoft: Microsoft, body: Json) -> Json:
    """The opposite of `revoke`, `suspend` and `sign_in_fault`."""
    account = microsoft.directory.get(body["user"])
    account.fault, account.app_allowed, account.licensed = 0, True, True
    return {"restored": account.email}


@action
def sign_in_fault(microsoft: Microsoft, body: Json) -> Json:
    """From now on every sign-in, refresh and exchange of the user ends in AADSTS `code`; 0 ends that."""
    account = microsoft.directory.get(body["user"])
    if body["code"] not in (0, *SIGN_IN):
        raise ValueError(f"code is 0 or one of {', '.join(map(str, SIGN_IN))}")
    account.fault = body["code"]
    return {"user": account.email, "code": account.fault}


@action
def challenge(microsoft: Microsoft, body: Json) -> Json:
    """Continuous access evaluation: tokens older than now are challenged; without `user` the app's own (`EN-5`)."""
    now = microsoft.frame.clock.time()
    if "user" in body:
        microsoft.directory.get(body["user"]).challenged_at = now
    else:
        microsoft.app_challenged_at = now
    return {"nbf": int(now)}


@action
def suspend(microsoft: Microsoft, body: Json) -> Json:
    """The mailbox loses its licence: 404 MailboxNotEnabledForRESTAPI; `value` false gives it back."""
    account = microsoft.directory.get(body["user"])
    account.licensed = not body.get("value", True)
    return {"licensed": account.licensed}


@action
def expire_tokens(microsoft: Microsoft, body: Json) -> Json:
    """Every access token of the user (without `user`: of the app itself) is too old now; new ones can be had."""
    account = microsoft.directory.get(body["user"]) if "user" in body else None
    microsoft.oauth.expire(account.id if account else "")
    return {"expired": account.email if account else ""}


@action
def rotate_keys(microsoft: Microsoft, body: Json) -> Json:
    """Tokens are signed with a new key; `retire`: the old ones are published no more (`providers.md EN-1`)."""
    kid = microsoft.oauth.keys.rotate()
    if body.get("retire"):
        microsoft.oauth.keys.retire()
    return {"kid": kid}


@action
def add_in_token(microsoft: Microsoft, body: Json) -> Json:
    """The user signs in to the add-in: a token for our own API, as nested app authentication gives it."""
    account = microsoft.directory.get(body["user"])
    scopes = frozenset({API_SCOPE})
    token, life = microsoft.oauth.user_token(account, API, scopes, aware=False, answered=0.0, app=ADD_IN_CLIENT)
    return {"access_token": token, "expires_in": life, "id_token": microsoft.oauth.id_token(account, ADD_IN_CLIENT)}


@action
def device_sign_in(microsoft: Microsoft, body: Json) -> Json:
    """The user enters the `user_code` of a device."""
    account = microsoft.directory.get(body["user"])
    microsoft.endpoint.sign_in_device(body["user_code"], account)
    return {"user": account.email}


# ---- subscriptions -----------------------------------------------------------------------------------------


@action
def lifecycle(microsoft: Microsoft, body: Json) -> Json:
    """Send a lifecycle `event` (reauthorizationRequired, subscriptionRemoved, missed) to one `subscription` or to
    all of a `user` (`providers.md SU-7`)."""
    account = microsoft.directory.get(body["user"]) if "user" in body else None
    return microsoft.subscriptions.lifecycle(body["event"], body.get("subscription", ""), account)


@action
def lose_notifications(microsoft: Microsoft, body: Json) -> Json:
    """The notifications that wait are never sent; a `missed` lifecycle event tells of it when `missed` is true."""
    lost = microsoft.notifier.drop_pending()
    told = microsoft.subscriptions.lifecycle("missed", "", None)["sent"] if body.get("missed") else 0
    return {"lost": lost, "told": told}


def _await_notifications(microsoft: Microsoft, body: Json, later: Later) -> Json:
    """Come back when no notification is due or on its way any more (at most `seconds`, 10)."""
    later.append(lambda: microsoft.notifier.settle(float(body.get("seconds", 10))))
    return {}


ACTIONS["await_notifications"] = _await_notifications
