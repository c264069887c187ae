"""What applying a declaration would do: to the installation, and to the mailboxes once the workers have looked.

Nothing is changed: the declaration is applied in a transaction that is taken back, and services are only read. What a
mailbox would get is worked out by the same rules as the workers use; what stands in it is what is remembered of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sync import policy as policies
from sync.core import labels, leaves, preview
from sync.core.labels import Enabled, Leaf, Remembered
from sync.core.preview import Side, Step
from sync.declare.apply import Applied, declare
from sync.declare.declaration import Declaration
from sync.errors import RemoteError
from sync.model import LabelTree, Question, RecordRef
from sync.modules import Module, ModuleItem
from sync.policy import Policy
from sync.ports import CrmProvider
from sync.settings import ConfigError
from sync.store.rows import Connection, Mailbox, StoredItem, StoredPolicy
from sync.store.store import Store
from sync.store.writing import Writing
from sync.wiring import CRM_NAMES, PUT

OpenCrm = Callable[[Connection, Policy, Mailbox], CrmProvider]


@dataclass(slots=True)
class Counts:
    """How many of a module's leaves, or summaries."""

    create: int = 0
    rename: int = 0
    remove: int = 0


@dataclass(slots=True)
class ModulePlan:
    """What becomes of a module's items in a mailbox. `not_known` says why the counts are not."""

    module: str
    leaves: Counts = field(default_factory=Counts)
    summaries: Counts = field(default_factory=Counts)
    not_known: str = ""


@dataclass(slots=True)
class MailboxPlan:
    """`paused`: the policy is off, so that nothing of it happens before it is on. `not_known`: what the CRM did not
    tell, and what would hang on it."""

    address: str
    policy: str
    paused: bool = False
    steps: list[Step] = field(default_factory=list)
    modules: list[ModulePlan] = field(default_factory=list)
    not_known: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not (self.steps or self.modules or self.not_known)


@dataclass(frozen=True, slots=True)
class Plan:
    changes: Sequence[Applied]
    mailboxes: Sequence[MailboxPlan]

    def as_json(self) -> dict[str, Any]:
        return {
            "changes": [change.as_json() for change in self.changes],
            "mailboxes": [asdict(one) for one in self.mailboxes],
        }


def plan(store: Store, declaration: Declaration, open_crm: OpenCrm, now: float) -> Plan:
    """`open_crm` gives a CRM as `sync.wiring` would; where it or the CRM raises, the plan says what is not known."""
    before, after, changes = _rehearse(store, declaration)
    asker = _Asker(store, open_crm, before.connections)
    mailboxes = [box for box in after.mailboxes.values() if box.status != "disabled"]
    return Plan(changes, [_mailbox(store, asker, box, before, after, now) for box in mailboxes])


# --- the installation -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _State:
    """The configuration at one moment, by id."""

    connections: Mapping[int, Connection]
    policies: Mapping[int, StoredPolicy]
    mailboxes: Mapping[int, Mailbox]

    @classmethod
    def of(cls, tx: Writing) -> _State:
        return cls(
            {one.id: one for one in tx.connections()},
            {one.id: one for one in tx.policies()},
            {one.id: one for one in tx.mailboxes()},
        )


class _TakenBackError(Exception):
    """Ends a transaction so that nothing of it stays."""


def _rehearse(store: Store, declaration: Declaration) -> tuple[_State, _State, list[Applied]]:
    states: list[_State] = []
    changes: list[Applied] = []
    try:
        with store.writing() as tx:
            states.append(_State.of(tx))
            changes += declare(tx, declaration)
            states.append(_State.of(tx))
            raise _TakenBackError
    except _TakenBackError:
        before, after = states
    return before, after, changes


# --- the CRM --------------------------------------------------------------------------------------------------------


class _Asker:
    """Opens each CRM once, and remembers why one could not be asked."""

    def __init__(self, store: Store, open_crm: OpenCrm, before: Mapping[int, Connection]) -> None:
        self._store, self._open, self._before = store, open_crm, before
        self._ports: dict[tuple[int, str], CrmProvider] = {}

    def crm(self, connection: Connection, policy: Policy, mailbox: Mailbox) -> CrmProvider:
        """Raises what opening it raises."""
        if self._before.get(connection.id) != connection and "refresh_token" in connection.secrets:
            # a service that renews tokens ends the declared one at its first use, and nobody would keep the new one
            raise ConfigError([f"the connection {connection.name} signs in by a token that is not applied yet"])
        user = (mailbox.crm_user or mailbox.address).lower() if policy.crm_access == "user" else ""
        key = (connection.id, user)
        if key not in self._ports:
            self._ports[key] = self._open(connection, policy, mailbox)
        return self._ports[key]

    def user(self, crm: CrmProvider, mailbox: Mailbox) -> str:
        """CRM user id of a mailbox; "" when there is none."""
        if mailbox.crm_user_id:
            return mailbox.crm_user_id
        owner = (mailbox.crm_user or mailbox.address).lower()
        found = crm.match(Question(addresses=frozenset({owner}))).people.get(owner, ())
        return next((one.record.id for one in found if one.record.kind == "user"), "")


def _described(rules: Iterable[policies.ModuleRule], found: Mapping[str, Module | RemoteError]) -> tuple[Enabled, ...]:
    pairs = [(rule, found.get(rule.name)) for rule in rules]
    return tuple(Enabled(rule, module) for rule, module in pairs if isinstance(module, Module))


# --- one mailbox ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Case:
    """A mailbox under the new policy, and what is there of it."""

    store: Store
    mailbox: Mailbox
    crm: CrmProvider | None
    new: Side
    old: Side | None
    tree: LabelTree
    rows: Sequence[StoredItem]
    now: float


def _mailbox(store: Store, asker: _Asker, mailbox: Mailbox, before: _State, after: _State, now: float) -> MailboxPlan:
    stored = after.policies[mailbox.policy_id]
    options = policies.parse(stored.options)
    connection = after.connections[stored.crm_connection_id]
    out = MailboxPlan(mailbox.address, stored.name, paused=not options.enabled)
    was = before.mailboxes.get(mailbox.id)
    earlier = before.policies[was.policy_id] if was else None
    old_options = policies.parse(earlier.options) if earlier else None
    same = earlier is not None and earlier.crm_connection_id == stored.crm_connection_id
    old_rules = old_options.modules if old_options and same else ()
    found: Mapping[str, Module | RemoteError] = {}
    crm = None
    if options.modules or old_rules:
        try:
            crm = asker.crm(connection, options, mailbox)
            found = crm.modules(sorted({rule.name for rule in (*options.modules, *old_rules)}))
        except (RemoteError, ConfigError) as error:
            if options.modules:
                out.not_known.append(f"what belongs to modules: {error}")
    for rule in options.modules if found else ():
        problem = found[rule.name]
        if isinstance(problem, RemoteError):
            out.not_known.append(f"module {rule.name}: {problem.detail}")
    name = CRM_NAMES.get(connection.vendor, connection.vendor)
    new = Side(options, name, _described(options.modules, found))
    old = Side(old_options, name, _described(old_rules, found)) if old_options else None
    remembered = store.labels(mailbox.id) if was else {}
    tree = new.tree(remembered, store.hash)
    categories = PUT.get(after.connections[stored.mail_connection_id].vendor) == "folder"
    whole = len(new.enabled) == len(options.modules)
    out.steps = preview.steps(tree, remembered, old, store.hash, categories=categories, whole=whole)
    rows = store.items(mailbox.id) if was else []
    out.modules = _modules(_Case(store, mailbox, crm, new, old, tree, rows, now), asker, whole=whole)
    return out


def _modules(case: _Case, asker: _Asker, *, whole: bool) -> list[ModulePlan]:
    """Those of which something is created, renamed or removed, or of which that is not known."""
    out = []
    shown = [row for row in case.rows if row.leaf_id or row.note_id]
    enabled = {one.module.kind: one for one in case.new.enabled if one.items(case.new.policy)}
    for kind, one in enabled.items():
        if case.crm is None or _alike(case, one):
            continue
        try:
            out.append(_asked(case, one, case.crm, asker.user(case.crm, case.mailbox)))
        except RemoteError as error:
            out.append(ModulePlan(kind, not_known=str(error)))
    for kind in sorted({row.kind for row in shown} - enabled.keys()) if whole else ():
        mine = [row for row in shown if row.kind == kind]
        gone = ModulePlan(kind)
        gone.leaves.remove = sum(row.leaf_id is not None for row in mine)
        gone.summaries.remove = sum(row.note_id is not None for row in mine)
        out.append(gone)
    return [one for one in out if one.not_known or one.leaves != Counts() or one.summaries != Counts()]


def _alike(case: _Case, one: Enabled) -> bool:
    """Whether the policy wants of this module what it wanted before; then the workers have it in hand."""
    if case.old is None:
        return False
    before = next((each for each in case.old.enabled if each.module.kind == one.module.kind), None)
    return before is not None and _looks(case.old.policy, before) == _looks(case.new.policy, one)


def _looks(policy: Policy, one: Enabled) -> tuple[Any, ...]:
    shown = one.assign_to(policy), one.summaries(policy)
    return one.rule, shown, policy.assign_to_scope, policy.assign_to_cap, policy.assign_to_grace_days, policy.currency


def _asked(case: _Case, one: Enabled, crm: CrmProvider, user: str) -> ModulePlan:
    policy, kind = case.new.policy, one.module.kind
    out = ModulePlan(kind)
    if not user:
        out.not_known = "no active CRM user belongs to this mailbox"
        return out
    cap, scope = policy.assign_to_cap, policy.assign_to_scope
    active = crm.active(one.rule, user, scope, cap) if cap else ()  # type: ignore[arg-type]
    rows = {row.record_id: row for row in case.rows if row.kind == kind}
    there = {item.record.id: item for item in active}
    rest = [RecordRef(kind, row.record_id) for row in rows.values() if row.record_id not in there and _shown(row)]
    kept = crm.items(rest, [one.rule], user, scope) if rest else {}  # type: ignore[arg-type]
    grace = policy.assign_to_grace_days * 86400
    staying = [
        item for item in kept.values() if not item.closed or case.now - (rows[item.record.id].closed_at or 0) < grace
    ]
    leaving = {ref.id for ref in rest} - {item.record.id for item in staying}
    stays = [*active, *staying]
    if one.assign_to(policy):
        _count_leaves(case, one, stays, rows, out.leaves)
    out.leaves.remove = sum(
        row.leaf_id is not None and (row.record_id in leaving or not one.assign_to(policy)) for row in rows.values()
    )
    if one.summaries(policy):
        out.summaries.create = sum(not _has_note(rows.get(item.record.id)) for item in stays)
    out.summaries.remove = sum(
        row.note_id is not None and (row.record_id in leaving or not one.summaries(policy)) for row in rows.values()
    )
    return out


def _count_leaves(
    case: _Case, one: Enabled, items: Sequence[ModuleItem], rows: Mapping[str, StoredItem], counts: Counts
) -> None:
    named = []
    for item in items:
        row = rows.get(item.record.id)
        if row is None or row.leaf_id is None:
            counts.create += 1
            continue
        name = leaves.leaf_name(item, row.number, one.rule, case.new.policy.currency)
        named.append(Leaf(row.kind, row.record_id, name, Remembered(row.leaf_id, row.leaf_digest or "")))
    if named:
        nodes = labels.with_leaves(case.tree, named, case.store.hash).nodes
        counts.rename = sum(node.rename for node in nodes if node.key.startswith("leaf."))


def _shown(row: StoredItem) -> bool:
    return row.leaf_id is not None or row.note_id is not None


def _has_note(row: StoredItem | None) -> bool:
    return row is not None and row.note_id is not None
