"""Every mail outside of the conversation scripts."""
from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from sandbox.seed.letters import Mail
from sandbox.seed.odd_stories import all_stories


def awkward() -> Iterator[Mail]:
    """The mails with a story and all awkward ones."""
    return chain(all_stories())
