"""Calls and units of a followed mail, a summary that is updated and an Assign To label, beside the peer's."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.inprocess import GMAIL, NAIVE, OUTLOOK, Bench
from benchmarks.mails import Letter, of_friends
from benchmarks.metrics import Value, Values
from benchmarks.peer import NaiveCrm
from benchmarks.peer_items import NaiveItems
from sync.engine import feed
from tests.e2e.installation import DONE, query
from tests.sandboxed import Json

MAILS = 5  # followed, one wake each
ITEMS = 20  # labels made in one look; summaries updated in one look
FOLLOWED = "Conversation Tracked"
SHOWING: Json = {"modules": ["opportunity"], "assign_to": True, "summaries": False}
ALL: Json = {**SHOWING, "summaries": True, "conversation_follow": True}
VENDORS = {GMAIL: "google", OUTLOOK: "microsoft"}


def items(bench: Bench) -> Values:
    """In Gmail and in Outlook; the peer works in Gmail."""
    made = {user: _opportunities(bench, user, ITEMS) for user in (GMAIL, NAIVE[GMAIL], OUTLOOK)}
    for user in (GMAIL, OUTLOOK):
        bench.warm_up(user)
    peer = NaiveItems(bench.sandbox, NAIVE[GMAIL], bench.office.crm_user)
    leaves = _leaves(bench)
    naive_leaf = _metered(bench, lambda: [peer.leaf(one) for one in made[NAIVE[GMAIL]]], ITEMS)
    _declare(bench, ALL)
    for user in (GMAIL, OUTLOOK):
        bench.wake(user)
    updates = {user: _updated(bench, user, made[user]) for user in (GMAIL, OUTLOOK)}
    for one in made[NAIVE[GMAIL]]:
        peer.summary(one)
    naive_update = _metered(bench, lambda: [peer.summary(one) for one in made[NAIVE[GMAIL]]], ITEMS)
    follows = {user: _followed(bench, user, made[user][0]) for user in (GMAIL, OUTLOOK)}
    naive_follow = _naively_followed(bench, peer)
    out: dict[str, Value] = {}
    for name, ours, naive in (
        ("leaf", leaves, naive_leaf),
        ("summary_update", updates, naive_update),
        ("followed_mail", follows, naive_follow),
    ):
        gmail, outlook = ours[GMAIL], ours[OUTLOOK]
        out |= {
            f"gmail_calls_per_{name}": Value(gmail["google"]["calls"], naive["google"]["calls"]),
            f"gmail_units_per_{name}": Value(gmail["google"]["units"], naive["google"]["units"]),
            f"salesforce_calls_per_{name}": Value(gmail["salesforce"]["requests"], naive["salesforce"]["requests"]),
            f"graph_requests_per_{name}": Value(outlook["microsoft"]["calls"]),
            f"graph_http_per_{name}": Value(outlook["microsoft"]["requests"]),
        }
    return out


def _leaves(bench: Bench) -> dict[str, Json]:
    """The look that makes them, without the containers above them."""
    _declare(bench, {**SHOWING, "assign_to_cap": 0})
    for user in (GMAIL, OUTLOOK):
        bench.wake(user)
    _declare(bench, SHOWING)
    out = {}
    for user in (GMAIL, OUTLOOK):
        out[user] = _metered(bench, lambda u=user: bench.wake(u), ITEMS)  # type: ignore[misc]
        assert len(_labels(bench, user)) == ITEMS, user
    return out


def _updated(bench: Bench, user: str, made: list[str]) -> Json:
    """The items change; the feed, which serves all mailboxes, is not counted."""
    for one in made:
        bench.sandbox.act(
            "salesforce", "edit", object="Opportunity", id=one, fields={"StageName": "Negotiation/Review"}
        )
    _feed(bench)
    before = {mail["id"] for mail in _summaries(bench, user)}
    found = _metered(bench, lambda: bench.wake(user), ITEMS)
    after = {mail["id"] for mail in _summaries(bench, user)}
    assert len(after) == ITEMS
    assert not after & before
    return found


def _followed(bench: Bench, user: str, item: str) -> Json:
    """Answers from outside in a conversation whose first mail was put into a leaf. With each, the item's summary tells
    of it: it is made anew, and counted."""
    desk = bench.office.desk(user)
    first, second = of_friends(f"follow-{user[:4]}", user, 2)
    for letter in (second, first):  # people are known before
        mail = desk.deliver(letter.raw)
        desk.drop(mail, _leaf(bench, user, item)) if letter is first else desk.drop(mail)
        bench.wake(user)
        assert DONE in desk.marks(mail)[0]

    def answers() -> None:
        for number in range(MAILS):
            answer = _receive(bench, user, mail, first, number)
            bench.wake(user)
            assert FOLLOWED in desk.marks(answer)[0], answer

    return _metered(bench, answers, MAILS)


def _naively_followed(bench: Bench, peer: NaiveItems) -> Json:
    user = peer.address
    (first,) = of_friends("follow-peer", user, 1)
    mail = bench.office.desk(user).deliver(first.raw)
    crm = NaiveCrm(bench.sandbox, bench.office.crm_user)
    thread, done = peer.thread(mail), {mail}

    def answers() -> None:
        for number in range(MAILS):
            _receive(bench, user, mail, first, number)
            assert peer.follow(thread, done, crm) == 1

    return _metered(bench, answers, MAILS)


def _receive(bench: Bench, user: str, mail: str, letter: Letter, number: int) -> str:
    outlook = bench.office.in_outlook(user)
    vendor = "microsoft" if outlook else "google"
    told = {"user": user, "message": mail, "from": letter.people[0], "text": f"Answer {number}."}
    return str(bench.sandbox.act(vendor, "receive", **told)["immutableId" if outlook else "id"])


# --- the installation -----------------------------------------------------------------------------------------------


def _declare(bench: Bench, options: Json) -> None:
    bench.office.options = options
    bench.office.apply()


def _feed(bench: Bench) -> None:
    app = bench.office.app
    [connection] = [one.id for one in app.store.connections() if one.vendor == "salesforce"]
    port, wants = app.feed(connection)
    for mailbox in feed.run(app.store, connection, port, wants):
        app.store.wake(mailbox)


def _metered(bench: Bench, work: Callable[[], object], times: int) -> Json:
    """The meter, divided."""
    bench.sandbox.meter(reset=True)
    work()
    none = {"calls": 0, "units": 0, "requests": 0}
    meter = {**dict.fromkeys((*VENDORS.values(), "salesforce"), none), **bench.sandbox.meter()}
    return {
        vendor: {name: row[name] / times for name in ("calls", "units", "requests")} for vendor, row in meter.items()
    }


def _opportunities(bench: Bench, user: str, count: int) -> list[str]:
    """New ones of the user; what was open before is closed."""
    soql = f"SELECT Id FROM User WHERE Email = '{user}'"
    owner = query(bench.sandbox, bench.office.crm_user, soql)[0]["Id"]
    mine = f"SELECT Id FROM Opportunity WHERE OwnerId = '{owner}' AND IsClosed = false"
    for row in query(bench.sandbox, bench.office.crm_user, mine):
        bench.sandbox.act("salesforce", "delete", object="Opportunity", id=row["Id"])
    common = {"StageName": "Prospecting", "CloseDate": "2026-12-31", "OwnerId": owner, "Amount": 120000}
    made = []
    for number in range(count):
        fields = {"Name": f"Widgets {number}", **common}
        made.append(str(bench.sandbox.act("salesforce", "create", object="Opportunity", fields=fields)["id"]))
    return made


def _labels(bench: Bench, user: str) -> list[str]:
    box = bench.office.desk(user).box()
    names = (box["folders"] if bench.office.in_outlook(user) else box["labels"]).values()
    return [name for name in names if "/Assign To/" in name]


def _leaf(bench: Bench, user: str, item: str) -> str:
    title = query(bench.sandbox, bench.office.crm_user, f"SELECT Name FROM Opportunity WHERE Id = '{item}'")[0]["Name"]
    [found] = [name for name in _labels(bench, user) if f"] {title} (" in name]
    return found


def _summaries(bench: Bench, user: str) -> list[Json]:
    found = bench.office.desk(user).mails()
    return [mail for mail in found if "Salesforce/Opportunities" in mail["labels"] and "TRASH" not in mail["labels"]]
