"""The contract of `MailProvider.put` and `take`: mails that Mailspan itself puts into a mailbox."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sync.core.follow import is_own
from sync.errors import Busy, Rejected, RemoteError
from sync.model import SUMMARY_SENDER, Note, Outcome
from sync.ports import MailProvider
from tests.contracts.mail_suite import Writes, whole
from tests.contracts.mail_world import CountingMeter, MailWorld, State, UserMailbox, mail

WHEN = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


@pytest.fixture
def place(box: UserMailbox) -> str:
    """A module's label."""
    return box.create_label("Opportunities")


def note(place: str, key: str = "opportunity:006A", subject: str = "3000 Widgets", revision: str = "r1") -> Note:
    text = f"{subject} for Acme Corp"
    return Note(key, revision, place, "Salesforce", subject, text, f"<p><b>{subject}</b> for Acme Corp</p>", WHEN)


def second(first: Outcome, before: Note, subject: str = "4000 Widgets") -> Note:
    """What the item is like later."""
    return replace(note(before.place, before.key, subject, "r2"), previous=first.id)


def put(provider: MailProvider, *notes: Note) -> list[str]:
    """Put notes that must all be taken; their ids."""
    outcomes = provider.put(notes)
    assert [(one.key, one.error) for one in outcomes] == [(one.key, None) for one in notes]
    return [one.id for one in outcomes]


def subjects(box: UserMailbox, place: str) -> list[str]:
    """Of what lies in the place, in alphabetical order."""
    return sorted(whole(one).mime.subject for one in box.provider().read(box.inside(place)).values())


# --- put: afterwards exactly one note of each key lies in its place, read -------------------------------------------


def test_a_note_lies_in_its_place_read_and_nowhere_else(box: UserMailbox, provider: MailProvider, place: str) -> None:
    (made,) = put(provider, note(place))
    assert list(box.inside(place)) == [made]
    assert box.state(made) == State(frozenset({place}), inbox=False)


def test_a_note_says_what_it_was_given(provider: MailProvider, place: str) -> None:
    given = replace(note(place, subject="Angebot „Übersee“ – 東京"), sender="Müller & Söhne CRM")
    (made,) = put(provider, given)
    message = whole(provider.read([made])[made])
    sender = next(one for one in message.mime.participants if one.role == "from")
    assert (sender.name, sender.email) == ("Müller & Söhne CRM", SUMMARY_SENDER)
    assert (message.mime.subject, message.mime.text.strip()) == (given.subject, given.text)
    assert given.html in message.mime.html
    assert message.mime.date == WHEN
    assert is_own(message)


def test_each_note_has_its_own_outcome(box: UserMailbox, provider: MailProvider, place: str) -> None:
    other = box.create_label("Cases")
    notes = [note(place), note(other, "case:500A", "Broken"), note(place, "opportunity:006B", "Gears")]
    made = put(provider, *notes)
    assert len(set(made)) == 3
    assert {place: set(box.inside(place)), other: set(box.inside(other))} == {
        place: {made[0], made[2]},
        other: {made[1]},
    }


def test_a_note_that_says_something_new_replaces_the_old(box: UserMailbox, provider: MailProvider, place: str) -> None:
    notes = [note(place), note(place, "opportunity:006B", "Gears")]
    first = provider.put(notes)
    pairs = zip(first, notes, strict=True)
    made = put(box.provider(), *(second(*pair, subject=f"new {pair[1].subject}") for pair in pairs))
    assert set(box.inside(place)) == set(made)
    assert subjects(box, place) == ["new 3000 Widgets", "new Gears"]
    assert [box.state(one) for one in made] == [State(frozenset({place}), inbox=False)] * 2


def test_a_note_whose_former_one_the_user_deleted(box: UserMailbox, provider: MailProvider, place: str) -> None:
    first = provider.put([note(place)])[0]
    box.delete(first.id)
    assert put(provider, second(first, note(place))) == list(box.inside(place))


def test_mails_of_the_user_stay(box: UserMailbox, provider: MailProvider, place: str) -> None:
    own = box.deliver(mail("3000 Widgets"), labels=[place])
    first = provider.put([replace(note(place), unsure=True)])[0]
    put(box.provider(), replace(second(first, note(place)), unsure=True))
    assert own in box.inside(place)
    assert len(box.inside(place)) == 2


def test_a_place_that_is_gone_does_not_hold_back_the_others(
    box: UserMailbox, provider: MailProvider, place: str
) -> None:
    gone = box.create_label("Cases")
    box.delete_label(gone)
    lost, made = provider.put([note(gone, "case:500A", "Broken"), note(place)])
    assert isinstance(lost.error, RemoteError)
    assert not isinstance(lost.error, Busy)
    assert made.ok
    assert list(box.inside(place)) == [made.id]


def test_nothing_to_put_or_take_is_no_call(world: MailWorld, provider: MailProvider) -> None:
    with Writes(world) as seen:
        assert list(provider.put([])) == []
        assert list(provider.take([])) == []
    assert seen.requests == 0


@pytest.mark.parametrize(
    "evil",
    [
        "Widgets\r\nBcc: victim@widgets.example",
        "Widgets\nX-Evil: 1\n\nbody",
        'A" <evil@widgets.example>, "B',
        "=?utf-8?q?Widgets?=\r",
        "Widgets\u2028Bcc: victim@widgets.example\x00",
        "W" * 3000,
    ],
)
def test_what_a_record_says_is_no_header(provider: MailProvider, place: str, evil: str) -> None:
    (made,) = put(provider, replace(note(place, subject=evil), sender=evil))
    message = whole(provider.read([made])[made])
    assert {one.email for one in message.mime.participants if one.role == "from"} == {SUMMARY_SENDER}
    assert all(one.role in ("from", "to") for one in message.mime.participants)
    assert "evil@widgets.example" not in {one.email for one in message.mime.participants}
    assert "for Acme Corp" in message.mime.text
    assert is_own(message)


# --- put: an `unsure` one is looked for first -----------------------------------------------------------------------


def test_one_that_was_never_put_is_put(box: UserMailbox, provider: MailProvider, place: str) -> None:
    made = put(provider, replace(note(place), unsure=True), replace(note(place, "opportunity:006B"), unsure=True))
    assert sorted(box.inside(place)) == sorted(made)


@pytest.mark.parametrize("count", [1, 3])
def test_repeating_after_a_lost_answer_makes_no_second_one(
    world: MailWorld, box: UserMailbox, place: str, count: int
) -> None:
    notes = [note(place, f"opportunity:006{number}", f"Widgets {number}") for number in range(count)]
    provider = box.provider()
    world.fault("lost")
    try:
        outcomes = provider.put(notes)
    except Busy:
        outcomes = []
    assert not any(one.ok for one in outcomes)
    made = put(box.provider(), *(replace(one, unsure=True) for one in notes))
    assert sorted(box.inside(place)) == sorted(made)
    assert len(made) == count


def test_a_lost_replacement_is_repeated(world: MailWorld, box: UserMailbox, place: str) -> None:
    provider = box.provider()
    first = provider.put([note(place)])[0]
    world.fault("lost")
    try:
        outcomes = provider.put([second(first, note(place))])
    except Busy:
        outcomes = []
    assert not any(one.ok for one in outcomes)
    made = put(box.provider(), replace(second(first, note(place)), unsure=True))
    assert list(box.inside(place)) == made
    assert subjects(box, place) == ["4000 Widgets"]


def test_one_that_a_dead_worker_put_is_adopted(box: UserMailbox, place: str) -> None:
    """It died after it had put the new one and before the old one went."""
    first = box.provider().put([note(place)])[0]
    put(box.provider(), replace(second(first, note(place)), previous=""))
    made = put(box.provider(), replace(second(first, note(place)), unsure=True))
    assert list(box.inside(place)) == made
    assert subjects(box, place) == ["4000 Widgets"]


def test_one_that_a_dead_worker_put_and_that_is_outdated_is_replaced(box: UserMailbox, place: str) -> None:
    put(box.provider(), note(place))
    made = put(box.provider(), replace(note(place, subject="5000 Widgets", revision="r3"), unsure=True))
    assert list(box.inside(place)) == made
    assert subjects(box, place) == ["5000 Widgets"]


def test_putting_it_a_third_time_changes_nothing(box: UserMailbox, place: str) -> None:
    made = [put(box.provider(), replace(note(place), unsure=True)) for _ in range(3)]
    assert list(box.inside(place)) == made[-1]


def test_notes_of_other_items_stay(box: UserMailbox, place: str) -> None:
    others = put(box.provider(), *(note(place, f"opportunity:006{number}") for number in range(3)))
    made = put(box.provider(), replace(note(place, "opportunity:0069"), unsure=True))
    assert sorted(box.inside(place)) == sorted([*others, *made])


def test_an_item_of_another_mailbox_is_not_touched(world: MailWorld, box: UserMailbox, place: str) -> None:
    colleague = world.mailbox()
    theirs = colleague.create_label("Opportunities")
    first = put(colleague.provider(), note(theirs))
    put(box.provider(), replace(note(place), unsure=True))
    assert list(colleague.inside(theirs)) == first


# --- take: one that is gone counts as removed, and what is no note of ours stays ------------------------------------


def test_notes_are_taken_and_mails_stay(box: UserMailbox, provider: MailProvider, place: str) -> None:
    one, gone, two, kept = put(provider, *(note(place, f"opportunity:006{number}") for number in range(4)))
    own = box.deliver(mail(), labels=[place])
    box.delete(gone)
    outcomes = box.provider().take([one, own, gone, two])
    assert [outcome.key for outcome in outcomes] == [one, own, gone, two]
    assert [type(outcome.error) for outcome in outcomes] == [type(None), Rejected, type(None), type(None)]
    assert sorted(box.inside(place)) == sorted([own, kept])
    assert box.state(own).unread


def test_taking_twice_is_as_good_as_once(box: UserMailbox, provider: MailProvider, place: str) -> None:
    made = put(provider, note(place))
    assert [one.error for one in (*provider.take(made), *provider.take(made))] == [None, None]
    assert list(box.inside(place)) == []


def test_a_place_is_empty_when_its_notes_are_taken_or_replaced(
    box: UserMailbox, provider: MailProvider, place: str
) -> None:
    first = provider.put([note(place)])[0]
    provider.take(put(provider, second(first, note(place))))
    assert [one.error for one in provider.remove([place])] == [None]
    assert place not in box.labels()


# --- errors and the budget ------------------------------------------------------------------------------------------


def test_an_empty_budget_makes_no_call(world: MailWorld, box: UserMailbox, place: str) -> None:
    made, thread = put(box.provider(), note(place)), box.thread(box.deliver(mail()))
    meter = CountingMeter(empty=True)
    provider = box.provider(meter)
    with Writes(world) as seen:
        for call in (
            lambda: provider.put([note(place, "opportunity:006B")]),
            lambda: provider.put([replace(note(place), unsure=True)]),
            lambda: provider.take(made),
            lambda: provider.remove([place]),
            lambda: provider.present([place]),
            lambda: provider.conversations([thread]),
        ):
            with pytest.raises(Busy):
                call()
    assert seen.requests == 0
    assert meter.refused == []
    assert list(box.inside(place)) == made


def test_every_call_is_paid(world: MailWorld, box: UserMailbox, place: str) -> None:
    meter = CountingMeter()
    provider = box.provider(meter)
    thread = box.thread(box.deliver(mail()))
    other = box.create_label("Cases")
    with Writes(world) as seen:
        first = provider.put([note(place), note(place, "opportunity:006B")])[0]
        made = provider.put([replace(second(first, note(place)), unsure=True)])[0]
        provider.take([made.id])
        provider.remove([other])
        provider.present([place])
        provider.conversations([thread])
    assert meter.calls == seen.requests


@pytest.mark.parametrize("kind", ["throttled", "down", "reset"])
@pytest.mark.parametrize("unsure", [False, True])
def test_trouble_is_busy_and_trying_again_ends_it(
    world: MailWorld, box: UserMailbox, place: str, kind: str, unsure: bool
) -> None:
    provider = box.provider()
    world.fault(kind)  # type: ignore[arg-type]
    try:
        errors = [one.error for one in provider.put([replace(note(place), unsure=unsure)])]
    except Busy as error:
        errors = [error]
    assert all(isinstance(error, Busy) and 0 < error.retry_after <= 120 for error in errors)
    made = put(provider, replace(note(place), unsure=True))
    assert list(box.inside(place)) == made
