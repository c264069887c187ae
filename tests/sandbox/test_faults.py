"""Faults on order that are more than a status: answers cut at a chosen place, or exchanged after the effect."""

from __future__ import annotations

import json

import pytest
import requests

from tests.sandboxed import Json, Sandbox

ANNA = "anna@northpeak.example"
LABELS = "/gmail/v1/users/me/labels"


def ask(sandbox: Sandbox, verb: str, path: str, body: Json | None = None) -> requests.Response:
    headers = {"Authorization": f"Bearer {sandbox.token('google', ANNA)}"}
    return requests.request(
        verb, sandbox.url("google") + path, json=body, headers=headers, verify=sandbox.ca, timeout=10
    )


def names(sandbox: Sandbox) -> list[str]:
    return [label["name"] for label in ask(sandbox, "GET", LABELS).json()["labels"]]


@pytest.mark.parametrize("share", [0.0, 0.9])
def test_an_answer_is_cut_where_the_order_says(sandbox: Sandbox, share: float) -> None:
    sandbox.fault("cut", vendor="google", method="POST", path="labels", share=share)
    with pytest.raises(requests.RequestException):
        ask(sandbox, "POST", LABELS, {"name": "Cut"})
    assert names(sandbox).count("Cut") == 1


@pytest.mark.parametrize(("status", "body"), [(200, "<html>"), (200, {"error": {"code": 500}}), (503, None)])
def test_a_garbled_answer_comes_after_the_effect(sandbox: Sandbox, status: int, body: object) -> None:
    sandbox.fault("garbled", vendor="google", method="POST", path="labels", status=status, body=body)
    answer = ask(sandbox, "POST", LABELS, {"name": "Garbled"})
    assert answer.status_code == status
    assert "Garbled" not in answer.text
    assert names(sandbox).count("Garbled") == 1


def test_a_garbled_part_of_a_batch(sandbox: Sandbox) -> None:
    sandbox.fault("garbled", vendor="microsoft", method="POST", path="masterCategories", status=502)
    part = {
        "id": "1",
        "method": "POST",
        "url": "/users/erik@northpeak.example/outlook/masterCategories",
        "headers": {"Content-Type": "application/json"},
        "body": {"displayName": "Garbled", "color": "preset0"},
    }
    answer = requests.post(
        sandbox.url("microsoft") + "/v1.0/$batch",
        json={"requests": [part]},
        headers={"Authorization": f"Bearer {sandbox.token('microsoft', 'erik@northpeak.example')}"},
        verify=sandbox.ca,
        timeout=10,
    )
    assert [one["status"] for one in answer.json()["responses"]] == [502]
    box = sandbox.state("microsoft")["mailboxes"]["erik@northpeak.example"]
    assert json.dumps(box["categories"]).count("Garbled") == 1
