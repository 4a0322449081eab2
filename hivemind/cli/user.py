"""``hivemind user …``."""

from __future__ import annotations

from typing import Any

import click

from hivemind.cli.listing import all_rows
from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options

_COLUMNS = {"ID": "id", "ROLE": "role", "GROUPS": "groups", "CREATED": "created_at"}


@click.group()
def user() -> None:
    """Who may use the API, and in which role."""


@user.command("ls")
@session_options
def ls(session: Session) -> None:
    """List the users."""
    show(session.output, all_rows(session, "/users", "users"), _COLUMNS)


@user.command()
@click.argument("user_id")
@session_options
def info(session: Session, user_id: str) -> None:
    """Show one user."""
    show(session.output, session.run(lambda client: client.get(f"/users/{user_id}")))


@user.command()
@click.argument("username")
@click.option("--role", default="viewer", show_default=True, help="viewer, operator, admin or a role of your own.")
@click.option("--password", envvar="HIVEMIND_NEW_PASSWORD", help="Asked for where it is not given.")
@session_options
def create(session: Session, username: str, role: str, password: str | None) -> None:
    """Make a user."""
    body = {"username": username, "role": role, "password": password or _new_password()}
    show(session.output, session.run(lambda client: client.post("/users", body)))


@user.command()
@click.argument("user_id")
@session_options
def delete(session: Session, user_id: str) -> None:
    """Delete a user; their tokens and API keys are not valid any more."""
    show(session.output, session.run(lambda client: client.delete(f"/users/{user_id}")))


@user.command()
@click.argument("user_id")
@click.argument("role")
@session_options
def role(session: Session, user_id: str, role: str) -> None:
    """Give a user another role."""
    show(session.output, session.run(lambda client: client.put(f"/users/{user_id}/role", {"role": role})))


@user.command()
@click.argument("user_id")
@click.option("--own", is_flag=True, help="It is yours: the present one is asked for, too.")
@session_options
def password(session: Session, user_id: str, own: bool) -> None:
    """Change a password. Tokens that were issued before are not valid any more."""
    body: dict[str, Any] = {}
    if own:
        body["current_password"] = click.prompt("Present password", hide_input=True, err=True)
    body["password"] = _new_password()
    show(session.output, session.run(lambda client: client.put(f"/users/{user_id}/password", body)))


def _new_password() -> str:
    return str(click.prompt("New password", hide_input=True, confirmation_prompt=True, err=True))
