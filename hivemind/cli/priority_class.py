"""``hivemind priority-class …``."""

from __future__ import annotations

import click

from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options
from hivemind.cli.verbs import add_request

_COLUMNS = {"NAME": "name", "VALUE": "value", "BUILT IN": "built_in", "DESCRIPTION": "description"}


@click.group("priority-class")
def priority_class() -> None:
    """Which apps are placed first, and which make room."""


@priority_class.command("ls")
@session_options
def ls(session: Session) -> None:
    """List them, the most important first."""
    answer = session.run(lambda client: client.get("/priority-classes"))
    show(session.output, answer["priority_classes"], _COLUMNS)


@priority_class.command()
@click.argument("name")
@click.argument("value", type=int)
@click.option("--description", default="")
@session_options
def create(session: Session, name: str, value: int, description: str) -> None:
    """Make one; a greater value is placed first."""
    body = {"name": name, "value": value, "description": description}
    show(session.output, session.run(lambda client: client.post("/priority-classes", body)))


add_request(priority_class, "delete", "DELETE", "/priority-classes/{name}", "Delete one that no app uses.")
