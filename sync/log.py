"""Logs: structured, to standard error, without content. Our own lines and those of the libraries take the same way.

Logs name ids, never subjects, names or addresses (design.md 6): fields that could carry content are dropped, e-mail
addresses and Message-IDs inside other texts are blanked, and so are the installation's secrets.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, TextIO

import structlog

from sync.settings import Settings

# Fields that hold mail content, people or credentials, whoever logs them.
CONTENT = frozenset(
    "subject body text html snippet name first_name last_name company email address addresses sender recipients "
    "participants from to cc bcc headers mime raw filename payload".split()
)
CREDENTIALS = frozenset(
    "token access_token refresh_token id_token assertion password secret secrets client_secret private_key "
    "service_account authorization cookie".split()
)
_ADDRESS = re.compile(r"[^\s@<>\"'(),;:]+@[^\s@<>\"'(),;:]+")
_QUERY = re.compile(r"([?&][^=&\s]+)=[^&\s\"']+")  # values in addresses: search terms, tokens
_QUIET = (
    "rq",
    "rq.job",
    "rq.worker",
    "urllib3",
    "httplib2",
    "httpx",
    "httpcore",
    "googleapiclient",
    "google",
    "simple_salesforce",
    "alembic",
)


def setup(settings: Settings, stream: TextIO | None = None) -> None:
    """Set up structlog and the standard `logging` for this process; may be called again."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                Redact(_secrets(settings)),
                _renderer(settings.log_format, target),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for library in _QUIET:
        logging.getLogger(library).setLevel(max(logging.WARNING, root.level))


def _renderer(form: str, target: TextIO) -> structlog.typing.Processor:
    if form == "json":
        return structlog.processors.JSONRenderer(sort_keys=True)
    return structlog.dev.ConsoleRenderer(colors=target.isatty(), pad_event_to=0)


def _secrets(settings: Settings) -> tuple[str, ...]:
    passwords = re.findall(r"://[^/@]*:([^/@]+)@", f"{settings.database_url} {settings.redis_url or ''}")
    return (*settings.secret_keys, *passwords)


class Redact:
    """The structlog processor that keeps content, addresses and `secrets` out of every line."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._secrets = tuple(secret for secret in secrets if secret)

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {name: self._clean(value) for name, value in event.items() if self._allowed(name)}

    def text(self, text: str) -> str:
        """The text with secrets, addresses and the values of query strings blanked."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return _QUERY.sub(r"\1=***", _ADDRESS.sub("<address>", text))

    @staticmethod
    def _allowed(name: object) -> bool:
        return str(name).lower() not in CONTENT | CREDENTIALS

    def _clean(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, Mapping):
            return {str(name): self._clean(item) for name, item in value.items() if self._allowed(name)}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._clean(item) for item in value]
        return self.text(str(value))
