"""Gmail's own about summaries: what is sent, what it costs, and the search index that lags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.errors import Busy, Conflict, Denied
from sync.model import SUMMARY_SENDER, Note
from sync.providers.google import notes
from tests.contracts.gmail_world import GmailMailbox, GmailWorld
from tests.contracts.mail_world import CountingMeter, mail
from tests.sandboxed import Sandbox

ADDRESS = "alex@mailspan.example"
WHEN = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


@pytest.fixture
def world(bare_sandbox: Sandbox) -> Iterator[GmailWorld]:
    world = GmailWorld(bare_sandbox)
    yield world
    world.close()
    bare_sandbox.settings(gmail_index_delay=None)


@pytest.fixture
def box(world: GmailWorld) -> GmailMailbox:
    return world.mailbox()


@pytest.fixture
def place(box: GmailMailbox) -> str:
    return box.create_label("Salesforce", "Opportunities")


def note(place: str = "Label_1", number: int = 1, revision: str = "r1") -> Note:
    return Note(
        f"opportunity:006{number}", revision, place, "Salesforce", f"Widgets {number}", "text", "<p>html</p>", WHEN
    )


def spent(meter: CountingMeter) -> dict[str, float]:
    """Units by method since the last look."""
    out: dict[str, float] = {}
    for method, units, _ in meter.spent:
        out[method] = out.get(method, 0) + units
    meter.spent.clear()
    return out


# --- the mail -------------------------------------------------------------------------------------------------------


def test_the_mail() -> None:
    message = message_from_bytes(notes.raw(ADDRESS, note()), policy=policy.default)
    assert message["From"].addresses[0].addr_spec == SUMMARY_SENDER
    assert message["To"].addresses[0].addr_spec == ADDRESS
    assert message["Date"].datetime == WHEN
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == notes.message_id(ADDRESS, note())
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


def test_the_message_id_tells_mailbox_key_and_revision() -> None:
    several = [(ADDRESS, note()), ("ben@mailspan.example", note()), (ADDRESS, note(number=2)),
               (ADDRESS, note(revision="r2"))]  # fmt: skip
    ids = {notes.message_id(*one) for one in several}
    assert len(ids) == 4
    assert notes.message_id(ADDRESS.upper(), note()) in ids
    assert all(one.startswith("<sum.") and one.endswith("@mailspan.invalid>") for one in ids)
    assert not any("006" in one for one in ids)


text = st.text(st.characters(codec=None), max_size=200)


@settings(max_examples=60, deadline=None)
@given(sender=text, subject=text, body=text, key=text)
def test_whatever_a_record_holds_the_headers_are_ours(sender: str, subject: str, body: str, key: str) -> None:
    made = replace(note(), sender=sender, subject=subject, text=body, html=body, key=key)
    raw = notes.raw(ADDRESS, made)
    head = raw.partition(b"\r\n\r\n")[0]
    names = [line.partition(b":")[0].decode() for line in head.split(b"\r\n") if line[:1] not in b" \t"]
    assert sorted(names) == sorted(
        ["From", "To", "Subject", "Date", "Message-ID", "List-Id", "Auto-Submitted", "X-Mailspan-Key",
         "X-Mailspan-Revision", "MIME-Version", "Content-Type"]
    )  # fmt: skip
    assert message_from_bytes(raw, policy=policy.default)["From"].addresses[0].addr_spec == SUMMARY_SENDER


# --- what it costs --------------------------------------------------------------------------------------------------


def test_the_price_of_summaries(world: GmailWorld, box: GmailMailbox, place: str) -> None:
    meter = CountingMeter()
    provider = box.provider(meter)
    before, requests = world.units(), world.requests()
    first = provider.put([note(place, number) for number in range(20)])
    assert world.requests() - requests == 1
    assert sum(spent(meter).values()) == world.units() - before == 20 * 25
    second = provider.put([replace(note(place, number, "r2"), previous=one.id) for number, one in enumerate(first[:5])])
    assert spent(meter) == {"messages.insert": 5 * 25, "messages.modify": 5 * 5}
    assert world.requests() - requests == 3
    provider.take([one.id for one in second])
    assert spent(meter) == {"messages.get": 5 * 20, "messages.modify": 5 * 5}
    assert world.requests() - requests == 5


@pytest.mark.parametrize("delay", [0.0, 3600.0], ids=["indexed", "not indexed"])
def test_the_price_of_looking_first(world: GmailWorld, box: GmailMailbox, place: str, delay: float) -> None:
    """Notes of others that are indexed are not read, however many there are; nor are those the engine knows."""
    world.sandbox.settings(gmail_index_delay=0.0)
    meter = CountingMeter()
    provider = box.provider(meter)
    first = provider.put([note(place, number) for number in range(10)])
    world.sandbox.settings(gmail_index_delay=delay)
    lost = provider.put([replace(note(place, 3, "r2"))])[0]
    spent(meter)
    wanted = replace(note(place, 3, "r2"), previous=first[3].id, unsure=True)
    outcome = provider.put([wanted])[0]
    assert (outcome.error, outcome.id) == (None, lost.id)
    assert spent(meter) == {"messages.list": 15, "messages.get": 20, "messages.modify": 5}
    assert len(box.inside(place)) == 10


@pytest.mark.parametrize("delay", [0.0, 3600.0], ids=["indexed", "not indexed"])
@pytest.mark.parametrize("revision", ["r1", "r2"], ids=["same", "outdated"])
def test_what_a_dead_worker_left_is_found(
    world: GmailWorld, box: GmailMailbox, place: str, delay: float, revision: str
) -> None:
    world.sandbox.settings(gmail_index_delay=delay)
    for _ in range(2):
        box.provider().put([note(place, number) for number in (1, 2)])
    made = box.provider().put([replace(note(place, 1, revision), unsure=True)])[0]
    inside = box.inside(place)
    assert len(inside) == 3  # the other key has two, and nobody asked for it
    assert made.id in inside


def test_a_long_place_is_looked_through_whole(world: GmailWorld, box: GmailMailbox, place: str) -> None:
    world.sandbox.settings(gmail_index_delay=3600.0)
    lost = box.provider().put([note(place, number) for number in range(7)])
    world.small_pages(2)
    again = box.provider().put([replace(note(place, number), unsure=True) for number in range(7)])
    assert [one.id for one in again] == [one.id for one in lost]


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_a_place_that_is_gone_is_a_conflict(box: GmailMailbox, place: str) -> None:
    box.delete_label(place)
    for unsure in (False, True):
        (outcome,) = box.provider().put([replace(note(place), unsure=unsure)])
        assert isinstance(outcome.error, Conflict)


def test_one_part_that_is_refused_is_repeated_and_no_other(world: GmailWorld, box: GmailMailbox, place: str) -> None:
    world.sandbox.fault("status", vendor="google", path="^/gmail/v1/users/me/messages", method="POST", status=429)
    outcomes = box.provider().put([note(place, number) for number in range(3)])
    assert [one.error for one in outcomes] == [None] * 3
    assert len(box.inside(place)) == 3


def test_an_old_note_that_could_not_go_is_told_and_goes_next_time(
    world: GmailWorld, box: GmailMailbox, place: str
) -> None:
    first = box.provider().put([note(place)])[0]
    wanted = replace(note(place, revision="r2"), previous=first.id)
    world.sandbox.fault("status", vendor="google", path="/modify", status=503)
    (outcome,) = box.provider().put([wanted])
    assert isinstance(outcome.error, Busy)
    (outcome,) = box.provider().put([replace(wanted, unsure=True)])
    assert outcome.error is None
    assert list(box.inside(place)) == [outcome.id]


def test_a_note_that_the_user_threw_away_stays_there(box: GmailMailbox, place: str) -> None:
    provider = box.provider()
    made = provider.put([note(place)])[0].id
    box.throw_away(made)
    assert provider.take([made])[0].ok
    (again,) = provider.put([replace(note(place), unsure=True)])
    assert again.id != made
    assert list(box.inside(place)) == [again.id]


def test_a_note_that_is_gone_keeps_no_label(box: GmailMailbox, place: str) -> None:
    """A trashed message counts in `messagesTotal` of its labels."""
    provider = box.provider()
    first = provider.put([note(place)])[0]
    provider.put([replace(note(place, revision="r2"), previous=first.id)])
    assert box.api("GET", f"labels/{place}")["messagesTotal"] == 1
    assert "TRASH" in box.api("GET", f"messages/{first.id}?format=minimal")["labelIds"]


def test_a_mail_with_our_address_as_its_name_is_not_ours(box: GmailMailbox, place: str) -> None:
    theirs = box.deliver(mail(sender=f'"{SUMMARY_SENDER}" <kim@widgets.example>'), labels=[place])
    assert not box.provider().take([theirs])[0].ok
    assert list(box.inside(place)) == [theirs]


@pytest.mark.parametrize("unsure", [False, True])
def test_a_revoked_grant_is_denied(world: GmailWorld, box: GmailMailbox, place: str, unsure: bool) -> None:
    provider = box.provider()
    world.fault("revoked")
    with pytest.raises(Denied):
        provider.put([replace(note(place), unsure=unsure)])
    with pytest.raises(Denied):
        provider.take(["1"])
