"""What people ask of an installation: how the mailboxes are, and why a mail went where it went.

The functions give plain data for `--json`; those named `show_` print the same for people. The store holds ids and
hashes only: addresses, names and titles are read from the mailbox and the CRM at the moment of asking (design.md 6).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from sync.core import trace
from sync.core.reasons import REASONS
from sync.engine.work import Ports
from sync.errors import RemoteError
from sync.model import Item, Message, RecordRef
from sync.settings import ConfigError
from sync.store.rows import Explanation, Feed, Health, ParkedItem, Sighting
from sync.store.store import Store


def status(store: Store, open_ports: Callable[[int], Ports] | None, now: float) -> dict[str, Any]:
    """Every mailbox. `lag` is for how many seconds the oldest drop has waited, 0 when there is none: as the store knows
    it, and at most, as the mailbox itself tells, for what no worker has seen yet. Without `open_ports` no mailbox is
    asked; one that cannot be asked says why in `not_asked`."""
    with ThreadPoolExecutor(8) as pool:
        rows = pool.map(lambda health: _health(store, open_ports, health, now), store.status(now))
        return {"mailboxes": list(rows), "feeds": [_feed(feed, now) for feed in store.feeds()]}


def _feed(feed: Feed, now: float) -> dict[str, Any]:
    """How long ago the CRM was asked what changed in its items, in seconds."""
    age = None if feed.asked_at is None else round(max(0.0, now - feed.asked_at), 1)
    return {"connection": feed.connection, "age": age}


def _health(store: Store, open_ports: Callable[[int], Ports] | None, health: Health, now: float) -> dict[str, Any]:
    lag, refusal = health.lag, None
    if open_ports is None or health.state == "disabled":
        refusal = "disabled" if health.state == "disabled" else "offline"
    else:
        try:
            lag = max(lag, _unseen(store, open_ports, health, now))
        except (RemoteError, ConfigError) as error:
            refusal = str(error)
    return {
        "mailbox": health.mailbox_id,
        "address": health.address,
        "policy": health.policy,
        "state": health.state,
        "reason": health.reason,
        "lag": round(lag, 1),
        "not_asked": refusal,
        "waiting": health.open + health.decided,
        "next_due": _moment(max(health.next_due, health.not_before)),
        "due_in": round(max(0.0, max(health.next_due, health.not_before) - now), 1),
        "last_sync": _moment(health.synced_at),
        "follows": health.follows,
        "modules": [asdict(one) for one in health.modules],
        "unusable": [{"module": name, "error": error} for name, error in health.unusable.items()],
        "parked": [_parked(item) for item in health.parked],
    }


def _unseen(store: Store, open_ports: Callable[[int], Ports], health: Health, now: float) -> float:
    """How long a drop that no worker has seen may have waited: no longer than since the last finished look, and no
    longer than the mail is there."""
    drops = [item.remote_id for key, item in store.labels(health.mailbox_id).items() if key.startswith("drop.")]
    arrived = open_ports(health.mailbox_id).mail.lag(drops) if drops else {}
    return max(0.0, now - max(min(arrived.values()), health.synced_at or 0.0)) if arrived else 0.0


def _parked(item: ParkedItem) -> dict[str, Any]:
    return {
        "id": item.sighting_id,
        "message": item.remote_id,
        "since": _moment(item.since),
        **_reason(item.reason),
    }


def _reason(code: str | None) -> dict[str, Any]:
    known = REASONS.get(code or "")
    return {"reason": code, "text": known.text if known else None, "advice": known.advice if known else None}


def _moment(epoch: float | None) -> str | None:
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="seconds") if epoch else None


def _console() -> Console:
    """For a file or a pipe wide enough that no address is cut."""
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)


def show_status(found: Mapping[str, Any]) -> None:
    console = _console()
    if not found["mailboxes"]:
        console.print("no mailbox is declared: mailspan apply FILE")
        return
    table = Table()
    for heading in ("mailbox", "policy", "state", "lag s", "waiting", "next look in s", "items", "followed", "parked"):
        table.add_column(
            heading, justify="left" if heading in ("mailbox", "policy", "state") else "right", overflow="fold"
        )
    for row in found["mailboxes"]:
        state = row["state"] + (f": {row['reason']}" if row["reason"] else "")
        shown = sum(max(one["leaves"], one["summaries"]) for one in row["modules"])
        numbers = (row["lag"], row["waiting"], row["due_in"], shown, row["follows"], len(row["parked"]))
        table.add_row(row["address"], row["policy"], state, *map(str, numbers))
    console.print(table)
    for row in found["mailboxes"]:
        _show_details(console, row)
    for feed in found["feeds"]:
        age = "never" if feed["age"] is None else f"{feed['age']:g} s ago"
        console.print(f"{feed['connection']} was asked for changed items: {age}", markup=False)


def _show_details(console: Console, row: Mapping[str, Any]) -> None:
    if row["not_asked"] not in (None, "disabled", "offline"):
        console.print(f"{row['address']} could not be asked: {row['not_asked']}", markup=False)
    for one in row["modules"]:
        more = f", {one['due']} due" if one["due"] else ""
        more += "; there are more than assign_to_cap" if one["capped"] else ""
        counts = f"{one['leaves']} drop labels, {one['summaries']} summaries"
        console.print(f"{row['address']} shows of {one['kind']}: {counts}{more}", markup=False)
    for one in row["unusable"]:
        console.print(f"{row['address']} cannot use the module {one['module']}: {one['error']}", markup=False)
    for item in row["parked"]:
        text = item["text"] or item["reason"]
        console.print(f"parked {item['id']} in {row['address']} since {item['since']}: {text}", markup=False)
        console.print(
            f"    {item['advice'] or ''} Why: mailspan explain {item['id']}; again: mailspan retry {item['id']}",
            markup=False,
        )


def explain(store: Store, open_ports: Callable[[int], Ports], message_id: str) -> dict[str, Any]:
    """Every filing of a mail, with every copy that led to it.

    `message_id` may lack its angle brackets, or be the number of a copy as `status` shows it. `open_ports` gives both
    ends of a mailbox; where it raises `ConfigError` or a remote error, ids remain without names.
    """
    wanted, key = _key(store, message_id)
    found = store.explain(key) if key else []
    return {"message_id": wanted, "filings": [_explained(store, open_ports, item) for item in found]}


def _key(store: Store, message_id: str) -> tuple[str, str | None]:
    """A mail as a person names it, and as the store does."""
    wanted = message_id.strip()
    if wanted.isdecimal():
        return wanted, store.message_hash(int(wanted))
    wanted = wanted if wanted.startswith("<") else f"<{wanted}>"
    return wanted, store.hash(wanted)


def undo(
    store: Store, message_id: str, wait: float, clock: Callable[[], float], sleep: Callable[[float], None]
) -> dict[str, Any]:
    """Have a mail's filings taken back, and say how that ended: `undone` (with what was `left` and why), `asked` (not
    waited for, or not done in time), `refused` (with the error), `unknown` (no such mail), `busy` (being filed)."""
    wanted, key = _key(store, message_id)
    until = clock() + wait
    asked = store.undo(key) if key else None
    while asked is not None and asked.busy and clock() < until:
        sleep(0.5)
        asked = store.undo(key or "")
    out: dict[str, Any] = {"message_id": wanted, "left": []}
    if asked is None or not (asked.filings or asked.busy):
        return {**out, "ended": "unknown"}
    if asked.busy:
        return {**out, "ended": "busy"}
    while clock() < until:
        filings = [one.filing for one in store.explain(key or "")]
        told = [(one.trace or {}).get("undo", {}) for one in filings]
        if all(one.state == "undone" for one in filings):
            return {**out, "ended": "undone", "left": sorted({line for one in told for line in one.get("left", ())})}
        open_still = any(copy.state == "open" for one in store.explain(key or "") for copy in one.sightings)
        errors = [one["error"] for one in told if "error" in one]
        if errors and not open_still:
            return {**out, "ended": "refused", "error": errors[0]}
        sleep(0.3)
    return {**out, "ended": "asked"}


def show_undo(found: Mapping[str, Any]) -> None:
    words = {
        "undone": "taken back",
        "asked": "the workers take it back; `mailspan explain` shows when it is done",
        "refused": f"not taken back: {found.get('error', '')}",
        "unknown": "no such mail was filed here",
        "busy": "the mail is still being filed; try again in a moment",
    }
    console = _console()
    console.print(words[found["ended"]], markup=False)
    for line in found["left"]:
        console.print(f"left: {line}", markup=False)


def _explained(store: Store, open_ports: Callable[[int], Ports], item: Explanation) -> dict[str, Any]:
    filing = item.filing
    stored = filing.trace or {}
    created = {key: RecordRef(kind, id_) for key, (kind, id_) in filing.records.items()}
    live = _ask(store, open_ports, item, [*created.values(), *trace.records(stored)])

    def record(text: str | None) -> dict[str, Any] | None:
        if not text:
            return None
        kind, _, id_ = text.partition(":")
        return live.shown(created.get(id_, RecordRef(kind, id_)))

    def choice(made: Mapping[str, Any]) -> dict[str, Any]:
        return {**made, "candidates": [record(one) for one in made["candidates"]], "chosen": record(made["chosen"])}

    addresses = []
    for one in stored.get("addresses", ()):
        account = choice(one["account"]) if one.get("account") else None
        addresses.append({**choice(one), "address": live.addresses.get(one["address"]), "account": account})
    return {
        "filing": filing.id,
        "state": filing.state,
        "target": filing.target,
        "trigger": filing.trigger,
        "planned": _moment(filing.created_at),
        "done": _moment(filing.done_at),
        **_reason(filing.reason),
        "verdict": stored.get("verdict"),
        "addresses": addresses,
        "record": stored.get("record"),
        "records": {key: live.shown(ref) for key, ref in created.items()},
        "notes": stored.get("notes", []),
        "error": stored.get("error"),
        "copies": [_copy(store, copy) for copy in item.sightings],
        "not_read": live.problems,
        "lines": list(trace.readable(stored, live.items, live.addresses, created)) if stored else [],
    }


def _copy(store: Store, copy: Sighting) -> dict[str, Any]:
    return {
        "id": copy.id,
        "mailbox": store.mailbox(copy.mailbox_id).address,
        "message": copy.remote_id,
        "trigger": copy.trigger,
        "state": copy.state,
        "outcome": copy.outcome,
        **_reason(copy.reason),
        "attempts": copy.attempts,
        "seen": _moment(copy.created_at),
        "settled": _moment(copy.settled_at),
        "calls": copy.calls,
    }


@dataclass(frozen=True, slots=True)
class _Live:
    """What the mailbox and the CRM say now about the hashes and ids of a trace; `problems` says what they did not."""

    addresses: Mapping[str, str]
    items: Mapping[RecordRef, Item]
    problems: list[str]

    def shown(self, ref: RecordRef) -> dict[str, Any]:
        item = self.items.get(ref)
        return {"kind": ref.kind, "id": ref.id, "title": item and item.title, "link": item and item.link}


def _ask(store: Store, open_ports: Callable[[int], Ports], item: Explanation, records: Sequence[RecordRef]) -> _Live:
    """One call each to the first mailbox and CRM that can be asked."""
    addresses: dict[str, str] = {}
    items: Mapping[RecordRef, Item] = {}
    problems: list[str] = []
    for copy in item.sightings:
        try:
            ports = open_ports(copy.mailbox_id)
            items = items or ports.crm.names(list(dict.fromkeys(records)))
            message = ports.mail.read([copy.remote_id]).get(copy.remote_id)
        except (RemoteError, ConfigError) as error:
            problems.append(str(error))
            continue
        if isinstance(message, Message):
            addresses = {store.hash(one.email): one.email for one in message.mime.participants}
            break
        problems.append(str(message or "the mail is no longer in the mailbox"))
    return _Live(addresses, items, problems)


def show_explanation(found: Mapping[str, Any]) -> None:
    console = _console()
    if not found["filings"]:
        console.print("no such mail was dropped here, or it has no filing yet")
    for filing in found["filings"]:
        console.print(f"[bold]{filing['state']}[/]: {filing['target']}, by {filing['trigger']}")
        for line in filing["lines"]:
            console.print(line, markup=False)
        if filing["error"]:
            console.print(f"the CRM said: {filing['error']}", markup=False)
        for key, record in filing["records"].items():
            words = (f"{key}: {record['kind']}", record["title"], record["id"], record["link"])
            console.print("wrote " + " ".join(word for word in words if word), markup=False)
        for copy in filing["copies"]:
            spent = ((vendor, row["calls"]) for vendor, row in (copy["calls"] or {}).items())
            calls = ", ".join(f"{vendor} {count}" for vendor, count in spent) or "none"
            words = (f"{copy['mailbox']}:", copy["state"], copy["outcome"], f"(calls of its batch: {calls})")
            console.print(" ".join(word for word in words if word), markup=False)
        for problem in filing["not_read"]:
            console.print(f"not read now: {problem}", markup=False)
