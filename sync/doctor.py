"""`mailspan doctor`: try everything an installation stands on, one finding a line, each with what to do."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from sync.engine.work import Ports
from sync.errors import Denied, RemoteError
from sync.settings import PREFIX, SETTINGS, ConfigError, Settings
from sync.store.database import StoreError
from sync.store.rows import Mailbox
from sync.store.store import Store
from sync.store.trouble import trouble
from sync.store.vault import SecretKeyError
from sync.wiring import App


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. `advice` is empty when all is well."""

    what: str
    ok: bool
    detail: str
    advice: str = ""


def examine(config: Settings, environ: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Findings in the order in which things depend on each other; ends early where nothing more can be tried."""
    yield from _variables(os.environ if environ is None else environ)
    database = _database(config)
    yield database
    if not database.ok:
        return
    try:
        app = App(config)
    except ConfigError as error:
        yield Finding("hints", False, str(error), "run `mailspan up`, or set MAILSPAN_REDIS_URL")
        return
    try:
        yield _hints(app)
        for mailbox in app.store.mailboxes():
            yield from _mailbox(app, mailbox)
    finally:
        app.close()


def _variables(environ: Mapping[str, str]) -> Iterator[Finding]:
    known = [setting.variable for setting in SETTINGS.values()]
    for name in sorted(environ):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
        if name.startswith(PREFIX) and name not in known and near:
            yield Finding(name, False, "is no setting", f"did you mean {near[0]}?")


def _database(config: Settings) -> Finding:
    try:
        store = Store.open(config.database_url, config.secret_keys, config.database_timeout_seconds)
        try:
            store.migrate()
            store.try_to_write()
            count = len(store.mailboxes())
        finally:
            store.close()
    except (StoreError, SecretKeyError) as error:
        return Finding("database", False, str(error), "check MAILSPAN_DATABASE_URL and MAILSPAN_SECRET_KEY")
    except DBAPIError as error:
        found = trouble(error)
        return Finding("database", False, found.what, found.advice)
    return Finding("database", True, f"{count} mailboxes are declared", "" if count else "run `mailspan apply FILE`")


def _hints(app: App) -> Finding:
    try:
        app.redis.ping()
    except RedisError as error:
        return Finding("hints", False, type(error).__name__, "start the Redis of MAILSPAN_REDIS_URL")
    return Finding("hints", True, "Redis or Valkey answers")


def _mailbox(app: App, mailbox: Mailbox) -> Iterator[Finding]:
    if mailbox.status == "disabled":
        yield Finding(mailbox.address, True, f"disabled: {mailbox.status_reason}")
        return
    try:
        ports = app.ports(mailbox.id)
    except Denied as error:
        yield Finding(mailbox.address, False, str(error), "correct the declared file and apply it")
        return
    yield _try(f"{mailbox.address}: mail", lambda: ports.mail.changes(None))
    crm = _try(f"{mailbox.address}: CRM", ports.crm.abilities)
    yield crm
    if crm.ok:
        yield from _modules(mailbox.address, ports)


def _modules(address: str, ports: Ports) -> Iterator[Finding]:
    """Whether the CRM has the modules of the policy, and what it is that it has."""
    rules = ports.policy.modules
    if not rules:
        return
    try:
        found = ports.crm.modules([rule.name for rule in rules])
    except RemoteError as error:
        yield Finding(f"{address}: modules", False, str(error), "try again; if it stays, check what the user may do")
        return
    for rule in rules:
        module = found[rule.name]
        what = f"{address}: module {rule.name}"
        if isinstance(module, RemoteError):
            yield Finding(what, False, module.detail, "correct modules in the policy, or what the CRM user may see")
        elif rule.create and not module.creatable:
            advice = "let the CRM user create them, or set create to false"
            yield Finding(what, False, f"{module.plural} cannot be created by this user", advice)
        else:
            yield Finding(what, True, module.plural)


def _try(what: str, call: Callable[[], object]) -> Finding:
    try:
        call()
    except Denied as error:
        return Finding(what, False, str(error), "check the credentials and what they may do (docs/admin.md)")
    except RemoteError as error:
        return Finding(what, False, str(error), "try again; if it stays, check the addresses in the settings")
    return Finding(what, True, "signs in")
