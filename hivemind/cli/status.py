"""``hivemind status``, ``wait`` and ``version``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from hivemind.cli.exits import Exit
from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options
from hivemind.client import ClientError

if TYPE_CHECKING:
    from hivemind.client import Client


@click.command()
@session_options
def status(session: Session) -> None:
    """The health of the whole."""
    health = session.run(lambda client: client.get("/health"))
    if session.output != "table":
        show(session.output, health)
        return
    counts = ", ".join(f"{number} {severity}" for severity, number in health["alerts"].items() if number)
    show("table", {"status": health["status"], "leader": health["leader"], "alerts": counts or "none"})
    rows = [{"component": name, **component} for name, component in health["components"].items()]
    show("table", rows, {name.upper(): name for name in ("component", "status", "total", "healthy", "unhealthy")})


@click.command()
@click.option("--nodes", default=1, show_default=True, help="How many nodes must be ready.")
@click.option("--timeout", default=30.0, show_default=True, help="Seconds to wait.")
@session_options
def wait(session: Session, nodes: int, timeout: float) -> None:
    """Wait until NODES nodes are ready and there is a leader; else exit 1 and say what is missing."""

    from hivemind.cli.waiting import look_until

    async def missing(client: Client) -> str | None:
        try:
            answer = await client.request("GET", "/health")
        except ClientError as error:
            return str(error)
        ready = answer.data["components"]["nodes"]["healthy"]
        if ready < nodes:
            return f"{ready} of {nodes} nodes are ready"
        return None if answer.leader else "there is no leader"

    async def until_ready(client: Client) -> str | None:
        problem: str | None = "no answer yet"

        async def look() -> bool:
            nonlocal problem
            problem = await missing(client)
            return problem is None

        await look_until(look, timeout)
        return problem

    problem = session.run(until_ready)
    if problem is not None:
        click.echo(f"hivemind: not ready after {timeout:g} s: {problem}", err=True)
        sys.exit(Exit.GENERAL)


@click.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed_version

    click.echo(installed_version("hivemind"))
