"""Make the installation what a declaration says: one transaction, idempotent, and every change named."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sync import policy
from sync.declare.declaration import Connection, Declaration, MailboxEntry, PolicyEntry
from sync.policy import OPTIONS
from sync.store.rows import Change
from sync.store.store import Store
from sync.store.writing import Writing


@dataclass(frozen=True, slots=True)
class Applied:
    """One thing that `apply` changed. `details` name what differed; of secrets only that they differ."""

    kind: Literal["connection", "policy", "mailbox"]
    name: str
    change: Literal["created", "changed", "disabled", "resumed"]
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.change == "changed":
            return f"{self.kind} {self.name}: {', '.join(self.details)}"
        return f"{self.change} {self.kind} {self.name}" + (f" ({', '.join(self.details)})" if self.details else "")

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "change": self.change, "details": list(self.details)}


def apply(store: Store, declaration: Declaration) -> list[Applied]:
    """What was changed; an empty list when all was so already. Parked mailboxes are tried
    again; those that the declaration lacks are disabled,
    connections and policies that it lacks stay (nothing runs by them)."""
    with store.writing() as tx:
        return declare(tx, declaration)


def declare(tx: Writing, declaration: Declaration) -> list[Applied]:
    """`apply` within a transaction."""
    found = [_connection(tx, item) for item in declaration.connections]
    found += [_policy(tx, item) for item in declaration.policies]
    found += [_mailbox(tx, item) for item in declaration.mailboxes]
    found += _disable(tx, {item.address for item in declaration.mailboxes})
    return [change for change in found if change is not None]


def _connection(tx: Writing, wanted: Connection) -> Applied | None:
    before = tx.connection(wanted.name)
    change = tx.put_connection(wanted.name, wanted.vendor, wanted.settings, wanted.secrets)
    was = {"vendor": before.vendor, "settings": before.settings} if before else {}
    return _applied("connection", wanted.name, change, was, {"vendor": wanted.vendor, "settings": wanted.settings})


def _policy(tx: Writing, wanted: PolicyEntry) -> Applied | None:
    before = tx.policy(wanted.name)
    options = policy.to_json(wanted.policy)
    change = tx.put_policy(wanted.name, options, wanted.crm_connection, wanted.mail_connection)
    defaults = {name: option.default for name, option in OPTIONS.items()}
    was = {"options": {**defaults, **before.options}} if before else {}
    return _applied("policy", wanted.name, change, was, {"options": {**defaults, **options}})


def _mailbox(tx: Writing, wanted: MailboxEntry) -> Applied | None:
    change = tx.put_mailbox(wanted.address, wanted.policy, wanted.crm_user, wanted.secrets.get("refresh_token"))
    if change.state == "unchanged" and tx.mailbox(change.id).status == "parked" and tx.activate(change.id):
        return Applied("mailbox", wanted.address, "resumed")  # whoever applies has mended what parked it
    return _applied("mailbox", wanted.address, change, {}, {"policy": wanted.policy, "crm_user": wanted.crm_user})


def _disable(tx: Writing, wanted: set[str]) -> Iterable[Applied]:
    for mailbox in tx.mailboxes():
        address = mailbox.address.lower()
        if address not in wanted and tx.disable_mailbox(mailbox.id, "not in the declared file"):
            yield Applied("mailbox", address, "disabled", ("not in the file",))


def _applied(
    kind: Literal["connection", "policy", "mailbox"],
    name: str,
    change: Change,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> Applied | None:
    if change.state == "unchanged":
        return None
    if change.state == "created":
        return Applied(kind, name, "created")
    return Applied(kind, name, "changed", tuple(_difference(field, before, after) for field in change.fields))


_WORDS = {"status": "enabled again", "token": "refresh_token changed", "secrets": "secrets changed"}


def _difference(field: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """ "must_match true -> false", as far as both sides may be shown."""
    group, _, name = field.partition(".")
    if field in _WORDS:
        return _WORDS[field]
    path: Sequence[str] = (group, name) if name else (group,)
    old, new = _at(before, path), _at(after, path)
    shown = name or group
    if new is None:
        return f"{shown} removed" if name else f"{shown} changed"
    return f"{shown} {_plain(old)} -> {_plain(new)}" if old is not None else f"{shown} -> {_plain(new)}"


def _at(values: Mapping[str, Any], path: Sequence[str]) -> Any:
    found: Any = values
    for step in path:
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _plain(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)
