"""Waiting for a deployment's end, with its steps as they come."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import click
import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from hivemind.cli.exits import Exit
from hivemind.cli.session import Session
from hivemind.client import Client

_LOOK_AGAIN_S = 3.0
_LOOKS_PAUSE_S = 0.7  # keeps a long wait under the API's 100 requests a minute
_HELD = ("paused",)
_ENDED = ("completed", "failed", "rolled_back", *_HELD)


def wait_for_deployment(session: Session, deployment_id: str, timeout_s: float) -> None:
    """Returns when it is completed; exits 1 where it ends otherwise, is paused, or takes longer than `timeout_s`."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(f"{deployment_id}: starting")

        def show(status: dict[str, Any]) -> None:
            step = f"step {status['current_step']}/{status['total_steps']}"
            progress.update(
                bar,
                completed=status["current_replicas"],
                total=status["target_replicas"],
                description=f"{step}: {status['message'] or status['status']}",
            )

        last = session.run(lambda client: _wait(client, deployment_id, timeout_s, show))
    if last["status"] != "completed":
        told = f"is {last['status']}: {last['message']}" if last["status"] in _ENDED else f"goes on: {last['message']}"
        click.echo(f"hivemind: {deployment_id} {told}", err=True)
        sys.exit(Exit.GENERAL)


async def _wait(
    client: Client, deployment_id: str, timeout_s: float, show: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    status: dict[str, Any] = {"status": "unknown", "message": "no answer yet"}
    news = trio.Event()

    async def listen() -> None:
        stream = client.events(resources=[f"deployment/{deployment_id}"])
        async with aclosing(stream):
            async for _ in stream:
                news.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        with trio.move_on_after(timeout_s):
            while True:
                news = trio.Event()
                status = await client.get(f"/deployments/{deployment_id}/status")
                show(status)
                if status["status"] in _ENDED:
                    break
                with trio.move_on_after(_LOOK_AGAIN_S):
                    await news.wait()
                await trio.sleep(_LOOKS_PAUSE_S)
        nursery.cancel_scope.cancel()
    return status
