"""Which mails the demo and the tests ask for by name, and the examples of each awkward case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sandbox.seed.letters import Mail

Named = Sequence[tuple[str, Mail]]


def stories(named: Named) -> dict[str, dict[str, Any]]:
    """Story -> its files, mailboxes, Message-IDs and subject; `file` and `mailbox` are the first of each.

    A mail carries its story's name; mails of one story come in order of time.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, mail in sorted(named, key=lambda pair: pair[1].story):
        if not mail.story:
            continue
        boxes = list(mail.boxes) or [mail.arrives]
        story = found.setdefault(
            mail.story,
            {
                "file": name,
                "files": [],
                "mailbox": boxes[0],
                "mailboxes": [],
                "message_ids": [],
                "subject": mail.subject,
            },
        )
        story["files"].append(name)
        story["mailboxes"] += [box for box in boxes if box not in story["mailboxes"]]
        story["message_ids"].append(mail.message_id)
    return found


def cases(named: Named) -> dict[str, list[str]]:
    """Awkward case -> the files that show it."""
    found: dict[str, list[str]] = {}
    for name, mail in named:
        for case in mail.cases:
            found.setdefault(case, []).append(name)
    return dict(sorted(found.items()))
