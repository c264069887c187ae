"""What lies in which drop label -> the filings to make (design.md 4.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sync.model import Drop, Seen, Target, Trigger


@dataclass(frozen=True, slots=True)
class Intent:
    """File one mail to one target. `labels` are the drop labels to take off when it is done. A mail that was both put
    somewhere and given a category counts as put there: it goes back home."""

    message: str
    thread: str
    target: Target
    labels: frozenset[str]
    archived: bool = False
    trigger: Trigger = "label"


def decide(seen: Sequence[Seen], drops: Mapping[str, Drop]) -> tuple[Intent, ...]:
    """One intent per mail and target, in the order in which the mails were first seen.

    A mail that was seen more than once counts as it was seen last: a page of changes may be followed by the level,
    and the level is the truth. Labels that are no drop labels say nothing. `drops`: label id -> what it means.
    """
    last: dict[str, Seen] = {}
    for one in seen:
        last[one.id] = one
    intents: list[Intent] = []
    for message, one in last.items():
        by_target: dict[Target, set[str]] = {}
        for label in sorted(one.labels & drops.keys()):
            by_target.setdefault(drops[label].target, set()).add(label)
        intents.extend(
            Intent(message, one.thread, target, frozenset(labels), one.archived, _trigger(labels, drops))
            for target, labels in sorted(by_target.items(), key=lambda item: item[0].key)
        )
    return tuple(intents)


def _trigger(labels: set[str], drops: Mapping[str, Drop]) -> Trigger:
    put = sorted(drops[label].trigger for label in labels if drops[label].trigger != "category")
    return put[0] if put else "category"
