"""Where a mail goes in the CRM: the table of `sync.core.placing`, row by row."""

from __future__ import annotations

import pytest

from sync.core.placing import Before, Place, place
from sync.model import Filed, RecordRef, Target

MAIL = RecordRef("email", "02s1")
TASK = RecordRef("task", "00T1")
ONE, TWO, NEW = (RecordRef("opportunity", f"006{n}") for n in (1, 2, 3))
ARCHIVE, TO_ONE, TO_TWO = (
    Target("archive"),
    Target("record", "opportunity", "0061"),
    Target("record", "opportunity", "0062"),
)
CREATE = Target("create", "opportunity")


def main(item: RecordRef | None = None) -> Filed:
    return Filed(MAIL, item=item)


def before(item: RecordRef | None, *, earlier: bool, activity: RecordRef = MAIL) -> Before:
    return Before(7, item, activity, earlier)


@pytest.mark.parametrize(
    ("target", "there", "others", "expected"),
    [
        (ARCHIVE, None, (), Place()),
        (TO_ONE, None, (), Place(item=ONE)),
        (CREATE, None, (), Place(create=True)),
        (ARCHIVE, main(ONE), (before(ONE, earlier=True),), Place(existing=main(ONE))),
        (TO_ONE, main(), (before(None, earlier=True),), Place(existing=main(), item=ONE)),
        (CREATE, main(), (before(None, earlier=True),), Place(existing=main(), create=True)),
        (TO_ONE, main(ONE), (before(ONE, earlier=True),), Place(existing=main(ONE), item=ONE)),
        (TO_TWO, main(ONE), (before(ONE, earlier=False),), Place(item=TWO, beside=True)),
        (
            TO_TWO,
            main(ONE),
            (before(ONE, earlier=True),),
            Place(existing=main(ONE), item=TWO, moved_from=ONE, leaves=(7,)),
        ),
        (
            CREATE,
            main(ONE),
            (before(ONE, earlier=True),),
            Place(existing=main(ONE), create=True, moved_from=ONE, leaves=(7,)),
        ),
    ],
)
def test_the_table(target: Target, there: Filed | None, others: tuple[Before, ...], expected: Place) -> None:
    assert place(target, there, None, others, None, None) == expected


def test_what_others_wrote_is_adopted_and_keeps_its_item() -> None:
    """Nobody of us put the mail to that item: the user asked for a further one."""
    assert place(ARCHIVE, main(ONE), None, (), None, None) == Place(existing=main(ONE), adopted=True)
    assert place(TO_TWO, main(ONE), None, (), None, None) == Place(item=TWO, beside=True)
    assert place(TO_TWO, main(), None, (), None, None) == Place(existing=main(), item=TWO, adopted=True)


def test_our_own_record_of_an_earlier_try_is_not_adopted() -> None:
    assert not place(TO_ONE, main(ONE), None, (), MAIL, None).adopted


def test_a_task_beside_moves_by_itself() -> None:
    """The mail lay in two leaves; the second one is left for a third: only its task moves."""
    others = (Before(7, ONE, MAIL, False), Before(8, TWO, TASK, True))
    found = place(Target("record", "opportunity", NEW.id), main(ONE), None, others, None, None)
    assert found == Place(existing=Filed(TASK, item=TWO), item=NEW, moved_from=TWO, leaves=(8,))


def test_a_lost_call_that_took_effect_is_found() -> None:
    """The answer never came: what it made is adopted, not made again."""
    assert place(CREATE, main(NEW), None, (), None, None, unsure=True) == Place(
        existing=main(NEW), item=NEW, adopted=True
    )
    beside = Filed(TASK, item=NEW)
    assert place(CREATE, main(ONE), beside, (before(ONE, earlier=False),), None, None, unsure=True) == Place(
        existing=beside, item=NEW, beside=True
    )


def test_a_lost_call_is_not_confused_with_an_item_that_another_filing_made() -> None:
    found = place(CREATE, main(ONE), None, (before(ONE, earlier=True),), None, None, unsure=True)
    assert found.create


def test_an_item_that_was_made_already_is_not_made_again() -> None:
    assert place(CREATE, main(NEW), None, (), MAIL, NEW) == Place(existing=main(NEW), item=NEW)
