"""``hivemind network-policy …``."""

from __future__ import annotations

from pathlib import Path

import click

from hivemind.cli.app_spec import read_body
from hivemind.cli.listing import all_rows
from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options

_PATH = "/security/network-policies"
_COLUMNS = {"NAME": "name", "SELECTOR": "selector", "CLOSES": "policy_types", "CONTAINERS": "container_count"}
_FILE = click.option(
    "--file", "-f", required=True, type=click.Path(exists=True, path_type=Path), help="A YAML or JSON body."
)


@click.group("network-policy")
def network_policy() -> None:
    """Which containers may talk to whom."""


@network_policy.command("ls")
@session_options
def ls(session: Session) -> None:
    """List the policies."""
    rows = all_rows(session, _PATH, "policies")
    counted = (
        [{**row, "container_count": len(row["containers"])} for row in rows] if session.output == "table" else rows
    )
    show(session.output, counted, _COLUMNS)


@network_policy.command()
@click.argument("name")
@session_options
def info(session: Session, name: str) -> None:
    """Show one policy and the containers that it selects."""
    show(session.output, session.run(lambda client: client.get(f"{_PATH}/{name}")))


@network_policy.command()
@_FILE
@session_options
def create(session: Session, file: Path) -> None:
    """Make a policy."""
    show(session.output, session.run(lambda client: client.post(_PATH, read_body(file))))


@network_policy.command()
@click.argument("name")
@_FILE
@session_options
def update(session: Session, name: str, file: Path) -> None:
    """Replace a policy."""
    show(session.output, session.run(lambda client: client.put(f"{_PATH}/{name}", read_body(file))))


@network_policy.command()
@click.argument("name")
@session_options
def delete(session: Session, name: str) -> None:
    """Delete a policy."""
    show(session.output, session.run(lambda client: client.delete(f"{_PATH}/{name}")))
