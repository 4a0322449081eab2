"""``hivemind admin …``: settings of the cluster; a stopped node's files, for the day that something is lost."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from hivemind.cli import admin_config
from hivemind.cli.exits import Exit
from hivemind.cli.output import show

_DATA_DIR = click.argument("data_dir", type=click.Path(exists=True, file_okay=False, path_type=Path))


@click.group()
def admin() -> None:
    """Settings of the cluster; a stopped node's files: look at them, copy them, begin anew after a lost quorum."""


@admin.command()
@_DATA_DIR
@click.option("--output", "-o", type=click.Choice(["table", "json", "yaml"]), default="table", show_default=True)
def inspect(data_dir: Path, output: str) -> None:
    """What is in DATA_DIR: term, vote, voters, how far snapshot and log reach, and what the state holds."""
    from hivemind.admin import offline

    try:
        show(output, offline.describe(data_dir))
    except offline.PROBLEMS as error:
        _fail(error)


@admin.command()
@click.option("--from", "data_dir", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(data_dir: Path, file: Path) -> None:
    """Write the state of the stopped node at --from to FILE: one index, checksummed; secrets stay sealed."""
    from hivemind.admin import offline

    try:
        index = offline.back_up(data_dir, file)
    except offline.PROBLEMS as error:
        _fail(error)
    os.chmod(file, 0o600)
    click.echo(f"wrote the state at index {index} to {file}")


@admin.command()
@click.option("--from", "data_dir", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
def recover(data_dir: Path, yes: bool) -> None:
    """After a lost quorum: let the node of --from lead alone, so that others can join it again.

    Choose the node whose log reaches furthest (`hivemind admin inspect`). Kept is all that is in its log, also writes
    that were never acknowledged; lost is what only the others had. None of the others may start again with its old
    files: empty their data-dirs, and join them as new nodes.
    """
    from hivemind.admin import offline

    if not yes:
        click.confirm(f"Make the node in {data_dir} the only voter of its cluster, for good?", abort=True)
    try:
        show("table", offline.recover(data_dir))
    except offline.PROBLEMS as error:
        _fail(error)


def _fail(error: Exception) -> None:
    click.echo(f"hivemind: {error}", err=True)
    sys.exit(Exit.GENERAL)


admin.add_command(admin_config.config)
