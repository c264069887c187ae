"""Write docs/demo.svg: what `mailspan demo --once` prints, recorded while it runs. `python docs/picture.py`"""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from server.demo import command

WIDTH = 116
ASPECT = 0.602  # width of a character of these fonts in em
PICTURE = Path(__file__).with_name("demo.svg")

# rich's own frame without its web font: GitHub loads nothing from elsewhere, and neither does a reader without network
FRAME = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" xml:space="preserve" role="img">
<title>mailspan demo --once: every flow with its mail, people, CRM records and end state</title>
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def record() -> Console:
    """The demo's console after a run. Raises SystemExit when a flow did not end as it should."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    command.Console = lambda **_: console  # the demo prints to it as to any terminal
    command.run(once=True, as_json=False)
    return console


def main() -> None:
    """Run the demo and write the picture; lines end without blanks, as everywhere in the project."""
    svg = record().export_svg(
        title="mailspan demo --once", theme=MONOKAI, code_format=FRAME, unique_id="demo", font_aspect_ratio=ASPECT
    )
    PICTURE.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
