"""What changed in the CRM, asked once for the whole organisation, for all mailboxes that show it (design.md 9).

Its cost does not depend on how many users there are. A change may be told twice or late, and two workers may ask at the
same time: the versions decide, and the cursor only moves on together with what it told.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from sync.modules import Module, Scope
from sync.ports import CrmProvider
from sync.store.store import Store

log = structlog.get_logger()

PAGES = 20  # of one run; the next goes on

Wants = Mapping[int, Mapping[str, Scope]]
"""By policy: which modules its mailboxes show (names as the policy writes them), and whose items."""


def run(store: Store, connection_id: int, crm: CrmProvider, wants: Wants) -> set[int]:
    """Ask what changed and note it; the mailboxes to wake. Raises what the CRM raises: then nothing is lost."""
    names = sorted({name for scopes in wants.values() for name in scopes})
    modules = {name: found for name, found in crm.modules(names).items() if isinstance(found, Module)}
    kinds = {
        policy_id: {modules[name].kind: scope for name, scope in scopes.items() if name in modules}
        for policy_id, scopes in wants.items()
    }
    woken: set[int] = set()
    cursor = store.feed_cursor(connection_id)
    for _ in range(PAGES):
        page = crm.feed(cursor, sorted(modules))
        woken |= store.fan_out(connection_id, page.changed, kinds, page.cursor, first=cursor is None)
        cursor = page.cursor
        if not page.more:
            break
    log.debug("feed", connection=connection_id, mailboxes=len(woken))
    return woken
