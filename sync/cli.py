"""The `mailspan` command: what an administrator does with an installation. Thin: it reads arguments and prints.

Exit status: 0 done, 1 failed, 2 the configuration or the arguments are wrong (nothing was changed).

A command imports what it needs in its own body: SQLAlchemy, RQ and the vendors' libraries take seconds to load, and the
supervisor, the ticker and `--help` each need little of it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from sync import embedded, settings
from sync.settings import ConfigError, Settings
from sync.supervise import Program, Supervisor

if TYPE_CHECKING:
    from sync.declare import Declaration
    from sync.declare.plan import OpenCrm
    from sync.engine.work import Ports
    from sync.policy import Policy
    from sync.ports import CrmProvider
    from sync.store.rows import Connection, Mailbox
    from sync.store.store import Store

P = ParamSpec("P")
R = TypeVar("R")


def refusals(command: Callable[P, R]) -> Callable[P, R]:
    """Say what is wrong in lines for people, and exit with the status that belongs to it."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except ConfigError as error:
            for problem in error.problems:
                click.echo(problem, err=True)
            sys.exit(2)
        except Exception as error:
            refusal = _refusal(error)
            if refusal is None:
                raise
            click.echo(refusal, err=True)
        sys.exit(1)

    return wrapped


def _refusal(error: Exception) -> str | None:
    """What to say of an error that is no fault of the program."""
    from redis.exceptions import RedisError
    from sqlalchemy.exc import DBAPIError

    from sync.store.database import StoreError
    from sync.store.trouble import trouble
    from sync.store.vault import SecretKeyError

    if isinstance(error, (StoreError, SecretKeyError)):
        return f"the database: {error}"
    if isinstance(error, DBAPIError):
        return f"the database: {trouble(error)}"
    return f"Redis does not answer: {type(error).__name__}" if isinstance(error, RedisError) else None


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mailspan")
def main() -> None:
    """Mailspan keeps a mailbox and a CRM in step."""


@contextlib.contextmanager
def opened(config: Settings) -> Iterator[Store]:
    """The store, with its tables brought up to date."""
    from sync.store.store import Store

    store = Store.open(config.database_url, config.secret_keys, config.database_timeout_seconds)
    try:
        store.migrate()
        yield store
    finally:
        store.close()


def _with_key() -> Settings:
    made = settings.make_key()
    if made:
        click.echo(f"made a secret key in {made}: keep a copy, without it the stored secrets are lost", err=True)
    return settings.load()


@main.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Only say what is wrong with the file.")
@click.option("--plan", is_flag=True, help="Only say what would change, here and in each mailbox.")
@json_option
@refusals
def apply(file: Path, check: bool, plan: bool, as_json: bool) -> None:
    """Make the installation what FILE declares: connections, policies, mailboxes."""
    from sync import declare
    from sync.declare.apply import apply as apply_declaration

    if check and plan:
        raise click.UsageError("give --check or --plan")
    declaration = declare.load(file)
    if check:
        click.echo(json.dumps({"valid": True}) if as_json else f"{file} is right")
        return
    if plan:
        _plan(declaration, as_json)
        return
    config = _with_key()
    with opened(config) as store:
        changes = apply_declaration(store, declaration)
    if as_json:
        click.echo(json.dumps({"changes": [change.as_json() for change in changes]}))
    else:
        click.echo("\n".join(map(str, changes)) if changes else "nothing to change")


def _plan(declaration: Declaration, as_json: bool) -> None:
    from sync.declare import plan, telling
    from sync.store.store import Store

    config = settings.load()
    store = Store.open(config.database_url, config.secret_keys, config.database_timeout_seconds)
    try:
        if not store.ready():
            click.echo(
                "the database has no tables of this version: `mailspan apply` without --plan makes them", err=True
            )
            sys.exit(1)
        found = plan.plan(store, declaration, _crms(config), time.time())
    finally:
        store.close()
    click.echo(json.dumps(found.as_json()) if as_json else "\n".join(telling.lines(found)))


def _crms(config: Settings) -> OpenCrm:
    """Opens a CRM; without Redis it refuses each, with the reason."""
    from sync import log, wiring

    log.setup(config)
    try:
        app = wiring.App(config)
    except ConfigError as error:
        refusal = error
        app = None

    def opened_crm(connection: Connection, policy: Policy, mailbox: Mailbox) -> CrmProvider:
        if app is None:
            raise refusal
        return app.crm(connection, policy, mailbox)[0]

    return opened_crm


@main.command()
@click.option("-n", "count", type=click.IntRange(1, 64), help="Processes; without it MAILSPAN_WORKERS.")
@refusals
def worker(count: int | None) -> None:
    """Work on mailboxes: file what was dropped."""
    config = settings.load()
    count = count or config.workers
    if count > 1:
        sys.exit(Supervisor([_self(f"worker-{number}", "worker", "-n", "1") for number in range(1, count + 1)]).run())
    from sync import wiring
    from sync import worker as process

    app = wiring.current()
    wiring.warm(app)
    process.run(app)


@main.command()
@refusals
def ticker() -> None:
    """Remind the workers of mailboxes that are due; one ticker of many is at work, the others stand by."""
    from redis.exceptions import RedisError
    from sqlalchemy.exc import SQLAlchemyError

    from sync import jobs, wiring
    from sync.store.database import StoreError

    app = wiring.current()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    jobs.log.info("ticker.started", process=os.getpid())
    while not ended.is_set():
        try:
            until = time.monotonic() + jobs.tick(app)
            while not ended.is_set() and time.monotonic() < until and not jobs.poked(app, until - time.monotonic()):
                continue
        except (RedisError, SQLAlchemyError, StoreError) as error:  # it may come back; the mailboxes stay due
            jobs.log.warning("tick.failed", error=type(error).__name__)
            ended.wait(min(app.settings.tick_seconds, 2.0))


@main.command()
@click.option("-n", "count", type=click.IntRange(1, 64), help="Worker processes; without it MAILSPAN_WORKERS.")
@refusals
def up(count: int | None) -> None:
    """Run everything in one place: workers, ticker and, without MAILSPAN_REDIS_URL, a Valkey. Ctrl-C ends it."""
    config = _with_key()
    with opened(config):
        pass
    sys.exit(Supervisor(programs(config, count or config.workers)).run())


def programs(config: Settings, workers: int) -> list[Program]:
    """What `up` runs, in the order of starting."""
    found: list[Program] = []
    environ = {"MAILSPAN_DATA_DIR": str(config.data_dir)}
    if config.redis_url is None:
        path = embedded.prepare(config.data_dir)
        environ["MAILSPAN_REDIS_URL"] = embedded.url(config.data_dir)
        ready = functools.partial(embedded.answers, path)
        hint = f"see {embedded.log_path(config.data_dir)}"
        found.append(Program("valkey", embedded.command(config.data_dir), ready=ready, hint=hint))
    names = [(f"worker-{number}", ("worker", "-n", "1")) for number in range(1, workers + 1)]
    for name, arguments in [*names, ("ticker", ("ticker",))]:
        found.append(_self(name, *arguments, environ=environ))
    return found


def _self(name: str, *arguments: str, environ: dict[str, str] | None = None) -> Program:
    return Program(name, [sys.executable, "-m", "sync.cli", *arguments], environ or {})


@main.command()
@json_option
@refusals
def rotate(as_json: bool) -> None:
    """Encrypt all stored secrets under the first key of MAILSPAN_SECRET_KEY; then the other keys may go."""
    with opened(settings.load()) as store:
        count = store.rotate()
    _print({"rotated": count}, as_json, lambda _: click.echo(f"{count} secrets are encrypted under the first key"))


@main.command()
@click.option("--offline", is_flag=True, help="Ask the database only, not the mailboxes.")
@json_option
@refusals
def status(offline: bool, as_json: bool) -> None:
    """Per mailbox: state, seconds that the oldest unsettled drop has waited, next look, parked mails."""
    from sync import report

    config = settings.load()
    with opened(config) as store:
        found = report.status(store, None if offline else _ports(config), time.time())
    _print(found, as_json, report.show_status)


@main.command()
@click.argument("message_id")
@json_option
@refusals
def explain(message_id: str, as_json: bool) -> None:
    """The whole decision about a mail: each address, the rule, the records, the calls.

    MESSAGE_ID is the mail's Message-ID, or the number of a parked mail as `mailspan status` shows it.
    """
    from sync import report

    config = settings.load()
    with opened(config) as store:
        found = report.explain(store, _ports(config), message_id)
    _print(found, as_json, report.show_explanation)
    if not found["filings"]:
        sys.exit(1)


def _ports(config: Settings) -> Callable[[int], Ports]:
    """Opens both ends of a mailbox; without Redis it refuses each, so that what is stored is shown all the same."""
    from sync import log, wiring

    log.setup(config)  # what the libraries tell goes to standard error: standard output is the answer's
    try:
        return wiring.App(config).ports
    except ConfigError as error:
        refusal = error

    def refuse(_mailbox_id: int) -> Ports:
        raise refusal

    return refuse


@main.command()
@click.argument("ids", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="All parked mails.")
@json_option
@refusals
def retry(ids: tuple[int, ...], everything: bool, as_json: bool) -> None:
    """Try parked mails again: those with these IDS (`mailspan status` shows them), or --all."""
    if bool(ids) == everything:
        raise click.UsageError("give ids or --all")
    with opened(settings.load()) as store:
        count = store.retry("all" if everything else list(ids), time.time())
    _print({"retried": count}, as_json, lambda _: click.echo(f"{count} mails are tried again"))


@main.command()
@click.argument("message_id")
@click.option("--wait", default=30.0, type=click.FloatRange(0, 600), help="Seconds to wait for it; 0: do not wait.")
@json_option
@refusals
def undo(message_id: str, wait: float, as_json: bool) -> None:
    """Take back what was filed of a mail: its records, what was created with them and nobody has touched, its marks.

    MESSAGE_ID is the mail's Message-ID, or its number as `mailspan status` and `explain` show it. The workers do it.
    """
    from sync import report

    with opened(settings.load()) as store:
        found = report.undo(store, message_id, wait, time.time, time.sleep)
    _print(found, as_json, report.show_undo)
    sys.exit(0 if found["ended"] in ("undone", "asked") else 1)


@main.command()
@json_option
@refusals
def doctor(as_json: bool) -> None:
    """Try everything the installation stands on: settings, database, Redis, and both ends of every mailbox."""
    from sync import log
    from sync.doctor import examine

    good = True
    findings = []
    config = settings.load()
    log.setup(config)
    for finding in examine(config):
        good = good and finding.ok
        findings.append(asdict(finding))
        if not as_json:
            advice = f"  ->  {finding.advice}" if finding.advice else ""
            click.echo(f"{'ok  ' if finding.ok else 'BAD '} {finding.what}: {finding.detail}{advice}")
    if as_json:
        click.echo(json.dumps({"ok": good, "findings": findings}))
    sys.exit(0 if good else 1)


def _print(found: dict[str, Any], as_json: bool, show: Callable[[dict[str, Any]], None]) -> None:
    if as_json:
        click.echo(json.dumps(found))
    else:
        show(found)


if __name__ == "__main__":
    main()
