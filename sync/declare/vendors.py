"""What a connection of each vendor needs, as data: the one place to add a vendor's field."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from sync.declare.document import Wrong
from sync.settings import SETTINGS

Check = Callable[[Any], str]


def text(value: Any) -> str:
    """A text of one line."""
    if not isinstance(value, str) or not value.strip() or "\n" in value.strip():
        raise Wrong(f"expected a text, got {value!r}")
    return value.strip()


def address(value: Any) -> str:
    """An e-mail address, in lower case."""
    if not isinstance(value, str) or not re.fullmatch(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+\.[^@\s<>,;\".]+", value.strip()):
        raise Wrong(f"expected an e-mail address, got {value!r}")
    return value.strip().lower()


def name(value: Any) -> str:
    """A name for people and logs."""
    if not isinstance(value, str) or not re.fullmatch(r"\w[\w .-]{0,59}", value.strip()):
        raise Wrong(f"expected a name of 1 to 60 letters, digits, spaces, dots and hyphens, got {value!r}")
    return value.strip()


def _like_setting(variable: str) -> Check:
    """The check of the setting that this field overrides for one connection."""

    def check(value: Any) -> str:
        if isinstance(value, float):  # 67.0 without quotes
            value = str(value)
        if not isinstance(value, str):
            raise Wrong(f"expected a text, got {value!r}")
        checked = SETTINGS[variable].check(value)
        if isinstance(checked, Path) and not checked.is_absolute():
            raise Wrong(f"expected an absolute path, got {value!r}")
        return str(checked)

    return check


def _service_account(value: str) -> str:
    try:
        content = json.loads(value)
    except ValueError:
        content = None
    wanted = ("client_email", "private_key")
    if not isinstance(content, dict) or content.get("type") != "service_account" or not all(map(content.get, wanted)):
        raise Wrong("is no service account key: expected Google's JSON file with client_email and private_key")
    _private_key(content["private_key"])
    return value


def _private_key(value: str) -> str:
    try:
        load_pem_private_key(value.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Wrong("holds no private key in PEM form without a password") from error
    return value


def _certificate(value: str) -> str:
    _private_key(value)
    try:
        load_pem_x509_certificate(value.encode())
    except ValueError as error:
        raise Wrong("holds no certificate in PEM form beside the private key") from error
    return value


def _access(value: Any) -> str:
    if value not in ("app", "user"):
        raise Wrong(f"expected app or user, got {value!r}")
    return str(value)


def _token(value: str) -> str:
    if not value or re.search(r"\s", value):
        raise Wrong("expected one word without spaces")
    return value


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a connection; a secret is given by reference and stored encrypted."""

    name: str
    check: Check
    help: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Vendor:
    """`required` fields are always given; `ways` are the sets of fields to sign in with: exactly one is given, whole.
    `per_user` are those ways in which every mailbox brings a refresh_token of its own."""

    side: Literal["mail", "crm"]
    fields: tuple[Field, ...]
    ways: tuple[tuple[str, ...], ...]
    per_user: tuple[tuple[str, ...], ...] = ()
    required: tuple[str, ...] = ()

    def field(self, wanted: str) -> Field:
        return next(item for item in self.fields if item.name == wanted)


VENDORS: Mapping[str, Vendor] = {
    "google": Vendor(
        side="mail",
        fields=(
            Field("service_account", _service_account, "JSON key of a service account that acts for all users.", True),
            Field("client_id", text, "OAuth client, when every mailbox has a refresh_token of its own."),
            Field("client_secret", _token, "Secret of the OAuth client.", True),
            Field("api_url", _like_setting("google_api_url"), "As MAILSPAN_GOOGLE_API_URL."),
            Field("token_url", _like_setting("google_token_url"), "As MAILSPAN_GOOGLE_TOKEN_URL."),
            Field("ca_file", _like_setting("google_ca_file"), "As MAILSPAN_GOOGLE_CA_FILE."),
        ),
        ways=(("service_account",), ("client_id", "client_secret")),
        per_user=(("client_id", "client_secret"),),
    ),
    "microsoft": Vendor(
        side="mail",
        fields=(
            Field("tenant", text, "Directory (tenant) ID."),
            Field("client_id", text, "Application (client) ID of the app registration."),
            Field("client_secret", _token, "A client secret of the app registration.", True),
            Field("certificate", _certificate, "Private key and certificate (PEM, both in one file) instead.", True),
            Field("access", _access, "app (default): acts for every mailbox; user: each mailbox has a refresh_token."),
            Field("graph_url", _like_setting("microsoft_graph_url"), "As MAILSPAN_MICROSOFT_GRAPH_URL."),
            Field("login_url", _like_setting("microsoft_login_url"), "As MAILSPAN_MICROSOFT_LOGIN_URL."),
            Field("ca_file", _like_setting("microsoft_ca_file"), "As MAILSPAN_MICROSOFT_CA_FILE."),
        ),
        ways=(("client_secret",), ("certificate",)),
        required=("tenant", "client_id"),
    ),
    "salesforce": Vendor(
        side="crm",
        fields=(
            Field("consumer_key", text, "Consumer key of the connected app, for the JWT bearer flow."),
            Field("username", text, "User of the connection, for the JWT bearer flow."),
            Field("private_key", _private_key, "Private key (PEM) whose certificate the connected app has.", True),
            Field("client_id", text, "Consumer key of the connected app, for the refresh token flow."),
            Field("client_secret", _token, "Its secret.", True),
            Field("refresh_token", _token, "Refresh token of the connection's user.", True),
            Field("login_url", _like_setting("salesforce_login_url"), "As MAILSPAN_SALESFORCE_LOGIN_URL."),
            Field("api_version", _like_setting("salesforce_api_version"), "As MAILSPAN_SALESFORCE_API_VERSION."),
            Field("ca_file", _like_setting("salesforce_ca_file"), "As MAILSPAN_SALESFORCE_CA_FILE."),
        ),
        ways=(("consumer_key", "username", "private_key"), ("client_id", "client_secret", "refresh_token")),
    ),
}  # fmt: skip

MAILBOX_TOKEN = Field("refresh_token", _token, "Refresh token of this mailbox's user.", True)


def read_secret(reference: Any, check: Check, environ: Mapping[str, str], base: Path) -> str:
    """The secret that `{env: NAME}` or `{file: PATH}` (relative to `base`) refers to. Never repeats a secret."""
    if not isinstance(reference, dict) or len(reference) != 1 or not set(reference) <= {"env", "file"}:
        raise Wrong("expected {env: NAME} or {file: PATH}; a secret itself does not belong into this file")
    ((kind, where),) = reference.items()
    if not isinstance(where, str) or not where:
        raise Wrong(f"expected the name of {'a variable' if kind == 'env' else 'a file'}")
    if kind == "env":
        value, origin = environ.get(where, ""), f"the variable {where}"
        if not value.strip():
            raise Wrong(f"{origin} is not set")
    else:
        origin = f"the file {where}"
        try:
            value = (base / Path(where).expanduser()).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Wrong(f"cannot read {origin}: {getattr(error, 'strerror', None) or 'it is no text'}") from error
    try:
        return check(value.strip())
    except Wrong as error:
        raise Wrong(f"{origin} {error}" if not str(error).startswith("expected") else f"{origin}: {error}") from error
