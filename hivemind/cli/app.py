"""``hivemind app …``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hivemind.cli import app_update
from hivemind.cli.app_spec import deploy_body
from hivemind.cli.logs import print_logs
from hivemind.cli.output import show, warned
from hivemind.cli.session import Session, session_options
from hivemind.cli.spec_options import spec_options
from hivemind.cli.verbs import add_list, add_request

_COLUMNS = {
    "NAME": "name",
    "IMAGE": "image",
    "STATUS": "status",
    "RUNNING": "running_replicas",
    "REPLICAS": "replicas",
    "SERVICE": "service",
    "CREATED": "created_at",
}
_detach = click.option("--detach", "-d", is_flag=True, help="Do not wait for the replicas to run and be healthy.")


@click.group()
def app() -> None:
    """Applications."""


@app.command(context_settings={"ignore_unknown_options": False})
@click.option("--name")
@spec_options
@_detach
@click.option("--timeout", default=300.0, show_default=True, help="Seconds to wait for the replicas.")
@click.argument("args", nargs=-1)
@session_options
def deploy(session: Session, file: Path | None, detach: bool, timeout: float, **options: Any) -> None:
    """Deploy an app. What follows -- is the command's arguments."""
    body = deploy_body(file, **options)
    answer = warned(session.output, session.run(lambda client: client.post("/deploy", body)))
    if not detach:
        from hivemind.cli.app_progress import wait_for_replicas

        wait_for_replicas(session, body["name"], timeout)
    show(session.output, answer)


@app.command()
@click.option("--name")
@spec_options
@click.argument("args", nargs=-1)
@session_options
def plan(session: Session, file: Path | None, **options: Any) -> None:
    """Show where the replicas of a deploy would go, and why not; deploys nothing."""
    body = deploy_body(file, **options)
    answer = session.run(lambda client: client.request("POST", "/deploy", body=body, params={"dry_run": True})).data
    if session.output != "table":
        show(session.output, answer)
        return
    warned(session.output, answer)
    show(session.output, answer["placements"], {"NODE": "node_id", "SCORE": "score.total", "WHY": "message"})
    for task_id in answer["preempted"]:
        click.echo(f"would be preempted, and queued again: {task_id}")
    if "image_digest" in answer:
        click.echo(f"all replicas would run {body['image']} of digest {answer['image_digest']}")
    click.echo(answer["message"])


add_list(app, "/apps", "apps", _COLUMNS, "List the apps.")
add_request(app, "info", "GET", "/apps/{name}", "Show one app and its containers.")


@app.command()
@click.argument("name")
@click.argument("replicas", type=click.IntRange(min=0))
@_detach
@click.option("--timeout", default=300.0, show_default=True)
@session_options
def scale(session: Session, name: str, replicas: int, detach: bool, timeout: float) -> None:
    """Change how many replicas an app has."""
    answer = session.run(lambda client: client.post("/scale", {"name": name, "replicas": replicas}))
    if not detach:
        from hivemind.cli.app_progress import wait_for_replicas

        wait_for_replicas(session, name, timeout)
    show(session.output, answer)


@app.command()
@click.argument("name")
@session_options
def restart(session: Session, name: str) -> None:
    """Replace the replicas one after the other."""
    show(session.output, session.run(lambda client: client.post("/restart", {"name": name})))


add_request(app, "delete", "DELETE", "/apps/{name}", "Delete an app and its containers.")


@app.command()
@click.argument("name")
@click.option("--follow", "-f", is_flag=True)
@click.option("--tail", type=click.IntRange(min=0), help="Lines from the end.")
@click.option("--since", help="RFC 3339 or Unix seconds.")
@session_options
def logs(session: Session, name: str, follow: bool, tail: int | None, since: str | None) -> None:
    """Print what the app's containers write, each line with its container."""
    print_logs(
        session,
        lambda client: client.app_logs(name, tail=tail, since=since),
        lambda client: client.follow_app_logs(name, tail=tail, since=since),
        follow=follow,
    )


for command in (app_update.update, app_update.history, app_update.diff, app_update.rollback):
    app.add_command(command)
