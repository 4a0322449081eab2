"""``hivemind group …``."""

from __future__ import annotations

import click

from hivemind.cli.listing import all_rows
from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options

_COLUMNS = {"NAME": "name", "ROLES": "roles", "MEMBERS": "members", "CREATED": "created_at"}


@click.group()
def group() -> None:
    """Users who have roles together, besides their own."""


@group.command("ls")
@session_options
def ls(session: Session) -> None:
    """List the groups."""
    show(session.output, all_rows(session, "/groups", "groups"), _COLUMNS)


@group.command()
@click.argument("name")
@session_options
def info(session: Session, name: str) -> None:
    """Show one group."""
    show(session.output, session.run(lambda client: client.get(f"/groups/{name}")))


@group.command()
@click.argument("name")
@click.option("--role", "roles", multiple=True, help="A role that its members have; again for more.")
@click.option("--member", "members", multiple=True, help="A user's id; again for more.")
@session_options
def create(session: Session, name: str, roles: tuple[str, ...], members: tuple[str, ...]) -> None:
    """Make a group."""
    body = {"name": name, "roles": list(roles), "members": list(members)}
    show(session.output, session.run(lambda client: client.post("/groups", body)))


@group.command()
@click.argument("name")
@click.option("--role", "roles", multiple=True, help="A role that its members have; again for more.")
@click.option("--member", "members", multiple=True, help="A user's id; again for more.")
@session_options
def update(session: Session, name: str, roles: tuple[str, ...], members: tuple[str, ...]) -> None:
    """Replace a group's roles and members by these."""
    body = {"roles": list(roles), "members": list(members)}
    show(session.output, session.run(lambda client: client.put(f"/groups/{name}", body)))


@group.command()
@click.argument("name")
@session_options
def delete(session: Session, name: str) -> None:
    """Delete a group; its members stay."""
    show(session.output, session.run(lambda client: client.delete(f"/groups/{name}")))
