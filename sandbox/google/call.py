"""What an operation gets, and how it makes itself known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.google.accounts import Account
    from sandbox.google.oauth import Grant
    from sandbox.google.vendor import Google

Json = dict[str, Any]


@dataclass(slots=True)
class Call:
    """One checked call: who, with which rights, and the typed parameters, body and upload."""

    google: Google
    operation: str
    account: Account
    grant: Grant
    params: Json
    body: Json = field(default_factory=dict)
    media: bytes | None = None


Handler = Callable[[Call], Json | None]
OPERATIONS: dict[str, Handler] = {}


def operation(*names: str) -> Callable[[Handler], Handler]:
    """Register a function for operations by their ids in the discovery document.

    It returns the answer's JSON, or None for 204.
    """

    def register(handler: Handler) -> Handler:
        for name in names:
            OPERATIONS[name] = handler
        return handler

    return register
