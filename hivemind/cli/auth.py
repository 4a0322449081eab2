"""``hivemind login`` and ``logout``."""

from __future__ import annotations

import os

import click

from hivemind.cli.session import Session, keep_token, session_options, token_path
from hivemind.client import ApiError


@click.command()
@click.option("--username", "-u", envvar="HIVEMIND_USERNAME", default="admin", show_default=True)
@click.option("--password", "-p", envvar="HIVEMIND_PASSWORD", help="Asked for where it is not given.")
@session_options
def login(session: Session, username: str, password: str | None) -> None:
    """Log in, and keep the token in ~/.hivemind/token."""
    secret = password or click.prompt("Password", hide_input=True, err=True)
    body = {"username": username, "password": secret}

    data = session.run(lambda client: client.post("/auth/login", body), anonymous=True)
    keep_token(data["token"])
    click.echo(f"Logged in to {session.server} as {data['username']} until {data['expires_at']}")


@click.command()
@session_options
def logout(session: Session) -> None:
    """Revoke the token, and forget it."""
    try:
        session.run(lambda client: client.post("/auth/logout"))
    except ApiError as error:
        if error.status != 401:
            raise
    if not os.environ.get("HIVEMIND_TOKEN"):
        token_path().unlink(missing_ok=True)
    click.echo("Logged out")
