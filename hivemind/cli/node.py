"""``hivemind node …``."""

from __future__ import annotations

from typing import Any

import click

from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options
from hivemind.cli.verbs import add_list, add_request

_COLUMNS = {
    "ID": "id",
    "STATUS": "status",
    "ROLE": "role",
    "ADDRESS": "address",
    "CPU FREE": "resources.cpu_available",
    "CPU": "resources.cpu_total",
    "CONTAINERS": "containers",
}
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@click.group()
def node() -> None:
    """The machines."""


add_list(node, "/nodes", "nodes", _COLUMNS, "List the nodes.")
add_request(
    node, "info", "GET", "/nodes/{node_id}", "Show one node; while it drains, how far that is and what holds it up."
)
add_request(node, "health", "GET", "/health/node/{node_id}", "Show a node's load, and how it has been.")


@node.command()
@click.argument("node_id")
@click.option("--drain/--no-drain", default=False, help="Also move its containers to other nodes, or leave them.")
@click.option("--wait", is_flag=True, help="With --drain: wait until its containers are gone, and say what blocks it.")
@click.option("--timeout", default=900.0, show_default=True, help="Seconds to wait.")
@session_options
def maintenance(session: Session, node_id: str, drain: bool, wait: bool, timeout: float) -> None:
    """Give a node no new containers, until `node activate`."""
    _put_into_maintenance(session, node_id, drain=drain, wait=wait, timeout=timeout)


@node.command()
@click.argument("node_id")
@click.option("--wait", is_flag=True, help="Wait until its containers are gone, and say what blocks it.")
@click.option("--timeout", default=900.0, show_default=True, help="Seconds to wait.")
@session_options
def drain(session: Session, node_id: str, wait: bool, timeout: float) -> None:
    """Move a node's containers to other nodes: start there first, and stop here after."""
    _put_into_maintenance(session, node_id, drain=True, wait=wait, timeout=timeout)


def _put_into_maintenance(session: Session, node_id: str, *, drain: bool, wait: bool, timeout: float) -> None:
    if wait and not drain:
        raise click.UsageError("--wait: expected --drain with it")
    body = {"enable": True, "drain": drain}
    answer = session.run(lambda client: client.post(f"/nodes/{node_id}/maintenance", body))
    if wait:
        from hivemind.cli.drain_progress import wait_until_drained

        wait_until_drained(session, node_id, timeout)
    show(session.output, answer)


@node.command()
@click.argument("node_id")
@session_options
def activate(session: Session, node_id: str) -> None:
    """Take a node out of maintenance."""
    body = {"enable": False}
    show(session.output, session.run(lambda client: client.post(f"/nodes/{node_id}/maintenance", body)))


@node.command()
@click.argument("node_id")
@click.argument("changes", nargs=-1, required=True, metavar="KEY=VALUE|KEY-…")
@session_options
def label(session: Session, node_id: str, changes: tuple[str, ...]) -> None:
    """Set labels of a node; KEY- takes one away."""
    labels: dict[str, str | None] = {}
    for text in changes:
        key, equals, value = text.partition("=")
        if equals and key:
            labels[key] = value
        elif len(text) > 1 and text.endswith("-"):
            labels[text[:-1]] = None
        else:
            raise click.UsageError(f"expected KEY=VALUE or KEY-, got {text!r}")
    _change_labels(session, node_id, {"labels": labels})


@node.command()
@click.argument("node_id")
@click.argument("changes", nargs=-1, required=True, metavar="KEY[=VALUE]:EFFECT|KEY[:EFFECT]-…")
@session_options
def taint(session: Session, node_id: str, changes: tuple[str, ...]) -> None:
    """Set taints of a node (effects: NoSchedule, PreferNoSchedule, NoExecute); a - at the end takes one away."""
    added: list[dict[str, str]] = []
    removed: list[dict[str, str]] = []
    for text in changes:
        name, _, effect = text.removesuffix("-").partition(":")
        key, _, value = name.partition("=")
        if not key or (effect and effect not in EFFECTS) or not (effect or text.endswith("-")):
            raise click.UsageError(f"expected KEY[=VALUE]:EFFECT or KEY[:EFFECT]-, got {text!r}")
        if text.endswith("-"):
            removed.append({"key": key, "effect": effect})
        else:
            added.append({"key": key, "value": value, "effect": effect})
    _change_labels(session, node_id, {"add_taints": added, "remove_taints": removed})


def _change_labels(session: Session, node_id: str, body: dict[str, Any]) -> None:
    show(session.output, session.run(lambda client: client.patch(f"/nodes/{node_id}/labels", body)))


@node.command("rm")
@click.argument("node_id")
@click.option("--force", is_flag=True, help="Also while it has containers; those are made anew elsewhere.")
@session_options
def rm(session: Session, node_id: str, force: bool) -> None:
    """Remove a node from the cluster for good; refused while it has containers."""
    show(session.output, session.run(lambda client: client.delete(f"/nodes/{node_id}", force=force)))
