"""Workers that die at a chosen point: a fork server, and the points.

A point is the moment just before or just after something that outlives a process: a request that leaves it, or a
commit that wrote. They are heard below the product, in the HTTP libraries and in SQLAlchemy, so a new step is a new
point by itself; a connection that is opened past these libraries fails by name. Nothing of the product knows of this.

`Host` starts this module as a program. It loads the product once, opens nothing, and forks a worker for each order: a
wake that SIGKILLs itself at point N, or the recovery after it, whose clock is ahead in place of waiting.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.sandboxed import Sandbox

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parent.parent.parent
THING = re.compile(r"[@=%{!]|\d.*\d|_\d|[\w-]{24}")  # in a segment of a path: it names one thing
VERSION = re.compile(r"v\d+(\.\d+)?")
ALARM = 120  # seconds after which a worker that hangs is ended
RENEWAL = "renewal of the lease"  # a commit that wrote nothing else
HEARTBEAT = "lease-"  # the thread whose beats come when they come: no steps of the flow
RECOVERY_ENDS = 120.0  # seconds of the clock after which a recovery has failed


# --- the side of the test ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Life:
    """What became of a worker: the points that it passed, its clock at the last, and its own last words."""

    killed: bool
    points: tuple[str, ...]
    last: float
    words: Json


class Host:
    """The fork server as a process, for installations on this sandbox."""

    def __init__(self, log: Path, sandbox: Sandbox) -> None:
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.dying", json.dumps(sandbox.ready)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )

    def close(self) -> None:
        self._process.communicate(timeout=10)

    def wake(self, environ: Mapping[str, str], die_at: int = 0) -> Life:
        """A worker is woken for the one mailbox of this installation and dies at that point (1, 2, ...; 0: never)."""
        return self._order(do="wake", environ=dict(environ), die_at=die_at)

    def recover(self, environ: Mapping[str, str], killed_at: float, phase: float) -> Life:
        """Another worker and a ticker, which looked last just before the death and looks next `phase` seconds after
        it, until all is settled. Its words: how long that `took` since the death, by the clock."""
        return self._order(do="recover", environ=dict(environ), killed_at=killed_at, phase=phase)

    def _order(self, **order: Any) -> Life:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, f"the fork server ended with status {self._process.wait(10)}"
        told = json.loads(line)
        points = [word for word in told["words"] if "point" in word]
        rest = [word for word in told["words"] if "point" not in word]
        return Life(
            killed=told["signal"] == signal.SIGKILL,
            points=tuple(word["point"] for word in points),
            last=points[-1]["at"] if points else 0.0,
            words=rest[-1] if rest else {"error": f"ended by signal {told['signal']} without a word"},
        )


@contextmanager
def hosted(sandbox: Sandbox, folder: Path) -> Iterator[Host]:
    """A host; what its workers log goes into the folder."""
    host = Host(folder / "workers.log", sandbox)
    try:
        yield host
    finally:
        host.close()


def moments(points: Sequence[str], *, every: bool = False) -> list[int]:
    """The numbers of the points (1, 2, ...) to die at. A SIGKILL takes memory only, and all that leaves the process is
    a point: so dying just after one thing is dying just before the next, and once is enough. Nor does a renewal, which
    moves the lease's end by milliseconds, make another moment. `every`: all the same."""
    numbers = range(1, len(points) + 1)
    if every:
        return list(numbers)
    told = [number for number in numbers if RENEWAL not in points[number - 1]]
    return [number for number in told if points[number - 1].startswith("before ")] + told[-1:]


# --- the points -------------------------------------------------------------------------------------------------------


@dataclass
class Points:
    """Hears every point, tells it, and dies at the chosen one."""

    tell: Callable[[Json], None]
    clock: Callable[[], float]
    die_at: int
    _passed: int = 0
    _under_way: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def around(self, what: str) -> _Around:
        return _Around(self, what)

    def passed(self, when: str, what: str) -> None:
        if threading.current_thread().name.startswith(HEARTBEAT):
            return
        with self._lock:
            self._passed += 1
            self.tell({"point": f"{when} {what}", "at": self.clock()})
            if self._passed == self.die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Listen to the libraries below the product, in this process for ever."""
        self._commits()
        self._requests()
        sys.addaudithook(self._connects)

    def _connects(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and isinstance(arguments[1], tuple) and not self._under_way:
            raise AssertionError(f"a connection to {arguments[1]} that the crash matrix does not hear")

    def _commits(self) -> None:
        import sqlalchemy as sa
        from sqlalchemy.engine.default import DefaultDialect

        def executed(conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if table := re.match(r"\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+\"?(\w+)", statement, re.IGNORECASE):
                renewal = re.match(r"\s*UPDATE mailbox SET lease_until=\S+ WHERE", statement)
                conn.info.setdefault("written", set()).add("lease" if renewal else table[1])

        listen: Any = sa.event.listen
        listen(sa.Engine, "after_cursor_execute", executed)
        listen(sa.Engine, "begin", lambda conn: conn.info.pop("written", None))
        commit: Any = DefaultDialect.do_commit

        def heard(dialect: Any, connection: Any) -> None:
            written = connection.info.pop("written", ())
            if not written:
                commit(dialect, connection)
                return
            with self.around(RENEWAL if written == {"lease"} else "commit " + "+".join(sorted(written - {"lease"}))):
                commit(dialect, connection)

        _replace(DefaultDialect, "do_commit", heard)

    def _requests(self) -> None:
        import httplib2
        import httpx
        from requests.adapters import HTTPAdapter

        google, others, graph = httplib2.Http._conn_request, HTTPAdapter.send, httpx.AsyncHTTPTransport

        def conn_request(http: Any, conn: Any, uri: str, method: str, body: Any, headers: Any) -> Any:
            with self.around(name(method, uri, body)):
                return google(http, conn, uri, method, body, headers)

        def send(adapter: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
            with self.around(name(request.method, request.url, request.body)):
                return others(adapter, request, *args, **kwargs)

        handle = graph.handle_async_request

        async def handle_async_request(transport: Any, request: httpx.Request) -> httpx.Response:
            with self.around(name(request.method, str(request.url), await request.aread())):
                return await handle(transport, request)

        _replace(httplib2.Http, "_conn_request", conn_request)
        _replace(HTTPAdapter, "send", send)
        _replace(graph, "handle_async_request", handle_async_request)


def _replace(owner: Any, name: str, function: Callable[..., Any]) -> None:
    """In this process for ever: it has been forked for one life."""
    setattr(owner, name, function)


class _Around:
    """One call or commit: a point before it, and one after it unless it failed."""

    def __init__(self, points: Points, what: str) -> None:
        self._points, self._what = points, what

    def __enter__(self) -> None:
        self._points.passed("before", self._what)
        self._points._under_way += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._points._under_way -= 1
        if kind is None:
            self._points.passed("after", self._what)


def name(method: str, url: str, body: bytes | str | None) -> str:
    """A request without its ids: the verb and the path, and what is inside when it carries others."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
    parts: list[str] = []
    if "/batch" in url and "Content-Type: application/http" in text:
        parts = [f"{verb} {shape(path)}" for verb, path in re.findall(r"^(GET|POST|PUT|DELETE) (\S+)", text, re.M)]
    elif text.startswith("{"):
        content = json.loads(text)
        if "$batch" in url:
            parts = [f"{one['method']} {shape(one['url'])}" for one in content["requests"]]
        elif "compositeRequest" in content:
            parts = [f"{one['method']} {shape(one['url'])}" for one in content["compositeRequest"]]
        elif "graphs" in content:
            nodes = [one for graph in content["graphs"] for one in graph["compositeRequest"]]
            parts = [f"{one['method']} {shape(one['url'])}" for one in nodes]
    inside = f" [{', '.join(sorted(set(parts)))}]" if parts else ""
    return f"{method} {shape(url)}{inside}"


def shape(url: str) -> str:
    """The path with * for whatever names one thing."""
    path = urlsplit(url).path.replace("$batch", "batch")
    segments = [re.sub(r"\('.*'\)$", "(*)", segment) for segment in path.split("/")]
    return "/".join("*" if THING.search(one) and not VERSION.fullmatch(one) else one for one in segments)


# --- the program ------------------------------------------------------------------------------------------------------


def serve(ready: Json) -> None:
    """Load everything, open nothing; then a fork for every line on standard input."""
    _load(ready)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what workers log goes where our errors go
    gc.collect()
    gc.freeze()  # what is shared with the workers stays shared
    for line in sys.stdin:
        print(json.dumps(_fork(json.loads(line))), file=answers, flush=True)


def _load(ready: Json) -> None:
    """Modules, and what is dear to compute and the same in every worker: reading keys alone takes half of a life."""
    from cryptography.hazmat.primitives import serialization

    loaded: dict[bytes, Any] = {}
    load = serialization.load_pem_private_key

    def load_once(data: bytes, *args: Any, **kwargs: Any) -> Any:
        if data not in loaded:
            loaded[data] = load(data, *args, **kwargs)
        return loaded[data]

    _replace(serialization, "load_pem_private_key", load_once)
    from sync import wiring
    from sync.core.addresses import registrable

    for modules in wiring.VENDORS.values():
        for module in modules:
            importlib.import_module(module)
    from sync.providers.google.http import service
    from sync.providers.salesforce.auth import _signer

    service(ready["google"]["url"])
    _signer(Path(ready["salesforce"]["private_key"]).read_text())
    load_once(json.loads(Path(ready["google"]["service_account"]).read_text())["private_key"].encode(), None)
    registrable("story.example")


def _fork(order: Json) -> Json:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _live(order, lambda word: _write(writing, word))
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as words:
        told = [json.loads(line) for line in words]
    _, status = os.waitpid(child, 0)
    if told and "modules" in told[-1]:
        _learn(told.pop()["modules"])
    return {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, "words": told}


def _learn(modules: Sequence[str]) -> None:
    """What a worker had to load while it worked is there for the next."""
    for module in modules:
        with contextlib.suppress(ImportError):  # some libraries put there what is no module
            importlib.import_module(module)
    gc.collect()
    gc.freeze()


def _write(file: int, word: Json) -> None:
    os.write(file, json.dumps(word).encode() + b"\n")


def _live(order: Json, tell: Callable[[Json], None]) -> None:
    """A worker, from its birth to its end; it never returns."""
    signal.alarm(ALARM)
    loaded = set(sys.modules)
    try:
        from sync import settings
        from sync.wiring import App

        app = App(settings.load(order["environ"]))
        (mailbox,) = app.store.mailboxes()
        tell(_wake(app, mailbox.id, order, tell) if order["do"] == "wake" else _recover(app, mailbox.id, order))
    except BaseException:  # noqa: BLE001 - the process ends here, and says why
        tell({"error": traceback.format_exc()})
    if more := sorted(set(sys.modules) - loaded):
        tell({"modules": more})
    os._exit(0)


def _wake(app: Any, mailbox: int, order: Json, tell: Callable[[Json], None]) -> Json:
    app.store.wake(mailbox)
    Points(tell, time.time, order["die_at"]).install()
    return {"ended": _look(app, mailbox, "killed", time.time)}


def _recover(app: Any, mailbox: int, order: Json) -> Json:
    """What `sync.jobs.tick` does, on a clock that jumps to its next look. Between looks the clock counts our own work,
    not what else this machine does."""
    killed_at, period = order["killed_at"], app.settings.tick_seconds
    ahead = killed_at + order["phase"] - time.process_time()

    def clock() -> float:
        return float(time.process_time() + ahead)

    looks = 0
    while clock() < killed_at + RECOVERY_ENDS:
        for due in app.store.due(clock(), 10):
            looks += 1
            ended = _look(app, due, f"later-{looks}", clock)
            if ended not in ("done", "busy"):
                return {"error": f"a look ended as {ended}"}
        if _settled(app, mailbox, clock()):
            return {"took": clock() - killed_at, "looks": looks}
        upcoming = app.store.next_wake(clock())
        ahead += period if upcoming is None else min(period, max(upcoming - clock(), 1.0))
    return {"error": f"not settled within {RECOVERY_ENDS:g} s and {looks} looks"}


def _look(app: Any, mailbox: int, worker: str, clock: Callable[[], float]) -> str:
    from sync.engine import wake as engine

    report = engine.wake(
        app.store,
        mailbox,
        app.ports,
        worker=worker,
        clock=clock,
        lease_seconds=app.settings.lease_seconds,
        guard_seconds=app.settings.http_timeout_seconds,
    )
    return str(report.ended)


def _settled(app: Any, mailbox: int, now: float) -> bool:
    (row,) = (row for row in app.store.mailboxes() if row.id == mailbox)
    return row.dirty == row.handled and not any(one.open or one.decided for one in app.store.status(now))


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
