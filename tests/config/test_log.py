"""Logs carry ids and never content, whoever writes them and however it is passed."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from sync import log
from sync.settings import load

KEY = base64.urlsafe_b64encode(b"a key for the tests, of 32 bytes").decode()


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[io.StringIO]:
    out = io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    settings = {
        "MAILSPAN_DATA_DIR": str(tmp_path),
        "MAILSPAN_SECRET_KEY": KEY,
        "MAILSPAN_LOG_FORMAT": "json",
        "MAILSPAN_DATABASE_URL": "postgresql://mailspan:opensesame@db/m",
    }
    log.setup(load(settings), out)
    yield out
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def test_a_line_is_one_json_object_with_its_fields(stream: io.StringIO) -> None:
    structlog.get_logger().info("filed", mailbox=12, record="02sA1", ms=3.5, ok=True)
    line = json.loads(stream.getvalue())
    expected = {"event": "filed", "mailbox": 12, "record": "02sA1", "ms": 3.5, "ok": True, "level": "info"}
    assert {name: line[name] for name in expected} == expected
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("field", ["subject", "body", "Subject", "email", "to", "refresh_token", "private_key"])
def test_content_and_credentials_are_dropped_at_every_depth(stream: io.StringIO, field: str) -> None:
    structlog.get_logger().info("seen", **{field: "Budget talks"}, detail={"id": 1, "list": [{field: "Budget talks"}]})
    assert "Budget" not in stream.getvalue()
    assert json.loads(stream.getvalue())["detail"] == {"id": 1, "list": [{}]}


@pytest.mark.parametrize(
    "text",
    [
        "no contact for ann.lee@acme.example",
        "<CAF+x=1@mail.acme.example> is filed",
        "GET /search?q=ann.lee&token=abc failed",
        f"cannot decrypt with {KEY}",
        "could not connect to postgresql://mailspan:opensesame@db/m",
    ],
)
def test_addresses_and_secrets_inside_texts_are_blanked(stream: io.StringIO, text: str) -> None:
    structlog.get_logger().warning(text, detail=text)
    logging.getLogger("some.library").warning("it says %s", text)
    for word in ("ann.lee", "acme", "CAF", "abc", KEY, "opensesame"):
        assert word not in stream.getvalue()


def test_tracebacks_are_blanked_too(stream: io.StringIO) -> None:
    try:
        raise ValueError("bad address ann.lee@acme.example")
    except ValueError:
        structlog.get_logger().exception("parked")
    assert "ValueError" in stream.getvalue()
    assert "ann.lee" not in stream.getvalue()


def test_libraries_are_quiet_below_warning(stream: io.StringIO) -> None:
    logging.getLogger("rq.worker").info("job OK")
    structlog.get_logger().debug("detail")
    assert stream.getvalue() == ""
