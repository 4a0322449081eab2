"""``hivemind volume …``."""

from __future__ import annotations

from typing import Any

import click

from hivemind.cli.listing import all_rows
from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options

_COLUMNS = {"NAME": "name", "SIZE": "size", "TYPE": "type", "USED BY": "used_by", "CREATED": "created_at"}


@click.group()
def volume() -> None:
    """Named volumes."""


@volume.command("ls")
@session_options
def ls(session: Session) -> None:
    """List the volumes."""
    show(session.output, all_rows(session, "/volumes", "volumes"), _COLUMNS)


@volume.command()
@click.argument("name")
@click.option("--size", help="Such as 10G.")
@session_options
def create(session: Session, name: str, size: str | None) -> None:
    """Make a volume."""
    body: dict[str, Any] = {"name": name} if size is None else {"name": name, "size": size}
    show(session.output, session.run(lambda client: client.post("/volumes/create", body)))


@volume.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Also while containers use it.")
@session_options
def delete(session: Session, name: str, force: bool) -> None:
    """Delete a volume and what is in it."""
    body = {"name": name, "force": force}
    show(session.output, session.run(lambda client: client.post("/volumes/delete", body)))
