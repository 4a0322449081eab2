"""``hivemind service …``."""

from __future__ import annotations

import click

from hivemind.cli.listing import all_rows
from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options


@click.group()
def service() -> None:
    """The names under which apps are reached."""


@service.command("ls")
@session_options
def ls(session: Session) -> None:
    """List the services."""
    rows = all_rows(session, "/services", "services")
    counted = [{**row, "endpoint_count": len(row["endpoints"])} for row in rows] if session.output == "table" else rows
    columns = {"NAME": "name", "APPS": "apps", "ENDPOINTS": "endpoint_count", "BALANCING": "load_balancing_strategy"}
    show(session.output, counted, columns)


@service.command()
@click.argument("name")
@session_options
def info(session: Session, name: str) -> None:
    """Show one service and where its replicas are reached."""
    show(session.output, session.run(lambda client: client.get(f"/services/{name}")))
