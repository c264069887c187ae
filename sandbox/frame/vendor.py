"""The contract between the frame and a vendor's simulator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

Json = dict[str, Any]


@runtime_checkable
class Vendor(Protocol):
    """One simulated vendor. A package offers it as ``create(frame) -> Vendor``.

    The WSGI app tells the middleware what a call was by ``environ["sandbox.call"]``, see
    `sandbox.frame.middleware.Call`. Optional methods that the frame uses when they are there:

    - ``caller(environ) -> str | None``: the user that the request's token names, cheaply; faults
      that name a user and the concurrency count need it.
    - ``gate(environ, user) -> context manager``: held from a request's arrival until its answer is
      ready, latency and faults included; for limits on requests in flight.
    - ``state() -> dict``: a dump for tests (``GET /state/{vendor}``).
    - ``close() -> None``: stop own threads at shutdown.
    """

    @property
    def name(self) -> str:
        """ "google", "microsoft" or "salesforce"."""

    @property
    def app(self) -> WSGIApplication:
        """The WSGI callable that serves the vendor's port."""

    def reset(self) -> None:
        """Forget everything, back to an empty vendor."""

    def seed(self, org: Json, mail: Path | None) -> None:
        """Fill from a parsed organisation; its mail files are relative to the folder `mail`."""

    def tokens(self) -> dict[str, str]:
        """Address or user name -> a ready bearer token with full rights that never expires."""

    def act(self, action: str, body: Json) -> Json:
        """Act as a user would in the vendor's own interface, leaving the real change records.

        Raises LookupError for an action or object that does not exist, ValueError for a body that
        makes no sense.
        """

    def info(self) -> Json:
        """More members for the vendor's part of the ready line."""
