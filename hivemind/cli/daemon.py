"""``hivemind daemon``: one flag for every row of the settings' table."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Any

import click

from hivemind.cli.exits import Exit
from hivemind.config import ConfigError, load
from hivemind.settings import SETTINGS


def _with_settings(command: Any) -> Any:
    for setting in reversed(SETTINGS):
        command = click.option(
            setting.flag,
            setting.name,
            multiple=setting.repeatable,
            metavar="VALUE",
            help=f"{setting.help} [{setting.expected}; {setting.env_name}]",
        )(command)
    return command


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="A YAML file of settings [HIVEMIND_CONFIG].")
@_with_settings
def daemon(config: Path | None, **flags: Any) -> None:
    """Run this node. Without --join and without state it founds a cluster."""
    # Looking for garbage among all that imports make, which is none, takes a fifth of their time.
    gc.disable()
    # Imported here: the other commands must not wait for the server's libraries.
    from hivemind.run import run_daemon
    from hivemind.startup.obtain import StartupError

    gc.freeze()
    gc.enable()
    try:
        settings = load(flags, os.environ, config)
    except ConfigError as error:
        click.echo(f"hivemind: {error}", err=True)
        sys.exit(Exit.USAGE)
    try:
        run_daemon(settings)
    except StartupError as error:
        click.echo(f"hivemind: {error}", err=True)
        sys.exit(Exit.GENERAL)
