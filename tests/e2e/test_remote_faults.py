"""What the remote side can do to us, on the real adapters: fault x system x expectation, one table.

Every case drops mails of its own, orders its faults, and lets the engine work, whose clock goes on to when it wants
to look again. Expected of all: nothing but `Busy` on the way, every mail settled and marked, one CRM record each, no
label, folder or category twice, and no more requests than the case allows.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest

from sync.engine.wake import Report
from tests.core.test_fuzz import SEED
from tests.e2e.inprocess import declared, look
from tests.e2e.installation import DONE, DROP, OPTIONS, Desk, Installation, letter, query, quoted
from tests.sandboxed import Json, Sandbox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

USERS = {"gmail": "anna@northpeak.example", "outlook": "erik@northpeak.example"}
VENDORS = {"gmail": "google", "outlook": "microsoft"}
SYSTEMS = tuple(USERS)
LOOKS = 30
PATIENT = {**OPTIONS, "drop_poll_seconds": 5}  # what is waited for takes few looks
CALM = 14  # requests of one look that files a mail, sweep and tree included, at most
HTML = "<html><body>Please sign in to the guest network.</body></html>"
NUMBERS = itertools.count(1)


@dataclass
class Place:
    """One mailbox and its CRM."""

    system: str
    office: Installation
    desk: Desk
    ahead: float = 0.0
    reports: list[Report] = field(default_factory=list)

    @property
    def sandbox(self) -> Sandbox:
        return self.office.sandbox

    def drop(self, count: int) -> dict[str, str]:
        """Mails of one sender, dropped: Message-ID -> id."""
        out = {}
        for number in itertools.islice(NUMBERS, count):
            message_id = f"<fault{number}@faults.example>"
            raw = letter("laura.keller@faults.example", self.desk.address, f"Offer {number}", message_id)
            out[message_id] = self.desk.deliver(raw)
            self.desk.drop(out[message_id])
        return out

    def order(self, orders: Sequence[Json]) -> None:
        for order in orders:
            self.sandbox.fault(**{**order, "vendor": order["vendor"].replace("MAIL", VENDORS[self.system])})

    def look(self) -> Report:
        report = look(self.office.app, self.office.mailbox_id(self.desk.address), self.ahead)
        self.reports.append(report)
        return report

    def settle(self, mails: Mapping[str, str]) -> None:
        """Look, and look again when the engine wants to, until the mails have ended and nothing is open."""
        self.reports.clear()
        for _ in range(LOOKS):
            report = self.look()
            assert report.ended in ("done", "busy"), report
            wait = max(report.next_look - time.time() - self.ahead, 0.0)
            if report.ended == "busy":
                assert wait > 0.4, "it would hammer"
            elif self.desk.ended(*mails.values()):
                return
            self.ahead += min(wait, 3600) + 0.1
        raise AssertionError(f"{LOOKS} looks did not do: {self.reports}")

    def judge(self, mails: Mapping[str, str]) -> None:
        soql = f"SELECT Id, MessageIdentifier FROM EmailMessage WHERE MessageIdentifier IN ({quoted(*mails)})"
        rows = query(self.sandbox, self.office.crm_user, soql)
        assert Counter(row["MessageIdentifier"] for row in rows) == dict.fromkeys(mails, 1)
        for marks in self.desk.marks(*mails.values()):
            assert DONE in marks
            assert DROP not in marks
            assert self.desk.at_home(marks)
        people = "SELECT Id FROM Contact WHERE Email = 'laura.keller@faults.example'"
        assert len(query(self.sandbox, self.office.crm_user, people)) == 1

    def tree(self) -> dict[str, str]:
        """Everything with a name in the mailbox: id -> name."""
        box = self.desk.box()
        if self.system == "gmail":
            return dict(box["labels"])
        return {**box["folders"], **{f"category:{name}": name for name in map(str, box["categories"])}}

    def requests(self) -> dict[str, int]:
        return {vendor: row["requests"] for vendor, row in self.sandbox.meter().items()}


@dataclass(frozen=True)
class Case:
    """`busy`: whether a look is to end busy. `requests`: how many more than `CALM` the system in trouble may get."""

    name: str
    orders: tuple[Json, ...]
    mails: int = 1
    systems: tuple[str, ...] = SYSTEMS
    busy: bool | None = True
    requests: int = 30  # a lost answer is waited for: 20 seconds of looking now and then


def fault(kind: str, vendor: str, path: str = "", **more: object) -> Json:
    return {"kind": kind, "vendor": vendor, **({"path": path} if path else {}), **more}


def salesforce(code: str, status: int, **more: object) -> Json:
    body = [{"errorCode": code, "message": "ConcurrentRequests Limit exceeded."}]
    return fault("status", "salesforce", "/composite", status=status, body=body, **more)


def storm(name: str, **more: object) -> list[Case]:
    """Every call is refused for a while, on either side."""
    return [
        Case(f"{name}, mailbox", (fault("status", "MAIL", count=6, **more),)),
        Case(f"{name}, CRM", (fault("status", "salesforce", "/composite", count=4, **more),)),
    ]


GMAIL, OUTLOOK = ("gmail",), ("outlook",)
GRAPH = "/composite/graph"
MATCH = "/composite$"
# A call that writes -> where it goes: each loses its answer in several ways, after it took effect
WRITES: Mapping[str, tuple[tuple[str, ...], str, str]] = {
    "gmail modify": (GMAIL, "google", "/messages/[^/]+/modify"),
    "graph settle batch": (OUTLOOK, "microsoft", r"/\$batch"),
    "salesforce graph": (SYSTEMS, "salesforce", GRAPH),
}
# An answer that is none -> what is said in its place
GARBAGE: Mapping[str, Json] = {
    "HTML": {"status": 200, "body": HTML},
    "nothing": {"status": 200, "body": ""},
    "half of JSON": {"status": 200, "body": '{"value": [{"id": "'},
    "an error with 200": {"status": 200, "body": {"error": {"code": 500, "message": "Backend Error"}}},
    "another JSON": {"status": 200, "body": [1, "x", None]},
    "a bare null": {"status": 200, "body": "null", "headers": {"X-Kind": "application/json"}},
    "HTML with 403": {"status": 403, "body": HTML},
}
CASES = [
    *storm("429 with Retry-After", status=429, retry_after=3),
    *storm("429 without Retry-After", status=429),
    *(case for status in (500, 502, 503, 504) for case in storm(f"{status} burst", status=status)),
    Case("rate limit by 403", (fault("status", "google", status=403, count=5),), systems=GMAIL),
    Case("429 of single parts", (fault("status", "google", "/messages/[^/?]+.?format", status=429, count=3),),
         mails=4, systems=GMAIL, busy=None),
    Case("429 of single parts", (fault("status", "microsoft", "/messages/.*value", status=429, count=3),),
         mails=4, systems=OUTLOOK, busy=None),
    Case("429 of marks", (fault("status", "google", "/modify", status=429, count=3),), mails=4,
         systems=GMAIL, busy=None),
    Case("429 of marks", (fault("status", "microsoft", "/messages/", method="PATCH", status=429, count=3),), mails=4,
         systems=OUTLOOK, busy=None),
    Case("daily limit of the CRM", (salesforce("REQUEST_LIMIT_EXCEEDED", 403, count=2),)),
    Case("CRM unavailable", (salesforce("SERVER_UNAVAILABLE", 503, count=2),)),
    *(
        Case(f"connection {how}, {side}", (fault(kind, vendor, path, count=2, **more),))
        for how, kind, more in (
            ("reset before", "reset", {}),
            ("cut after the head", "cut", {"share": 0.0}),
            ("cut in the body", "cut", {"share": 0.6}),
            ("closed without an answer", "lost", {}),
        )
        for side, vendor, path in (("mailbox", "MAIL", ""), ("CRM match", "salesforce", MATCH))
    ),
    *(
        Case(f"lost answer of {write}: {how}", (fault(kind, vendor, path, count=count, **more),), systems=systems,
             mails=mails, busy=None)
        for write, (systems, vendor, path) in WRITES.items()
        for mails, count in ((1, 1), (3, 1))
        for how, kind, more in (
            ("closed", "lost", {}),
            ("cut", "cut", {"share": 0.5}),
            ("503", "garbled", {"status": 503}),
            ("HTML", "garbled", {"status": 200, "body": HTML}),
        )
        if mails == 1 or how in ("closed", "503")
        if (write, how) != ("salesforce graph", "503")  # 503 of Salesforce means that nothing was taken
    ),
    Case("lost answer of batchModify", (fault("lost", "google", "batchModify", count=1),), mails=12, systems=GMAIL),
    *(
        Case(f"lost part of a Graph batch: {verb} {path}", (fault("lost", "microsoft", path, method=verb, count=2),),
             mails=3, systems=OUTLOOK, busy=None)
        for verb, path in (("PATCH", "/messages/"), ("POST", "/move"))
    ),
    *(
        Case(f"{what} in place of an answer, {side}", (fault("status", vendor, path, count=2, **more),),
             busy=None)
        for what, more in GARBAGE.items()
        for side, vendor, path in (
            ("mailbox", "MAIL", ""),
            ("CRM match", "salesforce", MATCH),
            ("CRM", "salesforce", GRAPH),
        )
        if (what, side) != ("HTML with 403", "mailbox") and not (what == "HTML with 403" and vendor == "salesforce")
    ),
    Case("slow answers", (fault("slow", "MAIL", seconds=0.2, count=3),), busy=False),
]  # fmt: skip


def shared_out(cases: Sequence[Case]) -> Iterator[Case]:
    """What the CRM alone does wrong is the same for every mail system: these take turns."""
    turns = itertools.cycle(SYSTEMS)
    for case in cases:
        crm = case.systems == SYSTEMS and all(order["vendor"] == "salesforce" for order in case.orders)
        yield replace(case, systems=(next(turns),)) if crm else case


@pytest.fixture(scope="module", params=SYSTEMS)
def place(
    request: pytest.FixtureRequest, sandbox_process: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    sandbox_process.reset()
    folder: Path = tmp_path_factory.mktemp(request.param)
    with declared(sandbox_process, folder, [USERS[request.param]], PATIENT) as office:
        sandbox_process.settings(record=False)  # what a fault says is not the vendor's
        place = Place(request.param, office, office.desk(USERS[request.param]))
        first = place.drop(1)  # whom the mails are from is known from then on
        place.settle(first)
        place.judge(first)
        yield place
    sandbox_process.reset()


@pytest.fixture(autouse=True)
def fair(place: Place) -> Iterator[None]:
    """No fault outlives its case."""
    yield
    place.sandbox.clear_faults()
    place.sandbox.settings(page_size=None)


@pytest.mark.parametrize("case", shared_out(CASES), ids=lambda case: f"{case.name} x{case.mails}")
def test_a_fault_delays_and_neither_loses_nor_doubles(place: Place, case: Case) -> None:
    if place.system not in case.systems:
        pytest.skip(f"not of {place.system}")
    mails, tree = place.drop(case.mails), place.tree()
    place.sandbox.meter(reset=True)
    place.order(case.orders)
    place.settle(mails)
    asked = place.requests()
    assert all(row["count"] == 0 for row in place.sandbox.faults()), "the fault never struck"
    assert case.busy is None or case.busy == any(report.ended == "busy" for report in place.reports)
    assert all(count <= CALM + case.requests for count in asked.values()), asked
    place.judge(mails)
    assert place.tree() == tree


# --- cursors --------------------------------------------------------------------------------------------------------

CURSOR = {
    "gmail": (r"/history\?", {"status": 404}),
    "outlook": (
        r"/messages/(microsoft\.graph\.)?delta.*token",
        {"status": 410, "body": {"error": {"code": "SyncStateNotFound"}}},
    ),
}


@pytest.mark.parametrize("page", [0, 1, 2, 4])
def test_a_cursor_that_expires_at_any_page_loses_and_doubles_nothing(place: Place, page: int) -> None:
    place.sandbox.settings(page_size=2)  # so that three mails are several pages
    mails, tree = place.drop(3), place.tree()
    path, answer = CURSOR[place.system]
    place.sandbox.meter(reset=True)
    place.sandbox.fault("status", vendor=VENDORS[place.system], path=path, skip=page, count=1, **answer)
    place.settle(mails)
    asked = place.requests()
    place.sandbox.settings(page_size=None)
    place.judge(mails)
    assert place.tree() == tree
    assert max(asked.values()) < 60 + len(place.desk.mails()), asked  # Outlook's new cursor reads the last days anew


def test_a_new_cursor_that_is_refused_too_leaves_the_level(place: Place) -> None:
    mails, (path, answer) = place.drop(2), CURSOR[place.system]
    place.sandbox.fault("status", vendor=VENDORS[place.system], path=path.split(".*token")[0], count=None, **answer)
    place.settle(mails)
    place.judge(mails)
    place.sandbox.clear_faults()
    more = place.drop(1)
    place.settle(more)
    place.judge(more)


def test_cursors_that_expire_now_and_then(place: Place) -> None:
    """Before a look, and at random pages of it; the seed is told with a failure."""
    print(f"MAILSPAN_FUZZ_SEED={SEED}")
    rng, mails, tree = Random(f"{SEED}:{place.system}"), dict[str, str](), place.tree()
    path, answer = CURSOR[place.system]
    act = "expire_history" if place.system == "gmail" else "expire_delta"
    for _ in range(6):
        place.sandbox.clear_faults()
        fresh = place.drop(rng.randint(0, 3))
        if rng.random() < 0.5:
            place.sandbox.act(VENDORS[place.system], act, user=place.desk.address)
        if rng.random() < 0.5:
            skip, count = rng.randint(0, 3), rng.randint(1, 2)
            place.sandbox.fault("status", vendor=VENDORS[place.system], path=path, skip=skip, count=count, **answer)
        place.settle(fresh)
        mails |= fresh
    place.judge(mails)
    assert place.tree() == tree


# --- an empty list where there were items ---------------------------------------------------------------------------

NO_ROWS = {"httpStatusCode": 200, "httpHeaders": {}, "body": {"totalSize": 0, "done": True, "records": []}}
EMPTY = {
    "labels": (GMAIL, fault("status", "google", "/labels$", method="GET", status=200, body={"labels": []})),
    "folders": (OUTLOOK, fault("status", "microsoft", "childFolders", method="GET", status=200, body={"value": []})),
    "categories": (
        OUTLOOK,
        fault("status", "microsoft", "masterCategories", method="GET", status=200, body={"value": []}),
    ),
    "messages": (GMAIL, fault("status", "google", r"/messages\?", method="GET", status=200, body={})),
    "changes": (GMAIL, fault("status", "google", r"/history\?", status=200, body={"historyId": "1"})),
}


@pytest.mark.parametrize("what", EMPTY)
def test_an_empty_list_changes_nothing_for_good(place: Place, what: str) -> None:
    """The tree is not made twice, nothing is deleted, and what lies there is filed with the next true answer."""
    systems, order = EMPTY[what]
    if place.system not in systems:
        pytest.skip(f"not of {place.system}")
    mails, tree = place.drop(2), place.tree()
    place.sandbox.fault(**{**order, "count": 2})
    act = "expire_history" if place.system == "gmail" else "expire_delta"
    place.sandbox.act(VENDORS[place.system], act, user=place.desk.address)
    place.ahead += 3 * 3600  # the sweep is due, which looks after the tree
    place.look()
    place.sandbox.clear_faults()
    place.ahead += 3 * 3600
    place.settle(mails)
    place.judge(mails)
    assert place.tree() == tree


def test_a_crm_that_finds_nobody_for_a_moment_is_told_and_retried(place: Place) -> None:
    """An empty answer for the mailbox's own user cannot be told from a user who is gone: the mails are parked with that
    reason, nothing is written, and a new drop files them."""
    mails = place.drop(1)
    parts = [{"referenceId": f"q{number}", **NO_ROWS} for number in range(5)]
    place.sandbox.fault(
        "status", vendor="salesforce", path=MATCH, status=200, body={"compositeResponse": parts}, count=1
    )
    place.look()
    (marks,) = place.desk.marks(*mails.values())
    assert DONE not in marks
    place.look()  # which sees that it is home: Outlook's edge tells no drop between two looks that both see it there
    for mail in mails.values():
        place.desk.drop(mail)
    place.settle(mails)
    place.judge(mails)
