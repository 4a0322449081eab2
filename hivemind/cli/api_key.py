"""``hivemind api-key …``."""

from __future__ import annotations

import click

from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options
from hivemind.cli.verbs import add_list, add_request

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


add_list(api_key, "/auth/api-keys", "api_keys", _COLUMNS, "List your API keys; admins see everybody's.")


@api_key.command()
@click.argument("name")
@click.option("--role", help="At most your own, which is the default.")
@click.option("--expires-in", help="Such as 30d or 12h (default: never).")
@session_options
def create(session: Session, name: str, role: str | None, expires_in: str | None) -> None:
    """Make an API key. It is shown this once."""
    body = {"name": name, "role": role, "expires_in": expires_in}
    show(session.output, session.run(lambda client: client.post("/auth/api-keys", body)))


add_request(api_key, "delete", "DELETE", "/auth/api-keys/{key_id}", "Revoke an API key.")
