"""Strictness (providers.md SIM-4), quota (GM-15), batch (GM-16) and who may do what (GM-19)."""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request
from google.oauth2 import service_account
from google.oauth2.credentials import Credentials
from googleapiclient.http import HttpRequest

from tests.sandbox.gmail_client import ANNA, BEN, Gmail, b64, eml, refusal
from tests.sandboxed import Sandbox

BASE = "/gmail/v1/users/me"
FULL = "https://mail.google.com/"
MODIFY = "https://www.googleapis.com/auth/gmail.modify"
LABELS = "https://www.googleapis.com/auth/gmail.labels"


# ---- strictness ------------------------------------------------------------------------------------

WRONG = {
    "unknown parameter": ("GET", "/messages?limit=5", None, 400),
    "not a number": ("GET", "/messages?maxResults=many", None, 400),
    "not a boolean": ("GET", "/messages?includeSpamTrash=perhaps", None, 400),
    "not in the enum": ("GET", "/messages/1?format=html", None, 400),
    "twice": ("GET", "/messages?q=a&q=b", None, 400),
    "unknown label": ("GET", "/messages?labelIds=Label_9", None, 400),
    "unknown member": ("POST", "/labels", {"name": "x", "colour": {}}, 400),
    "unknown member inside": ("POST", "/labels", {"name": "x", "color": {"border": "#000000"}}, 400),
    "wrong type": ("POST", "/labels", {"name": 5}, 400),
    "wrong enum": ("POST", "/labels", {"name": "x", "labelListVisibility": "no"}, 400),
    "not JSON": ("POST", "/labels", "{name", 400),
    "not an object": ("POST", "/labels", "[]", 400),
    "a body where none is due": ("POST", "/messages/1/trash", {"x": 1}, 400),
    "unknown path": ("GET", "/mails", None, 404),
    "wrong verb": ("PATCH", "/profile", None, 404),
    "bad base64": ("POST", "/messages", {"raw": "*"}, 400),
    "bad fields": ("GET", "/labels?fields=labels(nam)", None, 400),
    "unreadable fields": ("GET", "/labels?fields=labels(", None, 400),
    "another user": ("GET", "/../ben@northpeak.example/labels", None, 404),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_requests_are_refused(gmail: Gmail, case: str) -> None:
    gmail.sandbox.settings(record=False)
    verb, path, body, status = WRONG[case]
    found, answer = gmail.raw(verb, BASE + path, body)
    assert found == status
    if status == 400:
        assert answer["error"]["status"] == "INVALID_ARGUMENT"


def test_what_the_simulator_does_not_do_is_named(gmail: Gmail) -> None:
    status, body = gmail.raw("GET", f"{BASE}/drafts")
    assert status == 501
    assert "gmail.users.drafts.list" in body["error"]["message"]


def test_another_users_mailbox_is_denied(gmail: Gmail) -> None:
    assert refusal(gmail.labels.list(userId=BEN))[0] == 403
    assert gmail.labels.list(userId="al@northpeak.example").execute()["labels"]


def test_fields_select_parts_of_the_answer(gmail: Gmail) -> None:
    gmail.deliver(eml())
    found = gmail.messages.list(userId="me", fields="messages/id,resultSizeEstimate").execute()
    assert set(found) == {"messages", "resultSizeEstimate"}
    assert set(found["messages"][0]) == {"id"}


def test_a_long_get_may_come_as_a_post(gmail: Gmail) -> None:
    gmail.deliver(eml())
    found = gmail.messages.list(userId="me", q="{" + "subject:other " * 200 + "subject:widgets}").execute()
    assert found["resultSizeEstimate"] == 1


# ---- quota ---------------------------------------------------------------------------------------------


def test_every_call_costs_its_units(gmail: Gmail) -> None:
    message = gmail.deliver(eml())["id"]
    gmail.sandbox.meter(reset=True)
    gmail.now()
    gmail.get(message)
    gmail.messages.modify(userId="me", id=message, body={"addLabelIds": ["STARRED"]}).execute()
    gmail.messages.insert(userId="me", body={"raw": b64(eml())}).execute()
    gmail.users.watch(userId="me", body={"topicName": "projects/sandbox-project/topics/mail"}).execute()
    meter = gmail.sandbox.meter()["google"]
    assert (meter["calls"], meter["units"]) == (5, 1 + 20 + 5 + 25 + 100)
    assert meter["users"][ANNA]["methods"]["gmail.users.messages.get"] == {"calls": 1, "units": 20}


def test_a_user_has_so_many_units_a_minute(gmail: Gmail, colleague: Gmail) -> None:
    gmail.sandbox.settings(gmail_quota_user=3)
    for _ in range(3):
        gmail.now()
    request = gmail.users.getProfile(userId="me")
    assert refusal(request) == (403, "userRateLimitExceeded")
    assert "retry-after" not in gmail.http.request(gmail.sandbox.url("google") + BASE + "/profile")[0]
    colleague.now()
    gmail.sandbox.settings(gmail_quota_status=429)
    assert refusal(request) == (429, "rateLimitExceeded")
    gmail.sandbox.advance(60)
    gmail.now()


def test_the_project_has_a_limit_too_and_refusals_cost_nothing(gmail: Gmail, colleague: Gmail) -> None:
    gmail.sandbox.settings(gmail_quota_project=2)
    gmail.sandbox.advance(61)
    gmail.now()
    colleague.now()
    assert refusal(gmail.users.getProfile(userId="me")) == (403, "rateLimitExceeded")
    gmail.sandbox.settings(gmail_quota=False)
    gmail.now()


# ---- batch -----------------------------------------------------------------------------------------------


def batch(gmail: Gmail, requests: list[HttpRequest]) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def note(ident: str, answer: Any, error: Any) -> None:
        found[ident] = error.status_code if error else answer

    call = gmail.service.new_batch_http_request()
    for number, request in enumerate(requests):
        call.add(request, note, request_id=str(number))
    call.execute()
    return found


def test_a_batch_answers_each_part_by_its_id(gmail: Gmail) -> None:
    ids = [gmail.deliver(eml(str(n), ident=str(n)))["id"] for n in range(30)]
    gmail.sandbox.meter(reset=True)
    found = batch(gmail, [gmail.messages.get(userId="me", id=i, format="minimal") for i in [*ids, "0"]])
    assert [found[str(n)]["id"] for n in range(30)] == ids
    assert found["30"] == 404
    meter = gmail.sandbox.meter()["google"]
    assert (meter["requests"], meter["calls"]) == (1, 31)
    assert meter["methods"]["gmail.users.messages.get"]["units"] == 31 * 20


def parts(count: int) -> str:
    part = "--b\r\nContent-Type: application/http\r\nContent-ID: <x-{}>\r\n\r\nGET " + BASE + "/profile\r\n\r\n"
    return "".join(part.format(n) for n in range(count)) + "--b--"


def test_parts_come_shuffled_and_at_most_a_hundred(gmail: Gmail) -> None:
    kind = {"content-type": "multipart/mixed; boundary=b"}
    status, answer = gmail.raw("POST", "/batch/gmail/v1", parts(100), kind)
    order = [line.split("x-")[1].rstrip(">") for line in answer.splitlines() if line.startswith("Content-ID")]
    assert status == 200
    assert sorted(order, key=int) == [str(n) for n in range(100)] != order
    assert answer.count("<response-x-7>") == 1
    assert gmail.raw("POST", "/batch", parts(101), kind)[0] == 400
    gmail.sandbox.settings(gmail_batch_shuffle=False)
    answer = gmail.raw("POST", "/batch", parts(9), kind)[1]
    places = [answer.index(f"<response-x-{n}>") for n in range(9)]
    assert places == sorted(places)


def test_a_single_part_may_be_throttled(gmail: Gmail) -> None:
    ids = [gmail.deliver(eml(str(n), ident=str(n)))["id"] for n in range(3)]
    gmail.sandbox.fault("status", path=f"{ids[1]}/modify", status=429)
    body = {"addLabelIds": ["STARRED"]}
    found = batch(gmail, [gmail.messages.modify(userId="me", id=i, body=body) for i in ids])
    assert found["1"] == 429
    assert [("STARRED" in gmail.worn(i)) for i in ids] == [True, False, True]


# ---- who may do what ----------------------------------------------------------------------------------------


def robot(sandbox: Sandbox, user: str = ANNA, scopes: tuple[str, ...] = (MODIFY,)) -> Any:
    key = sandbox.ready["google"]["service_account"]
    return service_account.Credentials.from_service_account_file(key, scopes=list(scopes), subject=user)


@pytest.fixture
def transport(gmail: Gmail, monkeypatch: pytest.MonkeyPatch) -> Request:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", gmail.sandbox.ca)
    return Request()


def personal(sandbox: Sandbox) -> Credentials:
    ready = sandbox.ready["google"]
    return Credentials(None, refresh_token=ready["refresh_tokens"][ANNA], token_uri=ready["token_url"],
                       client_id=ready["client_id"], client_secret=ready["client_secret"])  # fmt: skip


@pytest.mark.parametrize("make", [robot, personal])
def test_both_kinds_of_credentials_work_and_expire(gmail: Gmail, make: Callable[[Sandbox], Any]) -> None:
    client = Gmail(gmail.sandbox, credentials=make(gmail.sandbox))
    client.now()
    gmail.sandbox.advance(3601)
    assert client.plain.request(gmail.sandbox.url("google") + BASE + "/profile", headers={
        "authorization": f"Bearer {client.http.credentials.token}"})[0].status == 401  # fmt: skip
    client.now()  # refreshes by itself
    client.close()


@pytest.mark.parametrize("make", [robot, personal])
def test_revoked_access_ends(gmail: Gmail, transport: Request, make: Callable[[Sandbox], Any]) -> None:
    credentials = make(gmail.sandbox)
    credentials.refresh(transport)
    client = Gmail(gmail.sandbox, credentials=Credentials(credentials.token))
    client.now()
    gmail.sandbox.act("google", "revoke", user=ANNA)
    address = gmail.sandbox.url("google") + BASE + "/profile"
    assert client.plain.request(address, headers={"authorization": f"Bearer {credentials.token}"})[0].status == 401
    with pytest.raises(RefreshError) as caught:
        make(gmail.sandbox).refresh(transport)
    assert ("invalid_grant" if make is personal else "unauthorized_client") in str(caught.value)
    client.close()


@pytest.mark.parametrize(("user", "scopes", "error"), [
    ("nobody@northpeak.example", (MODIFY,), "invalid_grant"),
    ("al@northpeak.example", (MODIFY,), "invalid_grant"),
    (ANNA, ("https://www.googleapis.com/auth/made.up",), "invalid_scope"),
    (ANNA, (FULL,), "unauthorized_client"),
])  # fmt: skip
def test_assertions_that_google_refuses(
    gmail: Gmail, transport: Request, user: str, scopes: tuple[str, ...], error: str
) -> None:
    gmail.sandbox.settings(google_delegated_scopes=[MODIFY, LABELS])
    with pytest.raises(RefreshError, match=error):
        robot(gmail.sandbox, user, scopes).refresh(transport)


def post_token(gmail: Gmail, **form: str) -> tuple[int, Any]:
    kind = {"content-type": "application/x-www-form-urlencoded"}
    address = gmail.sandbox.url("google") + "/token"
    answer, content = gmail.plain.request(address, "POST", urllib.parse.urlencode(form), kind)
    return answer.status, json.loads(content)


@pytest.mark.parametrize("change", [{"aud": "local"}, {"exp": 5000}, {"iss": "x@y.example"}, {"iat": -9000}])
def test_the_assertion_itself_is_checked(gmail: Gmail, change: dict[str, Any]) -> None:
    with open(gmail.sandbox.ready["google"]["service_account"], encoding="utf-8") as file:
        key = json.load(file)
    now = int(time.time())
    claims = {"iss": key["client_email"], "sub": ANNA, "scope": MODIFY, "iat": now, "exp": now + 3600,
              "aud": "https://oauth2.googleapis.com/token"}  # fmt: skip
    kind = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    good = jwt.encode(claims, key["private_key"], "RS256")
    assert post_token(gmail, grant_type=kind, assertion=good)[0] == 200
    wrong = claims | {n: v if isinstance(v, str) else now + v for n, v in change.items()}
    status, body = post_token(gmail, grant_type=kind, assertion=jwt.encode(wrong, key["private_key"], "RS256"))
    assert (status, body["error"]) == (400, "invalid_grant")
    assert post_token(gmail, grant_type=kind, assertion=good[:-6] + "AAAAAA")[1]["error"] == "invalid_grant"


def test_the_web_server_flow(gmail: Gmail) -> None:
    ready = gmail.sandbox.ready["google"]
    back = "https://mailspan.example/back"
    asked = {"client_id": ready["client_id"], "redirect_uri": back, "response_type": "code", "scope": MODIFY}
    query = urllib.parse.urlencode(asked | {"login_hint": ANNA, "access_type": "offline", "state": "s1"})
    gmail.plain.follow_redirects = False
    answer, _ = gmail.plain.request(f"{ready['authorize_url']}?{query}")
    landed = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer["location"]).query))
    assert (answer.status, landed["state"]) == (302, "s1")
    form = {"grant_type": "authorization_code", "code": landed["code"], "redirect_uri": back,
            "client_id": ready["client_id"], "client_secret": ready["client_secret"]}  # fmt: skip
    status, body = post_token(gmail, **form)
    assert status == 200
    assert post_token(gmail, **form)[0] == 400  # a code is good once
    form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"], "client_id": ready["client_id"],
            "client_secret": ready["client_secret"]}  # fmt: skip
    assert post_token(gmail, **form)[1]["scope"] == MODIFY
    assert post_token(gmail, **{**form, "client_secret": "no"})[0] == 401


def test_scopes_bound_what_a_token_may_do(gmail: Gmail) -> None:
    message = gmail.deliver(eml())["id"]
    client = Gmail(gmail.sandbox, credentials=robot(gmail.sandbox, scopes=(MODIFY,)))
    assert refusal(client.messages.delete(userId="me", id=message)) == (403, "insufficientPermissions")
    assert refusal(client.messages.batchDelete(userId="me", body={"ids": [message]}))[0] == 403
    narrow = Gmail(gmail.sandbox, credentials=robot(gmail.sandbox, scopes=(LABELS,)))
    assert narrow.label("made")
    assert refusal(narrow.messages.get(userId="me", id=message)) == (403, "insufficientPermissions")
    full = Gmail(gmail.sandbox, credentials=robot(gmail.sandbox, scopes=(FULL,)))
    full.messages.delete(userId="me", id=message).execute()
    for one in (client, narrow, full):
        one.close()


def test_an_account_without_a_licence(gmail: Gmail) -> None:
    gmail.sandbox.act("google", "suspend", user=ANNA)
    assert refusal(gmail.labels.list(userId="me")) == (400, "failedPrecondition")
    gmail.sandbox.act("google", "suspend", user=ANNA, value=False)
    assert gmail.labels.list(userId="me").execute()


def test_without_a_token_nobody_is_let_in(gmail: Gmail) -> None:
    client = Gmail(gmail.sandbox, credentials=Credentials("ya29.nonsense"))
    status, content = client.plain.request(gmail.sandbox.url("google") + BASE + "/labels")
    assert status.status == 401
    assert json.loads(content)["error"]["status"] == "UNAUTHENTICATED"
    client.close()
