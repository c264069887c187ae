"""What can go wrong with a remote system, named after the engine's one reaction to it."""

from __future__ import annotations


class RemoteError(Exception):
    """A remote system refused or failed. `detail` is safe to log: it never holds mail content or secrets."""

    def __init__(self, detail: str = "", *, vendor: str = "", operation: str = "", status: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.vendor = vendor
        self.operation = operation
        self.status = status

    def __str__(self) -> str:
        where = " ".join(part for part in (self.vendor, self.operation) if part)
        code = f" ({self.status})" if self.status else ""
        return f"{where}{code}: {self.detail}" if where else self.detail


class Busy(RemoteError):
    """429, 5xx, network trouble or an empty budget: give back and come again after `retry_after` seconds.

    `unknown` is true when the call may have taken effect although no answer came: look before repeating it.
    """

    def __init__(
        self,
        detail: str = "",
        *,
        retry_after: float = 5.0,
        unknown: bool = False,
        vendor: str = "",
        operation: str = "",
        status: int | None = None,
    ) -> None:
        super().__init__(detail, vendor=vendor, operation=operation, status=status)
        self.retry_after = retry_after
        self.unknown = unknown


class Conflict(RemoteError):
    """409, 412 or a stale etag: re-read and plan again once."""


class Missing(RemoteError):
    """404 or 410 on an item: treat it as deleted."""


class CursorExpired(RemoteError):
    """The change cursor is too old or unknown: read the level (what lies there now) instead."""


class Denied(RemoteError):
    """401 after a refresh, a missing scope, a revoked grant: park the mailbox and tell the admin; no retry."""


class Rejected(RemoteError):
    """One item was refused for what it is: park it, and show `reason` (a code of `core.reasons`) in the mailbox."""

    def __init__(
        self,
        detail: str = "",
        *,
        reason: str = "rejected",
        vendor: str = "",
        operation: str = "",
        status: int | None = None,
    ) -> None:
        super().__init__(detail, vendor=vendor, operation=operation, status=status)
        self.reason = reason


class Unsupported(Exception):
    """A provider cannot do what was asked; it says so instead of dropping it."""


class LeaseLost(Exception):
    """Another worker holds the mailbox now: nothing more may be committed for it."""
