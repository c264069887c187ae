"""What people do to our labels by hand leaves no mail without its mark and no item without its summary."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sync.policy import parse
from tests.contracts.mail_world import mail
from tests.engine.office import DONE, Desk, Office

POLICY = parse({"modules": ["opportunity"], "assign_to": True, "conversation_follow": True})
SYSTEMS = pytest.mark.parametrize("folders", [False, True], ids=["labels", "folders"])


def _summaries(desk: Desk) -> Sequence[str]:
    place = desk.label("Salesforce", "Opportunities")
    return [key for key in desk.box.inside(place) if desk.box.mails[key].note is not None]


@SYSTEMS
def test_a_mail_keeps_its_mark_when_its_conversation_is_not_followed_any_more(office: Office, folders: bool) -> None:
    office.policy = POLICY
    desk = office.desk("anna", folders=folders)
    key = desk.drop(mail(to=desk.address))
    office.wake(desk)
    desk.box.drop(key, desk.label("Stop Following"), move=False)
    office.wake(desk)
    office.settle()
    assert desk.marks(key) == {DONE}


@SYSTEMS
def test_summaries_come_back_when_the_label_of_their_module_was_deleted(office: Office, folders: bool) -> None:
    office.policy = POLICY
    owner = next(record for record, one in office.crm.org.records.items() if one.get("email", "").startswith("anna@"))
    office.crm.item("opportunity", "Pumps", owner=owner)
    desk = office.desk("anna", folders=folders)
    assert len(_summaries(desk)) == 1
    desk.box.delete_label(desk.label("Salesforce", "Opportunities"))
    office.now += office.policy.sweep_minutes * 60 + 1
    office.wake(desk)
    office.settle()
    assert len(_summaries(desk)) == 1


@SYSTEMS
def test_what_is_asked_for_right_after_an_undo_is_done(office: Office, folders: bool) -> None:
    desk = office.desk("anna", folders=folders)
    key = desk.drop(mail(to=desk.address, message_id="<again@acme.example>"))
    office.wake(desk)
    assert office.store.undo(office.store.hash("<again@acme.example>")).filings == 1
    desk.box.drop(key, desk.label("Track in CRM"), move=False)
    office.settle()
    assert desk.marks(key) == {DONE}
    assert [one.message_id for one in office.crm.activities()] == ["<again@acme.example>"]
