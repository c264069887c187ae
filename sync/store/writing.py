"""Configuration in one transaction: read and declared by `mailspan apply`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, overload

import sqlalchemy as sa

from sync.store import config, leases
from sync.store.rows import Change, Connection, Mailbox, StoredPolicy
from sync.store.vault import Vault


class Writing:
    """One transaction of configuration: all of it is committed, or nothing."""

    def __init__(self, conn: sa.Connection, vault: Vault) -> None:
        self._conn = conn
        self._vault = vault

    def connections(self) -> list[Connection]:
        return config.connections(self._conn, self._vault)

    @overload
    def connection(self, which: int) -> Connection: ...
    @overload
    def connection(self, which: str) -> Connection | None: ...
    def connection(self, which: int | str) -> Connection | None:
        """By id (raises `StoreError` when there is none) or by name."""
        return config.get_connection(self._conn, self._vault, which)

    def put_connection(self, name: str, vendor: str, settings: Mapping[str, Any], secrets: Mapping[str, Any]) -> Change:
        """Declare it. A change makes a parked connection active again."""
        return config.put_connection(self._conn, self._vault, name, vendor, settings, secrets)

    def mark_connection(self, connection_id: int, status: str, reason: str | None = None) -> None:
        config.mark_connection(self._conn, connection_id, status, reason)

    def policies(self) -> list[StoredPolicy]:
        return config.policies(self._conn)

    @overload
    def policy(self, which: int) -> StoredPolicy: ...
    @overload
    def policy(self, which: str) -> StoredPolicy | None: ...
    def policy(self, which: int | str) -> StoredPolicy | None:
        """By id (raises `StoreError` when there is none) or by name."""
        return config.get_policy(self._conn, which)

    def policy_of(self, mailbox: Mailbox | int) -> StoredPolicy:
        return config.policy_of(self._conn, mailbox if isinstance(mailbox, int) else mailbox.id)

    def put_policy(
        self, name: str, options: Mapping[str, Any], crm_connection: int | str, mail_connection: int | str
    ) -> Change:
        """Declare it; connections by id or name. Raises `StoreError` for a name that is not there."""
        return config.put_policy(self._conn, name, options, crm_connection, mail_connection)

    def mailboxes(self, policy_id: int | None = None) -> list[Mailbox]:
        return config.mailboxes(self._conn, self._vault, policy_id)

    def mailbox(self, mailbox_id: int) -> Mailbox:
        """Raises `StoreError` when there is none."""
        found = config.get_mailbox(self._conn, self._vault, mailbox_id)
        assert found is not None
        return found

    def mailbox_by_address(self, address: str) -> Mailbox | None:
        """In any case of letters."""
        return config.get_mailbox(self._conn, self._vault, address)

    def put_mailbox(
        self, address: str, policy: int | str, crm_user: str | None = None, token: str | None = None
    ) -> Change:
        """Declare it. A token of None keeps the one that is there. A change wakes it and ends parking; a disabled one
        begins anew."""
        return config.put_mailbox(self._conn, self._vault, address, policy, crm_user, token)

    def disable_mailbox(self, which: int | str, reason: str | None = None) -> bool:
        """No new lease for it; a wake that runs now ends in peace. Whether it was enabled."""
        return config.disable_mailbox(self._conn, self._vault, which, reason)

    def wake(self, mailbox_id: int, urgent: bool = False) -> bool:
        return leases.wake(self._conn, mailbox_id, urgent)

    def activate(self, mailbox_id: int) -> bool:
        return leases.activate(self._conn, mailbox_id)
