"""What containers wrote, printed as a whole or as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import click

from hivemind.cli.session import Session

if TYPE_CHECKING:
    from hivemind.client import Client

Written = Callable[["Client"], Awaitable[str]]
Lines = Callable[["Client"], AbstractAsyncContextManager[AsyncIterator[str]]]


def print_logs(session: Session, written: Written, lines: Lines, *, follow: bool) -> None:
    """`written` so far; with `follow` its `lines`, until they end."""

    async def work(client: Client) -> None:
        if not follow:
            click.echo(await written(client), nl=False)
            return
        async with lines(client) as coming:
            async for line in coming:
                click.echo(line)

    try:
        session.run(work)
    except KeyboardInterrupt:
        click.echo()
