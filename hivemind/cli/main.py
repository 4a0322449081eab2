"""The ``hivemind`` command."""

from __future__ import annotations

import click

from hivemind.cli import (
    admin,
    alert,
    api_call,
    api_key,
    app,
    audit,
    auth,
    cluster,
    container,
    daemon,
    deployment,
    events,
    group,
    job,
    network_policy,
    node,
    overlay,
    priority_class,
    role,
    service,
    status,
    user,
    volume,
)
from hivemind.cli.exits import ExitCodes
from hivemind.cli.session import outer_options


@click.group(cls=ExitCodes, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@outer_options
def cli() -> None:
    """A container cluster that has no special machines.

    \b
    hivemind login --server http://127.0.0.1:4483
    hivemind app deploy --name web --image hivemind/whoami --replicas 3 --port 8080:80
    hivemind app logs web --follow

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
    overlay.overlay,
    app.app,
    deployment.deployment,
    job.job,
    container.container,
    service.service,
    volume.volume,
    alert.alert,
    user.user,
    group.group,
    role.role,
    api_key.api_key,
    audit.audit,
    api_call.api_call,
    network_policy.network_policy,
    priority_class.priority_class,
    events.events,
    admin.admin,
):
    cli.add_command(command)


def main() -> None:
    cli(prog_name="hivemind")
