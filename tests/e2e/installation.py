"""An installation of Mailspan as processes, on a sandbox: started, asked and killed as an administrator could."""

from __future__ import annotations

import base64
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import psutil
import requests
import structlog
import yaml
from click.testing import CliRunner

from server.cli import main
from sync import jobs, settings, wiring
from tests.databases import KEY
from tests.sandboxed import ROOT, Json, Sandbox

T = TypeVar("T")
DROP = "Salesforce/- Create New Email"
DONE = "Processing Complete!"
MISSING = "Missing Required Matches"
FAILED = "Tracking Failed"
ENDS = frozenset({DONE, MISSING, FAILED})
OPTIONS = {"internal_domains": ["northpeak-automation.example"], "drop_poll_seconds": 1}
GRAPH = "/composite/graph"
OUTLOOK_POLICY = "sales in Outlook"


def until(condition: Callable[[], T], seconds: float, what: str) -> T:
    """The first true value of the condition; fails by name when there is none in time."""
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)
    return found


@dataclass
class Installation:
    """`mailboxes` of the sandbox are its own; processes write to log files in `folder`."""

    sandbox: Sandbox
    folder: Path
    database_url: str
    mailboxes: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=lambda: OPTIONS)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILSPAN_")}
        self.environ = {
            **kept,
            "MAILSPAN_DATA_DIR": str(self.folder),
            "MAILSPAN_DATABASE_URL": self.database_url,
            "MAILSPAN_SECRET_KEY": KEY,
            "MAILSPAN_LOG_FORMAT": "json",
            **self.environ,
        }

    # ---- processes ---------------------------------------------------------------------------

    def start(
        self, name: str, *arguments: str, within: Sequence[str] = (), environ: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """`mailspan ARGUMENTS...` as a process of its own; `within` is a command that runs it somewhere else."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*within, sys.executable, "-m", "sync.cli", *arguments],
                env={**self.environ, **(environ or {})},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self.processes[name]

    def family(self, name: str, *words: str) -> list[psutil.Process]:
        """The process and all below it; with `words`, those with one of these in their command line."""
        top = psutil.Process(self.processes[name].pid)
        found = [top, *top.children(recursive=True)]
        return [one for one in found if not words or any(word in each for word in words for each in _words(one))]

    def end(self, name: str, how: signal.Signals = signal.SIGTERM) -> tuple[int, float, list[psutil.Process]]:
        """The exit status, the seconds it took, and who of the family still lives."""
        family, process = self.family(name), self.processes.pop(name)
        begun = time.monotonic()
        process.send_signal(how)
        status = process.wait(20)
        took = time.monotonic() - begun
        return status, took, [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]

    def close(self) -> None:
        """End what still runs."""
        if "app" in self.__dict__:
            self.app.close()
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # ---- commands ----------------------------------------------------------------------------

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "server.cli", *arguments],
            env=dict(self.environ),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def told(self, *arguments: str) -> Json:
        """What a command says with --json; run in this process, which has loaded already what it needs."""
        handlers = logging.getLogger().handlers[:]
        try:
            done = CliRunner().invoke(main, [*arguments, "--json"], env=dict(self.environ), catch_exceptions=False)
        finally:  # a command sets up the log of its process
            logging.getLogger().handlers[:] = handlers
            structlog.reset_defaults()
        assert done.exit_code == 0, done.output
        found: Json = json.loads(done.stdout)
        return found

    def apply(self) -> Json:
        """Declare the sandbox's vendors and our mailboxes."""
        path = self.folder / "mailspan.yaml"
        path.write_text(yaml.safe_dump(self.declaration()))
        return self.told("apply", str(path))

    def declaration(self) -> Json:
        google, salesforce, ca = self.sandbox.ready["google"], self.sandbox.ready["salesforce"], self.sandbox.ca
        gmail = {
            "name": "gmail",
            "vendor": "google",
            "service_account": {"file": google["service_account"]},
            "api_url": google["url"],
            "token_url": google["token_url"],
            "ca_file": ca,
        }
        crm = {
            "name": "crm",
            "vendor": "salesforce",
            "login_url": salesforce["login_url"],
            "consumer_key": salesforce["consumer_key"],
            "username": self.crm_user,
            "private_key": {"file": salesforce["private_key"]},
            "ca_file": ca,
        }
        connections, systems = [gmail, crm], {"sales": "gmail"}
        if any(map(self.in_outlook, self.mailboxes)):
            connections, systems = [*connections, self._outlook()], {**systems, OUTLOOK_POLICY: "outlook"}
        policies = [
            {"name": name, "crm_connection": "crm", "mail_connection": mail, "options": dict(self.options)}
            for name, mail in systems.items()
        ]
        mailboxes = [
            {"address": address, "policy": OUTLOOK_POLICY if self.in_outlook(address) else "sales"}
            for address in self.mailboxes
        ]
        return {"connections": connections, "policies": policies, "mailboxes": mailboxes}

    def _outlook(self) -> Json:
        microsoft = self.sandbox.ready["microsoft"]
        return {
            "name": "outlook",
            "vendor": "microsoft",
            "tenant": microsoft["tenant"],
            "client_id": microsoft["client_id"],
            "certificate": {"file": microsoft["certificate"]},
            "login_url": microsoft["url"],
            "graph_url": microsoft["url"],
            "ca_file": self.sandbox.ca,
        }

    def in_outlook(self, address: str) -> bool:
        return address in self.sandbox.ready["microsoft"]["tokens"]

    def desk(self, address: str) -> Desk:
        """The mailbox as its user sees it."""
        return OutlookDesk(self.sandbox, address) if self.in_outlook(address) else Desk(self.sandbox, address)

    @property
    def crm_user(self) -> str:
        names = list(self.sandbox.ready["salesforce"]["tokens"])
        return next((name for name in names if name.startswith("integration@")), names[0])

    # ---- the inside --------------------------------------------------------------------------

    @cached_property
    def app(self) -> wiring.App:
        """The installation as the hooks of the server see it: store and queue."""
        return wiring.App(settings.load(self.environ))

    def knock(self, address: str) -> None:
        """What a push does: saves the wait for the next look."""
        jobs.knock(self.app, self.mailbox_id(address))

    def mailbox_id(self, address: str) -> int:
        return next(box.id for box in self.app.store.mailboxes() if box.address == address)

    def leases(self) -> dict[str, int]:
        """Mailbox -> process that holds its lease now."""
        boxes = self.app.store.mailboxes()
        return {box.address: int(box.lease_owner.rpartition(":")[2]) for box in boxes if box.lease_owner}


@dataclass(frozen=True)
class Desk:
    """One user's mailbox as the user sees it, through the sandbox's control port: no call is metered."""

    sandbox: Sandbox
    address: str

    def mails(self) -> list[Json]:
        found: list[Json] = self.sandbox.state("google")["mailboxes"][self.address]["messages"]
        return found

    def box(self) -> Json:
        """All that the mailbox holds."""
        found: Json = self.sandbox.state("google")["mailboxes"][self.address]
        return found

    def has_tree(self) -> bool:
        return DROP in self.box()["labels"].values()

    def find(self, message_id: str) -> str:
        """The id of the mail with this Message-ID."""
        return next(str(mail["id"]) for mail in self.mails() if mail["messageId"] == message_id)

    def deliver(self, raw: bytes, *labels: str) -> str:
        """A mail arrives; its id."""
        body: Json = {"user": self.address, "raw_base64": base64.b64encode(raw).decode()}
        if labels:
            body["labels"] = list(labels)
        return str(self.sandbox.act("google", "deliver", **body)["id"])

    def drop(self, mail: str, label: str = DROP) -> None:
        self.sandbox.act("google", "drop_message", user=self.address, message=mail, label=label, move=True)

    def marks(self, *mails: str) -> list[set[str]]:
        """Names of the labels on these mails."""
        found = {mail["id"]: set(mail["labels"]) for mail in self.mails()}
        return [found[mail] for mail in mails]

    def at_home(self, marks: set[str]) -> bool:
        """Whether a mail that was received, with these marks, lies in the inbox."""
        return bool(marks & {"INBOX", "Inbox"})

    def ended(self, *mails: str) -> bool:
        """Whether each carries an end marker and lies on no drop label."""
        return all(DROP not in marks and marks & ENDS for marks in self.marks(*mails))


@dataclass(frozen=True)
class OutlookDesk(Desk):
    """The same of an Outlook mailbox. Marks are the categories and the path of the folder; a reason reads as in Gmail.
    Ids are immutable ones."""

    def mails(self) -> list[Json]:
        return [
            {**mail, "id": mail["immutableId"], "labels": [mail["folder"], *map(_as_in_gmail, mail["categories"])]}
            for mail in self.box()["messages"]
        ]

    def box(self) -> Json:
        """Folders, categories and messages, as they are."""
        found: Json = self.sandbox.state("microsoft")["mailboxes"][self.address]
        return found

    def has_tree(self) -> bool:
        return DROP in self.box()["folders"].values()

    def deliver(self, raw: bytes, *labels: str) -> str:
        """A mail arrives, wearing the categories `labels`."""
        return str(
            self.act("deliver", raw_base64=base64.b64encode(raw).decode(), categories=list(labels))["immutableId"]
        )

    def drop(self, mail: str, label: str = DROP) -> None:
        self.act("drop", message=mail, to=label)

    def act(self, action: str, **body: object) -> Json:
        """What the user does (sandbox/microsoft/actions.py)."""
        return self.sandbox.act("microsoft", action, user=self.address, **body)


def _as_in_gmail(category: str) -> str:
    end, colon, reason = category.partition(": ")
    return f"{end}/{reason}" if colon and end in ENDS else category


def letter(who: str, to: str, subject: str, message_id: str) -> bytes:
    """A plain mail."""
    return (
        f"From: Laura Keller <{who}>\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: {message_id}\r\n"
        f"Date: Mon, 21 Sep 2026 10:00:00 +0200\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello, {subject}.\r\n"
    ).encode()


def records(sandbox: Sandbox, user: str, *message_ids: str) -> list[str]:
    """Ids of the CRM's e-mail records with these Message-IDs, asked through the vendor's API."""
    soql = f"SELECT Id FROM EmailMessage WHERE MessageIdentifier IN ({quoted(*message_ids)})"
    return [row["Id"] for row in query(sandbox, user, soql)]


def quoted(*texts: str) -> str:
    """A list for SOQL."""
    return ", ".join("'" + one.replace("'", "\\'") + "'" for one in texts)


def query(sandbox: Sandbox, user: str, soql: str) -> list[Json]:
    """Rows of the CRM; the call is not metered."""
    answer = requests.get(
        sandbox.url("salesforce") + "/services/data/v67.0/query",
        params={"q": soql},
        headers={"Authorization": f"Bearer {sandbox.token('salesforce', user)}", "X-Sandbox-Onlooker": "test"},
        verify=sandbox.ca,
        timeout=20,
    )
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["records"]
    return found


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
