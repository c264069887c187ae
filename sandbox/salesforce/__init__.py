"""A local Salesforce org: REST API v59 to v68, OAuth, and the rules behind them (`providers.md` 5, 11.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.salesforce.vendor import Salesforce

if TYPE_CHECKING:
    from sandbox.frame.frame import Frame


def create(frame: Frame) -> Salesforce:
    """The simulator, plugged into a frame."""
    return Salesforce(frame)
