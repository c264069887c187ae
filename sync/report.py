"""What people ask of an installation: how the mailboxes are, and why a mail went where it went.

The functions give plain data for `--json`; those named `show_` print the same for people. The store holds ids and
hashes only: addresses, names and titles are read from the mailbox and the CRM at the moment of asking (design.md 6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from sync.core.reasons import REASONS
from sync.engine.work import Ports
from sync.errors import RemoteError
from sync.model import Message, RecordRef
from sync.settings import ConfigError
from sync.store.rows import Explanation, Health, ParkedItem, Sighting
from sync.store.store import Store


def status(store: Store, now: float) -> dict[str, Any]:
    """Every mailbox. `lag` is the age in seconds of the oldest drop that is not settled; 0: there is none."""
    return {"mailboxes": [_health(health, now) for health in store.status(now)]}


def _health(health: Health, now: float) -> dict[str, Any]:
    return {
        "mailbox": health.mailbox_id,
        "address": health.address,
        "policy": health.policy,
        "state": health.state,
        "reason": health.reason,
        "lag": round(health.lag, 1),
        "waiting": health.open + health.decided,
        "next_due": _moment(max(health.next_due, health.not_before)),
        "due_in": round(max(0.0, max(health.next_due, health.not_before) - now), 1),
        "last_sync": _moment(health.synced_at),
        "parked": [_parked(item) for item in health.parked],
    }


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


def show_status(found: Mapping[str, Any]) -> None:
    console = Console()
    if not found["mailboxes"]:
        console.print("no mailbox is declared: mailspan apply FILE")
        return
    table = Table()
    for heading in ("mailbox", "policy", "state", "lag s", "waiting", "next look in s", "parked"):
        table.add_column(
            heading, justify="right" if heading.endswith((" s", "ing", "ked")) else "left", overflow="fold"
        )
    for row in found["mailboxes"]:
        state = row["state"] + (f": {row['reason']}" if row["reason"] else "")
        table.add_row(
            *map(str, (row["address"], row["policy"], state, row["lag"], row["waiting"], row["due_in"])),
            str(len(row["parked"])),
        )
    console.print(table)
    for row in found["mailboxes"]:
        for item in row["parked"]:
            console.print(f"parked {item['id']} in {row['address']} since {item['since']}: {item['text']}")
            console.print(f"    {item['advice']}  Then: mailspan retry {item['id']}")


def explain(store: Store, open_ports: Callable[[int], Ports], message_id: str) -> dict[str, Any]:
    """Every filing of a mail, with every copy that led to it. The angle brackets may be left out. `open_ports` gives
    both ends of a mailbox; where it raises `ConfigError` or a remote error, ids remain without names."""
    wanted = message_id.strip()
    wanted = wanted if wanted.startswith("<") else f"<{wanted}>"
    found = store.explain(store.hash(wanted))
    return {"message_id": wanted, "filings": [_explained(store, open_ports, item) for item in found]}


def _explained(store: Store, open_ports: Callable[[int], Ports], item: Explanation) -> dict[str, Any]:
    filing = item.filing
    trace = dict(filing.trace or {})
    live = _Live(store, open_ports, item)
    return {
        "filing": filing.id,
        "state": filing.state,
        "target": filing.target,
        "trigger": filing.trigger,
        "planned": _moment(filing.created_at),
        "done": _moment(filing.done_at),
        **_reason(filing.reason),
        "records": {key: live.record(_ref(record)) for key, record in filing.records.items()},
        "addresses": [live.decision(decision) for decision in trace.pop("decisions", ())],
        "trace": trace,
        "copies": [_copy(store, copy) for copy in item.sightings],
        "not_read": live.problems,
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


class _Live:
    """What the mailbox and the CRM say now about the hashes and ids of a trace. Where they cannot be asked, ids remain
    and `problems` says why."""

    def __init__(self, store: Store, open_ports: Callable[[int], Ports], item: Explanation) -> None:
        self.problems: list[str] = []
        self._hash = store.hash
        self._open = open_ports
        self._addresses: dict[str, str] = {}
        self._items: dict[RecordRef, dict[str, Any]] = {}
        for copy in item.sightings:
            if self._read(copy, item):
                break

    def _read(self, copy: Sighting, item: Explanation) -> bool:
        try:
            ports = self._open(copy.mailbox_id)
            message = ports.mail.read([copy.remote_id]).get(copy.remote_id)
            if isinstance(message, Message):
                self._addresses = {self._hash(one.email): one.email for one in message.mime.participants}
            elif message is not None:
                self.problems.append(str(message))
            names = ports.crm.names(sorted(_mentioned(item), key=lambda ref: (ref.kind, ref.id)))
            self._items = {ref: asdict(found) for ref, found in names.items()}
        except (RemoteError, ConfigError) as error:
            self.problems.append(str(error))
            return False
        return True

    def record(self, ref: RecordRef) -> dict[str, Any]:
        found = self._items.get(ref, {})
        return {"kind": ref.kind, "id": ref.id, "title": found.get("title"), "link": found.get("link")}

    def decision(self, decision: Mapping[str, Any]) -> dict[str, Any]:
        shown = dict(decision)
        shown["address"] = self._addresses.get(str(decision.get("address")))
        shown["candidates"] = [self.record(_ref(one)) for one in decision.get("candidates", ())]
        shown["chosen"] = self.record(_ref(decision["chosen"])) if decision.get("chosen") else None
        return shown


def _ref(value: Sequence[str]) -> RecordRef:
    kind, id_ = value
    return RecordRef(kind, id_)


def _mentioned(item: Explanation) -> set[RecordRef]:
    found = {_ref(record) for record in item.filing.records.values()}
    for decision in (item.filing.trace or {}).get("decisions", ()):
        refs: Iterable[Sequence[str]] = [*decision.get("candidates", ()), *filter(None, [decision.get("chosen")])]
        found |= {_ref(ref) for ref in refs}
    return found


def show_explanation(found: Mapping[str, Any]) -> None:
    console = Console()
    if not found["filings"]:
        console.print("no such mail was dropped here, or it has no filing yet")
    for filing in found["filings"]:
        console.print(f"[bold]{filing['state']}[/] {filing['target']} by {filing['trigger']}", highlight=False)
        if filing["text"]:
            console.print(f"  {filing['text']} {filing['advice']}")
        table = Table("address", "as", "rule", "candidates", "chosen", "why")
        for row in filing["addresses"]:
            table.add_row(
                str(row["address"] or "(not read)"),
                ", ".join(row.get("roles", ())),
                str(row.get("rule", "")),
                "\n".join(map(_title, row["candidates"])),
                _title(row["chosen"]) if row["chosen"] else "",
                str(row.get("why", "")),
            )
        console.print(table)
        for key, record in filing["records"].items():
            console.print(f"  {key}: {_title(record)} {record['link'] or ''}")
        for copy in filing["copies"]:
            calls = ", ".join(f"{vendor} {row['calls']}" for vendor, row in (copy["calls"] or {}).items())
            console.print(f"  {copy['mailbox']}: {copy['state']} {copy['outcome'] or ''} (calls: {calls or 'none'})")
        for problem in filing["not_read"]:
            console.print(f"  not read now: {problem}")


def _title(record: Mapping[str, Any]) -> str:
    return f"{record['kind']} {record['title'] or ''} {record['id']}".replace("  ", " ")
