"""The composition root: settings, policy and credentials become ports. Only here is known which vendor is what."""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import socket
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sync import embedded, log, policy, settings
from sync.core.matching import MailboxIdentity
from sync.engine.budget import Budget, Quota
from sync.engine.feed import Wants
from sync.engine.work import Ports
from sync.errors import Denied
from sync.model import Trigger
from sync.modules import Scope
from sync.policy import Policy
from sync.ports import CrmProvider, MailProvider
from sync.settings import ConfigError, Settings
from sync.store.rows import Connection, Mailbox
from sync.store.store import Store

if TYPE_CHECKING:
    from sync.providers.google.auth import Grants
    from sync.providers.microsoft.auth import Grants as MicrosoftGrants
    from sync.providers.salesforce.auth import JwtBearer, RefreshToken

# Loading a vendor's libraries takes longer than all the rest, and the ticker and most commands open no mailbox: so the
# functions that open one import their vendor themselves, and who will open mailboxes calls `warm` first.
VENDORS = {
    "google": ("sync.providers.google.auth", "sync.providers.google.mail"),
    "microsoft": ("sync.providers.microsoft.auth", "sync.providers.microsoft.mail"),
    "salesforce": ("sync.providers.salesforce.auth", "sync.providers.salesforce.crm"),
}
CRM_NAMES = {"salesforce": "Salesforce"}
PUT: Mapping[str, Trigger] = {"google": "label", "microsoft": "folder"}  # what people put a mail on or in
KEPT_MAILBOXES = 500  # ports kept per process, so that connections and tokens live on between wakes


class App:
    """One process of an installation. Safe for threads; made after fork."""

    def __init__(self, config: Settings) -> None:
        self.settings = config
        self.store = Store.open(config.database_url, config.secret_keys, config.database_timeout_seconds)
        self.redis = connect_redis(config)
        self._kept: OrderedDict[int, tuple[tuple[Any, ...], Ports]] = OrderedDict()
        self._grants: dict[tuple[Any, ...], Grants] = {}
        self._microsoft: dict[tuple[Any, ...], MicrosoftGrants] = {}
        self._feeds: dict[tuple[Any, ...], CrmProvider] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        self.redis.close()
        self.store.close()

    def ports(self, mailbox_id: int) -> Ports:
        """Both ends of a mailbox. Raises `Denied` when its configuration cannot work."""
        mailbox = self.store.mailbox(mailbox_id)
        stored = self.store.policy_of(mailbox_id)
        mail = self.store.connection(stored.mail_connection_id)
        crm = self.store.connection(stored.crm_connection_id)
        version = (mailbox.token, mailbox.crm_user, stored.id, stored.version, _digest(mail, crm))
        with self._lock:
            if mailbox_id in self._kept and self._kept[mailbox_id][0] == version:
                self._kept.move_to_end(mailbox_id)
                return self._kept[mailbox_id][1]
        ports = self._compose(mailbox, policy.parse(stored.options), mail, crm)
        with self._lock:
            self._kept[mailbox_id] = (version, ports)
            while len(self._kept) > KEPT_MAILBOXES:
                self._kept.popitem(last=False)
        return ports

    def _compose(self, mailbox: Mailbox, options: Policy, mail: Connection, crm: Connection) -> Ports:
        mail_port, mail_budget = self._mail(mailbox, mail)
        crm_port, crm_budget = self.crm(crm, options, mailbox)
        return Ports(
            mail=mail_port,
            crm=crm_port,
            crm_connection=crm.id,
            crm_name=CRM_NAMES[crm.vendor],
            policy=options,
            identity=MailboxIdentity(address=mailbox.address),
            owner=(mailbox.crm_user or mailbox.address).lower(),
            budgets=(mail_budget, crm_budget),
            put=PUT[mail.vendor],
        )

    def feed(self, connection_id: int) -> tuple[CrmProvider, Wants]:
        """A CRM as the connection's own user, and what is wanted of its items by policy. Raises `Denied`."""
        connection = self.store.connection(connection_id)
        wants: dict[int, Mapping[str, Scope]] = {}
        first: Policy | None = None
        for stored in self.store.policies():
            options = policy.parse(stored.options)
            if stored.crm_connection_id != connection_id or not options.enabled or not options.modules:
                continue
            first = first or options
            wants[stored.id] = {rule.name: options.assign_to_scope for rule in options.modules}  # type: ignore[misc]
        key = (connection_id, _digest(connection))
        with self._lock:
            if key not in self._feeds:
                self._feeds[key] = self.crm(connection, first or Policy(), None)[0]
            return self._feeds[key], wants

    def _mail(self, mailbox: Mailbox, connection: Connection) -> tuple[MailProvider, Budget]:
        if connection.vendor == "microsoft":
            return self._outlook(mailbox, connection)
        if connection.vendor != "google":
            raise Denied(f"connection {connection.name}: {connection.vendor} is no mail system that Mailspan knows")
        from sync.providers.google import quota as google_quota
        from sync.providers.google.mail import Gmail

        project = f"google:{connection.id}"
        quotas = (
            Quota(f"{project}:{mailbox.id}", google_quota.USER_UNITS_PER_MINUTE),
            Quota(project, google_quota.PROJECT_UNITS_PER_MINUTE),
        )
        budget = Budget("google", quotas, self.redis)
        http = self._google_grants(connection).http(mailbox.address, refresh_token=mailbox.token or "")
        api_url = connection.settings.get("api_url") or self.settings.google_api_url
        return Gmail(mailbox.address, http, budget, api_url=api_url), budget

    def _outlook(self, mailbox: Mailbox, connection: Connection) -> tuple[MailProvider, Budget]:
        from sync.providers.microsoft import quota
        from sync.providers.microsoft.mail import Outlook

        app = f"microsoft:{connection.id}"
        quotas = (
            Quota(f"{app}:{mailbox.id}", quota.MAILBOX_REQUESTS_PER_MINUTE),
            Quota(app, quota.APP_REQUESTS_PER_MINUTE),
        )
        budget = Budget("microsoft", quotas, self.redis)
        owner, given = f"mailbox:{mailbox.id}", mailbox.token or ""
        client = self._microsoft_grants(connection).client(
            mailbox.address,
            refresh_token=self.store.kept_token(owner, given) if given else "",
            renewed=lambda token: self.store.keep_token(owner, given, token),
        )
        return Outlook(mailbox.address, client, budget), budget

    def _microsoft_grants(self, connection: Connection) -> MicrosoftGrants:
        from sync.providers.microsoft.auth import Grants, Secrets

        key = (connection.id, _digest(connection))
        with self._lock:
            if key not in self._microsoft:
                values: Mapping[str, Any] = {**connection.settings, **connection.secrets}
                ca_file = values.get("ca_file") or self.settings.microsoft_ca_file
                self._microsoft[key] = Grants(
                    Secrets(
                        tenant=values["tenant"],
                        client_id=values["client_id"],
                        client_secret=values.get("client_secret", ""),
                        certificate=values.get("certificate", ""),
                        authority_url=values.get("login_url") or self.settings.microsoft_login_url,
                        graph_url=values.get("graph_url") or self.settings.microsoft_graph_url,
                        ca_file=str(ca_file) if ca_file else None,
                        timeout=self.settings.http_timeout_seconds,
                    )
                )
            return self._microsoft[key]

    def _google_grants(self, connection: Connection) -> Grants:
        from sync.providers.google.auth import Grants, Secrets

        key = (connection.id, _digest(connection))
        with self._lock:
            if key not in self._grants:
                account = connection.secrets.get("service_account")
                ca_file = connection.settings.get("ca_file") or self.settings.google_ca_file
                self._grants[key] = Grants(
                    Secrets(
                        service_account=json.loads(account) if account else None,
                        client_id=connection.settings.get("client_id", ""),
                        client_secret=connection.secrets.get("client_secret", ""),
                        token_url=connection.settings.get("token_url") or self.settings.google_token_url,
                        ca_file=str(ca_file) if ca_file else None,
                        timeout=self.settings.http_timeout_seconds,
                    )
                )
            return self._grants[key]

    def crm(self, connection: Connection, options: Policy, mailbox: Mailbox | None) -> tuple[CrmProvider, Budget]:
        """The CRM as the connection's user, or as the mailbox's own (policy option `crm_access`)."""
        if connection.vendor != "salesforce":
            raise Denied(f"connection {connection.name}: {connection.vendor} is no CRM that Mailspan knows")
        from sync.providers.salesforce.auth import JwtBearer, Login, RefreshToken, http_session
        from sync.providers.salesforce.crm import Salesforce

        values: Mapping[str, Any] = {**connection.settings, **connection.secrets}
        login_url = values.get("login_url") or self.settings.salesforce_login_url
        ca_file = values.get("ca_file") or self.settings.salesforce_ca_file
        http = http_session(str(ca_file) if ca_file else None, read=self.settings.http_timeout_seconds)
        grant: JwtBearer | RefreshToken
        if values.get("private_key"):
            as_user = options.crm_access == "user" and mailbox is not None
            username = (mailbox.crm_user or mailbox.address) if as_user and mailbox else values["username"]
            grant = JwtBearer(login_url, values["consumer_key"], values["private_key"], username)
        else:
            owner, given = f"connection:{connection.id}", values["refresh_token"]
            grant = RefreshToken(
                login_url,
                values["client_id"],
                self.store.kept_token(owner, given),
                values.get("client_secret", ""),
                rotated=lambda token: self.store.keep_token(owner, given, token),
            )
        budget = Budget("salesforce", (Quota(f"salesforce:{connection.id}", 6000),), self.redis)
        version = values.get("api_version") or self.settings.salesforce_api_version
        port = Salesforce(
            Login(grant, http), http, budget, version=version, extra_email_fields=options.extra_email_fields
        )
        return port, budget


def _digest(*connections: Connection) -> str:
    """Changes when settings or credentials of a connection do."""
    what = json.dumps([(c.id, dict(c.settings), dict(c.secrets)) for c in connections], sort_keys=True)
    return hashlib.sha256(what.encode()).hexdigest()


def connect_redis(config: Settings) -> Redis:
    """A client that notices within seconds when Redis is gone: one more try on a new connection, then `RedisError`."""
    seconds = config.redis_timeout_seconds
    url = _redis_url(config)
    alive: dict[str, Any] = (
        {} if url.startswith("unix:") else {"socket_keepalive": True, "socket_keepalive_options": {}}
    )
    if alive and hasattr(socket, "TCP_USER_TIMEOUT"):
        alive["socket_keepalive_options"] = {
            socket.TCP_KEEPIDLE: max(1, round(seconds)),
            socket.TCP_KEEPINTVL: max(1, round(seconds / 3)),
            socket.TCP_KEEPCNT: 3,
            socket.TCP_USER_TIMEOUT: round(seconds * 1000),
        }
    return Redis.from_url(
        url, socket_connect_timeout=seconds, socket_timeout=seconds, retry=Retry(NoBackoff(), 1), **alive
    )


def _redis_url(config: Settings) -> str:
    url = config.redis_url or embedded.find(config.data_dir)
    if url is None:
        raise ConfigError(["MAILSPAN_REDIS_URL: not set, and no `mailspan up` runs with this data directory"])
    return url


def warm(app: App) -> None:
    """Load the libraries of the connected vendors now, so that the first mail does not wait for them."""
    for vendor in sorted({connection.vendor for connection in app.store.connections()}):
        for module in VENDORS.get(vendor, ()):
            importlib.import_module(module)


@functools.cache
def current() -> App:
    """The application of this process, made at first use (after fork) from the environment."""
    config = settings.load()
    log.setup(config)
    return App(config)
