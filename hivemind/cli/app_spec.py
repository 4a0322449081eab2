"""From the flags of ``app deploy`` to the body of ``POST /deploy``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

_PLAIN = (
    "name", "namespace", "image", "resolve_image", "mode", "replicas", "service", "node_affinity", "service_affinity",
    "priority_class", "spread", "rebalance", "reschedule_after", "keep_lost", "stop_signal", "stop_grace_period",
    "drain_timeout",
)  # fmt: skip


def deploy_body(
    file: Path | None,
    *,
    base: Mapping[str, Any] | None = None,
    ports: Sequence[str],
    env: Sequence[str],
    label: Sequence[str],
    volumes: Sequence[str],
    depends_on: Sequence[str],
    toleration: Sequence[str],
    args: Sequence[str],
    **options: Any,
) -> dict[str, Any]:
    """The file's content (else `base`), overlaid by the flags. Raises click.UsageError where that is nothing."""
    body = dict(base or {}) if file is None else read_body(file)
    overlay(body, options, _PLAIN)
    merge(body, "resources", given(options, ("cpu", "memory", "cpu_limit", "memory_limit")))
    if (target := health_target(options["health_command"], options["health_http"], options["health_tcp"])) is not None:
        # Another kind of probe takes the place of the one before.
        before = {name: value for name, value in mapping(body, "health_check").items() if name not in PROBES}
        body["health_check"] = {**before, **target}
    merge(body, "health_check", given(options, ("interval", "timeout", "retries", "start_period"), flag="health_"))
    _merge_numbers(body, options["autoscale"], options["min_available"])
    if options["restart"] is not None:
        merge(body, "restart", _restart(options["restart"]))
    merge(body, "env", dict(pair("--env", text) for text in env))
    merge(body, "labels", dict(pair("--label", text) for text in label))
    for key, items in (
        ("ports", [_port(t) for t in ports]),
        ("volumes", [volume(t) for t in volumes]),
        ("depends_on", [_dependency(t) for t in depends_on]),
        ("tolerations", [_toleration(t) for t in toleration]),
    ):
        if items:
            body[key] = items
    if args:
        body["args"] = list(args)
    for required in ("name", "image"):
        if not body.get(required):
            raise click.UsageError(f"--{required} is needed (or `{required}` in the file)")
    return body


def overlay(body: dict[str, Any], options: Mapping[str, Any], names: Sequence[str]) -> None:
    """Of the spec `body`, what was given of the flags that are called as its fields."""
    body |= given(options, names)
    if options["image"] is not None:
        # The registry is asked anew, also for the same tag.
        for name in ("image_digest", "image_architectures"):
            body.pop(name, None)


def given(options: Mapping[str, Any], names: Sequence[str], *, flag: str = "") -> dict[str, Any]:
    """What was given of the flags that are called by these names after `flag`."""
    return {name: options[flag + name] for name in names if options[flag + name] is not None}


PROBES = ("command", "http", "tcp")


def health_target(command: str | None, http: str | None, tcp: int | None) -> dict[str, Any] | None:
    """The part of `health_check` that says what is probed; None where no flag does."""
    if command is not None:
        return {"command": command}
    if http is not None:
        port, slash, path = http.partition("/")
        if not slash or (port and not port.isdecimal()):
            raise click.UsageError(f"--health-http: expected PORT/PATH or /PATH, got {http!r}")
        return {"http": {"path": f"/{path}", **({"port": int(port)} if port else {})}}
    return None if tcp is None else {"tcp": {"port": tcp}}


def _restart(text: str) -> dict[str, Any]:
    policy, colon, attempts = text.partition(":")
    if policy not in ("always", "on-failure", "no") or (colon and not attempts.isdecimal()):
        raise click.UsageError(f"--restart: expected always, on-failure or no, and perhaps :MAX, got {text!r}")
    return {"policy": policy, **({"max_attempts": int(attempts)} if colon else {})}


def _merge_numbers(body: dict[str, Any], autoscale: str | None, min_available: str | None) -> None:
    if autoscale == "off":
        body["autoscale"] = None
    elif autoscale is not None:
        merge(body, "autoscale", _autoscale(autoscale))
    if min_available is not None:
        body["min_available"] = int(min_available) if min_available.isdecimal() else min_available


def _autoscale(text: str) -> dict[str, int]:
    bounds, _, percent = text.partition("@")
    low, _, high = bounds.partition("-")
    if not all(number.isdecimal() for number in (low, high, percent)):
        raise click.UsageError(f"--autoscale: expected MIN-MAX@PERCENT, such as 2-10@60, or off, got {text!r}")
    return {"min": int(low), "max": int(high), "cpu_target": int(percent)}


def _dependency(text: str) -> dict[str, str]:
    app, _, condition = text.partition(":")
    return {"app": app, "condition": condition or "healthy"}


def _toleration(text: str) -> dict[str, str]:
    """As a taint is written for `node taint`; without a value, whatever it has."""
    name, colon, effect = text.partition(":")
    key, equals, value = name.partition("=")
    if not key or (colon and not effect):
        raise click.UsageError(f"--toleration: expected KEY[=VALUE][:EFFECT], got {text!r}")
    how = {"operator": "Equal", "value": value} if equals else {"operator": "Exists"}
    return {"key": key, **how, **({"effect": effect} if effect else {})}


def read_body(file: Path) -> dict[str, Any]:
    """A request's body from a file of YAML or JSON. Raises click.UsageError where it is none."""
    import yaml

    try:
        content = yaml.safe_load(file.read_text())
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file} is neither YAML nor JSON: {error}") from error
    if not isinstance(content, dict):
        raise click.UsageError(f"{file}: expected a mapping, the body of the request")
    return content


def merge(body: dict[str, Any], key: str, values: dict[str, Any]) -> None:
    """Overlays what `body` has there. Raises click.UsageError where that is no mapping."""
    if values:
        body[key] = {**mapping(body, key), **values}


def mapping(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    """What `body` has there; empty where it has nothing. Raises click.UsageError where that is no mapping."""
    there = body.get(key) or {}
    if not isinstance(there, dict):
        raise click.UsageError(f"{key}: expected a mapping in the file, got {there!r:.60}")
    return there


def pair(flag: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise click.UsageError(f"{flag}: expected KEY=VALUE, got {text!r}")
    return key, value


def _port(text: str) -> dict[str, Any]:
    numbers, _, protocol = text.partition("/")
    host, colon, container = numbers.rpartition(":")
    try:
        port: dict[str, Any] = {"container_port": int(container)}
        if colon:
            port["host_port"] = int(host)
    except ValueError as error:
        raise click.UsageError(f"--port: expected [HOST:]CONTAINER[/tcp|/udp], got {text!r}") from error
    if protocol:
        port["protocol"] = protocol
    return port


def volume(text: str) -> dict[str, Any]:
    name, _, rest = text.partition(":")
    path, _, mode = rest.partition(":")
    if not name or not path or mode not in ("", "ro", "rw"):
        raise click.UsageError(f"--volume: expected NAME:PATH[:ro], got {text!r}")
    return {"name": name, "mount_path": path, **({"read_only": True} if mode == "ro" else {})}
