"""``hivemind overlay …``: the network between containers of all nodes."""

from __future__ import annotations

import click

from consensus.model.network import Encryption
from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options
from hivemind.cli.verbs import add_request

_COLUMNS = {
    "NODE": "node_id",
    "MODE": "mode",
    "SUBNET": "subnet",
    "STATUS": "overlay_status",
    "WHY": "overlay_message",
}


@click.group()
def overlay() -> None:
    """The network between containers of all nodes."""


@overlay.command("ls")
@session_options
def ls(session: Session) -> None:
    """List each node's part of it."""
    show(session.output, session.run(lambda client: client.get("/overlay"))["nodes"], _COLUMNS)


add_request(overlay, "info", "GET", "/overlay", "Show its ranges, and how much of them is used.")


@overlay.command()
@click.argument("how", type=click.Choice([each.value for each in Encryption]))
@session_options
def encrypt(session: Session, how: str) -> None:
    """Seal packets between nodes by WireGuard from now on, or no longer; refused where a node cannot."""
    show(session.output, session.run(lambda client: client.put("/overlay", {"encryption": how})))


@overlay.command()
@click.argument("cidr")
@session_options
def extend(session: Session, cidr: str) -> None:
    """Add a range of addresses for the containers of more nodes: `hivemind overlay extend 10.246.0.0/16`.

    With the first one of IPv6 (`fd12:3456:789a::/48`) containers get a second address each.
    """
    show(session.output, session.run(lambda client: client.post("/overlay/ranges", {"range": cidr})))
