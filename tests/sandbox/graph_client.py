"""A plain client of Graph and Entra in the sandbox, and the fixtures that use it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msal
import pytest
import requests

from tests.sandboxed import Sandbox

Json = dict[str, Any]
ERIK, PRIYA, ANNA = "erik@northpeak.example", "priya@northpeak.example", "anna@northpeak.example"
DEFAULT = ["https://graph.microsoft.com/.default"]
IMMUTABLE: Json = {"Prefer": 'IdType="ImmutableId"'}
ORGANISATION: Json = {
    "users": [
        {
            "key": "erik",
            "name": "Erik Johansson",
            "email": ERIK,
            "mail": "microsoft",
            "aliases": ["ej@northpeak.example"],
        },
        {"key": "priya", "name": "Priya Raman", "email": PRIYA, "mail": "microsoft"},
        {"key": "anna", "name": "Anna Lindqvist", "email": ANNA, "mail": "google"},
    ],
    "microsoft": {
        "folders": {ERIK: [{"name": "Travel"}, {"name": "2026", "parent": "Travel"}]},
        "categories": {ERIK: [{"name": "Key customer", "color": "preset0"}]},
    },
}


def eml(subject: str = "Widgets", *, ident: str = "1", refs: str = "", body: str = "Hello", **headers: str) -> str:
    """A small mail."""
    lines = {"From": "Kim <kim@acme.example>", "To": ERIK, "Subject": subject, "Message-ID": f"<{ident}@acme.example>"}
    lines |= {"In-Reply-To": f"<{refs}@acme.example>"} if refs else {}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    return "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + f"\r\n{body}\r\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: int
    body: Any
    headers: requests.structures.CaseInsensitiveDict[str]

    @property
    def code(self) -> str:
        """Of an error."""
        return str(self.body["error"]["code"])

    @property
    def values(self) -> list[Json]:
        """Of a list."""
        return list(self.body["value"])


class Graph:
    """One user's mailbox through Graph, with the ready token unless told otherwise."""

    def __init__(self, sandbox: Sandbox, user: str = ERIK, token: str = "") -> None:
        self.sandbox, self.user = sandbox, user
        self.root = sandbox.url("microsoft") + "/v1.0"
        self.token = token or sandbox.token("microsoft", user)
        self.http = requests.Session()
        self.http.trust_env, self.http.verify = False, sandbox.ca

    def call(self, verb: str, path: str, body: Any = None, *, raw: bytes | None = None, **headers: Any) -> Reply:
        """A request; `path` begins behind the user, with // behind the version, or is a whole address."""
        url = path if path.startswith("https:") else self.root + (
            path[1:] if path.startswith("//") else f"/users/{self.user}{path}")  # fmt: skip
        sent = {"Authorization": f"Bearer {self.token}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        answer = self.http.request(verb, url, json=body, data=raw, headers=sent, timeout=30)
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return Reply(answer.status_code, answer.json() if is_json else answer.content, answer.headers)

    def get(self, path: str, **headers: Any) -> Any:
        """The body of a GET that must succeed."""
        reply = self.call("GET", path, **headers)
        assert reply.status == 200, reply
        return reply.body

    def post(self, path: str, body: Any = None, **headers: Any) -> Any:
        """The body of a POST that must succeed."""
        reply = self.call("POST", path, {} if body is None else body, **headers)
        assert reply.status in (200, 201, 202, 204), reply
        return reply.body

    def patch(self, path: str, body: Any, **headers: Any) -> Any:
        """The body of a PATCH that must succeed."""
        reply = self.call("PATCH", path, body, **headers)
        assert reply.status == 200, reply
        return reply.body

    def all(self, path: str, **headers: Any) -> list[Json]:
        """Every element of a list, whatever the pages."""
        found, page = [], self.get(path, **headers)
        while True:
            found += page["value"]
            if "@odata.nextLink" not in page:
                return found
            page = self.get(page["@odata.nextLink"], **headers)

    def batch(self, *parts: Json) -> dict[str, Json]:
        """Answers of a batch by id."""
        reply = self.call("POST", "//$batch", {"requests": list(parts)})
        assert reply.status == 200, reply
        return {part["id"]: part for part in reply.body["responses"]}

    def act(self, action: str, **body: Any) -> Json:
        """Act as the user."""
        return self.sandbox.act("microsoft", action, user=self.user, **body)

    def deliver(self, raw: str = "", **how: Any) -> Json:
        """A mail arrives."""
        return self.act("deliver", raw_base64=base64.b64encode((raw or eml()).encode()).decode(), **how)

    def nonsense(self) -> None:
        """What follows is wrong on purpose and stays out of the recording."""
        self.sandbox.settings(record=False)

    def close(self) -> None:
        """End the connections."""
        self.http.close()


@pytest.fixture
def graph(bare_sandbox: Sandbox) -> Iterator[Graph]:
    """Erik's mailbox in a small tenant: two users, folders Travel and Travel/2026, a category, no mail."""
    bare_sandbox.seed(ORGANISATION)
    client = Graph(bare_sandbox)
    yield client
    client.close()


@pytest.fixture
def priya(graph: Graph) -> Iterator[Graph]:
    """Priya's mailbox in the same tenant."""
    client = Graph(graph.sandbox, PRIYA)
    yield client
    client.close()


def confidential(sandbox: Sandbox, credential: Any = None, **more: Any) -> msal.ConfidentialClientApplication:
    """msal with the registered secret, or with another credential."""
    ready, http = sandbox.ready["microsoft"], requests.Session()
    http.trust_env, http.verify = False, sandbox.ca
    return msal.ConfidentialClientApplication(
        ready["client_id"], client_credential=credential or ready["client_secret"], authority=ready["authority"],
        instance_discovery=False, http_client=http, **more)  # fmt: skip


def app_only(sandbox: Sandbox, user: str = ERIK) -> Graph:
    """A mailbox by an app-only token."""
    token = confidential(sandbox).acquire_token_for_client(DEFAULT)
    return Graph(sandbox, user, token["access_token"])


@dataclass(slots=True)
class Hook:
    """A web hook for subscriptions. `answer` is what it says to a validation, None: the token as it should."""

    status: int = 202
    answer: str | None = None
    kind: str = "text/plain"
    validation_status: int = 200
    pause: threading.Event | None = None  # waits for it before it answers
    validated: list[str] = field(default_factory=list)
    posts: list[Json] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)
    url: str = ""

    @property
    def items(self) -> list[Json]:
        """All notifications so far."""
        return [item for post in self.posts for item in post["value"]]

    def wait(self, many: int) -> list[Json]:
        """Until so many notifications have come in all; those."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.items) >= many, 10), f"only {len(self.items)} came"
            return self.items

    def serve(self) -> Iterator[Hook]:
        """Listen until the generator is closed."""
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *args: object) -> None:
                """Quiet."""

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                token = parse_qs(urlsplit(self.path).query).get("validationToken")
                status, text, kind = hook.status, "", "text/plain"
                if hook.pause is not None:
                    hook.pause.wait(10)
                if token:
                    hook.validated.append(urlsplit(self.path).path)
                    status, kind = hook.validation_status, hook.kind
                    text = token[0] if hook.answer is None else hook.answer
                else:
                    with hook.arrived:
                        hook.posts.append(json.loads(body))
                        hook.arrived.notify_all()
                data = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join(5)


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A listening web hook that behaves."""
    yield from Hook().serve()
