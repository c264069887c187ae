"""Recording of exchanges as JSON Lines, for the checkers of the vendors' specifications."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import IO, Any

Exchange = dict[str, Any]


def readable(body: bytes, content_type: str) -> Any:
    """A body as the recording has it: parsed JSON, None when empty, else a string."""
    if not body:
        return None
    if "json" in content_type:
        try:
            return json.loads(body)
        except ValueError:
            return body.decode("utf-8", "replace")
    return body.decode("utf-8", "replace")


class Recorder:
    """Appends exchanges to a file; one line each, flushed, so that a killed process loses none."""

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.Lock()
        self._file: IO[str] | None = path.open("a", encoding="utf-8") if path else None

    @property
    def on(self) -> bool:
        """Whether anything is written at all."""
        return self._file is not None

    def write(self, exchange: Exchange) -> None:
        """Append one exchange."""
        line = json.dumps(exchange, ensure_ascii=False, separators=(",", ":"), default=str) + "\n"
        with self._lock:
            if self._file is not None:
                self._file.write(line.encode("utf-8", "replace").decode())
                self._file.flush()

    def close(self) -> None:
        """Close the file; later exchanges are not written."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
