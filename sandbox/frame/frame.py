"""The frame that vendors are plugged into."""

from __future__ import annotations

import importlib
import importlib.util
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox.frame import certificates
from sandbox.frame.clock import Clock
from sandbox.frame.control import Control
from sandbox.frame.faults import Faults
from sandbox.frame.meter import Meter
from sandbox.frame.middleware import Middleware
from sandbox.frame.record import Recorder
from sandbox.frame.server import Port
from sandbox.frame.settings import Settings
from sandbox.frame.vendor import Json, Vendor

VENDORS = ("google", "microsoft", "salesforce")
SEED = 20260401


class Frame:
    """Shared services and the ports. One for a process; `folder` takes files handed to clients."""

    def __init__(self, folder: Path, record: Path | None = None) -> None:
        self.folder = folder
        self.clock = Clock()
        self.meter = Meter()
        self.faults = Faults()
        self.random = random.Random(SEED)
        self.settings = Settings()
        self.recorder = Recorder(record)
        self.vendors: dict[str, Vendor] = {}
        self._ports: dict[str, Port] = {}
        self._first: tuple[Json, Path | None] | None = None
        self._seed: tuple[Json, Path | None] | None = None
        self._started = False
        self.ca, self._pem = certificates.make(folder)
        self.settings.define("latency_ms", {}, "how long each answer takes at least, in milliseconds, by vendor")
        self.settings.define("record", True, "whether exchanges are written to the recording")
        self.settings.define("page_size", 0, "upper limit of every list's page; 0 is the vendor's own")

    def url(self, name: str) -> str:
        """Base URL of a vendor ("google") or of "control"; KeyError before `open`."""
        return self._ports[name].url

    def open(self, ports: dict[str, int], vendors: Sequence[str] = VENDORS) -> None:
        """Plug in the vendors that are there and listen; a port of 0 means any free one."""
        for name in vendors:
            spec = importlib.util.find_spec(f"sandbox.{name}")
            if spec is None or spec.origin is None:  # not built, or a folder without a package
                continue
            create = getattr(importlib.import_module(f"sandbox.{name}"), "create", None)
            if create is None:
                continue
            vendor: Vendor = create(self)
            self.vendors[name] = vendor
            self._ports[name] = Port(Middleware(self, vendor), ports.get(name, 0), self._pem)
        self._ports["control"] = Port(Control(self), ports.get("control", 0), None, threads=4)

    def start(self) -> None:
        """Serve on every port."""
        self._started = True
        for port in self._ports.values():
            port.start()

    def close(self) -> None:
        """Stop serving."""
        for port in self._ports.values():
            port.stop()
        for vendor in self.vendors.values():
            getattr(vendor, "close", lambda: None)()
        self.recorder.close()

    def seed(self, org: Json, mail: Path | None) -> None:
        """Fill every vendor; what came before `start` comes back at `reset`."""
        self._seed = (org, mail)
        if not self._started:
            self._first = self._seed
        for vendor in self.vendors.values():
            vendor.seed(org, mail)

    def reset(self, seed: bool = True) -> None:
        """Everything as after the start, with the organisation of the start unless told otherwise."""
        self.faults.clear()
        self.clock.reset()
        self.settings.restore()
        self.random.seed(SEED)
        for vendor in self.vendors.values():
            vendor.reset()
        self._seed = None
        if seed and self._first:
            self.seed(*self._first)
        self.meter.reset()

    def stories(self) -> dict[str, Any]:
        """The mails of the seeded organisation that a demo or a test may speak of by name."""
        return dict(self._seed[0].get("stories", {})) if self._seed else {}

    def mail(self, name: str) -> bytes:
        """The bytes of a seeded mail; LookupError when there is no such file."""
        folder = self._seed[1] if self._seed else None
        path = folder / name if folder else None
        if path is None or path.parent != folder or not path.is_file():
            raise LookupError(f"no mail {name!r}")
        return path.read_bytes()

    def ready(self) -> dict[str, Any]:
        """The ready line."""
        out: dict[str, Any] = {
            name: {"url": self.url(name), "tokens": vendor.tokens(), **vendor.info()}
            for name, vendor in self.vendors.items()
        }
        return {**out, "ca": str(self.ca), "control": self.url("control")}
