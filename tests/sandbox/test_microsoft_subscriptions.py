"""Subscriptions and notifications: rows SU of `providers.md 11.4`."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.sandbox.graph_client import ERIK, IMMUTABLE, PRIYA, Graph, Hook, app_only, confidential, eml

STATE = "s" * 40


def order(graph: Graph, hook: Hook, minutes: float = 4000, **change: Any) -> dict[str, Any]:
    """The body of a subscription."""
    now = datetime.fromisoformat(graph.sandbox.control("GET", "/clock")["now"])
    body = {
        "changeType": "created,updated",
        "notificationUrl": f"{hook.url}/notify",
        "lifecycleNotificationUrl": f"{hook.url}/lifecycle",
        "resource": f"users/{graph.user}/messages",
        "expirationDateTime": (now + timedelta(minutes=minutes)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "clientState": STATE,
    } | change
    return {name: value for name, value in body.items() if value is not None}


def subscribed(graph: Graph, hook: Hook, minutes: float = 4000, headers: Any = None, **change: Any) -> dict[str, Any]:
    """A new subscription."""
    reply = graph.call("POST", "//subscriptions", order(graph, hook, minutes, **change), **(headers or {}))
    assert reply.status == 201, reply
    return dict(reply.body)


def test_su_1_both_urls_are_validated_while_the_request_is_pending(graph: Graph, hook: Hook) -> None:
    hook.pause = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(subscribed, graph, hook)
        other = Graph(graph.sandbox, PRIYA)
        assert other.get("/mailFolders/inbox")  # the sandbox is not blocked meanwhile
        other.close()
        assert not pending.done()
        hook.pause.set()
        made = pending.result(10)
    assert hook.validated == ["/notify", "/lifecycle"]
    assert made["clientState"] == STATE
    assert [s["id"] for s in graph.all("//subscriptions")] == [made["id"]]


@pytest.mark.parametrize(("wrong", "code"), [
    ({"answer": "nonsense"}, "ValidationError"), ({"kind": "text/html"}, "ValidationError"),
    ({"validation_status": 202}, "ValidationError"), ({"validation_status": 500}, "ValidationError"),
])  # fmt: skip
def test_su_1_a_wrong_answer_makes_no_subscription(graph: Graph, hook: Hook, wrong: dict[str, Any], code: str) -> None:
    for name, value in wrong.items():
        setattr(hook, name, value)
    reply = graph.call("POST", "//subscriptions", order(graph, hook))
    assert (reply.status, reply.code) == (400, code)
    assert graph.all("//subscriptions") == []


def test_su_1_a_late_answer_too(graph: Graph, hook: Hook) -> None:
    hook.pause = threading.Event()
    graph.sandbox.settings(graph_validation_seconds=0.1)
    reply = graph.call("POST", "//subscriptions", order(graph, hook))
    hook.pause.set()
    assert (reply.code, reply.body["error"]["message"]) == (
        "InvalidRequest", "Subscription validation request timed out.")  # fmt: skip
    closed = graph.call("POST", "//subscriptions", order(graph, hook, notificationUrl="http://127.0.0.1:9/none"))
    assert closed.code == "ValidationError"


@pytest.mark.parametrize("change", [
    {"notificationUrl": "http://mailspan.example/hook"}, {"changeType": "read"}, {"resource": "users/nobody/messages"},
    {"resource": "users/messages"}, {"clientState": "x" * 129}, {"expirationDateTime": None}, {"resource": None},
])  # fmt: skip
def test_su_1_orders_that_make_no_sense(graph: Graph, hook: Hook, change: dict[str, Any]) -> None:
    graph.nonsense()
    assert graph.call("POST", "//subscriptions", order(graph, hook, **change)).status == 400
    assert hook.validated == []


def test_su_2_lifetimes(graph: Graph, hook: Hook) -> None:
    assert graph.call("POST", "//subscriptions", order(graph, hook, 10_200)).status == 400
    assert graph.call("POST", "//subscriptions", order(graph, hook, -1)).status == 400
    short = subscribed(graph, hook, 5)
    left = datetime.fromisoformat(short["expirationDateTime"]) - datetime.now(UTC)
    assert timedelta(minutes=44) < left < timedelta(minutes=46)
    graph.sandbox.settings(graph_refuse_long=False)
    long = subscribed(graph, hook, 20_000, changeType="deleted")
    assert datetime.fromisoformat(long["expirationDateTime"]) - datetime.now(UTC) < timedelta(minutes=10_081)


def test_su_2_renewal_and_expiry(graph: Graph, hook: Hook) -> None:
    made = subscribed(graph, hook, 60)
    path = f"//subscriptions/{made['id']}"
    graph.sandbox.advance(50 * 60)
    renewed = {"expirationDateTime": order(graph, hook, 60)["expirationDateTime"]}
    assert graph.patch(path, renewed)["expirationDateTime"] == renewed["expirationDateTime"]
    graph.sandbox.advance(50 * 60)
    graph.deliver()
    assert len(hook.wait(1)) == 1
    graph.sandbox.advance(11 * 60)
    graph.deliver(eml(ident="2"))
    assert graph.call("PATCH", path, renewed).status == 404
    assert settled(graph)["waiting"] == 0
    assert len(hook.items) == 1


def test_su_2_a_renewal_changes_little(graph: Graph, hook: Hook) -> None:
    path = f"//subscriptions/{subscribed(graph, hook)['id']}"
    moved = graph.patch(path, {"notificationUrl": f"{hook.url}/other"})
    assert moved["notificationUrl"] == f"{hook.url}/other"
    assert hook.validated == ["/notify", "/lifecycle", "/other"]
    graph.sandbox.settings(graph_validate_renewals=True)
    graph.patch(path, {"expirationDateTime": order(graph, hook)["expirationDateTime"]})
    assert len(hook.validated) == 4
    graph.nonsense()
    assert graph.call("PATCH", path, {"lifecycleNotificationUrl": hook.url}).status == 400
    assert graph.call("POST", f"{path}/reauthorize", {}).status == 204
    assert graph.call("DELETE", path).status == 204
    assert graph.call("GET", path).code == "ResourceNotFound"


def test_su_2_a_duplicate_is_a_conflict(graph: Graph, hook: Hook) -> None:
    subscribed(graph, hook)
    assert graph.call("POST", "//subscriptions", order(graph, hook)).status == 409
    subscribed(graph, hook, changeType="deleted")


def test_su_3_our_own_writes_notify_too(graph: Graph, hook: Hook) -> None:
    subscribed(graph, hook, changeType="created,updated,deleted")
    ident = graph.deliver()["id"]
    assert [n["changeType"] for n in hook.wait(1)] == ["created"]
    graph.patch(f"/messages/{ident}", {"categories": ["A"]})
    assert [n["changeType"] for n in hook.wait(2)] == ["created", "updated"]
    new = graph.post(f"/messages/{ident}/move", {"destinationId": "archive"})["id"]
    told = {(n["changeType"], n["resourceData"]["id"]) for n in hook.wait(4)[2:]}
    assert told == {("deleted", ident), ("created", new)}
    graph.post("/messages", {"subject": "x"})
    assert hook.wait(5)[-1]["changeType"] == "created"


def test_su_3_a_folder_s_subscription_hears_of_its_folder(graph: Graph, hook: Hook) -> None:
    subscribed(graph, hook, resource=f"/users/{ERIK}/mailFolders('archive')/messages", changeType="created")
    ident = graph.deliver()["id"]
    graph.act("drop", message=ident, to="Archive")
    assert hook.wait(1)[0]["resourceData"]["id"] != ident


def test_su_4_ids_are_mutable_unless_asked_for(graph: Graph, hook: Hook) -> None:
    subscribed(graph, hook)
    other = order(graph, hook, notificationUrl=f"{hook.url}/immutable")
    assert (
        graph.call("POST", "//subscriptions", other, **IMMUTABLE).headers["Preference-Applied"]
        == 'IdType="ImmutableId"'
    )
    told = graph.deliver()
    ids = {n["resourceData"]["id"] for n in hook.wait(2)}
    assert ids == {told["id"], told["immutableId"]}


def settled(graph: Graph) -> dict[str, Any]:
    """The notifier's counts when nothing is due any more."""
    graph.sandbox.act("microsoft", "await_notifications")
    return dict(graph.sandbox.state("microsoft")["notifications"])


def test_su_5_a_refused_notification_comes_again(graph: Graph, hook: Hook) -> None:
    subscribed(graph, hook)
    hook.status = 503
    graph.deliver()
    assert settled(graph)["waiting"] == 1
    hook.status = 202
    graph.sandbox.advance(11)
    first, second = hook.wait(2)
    assert first == second
    hook.status = 500
    graph.deliver(eml(ident="2"))
    tries = 0
    while settled(graph)["waiting"]:
        graph.sandbox.advance(1000)
        tries += 1
        assert tries < 40
    assert tries > 10  # after four hours it is given up
    assert settled(graph)["lost"] == 1


def test_su_5_several_changes_come_in_one_post(graph: Graph, hook: Hook) -> None:
    subscribed(graph, hook)
    graph.sandbox.settings(graph_notify_delay=60.0)
    for number in range(5):
        graph.deliver(eml(ident=str(number)))
    assert settled(graph)["waiting"] == 5
    graph.sandbox.advance(61)
    assert len(hook.wait(5)) == 5
    assert len(hook.posts) == 1
    note = hook.items[0]
    assert note["resource"] == f"Users/{graph.get('//me')['id']}/Messages/{note['resourceData']['id']}"
    assert {"subscriptionId", "subscriptionExpirationDateTime", "tenantId", "clientState"} <= set(note)


def test_su_5_a_slow_endpoint_is_dropped_for_a_while(graph: Graph, hook: Hook) -> None:
    subscribed(graph, hook)
    graph.sandbox.settings(graph_notify_seconds=0.05)
    hook.pause = threading.Event()
    for number in range(10):
        graph.deliver(eml(ident=str(number)))
        settled(graph)
    hook.pause.set()
    hook.pause = None
    graph.sandbox.act("microsoft", "lose_notifications")
    graph.deliver(eml(ident="x"))
    assert settled(graph)["posts"] == 10
    graph.sandbox.advance(601)
    graph.sandbox.settings(graph_notify_seconds=None)
    before = len(hook.items)
    graph.deliver(eml(ident="y"))
    assert settled(graph)["sent"] == 1
    assert len(hook.items) > before


def test_su_6_client_state(graph: Graph, hook: Hook) -> None:
    subscribed(graph, hook)
    graph.deliver()
    assert hook.wait(1)[0]["clientState"] == STATE
    graph.sandbox.settings(graph_notify_state="forged")
    graph.deliver(eml(ident="2"))
    assert hook.wait(2)[1]["clientState"] == "forged"


@pytest.mark.parametrize("event", ["reauthorizationRequired", "missed", "subscriptionRemoved"])
def test_su_7_lifecycle(graph: Graph, hook: Hook, event: str) -> None:
    made = subscribed(graph, hook)
    assert graph.act("lifecycle", event=event) == {"sent": 1}
    (note,) = hook.wait(1)
    assert (note["lifecycleEvent"], note["subscriptionId"], note["clientState"]) == (event, made["id"], STATE)
    assert len(graph.all("//subscriptions")) == (0 if event == "subscriptionRemoved" else 1)


def test_sim_8_duplicates_and_loss(graph: Graph, hook: Hook) -> None:
    subscribed(graph, hook)
    graph.sandbox.settings(graph_notify_duplicates=True)
    graph.deliver()
    first, second = hook.wait(2)
    assert first == second
    graph.sandbox.settings(graph_notify_duplicates=None, graph_notify_loss=1.0)
    graph.deliver(eml(ident="2"))
    state = settled(graph)
    assert (state["waiting"], state["lost"]) == (0, 1)
    graph.sandbox.settings(graph_notify_loss=None, graph_notify_delay=60.0)
    graph.deliver(eml(ident="3"))
    assert graph.sandbox.act("microsoft", "lose_notifications", missed=True) == {"lost": 1, "told": 1}
    graph.sandbox.advance(61)
    assert hook.wait(3)[-1]["lifecycleEvent"] == "missed"


def test_whose_mailbox_may_be_subscribed_to(graph: Graph, hook: Hook) -> None:
    app = app_only(graph.sandbox)
    made = app.call("POST", "//subscriptions", order(graph, hook)).body
    assert made["applicationId"] == graph.sandbox.ready["microsoft"]["client_id"]
    graph.nonsense()
    graph.sandbox.settings(graph_app_mailboxes=[PRIYA])
    other = order(graph, hook, changeType="deleted")
    assert app.call("POST", "//subscriptions", other).status == 403
    token = graph.act("add_in_token")["access_token"]
    scope = ["https://graph.microsoft.com/Mail.Read"]
    mine = Graph(
        graph.sandbox, ERIK, confidential(graph.sandbox).acquire_token_on_behalf_of(token, scope)["access_token"]
    )
    assert mine.call("POST", "//subscriptions", order(graph, hook, resource="me/messages")).status == 201
    assert mine.call("POST", "//subscriptions", order(graph, hook, resource=f"users/{PRIYA}/messages")).status == 403
