"""What Graph calls cost, and how much of it there is (providers.md 2.1).

Every request costs 1, each part of a batch too; uploads are limited apart from that, and reads are not.
"""

from __future__ import annotations

MAILBOX_REQUESTS = 10_000  # per app and mailbox ...
MAILBOX_SECONDS = 600  # ... in ten minutes
MAILBOX_REQUESTS_PER_MINUTE = MAILBOX_REQUESTS * 60 // MAILBOX_SECONDS
APP_REQUESTS_PER_MINUTE = 130_000 * 6  # 130,000 in ten seconds for all mailboxes together

BATCH_PARTS = 20  # of one `$batch` (providers.md 2.9)
BATCH_BYTES = 3 * 2**20  # of its request; Graph takes 4 MB
