"""A clock that was set back: what the future holds is brought to now (docs/adr/0004-guard-time.md).

Every time in the store was written by a host's clock. One that ran ahead, and was set right, leaves mailboxes that want
to be looked at in some hours, and leases and claims that seem to live that long. The ticker notes its time in the
store; when that note lies in the future, the clock went back.
"""

from __future__ import annotations

import sqlalchemy as sa

from sync.store import sightings
from sync.store.tables import creation, filing, mailbox, sighting

APART = 30.0  # seconds that the clocks of several hosts may differ
EVERY = 5.0  # seconds between two notes
OWNER, STREAM = "installation", "clock"


def went_back(conn: sa.Connection, now: float) -> float:
    """By how many seconds, as far as the last note tells; 0 when it did not."""
    noted = sightings.get_cursor(conn, OWNER, STREAM)
    back = float(noted) - now if noted else 0.0
    return back if back > APART else 0.0


def wants_note(conn: sa.Connection, now: float) -> bool:
    noted = sightings.get_cursor(conn, OWNER, STREAM)
    return noted is None or now - float(noted) >= EVERY


def note(conn: sa.Connection, now: float) -> None:
    sightings.set_cursor(conn, OWNER, STREAM, f"{now:.0f}")


def heal(conn: sa.Connection, now: float, lease_seconds: float, guard_seconds: float) -> int:
    """No wait ends later than now; leases and claims end when they would if they had just been renewed: their holder
    may be alive. How many mailboxes were put right."""
    changed = 0
    for name, most in (("not_before", now), ("next_due", now), ("lease_until", now + lease_seconds)):
        column = mailbox.c[name]
        changed += conn.execute(mailbox.update().where(column > most).values({name: most})).rowcount
    late = sighting.update().where(sighting.c.state == "open", sighting.c.not_before > now)
    conn.execute(late.values(not_before=now))
    for table in (filing, creation):
        until = now + guard_seconds
        conn.execute(table.update().where(table.c.claim_until > until).values(claim_until=until))
    conn.execute(mailbox.update().where(mailbox.c.swept_at > now).values(swept_at=0))
    note(conn, now)
    return changed
