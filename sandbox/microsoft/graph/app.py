"""Microsoft Graph's port: every request becomes one call of an operation, or a batch of them."""

from __future__ import annotations

import base64
import json
import uuid
from typing import TYPE_CHECKING, Any

from sandbox.microsoft.directory import Account
from sandbox.microsoft.entra.grants import Grant
from sandbox.microsoft.entra.scopes import GRAPH
from sandbox.microsoft.errors import GraphError, error_body, unimplemented
from sandbox.microsoft.graph import batch
from sandbox.microsoft.graph.call import Call, Operation, Reply, find
from sandbox.microsoft.graph.query import split_options
from sandbox.microsoft.http import Answer, Request

if TYPE_CHECKING:
    from sandbox.microsoft.vendor import Microsoft

Json = dict[str, Any]
ROOT = "/v1.0"
# Graph has them, the published slice of its metadata does not: recorded under another name
OUTSIDE = {"translateExchangeIds", "messages.permanentDelete", "messages.count", "mailFolders.permanentDelete"}
# Parts of Graph that the sandbox does not have
ELSEWHERE = frozenset(
    "calendar calendars calendargroups calendarview events contacts contactfolders todo onenote drive planner photo "
    "extensions messagerules multivalueextendedproperties singlevalueextendedproperties inferenceclassification "
    "getmailtips findmeetingtimes getschedule memberof manager joinedteams presence".split()
)
ROOTS = frozenset(
    "groups organization domains applications serviceprincipals admin search communications teams sites drives "
    "directoryobjects devices security reports".split()
)


class GraphApp:
    """Answers requests below /v1.0 (and refuses those below /beta)."""

    def __init__(self, microsoft: Microsoft) -> None:
        self._microsoft = microsoft

    def serve(self, request: Request) -> Answer:
        """One request from the wire."""
        if request.path == f"{ROOT}/$batch":
            return batch.serve(self._microsoft, self, request)
        return self.one(request)

    def one(self, request: Request) -> Answer:
        """One call; also used for the parts of a batch."""
        note: Json = {"method": "graph.unknown", "units": 1}
        request_id = str(uuid.uuid4())
        client_id = request.headers.get("client-request-id", "") or request_id
        headers = {"request-id": request_id, "client-request-id": client_id, "Cache-Control": "private"}
        try:
            reply = self._perform(request, note)
            body = reply.raw
            if reply.content is not None:
                body = json.dumps(reply.content, ensure_ascii=False).encode("utf-8", "replace")
            answer = Answer(reply.status, body, headers=headers | reply.headers, call=note)
            if reply.kind:
                answer.kind = reply.kind
            return answer
        except GraphError as error:
            content = error_body(error.code, error.text, self._microsoft.frame.clock.now(), request_id, client_id)
            return Answer(error.status, json.dumps(content).encode(), headers=headers | error.headers, call=note)

    def _perform(self, request: Request, note: Json) -> Reply:
        if not request.path.startswith(f"{ROOT}/"):
            raise GraphError(400, "BadRequest", "Invalid version: the sandbox has v1.0 only.")
        grant = self._authenticate(request)
        note["user"] = self._microsoft.mailbox_of(request, grant)
        self._check_known(request)
        operation, ids = find(request.verb, request.path[len(ROOT) :])
        note["method"] = operation.name
        if operation.name in OUTSIDE:
            note["api"] = "graph.outside"
        call = Call(self._microsoft, operation.name, request, grant, None, ids, split_options(request.query))
        if operation.unlocked:
            self._admit(operation, call)
            reply = operation.handler(call)
        else:
            with self._microsoft.lock:
                self._admit(operation, call)
                reply = operation.handler(call)
        for act in call.later:
            act()
        if call.applied:
            reply.headers["Preference-Applied"] = ", ".join(call.applied)
        return reply

    @staticmethod
    def _check_known(request: Request) -> None:
        """501 for the parts of Graph that the sandbox does not have."""
        parts = request.path.lower().split("/")[2:]
        found = [part for part in parts[1:] if part.partition("(")[0] in ELSEWHERE]
        if found or parts[0] in ROOTS:
            raise unimplemented(found[0] if found else parts[0])

    # ---- who and what ------------------------------------------------------------------------

    def _authenticate(self, request: Request) -> Grant:
        token = request.token
        if not token:
            raise _unauthorized("Access token is empty.")
        grant = self._microsoft.oauth.grant(token)
        if grant is None:
            text = "IDX14100: JWT is not well formed, there are no dots (.)." if token.count(".") != 2 else \
                "Invalid access token: signature validation failed."  # fmt: skip
            raise _unauthorized(text)
        if grant.resource != GRAPH:
            raise _unauthorized("Access token validation failure. Invalid audience.")
        if grant.expires <= self._microsoft.frame.clock.time():
            raise _unauthorized("Lifetime validation failed, the token is expired.")
        if grant.aware:
            self._evaluate(grant)
        return grant

    def _evaluate(self, grant: Grant) -> None:
        """Continuous access evaluation: a token older than a revocation is challenged (`providers.md EN-5`)."""
        account = self._microsoft.directory.find(grant.user) if grant.user else None
        since = account.challenged_at if account else self._microsoft.app_challenged_at
        if max(grant.answered, 0.0) >= int(since) or since == 0.0:
            return
        claims = json.dumps({"access_token": {"nbf": {"essential": True, "value": str(int(since))}}})
        challenge = (
            'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
            f'error="insufficient_claims", claims="{base64.b64encode(claims.encode()).decode()}"'
        )
        raise GraphError(
            401,
            "InvalidAuthenticationToken",
            "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: "
            "TokenIssuedBeforeRevocationTimestamp",
            headers={"WWW-Authenticate": challenge},
        )

    def _admit(self, operation: Operation, call: Call) -> None:
        """Find the account that the path means and check that the grant reaches it (`providers.md EN-6`)."""
        directory = operation.name.startswith("users.")
        user = call.ids.get("user")
        if user is None and call.request.path.lower().startswith(f"{ROOT}/me"):
            if not call.grant.user:
                raise GraphError(400, "BadRequest", "/me request is only valid with delegated authentication flow.")
            call.account = self._microsoft.directory.find(call.grant.user)
        elif user is not None:
            call.account = self._microsoft.directory.principal(user)
            if call.account is None:
                raise _no_user(user, directory)
        call.account = call.account or None
        if operation.rights and not self._microsoft.rights(call.grant, call.account).intersection(operation.rights):
            own = directory and call.account and call.account.id == call.grant.user and "User.Read" in call.grant.rights
            if not own:
                raise _denied(directory)
        if not directory and call.account is not None:
            self._reach(call, call.account)

    def _reach(self, call: Call, account: Account) -> None:
        """The grant, the mailbox and the limits allow the call."""
        if call.grant.user:
            if call.grant.user != account.id:
                raise _denied(False)
        elif not self._microsoft.in_scope(account):
            raise _denied(False)
        if not account.licensed:
            raise GraphError(404, "MailboxNotEnabledForRESTAPI", "The mailbox is either inactive, soft-deleted, or is "
                             "hosted on-premise.")  # fmt: skip
        self._microsoft.throttle.charge(call.grant.app, account.id, call.request.lane)


def _unauthorized(text: str) -> GraphError:
    return GraphError(401, "InvalidAuthenticationToken", text, headers={
        "WWW-Authenticate": 'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/'
        'authorize", client_id="00000003-0000-0000-c000-000000000000"'
    })  # fmt: skip


def _denied(directory: bool) -> GraphError:
    if directory:
        return GraphError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
    return GraphError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")


def _no_user(user: str, directory: bool) -> GraphError:
    if directory:
        return GraphError(404, "Request_ResourceNotFound", f"Resource '{user}' does not exist or one of its queried "
                          "reference-property objects are not present.")  # fmt: skip
    return GraphError(404, "ErrorInvalidUser", f"The requested user '{user}' is invalid.")
