"""Followed conversations: which threads of a mailbox go where. Called under the mailbox's lease, but for `redirect` and
`end_of`, which concern a conversation in every mailbox that holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from sync.store.rows import Follow
from sync.store.sightings import chunks
from sync.store.tables import filing, follow, sighting

_READ = [column for column in follow.c if column.name not in ("mailbox_id", "state", "reason")]
_LIVE = follow.c.state == "live"


def _row(row: sa.RowMapping) -> Follow:
    return Follow(**row)


def live(conn: sa.Connection, mailbox_id: int, threads: Sequence[str]) -> dict[str, list[Follow]]:
    """By thread."""
    out: dict[str, list[Follow]] = {}
    for part in chunks(sorted(set(threads))):
        where = follow.c.mailbox_id == mailbox_id, follow.c.thread.in_(part), _LIVE
        for row in conn.execute(sa.select(*_READ).where(*where).order_by(follow.c.id)).mappings():
            out.setdefault(row["thread"], []).append(_row(row))
    return out


def any_live(conn: sa.Connection, mailbox_id: int, mails: int = 0) -> bool:
    """Whether a conversation of at least so many mails is followed."""
    query = sa.select(follow.c.id).where(follow.c.mailbox_id == mailbox_id, _LIVE, follow.c.mails >= mails).limit(1)
    return conn.execute(query).first() is not None


def unscanned(conn: sa.Connection, mailbox_id: int, limit: int) -> list[Follow]:
    """Those whose thread was not yet looked at for mails that were there already."""
    where = follow.c.mailbox_id == mailbox_id, _LIVE, sa.not_(follow.c.scanned)
    return [_row(row) for row in conn.execute(sa.select(*_READ).where(*where).limit(limit)).mappings()]


def rescan(conn: sa.Connection, mailbox_id: int, since: float) -> None:
    """Look at the threads again: changes were missed. Conversations that began before `since` are left."""
    where = follow.c.mailbox_id == mailbox_id, _LIVE, follow.c.created_at >= since
    conn.execute(follow.update().where(*where).values(scanned=sa.false()))


def scanned(conn: sa.Connection, mailbox_id: int, mails: Mapping[int, int]) -> None:
    """Follow id -> how many mails its thread has."""
    for key, count in sorted(mails.items()):
        where = follow.c.id == key, follow.c.mailbox_id == mailbox_id
        conn.execute(follow.update().where(*where).values(scanned=sa.true(), mails=count))


def arrived(conn: sa.Connection, mailbox_id: int, threads: Mapping[str, int]) -> None:
    """Thread -> so many more mails."""
    for thread, count in sorted(threads.items()):
        where = follow.c.mailbox_id == mailbox_id, follow.c.thread == thread, _LIVE
        conn.execute(follow.update().where(*where).values(mails=follow.c.mails + count))


def begin(
    conn: sa.Connection,
    mailbox_id: int,
    thread: str,
    target: str,
    *,
    subject_hash: str,
    filing_id: int | None,
    since: float,
    now: float,
    scanned: bool,
) -> None:
    """Follow the thread to this target from now on; one that was ended lives again."""
    where = follow.c.mailbox_id == mailbox_id, follow.c.thread == thread, follow.c.target == target
    values = {
        "subject_hash": subject_hash,
        "filing_id": filing_id,
        "since": since,
        "created_at": now,
        "state": "live",
        "reason": None,
        "scanned": scanned,
    }
    row = conn.execute(sa.select(follow.c.id, follow.c.state).where(*where)).first()
    if row is None:
        conn.execute(follow.insert().values(mailbox_id=mailbox_id, thread=thread, target=target, mails=1, **values))
    elif row.state != "live":
        conn.execute(follow.update().where(follow.c.id == row.id).values(values))


def end(conn: sa.Connection, mailbox_id: int, threads: Sequence[str], reason: str) -> int:
    """Stop following these threads; how many follows ended."""
    count = 0
    for part in chunks(sorted(set(threads))):
        where = follow.c.mailbox_id == mailbox_id, follow.c.thread.in_(part), _LIVE
        count += conn.execute(follow.update().where(*where).values(state="ended", reason=reason)).rowcount
    return count


def end_of(conn: sa.Connection, mailbox_id: int | None, targets: Sequence[str], reason: str) -> int:
    """Stop what follows to these targets, in one mailbox or (None) in all."""
    where = [follow.c.target.in_(list(targets)), _LIVE]
    if mailbox_id is not None:
        where.append(follow.c.mailbox_id == mailbox_id)
    return conn.execute(follow.update().where(*where).values(state="ended", reason=reason)).rowcount


def end_by(conn: sa.Connection, filing_ids: Sequence[int], reason: str) -> int:
    """Stop what these filings began."""
    where = follow.c.filing_id.in_(list(filing_ids)), _LIVE
    return conn.execute(follow.update().where(*where).values(state="ended", reason=reason)).rowcount


def threads_of(conn: sa.Connection, mailbox_id: int, connection_id: int, message_keys: Sequence[str]) -> list[str]:
    """The threads of this mailbox in which filed mails with these keys lie."""
    out: set[str] = set()
    for part in chunks(sorted(set(message_keys))):
        query = (
            sa.select(sighting.c.thread)
            .join(filing, filing.c.id == sighting.c.filing_id)
            .where(
                sighting.c.mailbox_id == mailbox_id,
                filing.c.connection_id == connection_id,
                filing.c.message_key.in_(part),
            )
        )
        out.update(conn.execute(query).scalars())
    return sorted(out)


def redirect(
    conn: sa.Connection,
    connection_id: int,
    message_key: str,
    left: Sequence[str],
    to: str,
    *,
    before: float,
    now: float,
) -> None:
    """A mail of the conversation was put elsewhere: whoever holds a copy and follows its thread to one of `left`, since
    before then, follows it to `to` from now on (product.md 9 F7.6)."""
    copies = (
        sa.select(sighting.c.mailbox_id, sighting.c.thread)
        .join(filing, filing.c.id == sighting.c.filing_id)
        .where(filing.c.connection_id == connection_id, filing.c.message_key == message_key)
        .distinct()
    )
    for copy in conn.execute(copies).all():
        where = (
            follow.c.mailbox_id == copy.mailbox_id,
            follow.c.thread == copy.thread,
            follow.c.target.in_(list(left)),
            follow.c.created_at < before,
            _LIVE,
        )
        rows = conn.execute(sa.select(*_READ).where(*where).order_by(follow.c.id)).mappings().all()
        if not rows:
            continue
        conn.execute(
            follow.update()
            .where(follow.c.id.in_([row["id"] for row in rows]))
            .values(state="ended", reason="redirected")
        )
        first = rows[0]
        begin(
            conn,
            copy.mailbox_id,
            copy.thread,
            to,
            subject_hash=first["subject_hash"],
            filing_id=first["filing_id"],
            since=first["since"],
            now=now,
            scanned=True,
        )
