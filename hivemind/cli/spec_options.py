"""The flags that say what an app shall be: of ``app deploy`` and ``app update``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_OPTIONS = (
    click.option(
        "--file", "-f", type=click.Path(exists=True, path_type=Path), help="A YAML or JSON body of POST /deploy."
    ),
    click.option("--image"),
    click.option("--replicas", type=click.IntRange(min=0)),
    click.option("--service", help="The name under which the replicas are reached."),
    click.option(
        "--port", "ports", multiple=True, metavar="[HOST:]CONTAINER[/PROTO]", help="A port, published or not."
    ),
    click.option("--env", "-e", multiple=True, metavar="KEY=VALUE"),
    click.option("--label", "-l", multiple=True, metavar="KEY=VALUE"),
    click.option("--volume", "-v", "volumes", multiple=True, metavar="NAME:PATH[:ro]"),
    click.option("--cpu", type=float, help="Cores that a replica needs."),
    click.option("--memory", help="Memory that a replica needs, such as 256M."),
    click.option("--cpu-limit", type=float),
    click.option("--memory-limit"),
    click.option("--health-command", help="Exit code 0 is healthy."),
    click.option("--health-interval"),
    click.option("--health-timeout"),
    click.option("--health-retries", type=int),
    click.option("--health-start-period"),
    click.option("--node-affinity", metavar="KEY=VALUE"),
    click.option("--service-affinity", metavar="KEY=VALUE"),
    click.option("--priority-class"),
)


def spec_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds them; `app_spec.deploy_body` makes a body of what they give."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
