"""Hosts of web sites and domains of addresses, in one form: lower case, ASCII, without `www.`."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

import idna
from publicsuffixlist import PublicSuffixList


def ascii_domain(domain: str) -> str:
    """The domain as DNS has it (`müller.example` -> `xn--mller-kva.example`); as given when it is none."""
    plain = domain.strip().strip(".").lower()
    try:
        return idna.encode(plain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return plain


def spellings(domain: str) -> tuple[str, ...]:
    """The domain in ASCII and, where it differs, as people write it."""
    plain = ascii_domain(domain)
    try:
        written = idna.decode(plain)
    except idna.IDNAError:
        written = plain
    return (plain,) if written == plain else (plain, written)


def host(website: str) -> str:
    """The host of what people write into a Website field; "" when there is none."""
    text = website.strip()
    try:
        found = urlsplit(text if "//" in text else f"//{text}").hostname or ""
    except ValueError:
        return ""
    return ascii_domain(found).removeprefix("www.") if "." in found else ""


def email_domain(address: str) -> str:
    return ascii_domain(address.rpartition("@")[2])


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def registrable(domain: str) -> str:
    """The part that somebody registered (`shop.acme.co.uk` -> `acme.co.uk`); the domain itself when it is a public
    suffix."""
    plain = ascii_domain(domain)
    return str(_suffixes().privatesuffix(plain) or plain)


def related(one: str, other: str) -> bool:
    """Whether two hosts are the same or one lies below the other, within what was registered: `www.acme.example` and
    `acme.example` are, `notacme.example` and `acme.example` are not, nor is anything related to `co.uk`."""
    if not one or not other:
        return False
    if one == other:
        return True
    upper, lower = sorted((one, other), key=len)
    return lower.endswith(f".{upper}") and upper.endswith(registrable(lower))
