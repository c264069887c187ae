"""A local Microsoft 365: Entra and Graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.microsoft.vendor import Microsoft

if TYPE_CHECKING:
    from sandbox.frame.frame import Frame


def create(frame: Frame) -> Microsoft:
    """The simulator, plugged into a frame."""
    return Microsoft(frame)
