"""The ``hivemind`` command."""

from __future__ import annotations

import click

from hivemind.cli import app, auth, cluster, daemon, deployment, events, node, status
from hivemind.cli.exits import ExitCodes


@click.group(cls=ExitCodes, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """A container cluster that has no special machines.

    Exit codes: 0 ok, 1 general, 2 usage, 3 connection, 4 authentication, 5 permission, 6 not found, 7 conflict.
    """


for command in (
    daemon.daemon,
    status.wait,
    status.status,
    status.version,
    cluster.cluster,
    cluster.leave,
    auth.login,
    auth.logout,
    node.node,
    app.app,
    deployment.deployment,
    events.events,
):
    cli.add_command(command)


def main() -> None:
    cli(prog_name="hivemind")
