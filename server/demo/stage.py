"""The demo's stage: a sandbox, an installation configured for it, and both as processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.fernet import Fernet

from server.demo.outlook import OutlookUser
from server.demo.vendors import Control, GmailUser, MailUser, SalesforceUser
from sync.leash import leashed

START_SECONDS = 150.0  # of a machine that has other things to do, too
SANDBOX = ["-m", "sandbox", "--json"]
OPTIONS = {
    "drop_poll_seconds": 1,
    "internal_domains": ["northpeak-automation.example"],
    "modules": ["opportunity", "case", {"name": "Project__c", "fields": {"Priority__c": "Normal"}}],
    "assign_to": True,
    "summaries": True,
    "conversation_follow": True,
}


@dataclass(frozen=True, slots=True)
class Stage:
    """`ready` is what the sandbox printed; `environ` is the installation's configuration; `folder` holds logs."""

    ready: Mapping[str, Any]
    environ: Mapping[str, str]
    folder: Path

    def mail(self) -> dict[str, MailUser]:
        """Everybody's mailbox, by address."""
        google, microsoft, ca = self.ready["google"], self.ready["microsoft"], self.ready["ca"]
        found: dict[str, MailUser] = {}
        for address, token in google["tokens"].items():
            found[address] = GmailUser(address, google["url"], token, ca)
        for address, token in microsoft["tokens"].items():
            found[address] = OutlookUser(address, microsoft["url"], token, ca)
        return found

    def crm(self) -> SalesforceUser:
        """The CRM as its integration user sees it."""
        salesforce = self.ready["salesforce"]
        return SalesforceUser(salesforce["url"], salesforce["tokens"][_integration(salesforce)], self.ready["ca"])

    def control(self) -> Control:
        return Control(self.ready["control"])


def _integration(salesforce: Mapping[str, Any]) -> str:
    names: list[str] = list(salesforce["tokens"])
    return next((name for name in names if name.startswith("integration@")), names[0])


@contextlib.contextmanager
def set_up(folder: Path) -> Iterator[Stage]:
    """Simulators on free ports, and Mailspan configured by environment and file as any other installation, until the
    block ends. The two start side by side: Mailspan has nothing to do before `apply`."""
    environ = _environ(folder)
    with (
        _process([*SANDBOX, "--parent-pid", str(os.getpid())], folder / "sandbox.log") as simulators,
        _process(["-m", "server.cli", "up"], folder / "mailspan.log", environ),
    ):
        assert simulators.stdout is not None
        line = simulators.stdout.readline()
        if not line:
            raise RuntimeError(f"the sandbox did not start: {(folder / 'sandbox.log').read_text()[-2000:]}")
        stage = Stage(json.loads(line), environ, folder)
        _apply(stage)
        yield stage


@contextlib.contextmanager
def _process(
    arguments: Sequence[str], log: Path, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A program of ours, until the block ends; its errors go to the log."""
    command = leashed([sys.executable, *arguments])
    with log.open("w") as errors:
        process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=errors, text=True)
    with process:
        try:
            yield process
        finally:
            _end(process)


def _apply(stage: Stage) -> None:
    declaration = stage.folder / "mailspan.yaml"
    declaration.write_text(yaml.safe_dump(_declaration(stage.ready), sort_keys=False))
    applied = subprocess.run(
        [sys.executable, "-m", "server.cli", "apply", str(declaration)],
        env=dict(stage.environ),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    if applied.returncode:
        raise RuntimeError(f"mailspan apply: {applied.stdout}{applied.stderr}")


def wait_for_trees(stage: Stage, label: str) -> None:
    """Until every mailbox has its drop label."""
    users = list(stage.mail().values())
    deadline = time.monotonic() + START_SECONDS
    while users and time.monotonic() < deadline:
        users = [user for user in users if not user.has(label)]
        if users:
            time.sleep(0.1)
    if users:
        log = (stage.folder / "mailspan.log").read_text()[-3000:]
        raise RuntimeError(f"no drop label in {', '.join(user.address for user in users)}:\n{log}")


def _environ(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILSPAN_")}
    return kept | {
        "MAILSPAN_DATA_DIR": str(folder),
        "MAILSPAN_SECRET_KEY": Fernet.generate_key().decode(),
        "MAILSPAN_TICK_SECONDS": "1",
        "MAILSPAN_FEED_SECONDS": "1",
        "MAILSPAN_LOG_FORMAT": "json",
    }


def _declaration(ready: Mapping[str, Any]) -> dict[str, Any]:
    google, microsoft, salesforce, ca = ready["google"], ready["microsoft"], ready["salesforce"], ready["ca"]
    mailboxes = [{"address": address, "policy": "sales"} for address in google["tokens"]]
    mailboxes += [{"address": address, "policy": "sales in Outlook"} for address in microsoft["tokens"]]
    return {
        "connections": [
            {
                "name": "gmail",
                "vendor": "google",
                "service_account": {"file": google["service_account"]},
                "api_url": google["url"],
                "token_url": google["token_url"],
                "ca_file": ca,
            },
            {
                "name": "outlook",
                "vendor": "microsoft",
                "tenant": microsoft["tenant"],
                "client_id": microsoft["client_id"],
                "certificate": {"file": microsoft["certificate"]},
                "login_url": microsoft["url"],
                "graph_url": microsoft["url"],
                "ca_file": ca,
            },
            {
                "name": "crm",
                "vendor": "salesforce",
                "login_url": salesforce["login_url"],
                "consumer_key": salesforce["consumer_key"],
                "username": _integration(salesforce),
                "private_key": {"file": salesforce["private_key"]},
                "ca_file": ca,
            },
        ],
        "policies": [
            {"name": name, "crm_connection": "crm", "mail_connection": mail, "options": OPTIONS}
            for name, mail in (("sales", "gmail"), ("sales in Outlook", "outlook"))
        ],
        "mailboxes": mailboxes,
    }


def _end(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
