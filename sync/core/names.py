"""Display names -> the names of a new person or account (product.md 8.1 steps 5 and 6)."""

from __future__ import annotations

import re
import unicodedata

from sync.core.addresses import domain_of, is_freemail, readable, registrable
from sync.core.cut import shorten
from sync.policy import Policy

FIRST_LIMIT, LAST_LIMIT, COMPANY_LIMIT = 40, 80, 255
"""Characters that the name fields of the CRMs take."""

_TITLES = frozenset("mr mrs ms miss dr prof professor herr frau mme mlle monsieur madame sir ing dipl-ing mag".split())
_PARTICLES = frozenset(
    "van von de der den des del della di da das do dos du la le el al bin ibn ter ten zu zur af av y e".split()
)
_AFTER_COMMA = frozenset(
    "jr sr ii iii iv md phd ph.d mba cpa esq dds rn pe msc bsc ma inc ltd llc llp gmbh ag se sa plc corp co kg bv nv "
    "srl spa ab as oy pty limited incorporated".split()
)
_EXTRA = re.compile(r"\s*(?:\([^()]*\)|\[[^\[\]]*\]|\bvia\s+.*$)", re.IGNORECASE)


def company_key(name: str) -> str:
    """The form in which company names are asked for and compared."""
    return " ".join(name.split()).lower()


def _word(text: str) -> str:
    return text.strip(".,").lower()


def _family_first(words: list[str]) -> bool:
    """Two words of Chinese, Japanese or Korean script: the family name stands first."""
    return len(words) == 2 and all(
        unicodedata.name(char, "").startswith(("CJK", "HIRAGANA", "KATAKANA", "HANGUL"))
        for word in words
        for char in word
    )


def person(display: str, email: str) -> tuple[str, str]:
    """(first, last) of a new person. A single name is the last name; with only an address, the address is the name
    (product.md 8.1 step 5). Never an empty last name."""
    name = " ".join(_EXTRA.sub(" ", " ".join(display.split())).strip("'\" ").split())
    if not any(map(str.isalpha, name)) or "@" in name:
        return "", shorten(email, LAST_LIMIT, "")
    head, comma, tail = (piece.strip() for piece in name.partition(","))
    if comma and head and tail and "," not in tail and _word(tail) not in _AFTER_COMMA:
        return _fitted(_untitled(tail.split()), _untitled(head.split()))
    words = _untitled(head.split() if comma and head else name.split())
    if len(words) < 2:
        return _fitted([], words)
    if _family_first(words):
        return _fitted(words[1:], words[:1])
    cut = next((n for n, word in enumerate(words[1:-1], 1) if _word(word) in _PARTICLES), len(words) - 1)
    return _fitted(words[:cut], words[cut:])


def _untitled(words: list[str]) -> list[str]:
    kept = list(words)
    while len(kept) > 1 and _word(kept[0]) in _TITLES:
        kept.pop(0)
    return kept


def _fitted(first: list[str], last: list[str]) -> tuple[str, str]:
    return shorten(" ".join(first), FIRST_LIMIT), shorten(" ".join(last), LAST_LIMIT)


def company_domain(email: str, policy: Policy) -> str:
    """The domain that may stand for a company: the registered one; empty for free mail and public suffixes while
    `freemail_guard` is on."""
    domain = domain_of(email)
    if policy.freemail_guard and is_freemail(domain, policy):
        return ""
    return registrable(domain) or domain


def account_name(company: str, domain: str, policy: Policy) -> str:
    """What a new account is called by `account_name_from`; empty when nothing is known."""
    by_domain = readable(domain) if domain else ""
    name = by_domain if policy.account_name_from == "domain" and by_domain else company or by_domain
    return shorten(" ".join(name.split()), COMPANY_LIMIT)


def lead_company(company: str, domain: str, first: str, last: str) -> str:
    """The company that every lead needs: Company, then the domain, then the person."""
    return shorten(company or (readable(domain) if domain else "") or f"{first} {last}".strip(), COMPANY_LIMIT)
