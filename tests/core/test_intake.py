"""What lies in which drop label -> the filings to make."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.core.intake import Intent, decide
from sync.model import Drop, Seen, Target, Trigger

ARCHIVE, ALSO, CASE = Target("archive"), Target("archive"), Target("record", "case", "500A")
DROPS = {"L1": Drop(ARCHIVE), "L2": Drop(ALSO), "L3": Drop(CASE), "C": Drop(ARCHIVE, "category")}


def seen(ident: str, *labels: str, archived: bool = False) -> Seen:
    return Seen(ident, f"t{ident}", frozenset(labels), archived)


def intent(ident: str, target: Target, *labels: str, archived: bool = False, trigger: Trigger = "label") -> Intent:
    return Intent(ident, f"t{ident}", target, frozenset(labels), archived, trigger)


@pytest.mark.parametrize(
    ("found", "intents"),
    [
        ([], []),
        ([seen("a", "INBOX")], []),
        ([seen("a", "INBOX", "L1")], [intent("a", ARCHIVE, "L1")]),
        ([seen("a", "L1", archived=True)], [intent("a", ARCHIVE, "L1", archived=True)]),
        ([seen("a", "L1", "L2")], [intent("a", ARCHIVE, "L1", "L2")]),
        ([seen("a", "L3", "L1")], [intent("a", ARCHIVE, "L1"), intent("a", CASE, "L3")]),
        ([seen("b", "L1"), seen("a", "L1")], [intent("b", ARCHIVE, "L1"), intent("a", ARCHIVE, "L1")]),
        ([seen("a", "L1"), seen("a", "L1")], [intent("a", ARCHIVE, "L1")]),
        ([seen("a", "L1"), seen("a", "INBOX")], []),  # taken out again
        ([seen("a", "INBOX"), seen("a", "L3")], [intent("a", CASE, "L3")]),
        ([seen("a", "INBOX", "C")], [intent("a", ARCHIVE, "C", trigger="category")]),
        ([seen("a", "C", "L1")], [intent("a", ARCHIVE, "C", "L1")]),  # put there: it goes back home
    ],
)
def test_decide(found: list[Seen], intents: list[Intent]) -> None:
    assert decide(found, DROPS) == tuple(intents)


SEEN = st.lists(st.builds(seen, st.sampled_from("abc"), st.sampled_from(["L1", "L2", "L3", "C", "X"])), max_size=12)


@given(SEEN)
def test_no_mail_goes_twice_to_one_target(found: list[Seen]) -> None:
    intents = decide(found, DROPS)
    assert len({(one.message, one.target) for one in intents}) == len(intents)
    assert all(one.labels <= DROPS.keys() and one.labels for one in intents)
    assert decide([*found, *found], DROPS) == intents  # the same page twice
