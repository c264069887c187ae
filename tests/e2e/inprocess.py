"""An installation without processes: engine and adapters run here, batch by batch, against the sandbox; to be quick."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sync.engine import wake as engine
from sync.wiring import App
from tests.e2e.installation import Installation
from tests.sandboxed import Sandbox

LOOKS = 20


@contextmanager
def declared(sandbox: Sandbox, folder: Path, users: Sequence[str]) -> Iterator[Installation]:
    """Every mailbox has its tree. No Redis answers, so that no budget holds us up; the sandbox's quotas are off."""
    sandbox.settings(gmail_quota=False)
    environ = {"MAILSPAN_REDIS_URL": f"unix://{folder}/nobody.sock"}
    installation = Installation(sandbox, folder, f"sqlite:///{folder / 'mailspan.sqlite3'}", users, environ)
    installation.apply()
    wake(installation, *users)
    try:
        yield installation
    finally:
        installation.close()


def look(app: App, mailbox: int, ahead: float = 0.0, worker: str = "worker") -> engine.Report:
    """One wake, `ahead` seconds from now."""
    app.store.wake(mailbox)
    return engine.wake(
        app.store,
        mailbox,
        app.ports,
        worker=worker,
        clock=lambda: time.time() + ahead,
        lease_seconds=60,
        guard_seconds=20,
    )


def wake(office: Installation, *users: str, until: Callable[[], bool] = lambda: True) -> None:
    """Wake these mailboxes until that is so; the clock moves on where the engine wants to wait a moment."""
    ahead = 0.0
    for _ in range(LOOKS):
        for user in users:
            report = look(office.app, office.mailbox_id(user), ahead)
            assert report.ended == "done", report
        if until():
            return
        ahead += 1.1
    raise AssertionError(f"{LOOKS} looks did not do")
