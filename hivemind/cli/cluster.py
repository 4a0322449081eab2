"""``hivemind cluster …`` and ``hivemind leave``."""

from __future__ import annotations

import click

from hivemind.cli.cluster_keys import keys
from hivemind.cli.session import Session, session_options
from hivemind.cli.verbs import add_request


@click.group()
def cluster() -> None:
    """The cluster as a whole."""


@cluster.command()
@session_options
def token(session: Session) -> None:
    """Print the token that lets a machine join, and nothing else."""
    click.echo(session.run(lambda client: client.get("/cluster/token"))["token"])


add_request(cluster, "status", "GET", "/cluster", "Leader, voters, log index, nodes.")


@cluster.command("transfer-leader")
@click.argument("node", required=False)
@session_options
def transfer_leader(session: Session, node: str | None) -> None:
    """Let NODE lead, or the voter that is ahead of the others: before work on the machine of the leader."""
    click.echo(session.run(lambda client: client.transfer_leader(node)).message)


cluster.add_command(keys)


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@session_options
def leave(session: Session, yes: bool) -> None:
    """Drain the node at --server, take it out of the cluster, and stop its daemon."""
    info = session.run(lambda client: client.get("/cluster"))
    node_id = info["node_id"]
    if not yes:
        click.confirm(f"Drain node {node_id}, remove it from cluster {info['id']} and delete its state?", abort=True)
    answer = session.run(lambda client: client.post(f"/nodes/{node_id}/leave"))
    click.echo(answer["message"])
