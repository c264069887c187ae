"""The mail half of the loop, with a real store and in-memory systems at both ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from sync.engine.work import Ports
from sync.errors import Rejected
from sync.model import Mark, Outcome
from tests.contracts.memory_crm import MemoryCrmWorld
from tests.engine.office import DONE, DROP, FAILED, MISSING, Office, mail

CUSTOMER = "Kim Lee <kim@widgets.example>"


def test_first_sync_makes_the_tree(office: Office) -> None:
    anna = office.desk("anna")
    paths = set(anna.box.labels().values())
    assert {DROP, DONE, MISSING, FAILED} <= paths


def test_a_dropped_mail_is_filed_and_settled(office: Office) -> None:
    widgets = office.crm.account("Widgets", website="widgets.example")
    kim = office.crm.contact("Lee", "kim@widgets.example", account=widgets)
    anna = office.desk("anna")
    key = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example", message_id="<one@widgets.example>"))
    anna.box.star(key)
    office.wake(anna)
    (activity,) = office.crm.activities()
    assert activity.message_id == "<one@widgets.example>"
    assert kim in activity.people
    assert office.crm.anna in activity.people
    assert anna.marks(key) == {DONE}
    state = anna.state(key)
    assert (state.inbox, state.unread, state.starred) == (True, True, True)


def test_an_unknown_sender_becomes_a_contact_with_an_account(office: Office) -> None:
    anna = office.desk("anna")
    key = anna.drop(mail(sender="Rosa Diaz <rosa@newco.example>", to="anna@northpeak.example"))
    office.wake(anna)
    assert office.crm.count("contact") == 1
    assert office.crm.count("account") == 1
    assert anna.marks(key) == {DONE}


def test_internal_mail_is_marked_and_returned(office: Office) -> None:
    anna = office.desk("anna")
    key = anna.drop(mail(sender="Ben Carter <ben@northpeak.example>", to="anna@northpeak.example"))
    office.wake(anna)
    assert not office.crm.activities()
    assert anna.marks(key) == {MISSING, (*MISSING, "Internal only")}
    assert anna.state(key).inbox


def test_hold_on_missing_match_keeps_the_mail(office: Office) -> None:
    office.policy = replace(office.policy, hold_on_missing_match=True, create_missing=False)
    anna = office.desk("anna")
    key = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    office.wake(anna)
    assert anna.marks(key) == {DROP}
    office.crm.contact("Lee", "kim@widgets.example")
    office.now += 3600
    office.wake(anna)
    assert anna.marks(key) == {DONE}


def test_the_same_mail_in_two_mailboxes_is_one_record_with_both_users(office: Office) -> None:
    office.crm.contact("Lee", "kim@widgets.example")
    anna, ben = office.desk("anna"), office.desk("ben")
    raw = mail(sender=CUSTOMER, to="sales-list@widgets.example", message_id="<both@widgets.example>")
    first, second = anna.drop(raw), ben.drop(raw)
    office.wake(anna)
    office.wake(ben)
    office.settle()
    (activity,) = office.crm.activities()
    assert {office.crm.anna, office.crm.ben} <= activity.people
    assert anna.marks(first) == {DONE}
    assert ben.marks(second) == {DONE}


def test_one_unknown_sender_in_a_burst_is_created_once(office: Office) -> None:
    anna = office.desk("anna")
    keys = [
        anna.drop(mail(f"Mail {n}", sender="Rosa Diaz <rosa@newco.example>", to="anna@northpeak.example"))
        for n in range(12)
    ]
    office.wake(anna)
    assert office.crm.count("contact") == 1
    assert office.crm.count("account") == 1
    assert len(office.crm.activities()) == 12
    assert all(anna.marks(key) == {DONE} for key in keys)


def test_two_copies_in_one_mailbox_are_one_record(office: Office) -> None:
    office.crm.contact("Lee", "kim@widgets.example")
    anna = office.desk("anna")
    raw = mail(sender=CUSTOMER, to="anna@northpeak.example", message_id="<twice@widgets.example>")
    keys = [anna.drop(raw), anna.drop(raw)]
    office.wake(anna)
    office.settle()
    assert len(office.crm.activities()) == 1
    assert all(anna.marks(key) == {DONE} for key in keys)


def test_a_mail_taken_out_again_before_we_came_is_left_alone(office: Office) -> None:
    anna = office.desk("anna")
    key = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    anna.box.undrop(key, anna.label(*DROP))
    office.wake(anna)
    assert not office.crm.activities()
    assert anna.marks(key) == set()


def test_a_deleted_mail_ends_quietly(office: Office) -> None:
    anna = office.desk("anna")
    anna.box.delete(anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example")))
    other = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    office.wake(anna)
    assert len(office.crm.activities()) == 1
    assert anna.marks(other) == {DONE}
    assert office.store.status(office.now)[0].lag == 0


def test_a_mail_without_any_address_is_parked_with_its_reason(office: Office) -> None:
    anna = office.desk("anna")
    key = anna.drop(b"Subject: scan 0007\r\n\r\nx\r\n")
    good = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    office.wake(anna)
    assert anna.marks(key) == {FAILED, (*FAILED, "No usable address")}
    assert anna.marks(good) == {DONE}
    (parked,) = office.store.parked()
    assert parked.reason == "no_address"


def test_a_parked_mail_is_filed_after_retry(office: Office) -> None:
    anna = office.desk("anna")
    office.crm.demand("contact")
    key = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    office.wake(anna)
    assert FAILED in anna.marks(key)
    office.crm.contact("Lee", "kim@widgets.example")
    assert office.store.retry("all", office.now) == 1
    office.wake(anna)
    assert anna.marks(key) == {DONE}


def test_a_mail_that_is_dropped_while_its_retry_waits_comes_home(office: Office) -> None:
    anna = office.desk("anna")
    office.crm.demand("contact")
    key = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    office.wake(anna)
    office.crm.contact("Lee", "kim@widgets.example")
    office.store.retry("all", office.now)
    anna.box.drop(key, anna.label(*DROP))
    office.wake(anna)
    assert anna.marks(key) == {DONE}
    assert anna.state(key).inbox


def test_a_categorised_mail_that_is_dropped_before_it_is_filed_comes_home(office: Office) -> None:
    anna = office.desk("anna")
    key = anna.box.deliver(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    anna.box.drop(key, anna.label("Track in CRM"), move=False)
    office.crm.fault("down")
    office.wake(anna)
    anna.box.drop(key, anna.label(*DROP))
    office.settle()
    assert anna.marks(key) == {DONE}
    assert anna.state(key).inbox


def test_a_dropped_again_mail_is_settled_and_not_doubled(office: Office) -> None:
    anna = office.desk("anna")
    key = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    office.wake(anna)
    anna.box.drop(key, anna.label(*DROP))
    office.wake(anna)
    assert len(office.crm.activities()) == 1
    assert anna.marks(key) == {DONE}


def test_a_record_deleted_in_the_crm_is_written_anew_when_dropped_again(office: Office) -> None:
    anna = office.desk("anna")
    key = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    office.wake(anna)
    office.crm.delete(office.crm.activities()[0].record)
    office.crm.org.activities.clear()
    anna.box.drop(key, anna.label(*DROP))
    office.wake(anna)
    office.settle()
    assert len(office.crm.activities()) == 1
    assert anna.marks(key) == {DONE}


def test_an_expired_cursor_loses_nothing(office: Office) -> None:
    anna = office.desk("anna")
    key = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    office.mails.expire_cursors()
    office.wake(anna)
    assert len(office.crm.activities()) == 1
    assert anna.marks(key) == {DONE}


def test_a_deleted_drop_label_comes_back_at_the_sweep(office: Office) -> None:
    anna = office.desk("anna")
    anna.box.delete_label(anna.label(*DROP))
    office.now += office.policy.sweep_minutes * 60
    office.wake(anna)
    assert DROP in anna.box.labels().values()


def test_a_deleted_marker_is_restored_while_settling(office: Office) -> None:
    anna = office.desk("anna")
    anna.box.delete_label(anna.label(*DONE))
    key = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    office.wake(anna)
    office.settle()
    assert anna.marks(key) == {DONE}


def test_a_renamed_drop_label_still_works_and_keeps_its_name(office: Office) -> None:
    anna = office.desk("anna")
    label = anna.label(*DROP)
    anna.box.rename_label(label, "My filing")
    key = anna.box.deliver(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    anna.box.drop(key, label)
    office.now += 3600
    office.wake(anna)
    assert anna.marks(key) == {DONE}
    assert ("Salesforce", "My filing") in anna.box.labels().values()


def test_a_mail_archived_before_the_drop_stays_out_of_the_inbox(office: Office) -> None:
    anna = office.desk("anna")
    key = anna.box.deliver(mail(sender=CUSTOMER, to="anna@northpeak.example"), inbox=False)
    office.wake(anna)
    anna.box.drop(key, anna.label(*DROP), move=False)
    office.wake(anna)
    assert anna.marks(key) == {DONE}
    assert not anna.state(key).inbox


@pytest.mark.parametrize("kind", ["throttled", "down", "reset", "lost"])
def test_a_fault_of_the_crm_delays_and_loses_nothing(office: Office, kind: str) -> None:
    anna = office.desk("anna")
    key = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    for skip in (0, 1):
        office.crm.fault(kind, retry_after=2.0, skip=skip)  # type: ignore[arg-type]
        office.wake(anna)
        office.settle()
    assert len(office.crm.activities()) == 1
    assert office.crm.count("contact") == 1
    assert anna.marks(key) == {DONE}


@pytest.mark.parametrize("kind", ["throttled", "down", "reset", "lost"])
def test_a_fault_of_the_mailbox_delays_and_loses_nothing(office: Office, kind: str) -> None:
    anna = office.desk("anna")
    key = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    office.mails.fault(kind, retry_after=2.0)  # type: ignore[arg-type]
    office.wake(anna)
    office.settle()
    assert len(office.crm.activities()) == 1
    assert anna.marks(key) == {DONE}


def test_a_revoked_grant_parks_the_mailbox_and_says_so(office: Office) -> None:
    anna = office.desk("anna")
    key = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    office.mails.fault("revoked")
    assert office.wake(anna).ended == "parked"
    (health,) = office.store.status(office.now)
    assert health.state == "parked"
    assert health.reason
    office.store.activate(anna.id)
    office.wake(anna)
    assert anna.marks(key) == {DONE}


def test_a_trigger_category_files_in_place(office: Office) -> None:
    anna = office.desk("anna")
    key = anna.box.deliver(mail(sender=CUSTOMER, to="anna@northpeak.example"), inbox=False)
    office.wake(anna)
    anna.box.drop(key, anna.label("Track in CRM"), move=False)
    office.wake(anna)
    assert len(office.crm.activities()) == 1
    assert anna.marks(key) == {DONE}
    assert not anna.state(key).inbox


def test_a_policy_that_is_off_files_nothing_and_loses_nothing(office: Office) -> None:
    anna = office.desk("anna")
    on = office.policy
    office.policy = replace(on, enabled=False)
    key = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    assert office.wake(anna).ended == "paused"
    assert anna.marks(key) == {DROP}
    office.policy = on
    office.now += 61
    office.wake(anna)
    assert anna.marks(key) == {DONE}


def test_a_lost_answer_and_then_a_failing_look_do_not_double_a_task(office: Office) -> None:
    office.policy = replace(office.policy, crm_email_record="task")
    office.crm.contact("Lee", "kim@widgets.example")
    anna = office.desk("anna")
    key = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    office.crm.fault("lost", skip=1)  # the task is written, the answer never comes
    office.wake(anna)
    office.now += 60
    office.crm.fault("down")  # and the look for it fails too
    office.wake(anna)
    office.settle()
    assert len(office.crm.activities()) == 1
    assert anna.marks(key) == {DONE}


def test_a_crm_that_denies_does_not_keep_what_is_decided_waiting(office: Office) -> None:
    anna = office.desk("anna")
    internal = anna.drop(mail(sender="Ben Carter <ben@northpeak.example>", to="anna@northpeak.example"))
    waiting = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    office.crm.fault("revoked", skip=2)  # description and match are answered, the filing is refused
    assert office.wake(anna).ended == "parked"
    assert anna.marks(internal) == {MISSING, (*MISSING, "Internal only")}
    assert anna.marks(waiting) == {DROP}
    office.crm = MemoryCrmWorld()
    office.store.activate(anna.id)
    office.settle()
    assert anna.marks(waiting) == {DONE}


class Refusing:
    """A port that refuses one call when `when` says so."""

    def __init__(self, port: Any, call: str, when: Callable[..., bool]) -> None:
        self._port, self._call, self._when = port, call, when

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._port, name)
        if name != self._call:
            return inner

        def call(*args: Any) -> Any:
            if self._when(*args):
                raise Rejected("MALFORMED", operation=name)
            return inner(*args)

        return call


def _refuse(office: Office, side: str, call: str, when: Callable[..., bool]) -> None:
    plain = office.ports

    def ports(mailbox_id: int) -> Ports:
        found = plain(mailbox_id)
        return replace(found, **{side: Refusing(getattr(found, side), call, when)})

    office.ports = ports  # type: ignore[method-assign]


def test_a_mail_that_the_crm_cannot_be_asked_about_is_parked_alone(office: Office) -> None:
    anna = office.desk("anna")
    keys = [anna.drop(mail(sender=f"Kim <kim{n}@widgets.example>", to="anna@northpeak.example")) for n in range(3)]
    _refuse(office, "crm", "match", lambda question: "kim1@widgets.example" in question.addresses)
    office.wake(anna)
    office.settle()
    assert anna.marks(keys[1]) == {FAILED, (*FAILED, "Refused by the CRM")}
    assert [anna.marks(key) for key in (keys[0], keys[2])] == [{DONE}, {DONE}]


def test_a_mailbox_that_refuses_its_tree_is_parked_with_the_reason(office: Office) -> None:
    anna = office.desk("anna")
    _refuse(office, "mail", "ensure_tree", lambda tree: True)
    office.now += 3600
    assert office.wake(anna).ended == "parked"
    assert "MALFORMED" in (office.store.status(office.now)[0].reason or "")


def test_a_mark_that_is_refused_for_ever_does_not_block_the_others(office: Office) -> None:
    anna = office.desk("anna")
    keys = [anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example")) for _ in range(2)]
    plain = office.ports

    class Partly:
        def __init__(self, port: Any) -> None:
            self._port = port

        def __getattr__(self, name: str) -> Any:
            return getattr(self._port, name)

        def settle(self, marks: Sequence[Mark]) -> list[Outcome]:
            bad = [Outcome(mark.id, Rejected("read-only item")) for mark in marks if mark.id == keys[0]]
            return bad + list(self._port.settle([mark for mark in marks if mark.id != keys[0]]))

    office.ports = lambda id_: replace(plain(id_), mail=Partly(plain(id_).mail))  # type: ignore[method-assign]
    assert office.wake(anna).ended == "done"
    assert anna.marks(keys[1]) == {DONE}
    assert office.store.status(office.now)[0].lag == 0


def test_a_mail_that_breaks_our_plan_is_parked_and_its_text_stays_out_of_the_log(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sync.core import filing

    plain = filing.plan

    def plan(message: Any, *args: Any, **kwargs: Any) -> Any:
        if message.mime.subject == "quartz secret":
            raise ValueError(message.mime.subject)
        return plain(message, *args, **kwargs)

    monkeypatch.setattr(filing, "plan", plan)
    anna = office.desk("anna")
    bad = anna.drop(mail("quartz secret", sender=CUSTOMER, to="anna@northpeak.example"))
    good = anna.drop(mail(sender=CUSTOMER, to="anna@northpeak.example"))
    office.wake(anna)
    assert anna.marks(bad) == {FAILED, (*FAILED, "Internal error")}
    assert anna.marks(good) == {DONE}
    told = capsys.readouterr()
    assert "plan.failed" in told.out + told.err
    assert "quartz secret" not in told.out + told.err
