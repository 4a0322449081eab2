"""``hivemind app update|history|diff|rollback``: changing an app, what it was, and the way back."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import click

from hivemind.cli.app_spec import deploy_body
from hivemind.cli.output import as_yaml, show, warned
from hivemind.cli.session import Session, session_options
from hivemind.cli.spec_options import spec_options
from hivemind.cli.strategy_options import strategy_body, strategy_options

_COLUMNS = {
    "REVISION": "number",
    "IMAGE": "image",
    "DIGEST": "digest",
    "CREATED": "created_at",
    "CURRENT": "current",
    "REASON": "reason",
}
_SHOWN_DIGITS = 12
_detach = click.option("--detach", "-d", is_flag=True, help="Do not wait for the end.")
_timeout = click.option("--timeout", default=900.0, show_default=True, help="Seconds to wait for the end.")


def _revisions(session: Session, name: str) -> list[dict[str, Any]]:
    """Newest first."""
    found: list[dict[str, Any]] = session.run(lambda client: client.get(f"/apps/{name}/history"))["revisions"]
    return found


def _revision(session: Session, name: str, number: int) -> dict[str, Any]:
    for revision in _revisions(session, name):
        if revision["number"] == number:
            return revision
    raise click.UsageError(f"app {name!r} has no revision {number}; see `hivemind app history {name}`")


@click.command()
@click.argument("name")
@spec_options
@strategy_options
@_detach
@_timeout
@click.argument("args", nargs=-1)
@session_options
def update(session: Session, name: str, file: Path | None, detach: bool, timeout: float, **options: Any) -> None:
    """Change an app: its present spec, or --file, overlaid by the flags. What follows -- takes the place of the
    command's arguments. With --image or --file the registry is asked which image the tag is now; else it stays the one
    that it was."""
    strategy = strategy_body(options)
    base = _revisions(session, name)[0]["spec"]
    if options["replicas"] is None and base.get("mode") != "global":
        base["replicas"] = session.run(lambda client: client.get(f"/apps/{name}"))["replicas"]
    body = deploy_body(file, base=base, name=name, **options)
    if strategy is not None:
        body["update_strategy"] = strategy
    answer = warned(session.output, session.run(lambda client: client.put(f"/apps/{name}", body)))
    if not detach:
        from hivemind.cli.deployment_progress import wait_for_deployment

        wait_for_deployment(session, answer["deployment_id"], timeout)
    show(session.output, answer)


@click.command()
@click.argument("name")
@session_options
def history(session: Session, name: str) -> None:
    """List an app's revisions, the newest first."""
    rows = _revisions(session, name)
    show(session.output, [_with_digest(row) for row in rows] if session.output == "table" else rows, _COLUMNS)


def _with_digest(revision: dict[str, Any]) -> dict[str, Any]:
    """As many of its digits as engines show."""
    _, _, digits = (revision.get("image_digest") or "").partition(":")
    return {**revision, "digest": digits[:_SHOWN_DIGITS]}


@click.command()
@click.argument("name")
@click.argument("old", type=int, required=False)
@click.argument("new", type=int, required=False)
@session_options
def diff(session: Session, name: str, old: int | None, new: int | None) -> None:
    """What changed between two revisions (default: from the one before to the present one)."""
    revisions = _revisions(session, name)
    newest = revisions[0]["number"] if new is None else new
    before = newest - 1 if old is None else old
    specs = [as_yaml(_revision(session, name, number)["spec"]) for number in (before, newest)]
    lines = difflib.unified_diff(
        specs[0].splitlines(), specs[1].splitlines(), f"revision {before}", f"revision {newest}", lineterm=""
    )
    for line in lines:
        click.echo(line)


@click.command()
@click.argument("name")
@click.option("--to", type=click.IntRange(min=1), help="The revision (default: the one before).")
@_detach
@_timeout
@session_options
def rollback(session: Session, name: str, to: int | None, detach: bool, timeout: float) -> None:
    """Deploy an earlier revision again."""
    answer = warned(session.output, session.run(lambda client: client.post(f"/apps/{name}/rollback", {"to": to})))
    if not detach:
        from hivemind.cli.deployment_progress import wait_for_deployment

        wait_for_deployment(session, answer["deployment_id"], timeout)
    show(session.output, answer)
