"""The file of `mailspan apply`: which connections, policies and mailboxes an installation has.

`load` gives a `Declaration` in which every reference holds and every option passed its check, or all problems at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sync.declare.document import Place, Report, Wrong, parse, suggestion
from sync.declare.vendors import MAILBOX_TOKEN, VENDORS, Field, Vendor, address, name, read_secret, text
from sync.policy import OPTIONS, Policy, conflicts
from sync.settings import ConfigError


@dataclass(frozen=True, slots=True)
class Connection:
    """One Google domain, Microsoft tenant or CRM organisation."""

    name: str
    vendor: str
    settings: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    line: int = 0

    @property
    def per_user(self) -> bool:
        """Whether each mailbox must bring a token of its own."""
        ways = VENDORS[self.vendor].per_user
        given = self.settings.keys() | self.secrets.keys()
        return self.settings.get("access") == "user" or any(set(way) <= given for way in ways)


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    """A sync policy: both ends and its options."""

    name: str
    crm_connection: str
    mail_connection: str
    policy: Policy
    line: int = 0


@dataclass(frozen=True, slots=True)
class MailboxEntry:
    """One user's mailbox. `crm_user` is the e-mail address or user name in the CRM; None: the address."""

    address: str
    policy: str
    crm_user: str | None
    secrets: Mapping[str, str] = field(repr=False)
    line: int = 0


@dataclass(frozen=True, slots=True)
class Declaration:
    """A whole file, checked."""

    connections: tuple[Connection, ...]
    policies: tuple[PolicyEntry, ...]
    mailboxes: tuple[MailboxEntry, ...]


class _Named(Protocol):
    @property
    def line(self) -> int: ...


N = TypeVar("N", bound=_Named)


def load(path: Path, environ: Mapping[str, str] | None = None) -> Declaration:
    """The declaration in a file, with the secrets it refers to. Raises `ConfigError` with every problem, each as
    `FILE:LINE: PATH: what is wrong`."""
    try:
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: is not UTF-8 text"]) from error
    return loads(content, str(path), path.absolute().parent, os.environ if environ is None else environ)


def loads(content: str, file: str, base: Path, environ: Mapping[str, str]) -> Declaration:
    """As `load`, from text; files of secrets are relative to `base`."""
    report = Report(file)
    root = parse(content, report)
    if root is None:
        raise ConfigError(report.lines())
    sections = root.fields(("connections", "policies", "mailboxes"))
    reader = _Reader(environ, base)
    connections = _entries(sections, "connections", reader.connection)
    policies = _entries(sections, "policies", reader.policy)
    mailboxes = _entries(sections, "mailboxes", reader.mailbox)
    by_connection = _unique(connections, "name")
    by_policy = _unique(policies, "name")
    _unique(mailboxes, "address")
    for place, policy in policies:
        _check_ends(place, policy, by_connection)
    for place, mailbox in mailboxes:
        _check_mailbox(place, mailbox, by_policy, by_connection)
    if report.problems:
        raise ConfigError(report.lines())
    return Declaration(
        tuple(item for _, item in connections),
        tuple(item for _, item in policies),
        tuple(item for _, item in mailboxes),
    )


def _entries(sections: Mapping[str, Place], section: str, read: Callable[[Place], N]) -> list[tuple[Place, N]]:
    if section not in sections or sections[section].empty:
        return []
    return [(place, read(place)) for place in sections[section].items()]


def _unique(entries: Sequence[tuple[Place, N]], key: str) -> dict[str, N]:
    """The entries by name; a double is reported. Entries whose name is wrong were reported before."""
    found: dict[str, N] = {}
    for place, item in entries:
        own = getattr(item, key)
        if own and own in found:
            place.child(key).fail(f"{own} is declared twice; first on line {found[own].line}")
        elif own:
            found[own] = item
    return found


def _check_ends(place: Place, policy: PolicyEntry, connections: Mapping[str, Connection]) -> None:
    for side, wanted in (("crm", policy.crm_connection), ("mail", policy.mail_connection)):
        at = place.child(f"{side}_connection")
        if wanted and wanted not in connections:
            at.fail(f"there is no connection {wanted!r}{suggestion(wanted, connections)}")
        elif wanted and (vendor := connections[wanted].vendor) and VENDORS[vendor].side != side:
            at.fail(f"{wanted!r} is a connection to {vendor}, which is the {VENDORS[vendor].side} side")


def _check_mailbox(
    place: Place, mailbox: MailboxEntry, policies: Mapping[str, PolicyEntry], connections: Mapping[str, Connection]
) -> None:
    policy = policies.get(mailbox.policy)
    if policy is None:
        if mailbox.policy:
            at = place.child("policy")
            at.fail(f"there is no policy {mailbox.policy!r}{suggestion(mailbox.policy, policies)}")
        return
    connection = connections.get(policy.mail_connection)
    if connection is None or not connection.vendor:
        return
    if connection.per_user and not mailbox.secrets:
        place.fail(f"refresh_token is missing: the connection {connection.name!r} signs in as each user")
    if mailbox.secrets and not connection.per_user:
        at = place.child("refresh_token")
        at.fail(f"not used: the connection {connection.name!r} signs in for all users")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one entry of each section; what is wrong is reported and left empty, so that reading goes on."""

    environ: Mapping[str, str]
    base: Path

    def connection(self, place: Place) -> Connection:
        named = place.child("vendor").node.value
        known = VENDORS[named].fields if isinstance(named, str) and named in VENDORS else _ANY_FIELD
        given = place.fields(("name", "vendor", *(item.name for item in known)), ("name", "vendor"))
        own_name = given["name"].read(name) if "name" in given else None
        vendor = given["vendor"].read(_vendor) if "vendor" in given else None
        settings: dict[str, str] = {}
        secrets: dict[str, str] = {}
        for wanted in VENDORS[vendor].fields if vendor else ():
            if wanted.name not in given:
                continue
            if wanted.secret:
                secrets[wanted.name] = self._secret(given[wanted.name], wanted.check) or ""
            else:
                settings[wanted.name] = given[wanted.name].read(wanted.check) or ""
        if vendor:
            _check_ways(place, VENDORS[vendor], given.keys())
        return Connection(own_name or "", vendor or "", settings, secrets, place.line)

    def policy(self, place: Place) -> PolicyEntry:
        required = ("name", "crm_connection", "mail_connection")
        given = place.fields((*required, "options"), required)
        named = {key: given[key].read(name) or "" if key in given else "" for key in required}
        options: dict[str, Any] = {}
        places = given["options"].fields(OPTIONS.keys(), noun="option") if "options" in given else {}
        for key, option in places.items():
            value = option.read(OPTIONS[key].check)
            if value is not None:
                options[key] = value
        policy = Policy(**options)
        if options.keys() == places.keys():  # else what is missing by one mistake would look like another
            for key, text in conflicts(policy):
                (places.get(key) or place).fail(text)
        return PolicyEntry(named["name"], named["crm_connection"], named["mail_connection"], policy, place.line)

    def mailbox(self, place: Place) -> MailboxEntry:
        given = place.fields(("address", "policy", "crm_user", MAILBOX_TOKEN.name), ("address", "policy"))
        own = given["address"].read(address) if "address" in given else None
        policy = given["policy"].read(name) if "policy" in given else None
        crm_user = given["crm_user"].read(text) if "crm_user" in given else None
        secrets = {}
        if MAILBOX_TOKEN.name in given:
            secrets[MAILBOX_TOKEN.name] = self._secret(given[MAILBOX_TOKEN.name], MAILBOX_TOKEN.check) or ""
        return MailboxEntry(own or "", policy or "", crm_user, secrets, place.line)

    def _secret(self, place: Place, check: Callable[[Any], str]) -> str | None:
        return place.read(lambda reference: read_secret(reference, check, self.environ, self.base))


_ANY_FIELD: tuple[Field, ...] = tuple(item for vendor in VENDORS.values() for item in vendor.fields)


def _vendor(value: Any) -> str:
    if not isinstance(value, str) or value not in VENDORS:
        raise Wrong(f"expected one of {', '.join(VENDORS)}, got {value!r}")
    return value


def _check_ways(place: Place, vendor: Vendor, given: Any) -> None:
    """Exactly one way to sign in must be given, whole."""
    for missing in (key for key in vendor.required if key not in given):
        place.fail(f"{missing} is missing")
    touched = [way for way in vendor.ways if set(way) & set(given)]
    words = "; or ".join(" and ".join(way) for way in vendor.ways)
    if not touched:
        place.fail(f"says no way to sign in; give {words}")
    elif len(touched) > 1:
        place.fail(f"says more than one way to sign in; give either {words}")
    else:
        for missing in (key for key in touched[0] if key not in given):
            place.fail(f"{missing} is missing (to sign in with {' and '.join(touched[0])})")
