"""``hivemind api``: any operation, for what has no command of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from hivemind.cli.app_spec import read_body
from hivemind.cli.session import Session, session_options


@click.command("api")
@click.argument("method", type=click.Choice(["GET", "POST", "PUT", "PATCH", "DELETE"], case_sensitive=False))
@click.argument("path")
@click.option("--query", "-q", "queries", multiple=True, metavar="NAME=VALUE", help="A query parameter.")
@click.option("--data", "-d", help="The body, as JSON.")
@click.option("--file", "-f", type=click.Path(exists=True, path_type=Path), help="The body, as YAML or JSON.")
@session_options
def api_call(
    session: Session, method: str, path: str, queries: tuple[str, ...], data: str | None, file: Path | None
) -> None:
    """Ask the API: hivemind api POST /batch -f operations.yaml. It prints what is answered.

    PATH is below /api; /api/docs of any node lists them.
    """
    if data is not None and file is not None:
        raise click.UsageError("expected --data or --file, not both")
    params = dict(map(_parameter, queries))
    body = None if data is None else _json(data)
    if file is not None:
        body = read_body(file)

    asked = "/" + path.lstrip("/")
    click.echo(session.run(lambda client: client.raw(method.upper(), asked, body=body, params=params)))


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"expected NAME=VALUE, got {text!r}", param_hint="--query")
    return name, value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"expected JSON: {error}", param_hint="--data") from None
