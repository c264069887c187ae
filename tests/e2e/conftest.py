"""What the end-to-end tests share."""

from __future__ import annotations

from tests.databases import postgres

__all__ = ["postgres"]
