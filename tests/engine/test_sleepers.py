"""Two workers that both believe they hold the work: one stands still at any moment of its wake, past its lease and the
guard; another works; then the first goes on. One record, one person, a settled mail, and nothing is lost.

The moments are counted from the running engine. The sleeper's mailbox is worked on by another worker, or nobody knocks
there and a colleague, who has the same mail, files it: then no fence stops the sleeper, only its claims.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sync.engine.permit import SHARE, Permit
from sync.engine.work import Work
from sync.errors import Busy, LeaseLost
from sync.policy import Policy
from sync.store.store import Store
from tests.databases import KEY
from tests.engine.office import DONE, GUARD, LEASE, Desk, Office, mail

POLICIES = {"email": Policy(), "task": Policy(crm_email_record="task")}
LONG = 1000.0  # seconds: past lease, guard and every claim


@dataclass
class Street:
    """Anna and Ben, who drop mails of another unknown sender in each round."""

    office: Office
    anna: Desk
    ben: Desk
    rounds: int = 0

    def drop(self) -> list[tuple[Desk, str]]:
        """The same mail for both, and one for Anna alone."""
        self.rounds += 1
        self.office.now += LONG
        rosa = f"Rosa Diaz <rosa@newco{self.rounds}.example>"
        to = f"{self.anna.address}, {self.ben.address}"
        shared = mail("Shared", sender=rosa, to=to, message_id=f"<shared{self.rounds}@newco.example>")
        own = mail("Own", sender=rosa, to=self.anna.address, message_id=f"<own{self.rounds}@newco.example>")
        return [
            (self.anna, self.anna.drop(shared)),
            (self.anna, self.anna.drop(own)),
            (self.ben, self.ben.drop(shared)),
        ]

    def story(self, point: int, usurper: str) -> list[str]:
        """Anna's worker sleeps at that moment of its wake; 0: never. The moments of her wake."""

        def sleep() -> None:
            self.office.now += LONG
            both = [self.ben, self.anna]
            for desk in {"another worker": [self.anna], "a colleague": [self.ben], "both": both}[usurper]:
                self.office.wake(desk, worker="usurper")

        with self.office.at(point, sleep) as moments:
            self.office.wake(self.anna, worker="sleeper")
        self.office.settle()
        return moments


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    store = Store.open(f"sqlite:///{tmp_path / 'store.sqlite3'}", [KEY])
    office = Office(store)
    office.open()
    yield Street(office, office.desk("anna"), office.desk("ben"))
    store.close()


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("kind", "usurper"), [("email", "another worker"), ("task", "a colleague"), ("email", "both")])
def test_a_sleeper_that_goes_on_doubles_and_loses_nothing(street: Street, kind: str, usurper: str) -> None:
    office = street.office
    office.policy = POLICIES[kind]
    street.drop()
    moments = street.story(0, usurper)
    assert {"before file", "after file", "before settle", "after commit"} <= set(moments)
    assert "after commit" in moments[moments.index("before file") : moments.index("after file")], "asked while sending"
    for point in range(1, len(moments) + 1):
        mails = street.drop()
        seen = street.story(point, usurper)
        where = f"slept at point {point}: {seen[point - 1]}; worked: {usurper}"
        assert seen[:point] == moments[:point], where
        assert len(office.crm.activities()) == 2 * street.rounds, where
        assert [office.crm.count(kind) for kind in ("contact", "account")] == [street.rounds] * 2, where
        assert [desk.marks(key) for desk, key in mails] == [{DONE}] * 3, where
        assert [health.lag for health in office.store.status(office.now)] == [0, 0], where


# --- the permit -----------------------------------------------------------------------------------------------------


@pytest.fixture
def work(office: Office) -> Work:
    """Anna's wake, holding a claim on one filing."""
    anna = office.desk("anna")
    office.now += 1
    lease = office.store.lease(anna.id, "worker", LEASE, office.now)
    assert lease is not None
    found = Work(office.store, office.ports(anna.id), lease, LEASE, GUARD, lambda: office.now, office.now + 60)
    _claim(office, found, found.who)
    return found


def _claim(office: Office, work: Work, who: str) -> int:
    with office.store.under(work.lease, office.now, LEASE) as tx:
        tx.see([_intent()], office.now)
        (sighting,) = tx.claim(office.now, 1)
        tx.defer([sighting.id], 0)
        (filing,) = tx.bind(office.connection, [(sighting.id, "key", "archive", "label")], office.now).values()
        assert tx.claim_filing(filing.id, who, office.now, office.now + GUARD)
    return filing.id


def _intent() -> Any:
    from sync.store.rows import NewSighting

    return NewSighting("m1", "t1", "archive", frozenset({"drop"}), False, "label")


def _confirmations(office: Office, permit: Permit) -> int:
    with office.at(0, lambda: None) as moments:
        permit()
    return moments.count("before commit")


def test_the_store_is_asked_before_the_first_byte_and_when_the_answer_gets_old(office: Office, work: Work) -> None:
    permit = Permit(work, [1], 0)
    assert _confirmations(office, permit) == 1
    assert _confirmations(office, permit) == 0
    office.now += GUARD * SHARE - 0.1
    assert _confirmations(office, permit) == 0
    office.now += 0.2
    assert _confirmations(office, permit) == 1
    office.now -= 3600  # a clock that goes back proves nothing
    assert _confirmations(office, permit) == 1


def test_a_confirmation_holds_the_claim_for_the_guard(office: Office, work: Work) -> None:
    Permit(work, [1], 0)()
    office.now += GUARD - 0.1
    with office.store.under(work.lease, office.now, LEASE) as tx:
        assert not tx.claim_filing(1, "other", office.now, office.now + GUARD)
        assert tx.claim_filing(1, "other", office.now + 0.2, office.now + GUARD)


def test_no_permit_for_what_somebody_else_has_taken(office: Office, work: Work) -> None:
    permit = Permit(work, [1], 0)
    permit()
    office.now += GUARD + 1
    _claim(office, work, "other")
    with pytest.raises(Busy, match="taken the work over"):
        permit()


def test_no_permit_without_the_claims_on_new_people(office: Office, work: Work) -> None:
    with office.store.under(work.lease, office.now, LEASE) as tx:
        tx.claim_creation(office.connection, "contact", "rosa@newco.example", 1, office.now, office.now + GUARD)
    Permit(work, [1], 1)()
    with pytest.raises(Busy):
        Permit(work, [1], 2)()


def test_no_permit_after_the_lease_went_to_another(office: Office, work: Work) -> None:
    permit = Permit(work, [1], 0)
    office.now += LEASE + 1
    assert office.store.lease(work.lease.mailbox_id, "other", LEASE, office.now) is not None
    with pytest.raises(LeaseLost):
        permit()


def test_a_store_that_confirms_too_slowly_gives_no_permit(office: Office, work: Work) -> None:
    def slowly() -> None:
        office.now += GUARD

    permit = Permit(work, [1], 0)
    plain = office.store.under

    def under(*args: Any) -> Any:
        slowly()
        return plain(*args)

    office.store.under = under  # type: ignore[method-assign]
    with pytest.raises(Busy, match="too slowly"):
        permit()


def test_a_call_without_an_answer_is_not_repeated_before_it_cannot_take_effect(office: Office) -> None:
    """Not even by the wake that made it: here the record appears fifteen seconds after the answer was lost."""
    anna = office.desk("anna")
    key = anna.drop(mail(sender="Kim Lee <kim@widgets.example>", to=anna.address))
    plain = office.crm.crm
    late: list[Any] = []

    class Late:
        def __init__(self, port: Any) -> None:
            self._port = port

        def __getattr__(self, name: str) -> Any:
            return getattr(self._port, name)

        def file(self, entries: Any, before: Any = None) -> Any:
            if late:
                return self._port.file(entries, before)
            before()
            late.append((office.now + 15, entries))
            from sync.model import Outcome

            return [Outcome(entry.key, Busy("no answer", retry_after=1.0, unknown=True)) for entry in entries]

        def match(self, question: Any) -> Any:
            if late and late[0] is not None and office.now > late[0][0]:
                self._port.file(late[0][1])
                late[0] = None
            return self._port.match(question)

    office.crm.crm = lambda *args, **kwargs: Late(plain(*args, **kwargs))  # type: ignore[method-assign,assignment]
    office.heard = lambda name, before: setattr(office, "now", office.now + (2.0 if name == "settle" else 0.0))
    office.wake(anna)
    office.settle()
    assert late == [None]
    assert len(office.crm.activities()) == 1
    assert anna.marks(key) == {DONE}
