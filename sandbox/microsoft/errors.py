"""Errors as Graph words them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

Json = dict[str, Any]
USUAL = {
    400: ("BadRequest", "The request is malformed or incorrect."),
    401: ("InvalidAuthenticationToken", "Access token is empty."),
    403: ("ErrorAccessDenied", "Access is denied. Check credentials and try again."),
    404: ("ErrorItemNotFound", "The specified object was not found in the store."),
    405: ("BadRequest", "The method is not allowed for this resource."),
    409: ("ErrorFolderExists", "A folder with the specified name already exists."),
    410: ("SyncStateNotFound", "The sync state generation is not found; generation=149;[highest=157][157][155][156]."),
    412: (
        "ErrorIrresolvableConflict",
        "The send or update operation could not be performed because the change key passed in the request does not "
        "match the current change key for the item.",
    ),
    413: ("RequestEntityTooLarge", "The request entity is too large."),
    429: ("ApplicationThrottled", "Application is over its MailboxConcurrency limit."),
    500: ("InternalServerError", "An internal server error occurred. The operation failed."),
    501: ("NotImplemented", "The sandbox does not do this."),
    502: ("BadGateway", "The server returned an invalid response."),
    503: ("ErrorServerBusy", "The server cannot service this request right now. Try again later."),
    504: ("GatewayTimeout", "The server did not answer in time."),
}


class GraphError(Exception):
    """A refusal. Code and text default by the status."""

    def __init__(self, status: int, code: str = "", text: str = "", *, headers: dict[str, str] | None = None) -> None:
        usual = USUAL.get(status, ("UnknownError", "An error occurred."))
        self.status = status
        self.code = code or usual[0]
        self.text = text or usual[1]
        self.headers = headers or {}
        super().__init__(self.text)


def error_body(code: str, text: str, now: datetime, request_id: str, client_id: str = "") -> Json:
    """The JSON of a refusal: `error` with code, message and innerError."""
    inner = {
        "date": now.strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": request_id,
        "client-request-id": client_id or request_id,
    }
    return {"error": {"code": code, "message": text, "innerError": inner}}


def usual_body(status: int, now: datetime) -> Any:
    """What an injected fault answers when the order names no body; None for a status without a usual one."""
    if status < 400:
        return None
    error = GraphError(status)
    return error_body(error.code, error.text, now, str(uuid.uuid4()))


def bad_request(text: str, code: str = "BadRequest") -> GraphError:
    """400 with this text."""
    return GraphError(400, code, text)


def not_found() -> GraphError:
    """404 for an item that is not in the store."""
    return GraphError(404)


def no_folder() -> GraphError:
    """404 for a folder."""
    return GraphError(404, "ErrorItemNotFound", "The specified folder could not be found in the store.")


def malformed_id() -> GraphError:
    """400 for an id that is none."""
    return GraphError(400, "ErrorInvalidIdMalformed", "Id is malformed.")


def unimplemented(name: str) -> GraphError:
    """501 for what the simulator does not do, with its name."""
    return GraphError(501, "NotImplemented", f"The sandbox does not do {name}.")


def stale() -> GraphError:
    """412: the item has changed since it was read."""
    return GraphError(412)


def no_property(name: str, kind: str) -> GraphError:
    """400 for a name in $select, $filter, $orderby or $expand that the type does not have."""
    return GraphError(
        400, "RequestBroker--ParseUri", f"Could not find a property named '{name}' on type 'microsoft.graph.{kind}'."
    )
