"""``hivemind role …``."""

from __future__ import annotations

import click

from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options
from hivemind.cli.verbs import Row, add_list, add_request

_COLUMNS = {"NAME": "name", "PERMISSIONS": "permissions", "DESCRIPTION": "description"}
_PERMISSION = click.option(
    "--permission",
    "-p",
    "permissions",
    multiple=True,
    metavar="RESOURCE:VERB[@SCOPE]",
    help="Such as apps:read or *:*@namespace/shop; again for more.",
)


@click.group()
def role() -> None:
    """What users may do: viewer, operator, admin, and roles of your own."""


def _row(role: Row) -> Row:
    return {**role, "permissions": list(map(_text, role["permissions"]))}


add_list(role, "/roles", "roles", _COLUMNS, "List the roles.", row=_row)
add_request(role, "info", "GET", "/roles/{name}", "Show one role.")


@role.command()
@click.argument("name")
@_PERMISSION
@click.option("--description", default="")
@session_options
def create(session: Session, name: str, permissions: tuple[str, ...], description: str) -> None:
    """Make a role. With the scope namespace/NAME it holds for what is in that namespace, and for nothing else."""
    body = {"name": name, "permissions": list(map(_permission, permissions)), "description": description}
    show(session.output, session.run(lambda client: client.post("/roles", body)))


@role.command()
@click.argument("name")
@_PERMISSION
@click.option("--description", default="")
@session_options
def update(session: Session, name: str, permissions: tuple[str, ...], description: str) -> None:
    """Replace a role's permissions by these."""
    body = {"permissions": list(map(_permission, permissions)), "description": description}
    show(session.output, session.run(lambda client: client.put(f"/roles/{name}", body)))


add_request(role, "delete", "DELETE", "/roles/{name}", "Delete a role that nobody has.")


def _permission(text: str) -> dict[str, str]:
    operation, _, scope = text.partition("@")
    resource, colon, verb = operation.partition(":")
    if not (resource and colon and verb):
        raise click.BadParameter(f"expected RESOURCE:VERB[@SCOPE], got {text!r}", param_hint="--permission")
    return {"resource": resource, "verb": verb, "scope": scope or "*"}


def _text(permission: dict[str, str]) -> str:
    scope = "" if permission["scope"] == "*" else f"@{permission['scope']}"
    return f"{permission['resource']}:{permission['verb']}{scope}"
