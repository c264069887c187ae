"""The project's pages as data: tables, links, anchors and code blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
ADMIN = ROOT / "docs" / "admin.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("sandbox/**/*.md"))]

_BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return _BLOCK.sub("", read(page))


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks in a language, without the indentation of the list that they stand in."""
    return [
        "\n".join(line.removeprefix(indent) for line in code.splitlines()) + "\n"
        for indent, found, code in _BLOCK.findall(read(page))
        if found == language
    ]


def links(page: Path) -> Iterator[str]:
    """Where the page's links and pictures point to, those to other places in the world left out."""
    yield from (link for link in _LINK.findall(prose(page)) if not re.match(r"[a-z]+:", link))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of every table row below the first heading or line that begins so, until the next heading."""
    text = prose(page).partition(f"\n{heading}")[2].partition("\n#")[0]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    return [row for row in cells if not set(row[0]) <= set("- ")]
