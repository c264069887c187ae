"""Writes `organisation.yaml` and `mail/*.eml`: `python -m sandbox.seed.generate [FOLDER]`.

The output depends on the tables alone: no clock, no random source, no compressor.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from sandbox.seed import FOLDER
from sandbox.seed.awkward import awkward
from sandbox.seed.crm import salesforce
from sandbox.seed.letters import Mail
from sandbox.seed.people import table
from sandbox.seed.stories import cases, stories
from sandbox.seed.threads import conversations

HEAD = (
    "# The seeded organisation. Written by `python -m sandbox.seed.generate`: edit tables/, not this file.\n"
    '# "@key" refers to another record or a user; `stories` and `cases` name mails for the demo and the tests.\n'
)
_USER_KEYS = ("key", "name", "email", "mail", "aliases", "salesforce", "title")


class _Plain(yaml.SafeDumper):
    """Repeats a value instead of writing anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def mails() -> list[tuple[str, Mail]]:
    """Every mail with its file name, numbered in order of time."""
    everything = [mail for thread in conversations() for mail in thread] + list(awkward())
    ordered = sorted(everything, key=lambda mail: (mail.when, mail.message_id))
    return [(f"{number:04d}.eml", mail) for number, mail in enumerate(ordered, 1)]


def organisation(named: list[tuple[str, Mail]]) -> dict[str, Any]:
    """The document that the simulators load."""
    company = table("company")
    return {
        "users": [{key: user[key] for key in _USER_KEYS} for user in company["users"]],
        "domains": company["domains"],
        "groups": sorted(company["groups"]),
        "google": company["google"],
        "microsoft": company["microsoft"],
        "salesforce": salesforce(),
        "mail": [{"file": name, "in": mail.boxes} for name, mail in named],
        "stories": stories(named),
        "cases": cases(named),
    }


def write(folder: Path) -> None:
    """Replace the organisation and all mails in `folder`."""
    named = mails()
    target = folder / "mail"
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("*.eml"):
        old.unlink()
    for name, mail in named:
        (target / name).write_bytes(mail.raw)
    text = yaml.dump(organisation(named), Dumper=_Plain, allow_unicode=True, sort_keys=False, width=160)
    (folder / "organisation.yaml").write_text(HEAD + text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
