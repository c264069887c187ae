"""Why a mail was filed as it was: ids, rule names and keyed hashes, no content (design.md 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sync.core.accounts import AccountDecision
from sync.core.filing import Skip
from sync.core.matching import Decision, Matching
from sync.core.reasons import reason
from sync.model import Entry, Item, RecordRef

VERSION = 1


def trace(matching: Matching, entry: Entry | Skip | None, hash: Callable[[str], str]) -> dict[str, Any]:  # noqa: A002
    """What `explain` needs later, as plain JSON. `hash` is the installation's keyed hash of an address; nothing else of
    an address, name or text gets in."""
    out: dict[str, Any] = {
        "version": VERSION,
        "verdict": matching.verdict,
        "addresses": [_address(decision, hash) for decision in matching.decisions],
        "create": [
            {"ref": new.ref, "kind": new.kind} | ({"account": _ref(new.account)} if new.account else {})
            for new in matching.create
        ],
        "notes": list(entry.notes if isinstance(entry, Entry) else matching.notes),
    }
    code = matching.reason or (entry.reason if isinstance(entry, Skip) else None)
    if code:
        out["reason"] = code
    if isinstance(entry, Entry):
        out["record"] = _record(entry, matching)
    return out


def _ref(record: RecordRef) -> str:
    return f"{record.kind}:{record.id}"


def _address(decision: Decision, hash: Callable[[str], str]) -> dict[str, Any]:  # noqa: A002
    out: dict[str, Any] = {"address": hash(decision.email), "roles": list(decision.roles)}
    return out | _choice(decision) | ({"account": _choice(decision.account)} if decision.account else {})


def _choice(made: Decision | AccountDecision) -> dict[str, Any]:
    return {
        "rule": made.rule,
        "candidates": [_ref(record) for record in made.candidates],
        "chosen": _ref(made.chosen) if made.chosen else None,
        "why": made.why,
    }


def _record(entry: Entry, matching: Matching) -> dict[str, Any]:
    who = "a contact or lead" if matching.people else "only users" if matching.users else "nobody"
    if entry.existing:
        why = "the CRM holds this mail already; missing relations are added"
    elif entry.record == "email":
        why = f"{who} matched or was created" if matching.people else "the policy asks for e-mail records"
    else:
        why = f"{who} matched: {'completed' if entry.completed else 'not completed'}"
    return {
        "kind": entry.record,
        "completed": entry.completed,
        "why": why,
        "related": sum(relation.record is not None for relation in entry.relations),
        "unrelated": sum(relation.record is None for relation in entry.relations),
        "attachments": len(entry.attachments),
        "targets": [_ref(target) for target in entry.targets],
        "existing": _ref(entry.existing.record) if entry.existing else None,
    }


# --- for people -----------------------------------------------------------------------------------------------------


def records(stored: Mapping[str, Any]) -> tuple[RecordRef, ...]:
    """Every CRM record that a trace names, to look up its title; "@" references within an entry are left out."""
    found: dict[RecordRef, None] = {}
    for address in stored.get("addresses", ()):
        for choice in (address, address.get("account") or {}):
            for text in (*choice.get("candidates", ()), choice.get("chosen") or ""):
                kind, _, identifier = text.partition(":")
                if identifier and not identifier.startswith("@"):
                    found.setdefault(RecordRef(kind, identifier))
    return tuple(found)


def readable(
    stored: Mapping[str, Any],
    names: Mapping[RecordRef, Item],
    addresses: Mapping[str, str] | None = None,
    created: Mapping[str, RecordRef] | None = None,
) -> tuple[str, ...]:
    """The trace as lines for `explain`. `names` are titles read live from the CRM, `addresses` maps hashes to the
    addresses read live from the mailbox, `created` maps "@" references to what became of them (`Outcome.records`)."""
    return tuple(_lines(stored, names, addresses or {}, created or {}))


def _lines(
    stored: Mapping[str, Any],
    names: Mapping[RecordRef, Item],
    addresses: Mapping[str, str],
    created: Mapping[str, RecordRef],
) -> Iterator[str]:
    if stored.get("version") != VERSION:
        yield f"(written by another version of Mailspan: trace {stored.get('version')})"

    def shown(text: str | None) -> str:
        if not text:
            return "nothing"
        kind, _, identifier = text.partition(":")
        record = created.get(identifier, RecordRef(kind, identifier))
        item = names.get(record)
        new = "new " if identifier.startswith("@") else ""
        return f"{new}{kind} {item.title} ({record.id})" if item else f"{new}{kind} {record.id}"

    for one in stored.get("addresses", ()):
        who = addresses.get(one["address"], one["address"])
        yield f"{who} [{', '.join(one['roles'])}]"
        yield f"  rule {one['rule']}: {one['why']} -> {shown(one['chosen'])}"
        if len(one["candidates"]) > 1:
            yield "  candidates: " + ", ".join(shown(text) for text in one["candidates"])
        account = one.get("account")
        if account:
            yield f"  account, rule {account['rule']}: {account['why']} -> {shown(account['chosen'])}"
            if len(account["candidates"]) > 1:
                yield "  account candidates: " + ", ".join(shown(text) for text in account["candidates"])
    record = stored.get("record")
    if record:
        yield f"record: {record['kind']}, because {record['why']}"
        yield (
            f"  {record['related']} related records, {record['unrelated']} plain addresses, "
            f"{record['attachments']} attachments"
        )
    if stored.get("reason"):
        told = reason(stored["reason"])
        yield f"not filed: {told.text}"
        yield f"  {told.advice}"
    for note in stored.get("notes", ()):
        yield f"note: {note}"
