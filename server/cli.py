"""The `mailspan` command: the commands of `sync.cli`, and those that belong to this side."""

from __future__ import annotations

from server.demo.command import demo
from sync.cli import main

main.add_command(demo)

if __name__ == "__main__":
    main()
