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
    click.option("--namespace", help="The namespace that it belongs to, for good (default: default)."),
    click.option("--image", help="What to run; with the process engine, a name for it."),
    click.option(
        "--resolve-image/--no-resolve-image",
        default=None,
        help="Whether all replicas run what the registry has under that tag now (default: they do).",
    ),
    click.option("--replicas", type=click.IntRange(min=0), help="How many of them (default: 1)."),
    click.option("--global", "mode", flag_value="global", default=None, help="One replica on each node that fits."),
    click.option("--service", help="The name under which the replicas are reached."),
    click.option(
        "--port", "ports", multiple=True, metavar="[HOST:]CONTAINER[/PROTO]", help="A port, published or not."
    ),
    click.option("--env", "-e", multiple=True, metavar="KEY=VALUE", help="An environment variable; again for more."),
    click.option("--label", "-l", multiple=True, metavar="KEY=VALUE", help="A label; again for more."),
    click.option(
        "--volume", "-v", "volumes", multiple=True, metavar="NAME:PATH[:ro]", help="A volume mounted at PATH."
    ),
    click.option("--cpu", type=float, help="Cores that a replica needs."),
    click.option("--memory", help="Memory that a replica needs, such as 256M."),
    click.option("--cpu-limit", type=float, help="Cores that a replica may take at most."),
    click.option("--memory-limit", help="Memory that a replica may take at most."),
    click.option("--health-command", help="Run in the container to probe it; exit code 0 is healthy."),
    click.option("--health-http", metavar="[PORT]/PATH", help="A GET that probes it: 8080/healthz, or /healthz."),
    click.option("--health-tcp", metavar="PORT", type=click.IntRange(1, 65535), help="A connection that probes it."),
    click.option("--health-interval", help="Between probes, such as 30s."),
    click.option("--health-timeout", help="How long a probe may take, such as 5s."),
    click.option("--health-retries", type=int, help="Failures in a row that make it unhealthy."),
    click.option("--health-start-period", help="How long failures do not count at first."),
    click.option("--restart", metavar="POLICY[:MAX]", help="always, on-failure or no, and how often at most."),
    click.option("--node-affinity", metavar="KEY=VALUE", help="Only nodes with this label."),
    click.option("--service-affinity", metavar="KEY=VALUE", help="Near the replicas with this label."),
    click.option("--spread", metavar="LABEL", help="Spread over the values of this label of nodes, then over nodes."),
    click.option("--rebalance/--no-rebalance", default=None, help="Whether replicas may be moved to idler nodes."),
    click.option(
        "--autoscale", metavar="MIN-MAX@PERCENT|off", help="As many as use that share of the CPU that they request."
    ),
    click.option("--depends-on", multiple=True, metavar="APP[:started]", help="Start when this app is healthy."),
    click.option("--min-available", metavar="N|PERCENT", help="How many are enough while nodes are drained."),
    click.option("--reschedule-after", help="How long a lost node is awaited, such as 5m (default: not at all)."),
    click.option(
        "--keep-lost/--no-keep-lost",
        default=None,
        help="Whether a lost node's replicas stay its own, lest any run twice.",
    ),
    click.option(
        "--toleration", multiple=True, metavar="KEY[=VALUE][:EFFECT]", help="A taint that does not keep it away."
    ),
    click.option("--stop-signal", help="What asks a replica to end (default: its image's, else SIGTERM)."),
    click.option("--stop-grace-period", help="How long it may take to end, such as 30s."),
    click.option("--drain-timeout", help="How long it runs on without new requests before it is asked to end."),
    click.option("--priority-class", help="Who is placed first, and whom it may displace."),
)


def spec_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds them; `app_spec.deploy_body` makes a body of what they give."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
