"""``hivemind network-policy …``."""

from __future__ import annotations

from pathlib import Path

import click

from hivemind.cli.app_spec import read_body
from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options
from hivemind.cli.verbs import Row, add_list, add_request

_PATH = "/security/network-policies"
_COLUMNS = {"NAME": "name", "SELECTOR": "selector", "CLOSES": "policy_types", "CONTAINERS": "container_count"}
_FILE = click.option(
    "--file", "-f", required=True, type=click.Path(exists=True, path_type=Path), help="A YAML or JSON body."
)


@click.group("network-policy")
def network_policy() -> None:
    """Which containers may talk to whom."""


def _counted(row: Row) -> Row:
    return {**row, "container_count": len(row["containers"])}


add_list(network_policy, _PATH, "policies", _COLUMNS, "List the policies.", row=_counted)
add_request(
    network_policy,
    "info",
    "GET",
    "/security/network-policies/{name}",
    "Show one policy and the containers that it selects.",
)


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


add_request(network_policy, "delete", "DELETE", "/security/network-policies/{name}", "Delete a policy.")
