"""Labels that the policy wants no more: they go when they are empty, and cost nothing until then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contracts.mail_world import mail
from tests.engine.office import DONE, Office

SWEEP = 601.0
TRIGGER = ("Track in CRM",)


@pytest.mark.parametrize("folders", [False, True], ids=["labels", "folders"])
def test_a_trigger_that_is_given_up_goes_at_the_next_look(office: Office, folders: bool) -> None:
    desk = office.desk("anna", folders=folders)
    assert TRIGGER in desk.box.labels().values()
    office.policy = replace(office.policy, trigger_category="")
    office.wake(desk)
    assert TRIGGER not in desk.box.labels().values()


def test_a_label_that_cannot_go_is_tried_at_sweeps_only(office: Office) -> None:
    desk = office.desk("anna")
    worn = desk.box.deliver(mail())
    trigger = desk.label(*TRIGGER)
    office.policy = replace(office.policy, trigger_category="")
    desk.box.tag(worn, trigger)
    calls: list[str] = []
    office.heard = lambda name, before: calls.append(name) if before else None
    for _ in range(3):
        office.wake(desk)
    assert calls.count("remove") == 1
    assert TRIGGER in desk.box.labels().values()
    office.now += SWEEP
    office.wake(desk)
    assert calls.count("remove") == 2
    desk.box.untag(worn, {trigger})
    office.now += SWEEP
    office.wake(desk)
    assert TRIGGER not in desk.box.labels().values()
    assert desk.marks(worn) & {DONE} == set()
