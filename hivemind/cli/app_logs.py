"""The logs of all containers of an app in one stream, each line with its container's name."""

from __future__ import annotations

from typing import Any

import click
import trio

from hivemind.cli.session import Session
from hivemind.client import Client


def print_logs(session: Session, app: str, *, follow: bool, tail: int | None, since: str | None) -> None:
    async def work(client: Client) -> None:
        containers = (await client.get(f"/apps/{app}"))["containers"]
        async with trio.open_nursery() as nursery:
            for container in containers:
                nursery.start_soon(_follow if follow else _once, client, container["id"], tail, since)

    try:
        session.run(work)
    except KeyboardInterrupt:
        click.echo()


async def _once(client: Client, container_id: str, tail: int | None, since: str | None) -> None:
    params: dict[str, Any] = {"tail": tail, "since": since}
    text = (await client.get(f"/containers/{container_id}/logs", **params))["logs"]
    for line in text.splitlines():
        click.echo(f"{container_id} | {line}")


async def _follow(client: Client, container_id: str, tail: int | None, since: str | None) -> None:
    path = f"/containers/{container_id}/logs"
    async with client.lines(path, follow="true", tail=tail, since=since) as lines:
        async for line in lines:
            click.echo(f"{container_id} | {line}")
