"""Every mail outside of the conversation scripts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from sandbox.seed.letters import Mail
from sandbox.seed.odd import letters
from sandbox.seed.odd_shapes import shapes
from sandbox.seed.odd_traffic import traffic


def awkward() -> Iterator[Mail]:
    """The mails with a story and all awkward ones."""
    return chain(letters(), shapes(), traffic())
