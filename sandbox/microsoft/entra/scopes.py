"""Permissions of Microsoft Graph and of the app registration, and the scopes that a client asks for."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.microsoft.directory import CLIENT_ID
from sandbox.microsoft.entra.errors import EntraError

GRAPH = "https://graph.microsoft.com"
GRAPH_ID = "00000003-0000-0000-c000-000000000000"
API = f"api://{CLIENT_ID}"
API_SCOPE = "access_as_user"
OPENID = frozenset({"openid", "profile", "email", "offline_access"})
DELEGATED = frozenset(
    "User.Read User.ReadBasic.All User.Read.All Mail.Read Mail.ReadBasic Mail.ReadWrite Mail.Send MailboxSettings.Read "
    "MailboxSettings.ReadWrite Calendars.Read Calendars.ReadWrite Contacts.Read Contacts.ReadWrite Tasks.Read "
    "Tasks.ReadWrite".split()
)
APPLICATION = frozenset(
    "User.Read.All User.ReadBasic.All Mail.Read Mail.ReadBasic.All Mail.ReadWrite Mail.Send MailboxSettings.Read "
    "MailboxSettings.ReadWrite Calendars.Read Calendars.ReadWrite Contacts.Read Contacts.ReadWrite Tasks.Read.All "
    "Tasks.ReadWrite.All".split()
)
USUAL_ROLES = [
    "Calendars.ReadWrite",
    "Contacts.ReadWrite",
    "Mail.ReadWrite",
    "Mail.Send",
    "MailboxSettings.ReadWrite",
    "Tasks.ReadWrite.All",
    "User.Read.All",
]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a scope parameter means: one resource ("" when only OpenID's), its permissions, and OpenID's scopes."""

    resource: str
    names: frozenset[str]
    default: bool  # .default: whatever has been consented to
    openid: frozenset[str]


def _resource_of(scope: str) -> tuple[str, str]:
    for resource in (GRAPH, GRAPH_ID, API, CLIENT_ID):
        if scope.startswith(f"{resource}/"):
            name = scope[len(resource) + 1 :].lstrip("/")
            return (GRAPH if resource in (GRAPH, GRAPH_ID) else API), name
    if "/" in scope:
        raise EntraError(
            400,
            "invalid_resource",
            500011,
            f"The resource principal named {scope.rpartition('/')[0]} was not found in the tenant named Northpeak. "
            "This can happen if the application has not been installed by the administrator of the tenant or consented "
            "to by "
            "any user in the tenant. You might have sent your authentication request to the wrong tenant.",
        )
    return GRAPH, scope


def read_scopes(text: str) -> Asked:
    """EntraError for unknown permissions, and for permissions of two resources at once."""
    openid, found = set(), set()
    for scope in text.split():
        if scope in OPENID:
            openid.add(scope)
        else:
            found.add(_resource_of(scope))
    resources = {resource for resource, _ in found}
    if len(resources) > 1:
        raise EntraError(
            400,
            "invalid_request",
            28000,
            "Provided value for the input parameter scope is not valid because it contains more than one resource.",
        )
    resource = resources.pop() if resources else ""
    names = {name for _, name in found}
    known = DELEGATED if resource == GRAPH else {API_SCOPE}
    unknown = sorted(names - known - {".default"})
    if unknown:
        raise EntraError(
            400,
            "invalid_scope",
            70011,
            f"The provided request must include a 'scope' input parameter. The provided value for the input parameter "
            f"'scope' is not valid. The scope {' '.join(unknown)} is not valid.",
        )
    if ".default" in names and len(names) > 1:
        raise EntraError(
            400, "invalid_scope", 70011, "The provided value for the input parameter 'scope' is not valid: .default "
            "scope can't be combined with resource-specific scopes.",
        )  # fmt: skip
    return Asked(resource, frozenset(names - {".default"}), ".default" in names, frozenset(openid))
