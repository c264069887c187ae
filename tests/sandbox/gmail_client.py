"""Google's own client, pointed at the sandbox (`providers.md 7.9`)."""

from __future__ import annotations

import base64
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import google_auth_httplib2
import httplib2
import pytest
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError

from tests.sandboxed import Sandbox

Json = dict[str, Any]
ANNA, BEN = "anna@northpeak.example", "ben@northpeak.example"
ORGANISATION: Json = {
    "users": [
        {"key": "anna", "name": "Anna Lindqvist", "email": ANNA, "mail": "google", "aliases": ["al@northpeak.example"]},
        {"key": "ben", "name": "Ben Carter", "email": BEN, "mail": "google"},
    ],
    "google": {"labels": {ANNA: [{"name": "Travel"}]}},
}


def eml(subject: str = "Widgets", *, ident: str = "1", refs: str = "", **headers: str) -> str:
    """A small mail."""
    lines = {"From": "Kim <kim@acme.example>", "To": ANNA, "Subject": subject, "Message-ID": f"<{ident}@acme.example>"}
    lines |= {"In-Reply-To": f"<{refs}@acme.example>"} if refs else {}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    return "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\nHello\r\n"


def b64(text: str | bytes) -> str:
    """base64url."""
    return base64.urlsafe_b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def document(name: str = "gmail.v1") -> Json:
    """A discovery document of the wheel."""
    spec = find_spec("googleapiclient")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "discovery_cache" / "documents"
    found: Json = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return found


class Gmail:
    """The `users` resource of one user's Gmail, and the state as the control API sees it."""

    def __init__(self, sandbox: Sandbox, user: str = ANNA, credentials: Any = None, api: str = "gmail.v1") -> None:
        self.sandbox, self.user = sandbox, user
        found = document(api)
        found["rootUrl"] = found["baseUrl"] = sandbox.url("google") + "/"
        self.plain = httplib2.Http(timeout=20, ca_certs=sandbox.ca)
        self.http = google_auth_httplib2.AuthorizedHttp(
            credentials or Credentials(sandbox.token("google", user)), http=self.plain
        )
        self.service = build_from_document(found, http=self.http)
        if api == "gmail.v1":
            self.users = self.service.users()
            self.messages = self.users.messages()
            self.labels = self.users.labels()
            self.threads = self.users.threads()

    def close(self) -> None:
        self.service.close()

    def deliver(self, raw: str, **more: Any) -> Json:
        return self.sandbox.act("google", "deliver", user=self.user, raw=raw, **more)

    def label(self, name: str) -> str:
        return str(self.labels.create(userId="me", body={"name": name}).execute()["id"])

    def get(self, ident: str, form: str = "minimal") -> Json:
        found: Json = self.messages.get(userId="me", id=ident, format=form).execute()
        return found

    def worn(self, ident: str) -> set[str]:
        return set(self.get(ident).get("labelIds", []))

    def find(self, query: str = "", **more: Any) -> list[str]:
        answer = self.messages.list(userId="me", q=query or None, **more).execute()
        return [entry["id"] for entry in answer.get("messages", [])]

    def now(self) -> str:
        return str(self.users.getProfile(userId="me").execute()["historyId"])

    def since(self, start: str, **more: Any) -> list[Json]:
        found: list[Json] = (
            self.users.history().list(userId="me", startHistoryId=start, **more).execute().get("history", [])
        )
        return found

    def raw(self, verb: str, path: str, body: Any = None, headers: Json | None = None) -> tuple[int, Any]:
        """A request beside the client: status and parsed body."""
        data = body if isinstance(body, str) or body is None else json.dumps(body)
        answer, content = self.http.request(
            self.sandbox.url("google") + path, verb, data, {"content-type": "application/json"} | (headers or {})
        )
        kind = answer.get("content-type", "")
        return answer.status, json.loads(content) if content and "json" in kind else content.decode()


def refusal(request: Any) -> tuple[int, str]:
    """Status and reason with which the service refuses a request."""
    with pytest.raises(HttpError) as caught:
        request.execute()
    error = json.loads(caught.value.content)["error"]
    assert error["code"] == caught.value.status_code
    assert error["message"]
    return error["code"], error["errors"][0]["reason"]
