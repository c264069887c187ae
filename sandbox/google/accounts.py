"""The people of the simulated Workspace domain."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.google.gmail.mailbox import Mailbox


@dataclass(slots=True)
class Account:
    """One user with a mailbox. `licensed` false: Gmail answers 400 failedPrecondition."""

    email: str
    name: str
    aliases: tuple[str, ...]
    mailbox: Mailbox
    licensed: bool = True
    delegated: bool = True  # the admin's domain-wide delegation reaches this user
    number: str = "1"  # the account's numeric id ("sub" of id tokens)

    def owns(self, address: str) -> bool:
        """Whether mail to this address is this user's."""
        return address.lower() in (self.email.lower(), *(alias.lower() for alias in self.aliases))


@dataclass(slots=True)
class Directory:
    """All accounts, found by address or alias."""

    _by_address: dict[str, Account] = field(default_factory=dict)

    def add(self, account: Account) -> None:
        """Make an account known under its address and aliases."""
        for address in (account.email, *account.aliases):
            self._by_address[address.lower()] = account

    def find(self, address: str) -> Account | None:
        """The account that gets mail for this address, or None."""
        return self._by_address.get(address.strip().lower())

    def get(self, address: str) -> Account:
        """Like `find`; LookupError when there is none."""
        account = self.find(address)
        if account is None:
            raise LookupError(f"no Google user {address}")
        return account

    def all(self) -> list[Account]:
        """Every account once."""
        return list({id(account): account for account in self._by_address.values()}.values())

    def clear(self) -> None:
        """Forget all."""
        self._by_address.clear()
