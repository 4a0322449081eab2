"""``hivemind deployment …``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hivemind.cli.app_spec import mapping, merge, overlay, pair, read_body
from hivemind.cli.output import show, warned
from hivemind.cli.session import Session, session_options
from hivemind.cli.strategy_options import strategy_body, strategy_options
from hivemind.cli.verbs import add_request

_COLUMNS = {
    "ID": "id",
    "APP": "app_name",
    "IMAGE": "image",
    "STRATEGY": "strategy",
    "STATUS": "status",
    "CREATED": "created_at",
    "MESSAGE": "message",
}
_detach = click.option("--detach", "-d", is_flag=True, help="Do not wait for the end.")
_timeout = click.option("--timeout", default=900.0, show_default=True, help="Seconds to wait for the end.")


@click.group()
def deployment() -> None:
    """How apps are changed."""


@deployment.command("ls")
@click.option("--app", "app_name", help="Of this app only.")
@click.option("--status")
@session_options
def ls(session: Session, app_name: str | None, status: str | None) -> None:
    """List the deployments, the newest first."""
    answer = session.run(lambda client: client.get("/deployments", app_name=app_name, status=status))
    show(session.output, answer["deployments"], _COLUMNS)


@deployment.command()
@click.argument("app_name", required=False)
@click.option(
    "--file", "-f", type=click.Path(exists=True, path_type=Path), help="A YAML or JSON body of POST /deployments."
)
@click.option("--image")
@click.option(
    "--resolve-image/--no-resolve-image",
    default=None,
    help="Whether all replicas run what the registry has under that tag now (default: as the app).",
)
@click.option("--replicas", type=click.IntRange(min=0))
@click.option("--env", "-e", multiple=True, metavar="KEY=VALUE")
@click.option("--label", "-l", multiple=True, metavar="KEY=VALUE")
@click.option("--execute", is_flag=True, help="Begin at once, and wait for the end.")
@strategy_options
@_detach
@_timeout
@session_options
def create(session: Session, file: Path | None, execute: bool, detach: bool, timeout: float, **options: Any) -> None:
    """Record how an app shall change: --file, overlaid by the flags."""
    body = _body(file, **options)
    answer = warned(session.output, session.run(lambda client: client.post("/deployments", body)))
    if execute:
        session.run(lambda client: client.post(f"/deployments/{answer['id']}/execute"))
        if not detach:
            from hivemind.cli.deployment_progress import wait_for_deployment

            wait_for_deployment(session, answer["id"], timeout)
    show(session.output, answer)


def _body(file: Path | None, *, env: Sequence[str], label: Sequence[str], **options: Any) -> dict[str, Any]:
    body = {} if file is None else read_body(file)
    strategy = strategy_body(options, mapping(body, "strategy"))
    overlay(body, {**options, "strategy": strategy}, ("app_name", "image", "resolve_image", "replicas", "strategy"))
    merge(body, "environment", dict(pair("--env", text) for text in env))
    merge(body, "labels", dict(pair("--label", text) for text in label))
    if not body.get("app_name"):
        raise click.UsageError("APP_NAME is needed (or `app_name` in the file)")
    return body


add_request(deployment, "info", "GET", "/deployments/{deployment_id}", "Show one deployment.")


@deployment.command()
@click.argument("deployment_id")
@click.option("--wait", is_flag=True, help="Wait for the end.")
@_timeout
@session_options
def status(session: Session, deployment_id: str, wait: bool, timeout: float) -> None:
    """Show how far one is."""
    if wait:
        from hivemind.cli.deployment_progress import wait_for_deployment

        wait_for_deployment(session, deployment_id, timeout)
    show(session.output, session.run(lambda client: client.get(f"/deployments/{deployment_id}/status")))


@deployment.command()
@click.argument("deployment_id")
@_detach
@_timeout
@session_options
def execute(session: Session, deployment_id: str, detach: bool, timeout: float) -> None:
    """Begin one that was recorded."""
    answer = session.run(lambda client: client.post(f"/deployments/{deployment_id}/execute"))
    if not detach:
        from hivemind.cli.deployment_progress import wait_for_deployment

        wait_for_deployment(session, deployment_id, timeout)
    show(session.output, answer)


@deployment.command()
@click.argument("deployment_id")
@click.option("--variant", help="The winner of an A/B test.")
@session_options
def promote(session: Session, deployment_id: str, variant: str | None) -> None:
    """Let one go on to its next step, also out of a pause."""
    body = {} if variant is None else {"variant": variant}
    show(session.output, session.run(lambda client: client.post(f"/deployments/{deployment_id}/promote", body)))


add_request(
    deployment, "rollback", "POST", "/deployments/{deployment_id}/rollback", "Go back to what the app was before."
)
