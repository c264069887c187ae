"""Batches and limits: rows GR-14 to GR-16 of `providers.md 11.3`."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.sandbox.graph_client import ANNA, ERIK, PRIYA, Graph, app_only, eml

JSON = {"Content-Type": "application/json"}
FOLDER = f"/users/{ERIK}/mailFolders/inbox?$select=displayName"


def part(number: int, url: str = FOLDER, method: str = "GET", **more: Any) -> dict[str, Any]:
    return {"id": str(number), "method": method, "url": url, **more}


def at_once(graph: Graph, many: int, seconds: float = 0.4) -> list[int]:
    """Statuses of so many requests in flight at the same time."""
    graph.sandbox.settings(latency_ms={"microsoft": int(seconds * 1000)})
    barrier = threading.Barrier(many)

    def one(_: int) -> int:
        client = Graph(graph.sandbox, graph.user, graph.token)
        barrier.wait(10)
        try:
            return client.call("GET", "/mailFolders/inbox").status
        finally:
            client.close()

    with ThreadPoolExecutor(many) as pool:
        found = sorted(pool.map(one, range(many)))
    graph.sandbox.settings(latency_ms=None)
    return found


def test_gr_14_the_fifth_request_in_flight_is_refused(graph: Graph) -> None:
    assert at_once(graph, 4) == [200] * 4
    assert at_once(graph, 6) == [200] * 4 + [429] * 2
    graph.sandbox.settings(graph_concurrency=0)
    assert at_once(graph, 6) == [200] * 6


def test_gr_14_another_mailbox_has_lanes_of_its_own(graph: Graph, priya: Graph) -> None:
    graph.sandbox.settings(latency_ms={"microsoft": 300}, graph_concurrency=1)
    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(g.call, "GET", "/mailFolders/inbox") for g in (graph, priya)]
        assert [f.result().status for f in found] == [200, 200]


def test_gr_14_a_refusal_says_how_long_to_wait(graph: Graph) -> None:
    graph.sandbox.settings(graph_quota=2, graph_retry_after=7)
    graph.get("/mailFolders/inbox")
    graph.get("/mailFolders/inbox")
    refused = graph.call("GET", "/mailFolders/inbox")
    assert (refused.status, refused.code) == (429, "ApplicationThrottled")
    assert int(refused.headers["Retry-After"]) >= 7


def test_gr_14_parts_of_a_parallel_batch_count(graph: Graph) -> None:
    graph.sandbox.settings(latency_ms={"microsoft": 400})
    started = threading.Barrier(2)

    def slow() -> None:
        client = Graph(graph.sandbox)
        started.wait(10)
        client.get("/mailFolders/inbox")
        client.close()

    other = threading.Thread(target=slow)
    other.start()
    started.wait(10)
    while not graph.sandbox.meter().get("microsoft", {}).get("concurrency", {}).get(ERIK):
        pass  # the other request is on its way
    answers = graph.batch(*(part(n) for n in range(8)))
    other.join(10)
    assert sorted(a["status"] for a in answers.values()) == [200] * 6 + [429] * 2
    refused = next(a for a in answers.values() if a["status"] == 429)
    assert refused["body"]["error"]["code"] == "ApplicationThrottled"
    assert refused["headers"]["Retry-After"] == "1"


def test_gr_15_a_batch_runs_in_order_when_told_so(graph: Graph) -> None:
    told = graph.deliver()
    move = part(2, f"/users/{ERIK}/messages/{told['immutableId']}/move", "POST", body={"destinationId": "archive"},
                headers=JSON, dependsOn=["1"])  # fmt: skip
    patch = part(1, f"/users/{ERIK}/messages/{told['id']}", "PATCH", body={"categories": ["A"]}, headers=JSON)
    answers = graph.batch(patch, move)
    assert (answers["1"]["status"], answers["2"]["status"]) == (200, 201)
    assert answers["2"]["body"]["categories"] == ["A"]
    value = graph.batch(part(1, f"/users/{ERIK}/messages/{told['immutableId']}/$value"))["1"]
    assert isinstance(value["body"], str)  # base64


def test_gr_15_what_depends_on_a_failure_fails(graph: Graph) -> None:
    answers = graph.batch(part(1, f"/users/{ERIK}/messages/nix"), part(2, dependsOn=["1"]), part(3, dependsOn=["2"]))
    assert [answers[n]["status"] for n in "123"] == [404, 424, 424]
    ignored = graph.batch(part(1, f"/users/{ERIK}/messages/nix"), part(2, depends_on=["1"]))
    assert ignored["2"]["status"] == 200  # misspelt: not sequenced


def test_gr_15_answers_come_in_any_order(graph: Graph) -> None:
    orders = set()
    for _ in range(5):
        reply = graph.call("POST", "//$batch", {"requests": [part(n) for n in range(6)]})
        orders.add(tuple(a["id"] for a in reply.body["responses"]))
    assert len(orders) > 1
    assert graph.sandbox.meter()["microsoft"]["users"][ERIK]["methods"]["mailFolders.get"]["calls"] == 30


def test_gr_15_a_single_part_can_be_throttled(graph: Graph) -> None:
    graph.sandbox.fault("status", vendor="microsoft", path="/messages/two", status=429, retry_after=3)
    answers = graph.batch(part(1), part(2, f"/users/{ERIK}/messages/two"))
    assert answers["1"]["status"] == 200
    assert (answers["2"]["status"], answers["2"]["headers"]["Retry-After"]) == (429, "3")


def test_gr_15_the_whole_batch_can_be_refused(graph: Graph) -> None:
    graph.sandbox.fault("status", vendor="microsoft", path=r"\$batch", status=429, retry_after=3, user=ERIK)
    reply = graph.call("POST", "//$batch", {"requests": [part(1)]})
    assert (reply.status, reply.code) == (429, "ApplicationThrottled")


@pytest.mark.parametrize("requests", [
    [part(n) for n in range(21)], [part(1), part(1)], [part(1) | {"id": "a"}, part(1) | {"id": "A"}],
    [], [{"method": "GET", "url": FOLDER}], [part(1, dependsOn=["2"]), part(2)],
    [part(1), part(2, dependsOn=["1"]), part(3)], [part(1, method="LIST")],
])  # fmt: skip
def test_gr_15_malformed_batches(graph: Graph, requests: list[Any]) -> None:
    graph.nonsense()
    assert graph.call("POST", "//$batch", {"requests": requests}).status == 400


def test_gr_15_size_and_content_type(graph: Graph) -> None:
    graph.nonsense()
    big = part(1, f"/users/{ERIK}/messages", "POST", headers=JSON, body={"subject": "x" * (4 * 1024 * 1024)})
    assert graph.call("POST", "//$batch", {"requests": [big]}).status == 413
    untyped = part(1, f"/users/{ERIK}/messages", "POST", body={"subject": "x"})
    assert graph.batch(untyped)["1"]["status"] == 400
    assert graph.call("GET", "//$batch").status == 405


def test_gr_16_ten_thousand_requests_in_ten_minutes(graph: Graph) -> None:
    graph.sandbox.settings(graph_quota=30)
    assert {graph.call("GET", "/mailFolders/inbox").status for _ in range(30)} == {200}
    assert graph.batch(part(1), part(2))["1"]["status"] == 429
    app = app_only(graph.sandbox)
    assert app.call("GET", "/mailFolders/inbox").status == 200  # another app
    graph.user, other = PRIYA, Graph(graph.sandbox, PRIYA)
    assert other.call("GET", "/mailFolders/inbox").status == 200  # another mailbox
    graph.sandbox.advance(601)
    graph.user = ERIK
    assert graph.call("GET", "/mailFolders/inbox").status == 200


def test_gr_16_a_busy_server_on_order(graph: Graph) -> None:
    graph.sandbox.fault("status", vendor="microsoft", status=503, retry_after=2, user=ERIK)
    reply = graph.call("GET", "/mailFolders/inbox")
    assert (reply.status, reply.code, reply.headers["Retry-After"]) == (503, "ErrorServerBusy", "2")


def test_sim_2_an_effect_may_be_lost_on_its_way_back(graph: Graph) -> None:
    told = graph.deliver()
    graph.sandbox.fault("lost", vendor="microsoft", path="/move$")
    with pytest.raises(OSError):
        graph.call("POST", f"/messages/{told['id']}/move", {"destinationId": "archive"})
    assert graph.get("/mailFolders/archive")["totalItemCount"] == 1
    graph.sandbox.fault("lost", vendor="microsoft", path="/copy$")
    copy = part(
        1, f"/users/{ERIK}/messages/{told['immutableId']}/copy", "POST", body={"destinationId": "inbox"}, headers=JSON
    )
    assert graph.batch(copy)["1"]["status"] == 504
    assert graph.get("/mailFolders/inbox")["totalItemCount"] == 1


def test_sim_5_calls_are_counted_by_mailbox_and_method(graph: Graph) -> None:
    graph.deliver(eml())
    app = app_only(graph.sandbox)
    graph.sandbox.meter(reset=True)
    app.all("/messages")
    app.batch(part(1), part(2))
    meter = graph.sandbox.meter()["microsoft"]
    assert (meter["requests"], meter["calls"]) == (2, 3)
    assert {m: v["calls"] for m, v in meter["users"][ERIK]["methods"].items()} == {
        "messages.list": 1,
        "mailFolders.get": 2,
    }


def test_many_clients_at_once_lose_nothing(graph: Graph) -> None:
    graph.sandbox.settings(graph_concurrency=0)
    made = graph.post("/mailFolders/inbox/childFolders", {"displayName": "Target"})["id"]
    told = [graph.deliver(eml(ident=str(n)))["immutableId"] for n in range(24)]

    def work(idents: list[str]) -> list[int]:
        client = Graph(graph.sandbox)
        found = []
        for ident in idents:
            found.append(client.call("PATCH", f"/messages/{ident}", {"categories": ["A"]}).status)
            found.append(client.call("POST", f"/messages/{ident}/move", {"destinationId": made}).status)
            found.append(client.call("GET", "/mailFolders/inbox/messages/delta?$select=id").status)
        client.close()
        return found

    with ThreadPoolExecutor(8) as pool:
        statuses = [s for found in pool.map(work, [told[n::8] for n in range(8)]) for s in found]
    assert set(statuses) == {200, 201}
    assert graph.get("/mailFolders/inbox")["totalItemCount"] == 0
    found = graph.all(f"/mailFolders/{made}/messages?$select=categories")
    assert [m["categories"] for m in found] == [["A"]] * 24


def test_mail_in_both_directions_never_locks(graph: Graph) -> None:
    from tests.sandbox.gmail_client import Gmail, b64

    def outlook() -> None:
        client = Graph(graph.sandbox)
        for number in range(10):
            message = {"subject": f"Out {number}", "toRecipients": [{"emailAddress": {"address": ANNA}}]}
            client.post("/sendMail", {"message": message})
        client.close()

    def gmail() -> None:
        client = Gmail(graph.sandbox, ANNA)
        for number in range(10):
            raw = eml(f"In {number}", ident=f"in{number}", To=ERIK, From=ANNA)
            client.messages.send(userId="me", body={"raw": b64(raw)}).execute()
        client.close()

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(outlook), pool.submit(gmail)]:
            done.result(30)
    assert graph.get("/mailFolders/inbox")["totalItemCount"] == 10
    assert len(graph.sandbox.state("google")["mailboxes"][ANNA]["messages"]) == 20  # her own copies too
