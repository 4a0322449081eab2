"""``hivemind admin config …``: settings of the whole cluster."""

from __future__ import annotations

import fnmatch
import json
from typing import Any

import click

from hivemind.cli.exits import Exit
from hivemind.cli.listing import all_rows
from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options
from hivemind.cli.verbs import add_request

_COLUMNS = {"KEY": "key", "VALUE": "value", "DEFAULT": "default", "EXPECTED": "expected", "WHAT": "description"}


@click.group()
def config() -> None:
    """Settings of the whole cluster: the same on every node, at once."""


@config.command()
@click.argument("key", default="*")
@session_options
def get(session: Session, key: str) -> None:
    """Show one setting, or all that KEY matches: `scheduler.*`; without KEY all."""
    rows = all_rows(session, "/config", "settings")
    found = [row for row in rows if fnmatch.fnmatchcase(row["key"], key)]
    if not found:
        click.echo(f"hivemind: there is no setting {key!r}; `hivemind admin config get` lists them", err=True)
        raise SystemExit(Exit.NOT_FOUND)
    if len(found) == 1 and found[0]["key"] == key:
        show(session.output, found[0])
    else:
        show(session.output, found, _COLUMNS)


@config.command("set")
@click.argument("key")
@click.argument("value")
@session_options
def set_(session: Session, key: str, value: str) -> None:
    """Set one: `hivemind admin config set scheduler.strategy BestFit`."""
    show(session.output, session.run(lambda client: client.put(f"/config/{key}", {"value": _scalar(value)})))


add_request(config, "unset", "DELETE", "/config/{key}", "Give one its default again.")


def _scalar(text: str) -> Any:
    """A number or true or false where it reads as one, else the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text
