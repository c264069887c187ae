"""Sending of notifications: at least once, unordered, with retries (`providers.md SU-5 SU-6 SIM-8`)."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.microsoft.graph.handshake import VALIDATION_SECONDS, post

if TYPE_CHECKING:
    from sandbox.microsoft.graph.subscriptions import Subscription
    from sandbox.microsoft.vendor import Microsoft

Json = dict[str, Any]
GIVE_UP = 4 * 3600.0  # sandbox time
BACK_OFF = (10.0, 30.0, 60.0, 300.0, 900.0)  # seconds of sandbox time between tries
SLOW_SECONDS = 3.0
SLOW_SHARE, DROP_SHARE, LEAST = 0.10, 0.15, 10
PENALTY = 600.0
SEED = 7
LOOK_AGAIN = 0.1  # seconds of real time, while something waits for the sandbox's clock
SETTINGS: tuple[tuple[str, Any, str], ...] = (
    ("graph_notify_delay", 0.0, "seconds of sandbox time until a notification leaves"),
    ("graph_notify_most", 50, "notifications in one POST"),
    ("graph_notify_duplicates", False, "whether every notification is sent twice"),
    ("graph_notify_shuffle", True, "whether notifications that wait leave in another order"),
    ("graph_notify_loss", 0.0, "share of notifications that are never sent"),
    ("graph_notify_state", "", "a clientState to send in place of the right one"),
    ("graph_notify_seconds", SLOW_SECONDS, "seconds that an endpoint has for its answer"),
    ("graph_validation_seconds", VALIDATION_SECONDS, "seconds that an endpoint has for the validation handshake"),
)


@dataclass(slots=True)
class Waiting:
    """One notification on its way to a URL."""

    url: str
    content: Json
    due: float
    since: float
    tries: int = 0


@dataclass(slots=True)
class Endpoint:
    """How well a host has answered lately."""

    slow: deque[bool] = field(default_factory=lambda: deque(maxlen=50))
    dropped_until: float = 0.0
    delayed_until: float = 0.0


class Notifier:
    """A queue and, once there is something to send, a thread. Has a lock of its own."""

    def __init__(self, microsoft: Microsoft) -> None:
        self._microsoft = microsoft
        for name, default, text in SETTINGS:
            microsoft.frame.settings.define(name, default, text)
        self._wake = threading.Condition()
        self._random = random.Random(SEED)  # of its own: ids stay the same whatever the threads do
        self._queue: list[Waiting] = []
        self._endpoints: dict[str, Endpoint] = {}
        self._thread: threading.Thread | None = None
        self._closed = False
        self._counts = {"sent": 0, "failed": 0, "lost": 0, "posts": 0}
        self._flying = 0

    def clear(self) -> None:
        """Nothing waits, all endpoints are in good standing."""
        with self._wake:
            self._queue.clear()
            self._endpoints.clear()
            self._counts = dict.fromkeys(self._counts, 0)

    def close(self) -> None:
        """End the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()

    def drop_pending(self) -> int:
        """Forget what waits; how many that were."""
        with self._wake:
            lost = len(self._queue)
            self._queue.clear()
            self._counts["lost"] += lost
            return lost

    def dump(self) -> Json:
        """For tests: counts, and how many wait or are being sent."""
        with self._wake:
            return {**self._counts, "waiting": len(self._queue) + self._flying}

    def put(self, one: Subscription, content: Json, *, lifecycle: bool = False) -> None:
        """Send a notification soon."""
        settings, now = self._microsoft.frame.settings, self._microsoft.frame.clock.time()
        if settings["graph_notify_state"]:
            content["clientState"] = settings["graph_notify_state"]
        copies = 2 if settings["graph_notify_duplicates"] else 1
        lost = not lifecycle and self._random.random() < settings["graph_notify_loss"]
        url = one.lifecycle_url if lifecycle else one.url
        with self._wake:
            if lost:
                self._counts["lost"] += 1
                return
            due = now + float(settings["graph_notify_delay"])
            self._queue += [Waiting(url, dict(content), due, now) for _ in range(copies)]
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="graph-notifications", daemon=True)
                self._thread.start()
            self._wake.notify_all()

    def settle(self, seconds: float) -> bool:
        """Wait until nothing is due or on its way; False when that took too long."""
        with self._wake:
            return self._wake.wait_for(lambda: not self._flying and not self._due(), seconds)

    # ---- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._wake:
                batch = self._take()
                while not batch and not self._closed:
                    self._wake.wait(LOOK_AGAIN if self._queue else None)
                    batch = self._take()
                if self._closed:
                    return
                self._flying = len(batch)
            self._send(batch)
            with self._wake:
                self._flying = 0
                self._wake.notify_all()

    def _due(self) -> list[Waiting]:
        now = self._microsoft.frame.clock.time()
        return [w for w in self._queue if w.due <= now and self._endpoint(w.url).delayed_until <= now]

    def _take(self) -> list[Waiting]:
        """What is due for one URL, as much as fits into one POST."""
        due, settings = self._due(), self._microsoft.frame.settings
        if not due:
            return []
        batch = [w for w in due if w.url == due[0].url][: int(settings["graph_notify_most"])]
        for one in batch:
            self._queue.remove(one)
        if settings["graph_notify_shuffle"]:
            self._random.shuffle(batch)
        if self._endpoint(batch[0].url).dropped_until > self._microsoft.frame.clock.time():
            self._counts["lost"] += len(batch)
            self._wake.notify_all()
            return []
        return batch

    def _endpoint(self, url: str) -> Endpoint:
        return self._endpoints.setdefault(url, Endpoint())

    def _send(self, batch: list[Waiting]) -> None:
        url, limit = batch[0].url, float(self._microsoft.frame.settings["graph_notify_seconds"])
        body = json.dumps({"value": [one.content for one in batch]}).encode()
        status, taken = 0, limit + 1
        with contextlib.suppress(OSError, http.client.HTTPException):  # no answer is an answer that came too late
            status, _, _, taken = post(self._microsoft, url, body, "application/json; charset=utf-8", limit)
        good = 200 <= status < 300 and taken <= limit
        with self._wake:
            self._counts["posts"] += 1
            self._counts["sent" if good else "failed"] += len(batch)
            self._judge(url, slow=taken > limit)
            if not good:
                self._again(batch)

    def _judge(self, url: str, *, slow: bool) -> None:
        """A slow endpoint is served late, a very slow one not at all, for ten minutes (`SU-5`)."""
        endpoint, now = self._endpoint(url), self._microsoft.frame.clock.time()
        endpoint.slow.append(slow)
        share = sum(endpoint.slow) / len(endpoint.slow)
        if len(endpoint.slow) >= LEAST and share > SLOW_SHARE:
            endpoint.slow.clear()
            if share > DROP_SHARE:
                endpoint.dropped_until = now + PENALTY
            else:
                endpoint.delayed_until = now + PENALTY

    def _again(self, batch: list[Waiting]) -> None:
        now = self._microsoft.frame.clock.time()
        for one in batch:
            wait = BACK_OFF[min(one.tries, len(BACK_OFF) - 1)]
            one.tries += 1
            one.due = now + wait
            if one.due - one.since <= GIVE_UP:
                self._queue.append(one)
            else:
                self._counts["lost"] += 1
