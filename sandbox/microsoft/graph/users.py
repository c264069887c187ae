"""Users, mailbox settings, translation of ids."""

from __future__ import annotations

from typing import Any

from sandbox.microsoft.directory import Account
from sandbox.microsoft.errors import bad_request
from sandbox.microsoft.graph import paging, shape
from sandbox.microsoft.graph.call import (
    LIST,
    ONE,
    READ_MAIL,
    READ_SETTINGS,
    READ_USERS,
    WRITE_SETTINGS,
    Call,
    Reply,
    operation,
)
from sandbox.microsoft.graph.ids import from_ews, to_ews
from sandbox.microsoft.graph.query import Query, read
from sandbox.microsoft.graph.types import USER

Json = dict[str, Any]
USUAL = tuple(name for name, row in USER.items() if "o" not in row.flags)
IDS = ("ewsId", "restId", "restImmutableEntryId")
MOST_IDS = 1000
SETTINGS = (
    "archiveFolder automaticRepliesSetting dateFormat delegateMeetingMessageDeliveryOptions language timeFormat "
    "timeZone userPurpose workingHours"
).split()


def value(account: Account, name: str) -> Any:
    """One property of a user."""
    given, _, surname = account.name.partition(" ")
    return {
        "id": account.id,
        "displayName": account.name,
        "givenName": given or None,
        "surname": surname or None,
        "jobTitle": account.title or None,
        "mail": account.email,
        "mobilePhone": None,
        "officeLocation": None,
        "preferredLanguage": None,
        "businessPhones": [],
        "userPrincipalName": account.email,
        "accountEnabled": not account.fault,
        "proxyAddresses": [f"SMTP:{account.email}", *(f"smtp:{alias}" for alias in account.aliases)],
    }[name]


def _shown(account: Account, query: Query) -> Json:
    names = ("id", *USUAL) if query.select is None else [n for n in ("id", *USER) if n in query.select]
    return {name: value(account, name) for name in names if name != "mailboxSettings"}


@operation("users.list", "GET /users", rights=READ_USERS)
def list_users(call: Call) -> Reply:
    """Everyone in the tenant."""
    query = read(call.options, "user", LIST, value)
    found = paging.arrange(query, call.microsoft.directory.all(), value)
    page, following = paging.cut(call, query, found, usual=100)
    count = len(found) if query.count else None
    values = [_shown(account, query) for account in page]
    return Reply(content=shape.collection(call, "users", values, following=following, count=count))


@operation("users.get", "GET /users/*", rights=READ_USERS)
def get_user(call: Call) -> Reply:
    """By id or user principal name, or oneself."""
    query = read(call.options, "user", ONE, value)
    context = f"{call.microsoft.frame.url('microsoft')}/v1.0/$metadata#users/$entity"
    return Reply(content={"@odata.context": context, **_shown(call.user, query)})


@operation("mailboxSettings.get", "GET /users/*/mailboxSettings", rights=READ_SETTINGS)
def get_settings(call: Call) -> Reply:
    """What the sandbox knows of the mailbox's settings."""
    return Reply(content=dict(call.box.settings))


@operation("mailboxSettings.update", "PATCH /users/*/mailboxSettings", rights=WRITE_SETTINGS)
def update_settings(call: Call) -> Reply:
    """Keep what is given."""
    body = call.json()
    unknown = [k for k in body if k not in SETTINGS and "@" not in k] if isinstance(body, dict) else ["?"]
    if unknown:
        raise bad_request(f"The property '{unknown[0]}' does not exist on type 'microsoft.graph.mailboxSettings'.",
                          "RequestBodyRead")  # fmt: skip
    call.box.settings.update({k: v for k, v in body.items() if "@" not in k})
    return Reply(content=dict(call.box.settings))


@operation("translateExchangeIds", "POST /users/*/translateExchangeIds", rights=READ_MAIL)
def translate(call: Call) -> Reply:
    """Between the forms of item ids (`providers.md 2.2 GR-18`)."""
    body = call.json()
    members = {k[:1].lower() + k[1:]: v for k, v in body.items()} if isinstance(body, dict) else {}
    inputs, source, target = (members.get(n) for n in ("inputIds", "sourceIdType", "targetIdType"))
    if not isinstance(inputs, list) or set(members) - {"inputIds", "sourceIdType", "targetIdType"}:
        raise bad_request("The parameters are inputIds, sourceIdType and targetIdType.")
    if len(inputs) > MOST_IDS:
        raise bad_request(f"The number of ids exceeds the limit of {MOST_IDS}.", "ErrorInvalidRequest")
    if source not in IDS or target not in IDS:
        raise bad_request("The sandbox translates ewsId, restId and restImmutableEntryId.", "ErrorInvalidRequest")
    return Reply(
        content=shape.collection(call, "convertIdResult", [_translated(call, str(i), str(target)) for i in inputs])
    )


def _translated(call: Call, given: str, target: str) -> Json:
    item = call.box.items.get(from_ews(given))
    if item is None:
        text = "The specified object was not found in the store."
        return {"sourceId": given, "errorDetails": {"code": "ErrorItemNotFound", "message": text}}
    found = item.immutable if target == "restImmutableEntryId" else item.mutable
    return {"sourceId": given, "targetId": to_ews(found) if target == "ewsId" else found}
