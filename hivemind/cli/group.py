"""``hivemind group …``."""

from __future__ import annotations

import click

from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options
from hivemind.cli.verbs import add_list, add_request

_COLUMNS = {"NAME": "name", "ROLES": "roles", "MEMBERS": "members", "CREATED": "created_at"}


@click.group()
def group() -> None:
    """Users who have roles together, besides their own."""


add_list(group, "/groups", "groups", _COLUMNS, "List the groups.")
add_request(group, "info", "GET", "/groups/{name}", "Show one group.")


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


add_request(group, "delete", "DELETE", "/groups/{name}", "Delete a group; its members stay.")
