"""Printing: tables for people, JSON and YAML for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

_ENDLESS = 10_000


def show(output: str, data: Any, columns: Mapping[str, str] | None = None) -> None:
    """Prints `data` (a dict, or a list of dicts).

    Args:
        columns: for a table of a list: header → field, with dots for nesting.
    """
    if output == "json":
        click.echo(json.dumps(data, indent=2))
    elif output == "yaml":
        click.echo(as_yaml(data), nl=False)
    elif isinstance(data, list):
        _table(data, columns or {})
    else:
        _details(data)


def warned(output: str, answer: dict[str, Any]) -> dict[str, Any]:
    """`answer`; its warnings go to people as such, and stay in what programs read."""
    if output == "table":
        for text in answer.pop("warnings", ()):
            click.echo(f"warning: {text}", err=True)
    return answer


def as_yaml(data: Any) -> str:
    import yaml

    return yaml.safe_dump(data, sort_keys=False)


def _table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in columns:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(_field(row, path)) for path in columns.values()))
    _console().print(table)


def _details(data: Mapping[str, Any]) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in data.items():
        table.add_row(
            key,
            as_yaml(value).strip() if value and isinstance(value, dict | list) else _cell(value),
        )
    _console().print(table)


def _console() -> Console:
    """A pipe has no width: there, no line is folded."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=_ENDLESS, soft_wrap=True)


def _field(row: Mapping[str, Any], path: str) -> Any:
    value: Any = row
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _cell(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return str(value)
