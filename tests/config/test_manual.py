"""Nothing can be set that the documentation does not name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sync import manual
from sync.declare import loads
from sync.declare.vendors import VENDORS
from sync.policy import OPTIONS
from sync.settings import SETTINGS
from tests.config.declarations import PRIVATE_KEY, SERVICE_ACCOUNT

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_what_the_tables_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == manual.render(), "run: make docs"


@pytest.mark.parametrize(
    "name",
    [
        *(item.variable for item in SETTINGS.values()),
        *OPTIONS,
        *(field.name for vendor in VENDORS.values() for field in vendor.fields),
    ],
)
def test_every_name_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE.read_text(encoding="utf-8")


def test_the_example_on_the_page_is_right(tmp_path: Path) -> None:
    found = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    (tmp_path / "google.json").write_text(SERVICE_ACCOUNT)
    content = found[1].replace("/etc/mailspan/", "")
    declared = loads(content, "example.yaml", tmp_path, {"SALESFORCE_KEY": PRIVATE_KEY})
    assert [box.policy for box in declared.mailboxes] == ["sales", "sales"]
