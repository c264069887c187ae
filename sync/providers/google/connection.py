"""The connections below the client library: TLS, kept open, nothing sent twice, answers of bounded size."""

from __future__ import annotations

import http.client
import select
import ssl
from typing import Any

import httplib2

BATCH_BYTES = 48 * 2**20  # of the answer of one batch: 50 large mails in one piece would fill the memory


class TooLarge(Exception):
    """The answer of a batch is larger than `BATCH_BYTES`; asked in smaller parts it can be read."""


def _ended(sock: Any) -> bool:
    """Whether the other side has closed an idle connection. TLS itself may have sent something (session tickets)."""
    if not select.select([sock], [], [], 0)[0]:
        return False
    timeout = sock.gettimeout()
    sock.settimeout(0)
    try:
        sock.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    finally:
        sock.settimeout(timeout)
    return True  # its end, or bytes that nobody asked for


class _Response(http.client.HTTPResponse):
    """`limit` in bytes, 0 is none; beyond it the `connection` is closed, since nobody will read the rest."""

    limit = 0
    connection: _Connection

    def read(self, amt: int | None = None) -> bytes:
        if not self.limit or amt is not None:
            return super().read(amt)
        content = super().read(self.limit + 1)
        if len(content) > self.limit:
            self.close()
            self.connection.close()
            raise TooLarge
        return content


class _Connection(httplib2.HTTPSConnectionWithTimeout):  # type: ignore[misc]
    """A kept connection that sends nothing twice. httplib2 repeats any request, writes too, whose connection ended
    without an answer, in case it was closed while idle; so we look whether it was before we send."""

    response_class = _Response
    _batch = False

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None and _ended(self.sock):
            self.close()
        self._batch = url.endswith("/batch")
        super().request(method, url, *args, **kwargs)

    def getresponse(self) -> _Response:
        try:
            response: _Response = super().getresponse()
        except http.client.BadStatusLine as error:
            raise ConnectionResetError("the connection ended without an answer") from error
        response.limit, response.connection = BATCH_BYTES if self._batch else 0, self
        return response


class Http(httplib2.Http):  # type: ignore[misc]
    """httplib2 over TLS only, with connections that send nothing twice. For one thread."""

    def request(self, uri: str, *args: Any, **kwargs: Any) -> Any:
        kwargs["connection_type"] = _Connection
        return super().request(uri, *args, **kwargs)
