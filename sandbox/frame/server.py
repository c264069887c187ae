"""The HTTP server: HTTP/1.1 keep-alive, no Nagle delay, TLS, and connections that can be broken.

cheroot does the work (`providers.md SIM-3`). The middleware breaks a connection through the
callables that this module puts into ``environ``; see `Line`.
"""

from __future__ import annotations

import logging
import socket
import ssl
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from cheroot import errors, wsgi
from cheroot.server import HTTPConnection
from cheroot.ssl import Adapter
from cheroot.ssl.builtin import BuiltinSSLAdapter
from cheroot.workers import threadpool

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

THREADS = 40
IDLE_SECONDS = 300
log = logging.getLogger("sandbox")


class Line:
    """The connection of one request, as far as a fault may touch it."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn

    def reset(self) -> NoReturn:
        """Send a TCP reset and give the request up."""
        self._conn.abort = True
        raise errors.FatalSSLAlert()  # cheroot's way of saying "drop it quietly"

    def close(self, data: bytes = b"") -> NoReturn:
        """Send `data` as it is, close, and give the request up."""
        if data:
            self._conn.wfile.write(data)
            self._conn.wfile.flush()
        raise errors.FatalSSLAlert()


class _Connection(HTTPConnection):
    abort = False

    def _close_kernel_socket(self) -> None:
        if self.abort:  # closing with no time to linger sends a reset in place of an orderly end
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.close()
        else:
            super()._close_kernel_socket()  # type: ignore[misc]


class _Gateway(wsgi.Gateway_10):
    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]
        env: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call]
        env["sandbox.line"] = Line(self.req.conn)
        uri = self.req.uri
        env["RAW_URI"] = uri.decode("latin-1") if isinstance(uri, bytes) else str(uri)
        return env


class _DaemonPool(threadpool.ThreadPool):
    def _spawn_worker(self) -> threadpool.WorkerThread:
        worker = threadpool.WorkerThread(self.server)  # type: ignore[no-untyped-call]
        worker.daemon = True  # a request in flight never keeps a process alive
        worker.start()
        return worker


class _Server(wsgi.Server):
    ConnectionClass = _Connection

    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:
        log.log(level, "%s", msg, exc_info=traceback)


class _Tls(BuiltinSSLAdapter):
    """cheroot's adapter without its look at the own certificate, which costs a fifth of a second a port."""

    def __init__(self, pem: Path) -> None:
        Adapter.__init__(self, str(pem), str(pem))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pem)

    def get_environ(self, sock: Any) -> dict[str, Any]:  # type: ignore[override]
        return {"wsgi.url_scheme": "https", "HTTPS": "on"}


class Port:
    """One listening port of an app; bound at once, served after `start`."""

    def __init__(self, app: WSGIApplication, port: int, pem: Path | None, threads: int = THREADS) -> None:
        self._server = _Server(
            ("127.0.0.1", port),
            app,
            numthreads=1,
            server_name="sandbox",
            timeout=IDLE_SECONDS,
            request_queue_size=128,
            shutdown_timeout=1,
        )
        self._server.gateway = _Gateway
        self._server.requests = _DaemonPool(self._server, min=threads)
        if pem is not None:
            self._server.ssl_adapter = _Tls(pem)
        self._server.prepare()
        self.number: int = self._server.bind_addr[1]
        self.url = f"{'https' if pem else 'http'}://localhost:{self.number}"
        self._thread = threading.Thread(target=self._server.serve, name=f"port-{self.number}", daemon=True)

    def start(self) -> None:
        """Serve from now on, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving; requests in flight get a second."""
        self._server.stop()
