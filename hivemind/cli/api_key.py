"""``hivemind api-key …``."""

from __future__ import annotations

import click

from hivemind.cli.listing import all_rows
from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options

_COLUMNS = {
    "ID": "id",
    "NAME": "name",
    "ROLE": "role",
    "BY": "created_by",
    "EXPIRES": "expires_at",
    "LAST USED": "last_used",
}


@click.group("api-key")
def api_key() -> None:
    """Keys for programs: they can do no more than who made them."""


@api_key.command("ls")
@session_options
def ls(session: Session) -> None:
    """List your API keys; admins see everybody's."""
    show(session.output, all_rows(session, "/auth/api-keys", "api_keys"), _COLUMNS)


@api_key.command()
@click.argument("name")
@click.option("--role", help="At most your own, which is the default.")
@click.option("--expires-in", help="Such as 30d or 12h (default: never).")
@session_options
def create(session: Session, name: str, role: str | None, expires_in: str | None) -> None:
    """Make an API key. It is shown this once."""
    body = {"name": name, "role": role, "expires_in": expires_in}
    show(session.output, session.run(lambda client: client.post("/auth/api-keys", body)))


@api_key.command()
@click.argument("key_id")
@session_options
def delete(session: Session, key_id: str) -> None:
    """Revoke an API key."""
    show(session.output, session.run(lambda client: client.delete(f"/auth/api-keys/{key_id}")))
