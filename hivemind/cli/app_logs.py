"""The logs of all containers of an app in one stream, each line with its container's name."""

from __future__ import annotations

import click

from hivemind.cli.session import Session
from hivemind.client import Client


def print_logs(session: Session, app: str, *, follow: bool, tail: int | None, since: str | None) -> None:
    async def work(client: Client) -> None:
        if not follow:
            click.echo(await client.app_logs(app, tail=tail, since=since), nl=False)
            return
        async with client.follow_app_logs(app, tail=tail, since=since) as lines:
            async for line in lines:
                click.echo(line)

    try:
        session.run(work)
    except KeyboardInterrupt:
        click.echo()
