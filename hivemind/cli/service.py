"""``hivemind service …``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hivemind.cli.app_spec import read_body
from hivemind.cli.output import show
from hivemind.cli.session import Session, session_options
from hivemind.cli.verbs import Row, add_list, add_request

_COLUMNS = {
    "NAME": "name",
    "ADDRESS": "virtual_ip",
    "APPS": "apps",
    "ENDPOINTS": "endpoint_count",
    "BALANCING": "load_balancing_strategy",
}
_STRATEGIES = ("round-robin", "weighted-round-robin", "random", "ip-hash", "least-connections")
_OPTIONS = (
    click.option("--file", "-f", type=click.Path(exists=True, path_type=Path), help="A YAML or JSON body."),
    click.option("--strategy", type=click.Choice(_STRATEGIES), help="How requests are spread over the endpoints."),
    click.option("--affinity", type=click.Choice(["none", "client-ip"]), help="Keep a client at its endpoint."),
    click.option("--affinity-timeout", help="For how long after its last connection, such as 30m."),
    click.option("--prefer", type=click.Choice(["any", "local"]), help="Endpoints on the node that was asked."),
    click.option("--proxy-protocol", type=click.Choice(["off", "v2"]), help="Tell endpoints the client's address."),
    click.option(
        "--weight",
        "weights",
        multiple=True,
        metavar="APP=N",
        help="An app's part of the requests; deploy it with --service.",
    ),
    click.option("--port", "ports", multiple=True, metavar="[HOST:]PORT[:TARGET][/PROTO]", help="A port."),
    click.option("--endpoint", "endpoints", multiple=True, metavar="ADDRESS[:PORT]", help="An address to lead to."),
)


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group()
def service() -> None:
    """The names and virtual addresses under which apps are reached."""


def _counted(row: Row) -> Row:
    return {**row, "endpoint_count": len(row["endpoints"])}


add_list(service, "/services", "services", _COLUMNS, "List the services.", row=_counted)
add_request(service, "info", "GET", "/services/{name}", "Show one service and where its replicas are reached.")


@service.command()
@click.argument("name")
@click.option("--namespace", help="The namespace that it belongs to, for good (default: default).")
@_options
@session_options
def create(session: Session, name: str, namespace: str | None, **options: Any) -> None:
    """Make a service that stands by itself: for given addresses, or for several apps."""
    body = {**_body(**options), "name": name}
    if namespace is not None:
        body["namespace"] = namespace
    show(session.output, session.run(lambda client: client.post("/services", body)))


@service.command()
@click.argument("name")
@_options
@session_options
def update(session: Session, name: str, **options: Any) -> None:
    """Change how a service is balanced; what is left out stays as it is."""
    body = _body(**options)
    show(session.output, session.run(lambda client: client.put(f"/services/{name}", body)))


add_request(service, "delete", "DELETE", "/services/{name}", "Delete a service that no app is reached by.")


def _body(
    file: Path | None,
    strategy: str | None,
    affinity: str | None,
    affinity_timeout: str | None,
    prefer: str | None,
    proxy_protocol: str | None,
    weights: tuple[str, ...],
    ports: tuple[str, ...],
    endpoints: tuple[str, ...],
) -> dict[str, Any]:
    given: dict[str, Any] = {
        "load_balancing_strategy": strategy,
        "session_affinity": affinity,
        "session_timeout": affinity_timeout,
        "prefer": prefer,
        "proxy_protocol": proxy_protocol,
        "weights": dict(map(_weight, weights)) or None,
        "ports": [_port(text) for text in ports] or None,
        "endpoints": [_endpoint(text) for text in endpoints] or None,
    }
    base = {} if file is None else read_body(file)
    return {**base, **{key: value for key, value in given.items() if value is not None}}


def _weight(text: str) -> tuple[str, int]:
    app, _, weight = text.rpartition("=")
    if not app or not weight.isdecimal():
        raise click.UsageError(f"--weight: expected APP=N, got {text!r}")
    return app, int(weight)


def _port(text: str) -> dict[str, Any]:
    numbers, _, protocol = text.partition("/")
    parts = numbers.split(":")
    if not all(part.isdecimal() for part in parts) or len(parts) > 3:
        raise click.UsageError(f"--port: expected [HOST:]PORT[:TARGET][/PROTO], got {text!r}")
    names = {1: ("port",), 2: ("host_port", "port"), 3: ("host_port", "port", "target_port")}[len(parts)]
    port: dict[str, Any] = dict(zip(names, map(int, parts), strict=True))
    return {**port, **({"protocol": protocol} if protocol else {})}


def _endpoint(text: str) -> dict[str, Any]:
    address, _, port = text.partition(":")
    if port and not port.isdecimal():
        raise click.UsageError(f"--endpoint: expected ADDRESS[:PORT], got {text!r}")
    return {"ip_address": address, **({"port": int(port)} if port else {})}
