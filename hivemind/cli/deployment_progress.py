"""Waiting for a deployment's end, with its steps as they come."""

from __future__ import annotations

import sys
from typing import Any

import click

from hivemind.cli.exits import Exit
from hivemind.cli.progress import Bar, bar
from hivemind.cli.session import Session
from hivemind.cli.waiting import look_at_news
from hivemind.client import Client

_HELD = ("paused",)
_ENDED = ("completed", "failed", "rolled_back", *_HELD)


def wait_for_deployment(session: Session, deployment_id: str, timeout_s: float) -> None:
    """Returns when it is completed; exits 1 where it ends otherwise, is paused, or takes longer than `timeout_s`."""
    with bar(f"{deployment_id}: starting") as shown:
        last = session.run(lambda client: _wait(client, deployment_id, timeout_s, shown))
    if last["status"] != "completed":
        told = f"is {last['status']}: {last['message']}" if last["status"] in _ENDED else f"goes on: {last['message']}"
        click.echo(f"hivemind: {deployment_id} {told}", err=True)
        sys.exit(Exit.GENERAL)


async def _wait(client: Client, deployment_id: str, timeout_s: float, shown: Bar) -> dict[str, Any]:
    status: dict[str, Any] = {"status": "unknown", "message": "no answer yet"}

    async def look() -> bool:
        nonlocal status
        status = await client.get(f"/deployments/{deployment_id}/status")
        step = f"step {status['current_step']}/{status['total_steps']}"
        told = f"{step}: {status['message'] or status['status']}"
        shown.update(status["current_replicas"], status["target_replicas"], told)
        return status["status"] in _ENDED

    await look_at_news(client, f"deployment/{deployment_id}", look, timeout_s)
    return status
