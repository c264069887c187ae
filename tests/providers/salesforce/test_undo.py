"""Taking back when Salesforce refuses."""

from __future__ import annotations

from typing import Any

from sync.errors import Busy
from sync.model import Outcome, RecordRef, Removal
from sync.providers.salesforce.asking import Asker
from sync.providers.salesforce.undo import Undo
from tests.providers.salesforce.scripted import Said, client, description, rows

MAIL, CONTACT = RecordRef("email", "02s000000000001AAA"), RecordRef("contact", "003000000000001AAA")
STAMP = "2026-11-03T10:00:00.000+0000"


def parts(*answers: tuple[int, Any]) -> Said:
    found = [{"referenceId": f"q{n}", "httpStatusCode": code, "body": body} for n, (code, body) in enumerate(answers)]
    return Said(body={"compositeResponse": found})


def fault(code: str) -> tuple[int, Any]:
    return 400, [{"errorCode": code, "message": "about Laura Keller"}]


def undo(removal: Removal, *answers: Said) -> tuple[Outcome, list[Any]]:
    calls, script, _ = client(*answers)
    outcome = Undo(Asker(calls), calls.root, description(), {}).run(removal)
    assert not script.answers
    return outcome, [[part["url"] for part in body["compositeRequest"]] for body in script.bodies()]


def test_a_lock_passes() -> None:
    outcome, _ = undo(Removal("k", delete=(MAIL,)), rows([], []), parts(fault("UNABLE_TO_LOCK_ROW")))
    assert isinstance(outcome.error, Busy)


def test_a_refusal_is_told_without_content() -> None:
    outcome, _ = undo(Removal("k", delete=(MAIL,)), rows([], []), parts(fault("INSUFFICIENT_ACCESS_OR_READONLY")))
    assert outcome.ok
    (note,) = outcome.notes
    assert MAIL.id in note
    assert "Laura" not in note


def test_what_is_gone_is_taken_back() -> None:
    outcome, _ = undo(Removal("k", delete=(MAIL,)), rows([], []), parts(fault("ENTITY_IS_DELETED")))
    assert outcome == Outcome("k", None, {}, ())


def test_a_file_that_is_shared_stays() -> None:
    versions = [{"ContentDocumentId": "069000000000001AAA"}, {"ContentDocumentId": "069000000000002AAA"}]
    links = [
        {"ContentDocumentId": "069000000000001AAA", "LinkedEntityId": MAIL.id},
        {"ContentDocumentId": "069000000000001AAA", "LinkedEntityId": "001000000000001AAA"},
        {"ContentDocumentId": "069000000000002AAA", "LinkedEntityId": MAIL.id},
        {"ContentDocumentId": "069000000000002AAA", "LinkedEntityId": "005000000000001AAA"},
    ]
    outcome, urls = undo(Removal("k", delete=(MAIL,)), rows([], versions), rows(links), parts((204, None), (204, None)))
    assert [url.rpartition("/")[2] for url in urls[2]] == ["069000000000002AAA", MAIL.id]
    assert any("069000000000001AAA" in note for note in outcome.notes)


def created(**changes: Any) -> dict[str, Any]:
    plain = {"CreatedById": "005", "LastModifiedById": "005", "CreatedDate": STAMP, "LastModifiedDate": STAMP}
    return {"Id": CONTACT.id, **plain, **changes}


def test_a_record_that_was_changed_seconds_after_by_a_flow_goes() -> None:
    row = created(LastModifiedDate="2026-11-03T10:00:04.000+0000")
    outcome, urls = undo(Removal("k", created=(CONTACT,)), rows([], [], [row]), parts((204, None)))
    assert [url.rpartition("/")[2] for url in urls[1]] == [CONTACT.id]
    assert not outcome.notes


def test_a_record_that_was_changed_later_stays_and_costs_no_write() -> None:
    for change in ({"LastModifiedDate": "2026-11-03T10:01:00.000+0000"}, {"LastModifiedById": "006"}):
        outcome, urls = undo(Removal("k", created=(CONTACT,)), rows([], [], [created(**change)]))
        assert len(urls) == 1
        assert any(CONTACT.id in note for note in outcome.notes)
