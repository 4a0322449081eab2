"""Waiting until a node is drained, with what is left and what blocks it as that changes."""

from __future__ import annotations

import sys
from typing import Any

import click

from hivemind.cli.exits import Exit
from hivemind.cli.progress import bar
from hivemind.cli.session import Session
from hivemind.cli.waiting import look_until
from hivemind.client import Client


def wait_until_drained(session: Session, node_id: str, timeout_s: float) -> None:
    """Returns when no container is left; exits 1 where that takes longer than `timeout_s`, or it is taken back."""
    with bar(f"{node_id}: draining") as shown:
        told: set[str] = set()

        def show(drain: dict[str, Any]) -> None:
            shown.update(drain["done"], drain["total"])
            for line in _blocked(drain):
                if line not in told:
                    told.add(line)
                    shown.say(line)

        last = session.run(lambda client: _wait(client, node_id, timeout_s, show))
    if last is None:
        click.echo(f"hivemind: {node_id} is no longer drained", err=True)
        sys.exit(Exit.GENERAL)
    if last["remaining"]:
        click.echo(f"hivemind: {len(last['remaining'])} containers are left on {node_id}", err=True)
        for one in last["remaining"]:
            click.echo(f"  {one['id']}: {one['message']}", err=True)
        sys.exit(Exit.GENERAL)


def _blocked(drain: dict[str, Any]) -> list[str]:
    return [f"blocked: {one['id']}: {one['message']}" for one in drain["remaining"] if one["blocked"]]


async def _wait(client: Client, node_id: str, timeout_s: float, show: Any) -> dict[str, Any] | None:
    drain: dict[str, Any] | None = {"total": 0, "done": 0, "remaining": [{"id": node_id, "message": "no answer yet"}]}

    async def look() -> bool:
        nonlocal drain
        drain = (await client.get(f"/nodes/{node_id}"))["drain"]
        if drain is None:
            return True
        show(drain)
        return not drain["remaining"]

    await look_until(look, timeout_s)
    return drain
