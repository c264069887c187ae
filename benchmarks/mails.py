"""The mails of the benchmark: four people outside of the company, two companies, one recipient inside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

FIRST = ("Iris", "Jonas", "Karin", "Lars")
COMPANIES = ("north", "south")


@dataclass(frozen=True, slots=True)
class Letter:
    """`circle` names the four people: two letters of one circle are of the same people."""

    circle: str
    number: int
    owner: str

    @property
    def subject(self) -> str:
        return f"Offer {self.circle} {self.number}"

    @property
    def message_id(self) -> str:
        return f"<{self.circle}.{self.number}@bench.example>"

    @property
    def people(self) -> tuple[str, ...]:
        """Addresses; the sender first."""
        return tuple(f"{name.lower()}@{COMPANIES[at % 2]}-{self.circle}.example" for at, name in enumerate(FIRST))

    @property
    def raw(self) -> bytes:
        sender, *others = (f"{name} Falk <{one}>" for name, one in zip(FIRST, self.people, strict=True))
        lines = (
            f"From: {sender}",
            f"To: {self.owner}",
            f"Cc: {', '.join(others)}",
            f"Subject: {self.subject}",
            f"Message-ID: {self.message_id}",
            "Date: Mon, 21 Sep 2026 10:00:00 +0200",
            "Content-Type: text/plain; charset=utf-8",
            "",
            f"Please find the offer {self.circle} {self.number} below.",
        )
        return ("\r\n".join(lines) + "\r\n").encode()


def of_strangers(name: str, owner: str, count: int) -> Iterator[Letter]:
    """Letters of which no two share a person."""
    for number in range(count):
        yield Letter(f"{name}{number}", number, owner)


def of_friends(name: str, owner: str, count: int) -> Iterator[Letter]:
    """Letters of one circle of people."""
    for number in range(count):
        yield Letter(name, number, owner)
