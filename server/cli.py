"""The `mailspan` command: the commands of `sync.cli`, and those that belong to this side."""

from __future__ import annotations

import click

from sync.cli import main


@main.command()
@click.option("--once", is_flag=True, help="Run all flows unattended and end; exit status 0 only if all ended right.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of the table (with --once).")
def demo(once: bool, as_json: bool) -> None:
    """Drop real mails on a label, and find them in the CRM: on local simulators, without accounts."""
    from server.demo import command  # its libraries would cost every other command half a second

    command.run(once=once, as_json=as_json)


if __name__ == "__main__":
    main()
