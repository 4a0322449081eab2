"""``hivemind alert …``."""

from __future__ import annotations

import click

from hivemind.cli.listing import all_rows
from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options

_COLUMNS = {
    "ID": "id",
    "SEVERITY": "severity",
    "RESOURCE": "resource",
    "SINCE": "created_at",
    "SEEN BY": "acknowledged_by",
    "MESSAGE": "message",
}


@click.group()
def alert() -> None:
    """What a person should know of."""


@alert.command("ls")
@session_options
def ls(session: Session) -> None:
    """List the alerts that stand, the newest first."""
    show(session.output, all_rows(session, "/alerts", "alerts"), _COLUMNS)


@alert.command()
@click.argument("alert_id")
@session_options
def info(session: Session, alert_id: str) -> None:
    """Show one alert."""
    show(session.output, session.run(lambda client: client.get(f"/alerts/{alert_id}")))


@alert.command()
@click.argument("alert_id")
@session_options
def ack(session: Session, alert_id: str) -> None:
    """Say that you have seen one."""
    show(session.output, session.run(lambda client: client.post(f"/alerts/{alert_id}/acknowledge")))
