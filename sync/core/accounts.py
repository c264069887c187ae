"""The account of a new contact (product.md 8.1 step 6).

Each step is asked only when the one before found nothing:

1. `assign_to_account`.
2. Company equals an account's name.
3. The address's domain against websites, then against the e-mail addresses of accounts' contacts; the domain itself
   before the registered domain above it.
4. An account that this same mail creates.
5. A new account, named by `account_name_from`.

Several accounts in step 3 are ambiguous: the account stays blank with `account_domain_must_be_unique`, else it is the
first, which is the oldest as the CRM gave them; so in step 2, unless the domain singles one out. Free-mail domains
(with `freemail_guard`) skip the steps by domain; people of the own company get no account.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sync.core.addresses import domain_of, is_freemail, is_internal, registrable
from sync.core.names import account_name, company_domain, company_key
from sync.model import Account, Directory, NewRecord, RecordRef
from sync.policy import Policy


@dataclass(frozen=True, slots=True)
class AccountDecision:
    """Why a new contact has this account or none. `why` holds no content."""

    rule: str
    candidates: tuple[RecordRef, ...] = ()
    chosen: RecordRef | None = None
    why: str = ""


def domains_asked(email: str, own: Sequence[str], policy: Policy) -> tuple[str, ...]:
    """The domains to look accounts up by, best first; none for free mail (guarded) and the own company."""
    domain = domain_of(email)
    if is_internal(email, own, policy) or (policy.freemail_guard and is_freemail(domain, policy)):
        return ()
    return tuple(dict.fromkeys((domain, registrable(domain) or domain)))


class Accounts:
    """Chooses accounts for the new contacts of one mail and remembers those it creates for them."""

    def __init__(self, directory: Directory, policy: Policy, own: Sequence[str], owner: str) -> None:
        self._directory = directory
        self._policy = policy
        self._own = own
        self._owner = owner
        self._by_company: dict[str, RecordRef] = {}
        self._by_domain: dict[str, RecordRef] = {}
        self.created: list[NewRecord] = []

    def choose(self, email: str, company: str) -> AccountDecision:
        if self._policy.assign_to_account:
            fixed = RecordRef("account", self._policy.assign_to_account)
            return AccountDecision("fixed", (fixed,), fixed, "the policy assigns new contacts to this account")
        asked = domains_asked(email, self._own, self._policy)
        if is_internal(email, self._own, self._policy):
            return AccountDecision("internal", why="people of the own company get no account")
        by_company = self._company(company, asked)
        if by_company:
            return by_company
        for domain in asked:
            found = self._domain(domain)
            if found:
                return found
        return self._new(email, company)

    def _company(self, company: str, domains: Sequence[str]) -> AccountDecision | None:
        found = _records(self._directory.by_company.get(company_key(company), ())) if company else ()
        if not found:
            return None
        if len(found) == 1:
            return AccountDecision("company", found, found[0], "Company equals the account's name")
        here = {account.record for domain in domains for account in self._directory.by_domain.get(domain, ())}
        both = [record for record in found if record in here]
        if len(both) == 1:
            return AccountDecision("company", found, both[0], "Company and domain together name one account")
        return self._several("company", found, "have this Company as their name")

    def _domain(self, domain: str) -> AccountDecision | None:
        accounts = self._directory.by_domain.get(domain, ())
        for rule, why in (("website", "have this domain as their website"), ("email", "have contacts at this domain")):
            found = _records([account for account in accounts if (account.found_by == "email") == (rule == "email")])
            if len(found) == 1:
                return AccountDecision(rule, found, found[0], f"the only account to {why.replace('their', 'its')}")
            if found:
                return self._several(rule, found, why)
        return None

    def _several(self, rule: str, found: tuple[RecordRef, ...], why: str) -> AccountDecision:
        if self._policy.account_domain_must_be_unique:
            return AccountDecision("ambiguous", found, None, f"{len(found)} accounts {why}; left blank")
        return AccountDecision(rule, found, found[0], f"{len(found)} accounts {why}; the oldest was taken")

    def _new(self, email: str, company: str) -> AccountDecision:
        domain = company_domain(email, self._policy)
        name = account_name(company, domain, self._policy)
        shared = self._by_company.get(company_key(company)) if company else None
        shared = shared or (self._by_domain.get(domain) if domain else None)
        if shared:
            return AccountDecision("shared", (shared,), shared, "the account that this mail creates")
        if not name:
            return AccountDecision("none", why="a free-mail domain names no company")
        record = RecordRef("account", f"@account{len(self.created) + 1}")
        is_shared_domain = not domain or is_freemail(domain, self._policy)
        fields = {"name": name} | ({} if is_shared_domain else {"website": domain})
        self.created.append(NewRecord(record.id, "account", fields, self._owner))
        if company:
            self._by_company[company_key(company)] = record
        if domain:
            self._by_domain[domain] = record
        return AccountDecision("create", (), record, f"no account found; created by {self._named(company, domain)}")

    def _named(self, company: str, domain: str) -> str:
        return "domain" if (self._policy.account_name_from == "domain" and domain) or not company else "company"


def _records(accounts: Sequence[Account]) -> tuple[RecordRef, ...]:
    return tuple(dict.fromkeys(account.record for account in accounts))
