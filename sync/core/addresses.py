"""One form for every address and domain, and what a domain says about its owner.

Domains are compared in their ASCII form (`xn--...`), since a CRM may hold either; people read `readable`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

import idna
from publicsuffixlist import PublicSuffixList

from sync.core.freemail import FREEMAIL
from sync.policy import Policy

LONGEST = 254
"""Characters of an address (RFC 5321 4.5.3.1.3)."""

_LOCAL = re.compile(r"^[^\s\x00-\x1f\x7f<>()\[\]\\,;:\"@]+$")
_QUOTED = re.compile(r'^"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])+"$')
_HOST = re.compile(r"^(?!-)[a-z0-9_-]{1,63}(?<!-)$")
_TOP = re.compile(r"^(?:[a-z]{2,63}|xn--[a-z0-9-]{1,59})$")


def ascii_domain(domain: str) -> str | None:
    """The comparable form of a domain with at least two labels; None when it cannot be one of the Internet's."""
    text = unicodedata.normalize("NFC", domain).strip().rstrip(".").lower()
    if not text.isascii():
        text = _encode(text[:LONGEST])
    labels = text.split(".")
    if len(text) > 253 or len(labels) < 2 or not _TOP.match(labels[-1]) or not all(map(_HOST.match, labels)):
        return None
    return text


def _encode(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True, transitional=False).decode("ascii")
    except (idna.IDNAError, UnicodeError, ValueError, IndexError):
        # registered all the same: symbols that IDNA 2008 refuses
        return ".".join(_punycode(label) for label in re.split("[.\u3002\uff0e\uff61]", domain))


def _punycode(label: str) -> str:
    return label if label.isascii() else "xn--" + label.encode("punycode", "replace").decode("ascii")


def readable(domain: str) -> str:
    """The domain as people write it."""
    try:
        return idna.decode(domain)
    except (idna.IDNAError, UnicodeError, ValueError, IndexError):
        return domain


def normalise(raw: str) -> str | None:
    """The address in lower case with an ASCII domain, or None when no mail could be sent to it over the Internet."""
    text = unicodedata.normalize("NFC", raw).strip()
    if text[:7].lower() == "mailto:":
        text = text[7:]
    text = text.strip("<>'` \t\r\n")
    local, at, host = text.rpartition("@")
    if not at or len(text) > 2 * LONGEST:
        return None
    domain = ascii_domain(host)
    if domain is None or not 1 <= len(local) <= 64 or not (_LOCAL.match(local) or _QUOTED.match(local)):
        return None
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in local):
        return None
    email = f"{local.lower()}@{domain}"
    return email if len(email) <= LONGEST else None


def domain_of(email: str) -> str:
    return email.rpartition("@")[2]


def untagged(email: str) -> str:
    """The address without its +tag: the mailbox that `jane+news@acme.example` ends in by common practice."""
    local, _, domain = email.rpartition("@")
    base = local.partition("+")[0]
    return f"{base}@{domain}" if base else email


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()  # the list that the package brings; nothing is fetched


def registrable(domain: str) -> str | None:
    """The part somebody registered: `acme.co.uk` of `mail.acme.co.uk`; None for a public suffix itself."""
    found = _suffixes().privatesuffix(domain)
    return str(found) if found else None


def in_domains(domain: str, patterns: Iterable[str]) -> bool:
    """`example.com` stands for itself and all below, `*.example.com` only for what is below."""
    for pattern in patterns:
        below = pattern.removeprefix("*.")
        base = below if below.isascii() else _encode(below)
        if domain.endswith("." + base) or (domain == base and below == pattern):
            return True
    return False


def is_freemail(domain: str, policy: Policy) -> bool:
    """A domain that names no company: free mail, or a public suffix (product.md 3.2 `freemail_guard`)."""
    return domain in FREEMAIL or in_domains(domain, policy.freemail_domains) or registrable(domain) is None


def is_internal(email: str, mailbox_domains: str | Iterable[str], policy: Policy) -> bool:
    """Belongs to the own company: the mailbox's registered domain or one of `internal_domains`. A mailbox at a
    free-mail provider makes nobody a colleague."""
    domain = domain_of(email)
    if in_domains(domain, policy.internal_domains):
        return True
    own = (mailbox_domains,) if isinstance(mailbox_domains, str) else mailbox_domains
    mine = registrable(domain)
    return mine is not None and any(registrable(other) == mine and not is_freemail(other, policy) for other in own)
