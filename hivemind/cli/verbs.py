"""Commands that only ask for one path, as most of a noun's are: ls, info, delete and the like."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import click

from hivemind.cli.listing import all_rows
from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options

Row = dict[str, Any]


def add_list(
    group: click.Group,
    path: str,
    key: str,
    columns: Mapping[str, str],
    text: str,
    *,
    row: Callable[[Row], Row] = lambda row: row,
) -> None:
    """Adds `ls`: all of the list at `path`, which is answered under `key`. `row` makes a table's row of an item."""

    @group.command("ls", help=text)
    @session_options
    def ls(session: Session) -> None:
        rows = all_rows(session, path, key)
        show(session.output, list(map(row, rows)) if session.output == "table" else rows, columns)


def add_request(group: click.Group, name: str, method: str, path: str, text: str) -> None:
    """Adds `name`: a request without a body. The command's arguments are `path`'s: ``/groups/{name}``."""

    def ask(session: Session, **arguments: str) -> None:
        answer = session.run(lambda client: client.request(method, path.format(**arguments)))
        show(session.output, answer.data)

    command = session_options(ask)
    for argument in reversed(re.findall(r"\{(\w+)\}", path)):
        command = click.argument(argument)(command)
    group.command(name, help=text)(command)
