"""The tenant: its people and its app registration."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.microsoft.graph.mailbox import Mailbox

TENANT = "5a6d1f0e-3c1b-4a9d-9a5e-7f2b9c4d8e10"
CLIENT_ID = "0c7e4a52-8d3f-4b6a-b1c9-2e5f60718293"
CLIENT_SECRET = "sandbox~Q8x-Secret.of.the.app.registration"  # registered in the sandbox alone
ADD_IN_CLIENT = "7b1f9d34-52e6-4c08-9f7a-1d2c3b4a5968"  # the public client that signs people in to the add-in
APP_OBJECT = "d1a2b3c4-1111-4222-8333-944455566677"


@dataclass(slots=True)
class Account:
    """One user with a mailbox. `licensed` false: the mailbox is inactive."""

    email: str
    name: str
    aliases: tuple[str, ...]
    mailbox: Mailbox
    id: str = ""
    title: str = ""
    licensed: bool = True
    app_allowed: bool = True  # app-only tokens may reach the mailbox (RBAC for Applications)
    consented: set[str] = field(default_factory=set)  # delegated scopes, beside the administrator's
    fault: int = 0  # AADSTS number that every sign-in and refresh ends in, 0: none
    tokens_after: float = 0.0  # tokens of an earlier sign-in are revoked
    challenged_at: float = 0.0  # continuous access evaluation: newer claims are wanted

    def __post_init__(self) -> None:
        self.id = self.id or str(uuid.uuid5(uuid.UUID(TENANT), self.email.lower()))

    def owns(self, address: str) -> bool:
        """Whether mail to this address is this user's."""
        return address.lower() in (self.email.lower(), *(alias.lower() for alias in self.aliases))


class Directory:
    """All accounts, found by address, alias or object id."""

    def __init__(self) -> None:
        self._known: dict[str, Account] = {}
        self._accounts: list[Account] = []
        self.domains: list[str] = []

    def add(self, account: Account) -> None:
        """Make an account known under its address, aliases and id."""
        self._accounts.append(account)
        for key in (account.id, account.email, *account.aliases):
            self._known[key.lower()] = account

    def find(self, key: str) -> Account | None:
        """By address, alias or id; None when there is none."""
        return self._known.get(key.strip().lower())

    def principal(self, key: str) -> Account | None:
        """By id or user principal name only, as Graph's paths have it."""
        found = self._known.get(key.lower())
        return found if found and key.lower() in (found.id, found.email.lower()) else None

    def get(self, key: str) -> Account:
        """Like `find`; LookupError when there is none."""
        account = self.find(key)
        if account is None:
            raise LookupError(f"no Microsoft user {key}")
        return account

    def all(self) -> list[Account]:
        """Every account once."""
        return self._accounts

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()
        self._accounts = []
        self.domains = []
