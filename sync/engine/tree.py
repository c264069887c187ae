"""The drop tree of a mailbox: made at first sync, looked after at every sweep, else read from the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sync.core import labels as label_names
from sync.core.labels import Remembered
from sync.engine.work import Work


def load(work: Work, remembered: Mapping[str, Remembered]) -> bool:
    """Use the remembered labels. False when one is missing or the policy's names changed: then `ensure` is due."""
    work.remember(remembered)
    tree = label_names.tree(work.ports.policy, work.ports.crm_name, remembered, work.store.hash)
    return all(node.remote_id is not None and not node.rename for node in tree.nodes)


def ensure(work: Work, reasons: Iterable[str] = ()) -> None:
    """Make the mailbox have the tree (and the sub-markers of these reasons), and remember the provider's ids."""
    with work.commit() as tx:
        remembered = tx.labels()
    tree = label_names.tree(work.ports.policy, work.ports.crm_name, remembered, work.store.hash, reasons)
    found = work.ports.mail.ensure_tree(tree)
    wanted = {node.key: Remembered(found.ids[node.key], work.store.hash(node.name)) for node in tree.nodes}
    if wanted != remembered:
        with work.commit() as tx:
            tx.set_labels(wanted)
    work.remember(wanted)
