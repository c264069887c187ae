"""A local Google: OAuth and Gmail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.google.vendor import Google

if TYPE_CHECKING:
    from sandbox.frame.frame import Frame


def create(frame: Frame) -> Google:
    """The simulator, plugged into a frame."""
    return Google(frame)
