"""``hivemind node …``."""

from __future__ import annotations

import click

from hivemind.cli.listing import all_rows
from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options

_COLUMNS = {
    "ID": "id",
    "STATUS": "status",
    "ROLE": "role",
    "ADDRESS": "address",
    "CPU FREE": "resources.cpu_available",
    "CPU": "resources.cpu_total",
    "CONTAINERS": "containers",
}


@click.group()
def node() -> None:
    """The machines."""


@node.command("ls")
@session_options
def ls(session: Session) -> None:
    """List the nodes."""
    show(session.output, all_rows(session, "/nodes", "nodes"), _COLUMNS)


@node.command()
@click.argument("node_id")
@session_options
def info(session: Session, node_id: str) -> None:
    """Show one node."""
    show(session.output, session.run(lambda client: client.get(f"/nodes/{node_id}")))
