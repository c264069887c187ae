"""Real, awkward e-mails from other projects' test suites: Gmail's shape of each keeps to the specification."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from tests.sandbox.gmail_client import ANNA, ORGANISATION, Gmail, b64
from tests.sandboxed import Sandbox

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "mail"
BATCH = 25


def test_every_awkward_mail_can_be_kept_shown_and_found(bare_sandbox: Sandbox) -> None:
    if not FOLDER.is_dir():
        assert os.environ.get("CI") != "true", f"{FOLDER} is missing"
        pytest.skip(f"{FOLDER} is missing")
    bare_sandbox.seed(ORGANISATION)
    bare_sandbox.settings(gmail_index_delay=0.0, gmail_quota=False)
    gmail = Gmail(bare_sandbox)
    mails = {path: path.read_bytes() for path in sorted(FOLDER.rglob("*")) if path.suffix in (".eml", ".txt", ".msg")}
    assert len(mails) > 50
    ids: dict[str, bytes] = {}
    for raw in filter(bytes.strip, mails.values()):
        body = {"raw": b64(raw), "labelIds": ["INBOX"]}
        ids[gmail.messages.insert(userId="me", body=body, internalDateSource="dateHeader").execute()["id"]] = raw
        gmail.sandbox.act("google", "deliver", user=ANNA, raw_base64=base64.b64encode(raw).decode())
    for ident, raw in ids.items():
        assert base64.urlsafe_b64decode(gmail.get(ident, "raw")["raw"]) == raw
        assert gmail.get(ident, "full")["payload"]["mimeType"]
        assert isinstance(gmail.get(ident, "metadata")["payload"]["headers"], list)
    for query in ("hello", "from:a", "subject:re", "has:attachment", "-hello", "filename:a", "after:2000/01/01"):
        gmail.find(query)
    gmail.close()
