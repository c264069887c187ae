"""The drop tree of a mailbox: made at first sync, looked after at every sweep, else read from the store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import structlog

from sync.core import labels as label_names
from sync.core.labels import GOES, GOES_LAST, Enabled, Remembered
from sync.engine.work import Work
from sync.modules import Module
from sync.store import reading

log = structlog.get_logger()

PLACE = "module."
KEPT = "kept"  # keys of labels that are wanted no more and could not go


def describe(work: Work) -> bool:
    """Learn what the policy's modules are; whether the CRM has them all. One that it has not is left out, logged and
    noted for `status`; what was made for it stays until it is there again or off."""
    rules = work.ports.policy.modules
    found = work.ports.crm.modules([rule.name for rule in rules]) if rules else {}
    enabled = []
    unusable: dict[str, str] = {}
    for rule in rules:
        module = found[rule.name]
        if isinstance(module, Module):
            enabled.append(Enabled(rule, module))
        else:
            unusable[rule.name] = module.detail
    work.enabled = tuple(enabled)
    if (told := json.dumps(unusable, sort_keys=True) if unusable else "") != work.unusable:
        for name, detail in unusable.items():
            log.error("module.unusable", mailbox=work.lease.mailbox_id, module=name, error=detail)
        with work.commit() as tx:
            tx.set_cursor(reading.UNUSABLE, told or None)
        work.unusable = told
    return len(enabled) == len(rules)


def load(work: Work, remembered: Mapping[str, Remembered]) -> bool:
    """Use the remembered labels. False when one is missing or too many, or a name in the policy changed: then `ensure`
    is due."""
    whole = describe(work)
    work.remember(remembered)
    stale = {key for key in label_names.obsolete(work.tree, remembered) if key.startswith(GOES)}
    if whole and stale and not stale <= _kept(work):
        return False
    return all(node.remote_id is not None and not node.rename for node in work.tree.nodes)


def ensure(work: Work, reasons: Iterable[str] = ()) -> None:
    """Make the mailbox have the tree (and the sub-markers of these reasons), and remember the provider's ids. Labels
    that the policy wants no more go when they are empty."""
    whole = describe(work)
    with work.commit() as tx:
        remembered, before = tx.labels(), tx.cursor(KEPT)
    tree = work.wanted(remembered, reasons)
    found = work.ports.mail.ensure_tree(tree)
    wanted = {node.key: Remembered(found.ids[node.key], work.store.hash(node.name)) for node in tree.nodes}
    old = {key: remembered[key] for key in label_names.obsolete(tree, remembered)}
    gone = _remove(work, old) if whole else ()
    wanted |= {key: value for key, value in old.items() if key not in gone}
    kept = "\n".join(sorted(key for key in old if key.startswith(GOES) and key not in gone)) if whole else ""
    if (wanted, kept) != (remembered, before or ""):
        with work.commit() as tx:
            tx.set_labels(wanted)
            tx.notes_astray(_made_anew(wanted, remembered))
            tx.set_cursor(KEPT, kept or None)
    work.remember(wanted)


def _made_anew(wanted: Mapping[str, Remembered], before: Mapping[str, Remembered]) -> list[str]:
    """Kinds of items whose label the user deleted with the summaries in it."""
    keys = (key for key in wanted if key.startswith(PLACE) and key in before)
    return [key.removeprefix(PLACE) for key in keys if wanted[key].remote_id != before[key].remote_id]


def _kept(work: Work) -> set[str]:
    """What could not be removed at the last try: mails or a user's own labels lie in it. The next sweep tries again."""
    with work.commit() as tx:
        return set((tx.cursor(KEPT) or "").splitlines())


def _remove(work: Work, old: Mapping[str, Remembered]) -> tuple[str, ...]:
    """The keys of those that are gone now."""
    with work.commit() as tx:
        rows = tx.items() if old else []
    full = {f"assign.{row.kind}" for row in rows if row.leaf_id}
    full |= {f"module.{row.kind}" for row in rows if row.leaf_id or row.note_id}
    keys = [key for key in old if key.startswith((*GOES, *GOES_LAST)) and key not in full]
    if not keys:
        return ()
    outcomes = work.ports.mail.remove([old[key].remote_id for key in keys])
    return tuple(key for key, outcome in zip(keys, outcomes, strict=True) if outcome.ok)
