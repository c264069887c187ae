"""Participants -> CRM user, contact, lead, else a new record (product.md 8).

For each address, the first rule that applies decides:

| rule | result |
|---|---|
| `blocked` | a block rule skips this address (or, `skip_item`, the whole mail) |
| `own_mailbox`, `user` | a CRM user: stop here, with `user_exclusivity` |
| `contact` | a contact has the address in one of its e-mail fields |
| `lead` | a lead has it, with `match_leads` |
| `user` | a CRM user after all, without `user_exclusivity` and when nothing is to be created |
| `report` | delivery reports and receipts create nobody |
| `creation_off` | nothing is created without `create_missing` |
| `internal` | the own company's people are not created while `user_exclusivity` is on |
| `creation_blocked` | the domain is in `creation_block_domains` |
| `address_unfit` | longer than a CRM's e-mail field |
| `creation_cap` | 25 people are created for this mail already |
| `create_contact`, `create_lead` | a new record |

Addresses beyond the first 500 are not looked at. Then the three flags of product.md 8.2: with `must_match`, at least
one contact or lead was matched or created, or the mail is not filed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sync.core.accounts import AccountDecision, Accounts, domains_asked
from sync.core.addresses import domain_of, in_domains, is_internal, untagged
from sync.core.names import company_domain, company_key, lead_company, person
from sync.model import Directory, Message, NewRecord, Person, Question, RecordRef, Role
from sync.policy import Policy

MAX_ADDRESSES = 500
"""Addresses of one mail that are looked at (product.md 22)."""

MAX_CREATED = 25
"""People that one mail creates: a dropped newsletter must not fill the CRM with its recipients."""

LONGEST_EMAIL = 80
"""Characters that every CRM's e-mail field takes."""

Verdict = Literal["file", "missing", "skip"]


@dataclass(frozen=True, slots=True)
class MailboxIdentity:
    """Whose mailbox it is: its address, the own company's domains (at least the address's), the CRM user's id."""

    address: str
    domains: tuple[str, ...] = ()
    crm_user: str | None = None

    @property
    def own_domains(self) -> tuple[str, ...]:
        return self.domains or (domain_of(self.address),)


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about one address. `why` is text without content."""

    email: str
    roles: tuple[Role, ...]
    rule: str
    candidates: tuple[RecordRef, ...] = ()
    chosen: RecordRef | None = None
    why: str = ""
    account: AccountDecision | None = None


@dataclass(frozen=True, slots=True)
class Matching:
    """The outcome for one mail. `create` holds accounts before the people who refer to them."""

    verdict: Verdict
    reason: str | None = None
    decisions: tuple[Decision, ...] = ()
    users: tuple[RecordRef, ...] = ()
    people: tuple[RecordRef, ...] = ()
    create: tuple[NewRecord, ...] = ()
    notes: tuple[str, ...] = ()
    accounts: tuple[tuple[RecordRef, RecordRef], ...] = ()  # (contact, its account) of the people

    def account_of(self, contact: RecordRef) -> RecordRef | None:
        return next((account for person, account in self.accounts if person == contact), None)


@dataclass(frozen=True, slots=True)
class _Address:
    email: str
    roles: tuple[Role, ...]
    name: str
    company: str


def _addresses(message: Message) -> list[_Address]:
    """Everybody once, in the order sender, Reply-To, To, Cc, Bcc."""
    out: dict[str, _Address] = {}
    for one in message.mime.participants:
        known = out.get(one.email)
        if known is None:
            out[one.email] = _Address(one.email, (one.role,), one.name, one.company)
        else:
            roles = known.roles if one.role in known.roles else (*known.roles, one.role)
            out[one.email] = _Address(one.email, roles, known.name or one.name, known.company or one.company)
    return list(out.values())


# --- the question ---------------------------------------------------------------------------------------------------


def question(
    messages: Iterable[Message], policy: Policy, mailbox: MailboxIdentity, known: Directory | None = None
) -> Question:
    """Everything that one call to the CRM must answer before these mails can be matched; what `known` answers already
    is left out. Message-IDs are always asked: whether a mail is filed may change at any time."""
    known = known or Directory()
    addresses: dict[str, None] = {}
    domains: dict[str, None] = {}
    companies: dict[str, None] = {}
    ids: dict[str, None] = {}
    for message in messages:
        ids.setdefault(message.mime.message_id)
        for address in _addresses(message)[:MAX_ADDRESSES]:
            if _blocked(address, policy):
                continue
            for email in dict.fromkeys((address.email, untagged(address.email))):
                if email not in known.people:
                    addresses.setdefault(email)
            if known.people.get(address.email) or not _may_need_account(address, message, policy, mailbox):
                continue
            for domain in domains_asked(address.email, mailbox.own_domains, policy):
                if domain not in known.by_domain:
                    domains.setdefault(domain)
            company = company_key(address.company)
            internal = is_internal(address.email, mailbox.own_domains, policy)
            if company and not internal and company not in known.by_company:
                companies.setdefault(company)
    return Question(frozenset(addresses), frozenset(ids), frozenset(domains), frozenset(companies))


def _may_need_account(address: _Address, message: Message, policy: Policy, mailbox: MailboxIdentity) -> bool:
    return (
        not policy.create_as_lead
        and not policy.assign_to_account
        and _refusal(address, message, policy, mailbox, 0) is None
    )


# --- the match ------------------------------------------------------------------------------------------------------


def match(message: Message, directory: Directory, policy: Policy, mailbox: MailboxIdentity) -> Matching:
    """Decide about every address of a mail, and whether it is filed at all."""
    addresses = _addresses(message)
    if _skips_item(addresses, policy):
        decisions = tuple(_item_decision(address, policy) for address in addresses[:MAX_ADDRESSES])
        return Matching("skip", "blocked", decisions, notes=_notes(message))
    if not addresses and not message.mime.subject and message.mime.date is None:
        return Matching("skip", "not_mail", notes=_notes(message))
    run = _Run(message, directory, policy, mailbox)
    decisions = tuple(run.decide(address) for address in addresses[:MAX_ADDRESSES])
    notes = _notes(message, decisions, len(addresses))
    users = _chosen(decisions, ("user",))
    people = _chosen(decisions, ("contact", "lead"))
    create = (*run.accounts.created, *run.created)
    if people or not policy.must_match:
        return Matching("file", None, decisions, users, people, create, notes, _accounts(people, create, directory))
    return Matching("missing", _why_missing(decisions, message), decisions, users, notes=notes)


def _notes(message: Message, decisions: Sequence[Decision] = (), addresses: int = 0) -> tuple[str, ...]:
    """What people should know about the reading and matching of this mail."""
    notes = [f"while reading the mail: {defect}" for defect in message.mime.defects]
    if addresses > MAX_ADDRESSES:
        notes.append(f"{addresses - MAX_ADDRESSES} of {addresses} addresses were not looked at")
    capped = sum(decision.rule == "creation_cap" for decision in decisions)
    if capped:
        notes.append(f"{capped} unknown people were not created: at most {MAX_CREATED} are created for one mail")
    blank = sum(decision.account is not None and decision.account.rule == "ambiguous" for decision in decisions)
    if blank:
        notes.append(f"the account of {blank} new people was left blank: several accounts fit")
    return tuple(notes)


def _accounts(
    people: Sequence[RecordRef], create: Sequence[NewRecord], directory: Directory
) -> tuple[tuple[RecordRef, RecordRef], ...]:
    known = {one.record: one.account for found in directory.people.values() for one in found if one.account}
    known |= {RecordRef(new.kind, new.ref): new.account for new in create if new.account}
    return tuple((one, known[one]) for one in people if one in known)


def _chosen(decisions: Iterable[Decision], kinds: Sequence[str]) -> tuple[RecordRef, ...]:
    found = (decision.chosen for decision in decisions if decision.chosen and decision.chosen.kind in kinds)
    return tuple(dict.fromkeys(found))


def _why_missing(decisions: Sequence[Decision], message: Message) -> str:
    """The reason that helps most: what would have let the mail through."""
    rules = {decision.rule for decision in decisions}
    if not decisions:
        return "no_address"
    if "report" in rules or message.mime.kind in ("bounce", "receipt"):
        return "report_no_match"
    for rule, reason in (
        ("creation_off", "no_match"),
        ("creation_blocked", "creation_blocked"),
        ("address_unfit", "address_unfit"),
    ):
        if rule in rules:
            return reason
    return "all_blocked" if "blocked" in rules and not rules & {"internal"} else "internal_only"


def _matching_rule(address: _Address, policy: Policy, action: str) -> int | None:
    for number, rule in enumerate(policy.block_rules, 1):
        if rule.action == action and any(rule.matches(address.email, role) for role in address.roles):
            return number
    return None


def _blocked(address: _Address, policy: Policy) -> bool:
    return _matching_rule(address, policy, "skip_match") is not None


def _skips_item(addresses: Iterable[_Address], policy: Policy) -> bool:
    return any(_matching_rule(address, policy, "skip_item") is not None for address in addresses)


def _item_decision(address: _Address, policy: Policy) -> Decision:
    number = _matching_rule(address, policy, "skip_item")
    if number is None:
        return Decision(address.email, address.roles, "not_looked_at", why="another address excludes the whole mail")
    return Decision(address.email, address.roles, "blocked", why=f"block rule {number} excludes the whole mail")


def _refusal(
    address: _Address, message: Message, policy: Policy, mailbox: MailboxIdentity, created: int
) -> tuple[str, str] | None:
    """(rule, why) when nobody is created for an unknown address."""
    if message.mime.kind in ("bounce", "receipt") or address.roles == ("about",):
        return "report", "delivery reports and receipts create nobody"
    if not policy.create_missing:
        return "creation_off", "nobody has this address, and create_missing is off"
    own = untagged(address.email) == mailbox.address
    if policy.user_exclusivity and (own or is_internal(address.email, mailbox.own_domains, policy)):
        return "internal", "the own company's people are not created"
    if in_domains(domain_of(address.email), policy.creation_block_domains):
        return "creation_blocked", "nobody has this address, and its domain is in creation_block_domains"
    if len(address.email) > LONGEST_EMAIL:
        return "address_unfit", f"nobody has this address, and it has more than {LONGEST_EMAIL} characters"
    if created >= MAX_CREATED:
        return "creation_cap", f"{MAX_CREATED} people were created for this mail already"
    return None


class _Run:
    """The addresses of one mail, one after the other, with what was created for those before."""

    def __init__(self, message: Message, directory: Directory, policy: Policy, mailbox: MailboxIdentity) -> None:
        self._message = message
        self._directory = directory
        self._policy = policy
        self._mailbox = mailbox
        self._owner = mailbox.crm_user or ""
        self.accounts = Accounts(directory, policy, mailbox.own_domains, self._owner)
        self.created: list[NewRecord] = []

    def decide(self, address: _Address) -> Decision:
        number = _matching_rule(address, self._policy, "skip_match")
        if number is not None:
            return Decision(address.email, address.roles, "blocked", why=f"block rule {number} skips this address")
        found, tag = self._found(address.email)
        exclusive = self._policy.user_exclusivity
        steps: tuple[Callable[[], Decision | None], ...] = (
            lambda: self._user(address, found, tag) if exclusive else None,
            lambda: self._of_kind("contact", address, found, tag),
            lambda: self._of_kind("lead", address, found, tag) if self._policy.match_leads else None,
        )
        for step in steps:
            decision = step()
            if decision:
                return decision
        refusal = _refusal(address, self._message, self._policy, self._mailbox, len(self.created))
        if refusal:
            user = None if exclusive else self._user(address, found, tag)
            return user or Decision(address.email, address.roles, refusal[0], why=refusal[1])
        return self._create(address)

    def _found(self, email: str) -> tuple[tuple[Person, ...], str]:
        """The people who have the address, or, when nobody has it, its form without the +tag."""
        people = self._directory.people.get(email, ())
        base = untagged(email)
        if people or base == email:
            return people, ""
        return self._directory.people.get(base, ()), " without its +tag"

    def _user(self, address: _Address, found: Sequence[Person], tag: str) -> Decision | None:
        users = tuple(dict.fromkeys(one.record for one in found if one.record.kind == "user"))
        mine = self._mailbox.crm_user
        if mine and self._mailbox.address in (address.email, untagged(address.email)):
            own = RecordRef("user", mine)
            return Decision(address.email, address.roles, "own_mailbox", users or (own,), own, "the mailbox's own user")
        if not users:
            return None
        why = f"a CRM user has this address{tag}" + (f"; the first of {len(users)}" if len(users) > 1 else "")
        return Decision(address.email, address.roles, "user", users, users[0], why)

    def _of_kind(
        self, kind: Literal["contact", "lead"], address: _Address, found: Sequence[Person], tag: str
    ) -> Decision | None:
        people = [one for one in found if one.record.kind == kind]
        if not people:
            return None
        records = tuple(dict.fromkeys(one.record for one in people))
        why = f"a {kind} has this address{tag}"
        if len(records) == 1:
            return Decision(address.email, address.roles, kind, records, records[0], why)
        own = [one.record for one in people if one.owner and one.owner == self._mailbox.crm_user]
        chosen, which = (own[0], "one of the user's own") if own else (records[0], "the oldest")
        why = f"{len(records)} {kind}s have this address{tag}; {which} was taken"
        return Decision(address.email, address.roles, kind, records, chosen, why)

    def _create(self, address: _Address) -> Decision:
        first, last = person(address.name, address.email)
        fields = ({"first_name": first} if first else {}) | {"last_name": last, "email": address.email}
        if self._policy.create_as_lead:
            record = RecordRef("lead", f"@lead{len(self.created) + 1}")
            fields["company"] = lead_company(address.company, company_domain(address.email, self._policy), first, last)
            self.created.append(NewRecord(record.id, "lead", fields, self._owner))
            return Decision(address.email, address.roles, "create_lead", (), record, "nobody has this address")
        account = self.accounts.choose(address.email, address.company)
        record = RecordRef("contact", f"@contact{len(self.created) + 1}")
        self.created.append(NewRecord(record.id, "contact", fields, self._owner, account.chosen))
        return Decision(address.email, address.roles, "create_contact", (), record, "nobody has this address", account)
