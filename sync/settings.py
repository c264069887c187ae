"""Settings of an installation: `MAILSPAN_*` environment variables, each once, with default, check and one line of help.

`Settings` is what the code reads; `SETTINGS` is the same as a table, for `docs/settings.md` and `mailspan doctor`.
What a policy does is declared elsewhere (`sync.declare`): settings hold what differs between machines.
"""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from platformdirs import user_data_path

PREFIX = "MAILSPAN_"
NEW_KEY = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'


class ConfigError(ValueError):
    """The configuration is wrong. `problems` holds every problem, each with its place and what to do."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def _url(*schemes: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        parts = urlsplit(text)
        if parts.scheme not in schemes or not (parts.netloc or parts.scheme == "unix"):
            raise ValueError("expected an address such as " + " or ".join(f"{scheme}://..." for scheme in schemes))
        return text.rstrip("/")

    return check


def _database(text: str) -> str:
    head, colon, rest = text.partition("://")
    if head in ("postgres", "postgresql", "postgresql+psycopg") and rest:
        return f"postgresql+psycopg{colon}{rest}"
    if head == "sqlite" and rest.startswith("/") and rest != "/":
        return text
    raise ValueError("expected sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE")


def _existing_file(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_file():
        raise ValueError(f"there is no file {text}")
    return path


def _directory(text: str) -> Path:
    path = Path(text).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise ValueError(f"{text} is not a directory")
    return path


def _keys(text: str) -> tuple[str, ...]:
    keys = tuple(key.strip() for key in text.split(",") if key.strip())
    for number, key in enumerate(keys, 1):
        try:
            Fernet(key)
        except ValueError as error:
            raise ValueError(f"key {number} is no Fernet key; make one with: {NEW_KEY}") from error
    return keys


def _number(low: float, high: float) -> Callable[[str], float]:
    def check(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise ValueError(f"expected a number from {low:g} to {high:g}, got {text!r}")
        return value

    return check


def _whole(low: int, high: int) -> Callable[[str], int]:
    def check(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"expected a whole number from {low} to {high}, got {text!r}")
        return int(text)

    return check


def _choice(*allowed: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError(f"expected one of {', '.join(allowed)}, got {text!r}")
        return text.lower()

    return check


def _version(text: str) -> str:
    major, dot, minor = text.partition(".")
    if not (major.isdigit() and dot and minor == "0" and int(major) >= 58):
        raise ValueError(f"expected a version from 58.0 on, such as 67.0, got {text!r}")
    return text


def _setting(default: str, check: Callable[[str], Any], text: str, *, secret: bool = False, shown: str = "") -> Any:
    """A field. An empty `default` means None (or no keys); `shown` words the default for people."""
    return field(
        repr=not secret,
        metadata={"default": default, "check": check, "help": text, "secret": secret, "shown": shown or default},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One installation. Made by `load`; every value is checked, addresses are without a slash at the end."""

    data_dir: Path = _setting(
        "",
        _directory,
        "Directory of the SQLite database, the embedded Valkey and a secret key made by `up`.",
        shown="the user's data directory, such as ~/.local/share/mailspan",
    )
    database_url: str = _setting(
        "",
        _database,
        "Database: sqlite:///PATH, or postgresql://USER:PASSWORD@HOST/DATABASE for several machines.",
        secret=True,
        shown="sqlite in the data directory",
    )
    redis_url: str | None = _setting(
        "",
        _url("redis", "rediss", "unix"),
        "Redis or Valkey that carries hints to the workers; it holds no data.",
        secret=True,
        shown="an embedded Valkey that `mailspan up` starts",
    )
    secret_keys: tuple[str, ...] = _setting(
        "",
        _keys,
        "Fernet keys that encrypt tokens and key the hashes, separated by commas: the first encrypts, "
        "all decrypt. Keep a copy.",
        secret=True,
        shown="required; `mailspan up` makes one in the data directory",
    )
    google_api_url: str | None = _setting(
        "", _url("https"), "One address for all Google APIs, for a proxy or a test.", shown="Google's own addresses"
    )
    google_token_url: str = _setting("https://oauth2.googleapis.com/token", _url("https"), "Google's token endpoint.")
    google_ca_file: Path | None = _setting(
        "", _existing_file, "CA certificates (PEM) to trust for Google.", shown="the public CAs"
    )
    microsoft_graph_url: str = _setting("https://graph.microsoft.com", _url("https"), "Microsoft Graph.")
    microsoft_login_url: str = _setting("https://login.microsoftonline.com", _url("https"), "Microsoft's sign-in.")
    microsoft_ca_file: Path | None = _setting(
        "", _existing_file, "CA certificates (PEM) to trust for Microsoft.", shown="the public CAs"
    )
    salesforce_login_url: str = _setting(
        "https://login.salesforce.com",
        _url("https"),
        "Salesforce's sign-in; https://test.salesforce.com for a sandbox.",
    )
    salesforce_ca_file: Path | None = _setting(
        "", _existing_file, "CA certificates (PEM) to trust for Salesforce.", shown="the public CAs"
    )
    salesforce_api_version: str = _setting("67.0", _version, "Version of the Salesforce API.")
    log_level: str = _setting(
        "info", _choice("debug", "info", "warning", "error"), "The least severity that is logged."
    )
    log_format: str = _setting("console", _choice("json", "console"), "json: one object a line; console: for people.")
    workers: int = _setting("2", _whole(1, 64), "Worker processes of `mailspan up` and `mailspan worker`.")
    tick_seconds: float = _setting(
        "10", _number(0.2, 60), "Seconds between looks at which mailboxes are due, dirty or were left by a dead worker."
    )
    feed_seconds: float = _setting(
        "60",
        _number(1, 3600),
        "Seconds between looks at which items (opportunities, cases, ...) changed in the CRM.",
    )
    lease_seconds: float = _setting(
        "12", _number(1, 300), "Seconds for which a worker holds a mailbox before it must renew; recovery waits for it."
    )
    database_timeout_seconds: float = _setting(
        "10",
        _number(2, 120),
        "Seconds of silence after which a connection to PostgreSQL is given up, by us and by the server. A transaction "
        "of a host that is cut off holds up the others for as long.",
    )
    redis_timeout_seconds: float = _setting(
        "3", _number(2, 60), "Seconds that Redis may take to connect or to answer; after that it counts as gone."
    )
    http_timeout_seconds: float = _setting("20", _number(1, 120), "Seconds that a call of a vendor's API may take.")


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table: `variable` is the environment's name, `shown` the default in words."""

    name: str
    variable: str
    default: str
    check: Callable[[str], Any]
    help: str
    secret: bool
    shown: str


def _variable(name: str) -> str:
    return PREFIX + {"secret_keys": "SECRET_KEY"}.get(name, name.upper())


SETTINGS: Mapping[str, Setting] = {
    item.name: Setting(
        item.name,
        _variable(item.name),
        item.metadata["default"],
        item.metadata["check"],
        item.metadata["help"],
        item.metadata["secret"],
        item.metadata["shown"],
    )
    for item in dataclasses.fields(Settings)
}


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this environment; an empty variable counts as absent.

    Without MAILSPAN_SECRET_KEY the key file of the data directory is used (`make_key`). Raises `ConfigError` with all
    problems at once.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    problems: list[str] = []
    for setting in SETTINGS.values():
        text = environ.get(setting.variable, "").strip() or setting.default
        try:
            values[setting.name] = setting.check(text) if text else None
        except ValueError as error:
            problems.append(f"{setting.variable}: {error}")
            values[setting.name] = None
    home = values["data_dir"] = values["data_dir"] or _default_home()
    values["database_url"] = values["database_url"] or f"sqlite:///{home / 'mailspan.sqlite3'}"
    if not environ.get(SETTINGS["secret_keys"].variable, "").strip():
        values["secret_keys"] = _stored_keys(key_file(home), problems)
    if problems:
        raise ConfigError(problems)
    return Settings(**values)


def key_file(data_dir: Path) -> Path:
    """Where the key lies that `make_key` makes."""
    return data_dir / "secret.key"


def make_key(environ: Mapping[str, str] | None = None) -> Path | None:
    """Make a secret key in the data directory, for its owner's eyes only (mode 0600), when neither MAILSPAN_SECRET_KEY
    nor the file is there. The file made, or None. Raises `ConfigError`."""
    environ = os.environ if environ is None else environ
    if environ.get(SETTINGS["secret_keys"].variable, "").strip():
        return None
    directory = environ.get(SETTINGS["data_dir"].variable, "").strip()
    try:
        path = key_file(_directory(directory) if directory else _default_home())
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError([f"{SETTINGS['data_dir'].variable}: {error}"]) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(Fernet.generate_key() + b"\n")
    return path


def _default_home() -> Path:
    return user_data_path("mailspan", appauthor=False)


def _stored_keys(path: Path, problems: list[str]) -> tuple[str, ...]:
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            problems.append(f"{path}: others may read it; run: chmod 600 {path}")
            return ()
        return _keys(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        problems.append(f"{SETTINGS['secret_keys'].variable}: not set; make a key with: {NEW_KEY}")
    except (OSError, ValueError) as error:
        problems.append(f"{path}: {error}")
    return ()
