"""The command line in this process, against a cluster of real daemons: what a user types, without a start of Python."""

from __future__ import annotations

from collections.abc import Callable

from click.testing import CliRunner, Result

from hivemind.cli.main import cli
from tests.support.cluster import Cluster


def command_line(cluster: Cluster, number: int) -> Callable[..., Result]:
    """Runs ``hivemind …`` as the admin against a node."""
    environment = {
        "HIVEMIND_SERVER": cluster.node(number).url,
        "HIVEMIND_USERNAME": "admin",
        "HIVEMIND_PASSWORD": cluster.admin_password,
    }
    return lambda *arguments: CliRunner().invoke(cli, arguments, env=environment)
