"""The WSGI app of the Microsoft port: Entra and Graph side by side."""

from __future__ import annotations

from http.client import responses
from typing import TYPE_CHECKING

from sandbox.microsoft.entra.app import EntraApp
from sandbox.microsoft.graph.app import GraphApp
from sandbox.microsoft.http import read_request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from sandbox.microsoft.vendor import Microsoft


class App:
    """WSGI callable."""

    def __init__(self, microsoft: Microsoft) -> None:
        self._entra = EntraApp(microsoft)
        self._graph = GraphApp(microsoft)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = read_request(environ)
        request.lane = environ.get("microsoft.lanes", 4)
        graph = request.path.startswith(("/v1.0", "/beta"))
        answer = (self._graph if graph else self._entra).serve(request)
        if graph:
            answer.call.setdefault("api", "graph")
        environ["sandbox.call"] = answer.call
        headers = [("Content-Type", answer.kind)] if answer.body else []
        start_response(f"{answer.status} {responses.get(answer.status, 'Status')}", [*headers, *answer.headers.items()])
        return [answer.body]
