"""The table of the demo can be read in a narrow terminal: nothing is cut off, and a wrong end is told."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from server.demo import command
from server.demo.flows import DONE, FAILED, FLOWS, MISSING
from server.demo.outlook import OUTLOOK_FLOWS

RECORD = "02sgK000006WS0PQAW"
ROW = {"mail": "Widgets [3000]", "people": ["Laura Keller", "Anna Lindqvist"], "crm": ["003gK00000b9xIIQAY", RECORD]}


def shown(width: int, **differing: Any) -> list[str]:
    rows = [
        {
            **ROW,
            "title": flow.title,
            "provider": flow.provider,
            "trigger": flow.trigger,
            "state": flow.expected,
            "ok": True,
            "reason": "",
            "problem": "",
            "ms": 4444,
            **differing,
        }
        for flow in (*FLOWS, *OUTLOOK_FLOWS)
    ]
    out = io.StringIO()
    command._show(Console(file=out, width=width), {"flows": rows, "calls": {}})
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 116])
def test_nothing_is_cut_off(width: int) -> None:
    lines = shown(width)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    assert text.count(f"✓ {DONE}") + text.count(f"✓ {MISSING}") + text.count(f"✓ {FAILED}") == len(
        FLOWS + OUTLOOK_FLOWS
    )
    assert text.count(RECORD) == len(FLOWS + OUTLOOK_FLOWS)
    assert "003gK" not in text  # people are shown by name
    assert "[3000]" in text


def test_where_a_mail_was_put_is_said() -> None:
    text = " ".join("\n".join(shown(200)).split())
    for place in ("Gmail label: ", "Outlook folder: ", "Outlook category: ", "Gmail label and Outlook folder: "):
        assert place in text


def test_a_wrong_end_is_told() -> None:
    text = "\n".join(shown(116, ok=False, problem="not finished in time", ms=None, reason="Nobody known"))
    assert "✓" not in text
    assert text.count("not finished in time") == text.count("Nobody known") == len(FLOWS + OUTLOOK_FLOWS)
