"""``hivemind user …``."""

from __future__ import annotations

from typing import Any

import click

from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options
from hivemind.cli.verbs import add_list, add_request

_COLUMNS = {"ID": "id", "ROLE": "role", "GROUPS": "groups", "CREATED": "created_at"}


@click.group()
def user() -> None:
    """Who may use the API, and in which role."""


add_list(user, "/users", "users", _COLUMNS, "List the users.")
add_request(user, "info", "GET", "/users/{user_id}", "Show one user.")


@user.command()
@click.argument("username")
@click.option("--role", default="viewer", show_default=True, help="viewer, operator, admin or a role of your own.")
@click.option("--password", envvar="HIVEMIND_NEW_PASSWORD", help="Asked for where it is not given.")
@session_options
def create(session: Session, username: str, role: str, password: str | None) -> None:
    """Make a user."""
    body = {"username": username, "role": role, "password": password or _new_password()}
    show(session.output, session.run(lambda client: client.post("/users", body)))


add_request(
    user, "delete", "DELETE", "/users/{user_id}", "Delete a user; their tokens and API keys are not valid any more."
)


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
