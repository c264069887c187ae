"""Hosts of web sites and domains of addresses, in one form: ASCII, lower case."""

from __future__ import annotations

from urllib.parse import urlsplit

from sync.core.addresses import ascii_domain, readable


def spellings(domain: str) -> tuple[str, ...]:
    """The domain in ASCII and, where it differs, as people write it: a CRM may hold either."""
    return tuple(dict.fromkeys((domain, readable(domain))))


def host(website: str) -> str:
    """The host of what people write into a Website field; "" when there is none."""
    text = website.strip()
    try:
        found = urlsplit(text if "//" in text else f"//{text}").hostname or ""
    except ValueError:
        return ""
    return ascii_domain(found) or ""


def email_domain(address: str) -> str:
    """The domain of an address; "" when it has none."""
    return ascii_domain(address.rpartition("@")[2]) or ""


def below(found: str, domain: str) -> bool:
    """Whether a host is the domain or lies below it: `www.acme.example` is below `acme.example`, `notacme.example` is
    not."""
    return found == domain or found.endswith(f".{domain}")
