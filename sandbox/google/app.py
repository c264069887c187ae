"""The WSGI app of the Google port: every request becomes one or more calls of operations."""

from __future__ import annotations

import json
from http.client import responses
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from sandbox.google import batch, fields, upload
from sandbox.google.call import OPERATIONS, Call
from sandbox.google.discovery import Operation, document, read_body, read_query
from sandbox.google.errors import GoogleError, failed_precondition, unimplemented
from sandbox.google.message import Answer, Request, read_request
from sandbox.google.oauth import CLIENT_ID, Grant, OAuthError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from sandbox.google.vendor import Google

Json = dict[str, Any]
NOWHERE = (
    "<!DOCTYPE html><html lang=en><title>Error 404 (Not Found)!!1</title><p><b>404.</b> <ins>That’s an error."
    "</ins><p>The requested URL was not found on this server. <ins>That’s all we know.</ins>"
)


class App:
    """WSGI callable."""

    def __init__(self, google: Google) -> None:
        self._google = google

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = read_request(environ)
        if request.path == "/batch" or request.path.startswith("/batch/"):
            answer = batch.serve(self._google, self.serve, request)
        elif request.path in ("/token", "/revoke", "/o/oauth2/v2/auth"):
            answer = self._oauth(request)
        else:
            answer = self.serve(request)
        if request.verb != environ["REQUEST_METHOD"]:
            answer.call |= {"verb": request.verb, "path": request.target}
        environ["sandbox.call"] = answer.call
        headers = [("Content-Type", answer.kind)] if answer.body else []
        start_response(
            f"{answer.status} {responses.get(answer.status, 'Status')}",
            [*headers, *answer.headers.items(), ("Cache-Control", "private")],
        )
        return [answer.body]

    # ---- one call of an operation ------------------------------------------------------------

    def serve(self, request: Request) -> Answer:
        """Answer of one call; also used for the parts of a batch."""
        path, media = request.path, None
        if path.startswith(upload.PREFIXES):
            path = upload.plain_path(path)
            media = upload.Upload(request.headers, request.body)
        found = self._google.router.find(request.verb, path)
        if found is None:
            return Answer(
                404,
                NOWHERE.encode(),
                "text/html; charset=UTF-8",
                call={"method": "unknown", "units": 0, "api": self._google.api_of(path)},
            )
        operation, path_params = found
        account: Json = {"method": operation.id, "api": operation.api, "units": 0}
        try:
            status, content = self._perform(operation, path_params, request, media, account)
            body = b"" if content is None else json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
            return Answer(status, body, call=account)
        except GoogleError as error:
            return Answer(
                error.status, json.dumps(error.body(), ensure_ascii=False).encode(), headers=error.headers, call=account
            )

    def _perform(
        self,
        operation: Operation,
        path_params: dict[str, str],
        request: Request,
        media: upload.Upload | None,
        note: Json,
    ) -> tuple[int, Json | None]:
        query = parse_qs(urlsplit(request.target).query, keep_blank_values=True)
        params = read_query(operation, query)
        grant = self._authenticate(request, params)
        note["user"] = grant.user
        handler = OPERATIONS.get(operation.id)
        if handler is None:
            raise unimplemented(operation.id)
        if media is not None:
            media.check(operation, params)
        body = read_body(operation, request.body if media is None else media.metadata)
        mask = self._mask(operation, params)
        with self._google.lock:
            account = self._account(operation, grant, path_params)
            note["units"] = self._google.quota.charge(operation.id, grant.user)
            call = Call(
                self._google,
                operation.id,
                account,
                grant,
                {**params, **path_params},
                body,
                media.content if media else None,
            )
            content = handler(call)
        if content is None:
            return 204, None
        return 200, fields.apply(mask, content) if mask else content

    def _mask(self, operation: Operation, params: Json) -> fields.Mask:
        if params.get("alt", "json") != "json":
            raise unimplemented(f"alt={params['alt']}")
        if not params.get("fields"):
            return {}
        mask = fields.parse(params["fields"])
        if "response" in operation.method:
            fields.check(mask, document(operation.api)["schemas"], operation.method["response"])
        return mask

    def _authenticate(self, request: Request, params: Json) -> Grant:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            token = params.get("access_token") or params.get("oauth_token") or ""
        grant = self._google.oauth.grant(token.strip())
        if grant is None:
            raise GoogleError(
                401, headers={"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/", error="invalid_token"'}
            )
        return grant

    def _account(self, operation: Operation, grant: Grant, path_params: dict[str, str]) -> Any:
        """The account that is meant, when the grant may act on it."""
        if operation.scopes and not operation.scopes & grant.scopes:
            detail = {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                "domain": "googleapis.com",
                "metadata": {"service": f"{operation.api.split('.')[0]}.googleapis.com", "method": operation.id},
            }
            raise GoogleError(
                403,
                "Request had insufficient authentication scopes.",
                reason="insufficientPermissions",
                details=[detail],
                headers={"WWW-Authenticate": 'Bearer error="insufficient_scope"'},
            )
        account = self._google.directory.find(grant.user)
        if account is None:
            raise failed_precondition("Precondition check failed.")
        user = path_params.get("userId", "me")
        if user != "me" and not account.owns(user):
            raise GoogleError(403, f"Delegation denied for {account.email}")
        if operation.api == "gmail.v1" and not account.licensed:
            raise failed_precondition("Mail service not enabled")
        return account

    # ---- tokens -----------------------------------------------------------------------------------

    def _oauth(self, request: Request) -> Answer:
        name = {"/token": "oauth.token", "/revoke": "oauth.revoke"}.get(request.path, "oauth.authorize")
        call: Json = {"method": name, "units": 0, "api": "google-oauth"}
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        query = dict(parse_qsl(urlsplit(request.target).query))
        oauth = self._google.oauth
        try:
            with self._google.lock:
                if name == "oauth.authorize":
                    return Answer(302, headers={"Location": oauth.authorize(query)}, call=call)
                if request.verb != "POST":
                    return Answer(404, NOWHERE.encode(), "text/html; charset=UTF-8", call=call)
                if name == "oauth.revoke":
                    oauth.withdraw(form.get("token") or query.get("token", ""))
                    return Answer(200, b"{}", call=call)
                content = oauth.exchange(form)
        except OAuthError as error:
            content = {"error": error.error, "error_description": error.text}
            return Answer(error.status, json.dumps(content).encode(), call=call)
        grant = oauth.grant(content["access_token"])
        call["user"] = grant.user if grant else CLIENT_ID
        return Answer(200, json.dumps(content).encode(), call=call)
