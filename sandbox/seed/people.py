"""The persons and companies of the seed, read from `tables/`."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from sandbox.seed import FOLDER

_FOLD = str.maketrans({"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ß": "ss", "æ": "ae", "Æ": "Ae", "đ": "d", "'": ""})


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who writes or receives mail."""

    key: str
    first: str
    last: str
    email: str
    title: str
    company: str
    phone: str
    client: str
    account: str = ""
    lang: str = "en"
    country: str = "Sweden"
    family_first: bool = False

    @property
    def name(self) -> str:
        """The display name, in the order of its country."""
        return " ".join(filter(None, (self.last, self.first) if self.family_first else (self.first, self.last)))

    @property
    def box(self) -> tuple[str, str]:
        """Display name and address."""
        return self.name, self.email


@cache
def table(name: str) -> Any:
    """One file of `tables/`."""
    return yaml.safe_load((FOLDER / "tables" / f"{name}.yaml").read_text(encoding="utf-8"))


def ascii_fold(name: str) -> str:
    """Latin letters without their marks; other scripts vanish."""
    return unicodedata.normalize("NFKD", name.translate(_FOLD)).encode("ascii", "ignore").decode()


def address(name: str, account: dict[str, Any]) -> str:
    """The address that a company's pattern makes of a name."""
    words = ascii_fold(name).lower().split()
    first, last = words[0], words[-1]
    local = first[0] + last if account.get("pattern") == "flast" else f"{first}.{last}"
    return f"{local}@{account['domain']}"


def _person(account: dict[str, Any], line: str) -> Person:
    name, title, email, extra = (*(part.strip() for part in line.split(";")), "", "")[:4]
    email = email or address(name, account)
    folded = ascii_fold(name).lower().strip()
    short = folded or email.partition("@")[0].lower().replace(".", " ")
    first, _, last = name.partition(" ")
    if extra == "family-first":
        first, last = last, first
    return Person(
        key=f"{account['key']}_" + "_".join(short.replace("-", " ").split()),
        first=first,
        last=last,
        email=email,
        title=title,
        company=account["name"],
        phone=account["phone"],
        client=account["client"],
        account=account["key"],
        lang=account.get("lang", "en"),
        country=account["country"],
        family_first=extra == "family-first",
    )


@cache
def accounts() -> dict[str, dict[str, Any]]:
    """Accounts by key, as the table has them."""
    return {a["key"]: a for a in table("accounts")}


@cache
def staff() -> dict[str, tuple[Person, ...]]:
    """The people of each account, in the table's order: the buyer first, then the engineer, then the others."""
    return {key: tuple(_person(a, line) for line in a["people"]) for key, a in accounts().items()}


@cache
def contacts() -> dict[str, Person]:
    """Everybody of `staff()` by key."""
    return {p.key: p for people in staff().values() for p in people}


@cache
def users() -> dict[str, Person]:
    """Northpeak's six users by key."""
    found = {}
    for user in table("company")["users"]:
        first, _, last = user["name"].partition(" ")
        client = {"google": "gmail", "microsoft": "outlook"}[user["mail"]]
        found[user["key"]] = Person(
            key=user["key"],
            first=first,
            last=last,
            email=user["email"],
            title=user["title"],
            company="Northpeak",
            phone=user["phone"],
            client=client,
            country=user.get("country", "Sweden"),
        )
    return found


@cache
def own_boxes() -> dict[str, tuple[str, ...]]:
    """Every own address in lower case (also aliases and groups) -> the mailboxes it delivers to."""
    company = table("company")
    boxes = {alias.lower(): (u["email"],) for u in company["users"] for alias in (u["email"], *u["aliases"])}
    return boxes | {group: tuple(users()[k].email for k in keys) for group, keys in company["groups"].items()}


@cache
def google_boxes() -> frozenset[str]:
    """The mailboxes at Google; the others are at Microsoft."""
    return frozenset(u["email"] for u in table("company")["users"] if u["mail"] == "google")
