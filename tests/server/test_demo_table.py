"""The table of the demo can be read in a narrow terminal: nothing is cut off, and a wrong end is told."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from server.demo import command
from server.demo.programme import FLOWS

RECORD = "02sgK000006WS0PQAW"
ROW = {"mail": "Widgets [3000]", "people": ["Laura Keller", "Anna Lindqvist"], "crm": ["003gK00000b9xIIQAY", RECORD]}
ROW |= {"items": ["3000 Widgets for Acme Corp"]}


def shown(width: int, **differing: Any) -> list[str]:
    rows = [
        {
            **ROW,
            "section": flow.section,
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
        for flow in FLOWS
    ]
    out = io.StringIO()
    command._show(Console(file=out, width=width), {"flows": rows, "calls": {}})
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 116])
def test_nothing_is_cut_off(width: int) -> None:
    lines = shown(width)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    assert text.count("✓ ") == len(FLOWS)
    for state in {flow.expected for flow in FLOWS}:
        assert text.count(f"✓ {state}") == sum(flow.expected == state for flow in FLOWS)
    for section in {flow.section for flow in FLOWS}:
        assert f" {section} " in text
    assert text.count(RECORD) == len(FLOWS)
    assert "003gK" not in text  # people are shown by name
    assert "[3000]" in text


def test_where_a_mail_was_put_is_said() -> None:
    text = " ".join("\n".join(shown(200)).split())
    for place in ("Gmail label: ", "Outlook folder: ", "Outlook category: ", "Gmail label and Outlook folder: "):
        assert place in text
    assert "to 3000 Widgets for Acme Corp" in text


def test_a_flow_of_many_mails_shows_the_first_and_their_number() -> None:
    text = "\n".join(shown(116, crm=[RECORD, "02s2", "02s3", "006A"]))
    assert text.count(f"{RECORD} and 2") == len(FLOWS)
    assert "02s2" not in text
    assert "006A" in "\n".join(shown(116, crm=["006A"]))


def test_a_wrong_end_is_told() -> None:
    text = "\n".join(shown(116, ok=False, problem="not finished in time", ms=None, reason="Nobody known"))
    assert "✓" not in text
    assert text.count("not finished in time") == text.count("Nobody known") == len(FLOWS)
