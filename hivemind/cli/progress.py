"""Waiting for an app's replicas, with a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import aclosing

import click
import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from hivemind.cli.exits import Exit
from hivemind.cli.session import Session
from hivemind.client import Client

_LOOK_AGAIN_S = 5.0
_LOOKS_PAUSE_S = 0.7  # keeps a long wait under the API's 100 requests a minute


def wait_for_replicas(session: Session, name: str, timeout_s: float) -> None:
    """Returns when as many replicas run (and are healthy) as are wanted, and no more; exits 1 after `timeout_s`."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(f"{name}: starting")

        def show(running: int, wanted: int, message: str) -> None:
            progress.update(bar, completed=running, total=wanted, description=f"{name}: {message}")

        problem = session.run(lambda client: _wait(client, name, timeout_s, show))
    if problem is not None:
        click.echo(f"hivemind: {name} is not complete after {timeout_s:g} s: {problem}", err=True)
        sys.exit(Exit.GENERAL)


async def _wait(client: Client, name: str, timeout_s: float, show: Callable[[int, int, str], None]) -> str | None:
    problem = "no answer yet"
    news = trio.Event()

    async def listen() -> None:
        nonlocal news
        stream = client.events(resources=[f"app/{name}"])
        async with aclosing(stream):
            async for _ in stream:
                news.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        with trio.move_on_after(timeout_s):
            while True:
                news = trio.Event()
                done, problem = await _look(client, name, show)
                if done:
                    nursery.cancel_scope.cancel()
                    return None
                with trio.move_on_after(_LOOK_AGAIN_S):
                    await news.wait()
                await trio.sleep(_LOOKS_PAUSE_S)
        nursery.cancel_scope.cancel()
    return problem


async def _look(client: Client, name: str, show: Callable[[int, int, str], None]) -> tuple[bool, str]:
    app = await client.get(f"/apps/{name}")
    containers, wanted = app["containers"], app["replicas"]
    ready = [c for c in containers if c["status"] == "running" and c.get("health") in (None, "healthy")]
    messages = sorted({c["message"] for c in containers if c.get("message")})
    problem = f"{len(ready)} of {wanted} run" + (f" ({'; '.join(messages)})" if messages else "")
    show(len(ready), wanted, messages[0] if messages else "starting")
    unplaced = app.get("mode") == "global" and not wanted
    return len(ready) == wanted == len(containers) and not unplaced, problem
