"""``hivemind container …``."""

from __future__ import annotations

import click

from hivemind.cli.container_exec import exec_command
from hivemind.cli.listing import all_rows
from hivemind.cli.logs import print_logs
from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options
from hivemind.cli.verbs import add_request

_COLUMNS = {
    "ID": "id",
    "APP": "app",
    "IMAGE": "image",
    "REVISION": "revision",
    "STATUS": "status",
    "HEALTH": "health.status",
    "NODE": "node_id",
    "RESTARTS": "restart_count",
    "MESSAGE": "message",
}


@click.group()
def container() -> None:
    """The replicas of apps, one by one."""


@container.command("ls")
@click.option("--app", help="Only this app's.")
@click.option("--node", help="Only those on this node.")
@click.option("--status", help="Only those with this status, such as running.")
@session_options
def ls(session: Session, app: str | None, node: str | None, status: str | None) -> None:
    """List the containers."""
    show(session.output, all_rows(session, "/containers", "containers", app=app, node=node, status=status), _COLUMNS)


add_request(container, "info", "GET", "/containers/{container_id}", "Show one container.")


@container.command()
@click.argument("container_id")
@click.option("--follow", "-f", is_flag=True)
@click.option("--tail", type=click.IntRange(min=0), help="Lines from the end.")
@click.option("--since", help="RFC 3339 or Unix seconds.")
@session_options
def logs(session: Session, container_id: str, follow: bool, tail: int | None, since: str | None) -> None:
    """Print what a container writes."""
    print_logs(
        session,
        lambda client: client.logs(container_id, tail=tail, since=since),
        lambda client: client.follow_logs(container_id, tail=tail, since=since),
        follow=follow,
    )


add_request(
    container,
    "stats",
    "GET",
    "/containers/{container_id}/stats",
    "What a container uses: percent of one core, and bytes.",
)
add_request(container, "health", "GET", "/health/container/{container_id}", "What its last probes said.")


container.add_command(exec_command)
