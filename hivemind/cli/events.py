"""``hivemind events``: what happens in the cluster, live."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import click

from hivemind.cli.output import as_yaml
from hivemind.cli.session import Session, session_options

if TYPE_CHECKING:
    from hivemind.client import Client


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Wait for more (Ctrl-C ends it).")
@click.option("--types", help="Comma-separated event types.")
@click.option("--resources", help="Comma-separated resources, such as app/web or node/node-1.")
@click.option("--since", help="Go on after this event id.")
@session_options
def events(session: Session, follow: bool, types: str | None, resources: str | None, since: str | None) -> None:
    """Print the remembered events; with --follow those that come."""

    async def remembered(client: Client) -> None:
        filters = {"types": types, "resources": resources, "since": since}
        for event in (await client.get("/events", limit=1000, **filters))["events"]:
            _print(session.output, event)

    async def live(client: Client) -> None:
        stream = client.events(types=_split(types), resources=_split(resources), since=since)
        async with aclosing(stream):
            async for event in stream:
                if event.type != "heartbeat":
                    _print(session.output, {"id": event.id, "type": event.type, "data": event.data})

    try:
        session.run(live if follow else remembered)
    except KeyboardInterrupt:
        click.echo()


def _split(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _print(output: str, event: dict[str, Any]) -> None:
    if output == "yaml":
        click.echo("---\n" + as_yaml(event), nl=False)
        return
    if output == "json":
        click.echo(json.dumps(event))
        return
    data = event["data"]
    about = " ".join(
        f"{key}={value}"
        for key, value in data.items()
        if key not in ("timestamp", "container_id") and value not in (None, "")
    )
    click.echo(f"{data.get('timestamp', '-')}  {event['type']:<26} {about}")
