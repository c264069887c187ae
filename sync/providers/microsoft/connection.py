"""The connection below the client library: one event loop per process, our TLS, nothing sent twice (providers.md 7.2).

The library is asynchronous and its client belongs to one event loop, which does not survive a fork: the loop's thread
is started at first use, and anew in a child.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from kiota_abstractions.authentication import AccessTokenProvider, AllowedHostsValidator
from kiota_abstractions.authentication.base_bearer_token_authentication_provider import (
    BaseBearerTokenAuthenticationProvider,
)
from kiota_abstractions.method import Method
from kiota_abstractions.native_response_handler import NativeResponseHandler
from kiota_abstractions.request_information import RequestInformation
from kiota_http.middleware.options import RedirectHandlerOption, ResponseHandlerOption, RetryHandlerOption
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.graph_request_adapter import options as sdk_options
from msgraph_core import GraphClientFactory

T = TypeVar("T")
TokenSource = Callable[[str], str]  # a claims challenge, or "" -> an access token; raises the errors of `sync.errors`
CONNECT_SECONDS = 5.0
KEPT_CONNECTIONS = 20  # of one connection's mailboxes, which are worked on by threads


class Loop:
    """The process's event loop, in a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do `work` on the loop and wait for it."""
        future = asyncio.run_coroutine_threadsafe(work, self.current())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def current(self) -> asyncio.AbstractEventLoop:
        """The loop of this process; a child's is not its parent's."""
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop, self._pid = asyncio.new_event_loop(), os.getpid()
                threading.Thread(target=self._loop.run_forever, name="graph", daemon=True).start()
            return self._loop

    def forget(self) -> None:
        """In a child after a fork: neither the thread nor the lock's holder exists there."""
        self._lock, self._loop = threading.Lock(), None


LOOP = Loop()
os.register_at_fork(after_in_child=LOOP.forget)


class _Tokens(AccessTokenProvider):
    """Hands the token to Graph's own address only: the library checks no host, so a forged link would get it."""

    def __init__(self, base_url: str, source: TokenSource) -> None:
        self._origin = _origin(base_url)
        self._hosts = AllowedHostsValidator([urlsplit(base_url).hostname or ""])
        self._source = source

    async def get_authorization_token(
        self, uri: str, additional_authentication_context: Mapping[str, Any] | None = None
    ) -> str:
        if not self._hosts.is_url_host_valid(uri) or _origin(uri) != self._origin:
            return ""
        claims = str((additional_authentication_context or {}).get("claims") or "")
        return await asyncio.to_thread(self._source, claims)

    def get_allowed_hosts_validator(self) -> AllowedHostsValidator:
        return self._hosts


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return (parts.scheme, parts.netloc.lower()) if parts.scheme == "https" else ("", url)


class Connection:
    """Sends the requests of one Graph address, for all its mailboxes; safe for threads. `transport` is for tests."""

    def __init__(
        self,
        base_url: str,
        *,
        ca_file: str | None = None,
        timeout: float = 60.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._transport = transport
        self._tls = ssl.create_default_context(cafile=ca_file)
        self._lock = threading.Lock()
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def sender(self, source: TokenSource) -> Sender:
        """What sends requests with the tokens of one user or app."""
        return Sender(self, source)

    def client(self) -> httpx.AsyncClient:
        """The client of this process's loop."""
        loop = LOOP.current()
        with self._lock:
            if self._client is None or self._loop is not loop:
                self._client, self._loop = self._make(), loop
            return self._client

    def _make(self) -> httpx.AsyncClient:
        """With the library's middleware, but without its repeating of writes and its redirects."""
        client = httpx.AsyncClient(
            http2=True,
            verify=self._tls,
            timeout=httpx.Timeout(self._timeout, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=KEPT_CONNECTIONS, max_keepalive_connections=KEPT_CONNECTIONS),
            transport=self._transport,
            trust_env=False,  # as for sign-in: a proxy of the environment must not see half of the calls
        )
        middleware = {
            **sdk_options,
            RetryHandlerOption.get_key(): RetryHandlerOption(max_retries=0, should_retry=False),
            RedirectHandlerOption.get_key(): RedirectHandlerOption(should_redirect=False),
        }
        made: httpx.AsyncClient = GraphClientFactory.create_with_default_middleware(client=client, options=middleware)
        return made


class Sender:
    """Sends requests and gives raw answers, whatever their status. A claims challenge is answered once by itself."""

    def __init__(self, connection: Connection, source: TokenSource) -> None:
        self.base_url = connection.base_url
        self._connection = connection
        self._provider = BaseBearerTokenAuthenticationProvider(_Tokens(self.base_url, source))
        self._adapter: tuple[httpx.AsyncClient, GraphRequestAdapter] | None = None

    def send(self, verb: str, url: str, headers: Mapping[str, str], content: bytes | None) -> httpx.Response:
        """One request. Raises httpx's errors, and those of `sync.errors` when there is no token."""
        request = RequestInformation()
        request.http_method = Method[verb]
        request.url = url
        for name, value in headers.items():
            request.headers.add(name, value)
        if content is not None:
            request.content = content
        request.add_request_options([ResponseHandlerOption(NativeResponseHandler())])
        adapter: Any = self._current()  # typed for parsed answers only
        response: httpx.Response = LOOP.run(adapter.send_async(request, None, {}))
        return response

    def _current(self) -> GraphRequestAdapter:
        client = self._connection.client()
        if self._adapter is None or self._adapter[0] is not client:
            adapter = GraphRequestAdapter(self._provider, client=client)
            adapter.base_url = self.base_url
            self._adapter = client, adapter
        return self._adapter[1]
