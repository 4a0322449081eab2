"""Waiting for an app's replicas."""

from __future__ import annotations

import sys

import click

from hivemind.cli.exits import Exit
from hivemind.cli.progress import Bar, bar
from hivemind.cli.session import Session
from hivemind.cli.waiting import look_at_news
from hivemind.client import Client

_SERVING = ("healthy", "degraded")


def wait_for_replicas(session: Session, name: str, timeout_s: float) -> None:
    """Returns when as many replicas serve (run, and are healthy) as are wanted, and no more, or all have done their
    work; exits 1 after `timeout_s`."""
    with bar(f"{name}: starting") as shown:
        problem = session.run(lambda client: _wait(client, name, timeout_s, shown))
    if problem is not None:
        click.echo(f"hivemind: {name} is not complete after {timeout_s:g} s: {problem}", err=True)
        sys.exit(Exit.GENERAL)


async def _wait(client: Client, name: str, timeout_s: float, shown: Bar) -> str | None:
    """What is missing still."""
    problem: str | None = "no answer yet"

    async def look() -> bool:
        nonlocal problem
        problem = await _missing(client, name, shown)
        return problem is None

    await look_at_news(client, f"app/{name}", look, timeout_s)
    return problem


async def _missing(client: Client, name: str, shown: Bar) -> str | None:
    app = await client.get(f"/apps/{name}")
    containers, wanted = app["containers"], app["replicas"]
    # A node of an older version does not say how they are.
    ready = [c for c in containers if c["status"] == "running" and c.get("health", _SERVING[0]) in _SERVING]
    messages = sorted({c["message"] for c in containers if c.get("message")})
    shown.update(len(ready), wanted, f"{name}: {messages[0] if messages else 'starting'}")
    unplaced = app.get("mode") == "global" and not wanted
    if app["status"] == "completed" or (len(ready) == wanted == len(containers) and not unplaced):
        return None
    return f"{len(ready)} of {wanted} serve" + (f" ({'; '.join(messages)})" if messages else "")
